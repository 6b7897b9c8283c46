"""Pipelining the next message's commands with the final dot of the one before: faster, and nothing else changes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.providers.smtp import session
from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.email.providers.smtp.session import Connection as SmtpConnection
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import Outcome, Result
from tests.conftest import wait_until
from tests.support.smtp_server import Do, ScriptedSmtpServer, Stall


def message(name: str) -> EmailMessage:
    return EmailMessage(
        message_id=f"<{name}@sender.test>",
        sender="notifier@sender.test",
        to=f"{name}@example.com",
        subject=name,
        html=f"<p>{name}</p>",
        text=name,
    )


A, B, C = message("a"), message("b"), message("c")


@pytest.fixture
def client() -> Iterator[Callable[..., SmtpProvider]]:
    made: list[SmtpProvider] = []

    def make(server: ScriptedSmtpServer, **changes: object) -> SmtpProvider:
        made.append(SmtpProvider("relay", SmtpSettings(host=server.host, port=server.port, **changes)))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


def send(provider: SmtpProvider, one: EmailMessage, pipelined_next: EmailMessage | None = None) -> Outcome:
    return provider.send(one, may_commit=lambda: True, pipelined_next=pipelined_next)


def arrived(server: ScriptedSmtpServer) -> list[str]:
    return [recipient.partition("@")[0] for mail in server.messages for recipient in mail.recipients]


def pipelined_recipients(server: ScriptedSmtpServer, count: int) -> list[str]:
    """The recipients of RCPT commands so far, once there are `count`."""
    ends = time.monotonic() + 10
    while len(server.lines("RCPT")) < count and time.monotonic() < ends:
        time.sleep(0.005)
    return [line.partition("<")[2].partition("@")[0] for line in server.lines("RCPT")]


def test_its_commands_are_pipelined_and_it_is_sent_on_the_same_connection(client):
    with ScriptedSmtpServer() as server:
        provider = client(server)
        assert send(provider, A, B).result is Result.SENT
        assert pipelined_recipients(server, 2) == ["a", "b"]
        assert arrived(server) == ["a"]
        assert send(provider, B, C).result is Result.SENT
        assert send(provider, C).result is Result.SENT
        assert arrived(server) == ["a", "b", "c"]
        assert [b"a@sender" in server.messages[0].data, b"b@sender" in server.messages[1].data] == [True] * 2
        assert server.connections == 1
        assert server.violations == []


def test_a_pipelined_message_that_never_comes_is_no_message(client):
    with ScriptedSmtpServer() as server:
        provider = client(server)
        send(provider, A, B)
        assert send(provider, C).result is Result.SENT
        assert (arrived(server), server.connections) == (["a", "c"], 2)
        provider.close()
        ends = time.monotonic() + 5
        while server.open and time.monotonic() < ends:
            time.sleep(0.01)
        assert not server.open
        # QUIT was not taken for a message's text.
        assert arrived(server) == ["a", "c"]


def test_a_connection_that_waits_too_long_is_closed(client, monkeypatch):
    monkeypatch.setattr(session, "PIPELINED_SECONDS", 0.05)
    with ScriptedSmtpServer() as server:
        provider = client(server)
        send(provider, A, B)
        time.sleep(0.1)
        # Its own message, too, needs a new connection by then.
        assert send(provider, B).result is Result.SENT
        assert (arrived(server), server.connections) == (["a", "b"], 2)


def test_an_equal_copy_of_the_pipelined_message_is_another_message(client):
    with ScriptedSmtpServer() as server:
        provider = client(server)
        send(provider, A, B)
        assert send(provider, replace(B)).result is Result.SENT
        assert (arrived(server), server.connections) == (["a", "b"], 2)


@pytest.mark.parametrize(
    ("script", "first", "second", "connections"),
    [
        ({"dot": ["451 4.3.0 later", "250 ok"]}, "retry", "sent", 2),
        ({"dot": ["550 5.7.1 no", "250 ok"]}, "permanent", "sent", 2),
        ({"dot": [("421 4.3.2 closing", Do.CLOSE), "250 ok"]}, "retry", "sent", 2),
        ({"dot": [Do.CLOSE, "250 ok"]}, "unknown", "sent", 2),
        ({"dot": [Stall(), "250 ok"]}, "unknown", "sent", 2),
        ({"dot": [("250 ok", Do.CLOSE), "250 ok"]}, "sent", "sent", 2),
        ({"dot": [b"25", "250 ok"]}, "unknown", "sent", 2),
        ({"mail": ["250 ok", "451 4.3.0 later"]}, "sent", "retry", 1),
        ({"mail": ["250 ok", ("421 4.3.2 closing", Do.CLOSE), "250 ok"]}, "sent", "sent", 2),
        ({"rcpt": ["250 ok", "550 5.1.1 nobody"]}, "sent", "permanent", 1),
        ({"rcpt": ["250 ok", Do.RESET, "250 ok"]}, "sent", "sent", 2),
        ({"data": ["354 go", "451 4.3.0 later"]}, "sent", "retry", 1),
        ({"data": ["354 go", "250 what"]}, "sent", "retry", 1),
        ({"data": ["354 go", Stall()]}, "sent", "retry", 1),
        # The relay closes down while it waits for the second one's text.
        ({"data": ["354 go", ("354 go", "421 4.3.2 closing", Do.CLOSE), "354 go"]}, "sent", "sent", 2),
    ],
)
def test_one_that_fails_takes_no_other_with_it(client, script, first, second, connections):
    with ScriptedSmtpServer(**script) as server:
        provider = client(server, command_timeout=1.0, data_timeout=1.0, dot_timeout=1.0)
        assert send(provider, A, B).result == first
        if (first, connections) == ("sent", 2):
            # The relay hangs up before the second message is sent, and not in the middle of it.
            wait_until(lambda: not server.open)
        assert send(provider, B).result == second
        assert server.connections == connections
        assert arrived(server).count("b") == (second == "sent")
        server.scripts = {**ScriptedSmtpServer().scripts}
        assert send(provider, C).result is Result.SENT
        assert arrived(server)[-1] == "c"


@pytest.mark.parametrize(("cut", "expected"), [(-1, "retry"), (0, "unknown"), (9, "unknown")])
@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError])
def test_a_write_that_breaks_off_past_the_end_may_have_sent_it(client, monkeypatch, cut, expected, error):
    """`cut`: how many octets past the final dot's go out."""
    real, broken = SmtpConnection.write, []

    def write(connection: SmtpConnection, octets: bytes, until: float) -> None:
        end = octets.find(b"\r\n.\r\n")
        if end < 0 or broken:
            return real(connection, octets, until)
        broken.append(True)
        real(connection, octets[: end + 5 + cut], until)
        raise error

    monkeypatch.setattr(SmtpConnection, "write", write)
    with ScriptedSmtpServer() as server:
        provider = client(server)
        outcome = send(provider, A, B)
        # One whose end did not go out is sent again at once, where the connection was lost.
        assert outcome.result == (expected if (cut, error) != (-1, ConnectionResetError) else "retry")
        if expected == "unknown":
            server.wait_for(1)
        assert arrived(server).count("a") == (expected == "unknown")


def test_a_pipelined_recipient_that_is_refused_is_gone_as_ever(client):
    with ScriptedSmtpServer(recipients={B.to: {"rcpt": "550 5.1.1 nobody"}}) as server:
        provider = client(server)
        send(provider, A, B)
        outcome = send(provider, B)
        assert (outcome.result, outcome.recipient_gone) == (Result.PERMANENT, True)


@pytest.mark.parametrize(
    ("offered", "pipelined_next"),
    [
        ((), B),
        (("PIPELINING",), replace(B, to="jürgen@example.com")),
        (("PIPELINING",), replace(B, to="no address")),
        (("PIPELINING",), replace(B, subject="two\r\nlines")),
    ],
    ids=["one command at a time", "an address it can't take", "no address", "no message"],
)
def test_where_it_can_t_be_pipelined_it_is_not(client, offered, pipelined_next):
    with ScriptedSmtpServer(capabilities=("8BITMIME", *offered)) as server:
        provider = client(server)
        assert send(provider, A, pipelined_next).result is Result.SENT
        assert send(provider, C).result is Result.SENT
        assert pipelined_recipients(server, 2) == ["a", "c"]
        assert server.connections == 1


def test_nothing_is_pipelined_past_a_connection_s_last_message(client):
    with ScriptedSmtpServer() as server:
        provider = client(server, message_limit=2)
        for one, pipelined_next in ((A, B), (B, C), (C, None)):
            assert send(provider, one, pipelined_next).result is Result.SENT
        assert [mail.connection for mail in server.messages] == [1, 1, 2]


def test_a_provider_that_is_closed_meanwhile_pipelines_nothing(client):
    with ScriptedSmtpServer() as server:
        provider = client(server)
        outcome = provider.send(A, may_commit=lambda: provider.close() is None, pipelined_next=B)
        assert outcome.result is Result.SENT
        assert send(provider, B).result is Result.SENT
        assert [mail.connection for mail in server.messages] == [1, 2]


def test_without_a_lease_the_pipelined_message_is_not_sent(client):
    with ScriptedSmtpServer() as server:
        provider = client(server)
        send(provider, A, B)
        assert provider.send(B, may_commit=lambda: False).code == "lease_lapsed"
        assert send(provider, C).result is Result.SENT
        assert arrived(server) == ["a", "c"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["true", "false", "none"])), max_size=12))
def test_whatever_is_pipelined_each_message_that_is_sent_arrives_once(client, plan):
    """`plan`: how large each message is, in steps of 20 kB, and whether the next one is pipelined."""
    mails = [replace(message(f"m{n}"), text=f"{'x' * 70}\n" * 280 * size) for n, (size, _) in enumerate(plan)]
    with ScriptedSmtpServer() as server:
        provider = client(server)
        for n, (_, pipelines) in enumerate(plan):
            pipelined_next = {"true": mails[n + 1] if n + 1 < len(mails) else None, "false": C, "none": None}[
                pipelines
            ]
            assert send(provider, mails[n], pipelined_next).result is Result.SENT
        assert arrived(server) == [f"m{n}" for n in range(len(mails))]
        assert all(mail.data.count(b"Message-ID") == 1 for mail in server.messages)
