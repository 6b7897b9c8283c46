"""A built message, read back by the standard library's parser."""

import email
import re
from dataclasses import replace
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import Envelope, build, mailbox
from notifier.lib.email_addresses import InvalidAddress

PLAIN = EmailMessage(
    message_id="<1@example.org>",
    sender="Acme <no-reply@example.org>",
    to="ada@example.net",
    subject="Hello",
    html="<p>Hello</p>",
    text="Hello",
    headers={"List-Unsubscribe": "<https://example.org/u/1>, <mailto:u@example.org>", "X-Id": "1"},
)

header_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=200)
body_text = st.text(st.characters(codec="utf-8"), max_size=400)


def parsed(message: EmailMessage) -> Message:
    octets = build(message)
    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert b"\0" not in octets
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", octets)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    found = email.message_from_bytes(octets)
    assert not found.defects
    return found


def decoded(value: str) -> str:
    return str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", value))))


def bodies(message: Message) -> dict[str, str]:
    parts = message.get_payload() if message.is_multipart() else [message]
    found = {}
    for part in parts:
        assert part.get_content_charset() == "utf-8"
        found[part.get_content_subtype()] = part.get_payload(decode=True).decode()
    return found


def crlf(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def test_the_whole_of_a_plain_one() -> None:
    found = parsed(PLAIN)
    assert found.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in found.get_payload()] == ["text/plain", "text/html"]
    assert bodies(found) == {"plain": "Hello", "html": "<p>Hello</p>"}
    assert found["From"] == '"Acme" <no-reply@example.org>'
    assert found["To"] == "ada@example.net"
    assert found["Subject"] == "Hello"
    assert found["Message-ID"] == "<1@example.org>"
    assert found["MIME-Version"] == "1.0"
    assert parsedate_to_datetime(found["Date"]).utcoffset().total_seconds() == 0
    assert found["List-Unsubscribe"] == PLAIN.headers["List-Unsubscribe"]
    assert found["X-Id"] == "1"


@pytest.mark.parametrize(("kept", "dropped"), [("plain", "html"), ("html", "text")])
def test_one_body_needs_no_multipart(kept: str, dropped: str) -> None:
    found = parsed(replace(PLAIN, **{dropped: ""}))
    assert found.get_content_type() == f"text/{kept}"


def test_no_body_is_an_empty_text() -> None:
    assert bodies(parsed(replace(PLAIN, html="", text=""))) == {"plain": ""}


@settings(deadline=None)
@given(subject=header_text)
@example(subject="=?utf-8?q?not_encoded?=")
@example(subject=" two  spaces ")
@example(subject=" 0")
@example(subject="x" * 3000)
@example(subject="word " * 400 + "end")
@example(subject="é" * 500)
@example(subject="a\u2028b\x85c\x0bd\te")
def test_a_subject_comes_back(subject: str) -> None:
    assert decoded(parsed(replace(PLAIN, subject=subject))["Subject"]) == subject


@settings(deadline=None)
@given(name=header_text)
@example(name='Zoë "Z" O\'Neil, Inc. <x@y.z>')
@example(name='back\\slash "quoted", (comment)')
@example(name="n" * 2000)
def test_a_name_comes_back(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    value = parsed(replace(PLAIN, sender=f'"{quoted}" <a@example.org>'))["From"]
    if value.startswith('"'):
        assert value.removesuffix(" <a@example.org>") == f'"{quoted}"'
    else:
        assert decoded(value) == (f"{name} <a@example.org>" if name else "a@example.org")


@settings(deadline=None)
@given(text=body_text, html=body_text)
@example(text=".\n..\n.x\n", html="x" * 5000)
@example(text="trailing \nspace\t\n", html="=3D =\n")
@example(text="é" * 3000, html="漢" * 3000)
@example(text="From here\r\rthere\r\n\n", html="a\x00b\x0c\u2028")
@example(text="x", html="--=_boundary--\n")
def test_bodies_come_back(text: str, html: str) -> None:
    found = bodies(parsed(replace(PLAIN, text=text or "t", html=html or "h")))
    assert found == {"plain": crlf(text or "t"), "html": crlf(html or "h")}


def test_half_a_character_does_not_stop_a_message() -> None:
    found = parsed(replace(PLAIN, subject="a\ud800b", text="c\udfffd"))
    assert decoded(found["Subject"]) == "a?b"
    assert bodies(found)["plain"] == "c?d"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\0", "\r\nBcc: x@example.org", "\n\nbody"])
@pytest.mark.parametrize("field", ["message_id", "sender", "to", "subject", "name", "value", "reply-to"])
def test_nothing_is_injected(field: str, end: str) -> None:
    changes = {
        "message_id": {"message_id": f"<1{end}@example.org>"},
        "sender": {"sender": f"A{end} <a@example.org>"},
        "to": {"to": f"a{end}@example.org"},
        "subject": {"subject": f"a{end}"},
        "name": {"headers": {f"X-A{end}": "1"}},
        "value": {"headers": {"X-A": f"1{end}"}},
        "reply-to": {"headers": {"Reply-To": f"é{end} <a@example.org>"}},
    }[field]
    with pytest.raises(ValueError, match=r"line end|header name|Message-ID") as caught:
        build(replace(PLAIN, **changes))
    assert not isinstance(caught.value, InvalidAddress)


@pytest.mark.parametrize("name", ["From", "DATE", "content-type", "Message-Id", "", "X Y", "X:", "Ü"])
def test_a_header_that_is_no_extra_one(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        build(replace(PLAIN, headers={name: "x"}))


def test_long_and_foreign_extra_headers() -> None:
    long = ", ".join(f"<https://example.org/{n}>" for n in range(100))
    found = parsed(replace(PLAIN, headers={"X-Long": long, "X-Name": "Zoë", "Reply-To": "Zoë <z@é.example>"}))
    assert found["X-Long"].replace("\r\n", "") == long
    assert decoded(found["X-Name"]) == "Zoë"
    assert decoded(found["Reply-To"]) == "Zoë <z@xn--9ca.example>"
    with pytest.raises(ValueError, match="X-Long"):
        build(replace(PLAIN, headers={"X-Long": "x" * 1000}))


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("a@example.org", "", "a@example.org"),
        (" A B <a@example.org>", "A B", "a@example.org"),
        ('"A, \\"B\\"" <a@example.org>', 'A, "B"', "a@example.org"),
        ("Acme, Inc. <a@example.org>", "Acme, Inc.", "a@example.org"),
        ("a@faß.example", "", "a@xn--fa-hia.example"),
        ("a@BÜCHER.example", "", "a@xn--bcher-kva.example"),
        ('"a b"@example.org', "", '"a b"@example.org'),
        ("a@[192.0.2.1]", "", "a@[192.0.2.1]"),
        ("grün@example.org", "", "grün@example.org"),
    ],
)
def test_a_mailbox(value: str, name: str, address: str) -> None:
    found = mailbox(value)
    assert (found.name, found.address) == (name, address)


NO_MAILBOXES = """
a|@example.org|a@|a b@example.org|a@b@example.org|a@exa mple.org|a@-x|a<b@x.org|a>b@x.org|a@x.org>|é@é..org
a@x.org> SIZE=1|a@x.org, b@x.org|a@x.org b@x.org|<>|a@<x.org>|"a@x.org|"a"b"@x.org
"""
ODD = ["", "a@\u2028.org", "a\x01@x.org", "\ud800@x.org", "x" * 400 + "@x.org", "a@" + "é" * 70 + ".org"]


@pytest.mark.parametrize("value", [*re.split(r"[|\n]", NO_MAILBOXES.strip()), *ODD])
def test_what_is_no_mailbox(value: str) -> None:
    with pytest.raises(InvalidAddress):
        mailbox(value)


def test_a_foreign_local_part_is_sent_as_it_is() -> None:
    envelope = Envelope.of(replace(PLAIN, to="grün@example.org"))
    assert envelope.needs_smtputf8
    assert "\r\nTo: grün@example.org\r\n".encode() in envelope.octets
    assert envelope.commands(["8BITMIME", "SIZE"])[0] == (
        f"MAIL FROM:<no-reply@example.org> SIZE={len(envelope.octets)} SMTPUTF8 BODY=8BITMIME"
    )


def test_the_body_leaves_its_last_crlf_to_the_final_dot() -> None:
    body = Envelope.of(replace(PLAIN, html="", text="a\n.\n..b\n")).body
    assert body.endswith(b"\r\n\r\na\r\n..\r\n...b")
