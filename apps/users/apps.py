"""The app `users`; when it is ready, it puts its models under the audit log."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "apps.users"
    label = "users"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.users import audit_log, models

        audit_log.watch(
            models.Organization,
            models.User,
            models.ApiKey,
            models.Category,
            models.NotificationPreference,
            models.Device,
        )
