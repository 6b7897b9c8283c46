from django.apps import AppConfig


class TemplatesConfig(AppConfig):
    name = "apps.templates"
    label = "templates"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.templates import models
        from apps.users import auditing

        auditing.watch(models.Template, models.TemplateVersion, models.Layout, models.Partial)
