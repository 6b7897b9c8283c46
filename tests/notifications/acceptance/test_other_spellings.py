"""The specification's other spellings of the same operations, and request_ids that are segments of these paths."""

import pytest
from django.urls import get_resolver

from apps.notifications.api.serializers.requests import PATH_SEGMENTS
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification
from apps.users.models import User
from tests.conftest import client_for, post
from tests.support.factories import UserFactory
from tests.support.routes import refused

URL = "/api/v1/notifications/"
RESERVED = [".", "..", "batch", "email", "push", "events", "cancel", "status"]
FREE = ["...", ".a", "batch-1", "Batch", "emails", "order.events", "1", "-", ":", "a.b", "status:1"]


def body(user, **fields):
    return {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}, **fields}


@pytest.mark.parametrize("word", RESERVED)
def test_a_request_id_that_could_not_be_looked_up_is_refused_with_the_remedy(word, api, user, version):
    (entry,) = refused(post(api, user, request_id=word), 400, "validation_error")["errors"]
    assert (entry["field"], entry["code"]) == ("request_id", "reserved")
    assert f"order-{word}" in entry["detail"] or "add a letter" in entry["detail"]
    batch = api.post(f"{URL}batch/", {"notifications": [body(user, request_id=word)]})
    assert batch.json()["data"]["results"][0]["errors"] == [entry]
    assert not Notification.objects.exists()


@pytest.mark.parametrize("word", FREE)
def test_others_are_looked_up_by_it(word, api, user, version):
    made = post(api, user, request_id=word)
    assert made.status_code == 202
    assert api.get(f"{URL}{word}/").json()["data"]["id"] == made.json()["data"]["id"]


def test_every_segment_of_the_routes_is_reserved():
    segments = set()
    for one in get_resolver().url_patterns[0].url_patterns:
        if str(one.pattern) == "notifications/":
            for inner in one.url_patterns:
                segments |= {part for part in str(inner.pattern).split("/") if part and "<" not in part}
    assert segments == PATH_SEGMENTS


@pytest.mark.parametrize(
    ("channel", "model", "other"), [("email", EmailLog, PushLog), ("push", PushLog, EmailLog)]
)
class TestByChannel:
    def test_it_is_sent_by_that_one(self, channel, model, other, api, user, version):
        answer = api.post(f"{URL}{channel}/", body(user))
        assert answer.status_code == 202
        assert answer["Location"] == f"{URL}{answer.json()['data']['id']}/"
        assert [row["channel"] for row in answer.json()["data"]["deliveries"]] == [channel]
        assert (model.objects.count(), other.objects.count()) == (1, 0)

    def test_a_body_that_says_the_same_is_taken(self, channel, model, other, api, user, version):
        for same in ({"channels": [channel]}, {"notification_type": channel}):
            assert api.post(f"{URL}{channel}/", body(user, **same)).status_code == 202

    @pytest.mark.parametrize(
        "more",
        [{"channels": ["email", "push"]}, {"channels": []}, {"channels": "email push"}, {"channels": None}],
    )
    def test_one_that_says_something_else_is_not(self, more, channel, model, other, api, user, version):
        answer = api.post(f"{URL}{channel}/", body(user, **more))
        assert [entry["field"] for entry in refused(answer, 400, "validation_error")["errors"]] == [
            "channels"
        ]
        wanted = "push" if channel == "email" else "email"
        answer = api.post(f"{URL}{channel}/", body(user, notification_type=wanted))
        assert [entry["field"] for entry in refused(answer, 400)["errors"]] == ["notification_type"]
        assert not Notification.objects.exists()

    def test_it_is_the_same_request_as_at_notifications(self, channel, model, other, api, user, version):
        first = api.post(f"{URL}{channel}/", body(user, request_id="order-1"))
        again = api.post(URL, body(user, request_id="order-1", channels=[channel]))
        assert first.json()["data"]["id"] == again.json()["data"]["id"]
        refused(api.post(URL, body(user, request_id="order-1")), 422, "request_id_reused")

    def test_what_is_no_object_is_refused(self, channel, model, other, api, user, version):
        for odd in ([], [{}], "x", None, 5):
            refused(api.post(f"{URL}{channel}/", odd), 400, "validation_error")


def test_the_status_is_the_notification(api, user, version):
    made = post(api, user, request_id="order-1").json()["data"]
    for key in (made["id"], "order-1"):
        assert api.get(f"{URL}{key}/status/").json() == api.get(f"{URL}{key}/").json()
    refused(api.get(f"{URL}absent/status/"), 404, "not_found")


ADDRESSES = ["ada@example.com", "ADA@Example.COM", "ada%40example.com"]
ABSENT = [
    "nobody@example.com", "ada", "%00", "a%00@example.com", "a%0a@example.com", "x" * 300,
    "%ff@example.com", "ada@example.com/devices", "*", "@",
]  # fmt: skip


class TestByAddress:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_a_person_is_found(self, address, api, user):
        answer = api.get(f"/api/v1/users/email/{address}/")
        assert answer.json()["data"] == api.get(f"/api/v1/users/{user.pk}/").json()["data"]

    def test_an_address_may_have_a_slash_and_a_plus_in_it(self, api, organization):
        for address in ("a/b@example.com", "a+b@example.com"):
            person = UserFactory(organization=organization, email=address)
            assert api.get(f"/api/v1/users/email/{address}/").json()["data"]["id"] == str(person.pk)
        assert api.get("/api/v1/users/email/a%2Fb@example.com/").status_code == 200

    @pytest.mark.parametrize("address", ABSENT)
    def test_nobody_is_a_404(self, address, api, user):
        refused(api.get(f"/api/v1/users/email/{address}/"), 404, "not_found")

    def test_another_organizations_person_is_nobody(self, api, user):
        UserFactory(email="eve@example.com")
        refused(api.get("/api/v1/users/email/eve@example.com/"), 404, "not_found")

    def test_without_the_scope_it_is_refused(self, organization, user):
        refused(
            client_for(organization, scopes=["notifications:read"]).get(
                "/api/v1/users/email/ada@example.com/"
            ),
            403,
        )
        assert User.objects.get(pk=user.pk).email == "ada@example.com"
