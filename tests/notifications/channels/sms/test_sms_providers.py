"""What gateways' answers mean, and what their accounts' URLs say; the suite of all providers has the rest."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.sms.message import SmsMessage
from apps.notifications.channels.sms.providers.twilio.kind import KIND as TWILIO
from apps.notifications.channels.sms.providers.twilio.settings import TwilioSettings
from apps.notifications.channels.sms.providers.webhook.kind import KIND as WEBHOOK
from apps.notifications.channels.sms.providers.webhook.settings import WebhookSettings
from notifier.lib.http.standard_webhooks import is_signed, key_of
from tests.support.twilio import ACCOUNT, SENDER, TOKEN, Twilio, error, says
from tests.support.webhook_receiver import Receiver, Say

SECRET = "whsec_" + b64encode(b"0123456789abcdefghij").decode()
TO = "+14155550199"


def text(body="Hello", **fields):
    return SmsMessage("0192f0c1-0000-7000-8000-000000000001", TO, body, **fields)


def send(kind, url, message=None):
    provider = kind.make("account", kind.settings_from_url(url))
    try:
        return provider.send(message or text(), may_commit=lambda: True)
    finally:
        provider.close()


@pytest.fixture
def twilio():
    with Twilio() as stand_in:
        yield stand_in


@pytest.fixture
def gateway():
    with Receiver() as receiver:
        receiver.always = Say(202, (), b'{"id": "gw-7"}')
        yield receiver


def gateway_url(gateway, rest=""):
    return f"{gateway.url.partition('?')[0]}?secret={SECRET.replace('+', '%2B')}{rest}"


# --- Twilio ---------------------------------------------------------------------------------------------------


def test_twilio_gets_what_it_needs(twilio, settings):
    settings.PUBLIC_URL = "https://notify.example.com"
    outcome = send(
        TWILIO, twilio.url, text("Ünï ✓ & =", expires_at=datetime.now(UTC) + timedelta(seconds=90))
    )
    assert outcome == Outcome(
        Result.SENT, "accepted", "1 segments", provider_message_id="SM" + "0" * 31 + "1"
    )
    (sent,) = twilio.texts
    assert 80 <= int(sent.pop("ValidityPeriod")) <= 90
    assert sent == {
        "From": SENDER,
        "To": TO,
        "Body": "Ünï ✓ & =",
        "StatusCallback": "https://notify.example.com/api/v1/providers/account/events/",
    }


def test_a_validity_is_within_twilios_bounds(twilio):
    for seconds, expected in ((-5, "1"), (10**6, "36000")):
        send(TWILIO, twilio.url, text(expires_at=datetime.now(UTC) + timedelta(seconds=seconds)))
        assert twilio.texts[-1]["ValidityPeriod"] == expected


def test_without_a_public_url_nothing_is_reported(twilio, settings):
    settings.PUBLIC_URL = ""
    send(TWILIO, twilio.url)
    assert "StatusCallback" not in twilio.texts[0]


@pytest.mark.parametrize(
    ("answer", "result", "code", "gone"),
    [
        (error(400, 21211, "Invalid 'To' Phone Number"), Result.PERMANENT, "number_invalid", True),
        (error(400, 21614, "not a mobile number"), Result.PERMANENT, "not_mobile", True),
        (error(400, 21610, "unsubscribed recipient"), Result.PERMANENT, "opted_out", True),
        (error(400, 21408, "Permission to send to the region"), Result.PERMANENT, "refused", False),
        (error(400, 21617, "too long"), Result.PERMANENT, "refused", False),
        (error(400, 21606, "From is not yours"), Result.CONFIGURATION, "sender_invalid", False),
        (error(401, 20003, "Authenticate"), Result.CONFIGURATION, "unauthenticated", False),
        (error(404, 20404, "not found"), Result.CONFIGURATION, "not_found", False),
        (error(429, 20429, "Too Many Requests"), Result.DEFERRED, "throttled", False),
        (error(400, 21611, "queue is full"), Result.DEFERRED, "throttled", False),
        (error(503, 20503, "Service unavailable"), Result.RETRY, "server_error", False),
        (says(302, code=1), Result.CONFIGURATION, "redirected", False),
        (says(201, status="queued"), Result.UNKNOWN, "unreadable_answer", False),
        (says(400, code="21211"), Result.PERMANENT, "refused", False),
        (says(400, code=True), Result.PERMANENT, "refused", False),
    ],
)
def test_what_twilio_answers(answer, result, code, gone, twilio):
    twilio.refuse[TO] = answer
    outcome = send(TWILIO, twilio.url)
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (result, code, gone)


def test_twilio_s_retry_after_is_kept(twilio):
    twilio.refuse[TO] = Say(429, (("Retry-After", "17"),), b"{}")
    assert send(TWILIO, twilio.url).wait == 17


@pytest.mark.parametrize(
    ("sender", "sent"),
    [("%2B15005550006", "+15005550006"), ("+15005550006", "+15005550006"), ("15005550006", "+15005550006"),
     ("55123", "55123"), ("ACME", "ACME")],
)  # fmt: skip
def test_a_sender_in_a_url(sender, sent):
    assert TwilioSettings.from_url(f"twilio://{ACCOUNT}?key=k&from={sender}").sender == sent


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("twilio://?key=k&from=1", "begins with the account's SID"),
        (f"twilio://{ACCOUNT}?from=%2B15005550006", "either key= or key_file="),
        (f"twilio://{ACCOUNT}?key=k", "either from= or messaging_service="),
        (f"twilio://{ACCOUNT}?key=k&from=1&messaging_service=MG{'0' * 32}", "either from= or"),
        (f"twilio://{ACCOUNT}?key=k&messaging_service=MG1", "MG and 32 hex digits"),
        (f"twilio://{ACCOUNT}?key=k&from=a-b", "a number, or a name"),
        (f"twilio://{ACCOUNT}?key=k&from=ACME&timeout=0", "timeout="),
        (f"twilio://{ACCOUNT}?key=k&from=ACME&colour=red", "no options but"),
        (f"twilio://{ACCOUNT}?key=k&from=ACME&api_url=ftp://x", "api_url="),
    ],
)
def test_a_twilio_url_says_what_is_wrong(url, sentence):
    with pytest.raises(ValueError, match=sentence):
        TwilioSettings.from_url(url)


def test_a_key_may_be_in_a_file(twilio, tmp_path):
    file = tmp_path / "key"
    url = twilio.url.replace(f"key={TOKEN}", f"key_file={file}")
    with pytest.raises(OSError, match="key"):
        send(TWILIO, url)
    file.write_text(f"{TOKEN}\n")
    assert send(TWILIO, url).result is Result.SENT


# --- Any gateway ----------------------------------------------------------------------------------------------


def test_a_gateway_gets_signed_json(gateway):
    outcome = send(WEBHOOK, gateway_url(gateway, "&from=ACME&tenant=7"), text("Grüße ✓"))
    assert outcome == Outcome(Result.SENT, "accepted", provider_message_id="gw-7")
    (call,) = gateway.calls
    assert dict(parse_qsl(call.path.partition("?")[2])) == {"tenant": "7"}
    event = call.verified(SECRET)
    assert event["type"] == "sms.send"
    assert event["data"] == {
        "id": text().delivery_id, "to": TO, "from": "ACME", "text": "Grüße ✓", "encoding": "UCS-2", "segments": 1,
        "expires_at": None,
    }  # fmt: skip
    # By it a gateway knows a second attempt.
    assert call.id == text().delivery_id


@pytest.mark.parametrize(
    ("say", "result", "code", "gone"),
    [
        (Say(204), Result.SENT, "accepted", False),
        (Say(200, (), b"OK"), Result.SENT, "accepted", False),
        (Say(422, (), b'{"code": "number_invalid"}'), Result.PERMANENT, "number_invalid", True),
        (Say(400, (), b'{"code": "opted_out"}'), Result.PERMANENT, "opted_out", True),
        (Say(400, (), b'{"code": "of_our_own"}'), Result.PERMANENT, "refused", False),
        (Say(400, (), b"no"), Result.PERMANENT, "refused", False),
        (Say(401), Result.CONFIGURATION, "unauthenticated", False),
        (Say(403), Result.CONFIGURATION, "permission_denied", False),
        (Say(404), Result.CONFIGURATION, "not_found", False),
        (Say(301, (("Location", "/x"),)), Result.CONFIGURATION, "redirected", False),
        (Say(408), Result.DEFERRED, "throttled", False),
        (Say(429), Result.DEFERRED, "throttled", False),
        (Say(500, (), b'{"code": "number_invalid"}'), Result.RETRY, "server_error", False),
        (Say(503), Result.RETRY, "server_error", False),
    ],
)
def test_what_a_gateway_answers(say, result, code, gone, gateway):
    gateway.always = say
    outcome = send(WEBHOOK, gateway_url(gateway))
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (result, code, gone)


def test_without_an_id_of_its_own_the_gateway_s_is_ours(gateway):
    gateway.always = Say(202, (), b'{"id": 7}')
    assert send(WEBHOOK, gateway_url(gateway)).provider_message_id == text().delivery_id


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://gateway.example.com/sms", "either secret= or secret_file="),
        ("https://gateway.example.com/sms?secret=whsec_YWJj", "at least 16 octets"),
        ("https://gateway.example.com/sms?secret=whsec_%%%", "at least 16 octets"),
        (f"https://me:you@gateway.example.com/?secret={SECRET}", "without a user"),
        (f"https:///sms?secret={SECRET}", "https://host/path"),
        (f"https://gateway.example.com:99999/?secret={SECRET}", "can't be read"),
    ],
)
def test_a_gateway_s_url_says_what_is_wrong(url, sentence):
    with pytest.raises(ValueError, match=sentence):
        WebhookSettings.from_url(url)


def test_signatures_are_of_this_key_this_body_and_this_time():
    key = key_of(SECRET)
    now = int(datetime.now(UTC).timestamp())
    from notifier.lib.http.standard_webhooks import signature

    good = {"message_id": "m", "timestamp": str(now), "body": json.dumps({}).encode()}
    signed = signature(key, message_id="m", timestamp=now, body=b"{}")
    assert is_signed(key, signatures=f"v1,other {signed}", **good)
    assert not is_signed(key_of("whsec_" + b64encode(b"x" * 20).decode()), signatures=signed, **good)
    assert not is_signed(key, signatures=signed, **{**good, "message_id": "n"})
    assert not is_signed(key, signatures=signed, **{**good, "body": b"{ }"})
    assert not is_signed(key, signatures=signed, **{**good, "timestamp": str(now + 1)})
    assert not is_signed(key, signatures="", **good)
    old = signature(key, message_id="m", timestamp=now - 301, body=b"{}")
    assert not is_signed(key, signatures=old, **{**good, "timestamp": str(now - 301)})
