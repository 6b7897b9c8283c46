"""The admin pages of templates and their versions."""

import re
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.templates.liquid import budget
from apps.templates.models import Template, TemplateContent, TemplateVersion
from apps.users.models import Organization
from notifier.channels.registry import CODES
from tests.admin.conftest import text_of

pytestmark = pytest.mark.django_db

EMAIL = {"language": "en", "subject": "Hi {{ name }}", "html": "<p>Hi {{ name }}</p>", "text": "Hi"}
PUSH = {
    "language": "en",
    "title": "Hi {{ name }}",
    "body": "There",
    "data": "screen: start\nid: {{ order.id }}",
}


def posted(emails: list[dict[str, str]], pushes: list[dict[str, str]], **fields: str) -> dict[str, Any]:
    found: dict[str, Any] = {"note": "Better words", "samples": "", **fields}
    for prefix in CODES:
        rows = {"email": emails, "push": pushes}.get(prefix, [])
        found |= {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": 0}
        for position, row in enumerate(rows):
            found |= {f"{prefix}-{position}-{name}": value for name, value in row.items()}
    return found


@pytest.fixture
def page(version: TemplateVersion) -> str:
    return reverse("admin:templates_template_version_add", args=[version.template_id])


def test_a_version_made_here_is_active(door: Client, page: str, version: TemplateVersion) -> None:
    answer = door.post(page, posted([{**EMAIL, "text": "Hi\r\nthere"}], [PUSH], _publish="1"))
    assert answer.status_code == 302
    template = Template.objects.get()
    made = template.active_version
    assert made is not None
    assert (made.number, made.note, made.required) == (2, "Better words", ["name", "order.id"])
    assert made.created_by.email == "root@example.com"
    assert TemplateContent.objects.get(version=made, channel="email").parts["text"] == "Hi\nthere"
    assert TemplateContent.objects.get(version=made, channel="push").parts["data"] == {
        "screen": "start",
        "id": "{{ order.id }}",
    }


def test_a_version_can_wait_and_be_activated(door: Client, page: str, version: TemplateVersion) -> None:
    template = version.template
    assert door.post(page, posted([EMAIL], [], _save="1")).status_code == 302
    template.refresh_from_db()
    assert template.active_version == version
    activate = reverse("admin:templates_template_version_activate", args=[template.pk, 2])
    assert activate in text_of(door.get(reverse("admin:templates_template_change", args=[template.pk])))
    assert door.get(activate).status_code == 405
    confirmation = door.post(activate)
    assert (confirmation.status_code, "Publish version 2 of" in text_of(confirmation)) == (200, True)
    template.refresh_from_db()
    assert template.active_version == version
    assert door.post(activate, {"_publish": "1"}).status_code == 302
    template.refresh_from_db()
    assert template.active_version is not None
    assert template.active_version.number == 2


def first_button(answer: Any) -> str:
    """The button that the Enter key presses in the page's main form."""
    form = re.search(r'<form(?=[^>]*id="(?:version|template_form)").*?</form>', text_of(answer), re.DOTALL)
    assert form is not None
    found = re.search(r'<(?:input|button)[^>]*type="submit"[^>]*name="(\w+)"', form[0])
    assert found is not None
    return found[1]


def test_the_enter_key_publishes_nothing(door: Client, page: str, version: TemplateVersion) -> None:
    assert first_button(door.get(page)) == "_preview"
    answer = door.post(page, posted([EMAIL], [], _preview="1"))
    assert answer.status_code == 200
    # Nor on the confirmation page.
    confirmation = door.post(page, posted([EMAIL], [], _activate="1"))
    assert first_button(confirmation) == "_preview"
    # Another version's button must not be the first one on the template's own page either.
    assert door.post(page, posted([EMAIL], [], _save="1")).status_code == 302
    change = door.get(reverse("admin:templates_template_change", args=[version.template_id]))
    assert "Publish this version" in text_of(change)
    assert first_button(change) == "_continue"


def test_publishing_asks_for_confirmation_and_shows_what_changes_for_callers(
    door: Client, page: str, version: TemplateVersion
) -> None:
    answer = door.post(page, posted([EMAIL], [PUSH], _activate="1"))
    assert answer.status_code == 200
    assert "Publish this version?" in text_of(answer)
    assert "<b>order.id</b>" in text_of(answer)
    # What was written is still there, and nothing is stored.
    assert answer.context["draft"].groups[0].forms[0]["subject"].value() == EMAIL["subject"]
    assert TemplateVersion.objects.count() == 1
    assert door.post(page, posted([EMAIL], [PUSH], _publish="1")).status_code == 302
    version.template.refresh_from_db()
    assert version.template.active_version.number == 2


GUARDED = "{% if order %}{{ order.note }}{% endif %}"
DEEPER = "{% if order %}{% if order.lines %}{{ order.lines.count }}{% endif %}{{ order.note }}{% endif %}"


@pytest.mark.parametrize(
    ("before", "after", "newly"),
    [
        ("Hi", GUARDED, ["order?.note"]),
        ("{% if order.note %}{{ order.note }}{% endif %}", GUARDED, ["order?.note"]),
        (GUARDED, "{{ order.note }}", ["order.note"]), (GUARDED, DEEPER, ["order.lines?.count"]),
        (DEEPER, "{% if order %}{{ order.lines.count }}{% endif %}", ["order?.lines.count"]),
        (GUARDED, f"Now {GUARDED}", []), ("{{ order.note }}", GUARDED, []),
        (GUARDED, "{{ order.note | default: 1 }}", []),
        ("{% if order %}{{ order.lines.count }}{% endif %}{{ name }}", DEEPER, ["order?.note"]),
    ],
)  # fmt: skip
def test_publishing_shows_what_callers_newly_have_to_send_with_an_object(
    before: str, after: str, newly: list[str], door: Client, page: str, version: TemplateVersion
) -> None:
    answers = [door.post(page, posted([{**EMAIL, "text": before}], [], _publish="1"))]
    answers += [
        door.post(page, posted([{**EMAIL, "text": after}], [], **{button: "1"}))
        for button in ("_activate", "_save")
    ]
    activate = reverse("admin:templates_template_version_activate", args=[version.template_id, 3])
    for answer in (answers[1], door.post(activate)):
        assert answer.context["newly_required"] == newly
        assert ("only where what stands before it is sent" in text_of(answer)) is ("?." in "".join(newly))


def test_a_field_that_goes_with_its_object_is_shown_as_such(
    door: Client, page: str, version: TemplateVersion
) -> None:
    emails = [
        {**EMAIL, "text": GUARDED},
        {**EMAIL, "language": "fr", "text": "{% if order.note %}x{% endif %}"},
    ]
    answer = door.post(page, posted(emails, [], _preview="1"))
    draft = answer.context["draft"]
    assert (draft.required, draft.optional) == (["name"], ["order", "order?.note"])
    assert draft.contents[0].preview["text"] == "[order.note]"
    assert "may be left out only together with what stands before it" in text_of(answer)
    assert door.post(page, posted(emails, [], _publish="1")).status_code == 302
    shown = text_of(door.get(reverse("admin:templates_template_change", args=[version.template_id])))
    assert "optional: order, order?.note (with “?.”: only together with what stands before it)" in shown


@pytest.mark.parametrize("button", ["_activate", "_publish", "_preview"])
def test_a_syntax_error_is_shown_at_its_part_with_its_place(door: Client, page: str, button: str) -> None:
    broken = {**EMAIL, "html": "<p>\n {% if name %}</p>"}
    answer = door.post(page, posted([EMAIL, {**broken, "language": "fr"}], [], **{button: "1"}))
    assert answer.status_code == 200
    assert TemplateVersion.objects.count() == 1
    assert "line 2, column" in text_of(answer)
    if button != "_preview":
        first, second = answer.context["draft"].groups[0].forms
        assert not first.errors
        assert list(second.errors) == ["html"]


def test_the_preview_is_sandboxed_and_takes_samples(door: Client, page: str) -> None:
    hostile = {**EMAIL, "html": "<script>alert(1)</script><b>{{ name }}</b>{{ order.id }}"}
    answer = door.post(page, posted([hostile], [PUSH], samples="name: O'Neil", _preview="1"))
    shown = text_of(answer)
    assert "<script>alert(1)</script>" not in shown
    assert '<iframe sandbox="" ' in shown
    assert 'srcdoc="&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;O&amp;#x27;Neil' in shown.replace(
        "&amp;#39;", "&amp;#x27;"
    )
    email, push = answer.context["draft"].contents
    assert email.preview["subject"] == "Hi O'Neil"
    assert email.preview["html"].endswith("[order.id]")
    assert push.preview["data"]["id"] == "[order.id]"
    assert TemplateVersion.objects.count() == 1


def test_all_previews_together_take_what_saving_may(door: Client, page: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(budget, "WRITING_SECONDS", 1.0)
    rules = "".join(f"div p b{':not(.a)' * 8} {{ a{n}: b }}" for n in range(60))
    html = f"<style>{rules}</style>" + "<div><p><b>x" * 350
    emails = [{**EMAIL, "language": f"a{dead_letter}", "html": html} for dead_letter in "abcdefgh"]
    began = time.monotonic()
    answer = door.post(page, posted(emails, [], _preview="1"))
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    assert "takes too long" in text_of(answer)


def test_the_form_begins_with_what_is_in_use(door: Client, page: str) -> None:
    answer = door.get(page)
    assert answer.status_code == 200
    assert [form.preview["subject"] for form in answer.context["draft"].groups[0].forms if form.preview] == [
        "Hello [name]"
    ]
    assert door.get(f"{page}?start=1").status_code == 200
    assert door.get(f"{page}?start=99").status_code == 200


def test_a_struck_out_language_is_left_out(door: Client, page: str) -> None:
    struck = {**EMAIL, "language": "fr", "DELETE": "on"}
    assert door.post(page, posted([EMAIL, struck, {"language": ""}], [], _publish="1")).status_code == 302
    assert TemplateContent.objects.filter(version__number=2).count() == 1


@pytest.mark.parametrize(
    ("emails", "expected"),
    [
        ([], "Write the content of at least one of these: Email, Push, SMS."),
        ([EMAIL, EMAIL], "There is already email content in en"),
        ([{**EMAIL, "subject": ""}], "Email content needs a subject."),
        ([{**EMAIL, "language": "English!"}], "Use a language tag"),
    ],
)
def test_what_cant_be_saved_shows_why(
    door: Client, page: str, emails: list[dict[str, str]], expected: str
) -> None:
    answer = door.post(page, posted(emails, [], _publish="1"))
    assert answer.status_code == 200
    assert expected in text_of(answer)


def test_a_new_template_leads_to_its_first_version(door: Client, organization: Organization) -> None:
    fields = {
        "organization": str(organization.pk),
        "code": "receipt",
        "name": "Receipt",
        "on_unknown": "hold",
    }
    answer = door.post(reverse("admin:templates_template_add"), fields, follow=True)
    assert answer.redirect_chain[-1][0].endswith("/versions/add/")
    again = door.post(reverse("admin:templates_template_add"), fields)
    assert "Another template in this organization has this code." in text_of(again)


def test_the_code_stays(door: Client, version: TemplateVersion) -> None:
    fields = {"code": "other", "name": "Renamed", "description": "", "on_unknown": "resend"}
    page = reverse("admin:templates_template_change", args=[version.template_id])
    assert door.post(page, fields).status_code == 302
    template = Template.objects.get()
    assert (template.code, template.name, template.on_unknown) == ("hello", "Renamed", "resend")


def test_viewers_cant_write(
    organization: Organization, version: TemplateVersion, page: str, staff: Any
) -> None:
    door = staff(organization, "view_template")
    shown = text_of(door.get(reverse("admin:templates_template_change", args=[version.template_id])))
    assert "Versions" in shown
    assert page not in shown
    assert door.post(page, posted([EMAIL], [], _publish="1")).status_code == 403


def test_declared_variables_are_kept_and_their_examples_shown(
    door: Client, page: str, version: TemplateVersion
) -> None:
    declared = [{"name": "name", "type": "string", "default": "friend", "example": "Grace"}]
    TemplateVersion.objects.filter(pk=version.pk).update(variables=declared)
    assert "Hello Grace" in text_of(door.get(page))
    assert "Hello Ada" in text_of(
        door.post(
            page, posted([{**EMAIL, "subject": "Hello {{ name }}"}], [], samples="name: Ada", _preview="1")
        )
    )
    assert door.post(page, posted([EMAIL], [], _save="1")).status_code == 302
    assert TemplateVersion.objects.get(number=2).variables == declared
