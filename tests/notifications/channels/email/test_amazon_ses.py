"""Amazon SES: what its API gets of a message, which it takes as MIME."""

import base64
import json
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.providers.amazon_ses.kind import KIND
from apps.notifications.channels.outcome import Result
from tests.support.far_ends import FAR_ENDS

DELIVERY = "0199e5a4-0000-7000-8000-000000000001"
MESSAGE = EmailMessage(
    message_id=f"<{DELIVERY}@sender.test>",
    sender="Büro <news@bücher.example>",
    to="ada@bücher.example",
    subject="Zażółć",
    html="<p>Żółć</p>",
    text="Żółć",
    headers={"List-Unsubscribe": "<https://notify.example.com/u/1>", "X-Mark": "1"},
)


@pytest.fixture
def far_end(tmp_path):
    with FAR_ENDS["amazon_ses"]("email", tmp_path) as far_end:
        yield far_end


@pytest.fixture
def send(far_end):
    made = []

    def send(message=MESSAGE, url=None):
        made.append(KIND.make("ses", KIND.settings_from_url(url or far_end.url())))
        return made[-1].send(message, may_commit=lambda: True)

    yield send
    for provider in made:
        provider.close()


def test_it_gets_the_message_with_all_its_parts(far_end, send):
    outcome = send(url=f"{far_end.url()}&configuration_set_name=events")
    assert (outcome.result, outcome.provider_message_id) == (Result.SENT, "0102018f-ses-1"), outcome
    (call,) = far_end.server.calls
    assert call.path == "/v2/email/outbound-emails"
    body = json.loads(call.body)
    assert body["ConfigurationSetName"] == "events"
    assert body["Destination"] == {"ToAddresses": ["ada@xn--bcher-kva.example"]}
    octets = base64.b64decode(body["Content"]["Raw"]["Data"])
    assert octets.isascii()
    sent = message_from_bytes(octets, policy=policy.default)
    assert sent["From"].addresses[0].addr_spec == "news@xn--bcher-kva.example"
    assert sent["From"].addresses[0].display_name == "Büro"
    assert sent["To"] == "ada@xn--bcher-kva.example"
    assert (sent["Subject"], sent["X-Mark"]) == ("Zażółć", "1")
    assert sent["List-Unsubscribe"] == "<https://notify.example.com/u/1>"
    assert json.loads(sent["X-Metadata"]) == {"delivery_id": DELIVERY}
    assert [part.get_content().strip() for part in sent.iter_parts()] == ["Żółć", "<p>Żółć</p>"]


def test_a_request_that_is_signed_with_another_key_is_refused(far_end, send):
    far_end.key = "AKIAIOSFODNN7EXAMPLE:another-secret"
    url = far_end.url()
    far_end.key = type(far_end).key
    outcome = send(url=url)
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION, "auth_failed")


def test_a_local_part_beyond_ascii_is_refused_before_the_request(far_end, send):
    outcome = send(replace(MESSAGE, to="pelé@example.com"))
    assert (outcome.result, outcome.code) == (Result.PERMANENT, "address_invalid")
    assert not far_end.server.calls


@pytest.mark.parametrize("url", ["amazon-ses://?key=a:b", "amazon-ses://?key=a&region=eu-west-1"])
def test_a_url_needs_the_region_and_both_parts_of_the_key(url):
    with pytest.raises(ValueError, match="region=|two parts"):
        KIND.settings_from_url(url)
