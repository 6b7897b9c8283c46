"""Email services' HTTP APIs against a stand-in: by settings alone, through the whole pipeline, and row by row."""

import base64
import json
import socket
import threading
from dataclasses import replace
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser
from urllib.parse import parse_qsl, unquote_plus

import pytest
from anymail.utils import parse_single_address

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.outcome import Result
from apps.notifications.models import ProviderState
from apps.notifications.routing import accounts
from tests.conftest import post, settled, timeline, wait_until
from tests.support.email_services import KEYS, account_url
from tests.support.webhook_receiver import Receiver, Say

KEY = "key-of-the-service"
DELIVERY = "0199e5a4-0000-7000-8000-000000000001"
MESSAGE = EmailMessage(
    message_id=f"<{DELIVERY}@sender.test>",
    sender="Acme <news@sender.test>",
    to="ada@example.com",
    subject="Zażółć",
    html="<p>Hi</p>",
    text="Hi",
    headers={"X-Mark": "1"},
)
JSON = (("Content-Type", "application/json"),)


def resp(status, body="", headers=JSON):
    body = body if isinstance(body, str) else json.dumps(body)
    return Say(status, headers, body.encode())


def mandrill(name):
    return resp(500, {"status": "error", "code": -1, "name": name, "message": "No."})


def postal(code):
    return resp(200, {"status": "error", "data": {"code": code, "message": "No."}})


def ses(error, message="No."):
    return resp(400, {"message": message}, (*JSON, ("x-amzn-errortype", f"{error}:http://errors.example/")))


TAKEN = {
    "postmark": resp(200, {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": "ada@example.com"}),
    "mailgun": resp(200, {"id": "<mg-1@sender.test>", "message": "Queued. Thank you."}),
    "resend": resp(200, {"id": "re-1"}),
}


def kind_of(text):
    return accounts.SCHEMES["email"][text.partition(":")[0]]


@pytest.fixture
def service():
    with Receiver() as receiver:
        yield receiver


def url(scheme, service, **options):
    name = scheme.replace("-", "_")
    key = f"public:{KEY}" if name in KEYS else KEY
    return account_url(name, key, api_url=service.url, **options)


@pytest.fixture
def made():
    providers = []

    def make(text):
        kind = kind_of(text)
        providers.append(kind.make("service", kind.settings_from_url(text)))
        return providers[-1]

    yield make
    for provider in providers:
        provider.close()


def send(provider, may_commit=lambda: True):
    return provider.send(MESSAGE, may_commit=may_commit)


@pytest.mark.parametrize("name", TAKEN)
def test_a_message_is_accepted_with_all_its_parts(name, service, made):
    service.always = TAKEN[name]
    outcome = send(made(url(name, service)))
    assert outcome.result is Result.SENT, outcome
    (call,) = service.calls
    sent = unquote_plus(call.body.decode())
    for part in ("ada@example.com", "news@sender.test", "Hi", DELIVERY):
        assert part in sent, part
    signed = base64.b64encode(f"api:{KEY}".encode()).decode()
    assert any(KEY in value or signed in value for value in call.headers.values())


SENDERS = {
    "Acme, Inc. <news@sender.test>": ("Acme, Inc.", "news@sender.test"),
    '"Acme, Inc." <news@sender.test>': ("Acme, Inc.", "news@sender.test"),
    "[Prod] Alerts <news@sender.test>": ("[Prod] Alerts", "news@sender.test"),
    'Acme "Best" (dept.) <news@sender.test>': ("Acme Best (dept.)", "news@sender.test"),
    "Büro <news@bücher.example>": ("Büro", "news@xn--bcher-kva.example"),
    "news@bücher.example": ("", "news@xn--bcher-kva.example"),
    "=?utf-8?q?B=C3=BCro?= <news@sender.test>": ("Büro", "news@sender.test"),
}


def sender_in(name, call):
    """The sender's name and address in the request, read from the service's own format."""
    if name != "mailgun":
        return parse_single_address(json.loads(call.body)["From" if name == "postmark" else "from"])
    head = next(value for key, value in call.headers.items() if key.lower() == "content-type")
    sent = BytesParser(policy=policy.default).parsebytes(f"Content-Type: {head}\r\n\r\n".encode() + call.body)
    fields = {
        part.get_param("name", header="Content-Disposition"): part.get_content() for part in sent.iter_parts()
    } or dict(parse_qsl(call.body.decode()))
    return parse_single_address(fields["from"].strip())


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize(("sender", "read"), SENDERS.items())
def test_any_sender(name, sender, read, service, made):
    service.always = TAKEN[name]
    outcome = made(url(name, service)).send(replace(MESSAGE, sender=sender), may_commit=lambda: True)
    assert outcome.result is Result.SENT, outcome
    sent = sender_in(name, service.calls[0])
    assert (str(make_header(decode_header(sent.display_name))), sent.addr_spec) == read


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize(
    "address", ['"a<b"@example.com', '"a, b"@example.com', "kim@[192.0.2.1]", "pelé@example.com"]
)
def test_any_address_is_sent_as_it_is(name, address, service, made):
    taken = {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": address}
    service.always = resp(200, taken) if name == "postmark" else TAKEN[name]
    outcome = made(url(name, service)).send(replace(MESSAGE, to=address), may_commit=lambda: True)
    assert outcome.result is Result.SENT, outcome
    body = service.calls[0].body
    sent = (
        json.dumps(json.loads(body), ensure_ascii=False)
        if body.startswith(b"{")
        else unquote_plus(body.decode())
    )
    assert address.replace('"', '\\"' if body.startswith(b"{") else '"') in sent


@pytest.mark.parametrize("address", ['".a"@example.com', '"a..b"@example.com', '"a."@example.com'])
def test_an_address_that_the_api_can_t_represent_is_not_sent_wrongly(address, service, made):
    provider = made(url("postmark", service))
    outcome = provider.send(replace(MESSAGE, to=address), may_commit=lambda: True)
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (
        Result.PERMANENT,
        "address_invalid",
        False,
    )
    assert not service.calls


@pytest.mark.parametrize(
    ("name", "answer", "result", "code", "wait", "error"),
    [
        ("postmark", resp(401, {"ErrorCode": 10}), "configuration", "auth_failed", None, True),
        ("resend", resp(403, {"message": "no"}), "configuration", "auth_failed", None, True),
        ("resend", resp(429, "{}", (("Retry-After", "17"),)), "deferred", "throttled", 17, False),
        ("resend", resp(429, "{}"), "deferred", "throttled", 60, False),
        ("postmark", resp(500, "oops"), "retry", "server_error", None, True),
        ("postmark", resp(503, "", (("Retry-After", "40"),)), "retry", "server_error", 40, True),
        ("mailgun", resp(400, {"message": "to parameter is not valid"}), "permanent", "refused", None, False),
        ("mailgun", resp(302, "", (("Location", "http://127.0.0.1:1/"),)), "configuration", "redirected", None, True),
        ("postmark", resp(422, {"ErrorCode": 406, "Message": "inactive"}), "permanent", "refused", None, False),
        ("mandrill", mandrill("Invalid_Key"), "configuration", "auth_failed", None, True),
        ("mandrill", mandrill("ValidationError"), "permanent", "refused", None, False),
        ("mandrill", mandrill("GeneralError"), "retry", "server_error", None, True),
        ("postal", postal("ServerSuspended"), "configuration", "auth_failed", None, True),
        ("postal", postal("NoContent"), "permanent", "refused", None, False),
        ("postal", postal("RateLimited"), "deferred", "throttled", 60, False),
        ("amazon-ses", ses("AccountSuspendedException"), "configuration", "auth_failed", None, True),
        ("amazon-ses", ses("MessageRejected", "Not yet: not verified"), "configuration", "auth_failed", None, True),
        ("amazon-ses", ses("MessageRejected", "Illegal content"), "permanent", "refused", None, False),
        ("amazon-ses", ses("BadRequestException"), "permanent", "refused", None, False),
        ("amazon-ses", ses("LimitExceededException"), "deferred", "throttled", 60, False),
        ("amazon-ses", resp(429, "{}"), "deferred", "throttled", 60, False),
        ("amazon-ses", resp(503, "oops"), "retry", "server_error", None, True),
        ("amazon-ses", resp(200, {}), "unknown", "unreadable_answer", None, False),
        ("amazon-ses", Say(cut=True), "unknown", "connection_lost", None, True),
        ("mailjet", resp(429, {"Messages": []}), "deferred", "throttled", 60, False),
        ("mailjet", resp(401, {"ErrorMessage": "no", "StatusCode": 401}), "configuration", "auth_failed", None, True),
        ("sendgrid", resp(200, ""), "unknown", "unreadable_answer", None, False),
        ("mailgun", resp(200, "not json"), "unknown", "unreadable_answer", None, False),
        ("mailgun", Say(cut=True), "unknown", "connection_lost", None, True),
    ],
)  # fmt: skip
def test_what_an_answer_means(name, answer, result, code, wait, error, service, made):
    service.always = answer
    outcome = send(made(url(name, service)))
    assert (outcome.result, outcome.code, outcome.provider_error) == (result, code, error), outcome
    assert outcome.wait == wait
    assert not outcome.recipient_gone
    assert KEY not in outcome.detail
    assert len(service.calls) == 1, "never a second try"


def test_a_refused_connection_is_no_unknown_outcome(made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = send(made(f"resend://?key={KEY}&api_url=http://127.0.0.1:{taken.getsockname()[1]}"))
    assert (outcome.result, outcome.code) == (Result.DEFERRED, "connect_failed")


def test_a_certificate_that_is_not_trusted_is_our_set_up(made, certified):
    with Receiver(certificate=certified) as impostor:
        port = impostor.url.split(":")[2].partition("/")[0]
        outcome = send(made(f"resend://?key={KEY}&api_url=https://127.0.0.1:{port}"))
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION, "certificate_invalid")
    assert outcome.provider_error
    assert not impostor.calls


def test_an_answer_that_never_comes_is_one(service, made):
    service.always = Say(hold=threading.Event())
    outcome = send(made(url("resend", service, timeout="0.3")))
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "read_timeout")
    service.always.hold.set()


def test_without_its_lease_no_request_is_sent(service, made):
    outcome = send(made(url("resend", service)), may_commit=lambda: False)
    assert (outcome.result, outcome.code) == (Result.DEFERRED, "lease_lapsed")
    assert not service.calls


def test_the_key_may_be_in_a_file(service, made, tmp_path):
    service.always = TAKEN["resend"]
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert send(made(f"resend://?key_file={tmp_path}/key&api_url={service.url}")).result is Result.SENT
    with pytest.raises(OSError, match="absent"):
        made(f"resend://?key_file={tmp_path}/absent")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("resend://", "either key= or key_file="),
        ("resend://?key=a&key_file=/b", "either key= or key_file="),
        ("resend://host/?key=a", "nothing but options"),
        ("resend://?key=a&colour=red", "no options but api_url, key, key_file, timeout, webhook_key"),
        ("resend://?key=a&timeout=soon", "timeout="),
        ("postmark://?key=a&api_url=ftp://x", "api_url="),
    ],
)
def test_a_bad_url_is_explained_in_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind_of(text).settings_from_url(text)


@pytest.mark.usefixtures("worker", "version")
def test_three_services_and_two_relays_by_a_setting_alone(api, user, settings, smtp):
    with Receiver() as first, Receiver() as second, Receiver() as third:
        first.always, second.always, third.always = (
            resp(500, "oops"),
            resp(401, "{}"),
            TAKEN["mailgun"],
        )
        settings.EMAIL_PROVIDER_URL = " ".join(
            [
                url("postmark", first, name="pm"),
                url("resend", second, name="re"),
                "smtp://127.0.0.1:1/?tls=none&name=dead",
                url("mailgun", third, name="mg"),
                f"{smtp.url}?tls=none&name=relay",
            ]
        )
        accounts.close_all()
        answer = post(api, user, channels=["email"])
        (row,) = settled("sent")
        assert (row.provider, row.provider_message_id) == ("mg", "<mg-1@sender.test>")
        assert smtp.connections == 0
        assert timeline(answer.json()["data"]["id"]) == [
            ("accepted", ""),
            ("passed_on", "server_error"),
            ("passed_on", "auth_failed"),
            ("passed_on", "connect_failed"),
            ("sent", ""),
        ]
        wait_until(lambda: ProviderState.objects.filter(name="re", code="auth_failed").exists())
        accounts.close_all()
