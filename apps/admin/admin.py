"""The operator's side. Django's admin looks here; each module registers its own pages."""

from django.conf import settings
from django.contrib import admin

from apps.admin import (  # noqa: F401
    api_keys,
    audit,
    callbacks,
    categories,
    dead_letters,
    delivery_logs,
    notifications,
    organizations,
    people,
    providers,
    suppressions,
    template_parts,
    templates,
)

# Only the local default has a page there.
admin.site.site_url = "/" if settings.LOCAL else None
