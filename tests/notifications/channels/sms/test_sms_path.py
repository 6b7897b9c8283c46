"""A text from the request to the phone, and what the phone and its network say afterwards, through the door."""

import json
import time
from base64 import b64encode

import pytest
from rest_framework.test import APIClient

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.sms.log import SmsLog
from apps.notifications.models import DeadLetter, Notification, Suppression, UnreadEvent
from apps.notifications.operations.erasure import known_by
from apps.notifications.routing import accounts
from apps.users.models import User
from notifier.lib.http.standard_webhooks import key_of, signature
from tests.conftest import client_for, deliver, post, settled, timeline
from tests.support.factories import PUSH_EN, SMS_EN, UserFactory, template_with
from tests.support.routes import refused, stored
from tests.support.twilio import PUBLIC_URL, Twilio, error, report
from tests.support.webhook_receiver import Receiver, Say

NUMBER = "+14155550123"
SECRET = "whsec_" + b64encode(b"0123456789abcdefghijk").decode()
BROWSER = APIClient()


@pytest.fixture
def sms(organization):
    return template_with(organization, SMS_EN)


@pytest.fixture
def phone(user):
    User.objects.filter(pk=user.pk).update(phone=NUMBER)
    user.refresh_from_db()
    return user


@pytest.fixture
def twilio(settings):
    with Twilio() as stand_in:
        settings.SMS_PROVIDER_URL, settings.PUBLIC_URL = stand_in.url, PUBLIC_URL
        accounts.close_all()
        yield stand_in
        accounts.close_all()


@pytest.fixture
def sent(api, phone, sms, twilio, worker):
    """The row of a text that Twilio has taken."""
    assert post(api, phone).status_code == 202
    (row,) = settled("sent")
    return row


def status(row, word, **fields):
    return report(BROWSER, {"MessageSid": row.provider_message_id, "MessageStatus": word, **fields})


def test_a_text_arrives(api, phone, sms, twilio, worker):
    answer = post(api, phone, variables={"name": "Ada & co"})
    assert answer.status_code == 202, answer.json()
    (row,) = settled("sent")
    assert isinstance(row, SmsLog)
    assert (row.phone, row.provider, row.provider_message_id) == (NUMBER, "twilio", twilio_sid(1))
    (text,) = twilio.texts
    assert (text["To"], text["Body"]) == (NUMBER, "Hello Ada & co")
    assert timeline(answer.json()["data"]["id"]) == [("accepted", ""), ("sent", "")]
    (shown,) = api.get(answer["Location"]).json()["data"]["deliveries"]
    assert (shown["channel"], shown["status"], shown["recipient"]) == ("sms", "sent", "+14***23")


def twilio_sid(number):
    return f"SM{number:032x}"


def test_a_bare_number_in_any_spelling_is_its_persons(api, phone, sms, twilio, worker):
    body = {"recipient": {"phone": "+1 (415) 555-0123"}}
    assert post(api, **body).status_code == 202
    settled("sent")
    assert twilio.texts[0]["To"] == NUMBER
    api.patch(f"/api/v1/users/{phone.pk}/preferences/", {"sms": False})
    (shown,) = post(api, **body).json()["data"]["deliveries"]
    assert (shown["status"], shown["reason"]) == ("skipped", "opted_out")


def test_of_several_people_with_a_number_the_first_counts(api, phone, sms, organization):
    later = UserFactory(organization=organization, phone=NUMBER)
    api.patch(f"/api/v1/users/{later.pk}/preferences/", {"sms": False})
    (shown,) = post(api, recipient={"phone": NUMBER}).json()["data"]["deliveries"]
    assert shown["status"] == "queued"
    (shown,) = post(api, user=later).json()["data"]["deliveries"]
    assert shown["reason"] == "opted_out"


def test_who_has_no_number_gets_nothing_and_it_says_so(api, user, sms):
    (shown,) = post(api, user).json()["data"]["deliveries"]
    assert (shown["status"], shown["reason"]) == ("skipped", "no_contact")


@pytest.mark.parametrize("number", ["0612345678", "+1415555", "+14155550123 ext 5", "", " ", 14155550123])
def test_what_is_no_number_is_a_400_that_names_the_field(api, sms, number):
    body = refused(post(api, recipient={"phone": number}), 400)
    assert [one["field"] for one in body["errors"]] == ["recipient.phone"]


def test_without_any_address_the_answer_names_them(api, sms):
    body = refused(post(api, recipient={}), 400)
    assert body["errors"][0]["detail"] == "Give at least one of email, device_token, phone."


def test_a_dry_run_counts_segments(api, phone, sms):
    answer = api.post(
        "/api/v1/notifications/?dry_run=true",
        {"user_id": str(phone.pk), "template_code": "hello", "variables": {"name": "ê" * 70}},
    )
    rendered = answer.json()["data"]["rendered"]["sms"]
    assert rendered == {"language": "en", "text": "Hello " + "ê" * 70, "segments": 2, "encoding": "UCS-2"}


def test_what_is_longer_than_a_text_can_be_is_a_400(api, phone, sms):
    body = refused(post(api, phone, variables={"name": "a" * 1525}), 400)
    assert "this has 11 (GSM-7)" in body["errors"][0]["detail"]


def test_a_content_has_the_parts_of_its_channel(api, organization):
    contents = [{"channel": "sms", "language": "en", "text": "x", "subject": "y"}]
    body = refused(api.post("/api/v1/templates/", {"code": "t", "name": "t", "contents": contents}), 400)
    assert body["errors"][0]["detail"] == "Content for sms has only the fields text."
    body = refused(
        api.post(
            "/api/v1/templates/",
            {"code": "t", "name": "t", "contents": [{"channel": "sms", "language": "en"}]},
        ),
        400,
    )
    assert body["errors"][0]["detail"] == "SMS content needs a text."


def test_a_person_s_number_is_kept_in_one_spelling(api, user):
    answer = api.patch(f"/api/v1/users/{user.pk}/", {"phone": "+33 6 12 34 56 78"})
    assert answer.json()["data"]["phone"] == "+33612345678"
    assert User.objects.get(pk=user.pk).phone == "+33612345678"
    refused(api.patch(f"/api/v1/users/{user.pk}/", {"phone": "06 12 34 56 78"}), 400)
    assert api.patch(f"/api/v1/users/{user.pk}/", {"phone": ""}).json()["data"]["phone"] == ""


def test_a_refused_number_is_suppressed(api, phone, sms, twilio, worker):
    twilio.refuse[NUMBER] = error(400, 21614, "'To' number is not a valid mobile number")
    post(api, phone)
    (row,) = settled("failed")
    assert row.error_code == "not_mobile"
    assert DeadLetter.objects.get().channel == "sms"
    row = Suppression.objects.get()
    assert (row.channel, row.recipient, row.masked_recipient) == ("sms", NUMBER, "+14***23")
    (shown,) = post(api, phone).json()["data"]["deliveries"]
    assert shown["reason"] == "suppressed"


# --- What is reported later -----------------------------------------------------------------------------------


def test_a_delivery_is_reported(sent):
    assert status(sent, "sending").json()["data"] == {"taken": 0}
    assert status(sent, "delivered").json()["data"] == {"taken": 1}
    sent.refresh_from_db()
    assert sent.status == "delivered"
    assert status(sent, "delivered").json()["data"] == {"taken": 0}


GONE = {"30005": True, "30006": True, "30003": False, "30007": False, "": False}


@pytest.mark.parametrize(("code", "gone"), GONE.items())
def test_a_failure_is_reported_and_a_dead_number_suppressed(code, gone, sent):
    status(sent, "undelivered", ErrorCode=code)
    sent.refresh_from_db()
    assert sent.status == "bounced"
    assert Suppression.objects.active().exists() == gone


def test_an_unknown_status_is_kept_for_the_operators(sent):
    refused(status(sent, "teleported"), 503)
    assert "teleported" in UnreadEvent.objects.get().error


@pytest.mark.parametrize("wrong", [{"token": "another"}, {"public": "https://elsewhere.example.com"}])
def test_what_twilio_did_not_sign_is_refused(wrong, sent):
    fields = {"MessageSid": sent.provider_message_id, "MessageStatus": "delivered"}
    refused(report(BROWSER, fields, **wrong), 403)
    path = "/api/v1/providers/twilio/events/"
    refused(
        BROWSER.post(path, "MessageStatus=delivered", content_type="application/x-www-form-urlencoded"), 403
    )
    sent.refresh_from_db()
    assert sent.status == "sent"


def reply(text, sid="SM-in-1", **fields):
    return report(BROWSER, {"MessageSid": sid, "From": NUMBER, "To": "+15005550006", "Body": text, **fields})


def test_who_answers_stop_gets_no_more_until_start(api, phone, sent):
    assert reply("Stop.").json()["data"] == {"taken": 1}
    row = Suppression.objects.active().get()
    assert (row.channel, row.reason, row.recipient) == ("sms", "refused_by_reply", NUMBER)
    (shown,) = post(api, phone).json()["data"]["deliveries"]
    assert (shown["status"], shown["reason"]) == ("skipped", "suppressed")
    assert ("replied", "") in timeline(str(sent.notification_id))
    reply("START", "SM-in-2")
    assert not Suppression.objects.active().exists()
    assert post(api, phone).json()["data"]["deliveries"][0]["status"] == "queued"


def test_what_twilio_itself_takes_for_a_refusal_is_one(sent):
    reply("Basta", OptOutType="STOP")
    assert Suppression.objects.active().exists()


def test_other_answers_are_nothing_to_us(sent):
    assert reply("Thanks, what time do you close?").json()["data"] == {"taken": 0}
    assert not Suppression.objects.exists()


# --- Any gateway ----------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(settings):
    with Receiver(keeps=True) as receiver:
        receiver.always = Say(202, (), b'{"id": "gw-1"}')
        settings.SMS_PROVIDER_URL = f"{receiver.url.partition('?')[0]}?name=own&secret={SECRET}"
        accounts.close_all()
        yield receiver
        accounts.close_all()


def gateway_says(event, *, secret=SECRET, message_id="msg-1"):
    body, now = json.dumps(event).encode(), int(time.time())
    signed = signature(key_of(secret), message_id=message_id, timestamp=now, body=body)
    return BROWSER.post(
        "/api/v1/providers/own/events/",
        body,
        content_type="application/json",
        headers={"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": signed},
    )


def test_a_gateway_of_ones_own(api, phone, sms, gateway, worker):
    post(api, phone)
    (row,) = settled("sent")
    assert (row.provider, row.provider_message_id) == ("own", "gw-1")
    event = gateway.calls[0].verified(SECRET)
    assert (event["data"]["id"], event["data"]["to"], event["data"]["text"]) == (
        str(row.pk),
        NUMBER,
        "Hello Ada",
    )

    report_of_it = {"id": event["data"]["id"], "status": "delivered"}
    refused(gateway_says(report_of_it, secret="whsec_" + b64encode(b"z" * 21).decode()), 403)
    assert gateway_says(report_of_it).json()["data"] == {"taken": 1}
    row.refresh_from_db()
    assert row.status == "delivered"
    assert gateway_says(report_of_it).json()["data"] == {"taken": 0}

    report_of_it = [{"from": "+1 415 555 0123", "text": "stop"}, {"from": NUMBER, "text": "hello?"}]
    assert gateway_says(report_of_it, message_id="msg-2").json()["data"] == {"taken": 1}
    assert Suppression.objects.active().get().reason == "refused_by_reply"


def test_a_gateway_s_permanent_failure_suppresses(api, phone, sms, gateway, worker):
    post(api, phone)
    (row,) = settled("sent")
    gateway_says({"id": str(row.pk), "status": "failed", "permanent": True, "detail": "absent subscriber"})
    row.refresh_from_db()
    assert row.status == "bounced"
    assert Suppression.objects.active().get().detail == "absent subscriber"


@pytest.mark.parametrize(
    "event", [{}, {"id": "x", "status": "delivered"}, {"id": 7}, {"status": "lost"}, 7, None]
)
def test_a_shape_that_nobody_knows_is_kept(event, gateway, db):
    refused(gateway_says(event), 503)
    assert UnreadEvent.objects.count() == 1


# --- Beside the other channels --------------------------------------------------------------------------------


def test_a_template_of_three_channels_reaches_a_person_by_each(
    api, phone, organization, twilio, smtp, fcm, worker
):
    template_with(organization, SMS_EN, PUSH_EN, {**SMS_EN, "channel": "email", "subject": "Hi"}, code="all")
    answer = post(api, phone, template_code="all")
    assert [row["channel"] for row in answer.json()["data"]["deliveries"]] == ["email", "push", "sms"]
    assert len(settled("sent")) == 3
    assert (len(twilio.texts), len(fcm.messages)) == (1, 1)


def test_the_preference_page_has_it(phone, settings):
    from apps.users.preferences import links

    settings.PUBLIC_URL = "https://notify.example.com"
    page = links.page_for(phone.pk, None).removeprefix("https://notify.example.com")
    assert "Text message" in BROWSER.get(page).content.decode()


SANDBOX = {"+15005550101": "delivered", "+15005550102": "bounced", "+15005550104": "failed"}


@pytest.mark.parametrize(("number", "ends"), SANDBOX.items())
def test_numbers_of_the_sandbox(number, ends, organization, sms, worker):
    post(client_for(organization, live=False), recipient={"phone": number})
    settled(ends)


# --- Whom a number belongs to ---------------------------------------------------------------------------------


def test_a_person_who_is_found_first_later_still_refuses(
    api, phone, sms, organization, twilio, unpublished, transactional_db
):
    """A row that waits is decided again, by who has the number now."""
    other = UserFactory(organization=organization, phone=NUMBER)
    later, earlier = sorted((phone, other), key=lambda person: person.pk, reverse=True)
    for person in (later, earlier):
        User.objects.filter(pk=person.pk).update(phone="" if person == earlier else NUMBER)
    post(api, recipient={"phone": NUMBER})
    User.objects.filter(pk=earlier.pk).update(phone=NUMBER)
    api.patch(f"/api/v1/users/{earlier.pk}/preferences/", {"sms": False})
    row = SmsLog.objects.get()
    deliver("sms", [str(row.pk)])
    row.refresh_from_db()
    assert (row.status, row.reason) == ("skipped", "opted_out")
    assert twilio.texts == []


def test_erasing_one_of_two_at_a_number_leaves_the_others_messages(
    phone, sms, api, organization, unpublished
):
    other = UserFactory(organization=organization, phone=NUMBER)
    post(api, other)
    (erasure,) = known_by(str(phone.pk))
    list(erasure.run(by="test"))
    row = SmsLog.objects.get()
    assert (row.status, row.phone) == ("queued", NUMBER)
    assert User.objects.get(pk=phone.pk).phone == ""
    assert User.objects.get(pk=other.pk).phone == NUMBER


def test_a_person_is_erased_by_their_number_and_no_log_keeps_it(sent, phone, api):
    api.patch(f"/api/v1/users/{phone.pk}/", {"phone": "+33612345678"})
    api.patch(f"/api/v1/users/{phone.pk}/", {"phone": NUMBER})
    reply("stop")
    refused(report(BROWSER, {"MessageSid": "SM1", "MessageStatus": "odd", "To": NUMBER}), 503)
    (erasure,) = known_by("+1 415 555 0123")
    assert erasure.user == phone
    list(erasure.run(by="test"))
    assert User.objects.get(pk=phone.pk).phone == ""
    kept = json.dumps(stored(), default=str)
    assert NUMBER not in kept
    assert "+33612345678" not in kept
    assert NUMBER.removeprefix("+") not in kept


def test_a_refusal_counts_after_the_purge_too(sent, phone):
    Notification.objects.all().delete()
    reply("STOP")
    assert Suppression.objects.active().get().organization_id == phone.organization_id


def test_start_lifts_what_twilio_knew_of_an_earlier_stop(api, phone, sms, twilio, worker):
    twilio.refuse[NUMBER] = error(400, 21610, "Attempt to send to unsubscribed recipient")
    post(api, phone)
    settled("failed")
    assert Suppression.objects.active().get().reason == "opted_out"
    reply("START")
    assert not Suppression.objects.active().exists()


def test_another_channels_setting_that_cannot_be_read_stops_no_post(sent, settings):
    settings.EMAIL_PROVIDER_URL = "smtp://[broken"
    assert status(sent, "delivered").json()["data"] == {"taken": 1}


def test_a_gateway_s_report_moves_no_other_channels_delivery(api, phone, gateway, version, unpublished):
    post(api, phone, channels=["email"])
    row = DELIVERIES["email"].objects.get()
    DELIVERIES["email"].objects.update(status="sent", provider="smtp")
    gateway_says({"id": str(row.pk), "status": "failed", "permanent": True})
    row.refresh_from_db()
    assert row.status == "sent"
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("body", [b"a&" * 200_000, b"&".join(b"a=1" for _ in range(300))])
def test_a_form_that_is_too_large_to_be_twilios_costs_nothing(body, twilio, db):
    path = "/api/v1/providers/twilio/events/"
    headers = {"x-twilio-signature": "x"}
    refused(BROWSER.post(path, body, content_type="application/x-www-form-urlencoded", headers=headers), 403)


def test_the_page_behind_a_texts_link_is_of_no_emails(api, phone, organization, settings, twilio, worker):
    settings.PUBLIC_URL = PUBLIC_URL
    template_with(organization, {**SMS_EN, "text": "{{ unsubscribe_url }}"}, code="linked")
    post(api, phone, template_code="linked", variables={})
    settled("sent")
    page = BROWSER.get(twilio.texts[0]["Body"].removeprefix(PUBLIC_URL)).content.decode()
    assert "Text message" in page
    assert "Stop these emails" not in page
