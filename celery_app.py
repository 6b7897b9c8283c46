"""The Celery application: `celery -A celery_app worker --pool=threads -Q email`."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifier.settings")

app = Celery("notifier")
app.config_from_object("notifier.celery_settings")
app.autodiscover_tasks(["apps.notifications.delivery"])


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """A receiver here is how Celery is told that logging is set up already: by Django's settings."""
