"""The admin pages of categories."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.templates.models import Template, TemplateVersion
from apps.users.models import Category, Organization
from tests.admin.conftest import messages_of, text_of
from tests.support.factories import EMAIL_EN, OrganizationFactory, template_with

pytestmark = pytest.mark.django_db

ADD = "admin:users_category_add"


@pytest.fixture
def news(organization: Organization) -> Category:
    return Category.objects.create(organization=organization, code="news", name="The news")


def page(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def fields_of(template: Template, **fields: Any) -> dict[str, Any]:
    return {"name": template.name, "description": "", "on_unknown": "hold", **fields}


class TestCategories:
    def test_one_is_made_and_changed_but_for_its_code(self, door: Client, organization: Organization) -> None:
        body = {"organization": str(organization.pk), "code": "news", "name": "News"}
        assert door.post(reverse(ADD), body).status_code == 302
        row = Category.objects.get()
        assert (row.organization, row.code, row.mandatory) == (organization, "news", False)
        body = {
            "organization": str(OrganizationFactory().pk),
            "code": "other",
            "name": "N",
            "mandatory": "on",
        }
        assert door.post(page(row), body).status_code == 302
        row.refresh_from_db()
        assert (row.organization, row.code, row.name, row.mandatory) == (organization, "news", "N", True)

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("news", "already exists"),
            ("UPPER", "lower-case letters"),
            ("a b", "lower-case"),
        ],
    )
    def test_an_invalid_code_is_reported(
        self, code: str, expected: str, door: Client, news: Category
    ) -> None:
        body = {"organization": str(news.organization_id), "code": code, "name": "Again"}
        answer = door.post(reverse(ADD), body)
        assert answer.status_code == 200
        assert expected in text_of(answer)
        assert Category.objects.get() == news

    def test_what_templates_are_in_stays(self, door: Client, news: Category) -> None:
        template = template_with(news.organization, category=news).template
        delete = reverse("admin:users_category_delete", args=[news.pk])
        shown = text_of(door.get(delete))
        assert "protected" in shown
        assert "permission" not in shown
        door.post(delete, {"post": "yes"})
        assert Category.objects.get() == news
        Template.objects.filter(pk=template.pk).update(category=None)
        door.post(delete, {"post": "yes"})
        assert not Category.objects.exists()


class TestTemplates:
    def test_a_category_is_chosen_and_taken_away(
        self, door: Client, news: Category, version: TemplateVersion
    ) -> None:
        template = version.template
        for chosen, wanted in ((str(news.pk), news), ("", None)):
            assert door.post(page(template), fields_of(template, category=chosen)).status_code == 302
            assert Template.objects.get().category == wanted

    def test_only_the_organizations_own_are_offered(
        self, door: Client, news: Category, version: TemplateVersion
    ) -> None:
        theirs = Category.objects.create(organization=OrganizationFactory(), code="theirs", name="Theirs")
        shown = text_of(door.get(page(version.template)))
        assert "The news (news)" in shown
        assert str(theirs.pk) not in shown
        answer = door.post(page(version.template), fields_of(version.template, category=str(theirs.pk)))
        assert answer.status_code == 200
        assert list(answer.context["adminform"].errors) == ["category"]
        assert Template.objects.get(pk=version.template_id).category is None

    def test_a_new_template_takes_its_own_organizations(self, door: Client, news: Category) -> None:
        other = OrganizationFactory()
        assert "Acme: The news (news)" in text_of(door.get(reverse("admin:templates_template_add")))
        body = {"code": "bye", "name": "Bye", "on_unknown": "hold", "category": str(news.pk)}
        add = reverse("admin:templates_template_add")
        answer = door.post(add, {**body, "organization": str(other.pk)})
        assert answer.status_code == 200
        assert list(answer.context["adminform"].errors) == ["category"]
        assert door.post(add, {**body, "organization": str(news.organization_id)}).status_code == 302
        assert Template.objects.get().category == news

    def test_staff_are_offered_their_own(self, news: Category, staff: Any) -> None:
        shown = text_of(staff(OrganizationFactory()).get(reverse("admin:templates_template_add")))
        assert "The news" not in shown

    def test_a_fallback_is_one_of_the_templates_versions(
        self, door: Client, api: Any, version: TemplateVersion
    ) -> None:
        template = version.template
        other = template_with(template.organization, code="bye")
        api.post(
            "/api/v1/templates/hello/versions/", {"contents": [EMAIL_EN], "note": "Kinder"}, format="json"
        )
        shown = text_of(door.get(page(template)))
        assert ">v1</option>" in shown
        assert ">v2: Kinder</option>" in shown
        assert str(other.pk) not in shown
        for chosen, wanted in ((version.pk, version), ("", None)):
            assert door.post(page(template), fields_of(template, fallback_version=chosen)).status_code == 302
            assert Template.objects.get(code="hello").fallback_version == wanted
        answer = door.post(page(template), fields_of(template, fallback_version=other.pk))
        assert answer.status_code == 200
        assert list(answer.context["adminform"].errors) == ["fallback_version"]
        assert Template.objects.get(code="hello").fallback_version is None

    def test_a_new_template_has_no_version_to_fall_back_to(
        self, door: Client, version: TemplateVersion
    ) -> None:
        assert "fallback_version" not in text_of(door.get(reverse("admin:templates_template_add")))


def test_messages_name_what_was_saved(door: Client, news: Category) -> None:
    answer = door.post(page(news), {"name": "News"}, follow=True)
    assert any("news" in message for message in messages_of(answer))
