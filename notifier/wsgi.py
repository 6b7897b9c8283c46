import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifier.settings")
application = get_wsgi_application()

from apps.notifications.database import bound_statements  # noqa: E402 - once Django is set up
from apps.notifications.exposition import exposition  # noqa: E402

bound_statements()
exposition.start()
