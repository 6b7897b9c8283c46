"""Tracking events of email services: only signed ones, once, in any order, and also before the send is recorded."""

import hmac
import json
import time
import uuid
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.management import call_command
from django.db.models.functions import Now
from rest_framework.test import APIClient

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.feedback.tracking_events import settle_due
from apps.notifications.models import Callback, DeadLetter, Event, ProviderEvent, Suppression, from_now
from apps.notifications.routing.accounts import SCHEMES, close_all
from notifier.http.parsing import BoundedJSONParser
from tests.conftest import post, settled, timeline, wait_until
from tests.notifications.channels.email.test_anymail_provider import TAKEN
from tests.support.email_services import SECRETS, Service, shown_key, url_of
from tests.support.event_bodies import BODIES, KINDS
from tests.support.routes import refused, stored
from tests.support.webhook_receiver import Receiver

SERVICES = tuple(dict.fromkeys(kind.name for kind in SCHEMES["email"].values() if kind.events is not None))
MESSAGE_ID = "<id-of-the-service@mg.test>"
STATUSES = {"delivered": "delivered", "hard": "bounced", "policy": "bounced"}
"""The status that an event of this kind gives a sent delivery; other kinds leave it sent."""
NOTES = {
    "delivered": "delivered", "hard": "bounced", "policy": "bounced", "soft": "soft_bounce",
    "delayed": "delayed", "complained": "complained", "opened": "opened", "clicked": "clicked",
}  # fmt: skip
UNTOLD = {("mailgun", "soft"): "delayed", ("postal", "soft"): "delayed", ("sendgrid", "soft"): "bounced"}
"""Mailgun and Postal retry after a soft bounce, and report that; after SendGrid's block nothing follows."""
UNREPORTED = {("mailersend", "delayed"), ("postal", "complained")}
SUPPRESSING = {"hard": "bounced", "complained": "complaint"}


def returns_metadata(name):
    url = url_of(name)
    return SCHEMES["email"][url.partition(":")[0]].settings_from_url(url).service.returns_metadata


@pytest.fixture
def accounts(settings):
    settings.EMAIL_PROVIDER_URL = " ".join(url_of(name, name=name) for name in SERVICES)
    close_all()


@pytest.fixture
def row(api, user, version, accounts, unpublished):
    """An email that a service accepted."""
    post(api, user, channels=["email"])
    EmailLog.objects.update(
        status="sent", sent_at=Now(), provider_message_id=MESSAGE_ID, provider="mailgun", attempts=1
    )
    return EmailLog.objects.get()


@pytest.fixture
def service():
    return lambda name, **fields: Service(name, APIClient(raise_request_exception=False), **fields)


def notes(row):
    return [kind for kind, _ in timeline(row.notification_id)][1:]


def taken(answer, count=1):
    assert answer.status_code == 200, answer.content
    assert answer.json()["data"] == {"taken": count}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in SERVICES for kind in KINDS if (name, kind) not in UNREPORTED],
)
def test_every_service_is_understood_and_the_second_time_changes_nothing(name, kind, row, service):
    EmailLog.objects.update(provider=name)
    teller = service(name)
    taken(teller.tell(kind, message_id=MESSAGE_ID))
    row.refresh_from_db()
    note = UNTOLD.get((name, kind), NOTES[kind])
    assert row.status == (note if note in ("delivered", "bounced") else "sent")
    assert notes(row) == [note]
    found = list(Suppression.objects.active().values_list("reason", "recipient_hash"))
    assert found == ([(SUPPRESSING[kind], row.recipient_hash)] if kind in SUPPRESSING else [])

    before = stored()
    taken(teller.tell(kind, message_id=MESSAGE_ID), 0)
    assert stored() == before


@pytest.mark.parametrize("name", [name for name in SERVICES if returns_metadata(name)])
def test_the_delivery_is_found_by_what_was_sent_along(name, row, service):
    taken(service(name).tell("delivered", delivery_id=row.pk, message_id="of another kind"))
    row.refresh_from_db()
    assert row.status == "delivered"


def test_another_accounts_message_id_is_not_ours(row, service):
    taken(service("postmark").tell("delivered", message_id=MESSAGE_ID))
    row.refresh_from_db()
    assert row.status == "sent"


OTHERS = {
    "postmark": "postmark:of-somebody-else", "brevo": "brevo:of-somebody-else",
    "sparkpost": "sparkpost:of-somebody-else", "mailersend": "key-of-somebody-else",
    "resend": "whsec_bm90IHRoZWlyIGtleSBhdCBhbGw=", "mailgun": "", "mailjet": "mailjet:of-somebody-else",
    "mailtrap": "key-of-somebody-else", "mandrill": "key-of-somebody-else", "unisender_go": "key-of-somebody-else",
    "sendgrid": shown_key(ec.generate_private_key(ec.SECP256R1())),
    "postal": shown_key(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
}  # fmt: skip
WRONG = {
    "with another secret": lambda teller, body: Service(
        teller.name, teller.client, secret=OTHERS[teller.name]
    ).send(body),
    "with nothing": lambda teller, body: teller.client.post(
        f"/api/v1/providers/{teller.account}/events/", body, format="json"
    ),
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("name", SERVICES)
def test_what_is_not_signed_is_not_applied(name, how, row, service):
    teller = service(name)
    body = BODIES[name]("hard", {"delivery_id": str(row.pk)}, MESSAGE_ID, 1)
    if name == "mailgun":
        # Its signature is in the body.
        signature = body["signature"]
        signature["signature"] = "" if how == "with nothing" else signature["signature"][::-1]
    before = stored()
    refused(WRONG[how](teller, body), 403, "unverified")
    assert stored() == before


def test_a_changed_body_is_not_the_signed_one(row, service):
    for name in ("resend", "mailersend", "mailtrap", "sendgrid", "postal"):
        teller = service(name)
        raw = b'{"type": "email.delivered", "data": {"email_id": "x"}}'
        headers = teller.headers(raw, "1")
        refused(teller.send(raw.replace(b'"x"', b'"y"'), **headers), 403, "unverified")
    assert not ProviderEvent.objects.exists()


def test_mailguns_signature_is_good_for_one_body(row, service):
    teller = service("mailgun")
    body = BODIES["mailgun"]("opened", {"delivery_id": str(row.pk)}, MESSAGE_ID, 1)
    taken(teller.send(body))
    body["event-data"]["event"] = "complained"
    taken(teller.send(body), 0)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("name", ["mailgun", "resend", "sendgrid"])
def test_a_signature_found_in_an_old_log_is_refused(name, row, service, monkeypatch):
    now = time.time()
    for module in ("email_services", "event_bodies"):
        monkeypatch.setattr(f"tests.support.{module}.time.time", lambda: now - 3 * 24 * 3600)
    teller = service(name)
    old = BODIES[name]("delivered", {"delivery_id": str(row.pk)}, MESSAGE_ID, 1)
    headers = teller.headers(json.dumps(old).encode(), "1")
    monkeypatch.undo()
    refused(teller.send(old, **headers), 403, "unverified")


GARBAGE = {
    b"": "malformed_json", b"{": "malformed_json", b'{"a": NaN}': "malformed_json",
    b"[" * 100_000: "malformed_json", b'{"a": "x\\u0000y"}': "validation_error",
    b'"x"': "unverified", b"[]": "unverified", b"{}": "unverified", b"null": "unverified",
    b'{"signature": []}': "unverified",
    '{"signature": {"token": "é", "timestamp": "é", "signature": "é"}}'.encode(): "unverified",
    b'{"signature": {"token": [], "timestamp": {}, "signature": 1}}': "unverified",
}  # fmt: skip


@pytest.mark.parametrize("name", ["mailgun", "resend", "postmark", "mailersend"])
def test_garbage_without_a_signature_is_refused(name, row, service):
    teller = service(name, secret="nobody:knows-this-one" if name == "postmark" else "key-of-nobody")
    teller.headers = lambda raw, number: {"Signature": "é", "svix-id": "é", "svix-timestamp": "1e9"}
    before = stored()
    for raw in GARBAGE:
        refused(teller.send(raw), 403, "unverified")
    answer = teller.send(b'{"a": "' + b"x" * (4 * 1024 * 1024) + b'"}')
    refused(answer, 413, "payload_too_large")
    answer = teller.client.generic(
        "POST", "/api/v1/providers/mailgun/events/", b"a=b", content_type="text/plain"
    )
    refused(answer, 415, "unsupported_media_type")
    assert stored() == before


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "mailgun"])
def test_nothing_is_parsed_before_it_is_verified(name, row, service, monkeypatch):
    forger = service(name, secret=OTHERS[name])
    monkeypatch.setattr(BoundedJSONParser, "parse", lambda *_: pytest.fail("parsed"))
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    answer = forger.send(b"[" + b'{"a":1},' * 150_000 + b"{}]")
    assert answer.status_code == 403


def test_where_the_signature_is_inside_the_body_is_small(row, service):
    answer = service("mailgun").send(b'{"a": "' + b"x" * (256 * 1024) + b'"}')
    refused(answer, 413, "payload_too_large")


@pytest.mark.parametrize("stamp", ["9" * 400, "-" + "9" * 400, "1e400", "nan", "inf", ""])
def test_an_odd_time_is_no_server_error(stamp, row, service):
    teller = service("resend")
    headers = teller.headers
    teller.headers = lambda raw, number: {**headers(raw, number), "svix-timestamp": stamp}
    refused(teller.tell("delivered", delivery_id=row.pk), 403, "unverified")


def test_an_unknown_kind_is_taken_and_ignored(row, service):
    taken(service("postmark").tell("Nonsense", delivery_id=row.pk), 0)
    taken(service("resend").tell("scheduled", delivery_id=row.pk), 0)
    assert notes(row) == []


def test_inbound_mail_is_refused(row, service):
    refused(service("postmark").send({"RecordType": "Inbound"}), 400, "wrong_event")


def reported(row, name):
    EmailLog.objects.update(provider=name)
    return str(row.provider_message_id)


FIELD = {
    "postmark, metadata null": (
        "postmark",
        {"RecordType": "Bounce", "Type": "HardBounce", "MessageID": MESSAGE_ID, "Metadata": None, "ID": 7,
         "Details": "smtp;550 5.1.1 no such user", "Tag": None, "BouncedAt": None},
        "bounced", True,
    ),
    "brevo, 5.5.0": (
        "brevo",
        {"event": "hard_bounce", "message-id": MESSAGE_ID, "reason": "550 5.5.0 mailbox unavailable"},
        "bounced", True,
    ),
    "postmark, a filter's word": (
        "postmark",
        {"RecordType": "Bounce", "Type": "SpamNotification", "MessageID": MESSAGE_ID, "ID": 8,
         "Details": "smtp;554 5.7.1 spam"},
        "bounced", False,
    ),
    "brevo, another sender's header": (
        "brevo", {"event": "delivered", "message-id": MESSAGE_ID, "X-Mailin-custom": "of:another|one"},
        "delivered", False,
    ),
    "sparkpost, a class in digits": (
        "sparkpost",
        [{"msys": {"message_event": {"type": "bounce", "event_id": "e8", "transmission_id": MESSAGE_ID,
          "bounce_class": 10, "raw_reason": "550 5.1.1 no such user"}}}],
        "bounced", True,
    ),
    "sparkpost, beside mail that came in": (
        "sparkpost",
        [{"msys": {"relay_message": {}}}, {"msys": {"message_event": {"type": "delivery", "event_id": "e7",
          "transmission_id": MESSAGE_ID}}}],
        "delivered", False,
    ),
    "brevo, 5.5.0 for a policy": (
        "brevo",
        {"event": "hard_bounce", "message-id": MESSAGE_ID, "reason": "550 5.5.0 blocked by policy"},
        "bounced", False,
    ),
    "brevo, a time as text": (
        "brevo",
        {"event": "delivered", "message-id": MESSAGE_ID, "ts_epoch": "yesterday", "tags": None},
        "delivered", False,
    ),
    "mailersend, flat": (
        "mailersend",
        {"type": "activity.hard_bounced", "created_at": "2026-11-24T10:00:00.000000Z",
         "data": {"id": "a1", "message_id": MESSAGE_ID, "type": "hard_bounced", "email": "kim@example.com",
                  "tags": [], "meta": []}},
        "bounced", True,
    ),
    "mailersend, flat without a type of its own": (
        "mailersend",
        {"type": "activity.delivered", "data": {"id": "a2", "message_id": MESSAGE_ID, "email": "kim@example.com"}},
        "delivered", False,
    ),
    "mailersend, nulls": (
        "mailersend",
        {"type": "activity.delivered", "data": {"id": "a3", "type": "delivered", "morph": None,
         "email": {"tags": None, "message": {"id": MESSAGE_ID}, "recipient": None}}},
        "delivered", False,
    ),
    "resend, failed": (
        "resend",
        {"type": "email.failed", "created_at": "2026-11-24T10:00:00.000Z",
         "data": {"email_id": MESSAGE_ID, "to": ["kim@example.com"], "failed": {"reason": "reached_daily_quota"}}},
        "bounced", False,
    ),
    "resend, headers null": (
        "resend",
        {"type": "email.delivered", "created_at": None,
         "data": {"email_id": MESSAGE_ID, "headers": None, "to": None}},
        "delivered", False,
    ),
    "mailgun, nulls": ("mailgun", None, "bounced", True),
    "sparkpost, nulls": (
        "sparkpost",
        [{"msys": {}}, {"msys": {"message_event": {"type": "delivery", "event_id": "e9", "timestamp": None,
          "transmission_id": MESSAGE_ID, "rcpt_meta": None, "campaign_id": None}}}],
        "delivered", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FIELD)
def test_what_services_really_send(form, row, service):
    name, body, status, suppressed = FIELD[form]
    reported(row, name)
    if name == "mailgun":
        body = BODIES["mailgun"]("hard", {}, MESSAGE_ID, 1)
        body["event-data"] |= {"client-info": None, "user-variables": None, "timestamp": "soon", "tags": None}
    taken(service(name).send(body))
    row.refresh_from_db()
    assert (row.status, Suppression.objects.active().exists()) == (status, suppressed)


def test_a_batch_of_brevo_is_taken_one_by_one(row, service):
    reported(row, "brevo")
    batch = [
        {"event": "hard_bounce", "message-id": MESSAGE_ID, "reason": "550 5.1.1 nobody"},
        {"event": "delivered", "message-id": "<another@relay.example>"},
    ]
    taken(service("brevo").send(batch), 2)
    row.refresh_from_db()
    assert row.status == "bounced"
    taken(service("brevo").send(batch), 0)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "email_single.verified", "data": {"object": "email_verification", "id": "e1"}},
        {"type": "sender_identity.verified", "data": None},
        {"type": "webhook.test", "message": "a ping", "created_at": "2026-11-24T10:00:00.000000Z"},
        {"type": "activity.survey_opened", "data": {"id": "s1", "type": "survey_opened"}},
    ],
)
def test_what_mailersend_reports_of_the_account_is_accepted_and_ignored(body, row, service):
    taken(service("mailersend").send(body), 0)
    taken(service("resend").send({"type": "domain.created", "data": {"id": "d1"}}), 0)
    assert notes(row) == []


@pytest.mark.parametrize("configured", [True, False])
def test_mailersend_s_test_request_is_answered(configured, row, service, settings):
    """It is signed with a public key, before the webhook has one of its own."""
    if not configured:
        settings.EMAIL_PROVIDER_URL = "mailersend://?key=k&name=mailersend"
        close_all()
    teller = service("mailersend", secret="test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G")
    taken(teller.send({"type": "webhook.test", "message": "a ping"}), 0)
    answer = teller.tell("hard", message_id=MESSAGE_ID)
    assert answer.status_code == (403 if configured else 404)
    answer = service("mailersend", secret="another").send({"type": "webhook.test"})
    assert answer.status_code == (403 if configured else 404)


def test_one_signature_of_mailgun_is_of_one_time_and_token(row, service):
    """They are signed as one text, so that a part of the token could pass for a part of the time."""
    now, token = str(int(time.time())), "e0" + "a" * 48
    signature = hmac.new(SECRETS["mailgun"].encode(), f"{now}{token}".encode(), "sha256").hexdigest()
    body = BODIES["mailgun"]("hard", {}, MESSAGE_ID, 1)
    body["signature"] = {"timestamp": f"{now}e0", "token": token.removeprefix("e0"), "signature": signature}
    refused(service("mailgun").send(body), 403, "unverified")


def test_a_ping_is_nothing_but_a_ping(row, service):
    teller = service("mailersend", secret="test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G")
    refused(teller.send(b"[" * 4000), 403, "unverified")
    refused(teller.send(b"[]"), 403, "unverified")


def mailgun_form(**fields):
    now = str(int(time.time()))
    signed = hmac.new(SECRETS["mailgun"].encode(), f"{now}{'t' * 50}".encode(), "sha256").hexdigest()
    return {"timestamp": now, "token": "t" * 50, "signature": signed, **fields}


@pytest.mark.parametrize("form", ["multipart", "urlencoded"])
def test_mailgun_s_older_hooks_post_forms(form, row, service, client):
    reported(row, "mailgun")
    fields = mailgun_form(
        event="bounced", recipient="kim@example.com", code="550", error="5.1.1 no such user",
        **{"Message-Id": MESSAGE_ID},
    )  # fmt: skip
    path = "/api/v1/providers/mailgun/events/"
    encoded = "application/x-www-form-urlencoded"
    send = {
        "multipart": lambda of: client.post(path, of),
        "urlencoded": lambda of: client.post(path, urlencode(of), content_type=encoded),
    }[form]
    taken(send(fields))
    row.refresh_from_db()
    assert (row.status, Suppression.objects.active().count()) == ("bounced", 1)
    refused(send(fields | {"signature": "0" * 64}), 403, "unverified")
    refused(client.post("/api/v1/providers/postmark/events/", fields), 415)


def test_only_an_account_with_a_secret_takes_events(settings, service, db):
    settings.EMAIL_PROVIDER_URL = "postmark://?key=k&name=pm smtp://127.0.0.1:1/?tls=none&name=relay"
    for account in ("pm", "relay", "postmark", "nobody"):
        refused(service("postmark", account=account).tell("delivered"), 404, "not_found")


@pytest.mark.parametrize(
    ("kinds", "status", "suppressed"),
    [
        (["delivered", "opened"], "delivered", False),
        (["opened", "delivered"], "delivered", False),
        (["delivered", "hard"], "delivered", True),
        (["hard", "delivered"], "bounced", True),
        (["soft", "hard"], "bounced", True),
        (["soft", "delivered"], "delivered", False),
        (["complained", "delivered"], "delivered", True),
    ],
)
def test_whatever_the_order_the_best_status_wins(kinds, status, suppressed, row, service):
    for kind in kinds:
        taken(service("postmark").tell(kind, delivery_id=row.pk))
    row.refresh_from_db()
    assert row.status == status
    assert Suppression.objects.active().exists() is suppressed
    noted = {NOTES[kind] for kind in kinds}
    assert set(notes(row)) == noted - ({"delivered"} if status == "bounced" else set())


def test_a_hundred_opens_are_one_line(row, service):
    for number in range(1, 6):
        taken(service("postmark").tell("opened", delivery_id=row.pk, number=number))
    assert notes(row) == ["opened"]


def test_an_unknown_end_is_known_then(row, service):
    EmailLog.objects.update(status="unknown", sent_at=None)
    DeadLetter.objects.create(
        organization=row.organization, delivery_id=row.pk, channel="email", reason="unknown"
    )
    taken(service("brevo").tell("request", delivery_id=row.pk))
    row.refresh_from_db()
    assert row.status == "sent"
    assert DeadLetter.objects.get().state == "discarded"


def test_the_caller_gets_a_callback(api, row, service):
    api.put("/api/v1/webhook-endpoints/", {"url": "https://example.com/hooks"}, format="json")
    taken(service("postmark").tell("delivered", delivery_id=row.pk))
    assert [callback.type for callback in Callback.objects.all()] == ["delivery.delivered"]


def test_nobody_is_written_to_after_a_complaint(api, user, row, service):
    taken(service("resend").tell("complained", delivery_id=row.pk))
    answer = post(api, user, channels=["email"], request_id="next").json()["data"]
    assert answer["status"] == "skipped"


def early():
    ProviderEvent.objects.exclude(due_at=None).update(due_at=Now())
    return settle_due()


@pytest.mark.parametrize("kind", ["delivered", "hard", "complained"])
def test_what_comes_before_the_send_is_recorded_waits_for_it(kind, row, service):
    EmailLog.objects.update(status="sending", provider_message_id="", provider="")
    teller = service("mailgun")
    taken(teller.tell(kind, message_id=MESSAGE_ID))
    taken(teller.tell(kind, message_id=MESSAGE_ID), 0)
    taken(service("postmark").tell("opened", delivery_id=row.pk))
    assert early() == 0
    assert notes(row) == []

    EmailLog.objects.update(status="sent", provider_message_id=MESSAGE_ID, provider="mailgun")
    assert early() == 2
    row.refresh_from_db()
    assert row.status == STATUSES.get(kind, "sent")
    assert set(notes(row)) == {NOTES[kind], "opened"}
    assert early() == 0


def test_what_nobody_claims_is_looked_at_ever_less_and_given_up(row, service):
    taken(service("mailgun").tell("delivered", message_id="of-somebody-else", delivery_id=uuid.uuid4()))
    assert settle_due() == 0
    event = ProviderEvent.objects.annotate(now=Now()).get()
    assert 0 < (event.due_at - event.now).total_seconds() < 2
    ProviderEvent.objects.update(created_at=from_now(-4 * 24 * 3600))
    early()
    assert ProviderEvent.objects.get().due_at is None


def test_old_events_are_purged_and_waiting_ones_kept(row, service):
    taken(service("postmark").tell("delivered", delivery_id=row.pk))
    taken(service("postmark").tell("opened", delivery_id=uuid.uuid4()))
    ProviderEvent.objects.update(created_at=from_now(-100 * 24 * 3600))
    call_command("purge", "--json")
    assert [event.kind for event in ProviderEvent.objects.all()] == ["opened"]


def test_one_that_cant_be_applied_keeps_no_other(row, service, monkeypatch):
    EmailLog.objects.update(status="sending")
    for number in (1, 2):
        taken(service("postmark").tell("opened", delivery_id=row.pk, number=number))
    EmailLog.objects.update(status="sent")
    ProviderEvent.objects.filter(pk=ProviderEvent.objects.earliest("id").pk).update(kind="nonsense")
    assert early() == 1
    assert notes(row) == ["opened"]


def test_a_burst_is_not_refused_and_forgeries_are(row, service, settings):
    settings.RATE_LIMIT_ADDRESS = 5
    for number in range(1, 20):
        taken(service("postmark").tell("opened", delivery_id=row.pk, number=number))
    forger = service("postmark", secret="postmark:of-somebody-else")
    answers = [forger.tell("hard", delivery_id=row.pk).status_code for _ in range(7)]
    assert answers == [403] * 5 + [429] * 2
    # From the same address, too: behind a proxy that isn't counted everybody has it.
    taken(service("postmark").tell("delivered", delivery_id=row.pk))


@pytest.mark.usefixtures("worker", "version")
def test_from_the_send_to_what_became_of_it(api, user, settings, service):
    with Receiver() as receiver:
        receiver.always = TAKEN["mailgun"]
        settings.EMAIL_PROVIDER_URL = url_of("mailgun", api_url=receiver.url, name="mg")
        close_all()
        post(api, user, channels=["email"])
        (row,) = settled("sent")
        sent_along = str(receiver.calls[0].body)
        close_all()
    assert SECRETS["mailgun"] not in sent_along
    assert str(row.pk) in sent_along
    taken(service("mailgun", account="mg").tell("delivered", delivery_id=row.pk))
    wait_until(lambda: EmailLog.objects.get().status == "delivered")
    assert Event.objects.filter(kind="delivered").get().data["source"] == "receipt"


@pytest.mark.parametrize(
    "text",
    [
        "postmark://?key=k&webhook_secret=hunter2hunter2hunter2",
        "postmark://?key=k&webhook_secret=me:hunter2",
        "postmark://?key=k&webhook_secret=",
        "mailgun://?key=k&webhook_key=hunter2",
        "resend://?key=k&webhook_key=whsec_hunter2hunter2***",
        "resend://?key=k&webhook_key=whsec_hunter2+hunter2hunter2",
        "sendgrid://?key=k&webhook_key=hunter2hunter2hunter2hunter2",
        f"sendgrid://?key=k&webhook_key={quote(SECRETS['postal'], safe='')}",
        f"postal://?key=k&api_url=https://p.example&webhook_key={quote(SECRETS['sendgrid'], safe='')}",
    ],
)
def test_a_secret_that_verifies_nothing_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="percent-encoded") as caught:
        SCHEMES["email"][text.partition(":")[0]].settings_from_url(text)
    assert "hunter2" not in str(caught.value)


def test_each_service_has_its_own_option():
    with pytest.raises(ValueError, match="no options but .*, webhook_secret"):
        SCHEMES["email"]["postmark"].settings_from_url("postmark://?key=k&webhook_key=0123456789abcdef")
