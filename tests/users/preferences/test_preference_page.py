"""The preference page behind a message's signed link, and the one-click unsubscribe of mailboxes (RFC 8058)."""

import email
import email.policy
import re

import pytest
from django.test import Client
from django.urls import reverse

from apps.notifications.channels.email.log import EmailLog
from apps.users.models import Category, NotificationPreference
from apps.users.preferences import links, translations
from notifier.channels.registry import CODES
from notifier.configuration.logging import mask
from tests.conftest import post, settled
from tests.support.factories import EMAIL_EN, PUSH_EN, OrganizationFactory, UserFactory, template_with
from tests.support.routes import stored

PUBLIC = "https://notify.example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture(autouse=True)
def public_url(settings):
    settings.PUBLIC_URL = PUBLIC
    settings.ALLOWED_HOSTS = ["testserver", "notify.example.com"]


@pytest.fixture
def news(organization):
    return Category.objects.create(organization=organization, code="news", name="News & <offers>")


@pytest.fixture
def security(organization):
    return Category.objects.create(
        organization=organization, code="security", name="Security", mandatory=True
    )


@pytest.fixture
def browser():
    """Checks for tokens as in production; the page needs none."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def page(user, news):
    return path_of(links.page_for(user.pk, news.pk if news else None))


def path_of(address):
    assert address.startswith(f"{PUBLIC}/")
    return address.removeprefix(PUBLIC)


def stored_choices(user):
    """The person's stored choices, by (category, channel): (enabled, source)."""
    rows = NotificationPreference.objects.filter(user=user).select_related("category")
    return {(row.category and row.category.code, row.channel): (row.enabled, row.source) for row in rows}


def ticked(answer):
    """The checkboxes of the page's table, by name: whether they are checked."""
    boxes = re.findall(r'<input type="checkbox" name="([^"]+)"( checked)?>', answer.content.decode())
    return {name: bool(tick) for name, tick in boxes}


def filled_in(answer, **changes):
    """The form data that a browser sends for the page's table, with `changes` to its checkboxes."""
    boxes = ticked(answer) | changes
    rows = re.findall(r'name="row" value="([^"]+)"', answer.content.decode())
    return {"row": rows, **{name: "on" for name, tick in boxes.items() if tick}}


TEXTS = {"news/sms": True, "*/sms": True}


class TestOneClick:
    def test_it_ends_the_categorys_emails_and_nothing_else(self, browser, page, user, db):
        answer = browser.post(page, ONE_CLICK)
        assert answer.status_code == 200
        assert stored_choices(user) == {("news", "email"): (False, "one_click")}
        # As multipart, again, and after the general choice: the same.
        answer = browser.post(page, data=ONE_CLICK, format="multipart")
        assert answer.status_code == 200
        assert stored_choices(user) == {("news", "email"): (False, "one_click")}

    def test_it_outlives_a_general_no(self, browser, page, user, api, db):
        preferences = f"/api/v1/users/{user.pk}/preferences/"
        api.patch(preferences, {"email": False})
        browser.post(page, ONE_CLICK)
        shown = api.patch(preferences, {"email": True}).json()["data"]
        assert shown["categories"]["news"]["email"] is False

    def test_looking_changes_nothing(self, browser, page, db):
        before = stored()
        for ask in (browser.get, browser.head, browser.options, browser.put, browser.delete):
            ask(page)
        assert browser.get(page + "?List-Unsubscribe=One-Click").status_code == 200
        assert stored() == before

    def test_no_cookie_is_wanted_or_set(self, browser, page, db):
        for answer in (browser.get(page), browser.post(page, ONE_CLICK)):
            assert not answer.cookies
            assert "csrf" not in answer.content.decode()

    def test_what_is_mandatory_goes_on(self, browser, page, user, news, db):
        Category.objects.update(mandatory=True)
        answer = browser.post(page, ONE_CLICK)
        assert "can&#x27;t be stopped" in answer.content.decode()
        assert stored_choices(user) == {}

    def test_a_category_that_is_gone_stops_nothing(self, browser, page, user, news, db):
        news.delete()
        assert browser.post(page, ONE_CLICK).status_code == 200
        assert stored_choices(user) == {}

    def test_very_many_from_one_mailbox_are_taken(
        self, browser, page, settings, user, organization, news, db
    ):
        settings.RATE_LIMIT_ADDRESS = 1
        people = [user, *UserFactory.create_batch(4, organization=organization)]
        for person in people:
            assert browser.post(path_of(links.page_for(person.pk, news.pk)), ONE_CLICK).status_code == 200
        assert NotificationPreference.objects.count() == 5


class TestPage:
    def test_it_shows_every_category_and_channel(self, browser, page, user, security, db):
        NotificationPreference.objects.create(user=user, channel="push", enabled=False)
        answer = browser.get(page)
        assert answer.status_code == 200
        shown = answer.content.decode()
        assert ticked(answer) == {
            "news/email": True,
            "news/push": False,
            "news/sms": True,
            "*/email": True,
            "*/push": False,
            "*/sms": True,
        }
        assert "News &amp; &lt;offers&gt;" in shown
        assert shown.count(">always<") == len(CODES)
        assert "Stop these emails" in shown
        # Enough to know whose it is, for whoever a message was forwarded to too little.
        assert "a***@example.com" in shown
        assert user.email not in shown

    def test_its_button_stops_the_emails(self, browser, page, user, db):
        answer = browser.post(page, {**ONE_CLICK, "by_hand": "1"})
        shown = answer.content.decode()
        assert "You get no more emails about" in shown
        assert "Stop these emails" not in shown
        assert ticked(answer)["news/email"] is False
        assert stored_choices(user) == {("news", "email"): (False, "page")}

    def test_what_is_ticked_is_kept(self, browser, page, user, security, db):
        answer = browser.post(page, filled_in(browser.get(page), **{"news/push": False}))
        assert "Your choices are saved." in answer.content.decode()
        assert stored_choices(user) == {("news", "push"): (False, "page")}
        # All off but one: the category keeps its tick although the general one goes.
        answer = browser.post(page, filled_in(answer, **{"*/email": False, "*/push": False}))
        assert ticked(answer) == {
            "news/email": True,
            "news/push": False,
            "news/sms": True,
            "*/email": False,
            "*/push": False,
            "*/sms": True,
        }
        answer = browser.post(page, filled_in(answer, **{"news/push": True, "*/email": True}))
        assert ticked(answer) == {
            "news/email": True,
            "news/push": True,
            "news/sms": True,
            "*/email": True,
            "*/push": False,
            "*/sms": True,
        }

    def test_what_it_did_not_show_stays(self, browser, page, user, organization, security, db):
        form = filled_in(browser.get(page), **{"*/email": False})
        late = Category.objects.create(organization=organization, code="late", name="Late")
        answer = browser.post(page, form)
        assert ticked(answer)["late/email"] is True
        for rows in (["security"], ["nothing"], [f"{late.pk}"], []):
            before = stored_choices(user)
            assert browser.post(page, {"row": rows}).status_code == 200
            assert stored_choices(user) == before

    @pytest.mark.parametrize(
        ("language", "button"), [("fr-CA", "Enregistrer"), ("de", "Speichern"), ("xx", "Save")]
    )
    def test_it_speaks_the_persons_language(self, language, button, browser, page, user, db):
        user.language = language
        user.save()
        assert f"<button>{button}</button>" in browser.get(page).content.decode()

    def test_every_language_has_all_texts(self):
        for texts in translations.TRANSLATIONS.values():
            assert texts.keys() == translations.TRANSLATIONS["en"].keys()
            for name, sentence in translations.TRANSLATIONS["en"].items():
                assert re.findall(r"{\w+}", sentence) == re.findall(r"{\w+}", texts[name]), name

    def test_it_needs_no_script_and_tells_nobody_its_address(self, browser, page, db):
        answer = browser.get(page)
        assert "<script" not in answer.content.decode()
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("no-referrer", "no-store")
        assert answer["X-Frame-Options"] == "DENY"


class TestLink:
    def test_it_holds_no_address_and_can_not_be_made_up(self, browser, page, user, news, db):
        token = page.split("/")[2]
        assert re.fullmatch(r"[\w-]{43}:[\w-]{43}", token)
        before = stored()
        other = page.split("/")[2].partition(":")[0]
        for forged in (
            token[:-1],
            token[:-2] + "xx",
            "B" + token[1:],
            other,
            f"{other}:",
            "x",
            token.upper(),
            "%00",
            "é",
        ):
            answer = browser.post(reverse("preference-page", args=[forged]), ONE_CLICK)
            assert answer.status_code == 404, forged
            assert "This link does not work" in answer.content.decode()
        assert stored() == before

    def test_the_log_does_not_have_it(self, page):
        token = page.split("/")[2]
        assert token[4:20] not in mask(f"POST {page}")

    def test_it_is_one_persons_in_one_category(self, browser, user, news, organization, db):
        other = UserFactory(organization=organization)
        browser.post(path_of(links.page_for(other.pk, news.pk)), ONE_CLICK)
        assert stored_choices(user) == {}
        foreign = Category.objects.create(organization=OrganizationFactory(), code="theirs", name="Theirs")
        answer = browser.post(path_of(links.page_for(user.pk, foreign.pk)), ONE_CLICK)
        assert "Theirs" not in answer.content.decode()
        assert stored_choices(user) == {}

    @pytest.mark.parametrize("gone", ["person", "organization"])
    def test_it_ends_with_whom_it_is_about(self, gone, browser, page, user, organization, db):
        if gone == "person":
            user.delete()
        else:
            organization.is_active = False
            organization.save()
        assert browser.get(page).status_code == 404
        assert browser.post(page, ONE_CLICK).status_code == 404

    def test_a_new_secret_key_does_not_end_it(self, browser, page, user, settings, db):
        settings.SECRET_KEY = "another-secret-key-of-many-characters"
        assert browser.post(page, ONE_CLICK).status_code == 200
        assert stored_choices(user)

    def test_guessing_is_limited(self, browser, settings, page, db):
        settings.RATE_LIMIT_ADDRESS = 3
        answers = [browser.get(reverse("preference-page", args=["x"])) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert int(answers[-1]["Retry-After"]) >= 1
        assert "Too many requests" in answers[-1].content.decode()
        assert browser.get(page).status_code == 429


@pytest.mark.usefixtures("worker")
class TestEmails:
    def sent(self, smtp):
        (message,) = smtp.wait_for(1)
        assert all(len(line) <= 998 for line in message.data.split(b"\r\n"))
        return email.message_from_bytes(message.data, policy=email.policy.default)

    def test_the_headers_work(self, api, user, news, organization, smtp, browser):
        link = '<a href="{{ unsubscribe_url }}">Stop</a>'
        content = {**EMAIL_EN, "html": f"<p>Hello {{{{ name }}}} {link}</p>", "text": "{{ unsubscribe_url }}"}
        version = template_with(organization, content, PUSH_EN, category=news)
        assert version.required == ["name"]
        post(api, user, channels=["email"])

        message = self.sent(smtp)

        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        address = re.fullmatch(r"<(\S+)>", message["List-Unsubscribe"])[1]
        assert message.get_body(("plain",)).get_content().strip() == address
        assert f'href="{address}"' in message.get_body(("html",)).get_content()
        assert browser.post(path_of(address), ONE_CLICK).status_code == 200
        again = post(api, user, channels=["email"]).json()["data"]["deliveries"][0]
        assert again["status"] == "skipped"

    @pytest.mark.parametrize("why", ["mandatory", "no category", "no public url"])
    def test_who_can_not_refuse_gets_none(self, why, api, user, news, organization, smtp, settings):
        content = {
            **EMAIL_EN,
            "text": "{% if unsubscribe_url %}{{ unsubscribe_url }}{% else %}none{% endif %}",
        }
        template_with(organization, content, category=None if why == "no category" else news)
        if why == "mandatory":
            Category.objects.update(mandatory=True)
        elif why == "no public url":
            settings.PUBLIC_URL = ""
        post(api, user, channels=["email"])

        message = self.sent(smtp)

        assert message["List-Unsubscribe"] is None
        assert message["List-Unsubscribe-Post"] is None
        text = message.get_body(("plain",)).get_content().strip()
        # The page itself is for everybody who has preferences.
        assert (text == "none") == (why == "no public url")

    def test_a_callers_own_link_comes_first(self, api, user, news, organization, smtp):
        template_with(organization, {**EMAIL_EN, "text": "{{ unsubscribe_url }}"}, category=news)
        post(
            api,
            user,
            channels=["email"],
            variables={"name": "A", "unsubscribe_url": "https://shop.test/stop"},
        )
        text = self.sent(smtp).get_body(("plain",)).get_content().strip()
        assert text == "https://shop.test/stop"

    def test_links_are_neither_stored_nor_previewed(self, api, user, news, organization, smtp):
        template_with(organization, {**EMAIL_EN, "text": "[{{ unsubscribe_url }}]"}, category=news)
        body = {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}}
        shown = api.post("/api/v1/notifications/?dry_run=true", body).json()["data"]["rendered"]["email"]
        assert shown["text"] == "[]"
        preview = api.post("/api/v1/templates/hello/preview/", {"variables": {"name": "Ada"}})
        assert preview.status_code == 200, preview.content
        post(api, user, channels=["email"])
        settled("sent")
        assert EmailLog.objects.get().notification.variables == {"name": "Ada"}
