"""Queues N emails with one of the peers: `python -m benchmarks.peers.queue celery_email|post_office|task N`."""

import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.settings")
django.setup()


def celery_email(count: int) -> None:
    from django.core.mail import get_connection

    from benchmarks.peers import app  # noqa: F401 - the broker
    from benchmarks.peers.messages import message

    backend = get_connection("djcelery_email.backends.CeleryEmailBackend")
    for start in range(0, count, 1000):
        backend.send_messages([message(*person(n)) for n in range(start, min(start + 1000, count))])


def post_office(count: int) -> None:
    from post_office import mail
    from post_office.models import Email

    from benchmarks.peers.messages import filled
    from benchmarks.world import HTML, TEXT

    Email.objects.all().delete()
    kwargs: list[dict[str, Any]] = []
    for number in range(count):
        email, name, order = person(number)
        kwargs.append(
            {
                "sender": "notifier@sender.test",
                "recipients": [email],
                "subject": f"Order {order}",
                "message": filled(TEXT, name, order),
                "html_message": filled(HTML, name, order),
            }
        )
    mail.send_many(kwargs)


def task(count: int) -> None:
    from benchmarks.peers.app import send_one
    from benchmarks.peers.mails.models import Mail

    Mail.objects.all().delete()
    rows = [Mail(email=email, name=name, order=order) for email, name, order in map(person, range(count))]
    for row in Mail.objects.bulk_create(rows, batch_size=1000):
        send_one.delay(row.pk)


def person(number: int) -> tuple[str, str, str]:
    return f"person{number}@example.com", f"Person {number}", f"A-{number}"


if __name__ == "__main__":
    {"celery_email": celery_email, "post_office": post_office, "task": task}[sys.argv[1]](int(sys.argv[2]))
