"""What single email services post: forms, batches, hashes of the whole, and what none of that may do."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import call_command

from apps.notifications.models import Suppression, UnreadEvent
from apps.notifications.routing.accounts import SCHEMES, close_all
from tests.notifications.feedback.test_tracking_events import (  # noqa: F401
    MESSAGE_ID,
    accounts,
    reported,
    row,
    service,
    taken,
)
from tests.support.email_services import shown_key
from tests.support.event_bodies import BODIES
from tests.support.routes import refused

FORM = "application/x-www-form-urlencoded"
MANDRILL_PATH = "/api/v1/providers/mandrill/events/"
UNSUBSCRIBING = ("mailjet", "mailtrap", "mandrill", "sendgrid", "unisender_go")
"""Services that report that somebody unsubscribed at the service."""


@pytest.fixture
def bounced(row):  # noqa: F811
    """Whether the row is, and whether its address is suppressed."""

    def looked_at():
        row.refresh_from_db()
        return row.status == "bounced", Suppression.objects.active().exists()

    return looked_at


def one(name, kind, **fields):
    """An event of the service, in the form that it has by itself; `fields` go into what it says of a bounce."""
    body = BODIES[name](kind, {}, MESSAGE_ID, 1)
    match name:
        case "mandrill":
            body[0]["msg"] |= fields
        case "sendgrid":
            body[0] |= fields
        case "mailtrap":
            body["events"][0] |= fields
        case "postal":
            body["payload"] |= fields
        case "unisender_go":
            body["events_by_user"][0]["events"][0]["event_data"].setdefault("delivery_info", {}).update(
                fields
            )
        case _:
            body |= fields
    return body


@pytest.mark.parametrize("name", [*UNSUBSCRIBING, "postal"])
def test_what_the_service_itself_refuses_suppresses_nobody(name, row, service, bounced):  # noqa: F811
    reported(row, name)
    taken(service(name).tell("rejected", message_id=MESSAGE_ID))
    assert bounced() == (True, False)


@pytest.mark.parametrize("name", UNSUBSCRIBING)
def test_who_unsubscribes_at_the_service_is_left_to_it(name, row, service, bounced):  # noqa: F811
    reported(row, name)
    taken(service(name).tell("unsubscribed", message_id=MESSAGE_ID), 0)
    assert bounced() == (False, False)


@pytest.mark.parametrize(
    ("name", "fields", "suppressed"),
    [
        ("sendgrid", {"bounce_classification": "Invalid Address"}, True),
        ("sendgrid", {"bounce_classification": "Reputation", "reason": "550 refused"}, False),
        ("sendgrid", {"type": "blocked", "reason": "unable to get mx info"}, False),
        ("mailjet", {"error": "mailbox inactive"}, True),
        ("mailjet", {"error": "quota exceeded"}, False),
        ("mailjet", {"error": "invalid domain"}, False),
        ("mailjet", {"error": None}, False),
        ("mailjet", {"comment": "550 5.7.1 blocked by policy"}, False),
        ("mandrill", {"bounce_description": "invalid_domain", "diag": ""}, False),
        ("mandrill", {"bounce_description": None, "diag": "smtp;550 5.1.1 no such user"}, True),
        ("mandrill", {"diag": "smtp;550 5.7.1 listed on a block list"}, False),
        ("mailtrap", {"response": "bounced (552 5.2.2 over quota)"}, False),
        ("postal", {"output": "", "details": "Maximum number of delivery attempts has been reached"}, False),
        ("postal", {"output": None}, False),
        ("unisender_go", {"delivery_status": "err_user_inactive"}, True),
        (
            "unisender_go",
            {"delivery_status": "err_mailbox_full", "destination_response": "552 5.2.2 full"},
            False,
        ),
        ("unisender_go", {"delivery_status": "err_delivery_failed", "destination_response": ""}, False),
    ],
)
def test_only_a_dead_address_is_suppressed(name, fields, suppressed, row, service, bounced):  # noqa: F811
    reported(row, name)
    taken(service(name).send(one(name, "hard", **fields)))
    assert bounced() == (True, suppressed)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("sendgrid", {"timestamp": "soon", "category": None, "response": None}),
        ("mailjet", {"time": "soon", "Payload": None, "customcampaign": None}),
        ("mailjet", {"Payload": {"of": "another"}}),
        ("mailjet", {"Payload": "of:another|one"}),
        ("mandrill", {"tags": None, "metadata": None, "diag": None}),
        ("mailtrap", {"timestamp": None, "category": None, "custom_variables": None}),
        ("postal", {"time": None, "details": None}),
    ],
)
def test_odd_fields_that_nobody_needs_are_no_error(name, fields, row, service):  # noqa: F811
    reported(row, name)
    taken(service(name).send(one(name, "delivered", **fields)))
    row.refresh_from_db()
    assert row.status == "delivered"


def test_mailjet_groups_its_events_or_does_not(row, service, bounced):  # noqa: F811
    reported(row, "mailjet")
    taken(service("mailjet").send([one("mailjet", "opened"), one("mailjet", "hard")]), 2)
    assert bounced() == (True, True)
    taken(service("mailjet").send(one("mailjet", "hard")), 0)


def test_a_batch_of_sendgrid_is_taken_one_by_one(row, service, bounced):  # noqa: F811
    reported(row, "sendgrid")
    batch = [event for kind in ("processed", "hard", "opened") for event in one("sendgrid", kind)]
    taken(service("sendgrid").send(batch), 3)
    assert bounced() == (True, True)
    taken(service("sendgrid").send(batch[1:]), 0)


@pytest.mark.parametrize("name", ["mandrill", "mailtrap", "unisender_go", "mailjet"])
def test_one_of_a_batch_that_can_t_be_read_keeps_no_other(name, row, service):  # noqa: F811
    reported(row, name)
    body = one(name, "delivered")
    unreadable = [7, {"event": ["x"], "msg": 7, "event_name": "transactional_email_status", "event_data": {}}]
    match name:
        case "mandrill":
            body += unreadable
        case "mailjet":
            body = [body, *unreadable]
        case "mailtrap":
            body["events"] += unreadable
        case "unisender_go":
            body["events_by_user"][0]["events"] += unreadable
    refused(service(name).send(body), 503, "events_unread")
    row.refresh_from_db()
    assert row.status == "delivered"
    kept = list(UnreadEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert len(kept) == 2
    call_command("reread_events")
    still = UnreadEvent.objects.filter(state="open").order_by("pk").values_list("pk", flat=True)
    assert list(still) == kept


def test_a_service_may_look_whether_the_url_is_there(row, service):  # noqa: F811
    client = service("unisender_go").client
    for look in (client.get, client.head):
        assert look("/api/v1/providers/unisender_go/events/").status_code == 200
        assert look("/api/v1/providers/nobody/events/").status_code == 404


@pytest.mark.parametrize("configured", [True, False])
def test_mandrill_s_test_of_the_url_is_answered(configured, row, service, settings):  # noqa: F811
    """It comes before the webhook has a key."""
    if not configured:
        settings.EMAIL_PROVIDER_URL = "mandrill://?key=k"
        close_all()
    teller = service("mandrill", secret="test-webhook")
    taken(teller.send([]), 0)
    assert teller.tell("hard", message_id=MESSAGE_ID).status_code == (403 if configured else 404)


def test_mandrill_signs_the_url_that_it_was_given(row, service, settings, bounced):  # noqa: F811
    settings.PUBLIC_URL = "https://notify.example.com"
    reported(row, "mandrill")
    teller = service("mandrill")
    headers = teller.headers
    settings.PUBLIC_URL = "https://elsewhere.example.com"
    elsewhere = headers(b"mandrill_events=%5B7%5D", "1")
    settings.PUBLIC_URL = "https://notify.example.com"

    def sent_with(of):
        return teller.client.generic(
            "POST", MANDRILL_PATH, b"mandrill_events=%5B7%5D", content_type=FORM, headers=of
        )

    refused(sent_with(elsewhere), 403, "unverified")
    refused(sent_with(headers(b"mandrill_events=%5B8%5D", "1")), 403, "unverified")
    assert not UnreadEvent.objects.exists()
    taken(teller.tell("hard", message_id=MESSAGE_ID))
    assert bounced() == (True, True)


@pytest.mark.parametrize(
    "body", [b"other=1", b"mandrill_events=", b"mandrill_events=%7B", b"mandrill_events=%FF"]
)
def test_a_signed_form_of_mandrill_that_is_no_list_is_kept(body, row, service):  # noqa: F811
    teller = service("mandrill")
    signed = teller.headers(body, "1")
    answer = teller.client.generic("POST", MANDRILL_PATH, body, content_type=FORM, headers=signed)
    refused(answer, 503, "events_unread")
    assert UnreadEvent.objects.get().body == body.decode()


def test_unisender_s_single_events_are_read(row, service, bounced):  # noqa: F811
    reported(row, "unisender_go")
    body = one("unisender_go", "hard")
    (event,) = body["events_by_user"][0]["events"]
    single = {"auth": body["auth"], "event_name": event["event_name"], **event["event_data"]}
    taken(service("unisender_go").send(single))
    assert bounced() == (True, True)
    taken(service("unisender_go").send({"auth": body["auth"], "event_name": "transactional_spam_block"}), 0)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"auth": "", "event_name": "x"}',
        b'{"auth": 7}',
        # It must be the hash of something that has the key in it.
        b'{"auth": "\\u0061aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',
        b'{"auth": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',
    ],
)
def test_a_hash_without_unisender_s_key_is_refused(raw, row, service):  # noqa: F811
    refused(service("unisender_go").send(raw), 403, "unverified")


def test_what_postal_reports_of_mail_that_came_in_is_ignored(row, service):  # noqa: F811
    body = one("postal", "hard")
    body["payload"]["message"]["direction"] = "incoming"
    taken(service("postal").send(body), 0)
    taken(
        service("postal").send(
            {"event": "DomainDNSError", "payload": {"domain": "example.com"}, "uuid": "1"}
        ),
        0,
    )
    refused(service("postal").send({"rcpt_to": "a@example.com"}), 400, "wrong_event")


SENDGRID_KEY = shown_key(ec.generate_private_key(ec.SECP256R1())).replace("+", "%2B")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mailjet://?key=half", "two parts, as in key:secret"),
        ("mailjet://?key=:half", "two parts"),
        ("postal://?key=k", "a postal URL needs api_url="),
        ("unisender-go://?key=k", "a unisender-go URL needs api_url="),
        ("scaleway://?key=k", "a scaleway URL needs project_id="),
        ("scaleway://?key=k&project_id=p&api_url=https://x.example/{a}", "braces"),
        ("scaleway://?key=k&project_id=p&webhook_key=0123456789abcdef", "no options but"),
        ("sendgrid://?key=k&webhook_key=hunter2hunter2hunter2hunter2", "percent-encoded"),
        (f"postal://?key=k&api_url=https://p.example&webhook_key={SENDGRID_KEY}", "percent-encoded"),
    ],
)
def test_what_an_account_needs_is_said(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        SCHEMES["email"][text.partition(":")[0]].settings_from_url(text)


def test_two_keys_may_be_in_one_file(tmp_path):
    kind = SCHEMES["email"]["mailjet"]
    file = tmp_path / "key"
    for text, sentence in (("half", "two parts"), ("", "two parts")):
        file.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            kind.make("account", kind.settings_from_url(f"mailjet://?key_file={file}"))
    file.write_text("public:secret\n")
    kind.make("account", kind.settings_from_url(f"mailjet://?key_file={file}"))
