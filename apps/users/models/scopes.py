"""Permissions of callers. API keys carry scopes; a person's role stands for a set of them."""

from django.db import models


class Scope(models.TextChoices):
    NOTIFICATIONS_WRITE = "notifications:write", "Send and cancel notifications"
    NOTIFICATIONS_READ = "notifications:read", "Read notifications and timelines"
    USERS_READ = "users:read", "Read users, preferences and devices"
    USERS_WRITE = "users:write", "Change users, preferences and devices"
    TEMPLATES_READ = "templates:read", "Read and preview templates"
    TEMPLATES_WRITE = "templates:write", "Write and activate templates"
    DEAD_LETTERS_READ = "dead-letters:read", "Read dead letters"
    DEAD_LETTERS_WRITE = "dead-letters:write", "Replay and discard dead letters"
    WEBHOOKS_READ = "webhooks:read", "Read where callbacks go, and every try of them"
    WEBHOOKS_WRITE = "webhooks:write", "Change where callbacks go, rotate their secret, and replay them"
    SUPPRESSIONS_READ = "suppressions:read", "See which addresses nothing is sent to, and why"
    SUPPRESSIONS_WRITE = "suppressions:write", "Suppress addresses, and lift that again"
    PROVIDERS_READ = "providers:read", "See the provider accounts and their circuits"
    PROVIDERS_WRITE = "providers:write", "Open and close providers' circuits, for every organization"
    AUDIT_READ = "audit:read", "Read who changed what"
    API_KEYS_WRITE = "api-keys:write", "List, make, rotate and revoke API keys"


class Role(models.TextChoices):
    ADMIN = "admin", "Administrator"
    EDITOR = "editor", "Template editor"
    OPERATOR = "operator", "Operator"
    MEMBER = "member", "Member"


HOST_SCOPES = frozenset({Scope.PROVIDERS_WRITE})
"""For the operators of the host: superusers, and keys that they make. Their changes affect every organization."""
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.ADMIN: frozenset(Scope.values) - HOST_SCOPES,
    Role.EDITOR: frozenset({Scope.TEMPLATES_READ, Scope.TEMPLATES_WRITE}),
    Role.OPERATOR: frozenset(
        {
            Scope.NOTIFICATIONS_READ,
            Scope.USERS_READ,
            Scope.TEMPLATES_READ,
            Scope.DEAD_LETTERS_READ,
            Scope.DEAD_LETTERS_WRITE,
            Scope.WEBHOOKS_READ,
            Scope.SUPPRESSIONS_READ,
            Scope.PROVIDERS_READ,
        }
    ),
    # A member may use only their own rows, for which no scope is needed.
    Role.MEMBER: frozenset(),
}
