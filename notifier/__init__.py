"""The Django project: settings, URLs and HTTP concerns that compose the apps, and the library that they stand on.

Its outer packages may import the apps; `notifier.lib` imports none of them. Apps may import `notifier.lib` alone.
It must not hold business rules, tables or tasks: those are in the apps.
"""

# Imported wherever Django runs, in the API process as in a worker, so that tasks belong to this Celery application.
from celery_app import app as celery_app

__all__ = ["celery_app"]
