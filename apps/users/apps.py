from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "apps.users"
    label = "users"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.users import auditing, models

        auditing.watch(
            models.Organization,
            models.User,
            models.ApiKey,
            models.Category,
            models.NotificationPreference,
            models.Device,
        )
