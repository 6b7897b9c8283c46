"""The WSGI application, served like the product's: `granian benchmarks.bare.wsgi:application`."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.bare.settings"

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
