"""The outcome of each reply: only the table, no network."""

import socket
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.notifications.channels.email.providers.smtp.outcomes import (
    LINE_LIMIT,
    REPLY_LINES,
    SESSION,
    Phase,
    Reply,
    classify,
    no_reply,
    read_reply,
)
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import DETAIL_LIMIT, Outcome, Result

SENT, RETRY, DEFERRED = Result.SENT, Result.RETRY, Result.DEFERRED
PERMANENT, CONFIGURATION, UNKNOWN = Result.PERMANENT, Result.CONFIGURATION, Result.UNKNOWN
BANNER, EHLO, TLS, AUTH = Phase.BANNER, Phase.EHLO, Phase.TLS, Phase.AUTH
MAIL, RCPT, DATA, DOT = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT


def outcome_to(phase: Phase, *lines: str) -> Outcome:
    return classify(phase, read_reply([line.encode() for line in lines]))


@pytest.mark.parametrize(
    ("phase", "line", "result", "code"),
    [
        (BANNER, "421 4.3.2 busy", DEFERRED, "service_closing"),
        (BANNER, "554 5.7.1 not you", CONFIGURATION, "session_refused"),
        (BANNER, "450 later", DEFERRED, "temporarily_refused"),
        (EHLO, "550 bad name", CONFIGURATION, "session_refused"),
        (EHLO, "421 no", DEFERRED, "service_closing"),
        (TLS, "454 4.7.0 no TLS now", CONFIGURATION, "tls_failed"),
        (TLS, "502 5.5.1 what", CONFIGURATION, "tls_failed"),
        (TLS, "421 bye", DEFERRED, "service_closing"),
        *((AUTH, f"{code} no", CONFIGURATION, "auth_failed") for code in (500, 530, 534, 535, 538)),
        (AUTH, "454 4.7.0 try later", DEFERRED, "throttled"),
        (AUTH, "454 Throttling failure: too many", DEFERRED, "throttled"),
        *((MAIL, f"{code} no", CONFIGURATION, "auth_failed") for code in (530, 534, 535, 538)),
        *((p, "421 4.7.28 slow down", DEFERRED, "throttled") for p in (BANNER, MAIL, RCPT, DATA, DOT)),
        (RCPT, "451 4.7.650 rate limited", DEFERRED, "throttled"),
        (DOT, "454 Throttling failure: Daily message quota exceeded.", DEFERRED, "throttled"),
        *((p, "421 4.3.0 closing", RETRY, "service_closing") for p in (MAIL, RCPT, DATA, DOT)),
        *((p, "451 4.7.1 later", RETRY, "greylisted") for p in (MAIL, RCPT, DATA, DOT)),
        (RCPT, "450 4.7.1 later", RETRY, "greylisted"),
        (RCPT, "450 4.2.0 Greylisted, see example.org", RETRY, "greylisted"),
        (RCPT, "452 4.2.2 full", RETRY, "mailbox_full"),
        (RCPT, "552 5.2.2 full", RETRY, "mailbox_full"),
        (DOT, "552 5.2.2 full", RETRY, "mailbox_full"),
        (RCPT, "452 too many", RETRY, "temporarily_refused"),
        (DOT, "451 4.3.0 error", RETRY, "temporarily_refused"),
        (MAIL, "499 odd", RETRY, "temporarily_refused"),
        *((p, "550 5.7.1 spam", PERMANENT, "policy_refused") for p in (MAIL, RCPT, DATA, DOT)),
        *((DOT, f"550 5.7.{n} no", PERMANENT, "policy_refused") for n in range(20, 27)),
        (MAIL, "552 5.3.4 too big", PERMANENT, "too_large"),
        (DOT, "552 too big", PERMANENT, "too_large"),
        (MAIL, "503 5.5.1 order", PERMANENT, "protocol_refused"),
        (DOT, "554 5.6.0 content", PERMANENT, "content_refused"),
        (MAIL, "550 5.1.8 sender", PERMANENT, "sender_refused"),
        (MAIL, "550 who are you", PERMANENT, "refused"),
        (DATA, "554 no valid recipients", PERMANENT, "refused"),
        (DOT, "550 5.1.1 nobody", PERMANENT, "mailbox_unknown"),
        (MAIL, "550 5.1.1 user unknown", PERMANENT, "sender_refused"),
        (RCPT, "554 5.1.1 nobody", PERMANENT, "refused"),
        (RCPT, "554 5.1.1 user unknown", PERMANENT, "mailbox_unknown"),
        (RCPT, "550 5.2.1 gets mail too fast", RETRY, "rate_limited"),
        (RCPT, "550 5.2.121 limit of the hour", RETRY, "rate_limited"),
        (RCPT, "550 too many messages, come back later", PERMANENT, "rate_limited"),
        (RCPT, "550 the mailbox is over its quota", RETRY, "mailbox_full"),
        (RCPT, "550 the sending address is on a block list", PERMANENT, "policy_refused"),
        (RCPT, "450 4.2.1 mailbox disabled", RETRY, "mailbox_disabled"),
        (MAIL, "450 4.2.1 mailbox disabled", RETRY, "temporarily_refused"),
        (RCPT, "450 4.2.1 gets mail at a rate", RETRY, "temporarily_refused"),
        (DATA, "550 5.1.1 user unknown", PERMANENT, "mailbox_unknown"),
        (RCPT, "551 moved", PERMANENT, "refused"),
        (RCPT, "550 10.0.0.1 is listed", PERMANENT, "policy_refused"),
        (DOT, "250 2.0.0 Ok", SENT, "accepted"),
        (DOT, "299 fine", SENT, "accepted"),
        *((p, "garbage", RETRY, "unreadable_reply") for p in Phase if p is not DOT),
        *((p, "354 what", RETRY, "unreadable_reply") for p in (BANNER, AUTH, MAIL, RCPT)),
        *((DOT, text, UNKNOWN, "unreadable_reply") for text in ("garbage", "354 what")),
        *((p, "250 what", RETRY, "unreadable_reply") for p in (BANNER, MAIL, DATA)),
    ],
)
def test_a_reply_s_outcome(phase: Phase, line: str, result: Result, code: str) -> None:
    outcome = outcome_to(phase, line)
    assert (outcome.result, outcome.code) == (result, code)
    assert outcome.wait == (300 if code == "greylisted" else None)
    errors = {"service_closing", "session_refused", "tls_failed", "auth_failed", "unreadable_reply"}
    assert outcome.provider_error == (code in errors or (phase in SESSION and code == "temporarily_refused"))


@pytest.mark.parametrize("enhanced", ["1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "2.1", "7.17", "7.18"])
@pytest.mark.parametrize("code", [550, 551, 553])
def test_a_code_alone_ends_a_recipient_at_rcpt_only(code: int, enhanced: str) -> None:
    for phase in (MAIL, RCPT, DATA, DOT):
        outcome = outcome_to(phase, f"{code} 5.{enhanced} gone")
        assert (outcome.result, outcome.recipient_gone) == (PERMANENT, phase is RCPT)
        assert not outcome.provider_error


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("550 (5.1.1) rejected", True),
        ("550 no such user", True),
        ("550 #5.1.1 no such user", True),
        ("551 no such user", True),
        ("553 no such user", True),
        ("550 rejected", False),
        ("550 5.1.0 address rejected", False),
        ("550 5.1.7 bad sender", False),
        ("550 5.7.1 relaying denied", False),
        ("554 5.1.1 nobody", False),
        ("552 5.2.2 full", False),
    ],
)
def test_suppression_at_rcpt(line: str, gone: bool) -> None:
    assert outcome_to(RCPT, line).recipient_gone is gone


@pytest.mark.parametrize("phase", [DATA, DOT])
def test_past_rcpt_text_alone_ends_a_recipient(phase: Phase) -> None:
    """A message has one recipient, and some servers look it up only once they have the message."""
    assert outcome_to(
        phase, "554 delivery error: dd This user doesn't have an account (kim@example.com)"
    ).recipient_gone
    assert not outcome_to(phase, "554 delivery error: dd blocked").recipient_gone


@pytest.mark.parametrize(
    ("error", "phase", "result", "code"),
    [
        (ConnectionRefusedError("refused"), Phase.CONNECT, DEFERRED, "connect_failed"),
        (OSError(101, "Network is unreachable"), Phase.CONNECT, DEFERRED, "connect_failed"),
        (TimeoutError(), Phase.CONNECT, DEFERRED, "connect_timeout"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Phase.CONNECT, CONFIGURATION, "host_unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), Phase.CONNECT, DEFERRED, "dns_failed"),
        (ssl.SSLCertVerificationError("self-signed"), TLS, CONFIGURATION, "certificate_invalid"),
        (ssl.SSLError("wrong version"), TLS, CONFIGURATION, "tls_failed"),
        (ssl.SSLEOFError("eof"), TLS, DEFERRED, "connection_lost"),
        (TimeoutError(), TLS, DEFERRED, "timeout"),
        *((TimeoutError(), phase, DEFERRED, "timeout") for phase in (BANNER, EHLO, AUTH)),
        *((ConnectionResetError(), phase, DEFERRED, "connection_lost") for phase in (BANNER, EHLO, AUTH)),
        *((TimeoutError(), phase, RETRY, "timeout") for phase in (MAIL, RCPT, DATA)),
        *((ConnectionResetError(), phase, RETRY, "connection_lost") for phase in (MAIL, RCPT, DATA)),
        (TimeoutError(), DOT, UNKNOWN, "timeout_after_dot"),
        (ConnectionResetError(), DOT, UNKNOWN, "lost_after_dot"),
        (ssl.SSLEOFError("eof"), DOT, UNKNOWN, "lost_after_dot"),
    ],
)
def test_a_silence_s_outcome(error: OSError, phase: Phase, result: Result, code: str) -> None:
    outcome = no_reply(phase, error)
    assert (outcome.result, outcome.code, outcome.provider_error) == (result, code, True)
    assert outcome.detail.startswith(f"{phase}: ")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"25"],
        [b"250ok"],
        [b"199 low"],
        [b"600 high"],
        [b"-1 no"],
        ["٢٥٠ ok".encode()],
        [b"\xff\xfe\x00"],
        [b"250-ok", b"550 no"],
        [b"250-ok"],
        [b"250 ok", b"250 ok"],
        [b"HTTP/1.1 400 Bad Request"],
        [b"250 " + b"x" * LINE_LIMIT],
        [b"250-x"] * REPLY_LINES,
    ],
)
def test_what_is_no_reply(lines: list[bytes]) -> None:
    reply = read_reply(lines)
    assert reply.code == 0
    assert all(classify(phase, reply).code == "unreadable_reply" for phase in Phase)


@pytest.mark.parametrize(
    ("line", "queue_id"),
    [
        ("250 2.0.0 Ok: queued as 4Xy1z", "4Xy1z"),
        ("250 OK id=1rABC-000123-Xy", "1rABC-000123-Xy"),
        ("250 Ok 010f018c2a3b4c5d-1a2b3c4d-aaaa-bbbb-cccc-000000000000-000000", "010f018c2a3b4c5d-"),
        ("250 Great success", ""),
        ("250", ""),
    ],
)
def test_the_relay_s_own_id(line: str, queue_id: str) -> None:
    found = outcome_to(DOT, line).provider_message_id
    assert found.startswith(queue_id)
    assert bool(found) == bool(queue_id)


def test_the_detail_is_the_server_s_text_bounded_and_printable() -> None:
    outcome = outcome_to(RCPT, "550-5.1.1 no\x1b[31m such\x00 user", "550 5.1.1 " + "x" * 2000)
    assert outcome.detail.startswith("rcpt: 550 5.1.1 no [31m such user 5.1.1 xxx")
    assert len(outcome.detail) == DETAIL_LIMIT


@settings(deadline=None)
@given(phase=st.sampled_from(Phase), lines=st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_have_an_outcome(phase: Phase, lines: list[bytes]) -> None:
    outcome = classify(phase, read_reply(lines))
    assert outcome.result is not SENT or lines[-1][:1] == b"2"
    assert outcome.detail.isprintable()


@settings(deadline=None)
@given(
    phase=st.sampled_from(Phase),
    code=st.integers(200, 599),
    enhanced=st.sampled_from(["", "1.1", "2.2", "3.4", "7.1", "7.28", "9.9"]),
    text=st.text(max_size=30),
)
def test_the_first_digit_decides(phase: Phase, code: int, enhanced: str, text: str) -> None:
    outcome = classify(phase, Reply(code, enhanced, (text,)))
    assert (outcome.result is SENT) == (phase is DOT and code < 300)
    if code < 500:
        assert outcome.result is not PERMANENT
    assert not outcome.recipient_gone or (phase is RCPT and code >= 550)
    # Only after the final dot can a reply leave it open whether the message was taken.
    assert (outcome.result is UNKNOWN) == (phase is DOT and 300 <= code < 400)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://relay", SmtpSettings(host="relay")),
        (
            "smtp://us%40er:p%2F%40s@relay/",
            SmtpSettings(host="relay", port=587, username="us@er", password="p/@s", tls="starttls"),
        ),
        (
            "smtp://u:p@relay:2525?tls=none&ehlo=me.example&ca=/etc/ca.pem",
            SmtpSettings(
                host="relay",
                port=2525,
                username="u",
                password="p",
                ehlo_name="me.example",
                ca_file="/etc/ca.pem",
            ),
        ),
        ("smtps://relay", SmtpSettings(host="relay", port=465, tls="tls")),
        ("smtp://[::1]:25", SmtpSettings(host="::1")),
    ],
)
def test_a_url(url: str, expected: SmtpSettings) -> None:
    assert SmtpSettings.from_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay:25",
        "http://u:secret@relay",
        "smtp://",
        "smtp://u:secret@",
        "smtp://u:secret@relay:99999",
        "smtp://u:secret@relay:0",
        "smtp://u:secret/x@relay",
        "smtp://u:secret?x@relay",
        "smtp://u:secret#x@relay",
        "smtp://u:secret@relay/path",
        "smtp://u:secret@relay?tls=yes",
        "smtp://u:secret@relay?colour=secret",
        "smtps://u:secret@relay?tls=none",
        "smtp://u:secret@re lay",
        "smtp://u:secret@re..lay",
        "smtp://u:secret@" + "x" * 64,
        "smtp://u:secret@é.example",
        "smtp://u:secret@[::1",
        "smtp://u:secret℀@relay",
        "smtp://u@relay",
        "smtp://u:secret%00@relay",
        "smtp://relay?ehlo=a%0d%0ab",
    ],
)
def test_a_bad_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP") as caught:
        SmtpSettings.from_url(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(SmtpSettings(host="relay", username="u", password="secret"))
