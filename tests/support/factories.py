"""Factories of organizations, people, devices, templates and API keys."""

from typing import Any

import factory
from factory.django import DjangoModelFactory

from apps.templates.authoring.versions import add_version
from apps.templates.models import Template, TemplateVersion
from apps.users.models import ApiKey, Device, Organization, Platform, User
from apps.users.models.scopes import Scope

EMAIL_EN = {
    "channel": "email",
    "language": "en",
    "subject": "Hello {{ name }}",
    "html": "<p>Hello <b>{{ name }}</b></p>",
    "text": "Hello {{ name }}",
}
SMS_EN = {"channel": "sms", "language": "en", "text": "Hello {{ name }}"}
PUSH_EN = {"channel": "push", "language": "en", "title": "Hello {{ name }}", "body": "It is ready."}


class OrganizationFactory(DjangoModelFactory[Organization]):
    class Meta:
        model = Organization

    slug = factory.Sequence(lambda n: f"organization-{n}")
    name = factory.Faker("company")


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    organization = factory.SubFactory(OrganizationFactory)
    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Faker("name")
    password = "!"


class DeviceFactory(DjangoModelFactory[Device]):
    class Meta:
        model = Device

    user = factory.SubFactory(UserFactory)
    token = factory.Sequence(lambda n: f"device-token-{n:08}")
    platform = Platform.ANDROID


class TemplateFactory(DjangoModelFactory[Template]):
    class Meta:
        model = Template

    organization = factory.SubFactory(OrganizationFactory)
    code = factory.Sequence(lambda n: f"template-{n}")
    name = "A template"


def template_with(
    organization: Organization, *contents: dict[str, Any], code: str = "hello", **fields: Any
) -> TemplateVersion:
    """A template whose first version, active, has these contents (an email and a push in English)."""
    template = TemplateFactory(organization=organization, code=code, **fields)
    return add_version(template=template, contents=contents or (EMAIL_EN, PUSH_EN), active=True)


def key_for(organization: Organization, **fields: Any) -> str:
    """A new API key in its plain form; with every scope unless `scopes` is given."""
    fields.setdefault("scopes", list(Scope.values))
    return ApiKey.objects.issue(organization=organization, name="Tests", **fields)[1]
