"""Loaded by Django's admin autodiscovery: importing each module registers its pages."""

from django.conf import settings
from django.contrib import admin

from apps.admin.accounts import api_keys, audit, categories, organizations, people  # noqa: F401
from apps.admin.authoring import template_parts, templates  # noqa: F401
from apps.admin.messages import (  # noqa: F401
    dead_letters,
    delivery_logs,
    notifications,
    providers,
    suppressions,
    webhooks,
)

# Only the local default (`make run`) serves a page at `/`.
admin.site.site_url = "/" if settings.LOCAL else None
