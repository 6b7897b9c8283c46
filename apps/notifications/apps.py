"""The Django app: its label, and which of its models the audit log covers."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.notifications import models
        from apps.users import audit_log

        audit_log.watch(models.WebhookEndpoint, models.Suppression)
