from django.apps import AppConfig


class LocalConfig(AppConfig):
    name = "notifier.local"
    label = "local"
