"""The Django app: its label, and which of its models the audit log covers."""

from importlib import import_module

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        # Django knows of models that are imported by then; the channels' logs are beside their channel.
        super().import_models()
        import_module("apps.notifications.channels.logs")

    def ready(self) -> None:
        from apps.notifications import models
        from apps.users import audit_log

        audit_log.watch(models.WebhookEndpoint, models.Suppression)
