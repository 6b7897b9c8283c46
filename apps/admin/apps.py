"""App configurations: this app's own, and Django's admin with our site class."""

from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class OperatorAdminConfig(AppConfig):
    name = "apps.admin"
    # `admin` is Django's own label.
    label = "notifier_admin"
    verbose_name = "Notifier administration"
    default = True


class SiteConfig(django_admin.AdminConfig):
    """Django's admin with `OperatorSite` as its default site."""

    default_site = "apps.admin.site.OperatorSite"
    default = False
