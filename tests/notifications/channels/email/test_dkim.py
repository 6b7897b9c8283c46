"""DKIM signatures that another implementation of RFC 6376 verifies, over every message that can be built."""

import base64
import email
from dataclasses import replace
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.channels.email.dkim import Signer
from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import build
from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import Result
from tests.support.smtp_server import ScriptedSmtpServer

MESSAGE = EmailMessage(
    message_id="<1@example.org>",
    sender="Zoë <no-reply@example.org>",
    to="ada@example.net",
    subject="Hello",
    html="<p>Hello  \t Ada </p>\n\n\n",
    text=".Hello\n..\n \n",
    headers={"List-Unsubscribe": "<https://example.org/u>"},
)
KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def signer_of(kind: str) -> Signer:
    return Signer("example.org", "s1", KEYS[kind])


def accepted(message: bytes, kind: str) -> bool:
    public = KEYS[kind].public_key()
    raw = (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        if kind == "ed25519"
        else public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    record = f"v=DKIM1; k={kind}; p={base64.b64encode(raw).decode()}".encode()
    return dkim.verify(
        message, dnsfunc=lambda name, timeout=5: record if name == b"s1._domainkey.example.org." else b""
    )


@pytest.mark.parametrize("kind", KEYS)
def test_it_is_accepted_and_a_changed_message_is_not(kind):
    signed = signer_of(kind).signed(build(MESSAGE))
    assert accepted(signed, kind)
    for before, after in (
        (b"Hello", b"Goodbye"),
        (b"ada@example.net", b"eve@example.net"),
        (b"\r\nSubject:", b"\r\nFrom: eve@example.net\r\nSubject:"),
        (b"example.org/u", b"example.com/u"),
    ):
        assert before in signed
        assert not accepted(signed.replace(before, after, 1), kind), after
    assert all(len(line) < 120 for line in signed.partition(b"\r\nDate")[0].split(b"\r\n"))


@given(text=st.text(max_size=300), subject=st.text(st.characters(exclude_characters="\r\n\0"), max_size=120))
def test_whatever_it_says(text, subject):
    message = replace(MESSAGE, text=text, subject=subject, html="")
    assert accepted(signer_of("rsa").signed(build(message)), "rsa")


def key_file(tmp_path: Path, key: object) -> Path:
    path = tmp_path / "dkim.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # type: ignore[attr-defined]
    return path


def test_what_a_relay_gets_is_signed(tmp_path):
    path = key_file(tmp_path, KEYS["rsa"])
    with ScriptedSmtpServer() as server:
        url = f"{server.url}?tls=none&dkim_domain=example.org&dkim_selector=s1&dkim_key={path}"
        provider = SmtpProvider("smtp", SmtpSettings.from_url(url))
        assert provider.send(MESSAGE, may_commit=lambda: True).result is Result.SENT
        provider.close()
        taken = server.wait_for(1)[0].data
    assert accepted(taken, "rsa")
    assert email.message_from_bytes(taken)["Subject"] == "Hello"


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("name", ["Auto-Submitted", "List-Id", "Feedback-ID", "List-Unsubscribe-Post"])
def test_what_a_mail_says_of_itself_is_signed(name, kind):
    signed = signer_of(kind).signed(build(replace(MESSAGE, headers={name: "first-words"})))
    assert accepted(signed, kind)
    assert not accepted(signed.replace(b"first-words", b"other-words", 1), kind)


@pytest.mark.parametrize("to", ["用户@例え.テスト", '"a<b"@example.com', "pelé@example.com"])
def test_whoever_it_is_to(to):
    assert accepted(signer_of("rsa").signed(build(replace(MESSAGE, to=to))), "rsa")


def test_a_domain_in_any_alphabet_is_signed_for_as_from_has_it(tmp_path):
    path = key_file(tmp_path, KEYS["rsa"])
    assert Signer.of("bücher.example", "s1", str(path)).domain == "xn--bcher-kva.example"
    with pytest.raises(ValueError, match="DKIM domain"):
        Signer.of("bü_cher..example", "s1", str(path))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("dkim_domain=example.org", "all of dkim_domain"),
        ("dkim_domain=no/name&dkim_selector=s1&dkim_key=KEY", "DKIM domain"),
        ("dkim_domain=example.org&dkim_selector=s 1&dkim_key=KEY", "DKIM selector"),
        ("dkim_domain=example.org&dkim_selector=s1&dkim_key=/nowhere", "/nowhere can't be used"),
        ("dkim_domain=example.org&dkim_selector=s1&dkim_key=CURVE", "neither RSA nor Ed25519"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(options, sentence, tmp_path):
    if "CURVE" in options:
        path = key_file(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    else:
        path = key_file(tmp_path, KEYS["rsa"])
    for word in ("KEY", "CURVE"):
        options = options.replace(f"dkim_key={word}", f"dkim_key={path}")
    with pytest.raises(ValueError, match=sentence):
        SmtpSettings.from_url(f"smtp://relay/?{options}")
