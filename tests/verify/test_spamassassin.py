"""SpamAssassin's score of the product's mails, by its own rules and without network tests."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.users.models import Category
from tests.conftest import deliver, post
from tests.support.factories import template_with

pytestmark = [
    pytest.mark.skipif(not shutil.which("spamassassin"), reason="SpamAssassin is not installed."),
    pytest.mark.usefixtures("transactional_db", "unpublished"),
]
MOST = 0.5
TEXT = (
    "Hello {{ name }},\n\nyour parcel is on its way and will be with you on Thursday. You can follow it on our page, "
    "and change the day there if nobody is at home. Reply to this mail if anything is missing.\n\nYour shop\n"
)
CONTENT = {
    "channel": "email",
    "language": "en",
    "subject": "Your parcel is on its way, {{ name }}",
    "text": TEXT,
    "html": "<html><head><title>Your parcel</title></head><body><p>"
    + TEXT.replace("\n\n", "</p><p>").replace("\n", "<br>")
    + "</p></body></html>",
}


@pytest.fixture
def templates(organization, settings):
    settings.PUBLIC_URL = "https://notify.example.com"
    settings.EMAIL_FROM = "Shop <shop@sender.test>"
    news = Category.objects.create(organization=organization, code="news", name="News")
    template_with(organization, CONTENT, code="with-category", category=news)
    template_with(organization, CONTENT, code="transactional")


def judged(octets):
    """(the score, the names of the rules that matched)"""
    done = subprocess.run(
        ["spamassassin", "-L", "-x", "-t"], input=octets, capture_output=True, timeout=120, check=True
    )
    report = done.stdout.decode("utf-8", "replace").replace("\n\t", " ")
    found = re.search(
        r"^X-Spam-Status: \w+, score=(-?[0-9.]+) .*?tests=(.*?) autolearn", report, re.MULTILINE
    )
    assert found, report[:2000]
    return float(found[1]), found[2]


KINDS = {
    "a category mail to a user": lambda user: {"user_id": str(user.pk), "template_code": "with-category"},
    "a category mail to a bare address": lambda _: {
        "recipient": {"email": "grace@example.com"}, "template_code": "with-category",
    },
    "a transactional mail to a user": lambda user: {"user_id": str(user.pk), "template_code": "transactional"},
    "a transactional mail to a bare address": lambda _: {
        "recipient": {"email": "grace@example.com"}, "template_code": "transactional",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_none_of_our_mails_looks_like_spam(kind, api, user, smtp, templates):
    assert post(api, channels=["email"], variables={"name": "Ada"}, **KINDS[kind](user)).status_code == 202
    deliver("email", [str(EmailLog.objects.get().pk)])
    (mail,) = smtp.wait_for(1)
    # As it stands in the mailbox. An address of a documentation network would be held against it.
    received = (
        f"Return-Path: <{mail.sender}>\r\n"
        "Received: from relay.sender.test (relay.sender.test [93.184.215.14]) by mx.example.com (Postfix) with ESMTPS"
        f" id 4ABC for <{mail.recipients[0]}>; {format_datetime(datetime.now(UTC))}\r\n"
    )
    score, rules = judged(received.encode() + mail.data)
    assert score <= MOST, rules


def test_it_does_tell_spam(db):
    score, _ = judged(
        b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\nMessage-ID: <1@example.com>\r\n\r\n"
        b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
    )
    assert score > 100
