"""The peers' Celery: one task an email, with its row and Django's mail classes; and django-celery-email's own."""

import os

import django
from celery import Celery, shared_task

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.settings")
django.setup()

app = Celery("peers", broker=os.environ["PEER_BROKER_URL"])
app.conf.update(
    task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=4, task_default_queue="peer"
)
app.autodiscover_tasks(["djcelery_email"])
_connection = None


@shared_task(name="peers.send_one")
def send_one(pk: int) -> None:
    """Over a connection that the process keeps: a new one for each would be slower still."""
    global _connection
    from django.core.mail import get_connection
    from django.utils import timezone

    from benchmarks.peers.mails.models import Mail
    from benchmarks.peers.messages import message

    mail = Mail.objects.get(pk=pk)
    if _connection is None:
        _connection = get_connection()
        _connection.open()
    _connection.send_messages([message(mail.email, mail.name, mail.order)])
    mail.status, mail.sent_at = "sent", timezone.now()
    mail.save()
