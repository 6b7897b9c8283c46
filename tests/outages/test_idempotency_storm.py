"""The same request from all sides at once is one notification."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import redis

from apps.notifications.models import IdempotencyRecord, Notification
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, to_address

AT_ONCE = 50
pytestmark = pytest.mark.chaos


def post_and_hang_up(api_url, key, headers, body):
    """Sends a whole request and closes the connection without waiting for the answer."""
    payload = json.dumps(body).encode()
    address = urlsplit(api_url)
    lines = [
        "POST /api/v1/notifications/ HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: Api-Key {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(payload)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode() + payload)


@pytest.mark.parametrize("by", ["header", "request_id"])
def test_fifty_at_once_make_one(by, make_system, smtp, key):
    system = make_system()
    system.start_api()
    system.start_worker("email", "email")
    system.start_tick()
    body = to_address(1)
    if by == "header":
        del body["request_id"]
    headers = {"Idempotency-Key": '"order-4711"'} if by == "header" else {}

    with system.client(key) as client, ThreadPoolExecutor(AT_ONCE) as pool:

        def attempt(number):
            if number % 10 == 5:
                redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
            if number % 7 == 3:
                post_and_hang_up(system.api_url, key, headers, body)
                return None
            return client.post("notifications/", json=body, headers=headers)

        answers = [answer for answer in pool.map(attempt, range(AT_ONCE)) if answer is not None]
        allowed = {202, 409}
        assert {answer.status_code for answer in answers} <= allowed
        accepted = [answer for answer in answers if answer.status_code == 202]
        refused = {answer.json()["error"] for answer in answers if answer.status_code == 409}
        assert len({answer.json()["data"]["id"] for answer in accepted}) <= 1
        assert all(
            answer.headers["Retry-After"]
            for answer in answers
            if answer.json()["error"] == "request_in_progress"
        )

        smtp.wait_for(1, timeout=30)
        wait_until(lambda: counts()["sent"] == 1)
        last = client.post("notifications/", json=body, headers=headers)
        if by == "header":
            assert refused <= {"request_in_progress"}
            assert sum("Idempotent-Replayed" not in answer.headers for answer in accepted) <= 1
            assert last.status_code == 202
            assert last.headers["Idempotent-Replayed"] == "true"
            assert last.json()["data"]["status"] == "queued"
        else:
            assert refused <= {"already_delivered"}
            assert (last.status_code, last.json()["error"]) == (409, "already_delivered")
            assert last.json()["data"]["status"] == "sent"
        other = client.post("notifications/", json={**body, "priority": 7}, headers=headers)
        assert other.status_code == 422
        assert other.json()["error"] in ("idempotency_key_reused", "request_id_reused")

    assert Notification.objects.count() == 1
    assert IdempotencyRecord.objects.count() == (1 if by == "header" else 0)
    assert list(copies(smtp).values()) == [1]
