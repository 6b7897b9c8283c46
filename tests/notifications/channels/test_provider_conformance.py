"""What every provider keeps, whatever its far end does: a message goes out once or it is known that it may have."""

import inspect
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import apps.notifications.channels
from apps.notifications.channels.outcome import DETAIL_LIMIT, Outcome, Result
from apps.notifications.channels.provider import ProviderKind
from apps.notifications.channels.tracking import Post, Unverified
from apps.notifications.routing.accounts import SCHEMES, parse
from tests.environment import ROOT
from tests.support.far_ends import DRIPS_FOR, FAR_ENDS

KINDS = list({(channel, kind) for channel, schemes in SCHEMES.items() for kind in schemes.values()})
KINDS.sort(key=lambda one: (one[0], one[1].name))
REMOTE = [(channel, kind) for channel, kind in KINDS if kind.name != "sandbox"]
EVERY = pytest.mark.parametrize(("channel", "kind"), KINDS, ids=lambda one: getattr(one, "name", one))
EVERY_REMOTE = pytest.mark.parametrize(("channel", "kind"), REMOTE, ids=lambda one: getattr(one, "name", one))
NOT_SENT = {Result.RETRY, Result.DEFERRED, Result.PERMANENT, Result.CONFIGURATION}
PATIENCE = 5.0
"""Seconds, many times what an impatient provider takes."""


@pytest.fixture
def far_end(channel, kind, tmp_path):
    assert kind.name in FAR_ENDS, f"{kind.name} needs an entry in tests/support/far_ends.py"
    with FAR_ENDS[kind.name](channel, tmp_path) as far_end:
        yield far_end


@pytest.fixture
def make(kind, far_end):
    made = []

    def make(url=None, **changes):
        own = kind.settings_from_url(url or far_end.url())
        made.append(kind.make("account", replace(own, **changes)))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


def send(provider, message, **options):
    outcome = provider.send(message, may_commit=lambda: True, **options)
    assert isinstance(outcome, Outcome)
    assert len(outcome.detail) <= DETAIL_LIMIT
    return outcome


# --- What a provider is ---------------------------------------------------------------------------------------


def test_every_folder_is_registered_and_declares_its_own_name():
    root = Path(apps.notifications.channels.__file__).parent
    folders = {(path.parts[-4], path.parts[-2]) for path in root.glob("*/providers/*/kind.py")}
    # The room that services share has what declares one, and declares none.
    folders.remove(("email", "anymail"))
    assert folders == {(channel, kind.name) for channel, kind in REMOTE}
    assert all(isinstance(kind, ProviderKind) for _, kind in KINDS)
    assert set(FAR_ENDS) == {kind.name for _, kind in KINDS}


@pytest.mark.parametrize("channel", SCHEMES)
def test_every_channel_has_the_sandbox_and_no_scheme_twice(channel):
    assert "sandbox" in SCHEMES[channel]
    kinds = [kind for of, kind in KINDS if of == channel]
    assert sum(len(kind.schemes) for kind in kinds) == len(SCHEMES[channel])


def test_what_sends_does_not_import_what_reads_posts():
    """Nor does it need settings: these name the accounts."""
    code = (
        "import sys, apps.notifications.routing.accounts; print([n for n in sys.modules if '.webhooks' in n])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@EVERY
def test_what_reads_its_events_is_there(channel, kind, far_end):
    if kind.events is None:
        return
    reader = kind.events(kind.settings_from_url(far_end.url()))
    assert reader.verifies
    post = Post({"CONTENT_TYPE": "application/json"}, b"{}")
    assert not reader.is_ping(post)
    with pytest.raises(Unverified):
        reader.verify(post)


@EVERY
def test_an_accepted_message_is_sent_once(kind, far_end, make):
    taken_before = []
    provider = make()
    assert provider.name == "account"
    outcome = provider.send(far_end.message(), may_commit=lambda: not taken_before.append(far_end.committed))
    assert (outcome.result, outcome.recipient_gone, outcome.provider_error) == (Result.SENT, False, False)
    assert taken_before == [0], "it asks once, and before"
    if far_end.remote:
        assert (far_end.requests, far_end.committed) == (1, 1)


@EVERY
def test_a_refusal_is_for_good_and_never_unknown(far_end, make):
    outcome = send(make(), far_end.message(refused=True))
    assert outcome.result is Result.PERMANENT, outcome
    assert not outcome.provider_error


@EVERY_REMOTE
def test_a_refused_account_is_our_configuration(far_end, make):
    far_end.misconfigure()
    outcome = send(make(), far_end.message())
    assert (outcome.result, outcome.provider_error) == (Result.CONFIGURATION, True), outcome


# --- Before and after the point of no return ------------------------------------------------------------------


@EVERY_REMOTE
def test_a_refused_connection_is_tried_again(far_end, make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = send(make(far_end.url(taken.getsockname()[1])), far_end.message())
    assert outcome.result in (Result.DEFERRED, Result.RETRY), outcome
    assert outcome.provider_error
    assert far_end.requests == 0


@EVERY
def test_without_its_lease_nothing_is_sent(far_end, make):
    provider = make()
    outcome = provider.send(far_end.message(), may_commit=lambda: False)
    assert (outcome.result, outcome.code) == (Result.DEFERRED, "lease_lapsed")
    assert not outcome.provider_error
    assert far_end.committed == 0
    assert send(provider, far_end.message(2)).result is Result.SENT


@EVERY_REMOTE
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_cut_after_the_message_is_unknown_and_it_is_not_sent_again(kept, far_end, make):
    provider = make()
    if kept:
        assert send(provider, far_end.message()).result is Result.SENT
    far_end.cut()
    outcome = send(provider, far_end.message(2))
    assert outcome == Outcome(
        Result.UNKNOWN, ANY, ANY, wait=None, recipient_gone=False, provider_error=True, untried=False
    )
    assert (far_end.requests, far_end.committed) == (1 + kept, 1 + kept)


@EVERY_REMOTE
def test_a_stall_after_the_message_is_unknown_in_time(far_end, make):
    provider = make(**far_end.impatient)
    far_end.stall()
    began = time.monotonic()
    outcome = send(provider, far_end.message())
    assert (outcome.result, outcome.provider_error) == (Result.UNKNOWN, True), outcome
    assert time.monotonic() - began < PATIENCE
    assert (far_end.requests, far_end.committed) == (1, 1)


@EVERY_REMOTE
def test_an_answer_an_octet_at_a_time_is_unknown(far_end, make):
    """A provider that can't bound the whole answer waits as long as octets come: what its far end decides."""
    provider = make(**far_end.impatient)
    far_end.drip()
    began = time.monotonic()
    outcome = send(provider, far_end.message())
    assert outcome.result is Result.UNKNOWN, outcome
    assert (time.monotonic() - began < DRIPS_FOR) == far_end.bounds_drips
    assert far_end.committed == 1


@EVERY_REMOTE
def test_a_connection_that_ended_meanwhile_is_not_noticed(far_end, make):
    provider = make()
    assert send(provider, far_end.message()).result is Result.SENT
    far_end.hang_up()
    assert send(provider, far_end.message(2)).result is Result.SENT
    assert far_end.committed == 2


# --- Garbage --------------------------------------------------------------------------------------------------

STATUSES = (200, 201, 202, 204, 302, 400, 404, 422, 429, 500, 599)
ODD_VALUES = (
    None, True, 7, "text", "", [], {}, [[]], [{}], [None], {"id": {}}, {"id": []}, {"message": 7, "id": 7},
    {"ErrorCode": 0, "Message": 7, "MessageID": {}, "To": ["x"]}, {"ErrorCode": {}, "Message": None},
    {"ErrorCode": 0, "Message": "OK", "MessageID": "m", "To": "<<>>,,@"},
    {"results": 7}, {"results": {"total_accepted_recipients": [], "total_rejected_recipients": {}, "id": {}}},
    {"messageId": {}}, {"messageIds": 7}, {"warnings": 7}, {"warnings": [{}]}, {"data": 7}, {"data": [{}]},
    {"error": []}, {"error": {"details": 7, "message": {}}}, {"name": {}}, {"errors": {"a": 1}},
    {"status": "error", "name": []}, {"status": "error", "data": 7}, {"status": "success", "data": {"messages": 7}},
    {"status": "success", "data": {"messages": {"a": {}}}}, {"success": True, "message_ids": 7},
    {"success": True, "message_ids": [{}]}, {"Messages": 7}, {"Messages": []}, {"Messages": [{"Status": []}]},
    {"emails": 7}, {"emails": [{}]}, {"emails": {"a": 1}, "failed_emails": 7}, [{"email": [], "status": {}}],
)  # fmt: skip


def http(status, body, *headers):
    head = "".join(f"{line}\r\n" for line in (f"Content-Length: {len(body)}", *headers))
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


GARBAGE = [
    b"", b"\r\n", b"\0" * 9, b"250", b"999 what\r\n", b"250-never\r\n" * 200, b"2" * 9000 + b"\r\n", b"\xff\xfe\r\n",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", b"HTTP/1.1 200 OK\r\n: \r\n\r\n",
    http(200, b"[" * 100_000, "Content-Type: application/json"), http(200, b'"\\ud800\\u0000"'),
    http(307, b"", "Location: /elsewhere"), http(302, b"", "Location: http://["), http(302, b"", "Location: \xff://\xff:x"),
    http(429, b"", "Retry-After: \xff"), http(503, b"", "Retry-After: 1e999"),
    http(200, b"{}", "Content-Type: application/json; charset=\xff"),
]  # fmt: skip


@EVERY_REMOTE
def test_any_answer_has_an_outcome(far_end, make):
    provider = make(**far_end.impatient)
    answers = [
        *GARBAGE,
        *(
            http(status, json.dumps(value).encode(), "Content-Type: application/json")
            for status in STATUSES
            for value in ODD_VALUES
        ),
    ]
    for number, answer in enumerate(answers, 1):
        far_end.babble(answer)
        provider.close()  # the far end does not announce that it ends the connection
        try:
            outcome = send(provider, far_end.message(number))
        except Exception as error:
            raise AssertionError(f"{answer[:200]!r} raises {error!r}") from error
        assert far_end.requests == far_end.committed == number, "never a second try"
        if answer.startswith(b"HTTP/1.1 2") and outcome.result in NOT_SENT:
            # Only where the answer says in the service's own way that it took nothing.
            assert outcome.code == "refused", (answer[:200], outcome)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
ANSWERS = st.binary(max_size=300) | st.builds(
    lambda status, value: http(status, json.dumps(value).encode(), "Content-Type: application/json"),
    st.integers(100, 999),
    JSON_VALUES,
)


@EVERY_REMOTE
def test_any_octets_have_an_outcome(far_end, make):
    provider = make(**far_end.impatient)
    sent = []

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(ANSWERS)
    @example(b"")
    def answered(octets):
        far_end.babble(octets)
        provider.close()
        sent.append(send(provider, far_end.message(len(sent))))
        assert far_end.requests == far_end.committed == len(sent)

    answered()


# --- Secrets --------------------------------------------------------------------------------------------------


def shows(text, secrets):
    """Which secrets can be read in a text, even in part."""
    return [secret for secret in secrets if any(secret[at : at + 6] in text for at in range(len(secret) - 5))]


@EVERY_REMOTE
def test_no_detail_has_a_secret(far_end, make):
    provider = make()
    for prepare in (far_end.misconfigure, *far_end.echo()):
        prepare()
        outcome = send(provider, far_end.message())
        assert not shows(outcome.detail, far_end.secrets()), (outcome, far_end.secrets())


@EVERY
def test_no_settings_show_a_secret(channel, kind, far_end):
    (account,) = parse(far_end.url(), SCHEMES[channel])
    for shown in (repr(kind.settings_from_url(account.url)), repr(account)):
        assert not shows(shown, far_end.secrets())


@EVERY
def test_no_error_of_a_bad_url_has_a_secret(channel, far_end):
    """A URL written wrongly: a character too many, too few, or one that should have been percent-encoded."""
    url, secrets = far_end.url(), far_end.secrets()
    refused = 0
    for at in range(len(url) + 1):
        for wrong in (url[:at] + url[at + 1 :], *(url[:at] + one + url[at:] for one in "&#?/ :@%[]=\\\xe9")):
            sentence = refusal(wrong, SCHEMES[channel])
            assert not shows(sentence, secrets), wrong
            refused += bool(sentence)
    assert refused


def refusal(url, schemes):
    try:
        parse(url, schemes)
    except ValueError as error:
        return str(error)
    return ""


# --- Threads and ends -----------------------------------------------------------------------------------------


@EVERY
def test_it_may_be_closed_at_any_time(far_end, make):
    provider = make()
    provider.close()
    assert send(provider, far_end.message()).result is Result.SENT
    provider.close()
    provider.close()
    assert send(provider, far_end.message(2)).result is Result.SENT
    if far_end.remote:
        assert far_end.committed == 2


@pytest.fixture
def hectic():
    """Threads take turns at every step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@EVERY
@pytest.mark.usefixtures("hectic")
def test_each_thread_gets_its_own_outcome(far_end, make):
    provider = make()
    refused = [number % 3 == 0 for number in range(48)]
    messages = [far_end.message(number, refused=gone) for number, gone in enumerate(refused)]
    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(lambda message: send(provider, message), messages))
    assert [outcome.result for outcome in outcomes] == [
        Result.PERMANENT if gone else Result.SENT for gone in refused
    ]
    if far_end.remote:
        assert far_end.requests == len(messages)


@EVERY
@pytest.mark.usefixtures("hectic")
def test_threads_that_send_at_once_have_leases_of_their_own(far_end, make):
    """None goes on before all of them have come as far as that."""
    provider, kept = make(), [number % 2 == 0 for number in range(8)]
    assert send(provider, far_end.message(50)).result is Result.SENT
    together = threading.Barrier(len(kept), timeout=20)

    def sent(number):
        return provider.send(
            far_end.message(number), may_commit=lambda: together.wait() is not None and kept[number]
        )

    with ThreadPoolExecutor(len(kept)) as threads:
        outcomes = list(threads.map(sent, range(len(kept))))
    assert [outcome.code for outcome in outcomes] == ["accepted" if one else "lease_lapsed" for one in kept]
    if far_end.remote:
        assert far_end.committed == 1 + sum(kept)


# --- Capabilities ---------------------------------------------------------------------------------------------


@EVERY
def test_it_pipelines_if_it_says_so(kind, far_end, make):
    provider = make()
    takes = "pipelined_next" in inspect.signature(provider.send).parameters
    assert takes == kind.capabilities.pipelines
    if not takes:
        return
    first, second, never, third = (far_end.message(number) for number in range(4))
    assert send(provider, first, pipelined_next=second).result is Result.SENT
    assert send(provider, second, pipelined_next=never).result is Result.SENT
    assert send(provider, third).result is Result.SENT
    assert far_end.committed == 3
    assert third.to in far_end.heard()


@EVERY_REMOTE
def test_a_local_part_beyond_ascii_arrives_as_it_is_or_is_refused(channel, kind, far_end, make):
    if channel != "email":
        assert not kind.capabilities.smtputf8
        return
    outcome = send(make(), far_end.message(to="pelé@example.com"))
    if kind.capabilities.smtputf8:
        assert outcome.result is Result.SENT
        assert "pelé@example.com" in far_end.heard()
    else:
        assert outcome.result is Result.PERMANENT
        assert far_end.requests == 0
