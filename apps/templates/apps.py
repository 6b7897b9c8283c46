"""The app's configuration; registers the models whose changes the audit log records."""

from django.apps import AppConfig


class TemplatesConfig(AppConfig):
    name = "apps.templates"
    label = "templates"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.templates import models
        from apps.users import audit_log

        audit_log.watch(models.Template, models.TemplateVersion, models.Layout, models.Partial)
