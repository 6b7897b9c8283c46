"""Layouts and partials in the admin, and versions that use them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.templates.models import Layout, Partial, Template, TemplateContent, TemplateVersion
from apps.users.models import Organization
from tests.admin.conftest import messages_of, text_of
from tests.admin.test_templates import EMAIL, posted
from tests.support.factories import OrganizationFactory

pytestmark = pytest.mark.django_db

LAYOUT = {
    "name": "brand",
    "description": "Ours",
    "source_format": "html",
    "html": '<body bgcolor="{{ layout.colour }}">{{ content }} {{ sender }}</body>',
    "text": "{{ content }}\r\n--",
    "values": "colour: #0a7d43",
}


@pytest.fixture
def brand(door: Client, organization: Organization) -> Layout:
    body = {**LAYOUT, "organization": str(organization.pk)}
    answer = door.post(reverse("admin:templates_layout_add"), body)
    assert answer.status_code == 302, text_of(answer)
    return Layout.objects.get()


def changed(door: Client, layout: Layout, **fields: str) -> Any:
    return door.post(reverse("admin:templates_layout_change", args=[layout.pk]), {**LAYOUT, **fields})


def test_a_layout_is_made_shown_and_changed(door: Client, brand: Layout) -> None:
    assert (brand.values, brand.text, brand.revision) == ({"colour": "#0a7d43"}, "{{ content }}\n--", 1)
    page = text_of(door.get(reverse("admin:templates_layout_change", args=[brand.pk])))
    assert 'sandbox=""' in page
    assert "&lt;body bgcolor=&quot;#0a7d43&quot;&gt;&lt;p&gt;The template" in page
    assert "[sender]" in page
    assert "colour: #0a7d43" in page

    assert changed(door, brand, values="colour: green", name="other").status_code == 302

    brand.refresh_from_db()
    assert (brand.values, brand.revision, brand.name) == ({"colour": "green"}, 2, "brand")


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"html": "<p>\n{% if a %}{{ content }}"}, "html", "line 2, column"),
        ({"text": "no place"}, "text", "{{ content }} once"),
        ({"values": "colour: javascript:x"}, "values", "Use a colour"),
        ({"values": "no colon"}, "values", "Line 1"),
        ({"html": "", "text": ""}, "html", "html, text or both"),
        ({"source_format": "mjml"}, "html", "begins with <mjml>"),
    ],
)
def test_what_cannot_be_used_is_not_saved(
    door: Client, brand: Layout, fields: dict[str, str], field: str, expected: str
) -> None:
    answer = changed(door, brand, **fields)
    assert answer.status_code == 200
    (errors,) = answer.context["adminform"].form.errors.values()
    assert list(answer.context["adminform"].form.errors) == [field]
    assert expected in errors[0]
    brand.refresh_from_db()
    assert brand.revision == 1


def test_a_name_is_taken_once(door: Client, brand: Layout, organization: Organization) -> None:
    body = {**LAYOUT, "organization": str(organization.pk)}
    assert "already exists" in text_of(door.post(reverse("admin:templates_layout_add"), body))
    assert Layout.objects.count() == 1


def test_a_version_is_written_in_a_layout(door: Client, brand: Layout, version: TemplateVersion) -> None:
    page = reverse("admin:templates_template_version_add", args=[version.template_id])
    assert '<option value="brand">' in text_of(door.get(page))
    shown = door.post(page, posted([{**EMAIL, "layout": "brand"}], [], _preview="1"))
    assert (
        shown.context["draft"].groups[0].forms[0].preview["html"].startswith('<body bgcolor="#0a7d43"><p>Hi')
    )
    assert shown.context["draft"].required == ["name", "sender"]

    assert door.post(page, posted([{**EMAIL, "layout": "brand"}], [], _publish="1")).status_code == 302

    content = TemplateContent.objects.get(version__number=2)
    assert (content.parts["layout"], content.parts["source_format"]) == ("brand", "html")
    about = reverse("admin:templates_template_change", args=[version.template_id])
    assert "Changed since" not in text_of(door.get(about))
    changed(door, brand, html="<p>{{ content }}</p>")
    assert "Changed since v2 was written: layout brand." in text_of(door.get(about))
    used = text_of(door.get(reverse("admin:templates_layout_change", args=[brand.pk])))
    assert "v2, from revision 1" in used
    # The next version starts with the same layout, and shows an error when that is deleted.
    Layout.objects.all().delete()
    again = door.get(page)
    assert '<option value="brand" selected>' in text_of(again)
    assert "There is no layout with this name" in again.context["draft"].groups[0].forms[0].error
    gone = {**EMAIL, "subject": "Hey", "layout": "brand"}
    answer = door.post(page, posted([gone], [], _save="1"))
    assert "no layout" in answer.context["draft"].groups[0].forms[0].errors["layout"][0]
    assert TemplateVersion.objects.count() == 2


def test_a_version_is_written_in_mjml(door: Client, version: TemplateVersion) -> None:
    page = reverse("admin:templates_template_version_add", args=[version.template_id])
    bad = {**EMAIL, "source_format": "mjml", "html": "<mjml><mj-body>\n<mj-txt/></mj-body></mjml>"}
    answer = door.post(page, posted([bad], [], _save="1"))
    assert "line 2, column 1" in answer.context["draft"].groups[0].forms[0].errors["html"][0]
    good = {**bad, "html": "<mjml><mj-body><mj-raw>Hi {{ name }}</mj-raw></mj-body></mjml>"}
    shown = door.post(page, posted([good], [], _preview="1"))
    assert shown.context["draft"].groups[0].forms[0].preview["html"].startswith("<!doctype html>")
    assert door.post(page, posted([good], [], _save="1")).status_code == 302
    assert '<option value="mjml" selected>' in text_of(door.get(f"{page}?start=2"))


def test_another_organizations_parts_are_not_there(
    door: Client, brand: Layout, version: TemplateVersion
) -> None:
    Layout.objects.create(organization=OrganizationFactory(), name="foreign", html="{{ content }}")
    page = reverse("admin:templates_template_version_add", args=[version.template_id])
    Partial.objects.create(organization=OrganizationFactory(), name="foreign", html="x", text="x")
    assert "foreign" not in text_of(door.get(page))
    answer = door.post(page, posted([{**EMAIL, "text": "{% render 'foreign' %}"}], [], _save="1"))
    assert "there is no partial" in answer.context["draft"].groups[0].forms[0].errors["text"][0]


def test_a_partial_is_made_shown_and_deleted(door: Client, organization: Organization) -> None:
    body = {
        "organization": str(organization.pk), "name": "bye", "source_format": "mjml",
        "html": "<mj-section><mj-column><mj-text>Bye {{ name }}</mj-text></mj-column></mj-section>",
        "text": "Bye {{ name }}",
    }  # fmt: skip
    assert door.post(reverse("admin:templates_partial_add"), body).status_code == 302
    made = Partial.objects.get()
    page = text_of(door.get(reverse("admin:templates_partial_change", args=[made.pk])))
    assert "Bye [name]" in page
    assert "srcdoc=" in page
    answer = door.post(
        reverse("admin:templates_partial_delete", args=[made.pk]), {"post": "yes"}, follow=True
    )
    assert messages_of(answer)
    assert not Partial.objects.exists()
    assert Template.objects.count() == 0
