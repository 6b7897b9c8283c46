"""The operator's side. Django's admin looks here; each module registers its own pages."""

from django.conf import settings
from django.contrib import admin

# Only the local default has a page there.
admin.site.site_url = "/" if settings.LOCAL else None
