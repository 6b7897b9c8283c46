"""Bounces that come by mail: from the return path in the envelope to the delivery's status and the suppression."""

import json
import os
import signal
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.render import return_path
from apps.notifications.models import Event, ProviderEvent, Suppression
from tests.conftest import post, settled, timeline, wait_until
from tests.environment import ROOT
from tests.support.bounce_mails import exchange, exim, postfix
from tests.support.routes import stored

BOUNCES = "bounces@sender.test"
FORMS = {"postfix": postfix, "exim": exim, "exchange": exchange}


@pytest.fixture
def maildir(tmp_path):
    for name in ("new", "cur", "tmp"):
        (tmp_path / "bounces" / name).mkdir(parents=True)
    return tmp_path / "bounces"


@pytest.fixture
def verp(settings):
    settings.BOUNCE_ADDRESS = BOUNCES


@pytest.fixture
def row(api, user, version, unpublished, verp):
    """An email that the relay accepted."""
    post(api, user, channels=["email"])
    EmailLog.objects.update(status="sent", sent_at=Now(), provider="smtp", attempts=1)
    return EmailLog.objects.get()


def message_id(row):
    return f"<{row.pk}@sender.test>"


def put(maildir, octets, name="1764000002.M1P1.host"):
    (maildir / "new" / name).write_bytes(octets)


def read(maildir):
    out = StringIO()
    call_command("read_bounces", str(maildir), "--json", stdout=out)
    return json.loads(out.getvalue())


def files(maildir):
    return sorted(str(path.relative_to(maildir)) for path in maildir.rglob("*") if path.is_file())


def suppressed():
    return list(Suppression.objects.active().values_list("reason", flat=True))


@pytest.mark.usefixtures("worker", "version")
@pytest.mark.parametrize("form", FORMS)
def test_from_the_envelope_to_the_suppression(form, api, user, smtp, maildir, verp):
    post(api, user, channels=["email"])
    (row,) = settled("sent")
    (mail,) = smtp.wait_for(1)
    assert mail.sender == return_path(row.pk)
    assert mail.sender.startswith(f"bounces+{row.pk.hex}")
    assert len(mail.sender.partition("@")[0]) <= 64
    assert b'From: "Notifier" <notifier@sender.test>' in mail.data

    # The returned part is cut off, so only the address names the delivery.
    put(maildir, FORMS[form](mail.sender, "<lost@relay.test>"))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", ["bounced"])
    assert files(maildir) == ["cur/1764000002.M1P1.host:2,S"]
    assert post(api, user, channels=["email"], request_id="next").json()["data"]["status"] == "skipped"


def test_without_the_setting_bounces_go_to_the_sender(api, user, version, worker, smtp):
    post(api, user, channels=["email"])
    settled("sent")
    assert smtp.wait_for(1)[0].sender == "notifier@sender.test"


@pytest.mark.parametrize("form", FORMS)
def test_the_returned_message_names_its_delivery_too(form, row, maildir, settings):
    settings.BOUNCE_ADDRESS = ""
    put(maildir, FORMS[form]("notifier@sender.test", message_id(row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", ["bounced"])


def test_a_report_that_only_knows_the_message_id_ends_no_address(row, maildir, verp):
    """Anybody who has seen the message could have written it: a real bounce comes to its return path."""
    put(maildir, postfix("bounces@sender.test", message_id(row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", [])


@pytest.mark.parametrize(
    ("mail", "kind", "status", "reasons"),
    [
        (lambda to, i: postfix(to, i, status="5.7.1", reply="smtp; 550 5.7.1 Policy"), "bounced", "bounced", []),
        (lambda to, i: postfix(to, i, reply="smtp; 550 5.7.26 DMARC, user5.1.1"), "bounced", "bounced", []),
        (lambda to, i: postfix(to, i, reply="x-unix; no such user"), "bounced", "bounced", ["bounced"]),
        (lambda to, i: postfix(to, i, status="5.2.2", reply="smtp; 552 5.2.2 Full"), "bounced", "bounced", []),
        (lambda to, i: postfix(to, i, status="4.4.7", reply="smtp; 450 4.1.1 Expired"), "bounced", "bounced", []),
        (
            lambda to, i: postfix(to, i, action="delayed", status="4.4.1", reply="smtp; 450 4.1.1 Wait"),
            "delayed", "sent", [],
        ),
        (
            lambda to, i: postfix(to, i, action="delivered", status="2.0.0", reply="smtp; 250 ok"),
            "delivered", "delivered", [],
        ),
        (lambda to, i: exim(to, i, reply="550 Rejected as spam"), "bounced", "bounced", []),
        (lambda to, i: exchange(to, i, status="5.7.133", reply="550 5.7.133 Not allowed"), "bounced", "bounced", []),
    ],
)  # fmt: skip
def test_what_a_report_makes_of_it(mail, kind, status, reasons, row, maildir):
    put(maildir, mail(return_path(row.pk), message_id(row)))
    assert read(maildir) == {"read": 1, kind: 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == (status, reasons)
    assert [line for line, _ in timeline(row.notification_id)] == ["accepted", kind]
    assert Event.objects.get(kind=kind).data["detail"]


def test_the_same_bounce_twice_changes_nothing(row, maildir):
    for name in ("a", "b"):
        put(maildir, postfix(return_path(row.pk), message_id(row)), name)
    assert read(maildir)["read"] == 2
    put(maildir, postfix(return_path(row.pk), message_id(row)), "a")
    before = stored()
    assert read(maildir) == {"read": 1, "bounced": 1}
    assert stored() == before
    assert files(maildir) == ["cur/a:2,S", "cur/a_:2,S", "cur/b:2,S"]


def test_a_bounce_before_the_record_of_the_send_waits(row, maildir):
    EmailLog.objects.update(status="sending")
    put(maildir, postfix(return_path(row.pk), message_id(row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    assert ProviderEvent.objects.exclude(due_at=None).count() == 1
    assert suppressed() == []


FORGERIES = {
    "another delivery's": lambda row: return_path(row.pk).replace(row.pk.hex, row.notification_id.hex),
    "no proof": lambda row: f"bounces+{row.pk.hex}@sender.test",
    "a wrong proof": lambda row: f"bounces+{row.pk.hex}0123456789ab@sender.test",
    "no token": lambda row: "BOUNCES+x@Sender.Test",
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_return_path_is_put_aside(forgery, row, maildir):
    before = stored()
    # Its Message-ID is right: every recipient of the message knows it.
    put(maildir, postfix(FORGERIES[forgery](row), message_id(row)))
    assert read(maildir) == {"read": 1, "aside": 1}
    assert stored() == before
    assert files(maildir) == [".Aside/new/1764000002.M1P1.host"]


def nested(depth):
    opened = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth)
    )
    return opened.encode() + b"\r\nx\r\n" * 5000


REPORT = (
    b'Content-Type: multipart/report; boundary="b"\r\nTo: <>\r\n\r\n'
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
)
HOSTILE = {
    "empty": b"",
    "a letter": b"From: a@example.com\r\nTo: bounces@sender.test\r\nSubject: Out of office\r\n\r\nGone fishing.",
    "binary": bytes(range(256)) * 1000,
    "huge": b"Subject: x\r\n\r\n" + b"x" * 20_000_000,
    "a huge header": b"To: " + b"x" * 5_000_000,
    "many headers": b"To: a@example.com\r\n" * 300_000,
    "nested": nested(150),
    "nested past all bounds": nested(5000),
    "many parts": b'Content-Type: multipart/report; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 20_000,
    "no boundary": b"Content-Type: multipart/report\r\n\r\nx",
    "a report of nothing": REPORT + b"--b--\r\n",
    "no action": REPORT + b"Reporting-MTA: dns; x\r\n\r\nStatus: 5.1.1\r\n\r\n--b--\r\n",
    "an odd action": REPORT + b"Action: =?utf-8?b?/w==?=\xff\r\nStatus: 5.1.1\r\n\r\n--b--\r\n",
    "failed, nameless": REPORT + b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n",
    "a report that is text": REPORT.replace(b"message/delivery-status", b"text/plain") + b"Action: failed\r\n",
    "brackets in brackets": REPORT + b"Action: " + b"(" * 100_000 + b")" * 100_000 + b"failed\r\n\r\n--b--\r\n",
    "parameters without end": b"Content-Type: multipart/report" + b";" * 250_000 + b"\r\n\r\nx",
    "folded parameters": b"Content-Type: multipart/report" + b";\r\n " * 60_000 + b"\r\n\r\nx",
    "empty lines": b"From: MAILER-DAEMON\r\nReturn-Path: <>\r\n\r\n" + b"\n" * 250_000,
    "replies without end": b"From: MAILER-DAEMON\r\nReturn-Path: <>\r\n\r\n" + b"550 a\n" * 40_000,
    "a broken charset": b"Content-Type: text/plain; charset=\x00\xff\r\nTo: =?nonsense?b?????=\r\n\r\nx",
    "a message in an odd encoding": REPORT + b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
    b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--b--\r\n",
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_bounce_is_put_aside_at_once(kind, row, maildir):
    before = stored()
    put(maildir, HOSTILE[kind])
    assert read(maildir) == {"read": 1, "aside": 1}
    assert stored() == before
    assert (maildir / ".Aside/new/1764000002.M1P1.host").stat().st_size == len(HOSTILE[kind])


def test_one_bad_mail_keeps_no_other(row, maildir):
    put(maildir, HOSTILE["binary"], "a")
    (maildir / "new" / "b").symlink_to("/etc/passwd")
    (maildir / "new" / "c").mkdir()
    put(maildir, postfix(return_path(row.pk), message_id(row)), "d")
    assert read(maildir) == {"read": 2, "aside": 1, "bounced": 1}


def test_a_diagnostic_text_with_nul_and_colour_is_made_plain(row, maildir):
    diagnostic = "smtp; 550 5.1.1 \x00\x1b[31mred " + "x" * 2000
    put(maildir, postfix(return_path(row.pk), message_id(row), reply=diagnostic))
    assert read(maildir)["bounced"] == 1
    detail = Event.objects.get(kind="bounced").data["detail"]
    assert detail.isprintable()
    assert len(detail) == 500


def test_a_folder_that_is_no_maildir_is_a_usage_error(tmp_path, db):
    with pytest.raises(CommandError, match="no maildir") as caught:
        call_command("read_bounces", str(tmp_path))
    assert caught.value.returncode == 2


def test_nothing_new_is_reported_as_such(maildir, db, capsys):
    call_command("read_bounces", str(maildir))
    assert capsys.readouterr().out == "Nothing is new.\n"


@pytest.mark.usefixtures("transactional_db")
def test_it_follows_until_it_is_stopped(row, maildir):
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    environment = {
        **os.environ, "DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}", "BOUNCE_ADDRESS": BOUNCES,
    }  # fmt: skip
    reader = subprocess.Popen(
        [sys.executable, "manage.py", "read_bounces", str(maildir), "--follow"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        put(maildir, HOSTILE["a letter"], "a")
        wait_until(lambda: (maildir / ".Aside/new/a").exists(), seconds=30)
        put(maildir, exim(return_path(row.pk), message_id(row)), "b")
        wait_until(lambda: EmailLog.objects.get().status == "bounced", seconds=30)
        wait_until(lambda: (maildir / "cur/b:2,S").exists())
        reader.send_signal(signal.SIGTERM)
        out, _ = reader.communicate(timeout=30)
    finally:
        reader.kill()
    assert reader.returncode == 0
    assert out == "1 read: 1 aside.\n1 read: 1 bounced.\n"
