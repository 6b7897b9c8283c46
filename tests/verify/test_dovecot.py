"""Bounces out of a real Dovecot: over TLS, with a password or an access token, and each once whatever dies."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db.models.functions import Now

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.render import return_path
from apps.notifications.models import Event, ImapFolder, Suppression
from scripts.private_services.process import free_port
from tests.conftest import post, wait_until
from tests.support.bounce_mails import postfix
from tests.support.bounce_reader import BOUNCES, ended, run, start
from tests.support.gateway import Gateway
from tests.support.routes import stored
from tests.verify.dovecot import PASSWORD, USER, Dovecot, missing, token

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.django_db(transaction=True),
]
OUT_OF_OFFICE = (
    b"From: a@example.com\r\nTo: bounces@sender.test\r\nSubject: Out of office\r\n\r\nGone fishing.\r\n"
)


def certificate(*, days: int = 1, name: str = "localhost") -> tuple[bytes, bytes]:
    """A throw-away certificate that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture
def dovecot():
    with Dovecot(free_port(), free_port(), *certificate()) as server:
        yield server


@pytest.fixture
def row(api, user, version, unpublished, settings):
    settings.BOUNCE_ADDRESS = BOUNCES
    post(api, user, channels=["email"])
    EmailLog.objects.update(status="sent", sent_at=Now(), provider="smtp", attempts=1)
    return EmailLog.objects.get()


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def url(dovecot, password_file):
    """Of a folder; with other options, or over a gateway on `port` in the clear."""

    def made(folder="INBOX", port=0, **options):
        options = {"password_file": password_file, "ca": dovecot.ca_file, "every": 1, **options}
        scheme, where = ("imap", port) if port else ("imaps", dovecot.tls_port)
        if port:
            options["tls"] = "none"
        query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items() if value)
        return f"{scheme}://{quote(USER)}@localhost:{where}/{quote(folder)}?{query}"

    return made


def bounce(row, *, reply="smtp; 550 5.1.1 User unknown", **fields):
    return postfix(return_path(row.pk), f"<{row.pk}@sender.test>", reply=reply, **fields)


def delayed(row, number):
    return bounce(
        row, action="delayed", status="4.4.1", reply=f"smtp; 450 4.4.1 Wait, for the {number}th time"
    )


def put(dovecot, *mails, folder="INBOX"):
    client = dovecot.client()
    for mail in mails:
        assert client.append(folder, None, None, mail)[0] == "OK"
    client.logout()


def mails(dovecot, folder="INBOX"):
    """The flags of each."""
    client = dovecot.client()
    kind, count = client.select(folder, readonly=True)
    if kind != "OK" or count == [b"0"]:
        client.logout()
        return []
    _, found = client.fetch("1:*", "(FLAGS)")
    client.logout()
    return [set(re.findall(r"\\(\w+)", str(one, "ascii"))) - {"Recent"} for one in found if one]


def counts(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOGINS = ["a file", "the environment", "a token's file", "a token's command"]


@pytest.mark.parametrize("tls", ["from the start", "STARTTLS"])
@pytest.mark.parametrize("login", LOGINS)
def test_a_folder_is_read_over_tls(tls, login, row, dovecot, url, tmp_path):
    path = tmp_path / "access token"
    path.write_text(token())
    options = {
        "a file": {},
        "the environment": {"password_file": "", "password_env": "BOUNCES_PASSWORD"},
        "a token's file": {"password_file": "", "token_file": path},
        "a token's command": {"password_file": "", "token_command": f"cat '{path}'"},
    }[login]
    source = url(**options)
    if tls == "STARTTLS":
        source = source.replace(
            f"imaps://{quote(USER)}@localhost:{dovecot.tls_port}",
            f"imap://{quote(USER)}@localhost:{dovecot.plain_port}",
        )
    put(dovecot, OUT_OF_OFFICE, bounce(row))
    done = run(source, "--json", BOUNCES_PASSWORD=PASSWORD)
    assert counts(done) == {"read": 2, "aside": 1, "bounced": 1}
    assert EmailLog.objects.get().status == "bounced"
    assert Suppression.objects.active().count() == 1
    assert (mails(dovecot), mails(dovecot, "Aside")) == ([{"Seen"}], [set()])
    assert counts(run(source, "--json", BOUNCES_PASSWORD=PASSWORD)) == {"read": 0}


def of_token(path, text):
    path.write_text(text)
    return {"password_file": "", "token_file": path}


REFUSED = {
    "a wrong password": lambda path: path.write_text("wrong") and {},
    "no password": lambda path: {"password_file": f"{path}.none"},
    "an empty one": lambda path: path.write_text("\n") and {},
    "a token that has ended": lambda path: of_token(path, token(seconds=-9)),
    "a token of another": lambda path: of_token(path, token("eve@sender.test")),
    "a token of nobody's": lambda path: of_token(path, token(key=b"x" * 32)),
    "a command that fails": lambda path: {"token_command": "false", "password_file": ""},
    "an unknown authority": lambda path: {"ca": ""},
    "no such folder": lambda path: {"folder": "Nowhere"},
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused_is_said_in_a_sentence(why, row, dovecot, url, password_file):
    options = REFUSED[why](password_file)
    put(dovecot, bounce(row))
    done = run(url(**options))
    assert done.returncode == 1
    assert done.stderr.startswith(b"CommandError: Not everything was read: "), done.stderr
    assert done.stderr.count(b"\n") == 1
    assert PASSWORD.encode() not in done.stderr
    assert b"ey" + b"J" not in done.stderr, "a token"
    assert mails(dovecot) == [set()]


@pytest.mark.parametrize("fields", [{"days": -1}, {"name": "elsewhere.test"}])
def test_a_wrong_certificate_is_refused(fields, row, tmp_path, password_file):
    octets, key = certificate(**fields)
    with Dovecot(free_port(), free_port(), octets, key, checked=False) as server:
        source = (
            f"imaps://{USER}@localhost:{server.tls_port}/?password_file={password_file}&ca={server.ca_file}"
        )
        for one in (
            source,
            source.replace("imaps", "imap").replace(str(server.tls_port), str(server.plain_port)),
        ):
            done = run(one)
            assert done.returncode == 1
            assert b"certificate" in done.stderr
        assert "Login: user" not in server.log().rpartition("Disconnected: Logged out")[2]


def test_a_folder_made_anew_is_read_anew_and_nothing_twice(row, dovecot, url):
    source = url("Zurück & weg")
    client = dovecot.client()

    def folder_with(*octets):
        client.delete('"Zur&APw-ck &- weg"')
        assert client.create('"Zur&APw-ck &- weg"')[0] == "OK"
        put(dovecot, *octets, folder='"Zur&APw-ck &- weg"')

    folder_with(delayed(row, 1), delayed(row, 2))
    assert counts(run(source, "--json"))["read"] == 2
    before = ImapFolder.objects.get()
    timeline = list(Event.objects.values())
    folder_with(delayed(row, 2), delayed(row, 1))
    assert counts(run(source, "--json"))["read"] == 2
    assert ImapFolder.objects.get().uid_validity != before.uid_validity
    assert list(Event.objects.values()) == timeline
    put(dovecot, bounce(row), folder='"Zur&APw-ck &- weg"')
    assert counts(run(source, "--json")) == {"read": 1, "bounced": 1}
    client.logout()


def test_killed_between_commit_and_marking_it_records_nothing_twice(row, dovecot, url):
    put(dovecot, bounce(row), OUT_OF_OFFICE)
    with Gateway("127.0.0.1", dovecot.plain_port, hold=b" STORE ") as gateway:
        reader = start(url(port=gateway.port))
        try:
            assert gateway.held.wait(60), reader.communicate(timeout=5)
        finally:
            ended(reader, signal.SIGKILL)
    assert EmailLog.objects.get().status == "bounced"
    assert mails(dovecot) == [set(), set()]
    before = [rows for name, rows in stored().items() if name != "ImapFolder"]
    # Another name for the same server is another folder, so the same way is taken again.
    with Gateway("127.0.0.1", dovecot.plain_port) as second:
        folder = ImapFolder.objects.get()
        folder.name = folder.name.replace(str(gateway.port), str(second.port))
        assert list(folder.unfiled) == ["1"]
        # The reader that was about to is silent for long.
        folder.unfiled["1"] = 0
        folder.save()
        assert counts(run(url(port=second.port), "--json")) == {"read": 1, "aside": 1}
    assert [rows for name, rows in stored().items() if name != "ImapFolder"] == before
    assert (mails(dovecot), mails(dovecot, "Aside")) == ([{"Seen"}], [set()])


def test_it_follows_through_a_restart(row, dovecot, url):
    reader = start(url(done="Read"), "--follow")
    try:
        put(dovecot, delayed(row, 1))
        wait_until(lambda: Event.objects.filter(kind="delayed").count() == 1, seconds=60)
        dovecot.stop()
        dovecot.start()
        put(dovecot, delayed(row, 2), bounce(row))
        wait_until(lambda: EmailLog.objects.get().status == "bounced", seconds=60)
        wait_until(lambda: mails(dovecot) == [], seconds=30)
        code, _, err = ended(reader, signal.SIGTERM)
    finally:
        reader.kill()
        reader.communicate()
    assert code == 0, err
    assert Event.objects.filter(kind="delayed").count() == 2


def test_two_at_once_record_each_mail_once(row, dovecot, url):
    put(dovecot, *(delayed(row, number) for number in range(40)), *[OUT_OF_OFFICE] * 5)
    readers = [start(url(), "--json") for _ in range(2)]
    read = [json.loads(reader.communicate(timeout=120)[0])["read"] for reader in readers]
    assert sum(read) == 45
    assert Event.objects.filter(kind="delayed").count() == 40
    assert mails(dovecot) == [{"Seen"}] * 40
    assert mails(dovecot, "Aside") == [set()] * 5


def test_of_a_huge_mail_the_first_part_is_fetched(row, dovecot, url):
    put(dovecot, b"Subject: x\r\n\r\n" + b"x" * 50 + (b"y" * 998 + b"\r\n") * 20_000, bounce(row))
    assert counts(run(url(), "--json")) == {"read": 2, "aside": 1, "bounced": 1}
    transferred = [int(one) for one in re.findall(r" out=(\d+)", dovecot.log())]
    assert max(transferred) < 1_000_000
