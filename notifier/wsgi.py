"""The WSGI application of the API process: bounds its statements and serves its metrics."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifier.settings")
application = get_wsgi_application()

from apps.notifications.observability.exposition import exposition  # noqa: E402
from notifier.lib.database.recovery import bound_statements  # noqa: E402 - once Django is set up

bound_statements()
exposition.start()
