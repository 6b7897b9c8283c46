"""The tables of organizations, people, devices, preferences, API keys and the audit log.

May import `notifier.lib`, and of `apps.users` the audit log, the recipient hashes and the channels.
Must not import an HTTP framework, nor anything that reads a request.
"""

from apps.users.models.api_keys import ApiKey, default_expiry, default_scopes
from apps.users.models.audit import AuditEntry
from apps.users.models.devices import Device, Platform
from apps.users.models.organizations import Organization, validate_language
from apps.users.models.people import User
from apps.users.models.preferences import ACCOUNT, Category, NotificationPreference, PreferenceSource

__all__ = [
    "ACCOUNT",
    "ApiKey",
    "AuditEntry",
    "Category",
    "Device",
    "NotificationPreference",
    "Organization",
    "Platform",
    "PreferenceSource",
    "User",
    "default_expiry",
    "default_scopes",
    "validate_language",
]
