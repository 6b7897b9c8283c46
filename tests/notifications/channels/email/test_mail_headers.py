"""The headers that describe a mail, through a relay and through services' APIs."""

import email
import email.policy
import re

import pytest

from apps.notifications.channels.email.providers.registry import KINDS
from apps.notifications.routing import accounts
from apps.users.models import Category
from tests.conftest import post, settled
from tests.support.factories import EMAIL_EN, template_with
from tests.support.far_ends import FAR_ENDS

pytestmark = pytest.mark.usefixtures("worker")
LIST_ID = re.compile(r"<[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*>")
PUBLIC = "https://notify.example.com"


@pytest.fixture(autouse=True)
def public_url(settings):
    settings.PUBLIC_URL = PUBLIC


@pytest.fixture
def news(organization):
    return Category.objects.create(organization=organization, code="news", name="News")


def sent(smtp):
    (message,) = smtp.wait_for(1)
    return email.message_from_bytes(message.data, policy=email.policy.default)


def to_a_user(api, user):
    post(api, user, channels=["email"])


def to_an_address(api, user):
    post(api, recipient={"email": "grace@example.com"}, channels=["email"])


RECIPIENTS = pytest.mark.parametrize("tell", [to_a_user, to_an_address])


@RECIPIENTS
def test_a_mail_without_a_category_says_that_it_is_automatic_and_no_more(tell, api, user, version, smtp):
    tell(api, user)
    message = sent(smtp)
    assert message["Auto-Submitted"] == "auto-generated"
    assert [
        message[name] for name in ("List-Id", "Feedback-ID", "List-Unsubscribe", "List-Unsubscribe-Post")
    ] == [None] * 4


@RECIPIENTS
def test_a_mail_of_a_category_names_it_and_can_be_refused(tell, api, user, news, organization, smtp):
    template_with(organization, EMAIL_EN, category=news)
    tell(api, user)
    message = sent(smtp)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<news.acme.sender.test>"
    assert message["Feedback-ID"] == "news:acme:notification:notifier"
    assert re.fullmatch(rf"<{PUBLIC}/(preferences|unsubscribe)/\S+/>", message["List-Unsubscribe"])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@RECIPIENTS
def test_what_can_t_be_refused_has_no_way_to(tell, api, user, news, organization, smtp):
    Category.objects.update(mandatory=True)
    template_with(organization, EMAIL_EN, category=news)
    tell(api, user)
    message = sent(smtp)
    assert (message["Auto-Submitted"], message["List-Id"]) == ("auto-generated", "<news.acme.sender.test>")
    assert (message["List-Unsubscribe"], message["List-Unsubscribe-Post"]) == (None, None)


@pytest.mark.parametrize("code", ["news", "a.b", "a..b", "news.", "a...", "n-_.", "7", "a_b-c.d.e"])
def test_a_list_id_is_one_whatever_the_category_is_called(code, api, user, organization, smtp):
    category = Category.objects.create(organization=organization, code=code, name="X")
    template_with(organization, EMAIL_EN, category=category)
    post(api, user, channels=["email"])
    message = sent(smtp)
    assert LIST_ID.fullmatch(message["List-Id"]), message["List-Id"]
    assert len(message["Feedback-ID"].split(":")) == 4
    # SpamAssassin's LIST_PARTIAL_SHORT_MSG: a header to unsubscribe by, and no List-Id.
    assert message["List-Unsubscribe"]


@pytest.mark.parametrize(
    ("given", "shown", "domain"),
    [
        ("Acme, Inc. <news@sender.test>", '"Acme, Inc." <news@sender.test>', "sender.test"),
        ('"Acme, Inc." <news@sender.test>', '"Acme, Inc." <news@sender.test>', "sender.test"),
        ("[Prod] Alerts <news@sender.test>", '"[Prod] Alerts" <news@sender.test>', "sender.test"),
        ("Büro <news@bücher.example>", "Büro <news@xn--bcher-kva.example>", "xn--bcher-kva.example"),
        ("news@bücher.example", "news@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("=?utf-8?q?B=C3=BCro?= <news@sender.test>", "Büro <news@sender.test>", "sender.test"),
        ("News <news@[192.0.2.1]>", "News <news@[192.0.2.1]>", "[192.0.2.1]"),
        ('"a@b" <news@sender.test>', '"a@b" <news@sender.test>', "sender.test"),
        ("<news@sender.test>", "news@sender.test", "sender.test"),
        ('News <"a@b"@sender.test>', 'News <"a@b"@sender.test>', "sender.test"),
    ],
)
def test_any_sender_has_a_message_id_of_its_domain(
    given, shown, domain, api, user, news, organization, smtp, settings
):
    settings.EMAIL_FROM = given
    template_with(organization, EMAIL_EN, category=news)
    post(api, user, channels=["email"])
    (row,) = settled("sent")
    message = sent(smtp)
    assert str(message["From"]) == shown
    assert message["Message-ID"] == f"<{row.pk}@{domain}>"
    assert LIST_ID.fullmatch(message["List-Id"])


SERVICES = [kind.name for kind in KINDS if kind.name != "smtp"]
SET_BY_ITSELF = {"mailjet": ("Message-I", "List-Id", "<news.acme.")}
"""Headers with which the service refuses a message."""


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("sender", ["Acme, Inc. <news@sender.test>", "[Prod] Alerts <news@bücher.example>"])
def test_services_are_told_the_same(name, sender, api, user, news, organization, settings, tmp_path):
    settings.EMAIL_FROM = sender
    template_with(organization, EMAIL_EN, category=news)
    with FAR_ENDS[name]("email", tmp_path) as service:
        settings.EMAIL_PROVIDER_URL = service.url()
        accounts.close_all()
        to_an_address(api, user)
        settled("sent")
        assert service.requests == 1
        sent = service.heard()
        accounts.close_all()
    refused = SET_BY_ITSELF.get(name, ())
    assert not any(f'"{part}' in sent for part in refused)
    for part in (
        "Auto-Submitted", "auto-generated", "List-Id", "<news.acme.", "Feedback-I", "news:acme:notification:notifier",
        "List-Unsubscribe", f"<{PUBLIC}/unsubscribe/", "List-Unsubscribe-Post", "List-Unsubscribe=One-Click",
        "Message-I",
    ):  # fmt: skip
        assert part in refused or part in sent, part
