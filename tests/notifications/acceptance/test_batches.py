"""Many at once: each accepted or rejected by itself, in few queries, on the bulk lane."""

import tracemalloc

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Event, Notification
from tests.conftest import settled
from tests.support.factories import EMAIL_EN, UserFactory, template_with

URL = "/api/v1/notifications/batch/"
pytestmark = pytest.mark.usefixtures("version")


def item(n=0, **fields):
    return {
        "recipient": {"email": f"person{n}@example.com"},
        "channels": ["email"],
        "template_code": "hello",
        "variables": {"name": f"Person {n}"},
        **fields,
    }


def post(api, *items, **headers):
    return api.post(URL, {"notifications": list(items)}, format="json", headers=headers)


def test_one_bad_item_spoils_no_other(api, user, db):
    answer = post(
        api,
        item(1),
        item(2, template_code="no-such"),
        {"template_code": "hello", "colour": "red"},
        "not an object",
        item(3, variables={}),
        item(4, priority=9),
        {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}},
    )
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert (data["accepted"], data["rejected"]) == (2, 5)
    assert [result["index"] for result in data["results"]] == list(range(7))
    assert [result["result"] == "accepted" for result in data["results"]] == [True, *[False] * 5, True]
    errors = [[entry["field"] for entry in result.get("errors", [])] for result in data["results"]]
    assert errors[1] == ["template_code"]
    assert "colour" in errors[2]
    assert errors[4] == ["variables.name"]
    assert errors[5] == ["priority"]
    assert Notification.objects.count() == 2
    assert EmailLog.objects.count() == 2
    assert PushLog.objects.count() == 1
    assert Event.objects.count() == 2
    assert set(EmailLog.objects.values_list("priority", flat=True)) == {4}


def test_a_thousand_cost_hardly_more_queries_than_one(api, organization, db, django_assert_max_num_queries):
    people = [UserFactory(organization=organization) for _ in range(200)]
    body = [
        {
            "user_id": str(person.pk),
            "template_code": "hello",
            "channels": ["email"],
            "variables": {"name": "x"},
        }
        for person in people
    ]
    with django_assert_max_num_queries(20):
        answer = post(api, *body, *(item(n, request_id=f"r{n}") for n in range(800)))
    assert answer.json()["data"]["accepted"] == 1000


@pytest.mark.parametrize("count", [0, 1001])
def test_too_few_and_too_many_are_refused(count, api, db):
    answer = post(api, *[{}] * count)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "notifications"


def test_a_request_id_twice_in_a_batch_is_one_notification(api, db):
    answer = post(api, item(1, request_id="same"), item(1, request_id="same"), item(2, request_id="same"))
    results = answer.json()["data"]["results"]
    assert results[0]["id"] == results[1]["id"]
    assert results[2]["error"] == "request_id_reused"
    assert Notification.objects.count() == 1


def test_a_batch_posted_again_sends_nothing_again(api, db):
    first = post(api, item(1, request_id="a"), item(2, request_id="b"))
    EmailLog.objects.filter(notification__request_id="a").update(status="sent")
    again = post(api, item(1, request_id="a"), item(2, request_id="b"), item(3, request_id="c"))
    results = again.json()["data"]["results"]
    assert [result.get("error") for result in results] == ["already_delivered", None, None]
    assert [result["id"] for result in results[:2]] == [one["id"] for one in first.json()["data"]["results"]]
    assert Notification.objects.count() == 3


def test_an_idempotency_key_answers_for_the_whole_batch(api, db):
    first = post(api, item(1), **{"Idempotency-Key": "batch-1"})
    again = post(api, item(1), **{"Idempotency-Key": "batch-1"})
    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    assert post(api, item(2), **{"Idempotency-Key": "batch-1"}).status_code == 422
    assert Notification.objects.count() == 1


def test_a_batch_is_sent(api, smtp, worker):
    assert post(api, *(item(n) for n in range(30))).json()["data"]["accepted"] == 30
    settled("sent")
    assert len(smtp.wait_for(30)) == 30


def test_what_its_messages_say_is_not_kept_until_all_are_stored(api, organization, db):
    # Half a megabyte each, from sixty kilobytes.
    long = "{% capture part %}" + "x" * 60_000 + "{% endcapture %}" + "{{ part }}" * 8
    template_with(organization, {**EMAIL_EN, "text": long}, code="long")
    tracemalloc.start()
    try:
        answer = post(api, *(item(n, template_code="long") for n in range(80)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.json()["data"]["accepted"] == 80
    assert most < 20 * 1024 * 1024


@pytest.mark.parametrize(
    "large",
    [
        {"variables": {"name": "x", "list": [[]] * 10_000}},
        {"metadata": {f"{n:x}": 0 for n in range(5_100)}},
        {"metadata": {"note": "x" * 140_000}, "variables": {"name": "x" * 140_000}},
        {"variables": {"name": "x", "x" * 270_000: 0}},
    ],
    ids=["lists", "names", "texts", "a name"],
)
def test_an_item_is_no_larger_than_a_message(large, api, db):
    results = post(api, item(1), item(2, **large)).json()["data"]["results"]
    assert [one["result"] for one in results] == ["accepted", "rejected"]
    (entry,) = results[1]["errors"]
    assert (entry["field"], entry["code"]) == ("variables", "too_large")


def test_a_message_of_many_values_is_refused_by_itself_too(api, db):
    most = {"list": [[]] * 9_990, "name": "x"}
    one = {**item(1), "metadata": most}
    assert api.post("/api/v1/notifications/", one, format="json").status_code == 202
    one["metadata"]["more"] = [0] * 10
    assert api.post("/api/v1/notifications/", one, format="json").status_code == 400
