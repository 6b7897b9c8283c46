"""FcmProvider.send against a server that speaks FCM's HTTP."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.push.message import PushMessage
from apps.notifications.channels.push.providers.fcm import auth
from apps.notifications.channels.push.providers.fcm.provider import FcmProvider
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from notifier.local import fcm_answers as answers
from notifier.local.fcm import FcmStandIn, Script
from tests.conftest import wait_until

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MESSAGE = PushMessage(
    delivery_id="0197f3f2-c1d8-7e3a-9b4c-5d6e7f801234",
    token="dEvIcE-token:APA91bHun4MxP5egoKMwt2KZFBaFUH",
    title="Hello",
    body="World",
    image="https://img.test/a.png",
    link="https://shop.test/orders/1",
    data={"order": "1"},
)


@pytest.fixture
def fcm() -> Iterator[FcmStandIn]:
    with FcmStandIn("demo-1", key=KEY) as stand_in:
        yield stand_in


@pytest.fixture
def config(fcm: FcmStandIn, tmp_path: Path) -> FcmSettings:
    account = fcm.write_service_account(tmp_path / "account.json")
    return FcmSettings("demo-1", str(account), fcm.base_url, pool_size=8)


@pytest.fixture
def provider(config: FcmSettings) -> Iterator[FcmProvider]:
    provider = FcmProvider("fcm", config)
    yield provider
    provider.close()


@pytest.fixture
def hasty(config: FcmSettings) -> Iterator[FcmProvider]:
    """For a server that does not answer."""
    provider = FcmProvider("fcm", replace(config, read_timeout=1))
    yield provider
    provider.close()


def send(provider: FcmProvider, message: PushMessage = MESSAGE) -> Outcome:
    return provider.send(message, may_commit=lambda: True)


# --- What is sent -----------------------------------------------------------------------------------------


def test_a_push_is_taken_and_its_id_kept(fcm: FcmStandIn, provider: FcmProvider) -> None:
    outcome = send(provider)
    assert (outcome.result, outcome.code) == (Result.SENT, "accepted")
    assert outcome.provider_message_id.startswith("projects/demo-1/messages/")
    assert fcm.messages == [
        {
            "token": MESSAGE.token,
            "notification": {"title": "Hello", "body": "World", "image": "https://img.test/a.png"},
            "data": {"order": "1", "link": "https://shop.test/orders/1"},
            "webpush": {"fcm_options": {"link": "https://shop.test/orders/1"}},
        }
    ]


def test_an_apps_link_goes_in_the_data_alone(fcm: FcmStandIn, provider: FcmProvider) -> None:
    bare = replace(MESSAGE, link="shop://orders/1", image="", data={})
    assert send(provider, bare).result is Result.SENT
    assert fcm.messages[0]["data"] == {"link": "shop://orders/1"}
    assert "webpush" not in fcm.messages[0]
    assert "image" not in fcm.messages[0]["notification"]


def test_what_is_to_collapse_does_so_everywhere(fcm: FcmStandIn, provider: FcmProvider) -> None:
    assert send(provider, replace(MESSAGE, collapse_key="order-1")).result is Result.SENT
    (sent,) = fcm.messages
    assert sent["android"] == {"collapse_key": "order-1"}
    assert sent["apns"] == {"headers": {"apns-collapse-id": "order-1"}}
    assert sent["webpush"]["headers"] == {"Topic": "order-1"}


def test_a_collapse_key_that_does_not_fit_is_shortened_alike_each_time(
    fcm: FcmStandIn, provider: FcmProvider
) -> None:
    for _ in range(2):
        assert send(provider, replace(MESSAGE, collapse_key="order/1:" + "é" * 90)).result is Result.SENT
    topics = {message["webpush"]["headers"]["Topic"] for message in fcm.messages}
    assert len(topics) == 1
    assert len(topics.pop()) == 32


@pytest.mark.parametrize(
    ("left", "longest"),
    [
        (timedelta(seconds=90), 90),
        (timedelta(seconds=1.9), 1),
        (timedelta(seconds=0.5), 0),
        (timedelta(seconds=-5), 0),
        (timedelta(hours=3), 3 * 3600),
        (timedelta(days=28), 28 * 86400),
        (timedelta(days=400), 28 * 86400),
    ],
)
def test_a_push_never_outlives_its_end(
    left: timedelta, longest: int, fcm: FcmStandIn, provider: FcmProvider
) -> None:
    ends = datetime.now(UTC) + left
    assert send(provider, replace(MESSAGE, expires_at=ends)).result is Result.SENT
    (sent,) = fcm.messages
    ttl = int(sent["android"]["ttl"].removesuffix("s"))
    # A busy machine takes a moment for it.
    assert max(0, longest - 10) <= ttl <= longest
    assert sent["webpush"]["headers"]["TTL"] == str(ttl)
    expiration = int(sent["apns"]["headers"]["apns-expiration"])
    assert expiration <= ends.timestamp() < expiration + 1


def test_without_an_end_it_is_kept_for_as_long_as_fcm_likes(fcm: FcmStandIn, provider: FcmProvider) -> None:
    assert send(provider).result is Result.SENT
    sent = str(fcm.messages[0])
    assert not any(word in sent for word in ("ttl", "TTL", "apns-expiration", "collapse", "Topic"))


def test_a_message_that_fcm_could_not_read_is_not_sent(fcm: FcmStandIn, provider: FcmProvider) -> None:
    broken: Any = {"n": 5}
    outcome = send(provider, replace(MESSAGE, data=broken))
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (
        Result.PERMANENT,
        "invalid_message",
        False,
    )
    assert fcm.connections == 0


def test_a_lapsed_lease_stops_the_request(fcm: FcmStandIn, provider: FcmProvider) -> None:
    outcome = provider.send(MESSAGE, may_commit=lambda: False)
    assert (outcome.result, outcome.code) == (Result.DEFERRED, "lease_lapsed")
    assert fcm.messages == []
    assert send(provider).result is Result.SENT


# --- What FCM answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result", "code", "gone"),
    [
        (answers.unregistered(), Result.PERMANENT, "unregistered", True),
        (answers.sender_id_mismatch(), Result.PERMANENT, "sender_id_mismatch", True),
        (answers.invalid_token(), Result.PERMANENT, "invalid_token", True),
        (answers.invalid_argument(), Result.PERMANENT, "invalid_argument", False),
        (answers.unauthenticated(), Result.CONFIGURATION, "unauthenticated", False),
        (answers.third_party_auth(), Result.CONFIGURATION, "third_party_auth", False),
        (answers.third_party_auth("APNS_AUTH_ERROR"), Result.CONFIGURATION, "third_party_auth", False),
        (answers.permission_denied(), Result.CONFIGURATION, "permission_denied", False),
        (answers.bare(403), Result.CONFIGURATION, "permission_denied", False),
        (answers.bare(404), Result.CONFIGURATION, "not_found", False),
        (answers.quota("7"), Result.DEFERRED, "throttled", False),
        (answers.unavailable(500), Result.RETRY, "server_error", False),
        (answers.bare(502), Result.RETRY, "server_error", False),
        (answers.unavailable(503), Result.RETRY, "server_error", False),
        (answers.bare(504), Result.RETRY, "server_error", False),
        ("cut", Result.UNKNOWN, "connection_lost", False),
        ((302, b"", {"Location": "/token"}), Result.CONFIGURATION, "redirected", False),
    ],
)  # fmt: skip
def test_every_row(
    fcm: FcmStandIn, provider: FcmProvider, answer: Script, result: Result, code: str, gone: bool
) -> None:
    fcm.script(MESSAGE.token, answer)
    outcome = send(provider)
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (result, code, gone)
    assert MESSAGE.token not in outcome.detail
    assert fcm.messages == []
    assert send(provider).result is Result.SENT
    assert len(fcm.messages) == 1


def test_no_answer_may_mean_sent(fcm: FcmStandIn, hasty: FcmProvider) -> None:
    fcm.script(MESSAGE.token, "stall")
    outcome = send(hasty)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "read_timeout")
    assert not outcome.recipient_gone
    assert fcm.messages == []
    assert send(hasty).result is Result.SENT


@pytest.mark.parametrize(
    ("answer", "wait"), [(answers.quota("7"), 7), (answers.quota(), 60), (answers.unavailable(), 10)]
)
def test_waits_are_fcms(fcm: FcmStandIn, provider: FcmProvider, answer: Script, wait: float) -> None:
    fcm.script(MESSAGE.token, answer)
    assert send(provider).wait == wait


def test_nothing_is_sent_twice_on_its_own(fcm: FcmStandIn, provider: FcmProvider) -> None:
    script: list[Script] = [answers.unavailable(503, "0"), answers.quota("0"), "cut"]
    fcm.script(MESSAGE.token, *script)
    assert [send(provider).result for _ in script] == [Result.RETRY, Result.DEFERRED, Result.UNKNOWN]


def test_another_project_is_a_configuration_error(config: FcmSettings) -> None:
    provider = FcmProvider("fcm", replace(config, project_id="other"))
    assert send(provider).code == "not_found"
    provider.close()


# --- The connection ---------------------------------------------------------------------------------------


def test_no_server_is_deferred(provider: FcmProvider, config: FcmSettings) -> None:
    assert send(provider).result is Result.SENT
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for base_url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        elsewhere = FcmProvider("fcm", replace(config, base_url=base_url))
        outcome = send(elsewhere)
        assert (outcome.result, outcome.code, outcome.provider_error) == (
            Result.DEFERRED,
            "connect_failed",
            True,
        )
        elsewhere.close()


def test_a_server_that_never_finishes_the_handshake_is_deferred(config: FcmSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base_url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        provider = FcmProvider("fcm", replace(config, base_url=base_url, connect_timeout=0.5))
        outcome = send(provider)
        provider.close()
    assert (outcome.result, outcome.code) == (Result.DEFERRED, "connect_failed")


def test_connections_the_server_closed_while_idle_cost_nothing(
    fcm: FcmStandIn, provider: FcmProvider
) -> None:
    for _ in range(5):
        assert send(provider).result is Result.SENT
        fcm.hang_up()
        time.sleep(0.1)
    assert send(provider).result is Result.SENT
    assert len(fcm.messages) == 6


def test_500_pushes_from_8_threads_share_a_few_connections(fcm: FcmStandIn, provider: FcmProvider) -> None:
    messages = [replace(MESSAGE, token=f"token-{number}") for number in range(500)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda message: send(provider, message), messages))
    assert {outcome.result for outcome in outcomes} == {Result.SENT}
    assert sorted(message["token"] for message in fcm.messages) == sorted(
        message.token for message in messages
    )
    assert len({outcome.provider_message_id for outcome in outcomes}) == 500
    assert fcm.connections <= 8 + 1
    assert fcm.sign_ins == 1


def test_one_threads_failure_is_not_anothers(fcm: FcmStandIn, hasty: FcmProvider) -> None:
    stalls: list[Script] = ["stall"] * 4
    fcm.script("slow", *stalls)
    tokens = ["slow", "fast"] * 4
    with ThreadPoolExecutor(8) as threads:
        outcomes = threads.map(lambda token: send(hasty, replace(MESSAGE, token=token)).result, tokens)
        assert list(outcomes) == [Result.UNKNOWN, Result.SENT] * 4


def test_a_pool_that_is_too_small_defers(fcm: FcmStandIn, config: FcmSettings) -> None:
    provider = FcmProvider("fcm", replace(config, pool_size=1))
    fcm.script(MESSAGE.token, "stall")
    holder = threading.Thread(target=send, args=(provider,))
    holder.start()
    wait_until(lambda: fcm.stalled)
    assert send(provider, replace(MESSAGE, token="b")).code == "pool_exhausted"
    fcm.hang_up()
    holder.join()
    provider.close()


# --- The access token -------------------------------------------------------------------------------------


def test_a_token_is_renewed_before_it_ends(fcm: FcmStandIn, provider: FcmProvider) -> None:
    fcm.expires_in = 2
    assert send(provider).result is Result.SENT
    assert send(provider).result is Result.SENT
    assert fcm.sign_ins == 1
    time.sleep(1.1)
    fcm.script("oauth", (503, b"", {}))
    assert send(provider).result is Result.SENT
    assert fcm.sign_ins == 1


def test_renewal_takes_the_new_one(fcm: FcmStandIn, provider: FcmProvider) -> None:
    fcm.expires_in = 2
    assert send(provider).result is Result.SENT
    time.sleep(1.1)
    assert send(provider).result is Result.SENT
    assert fcm.sign_ins == 2


def test_a_revoked_token_is_replaced_after_one_error(fcm: FcmStandIn, provider: FcmProvider) -> None:
    assert send(provider).result is Result.SENT
    fcm.revoke()
    assert send(provider).code == "unauthenticated"
    assert send(provider).result is Result.SENT
    assert fcm.sign_ins == 2


@pytest.mark.parametrize(
    "answer",
    [
        *("stall", "cut", answers.bare(500), answers.bare(429)),
        (400, {"error": "temporarily_unavailable"}, {}),
        *((200, body, {}) for body in (b"<html>", b"\xff", [1], {"access_token": "x"})),
        (200, {"access_token": 5, "expires_in": 9}, {}),
        (200, {"access_token": "x", "expires_in": "soon"}, {}),
        (200, {"access_token": "a\nb", "expires_in": 99}, {}),
    ],
)
def test_no_answer_from_the_token_endpoint_is_deferred(
    fcm: FcmStandIn, config: FcmSettings, answer: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer == "stall":
        monkeypatch.setattr(auth, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(auth, "PAUSE", 1.0)
    provider = FcmProvider("fcm", config)
    fcm.script("oauth", answer)
    outcome = send(provider)
    assert (outcome.result, outcome.code, outcome.provider_error) == (
        Result.DEFERRED,
        "auth_unreachable",
        True,
    )
    assert send(provider).code == "auth_unreachable"
    assert fcm.sign_ins == 0
    time.sleep(1.1)
    assert send(provider).result is Result.SENT
    provider.close()


def test_a_refused_service_account_is_a_configuration_error(fcm: FcmStandIn, provider: FcmProvider) -> None:
    fcm.script("oauth", answers.invalid_grant())
    outcome = send(provider)
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION, "auth_refused")
    assert "invalid_grant" in outcome.detail


def test_another_ones_key_is_refused(config: FcmSettings, tmp_path: Path) -> None:
    with FcmStandIn("demo-1") as other:
        account = json.loads(other.write_service_account(tmp_path / "other.json").read_text())
    account["token_uri"] = f"{config.base_url}/token"
    (tmp_path / "other.json").write_text(json.dumps(account))
    provider = FcmProvider("fcm", replace(config, credentials=str(tmp_path / "other.json")))
    assert send(provider).code == "auth_refused"
    provider.close()


# --- Whatever comes back ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(200, 999), st.binary(max_size=200), st.text("0123456789abcXYZ -,:;", max_size=30))
def test_any_answer_has_an_outcome(
    fcm: FcmStandIn, provider: FcmProvider, status: int, body: bytes, header: str
) -> None:
    fcm.script(MESSAGE.token, (status, body, {"Retry-After": header}))
    assert isinstance(send(provider), Outcome)
