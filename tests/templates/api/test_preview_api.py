"""A preview shows what a person would read, in their language, and stores nothing."""

import pytest

from tests.support.factories import EMAIL_EN, PUSH_EN, template_with
from tests.support.routes import refused, stored

URL = "/api/v1/templates/hello/preview/"


def preview(api, **body):
    answer = api.post(URL, {"variables": {"name": "Ada"}, **body})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_a_preview_renders_every_channel(api, version):
    before = stored()

    shown = preview(api, variables={"name": "Ada <b>\r\nBcc: x"})

    assert shown == {
        "version": 1,
        "contents": {
            "email": {
                "language": "en",
                "subject": "Hello Ada <b> Bcc: x",
                "html": "<p>Hello <b>Ada &lt;b&gt;\r\nBcc: x</b></p>",
                "text": "Hello Ada <b>\r\nBcc: x",
            },
            "push": {
                "language": "en", "title": "Hello Ada <b> Bcc: x", "body": "It is ready.",
                "image": "", "link": "", "data": {},
            },
        },
    }  # fmt: skip
    assert stored() == before


@pytest.mark.parametrize(
    ("available", "wanted", "found"),
    [
        ("en fr fr-CA", "fr-CA", "fr-CA"),
        ("en fr fr-CA", "FR-ca", "fr-CA"),
        ("en fr", "fr-CA", "fr"),
        ("en fr", "de", "en"),
        ("en fr", None, "en"),
        ("fr", "de", "fr"),
        ("fr fr-CA", "fr-BE", "fr"),
    ],
)
def test_the_language_falls_back(available, wanted, found, api, organization):
    tags = available.split()
    template_with(organization, *({**EMAIL_EN, "language": tag, "subject": f"In {tag}"} for tag in tags))

    shown = preview(api, **({"language": wanted} if wanted else {}))["contents"]["email"]

    assert (shown["language"], shown["subject"]) == (found, f"In {found}")


def test_a_channel_in_no_fitting_language_is_left_out(api, organization):
    template_with(organization, *({**EMAIL_EN, "language": tag} for tag in ("fr", "de")), PUSH_EN)

    assert list(preview(api, language="it")["contents"]) == ["push"]


def test_the_organizations_language_is_the_fallback(api, organization):
    organization.default_language = "de-CH"
    organization.save()
    template_with(organization, *({**EMAIL_EN, "language": tag} for tag in ("en", "de")))

    assert preview(api, language="it")["contents"]["email"]["language"] == "de"


@pytest.mark.parametrize("variables", [{}, {"nam": "Ada"}, {"name": {"deep": []}}])
def test_what_cant_be_rendered_is_named(variables, api, organization):
    template_with(
        organization, {**EMAIL_EN, "subject": "{{ name.given }}", "html": "", "text": "{{ name.given }}"}
    )

    body = refused(api.post(URL, {"variables": variables}), 400, "validation_error")

    assert [entry["field"] for entry in body["errors"]] == ["email.subject"]
    assert "name" in body["errors"][0]["detail"]
