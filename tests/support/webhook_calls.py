"""Helpers of the tests of callbacks."""

from datetime import timedelta

from django.utils import timezone

from apps.notifications.models import Callback
from tests.conftest import post, wait_until

ENDPOINT = "/api/v1/webhook-endpoints/"


def put(api, url, **fields):
    answer = api.put(ENDPOINT, {"url": url, **fields}, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def send(api, user, **body):
    answer = post(api, user, channels=["email"], **body)
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]


def tomorrow():
    return (timezone.now() + timedelta(days=1)).isoformat()


def ended(status="delivered", count=1):
    return wait_until(
        lambda: (rows := list(Callback.objects.filter(status=status))) and len(rows) == count and rows
    )


def waiting(attempts):
    """The one callback, once it waits for a retry after so many attempts."""
    return wait_until(lambda: Callback.objects.filter(status="queued", attempts=attempts).first())


def log(api):
    answer = api.get(f"{ENDPOINT}deliveries/?limit=100")
    assert answer.status_code == 200
    return answer.json()["data"]
