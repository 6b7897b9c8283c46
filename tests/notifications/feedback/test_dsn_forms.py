"""Bounces and complaints in the formats of mail servers, gateways and people."""

import base64
import quopri
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.render import return_path
from apps.notifications.models import Event, Suppression
from tests.conftest import post
from tests.notifications.feedback.test_read_bounces import BOUNCES, files, maildir, put, read, suppressed  # noqa: F401

FIELDS = """\
Reporting-MTA: dns; relay.sender.test

Final-Recipient: rfc822; kim@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; 550 5.1.1 nobody of that name here
"""
FROM_THE_SYSTEM = (
    "Return-Path: <>\nFrom: Mail System <mailer-daemon@relay.sender.test>\nSubject: It came back"
)
FROM_A_PERSON = "Return-Path: <lee@example.org>\nFrom: Lee <lee@example.org>\nSubject: Fwd: what is this?"


@pytest.fixture(params=["by its return path", "by its Message-ID"])
def row(request, api, user, version, unpublished, settings):
    """An email that the relay accepted, whose bounce is identified by `request.param`."""
    settings.BOUNCE_ADDRESS = BOUNCES if request.param == "by its return path" else ""
    return sent(api, user)


@pytest.fixture
def proven(api, user, version, unpublished, settings):
    settings.BOUNCE_ADDRESS = BOUNCES
    return sent(api, user)


def sent(api, user):
    post(api, user, channels=["email"])
    EmailLog.objects.update(status="sent", sent_at=Now(), provider="smtp", attempts=1)
    return EmailLog.objects.get()


def part(kind, body, encoding="7bit"):
    octets = body.encode()
    if encoding == "base64":
        body = base64.encodebytes(octets).decode()
    elif encoding == "quoted-printable":
        body = quopri.encodestring(octets).decode()
    return f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}\n"


def several(kind, *parts, boundary="bnd"):
    inner = "".join(f"--{boundary}\n{one}\n" for one in parts)
    return f'Content-Type: {kind}; boundary="{boundary}"\n\n{inner}--{boundary}--\n'


def returned(row, kind="text/rfc822-headers", message_id=None):
    message_id = message_id or f"<{row.pk}@sender.test>"
    return part(kind, f"From: shop@sender.test\nTo: kim@example.com\nMessage-ID: {message_id}\n\n")


def report(row, fields=FIELDS, *, kind="message/delivery-status", encoding="7bit", boundary="in", **of):
    explanation = part("text/plain; charset=us-ascii", "The letter came back.\n")
    return several(
        "multipart/report; report-type=delivery-status",
        explanation, part(kind, fields, encoding), returned(row, **of), boundary=boundary,
    )  # fmt: skip


def mail(row, body, *, head=FROM_THE_SYSTEM):
    to = return_path(row.pk) or "notifier@sender.test"
    return f"{head}\nDelivered-To: {to}\nTo: {to}\nMIME-Version: 1.0\n{body}".replace("\n", "\r\n").encode()


def feedback(row, kind, *, more="", returned_kind="message/rfc822"):
    fields = f"Feedback-Type: {kind}\nUser-Agent: ExampleFBL/1.0\nVersion: 1\n{more}"
    return several(
        "multipart/report; report-type=feedback-report",
        part("text/plain", "A person pressed a button.\n"),
        part("message/feedback-report", fields),
        returned(row, returned_kind),
    )


DEAD = {
    "plain": lambda row: report(row),
    "global": lambda row: report(row, kind="message/global-delivery-status", encoding="8bit"),
    "global, base64": lambda row: report(row, kind="message/global-delivery-status", encoding="base64"),
    "base64": lambda row: report(row, encoding="base64"),
    "quoted-printable": lambda row: report(row, encoding="quoted-printable"),
    "8bit with other letters": lambda row: report(
        row, FIELDS.replace("nobody", "Empfänger unbekannt, nobody"), encoding="8bit"
    ),
    "inside of mixed": lambda row: several("multipart/mixed", report(row), part("text/plain", "Checked.")),
    "twice inside of mixed": lambda row: several(
        "multipart/mixed", several("multipart/mixed", report(row), boundary="m"), part("text/plain", ""), boundary="o"
    ),
    "mixed without a report": lambda row: several(
        "multipart/mixed", part("text/plain", "x"), part("message/delivery-status", FIELDS), returned(row)
    ),
    "no blank line after the message's fields": lambda row: report(row, FIELDS.replace("\n\n", "\n", 1)),
    "three blank lines": lambda row: report(row, FIELDS.replace("\n\n", "\n\n \n\n", 1)),
    "a comment after the action": lambda row: report(row, FIELDS.replace("failed", "Failed (bad mailbox)")),
    "comments in comments": lambda row: report(row, FIELDS.replace("failed", "(so (it) is) failed (x)")),
    "failure": lambda row: report(row, FIELDS.replace("failed", "failure")),
    "a comment in the status": lambda row: report(row, FIELDS.replace("5.1.1\n", "5.1.1 (bad mailbox)\n", 1)),
    "fields in lower case": lambda row: report(row, FIELDS.lower()),
    "supplementary info": lambda row: report(
        row,
        FIELDS.replace("5.1.1\n", "5.0.0\n", 1).replace(
            "Diagnostic-Code: smtp; 550 5.1.1 nobody", "X-Supplementary-Info: <smtp; 550 5.1.1 no such user>"
        ),
    ),
    "text in place of a status": lambda row: report(
        row, FIELDS.replace("5.1.1\n", "5.0.0\n", 1).replace("550 5.1.1 nobody", "550 <a@b>: User unknown")
    ),
    "a folded diagnostic": lambda row: report(row, FIELDS.replace("nobody of", "nobody\n of")),
    "returned global headers": lambda row: report(row, kind="message/global-delivery-status") .replace(
        "text/rfc822-headers", "message/global-headers"
    ),
    "in UTF-16": lambda row: report(row).replace(
        part("message/delivery-status", FIELDS),
        'Content-Type: message/delivery-status; charset="utf-16"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(FIELDS.encode("utf-16")).decode()
        + "\n",
    ),
    "a returned text with a long list": lambda row: report(row)
    + "Parcels:\n" + "".join(f"  - number {number}\n" for number in range(400)),
    "an id without a domain": lambda row: report(row, message_id=f"<{row.pk}@>"),
}  # fmt: skip


@pytest.mark.parametrize("form", DEAD)
def test_a_report_that_ends_an_address(form, row, maildir):  # noqa: F811
    put(maildir, mail(row, DEAD[form](row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", ["bounced"])


FULL_TOO = "\nFinal-Recipient: rfc822; lee@example.com\nAction: failed\nStatus: 5.2.2\n"
KEPT = {
    "two failed, one of them full": lambda row: report(row, FIELDS + FULL_TOO),
    "two failed, the first of them full": lambda row: report(
        row, FIELDS.replace("\n\n", f"\n{FULL_TOO}\n", 1)
    ),
    "two parts, the first of a delay": lambda row: several(
        "multipart/report",
        part("message/delivery-status", FIELDS.replace("failed", "delayed").replace("5.1.1", "4.1.1")),
        part("message/delivery-status", FIELDS),
        returned(row),
    ),
    "two parts, the first of one who is full": lambda row: several(
        "multipart/report",
        part("message/delivery-status", f"Reporting-MTA: dns; x\n{FULL_TOO}"),
        part("message/delivery-status", FIELDS),
        returned(row),
    ),
    "on a block list": lambda row: report(
        row, FIELDS.replace("5.1.1\n", "5.0.0\n", 1).replace("550 5.1.1 nobody", "550 the sender is on a block list")
    ),
    "5.1.3 with a block list": lambda row: report(
        row, FIELDS.replace("5.1.1", "5.1.3").replace("nobody", "refused by a block list, nobody")
    ),
    "a rate": lambda row: report(
        row, FIELDS.replace("5.1.1", "5.2.1").replace("nobody", "this person gets mail too fast just now; nobody")
    ),
    "one of two": lambda row: report(
        row, FIELDS + "\nFinal-Recipient: rfc822; lee@example.com\nAction: delivered\nStatus: 2.0.0\n"
    ),
    "still being tried": lambda row: report(row, FIELDS.replace("5.1.1", "4.1.1").replace("550", "450")),
}  # fmt: skip


@pytest.mark.parametrize("form", KEPT)
def test_a_report_that_ends_none(form, row, maildir):  # noqa: F811
    put(maildir, mail(row, KEPT[form](row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", [])


EXIM = """\
X-Failed-Recipients: kim@example.com
Content-Type: text/plain; charset=us-ascii

A message that was sent could not be delivered.

  kim@example.com
    SMTP error from remote mail server after RCPT TO:<kim@example.com>:
    550 5.1.1 nobody

------ This is a copy of the message, including all the headers. ------

From: Shop <shop@sender.test>
Message-ID: <{row.pk}@sender.test>

Body
"""
QMAIL = """\
Content-Type: text/plain

Hi. This is the qmail-send program at mx.example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<kim@example.com>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Message-ID: <{row.pk}@sender.test>

Body
"""


@pytest.mark.parametrize("form", [EXIM, QMAIL])
def test_a_bounce_without_a_report_bounces_and_ends_no_address(form, row, maildir):  # noqa: F811
    put(maildir, mail(row, form.format(row=row)))
    assert read(maildir) == {"read": 1, "bounced": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("bounced", [])
    detail = Event.objects.get(kind="bounced").data["detail"]
    assert detail in ("550 5.1.1 nobody", "It came back")


def test_a_server_that_names_no_sender(row, maildir):  # noqa: F811
    head = "Return-Path: <MAILER-DAEMON>\nSubject: failure notice"
    put(maildir, mail(row, QMAIL.format(row=row).replace("qmail-send", "yale-send"), head=head))
    assert read(maildir) == {"read": 1, "bounced": 1}


VACATION = (
    "Return-Path: <>\nFrom: Kim <kim@example.com>\nSubject: Undeliverable until Monday: Re: Your parcel\n"
    "Auto-Submitted: auto-replied (vacation)\nIn-Reply-To: <{row.pk}@sender.test>"
)
AWAY = "Content-Type: text/plain\n\n550 5.1.1 was my favourite channel. Your mail was not delivered to my brain.\n"
NOTHING = {
    "a person forwards a bounce": lambda row: mail(
        row,
        several(
            "multipart/mixed",
            part("text/plain", "What does it mean?"),
            part("message/rfc822", mail(row, report(row)).decode()),
            boundary="fw",
        ),
        head=FROM_A_PERSON,
    ),
    "a person forwards its parts": lambda row: mail(
        row, several("multipart/mixed", part("text/plain", "?"), report(row), boundary="fw"), head=FROM_A_PERSON
    ),
    "a server carries a forwarded bounce": lambda row: mail(
        row, several("multipart/mixed", part("message/rfc822", mail(row, report(row)).decode()), boundary="fw")
    ),
    "an answer while away": lambda row: mail(row, AWAY, head=VACATION.format(row=row)),
    "an answer without a mark": lambda row: mail(
        row, AWAY, head="Return-Path: <>\nFrom: Kim <kim@example.com>\nSubject: Away"
    ),
    "it is not spam": lambda row: mail(row, feedback(row, "not-spam")),
    "a virus": lambda row: mail(row, feedback(row, "virus")),
    "a signature": lambda row: mail(row, feedback(row, "auth-failure")),
    "relayed": lambda row: mail(row, report(row, FIELDS.replace("failed", "relayed"))),
    "expanded": lambda row: mail(row, report(row, FIELDS.replace("failed", "expanded"))),
    "failed in a comment": lambda row: mail(row, report(row, FIELDS.replace("failed", "relayed (failed)"))),
    "a receipt of reading": lambda row: mail(
        row, report(row).replace("message/delivery-status", "message/disposition-notification")
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", NOTHING)
def test_what_ends_nothing(form, row, maildir):  # noqa: F811
    put(maildir, NOTHING[form](row))
    assert read(maildir) == {"read": 1, "aside": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("sent", [])
    assert files(maildir)[0].startswith(".Aside/")


@pytest.mark.parametrize("of", ["message/rfc822", "text/rfc822-headers", "message/global"])
def test_a_complaint(of, row, maildir):  # noqa: F811
    put(maildir, mail(row, feedback(row, "abuse", returned_kind=of)))
    assert read(maildir) == {"read": 1, "complained": 1}
    row.refresh_from_db()
    assert (row.status, suppressed()) == ("sent", ["complaint"])


def test_a_complaint_that_names_the_return_path_alone(proven, maildir):  # noqa: F811
    more = f"Original-Mail-From: <{return_path(proven.pk)}>\n"
    complaint = feedback(proven, "Abuse (a button)", more=more).replace(str(proven.pk), "redacted")
    octets = mail(proven, complaint).replace(return_path(proven.pk).encode(), b"fbl@sender.test", 2)
    put(maildir, octets)
    assert read(maildir) == {"read": 1, "complained": 1}
    assert suppressed() == ["complaint"]


DISABLED = (
    FIELDS.replace("5.1.1", "4.2.1")
    .replace("550", "452")
    .replace("nobody of that name here", "mailbox disabled")
)


def test_a_mailbox_that_is_disabled_for_now_on_two_days(proven, api, user, maildir):  # noqa: F811
    put(maildir, mail(proven, report(proven, DISABLED)), "a")
    assert read(maildir) == {"read": 1, "bounced": 1}
    assert suppressed() == []

    for days, reasons in ((15, []), (1, ["bounced"])):
        Event.objects.filter(kind="bounced").update(at=Now() - timedelta(days=days))
        EmailLog.objects.filter(pk=proven.pk).update(status="bounced")
        post(api, user, channels=["email"], request_id=f"next-{days}")
        later = EmailLog.objects.exclude(pk=proven.pk).latest("id")
        EmailLog.objects.filter(pk=later.pk).update(status="sent", sent_at=Now())
        put(maildir, mail(later, report(later, DISABLED)), f"b{days}")
        assert read(maildir) == {"read": 1, "bounced": 1}
        assert suppressed() == reasons
        Event.objects.filter(kind="bounced", delivery_id=later.pk).delete()
    assert Suppression.objects.get().detail.startswith("4.2.1 452")
