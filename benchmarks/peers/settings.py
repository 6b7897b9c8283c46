"""Django's settings of a product that sends mail with one of the peers."""

import os
from urllib.parse import urlsplit

_url = urlsplit(os.environ["PEER_DATABASE_URL"])
SECRET_KEY = "benchmarks"  # noqa: S105 - for the benchmarks alone
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "djcelery_email", "post_office", "benchmarks.peers.mails"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path[1:],
        "USER": _url.username or "",
        "PASSWORD": _url.password or "",
        "HOST": _url.hostname or "",
        "PORT": _url.port or 5432,
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
EMAIL_HOST, EMAIL_PORT = "127.0.0.1", int(os.environ["PEER_SMTP_PORT"])
EMAIL_BACKEND = os.environ.get("PEER_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
CELERY_EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
CELERY_EMAIL_CHUNK_SIZE = 100
CELERY_EMAIL_TASK_CONFIG = {"ignore_result": True, "queue": "peer"}
POST_OFFICE = {
    "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
    "BATCH_SIZE": 5000,
    "BATCH_DELIVERY_TIMEOUT": 600,
    "THREADS_PER_PROCESS": int(os.environ.get("PEER_THREADS", "5")),
    "LOG_LEVEL": 0,
}
