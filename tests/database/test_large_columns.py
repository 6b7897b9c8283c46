"""Lists and look-ups of many rows do not select large columns that none of them shows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.notifications.models import DeadLetter, Notification
from tests.conftest import post

HELLO = "/api/v1/templates/hello/"


@pytest.fixture
def read_columns(api, version):
    """Returns which of the named columns the statements of a request select."""

    def get(path, *large):
        with CaptureQueriesContext(connection) as captured:
            answer = api.get(path)
        assert answer.status_code == 200, answer.content
        assert answer.json()["data"]
        found = [query["sql"] for query in captured]
        return [name for name in large if any(f'"{name}"' in sql for sql in found)]

    return get


def test_templates(read_columns):
    large = ("required", "optional", "variables", "pinned")
    assert read_columns("/api/v1/templates/", *large) == []
    assert read_columns(HELLO, *large) == list(large)


def test_the_templates_that_use_a_partial(read_columns, api):
    assert (
        api.post("/api/v1/templates/partials/", {"name": "foot", "text": "Bye"}, format="json").status_code
        == 201
    )
    content = {"channel": "email", "language": "en", "subject": "x", "text": '{% render "foot" %}'}
    body = {"contents": [content], "activate": True}
    assert api.post(f"{HELLO}versions/", body, format="json").status_code == 201
    assert (
        read_columns("/api/v1/templates/partials/foot/uses/", "required", "optional", "variables", "warnings")
        == []
    )


def test_versions(read_columns):
    assert read_columns(f"{HELLO}versions/", "compiled") == []


def test_dead_letters(read_columns, api, user):
    row = Notification.objects.get(pk=post(api, user).json()["data"]["id"])
    DeadLetter.objects.create(
        organization=row.organization, notification=row, channel="email", reason="permanent"
    )
    assert read_columns("/api/v1/dead-letters/", "variables", "metadata", "required") == []


def test_requests_that_came_before(api, user, version):
    body = {
        "user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}, "request_id": "one",
    }  # fmt: skip
    batch = "/api/v1/notifications/batch/"
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            answer = api.post(batch, {"notifications": [body]}, format="json")
        assert answer.json()["data"]["accepted"] == 1
    (again,) = [query["sql"] for query in captured if '"request_id" IN' in query["sql"]]
    assert '"metadata"' not in again
    assert '"variables"' not in again
