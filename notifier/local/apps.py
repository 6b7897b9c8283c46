"""The app `local`: the templates, static files and command of the local default."""

from django.apps import AppConfig


class LocalConfig(AppConfig):
    name = "notifier.local"
    label = "local"
