"""Unsubscribing an address that belongs to no user, by the link of a mailbox's button (RFC 8058)."""

import email
import email.policy
import re
import uuid

import pytest
from django.test import Client

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Suppression
from apps.users.models import Category, NotificationPreference
from apps.users.preferences import links, preference_page, translations
from apps.users.recipient_hashes import recipient_hash
from notifier.configuration.logging import mask
from tests.conftest import client_for, post
from tests.support.factories import EMAIL_EN, OrganizationFactory, UserFactory, template_with

PUBLIC = "https://notify.example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
ADDRESS = "grace@example.com"


@pytest.fixture(autouse=True)
def public_url(settings):
    settings.PUBLIC_URL = PUBLIC
    settings.ALLOWED_HOSTS = ["testserver"]


@pytest.fixture
def news(organization):
    return Category.objects.create(organization=organization, code="news", name="News & <offers>")


@pytest.fixture
def browser():
    """A client that enforces CSRF as in production; the page needs no token."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def page(organization, news):
    return page_of(organization, news)


def page_of(organization, category, address=ADDRESS):
    hashed = recipient_hash("email", address)
    return links.page_for_address(organization.pk, category.pk, hashed).removeprefix(PUBLIC)


def status(answer):
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]["deliveries"][0]["status"]


@pytest.mark.usefixtures("worker")
def test_the_button_of_a_mail_works(api, organization, news, smtp, browser):
    contents = {**EMAIL_EN, "text": "{{ unsubscribe_url }}"}
    template_with(organization, contents, category=news)
    post(api, recipient={"email": ADDRESS}, channels=["email"])
    (caught,) = smtp.wait_for(1)
    message = email.message_from_bytes(caught.data, policy=email.policy.default)
    link = re.fullmatch(r"<(\S+)>", message["List-Unsubscribe"])[1]
    assert message.get_body(("plain",)).get_content().strip() == link
    assert ADDRESS not in link

    answer = browser.post(link.removeprefix(PUBLIC), ONE_CLICK)

    assert answer.status_code == 200
    assert "set-cookie" not in {name.lower() for name in answer.headers}
    row = Suppression.objects.get()
    assert (row.recipient, row.reason, row.created_by) == (ADDRESS, "unsubscribed", "recipient")
    assert status(post(api, recipient={"email": "GRACE@example.com"}, channels=["email"])) == "skipped"
    # Other organizations' mail to it, and this organization's to others, is still sent.
    assert status(post(api, recipient={"email": "eve@example.com"}, channels=["email"])) == "queued"
    other = OrganizationFactory()
    template_with(other, EMAIL_EN)
    answer = post(client_for(other), recipient={"email": ADDRESS}, channels=["email"])
    assert status(answer) == "queued"


def test_opening_it_changes_nothing(browser, page):
    for answer in (browser.get(page), browser.head(page), browser.get(page + "?List-Unsubscribe=One-Click")):
        assert answer.status_code == 200
    assert browser.post(page, {"something": "else"}).status_code == 200
    assert not Suppression.objects.exists()


def test_the_page_has_a_button_and_says_what_it_did(browser, page):
    shown = browser.get(page)
    assert "Stop these emails" in shown.content.decode()
    assert "from Acme" in shown.content.decode()
    assert shown.headers["Cache-Control"] == "no-store"
    done = browser.post(page, {**ONE_CLICK, "by_hand": "1"}).content.decode()
    assert "Acme sends nothing to this address any more" in done
    assert "Stop these emails" not in done
    assert "Stop these emails" not in browser.get(page).content.decode()


def test_twice_is_once(browser, page):
    for _ in range(3):
        assert browser.post(page, ONE_CLICK).status_code == 200
    assert Suppression.objects.count() == 1


def test_whoever_is_a_user_by_now_refuses_the_category_alone(api, browser, organization, news, page, version):
    post(api, recipient={"email": ADDRESS}, channels=["email"])
    assert EmailLog.objects.exists()
    person = UserFactory(organization=organization, email="Grace@example.com")
    assert "News &amp; &lt;offers&gt;" in browser.post(page, ONE_CLICK).content.decode()
    assert not Suppression.objects.exists()
    choice = NotificationPreference.objects.get(user=person)
    assert (choice.category, choice.channel, choice.enabled, choice.source) == (
        news,
        "email",
        False,
        "one_click",
    )


def test_what_became_mandatory_is_not_refused(browser, page):
    Category.objects.update(mandatory=True)
    assert "can&#x27;t be stopped" in browser.post(page, ONE_CLICK).content.decode()
    assert not Suppression.objects.exists()


def test_a_category_that_is_gone_keeps_nobody_from_refusing(browser, page):
    Category.objects.all().delete()
    assert browser.post(page, ONE_CLICK).status_code == 200
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize(
    "how", ["cut", "another signature", "a person's", "nonsense", "switched off", "unknown"]
)
def test_no_other_link_works(how, browser, page, organization, news, user):
    token = page.split("/")[2]
    if how == "switched off":
        organization.is_active = False
        organization.save()
    other = {
        "cut": token[:-2],
        "another signature": f"{token.partition(':')[0]}:{'A' * 43}",
        "a person's": links.page_for(user.pk, news.pk).removeprefix(PUBLIC).split("/")[2],
        "nonsense": "x",
        "switched off": token,
        "unknown": links.page_for_address(uuid.uuid4(), news.pk, "0" * 64).removeprefix(PUBLIC).split("/")[2],
    }[how]
    for answer in (browser.get(f"/unsubscribe/{other}/"), browser.post(f"/unsubscribe/{other}/", ONE_CLICK)):
        assert answer.status_code == 404
    assert not Suppression.objects.exists()
    # Nor does this link open a user's preference page.
    assert browser.get(f"/preferences/{token}/").status_code == 404


def test_clicks_of_one_address_are_bounded_and_anothers_are_not_theirs(
    browser, page, organization, news, monkeypatch
):
    monkeypatch.setattr(preference_page, "CLICKS_A_MINUTE", 3)
    answers = [browser.post(page, ONE_CLICK) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429]
    assert int(answers[-1]["Retry-After"]) >= 1
    assert browser.post(page_of(organization, news, "eve@example.com"), ONE_CLICK).status_code == 200


@pytest.mark.parametrize("language", translations.TRANSLATIONS)
def test_it_speaks_the_browsers_language(language, browser, page):
    shown = browser.get(page, headers={"Accept-Language": f"{language}-XX"}).content.decode()
    assert f'<html lang="{language}">' in shown
    done = browser.post(page, ONE_CLICK, headers={"Accept-Language": f"{language}-XX"}).content.decode()
    notice = (
        translations.TRANSLATIONS[language]["stopped_all"].format(organization="Acme").replace("'", "&#x27;")
    )
    assert notice in done


def test_a_log_line_has_it_masked(page):
    token = page.split("/")[2]
    assert token not in mask(f"GET {page}")
