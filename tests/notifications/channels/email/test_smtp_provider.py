"""The SMTP provider against a real server that follows a script."""

import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import Outcome, Result
from tests.support.smtp_server import Answer, Do, Drip, Hold, ScriptedSmtpServer, Stall

MESSAGE = EmailMessage(
    message_id="<1@example.org>",
    sender="Zoë <no-reply@example.org>",
    to="ada@example.net",
    subject="Hello",
    html="<p>Hello</p>",
    text="Hello",
)
MODES = pytest.mark.parametrize("capabilities", [("PIPELINING",), ()], ids=["pipelined", "plain"])
Send = Callable[..., Outcome]


# For servers that don't answer. Long beside what a busy machine takes for the phases that do answer.
HASTY = {"command_timeout": 1.0, "data_timeout": 1.0, "dot_timeout": 1.0}


def provider_for(server: ScriptedSmtpServer, **changes: object) -> SmtpProvider:
    return SmtpProvider(
        "relay", SmtpSettings(host=server.host, port=server.port, quit_timeout=0.3, **changes)
    )


@pytest.fixture
def client() -> Iterator[Callable[..., SmtpProvider]]:
    made: list[SmtpProvider] = []

    def make(server: ScriptedSmtpServer, **changes: object) -> SmtpProvider:
        made.append(provider_for(server, **changes))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


def send(provider: SmtpProvider, message: EmailMessage = MESSAGE, allowed: bool = True) -> Outcome:
    return provider.send(message, may_commit=lambda: allowed)


def verdict(outcome: Outcome) -> tuple[str, str]:
    return outcome.result.value, outcome.code


@MODES
def test_a_message_arrives_as_it_was_meant(client, capabilities) -> None:
    lines = "first\n.\n..two dots\n.start\n\nend\n"
    with ScriptedSmtpServer(capabilities=capabilities) as server:
        outcome = send(client(server), replace(MESSAGE, text=lines, html=""))
        assert verdict(outcome) == ("sent", "accepted")
        assert outcome.provider_message_id == "TEST"
        assert outcome.detail == "dot: 250 2.0.0 Ok: queued as TEST"
        (message,) = server.messages
        assert (message.sender, message.recipients) == ("no-reply@example.org", ("ada@example.net",))
        assert message.data.endswith(b"\r\n\r\n" + lines.replace("\n", "\r\n").encode())
        assert server.violations == []
        assert server.lines("QUIT") == []


def test_one_connection_serves_many_and_ends_politely(client) -> None:
    with ScriptedSmtpServer() as server:
        provider = client(server)
        assert all(send(provider).result is Result.SENT for _ in range(20))
        provider.close()
        assert (server.connections, len(server.messages)) == (1, 20)
        assert server.lines()[0] == "EHLO [127.0.0.1]"
        assert server.lines()[-1] == "QUIT"
        assert send(provider).result is Result.SENT
        assert server.connections == 2


def test_threads_share_connections_and_never_one_at_a_time(client) -> None:
    with ScriptedSmtpServer() as server:
        provider = client(server)
        threads = [threading.Thread(target=lambda: [send(provider) for _ in range(25)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.wait_for(200)) == 200
        assert server.connections <= 8
        assert all(len(m.recipients) == 1 for m in server.messages)
        opened = server.connections
        send(provider)  # from another thread than any of theirs
        assert server.connections == opened


REFUSALS = [
    ("mail", "450 4.3.0 later", "retry", "temporarily_refused"),
    ("mail", "550 5.7.1 spam", "permanent", "policy_refused"),
    ("mail", "552 5.3.4 too big", "permanent", "too_large"),
    ("mail", "530 5.7.0 log in first", "configuration", "auth_failed"),
    ("rcpt", "550 5.1.1 nobody", "permanent", "mailbox_unknown"),
    ("rcpt", "550 no such user", "permanent", "mailbox_unknown"),
    ("rcpt", "551 5.7.17 reassigned", "permanent", "mailbox_reassigned"),
    ("rcpt", "553 5.2.1 disabled", "permanent", "mailbox_disabled"),
    ("rcpt", "550 5.7.1 relaying denied", "permanent", "policy_refused"),
    ("rcpt", "450 4.7.1 greylisted", "retry", "greylisted"),
    ("rcpt", "452 4.2.2 full", "retry", "mailbox_full"),
    ("rcpt", "552 5.2.2 full", "retry", "mailbox_full"),
    ("rcpt", "421 4.7.28 slow down", "deferred", "throttled"),
    ("data", "451 4.3.0 later", "retry", "temporarily_refused"),
    ("data", "554 5.5.1 no", "permanent", "protocol_refused"),
    ("dot", "451 4.7.650 slow down", "deferred", "throttled"),
    ("dot", "452 4.3.1 disk", "retry", "temporarily_refused"),
    ("dot", "550 5.7.26 DMARC", "permanent", "policy_refused"),
    ("dot", "550 5.1.1 nobody", "permanent", "mailbox_unknown"),
    ("dot", "554 5.6.0 content", "permanent", "content_refused"),
]


@MODES
@pytest.mark.parametrize(("phase", "reply", "result", "code"), REFUSALS)
def test_a_refusal_and_the_next_message(client, capabilities, phase, reply, result, code) -> None:
    with ScriptedSmtpServer(capabilities=capabilities, **{phase: [reply, server_default(phase)]}) as server:
        provider = client(server)
        outcome = send(provider)
        assert verdict(outcome) == (result, code)
        assert outcome.recipient_gone == (
            phase == "rcpt" and code.startswith("mailbox_") and result == "permanent"
        )
        assert outcome.detail == f"{phase}: {reply}"
        assert server.messages == []
        assert send(provider).result is Result.SENT
        assert (server.connections, len(server.lines("RSET"))) == (
            (2, 0) if reply.startswith("421") else (1, 1)
        )


def closes_all(server: ScriptedSmtpServer) -> bool:
    ends = time.monotonic() + 2
    while server.open and time.monotonic() < ends:
        time.sleep(0.01)
    return not server.open


def server_default(phase: str) -> str:
    return ScriptedSmtpServer().scripts[phase]  # type: ignore[return-value]


SESSION_ENDS = [
    ({"greeting": "421 4.3.2 busy"}, "deferred", "service_closing"),
    ({"greeting": "554 5.7.1 not you"}, "configuration", "session_refused"),
    ({"greeting": Do.CLOSE}, "deferred", "connection_lost"),
    ({"greeting": (Stall(0.05), Do.RESET)}, "deferred", "connection_lost"),
    ({"greeting": Stall()}, "deferred", "timeout"),
    ({"greeting": b"\xff\x00\xfe\r\n"}, "retry", "unreadable_reply"),
    ({"greeting": "HTTP/1.1 400 Bad Request"}, "retry", "unreadable_reply"),
    ({"greeting": b"x" * 9000}, "retry", "unreadable_reply"),
    ({"greeting": b"220-more\r\n" * 200}, "retry", "unreadable_reply"),
    ({"ehlo": "550 bad name", "helo": "550 bad name"}, "configuration", "session_refused"),
    ({"ehlo": "451 later"}, "deferred", "temporarily_refused"),
    ({"ehlo": Stall()}, "deferred", "timeout"),
    ({"mail": Do.CLOSE}, "retry", "connection_lost"),
    ({"mail": ("421 4.3.2 closing", Do.CLOSE)}, "retry", "service_closing"),
    ({"rcpt": Do.RESET}, "retry", "connection_lost"),
    ({"rcpt": Stall()}, "retry", "timeout"),
    ({"rcpt": "nonsense"}, "retry", "unreadable_reply"),
    ({"data": Stall()}, "retry", "timeout"),
    ({"data": "250 what"}, "retry", "unreadable_reply"),
    ({"dot": Do.CLOSE}, "unknown", "lost_after_dot"),
    ({"dot": (Do.TAKE, Do.RESET)}, "unknown", "lost_after_dot"),
    ({"dot": (b"25", Do.CLOSE)}, "unknown", "lost_after_dot"),
    ({"dot": Stall()}, "unknown", "timeout_after_dot"),
    ({"dot": Drip(b"250 2.0.0 Ok, but slowly\r\n")}, "unknown", "timeout_after_dot"),
    ({"dot": ("421 4.3.2 closing", Do.CLOSE)}, "retry", "service_closing"),
    ({"dot": b"\x00\xff\r\n"}, "unknown", "unreadable_reply"),
]


@MODES
@pytest.mark.parametrize(("script", "result", "code"), SESSION_ENDS)
def test_a_connection_that_fails(client, capabilities, script, result, code) -> None:
    with ScriptedSmtpServer(capabilities=capabilities, **script) as server:
        provider = client(server, **HASTY if "timeout" in code else {})
        outcome = send(provider)
        assert verdict(outcome) == (result, code)
        assert outcome.provider_error
        took = script.get("dot") == (Do.TAKE, Do.RESET) or isinstance(script.get("dot"), Drip)
        assert len(server.messages) == took
        server.scripts = {**ScriptedSmtpServer(capabilities=capabilities).scripts}
        assert send(provider).result is Result.SENT
        assert server.connections == 2


@pytest.mark.parametrize("phase", ["greeting", "ehlo", "mail", "rcpt", "data", "dot"])
def test_a_dripping_server_can_t_stretch_a_deadline(client, phase) -> None:
    with ScriptedSmtpServer(**{phase: Drip(b"250-slowly\r\n" * 50, 0.03)}) as server:
        began = time.monotonic()
        outcome = send(client(server, **HASTY))
        assert time.monotonic() - began < 5
        assert outcome.code == ("timeout_after_dot" if phase == "dot" else "timeout")


def test_the_deadline_before_the_final_dot_counts_everything(client) -> None:
    scripts = {phase: (Stall(0.4), server_default(phase)) for phase in ("greeting", "ehlo", "mail", "rcpt")}
    with ScriptedSmtpServer(**scripts) as server:
        outcome = send(client(server, before_dot_timeout=1.0))
        assert verdict(outcome) == ("retry", "timeout")
        assert server.messages == []


def test_a_server_that_does_not_read_can_t_hold_the_body(client) -> None:
    with ScriptedSmtpServer(data=("354 go", Stall())) as server:
        outcome = send(client(server, **HASTY), replace(MESSAGE, text="x" * 20_000_000))
        assert verdict(outcome) == ("retry", "timeout")


@MODES
@pytest.mark.parametrize("refused", ["mail", "rcpt"])
def test_data_taken_after_a_refusal_delivers_nothing(client, capabilities, refused) -> None:
    script = {refused: ["550 5.7.1 no", server_default(refused)], "data": "354 go on"}
    with ScriptedSmtpServer(capabilities=capabilities, **script) as server:
        provider = client(server)
        assert verdict(send(provider)) == ("permanent", "policy_refused")
        assert send(provider).result is Result.SENT
        assert [m.data for m in server.messages if b"Hello" not in m.data] == []
        assert len(server.messages) == 1
        assert server.connections == (2 if capabilities else 1)


@MODES
def test_without_a_lease_nothing_is_delivered(client, capabilities) -> None:
    with ScriptedSmtpServer(capabilities=capabilities) as server:
        provider = client(server)
        assert verdict(send(provider, allowed=False)) == ("deferred", "lease_lapsed")
        assert send(provider, replace(MESSAGE, to="eve@example.net")).result is Result.SENT
        assert [m.recipients for m in server.messages] == [("eve@example.net",)]
        assert server.connections == 2


def test_may_commit_is_called_once_the_body_is_out_and_the_dot_is_not(client) -> None:
    seen: list[object] = []
    with ScriptedSmtpServer() as server:

        def may_commit() -> bool:
            time.sleep(0.1)
            seen.append((server.lines()[-1], list(server.messages)))
            return True

        assert client(server).send(MESSAGE, may_commit=may_commit).result is Result.SENT
        assert seen == [("DATA", [])]


def test_a_check_that_raises_leaves_no_half_message(client) -> None:
    def broken() -> bool:
        raise LookupError("no clock")

    with ScriptedSmtpServer() as server:
        provider = client(server)
        with pytest.raises(LookupError):
            provider.send(MESSAGE, may_commit=broken)
        assert send(provider).result is Result.SENT
        assert len(server.messages) == 1


@pytest.mark.parametrize("last_reply", ["", "421 4.4.2 idle too long"])
def test_a_connection_closed_while_idle(client, last_reply) -> None:
    with ScriptedSmtpServer() as server:
        provider = client(server)
        send(provider)
        server.hang_up(last_reply)
        assert send(provider).result is Result.SENT
        assert (server.connections, len(server.messages)) == (2, 2)


@MODES
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
def test_a_reused_connection_that_drops_is_tried_once_more(client, capabilities, phase) -> None:
    ok = server_default(phase)
    with ScriptedSmtpServer(capabilities=capabilities, **{phase: [ok, Do.CLOSE, ok, Do.CLOSE]}) as server:
        provider = client(server)
        assert [send(provider).result.value for _ in range(3)] == ["sent", "sent", "retry"]
        assert (server.connections, len(server.messages)) == (3, 2)


@pytest.mark.parametrize(
    ("script", "connections"),
    [
        ({"mail": ["250 ok", ("421 4.4.2 idle", Do.CLOSE), "250 ok"]}, 2),
        ({"dot": ["250 ok", Do.CLOSE]}, 1),
        ({"rcpt": ["250 ok", Stall()]}, 1),
    ],
)
def test_what_a_reused_connection_repeats(client, script, connections) -> None:
    with ScriptedSmtpServer(**script) as server:
        provider = client(server, **HASTY)
        assert send(provider).result is Result.SENT
        assert (send(provider).result is Result.SENT) == (connections == 2)
        assert server.connections == connections


@pytest.mark.parametrize(
    ("early", "result", "code"),
    [
        ("250 out of step", "retry", "unreadable_reply"),
        ("552 5.3.4 too big", "permanent", "too_large"),
        ("421 4.3.2 closing", "retry", "service_closing"),
        (Do.CLOSE, "retry", "connection_lost"),
    ],
)
def test_a_reply_before_the_final_dot_is_not_the_reply_to_it(client, early, result, code) -> None:
    # Long enough for the server to be first; one that hangs up reads nothing, so then more than the kernel keeps.
    body = replace(MESSAGE, text=f"{'x' * 70}\n" * (200_000 if early is Do.CLOSE else 14_000))
    # The early reply is sent in one piece with the reply before it, so that it always arrives before the final dot.
    reply_to_data = f"354 go\n{early}" if isinstance(early, str) else ("354 go", early)
    with ScriptedSmtpServer(data=[reply_to_data, "354 go"]) as server:
        provider = client(server)
        assert verdict(send(provider, body)) == (result, code)
        assert server.messages == []
        assert send(provider).result is Result.SENT


def test_a_stray_reply_belongs_to_no_message(client) -> None:
    with ScriptedSmtpServer(dot=["250 ok\n250 stray", "550 5.7.1 no"]) as server:
        provider = client(server)
        assert [send(provider).code for _ in range(2)] == ["accepted", "policy_refused"]
        assert server.connections == 2


def test_a_refused_reset_costs_a_connection_not_a_message(client) -> None:
    with ScriptedSmtpServer(rcpt=["550 5.1.1 no", "250 ok"], rset="500 what?") as server:
        provider = client(server)
        assert send(provider).recipient_gone
        assert send(provider).result is Result.SENT
        assert server.connections == 2


@pytest.mark.parametrize("limit", [{"idle_limit": 0.0}, {"message_limit": 1}])
def test_an_expired_connection_is_renewed(client, limit) -> None:
    with ScriptedSmtpServer() as server:
        provider = client(server, **limit)
        assert [send(provider).result.value for _ in range(3)] == ["sent"] * 3
        assert (server.connections, len(server.lines("QUIT"))) == (3, 2)


def test_closing_while_another_thread_sends_spoils_nothing(client) -> None:
    with ScriptedSmtpServer() as server:
        provider = client(server)
        outcome = provider.send(MESSAGE, may_commit=lambda: provider.close() is None)
        assert outcome.result is Result.SENT
        assert b"QUIT" not in server.messages[0].data
        assert closes_all(server)
        assert send(provider).result is Result.SENT
        assert server.connections == 2


def test_closing_while_another_thread_connects_leaves_nothing_open(client) -> None:
    greeted = threading.Event()
    with ScriptedSmtpServer(greeting=(Hold(greeted), "220 ready")) as server:
        provider = client(server)
        outcomes: list[Outcome] = []
        sending = threading.Thread(target=lambda: outcomes.append(send(provider)))
        sending.start()
        while not server.connections:
            time.sleep(0.001)
        provider.close()
        greeted.set()
        sending.join(10)
        assert [outcome.result for outcome in outcomes] == [Result.SENT]
        assert closes_all(server)


def test_recipients_meet_their_own_fates(client) -> None:
    fates = {"a@x.org": {"rcpt": "550 5.1.1 no"}, "b@x.org": {"dot": ["450 4.7.1 later", "250 ok"]}}
    with ScriptedSmtpServer(recipients=fates) as server:
        provider = client(server)
        codes = [
            send(provider, replace(MESSAGE, to=to)).code
            for to in ("a@x.org", "b@x.org", "c@x.org", "b@x.org")
        ]
        assert codes == ["mailbox_unknown", "greylisted", "accepted", "accepted"]


@pytest.mark.parametrize(
    ("offered", "to", "code", "line"),
    [
        (("SMTPUTF8", "8BITMIME"), "grün@é.org", "accepted", "RCPT TO:<grün@xn--9ca.org>"),
        ((), "grün@x.org", "smtputf8_unavailable", ""),
        (("SMTPUTF8", "8BITMIME"), '"a<b"@x.org', "accepted", 'RCPT TO:<"a<b"@x.org>'),
        ((), '"a, b"@x.org', "accepted", 'RCPT TO:<"a, b"@x.org>'),
        ((), "a@[IPv6:2001:DB8::1]", "accepted", "RCPT TO:<a@[IPv6:2001:db8::1]>"),
        ((), "a@é.org", "accepted", "RCPT TO:<a@xn--9ca.org>"),
        ((), "no address", "address_invalid", ""),
    ],
)
def test_foreign_addresses(client, offered, to, code, line) -> None:
    with ScriptedSmtpServer(capabilities=offered) as server:
        outcome = send(client(server), replace(MESSAGE, to=to))
        assert outcome.code == code
        assert outcome.result is (Result.SENT if line else Result.PERMANENT)
        assert not outcome.recipient_gone
        assert server.lines("RCPT") == ([line] if line else [])
        assert [mail.endswith("> SMTPUTF8 BODY=8BITMIME") for mail in server.lines("MAIL")] == (
            [to == "grün@é.org"] if line else []
        )


@pytest.mark.parametrize(
    ("sender", "written", "envelope"),
    [
        ("Acme, Inc. <a@x.org>", '"Acme, Inc." <a@x.org>', "a@x.org"),
        ("[Prod] Alerts <a@x.org>", '"[Prod] Alerts" <a@x.org>', "a@x.org"),
        ("Acme <a@é.org>", '"Acme" <a@xn--9ca.org>', "a@xn--9ca.org"),
        ("Zoë <a@é.org>", "=?utf-8?b?Wm/Dqw==?= <a@xn--9ca.org>", "a@xn--9ca.org"),
        ('Acme <"a,b"@x.org>', '"Acme" <"a,b"@x.org>', '"a,b"@x.org'),
    ],
)
def test_any_sender(client, sender, written, envelope) -> None:
    with ScriptedSmtpServer() as server:
        assert send(client(server), replace(MESSAGE, sender=sender)).code == "accepted"
        assert server.messages[0].sender == envelope
        assert f"\r\nFrom: {written}\r\n".encode() in server.messages[0].data


def test_a_sender_that_the_relay_can_t_take_is_our_set_up(client) -> None:
    with ScriptedSmtpServer(capabilities=()) as server:
        outcome = send(client(server), replace(MESSAGE, sender="grün@x.org"))
        assert verdict(outcome) == ("configuration", "smtputf8_unavailable")
        assert outcome.provider_error
        assert server.lines("MAIL") == []
    with ScriptedSmtpServer() as server:
        message = replace(MESSAGE, sender="grün@x.org", return_path="bounces@x.org")
        assert send(client(server), message).code == "accepted"
        assert server.lines("MAIL")[0].startswith("MAIL FROM:<bounces@x.org> SMTPUTF8")


@pytest.mark.parametrize("changes", [{"subject": "a\r\nBcc: b@x.org"}, {"to": "a@x.org\r\nDATA"}])
def test_an_injection_never_reaches_the_wire(client, changes) -> None:
    with ScriptedSmtpServer() as server:
        with pytest.raises(ValueError, match="line end"):
            send(client(server), replace(MESSAGE, **changes))
        assert server.connections == 0


def test_an_old_server_without_ehlo(client) -> None:
    with ScriptedSmtpServer(ehlo="502 5.5.1 what?") as server:
        assert send(client(server)).result is Result.SENT
        assert [line[:4] for line in server.lines()] == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize(
    ("offered", "reply", "result", "code"),
    [
        ("AUTH PLAIN LOGIN", "235 ok", "sent", "accepted"),
        ("AUTH LOGIN", "235 ok", "sent", "accepted"),
        ("AUTH=LOGIN", "235 ok", "sent", "accepted"),
        ("AUTH PLAIN", "535 5.7.8 no", "configuration", "auth_failed"),
        ("AUTH LOGIN", "534 5.7.9 weak", "configuration", "auth_failed"),
        ("AUTH PLAIN", "454 4.7.0 later", "deferred", "throttled"),
        ("AUTH PLAIN", "500 what is AHVzZXIAw7ZzM2NyZXQ= and ös3cret?", "configuration", "auth_failed"),
        ("AUTH CRAM-MD5", "235 ok", "configuration", "auth_failed"),
        ("HELP", "235 ok", "configuration", "auth_failed"),
    ],
)
def test_logging_in(client, offered, reply, result, code) -> None:
    with ScriptedSmtpServer(capabilities=(offered,), auth=reply) as server:
        outcome = send(client(server, username="user", password="ös3cret"))
        assert verdict(outcome) == (result, code)
        assert "s3cret" not in outcome.detail
        assert "AHVz" not in outcome.detail
        assert server.credentials == ([] if "M" in offered or offered == "HELP" else [("user", "ös3cret")])


LATER = ["235 2.7.0 welcome"]


@pytest.mark.parametrize(
    ("offered", "replies", "tried", "code"),
    [
        (
            "AUTH PLAIN LOGIN",
            ["504 5.7.4 Unrecognized authentication type", *LATER],
            ["PLAIN", "LOGIN"],
            "accepted",
        ),
        ("AUTH LOGIN PLAIN", ["504 unknown mechanism", *LATER], ["PLAIN", "LOGIN"], "accepted"),
        ("AUTH PLAIN LOGIN XOAUTH2", ["502 5.5.1 not implemented", *LATER], ["PLAIN", "LOGIN"], "accepted"),
        ("AUTH PLAIN LOGIN", ["501 5.5.4 syntax", *LATER], ["PLAIN", "LOGIN"], "accepted"),
        ("AUTH PLAIN LOGIN", ["500 5.5.2 what?", *LATER], ["PLAIN", "LOGIN"], "accepted"),
        (
            "AUTH PLAIN LOGIN",
            ["534 5.7.9 this mechanism is too weak", *LATER],
            ["PLAIN", "LOGIN"],
            "accepted",
        ),
        ("AUTH PLAIN LOGIN", ["504 no", "504 5.7.4 no"], ["PLAIN", "LOGIN"], "auth_failed"),
        ("AUTH PLAIN LOGIN", ["504 no", "535 5.7.8 wrong"], ["PLAIN", "LOGIN"], "auth_failed"),
        # It has looked at the password: another try would be another guess.
        ("AUTH PLAIN LOGIN", ["535 5.7.8 wrong", *LATER], ["PLAIN"], "auth_failed"),
        ("AUTH PLAIN LOGIN", ["535 5.7.139 basic authentication is off", *LATER], ["PLAIN"], "auth_failed"),
        (
            "AUTH PLAIN LOGIN",
            ["534 5.7.9 application-specific password required", *LATER],
            ["PLAIN"],
            "auth_failed",
        ),
        ("AUTH PLAIN LOGIN", ["538 5.7.11 encryption required", *LATER], ["PLAIN"], "auth_failed"),
        ("AUTH PLAIN LOGIN", ["530 5.7.0 first STARTTLS", *LATER], ["PLAIN"], "auth_failed"),
        ("AUTH PLAIN LOGIN", ["454 4.7.0 later", *LATER], ["PLAIN"], "throttled"),
        ("AUTH PLAIN LOGIN", ["421 4.3.2 bye", *LATER], ["PLAIN"], "service_closing"),
        ("AUTH PLAIN", ["504 5.7.4 no", *LATER], ["PLAIN"], "auth_failed"),
    ],
)
def test_mechanisms_are_tried_in_turn(client, offered, replies, tried, code) -> None:
    with ScriptedSmtpServer(capabilities=(offered,), auth=replies) as server:
        outcome = send(client(server, username="user", password="ös3cret"))
        assert outcome.code == code
        assert [line.split()[1] for line in server.lines("AUTH")] == tried
        assert server.connections == 1
        assert "s3cret" not in outcome.detail
        if code == "auth_failed":
            assert (outcome.result, outcome.provider_error) == (Result.CONFIGURATION, True)


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    shape = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, *shape))
    (folder / "cert.pem").write_bytes(signed.public_bytes(encoding))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "cert.pem")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("host", "trusted", "code"),
    [
        ("127.0.0.1", True, "accepted"),
        ("127.0.0.1", False, "certificate_invalid"),
        ("192.0.2.1", True, "certificate_invalid"),
    ],
)
def test_tls(client, tmp_path, tls, host, trusted, code) -> None:
    context, path = certificate(tmp_path, host)
    with ScriptedSmtpServer(
        tls=context, implicit_tls=tls == "tls", capabilities=("AUTH PLAIN", "PIPELINING")
    ) as server:
        secrets = {"username": "user", "password": "s3cret"}
        provider = client(server, tls=tls, ca_file=path if trusted else "", **secrets)
        outcomes = [send(provider), send(provider)]
        assert [outcome.code for outcome in outcomes] == [code, code]
        assert [message.tls for message in server.messages] == ([True, True] if code == "accepted" else [])
        assert server.connections == (1 if code == "accepted" else 2)
        if code != "accepted":
            assert outcomes[0].result is Result.CONFIGURATION
            assert outcomes[0].provider_error
            assert server.credentials == []


@pytest.mark.parametrize(
    ("script", "result", "code"),
    [
        ({}, "configuration", "tls_failed"),
        ({"starttls": "454 4.7.0 not now"}, "configuration", "tls_failed"),
        ({"starttls": (b"220 go\r\n250 injected\r\n", Stall())}, "configuration", "tls_failed"),
        ({"starttls": ("220 go", Stall())}, "deferred", "timeout"),
        ({"starttls": ("220 go", b"no TLS here\r\n" * 9)}, "configuration", "tls_failed"),
        ({"starttls": ("220 go", Do.CLOSE)}, "deferred", "connection_lost"),
    ],
)
def test_starttls_that_fails(client, script, result, code) -> None:
    with ScriptedSmtpServer(**script) as server:
        assert verdict(send(client(server, tls="starttls", **HASTY if code == "timeout" else {}))) == (
            result,
            code,
        )
        assert server.lines("MAIL") == []


def test_nobody_listens(client) -> None:
    with ScriptedSmtpServer() as server:
        pass
    assert verdict(send(client(server))) == ("deferred", "connect_failed")


def test_nobody_answers(client) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        time.sleep(0.05)
        outcome = SmtpProvider("relay", SmtpSettings(host="127.0.0.1", port=address[1], connect_timeout=0.2))
        assert verdict(send(outcome)) == ("deferred", "connect_timeout")
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("number", "result", "code"),
    [
        (socket.EAI_NONAME, "configuration", "host_unknown"),
        (socket.EAI_AGAIN, "deferred", "dns_failed"),
    ],
)
def test_names_that_do_not_resolve(monkeypatch, number, result, code) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert verdict(send(SmtpProvider("relay", SmtpSettings(host="relay.example")))) == (result, code)


phases = st.sampled_from(["greeting", "ehlo", "mail", "rcpt", "data", "dot"])
replies = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda code, enhanced, text: f"{code} {enhanced}{text}".encode(),
        st.integers(200, 599),
        st.sampled_from(["", "5.1.1 ", "4.7.1 ", "5.2.2 ", "4.7.28 "]),
        st.text(max_size=20),
    ),
)


@settings(max_examples=150, deadline=None)
@given(phase=phases, reply=replies, pipelining=st.booleans())
def test_any_reply_has_an_outcome(phase: str, reply: bytes, pipelining: bool) -> None:
    answer: Answer = (reply + b"\r\n", Do.CLOSE)
    with ScriptedSmtpServer(capabilities=("PIPELINING",) * pipelining, **{phase: answer}) as server:
        provider = provider_for(server)
        outcome = send(provider)
        provider.close()
        assert (outcome.result is Result.SENT) <= (len(server.messages) == 1)
    first = re.match(rb"([245])\d\d(?: .*)?\r?\Z", reply.split(b"\n")[0])
    digit = first[1] if first else b""
    assert (outcome.result is Result.SENT) <= (digit == b"2" and phase == "dot")
    if digit != b"5":
        assert outcome.result is not Result.PERMANENT
    assert not outcome.recipient_gone or (phase == "rcpt" and digit == b"5")
    # Hanging up right after a 354 is noticed only once the final dot is on its way.
    assert (outcome.result is Result.UNKNOWN) <= (phase in ("data", "dot"))
