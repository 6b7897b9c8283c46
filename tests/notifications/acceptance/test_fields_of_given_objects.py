"""A field whose object alone a template checks may be left out together with the object, and not without it."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.templates.models import TemplateVersion
from tests.conftest import post, settled
from tests.support.factories import EMAIL_EN
from tests.support.routes import refused, stored
from tests.support.smtp_server import ScriptedSmtpServer

CHECKED = "{% if order %}Order {{ order.number }}{% if order.gift %}: {{ order.note }}{% endif %}{% endif %}"
FULL = {"number": 1, "gift": True, "note": "Enjoy"}
PUBLIC = "https://notify.example.com"


def saved(api, source, **fields):
    contents = [{**EMAIL_EN, "subject": "S", "html": "", "text": source}]
    body = {"code": "hello", "name": "Hello", "contents": contents, **fields}
    answer = api.post("/api/v1/templates/", body, format="json")
    assert answer.status_code == 201, answer.content
    return TemplateVersion.objects.get()


def send(api, user, **variables):
    return post(api, user, variables=variables)


def without(*names):
    return {name: value for name, value in FULL.items() if name not in names}


@pytest.mark.parametrize(
    "variables",
    [
        {}, {"order": None}, {"order": False}, {"order": FULL}, {"order": without("gift", "note")},
        {"order": {**without("note"), "gift": False}}, {"order": {**FULL, "note": None}},
    ],
)  # fmt: skip
def test_what_can_be_rendered_is_accepted(variables, api, user):
    saved(api, CHECKED)
    assert send(api, user, **variables).status_code == 202


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({}, "order.number"), ("a text", "order.number"), (without("number"), "order.number"),
        (without("note"), "order.note"),
    ],
)  # fmt: skip
def test_a_field_is_required_where_its_object_is_given(order, field, api, user):
    saved(api, CHECKED)
    before = stored()
    answer = refused(send(api, user, order=order), 400, "validation_error")
    assert answer["errors"] == [
        {
            "field": f"variables.{field}",
            "code": "required",
            "detail": "The template uses this variable where order is given.",
        }
    ]
    assert f"variables that are missing: {field}." in answer["message"]
    assert stored() == before


def test_a_fallback_version_does_not_stand_in_for_a_variable(api, user):
    saved(api, CHECKED)
    contents = [{**EMAIL_EN, "subject": "S", "html": "", "text": "Nothing needed"}]
    answer = api.post("/api/v1/templates/hello/versions/", {"contents": contents}, format="json")
    assert answer.status_code == 201
    assert api.patch("/api/v1/templates/hello/", {"fallback_version": 2}, format="json").status_code == 200
    (entry,) = refused(send(api, user, order={}), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("variables.order.number", "required")


def test_a_default_for_the_field_is_filled_in(api, user):
    declared = [{"name": "order.number", "type": "number", "default": 7}]
    version = saved(api, CHECKED, variables=declared)
    assert version.optional == ["order", "order.gift", "order.number", "order?.note"]
    assert send(api, user, order={}).status_code == 202
    (entry,) = refused(send(api, user, order={"gift": True}), 400)["errors"]
    assert entry["field"] == "variables.order.note"


def test_a_declared_field_is_required_with_or_without_its_object(api, user):
    declared = [{"name": "order.number", "type": "number", "required": True}]
    version = saved(api, CHECKED, variables=declared)
    assert (version.required, version.optional) == (["order.number"], ["order", "order.gift", "order?.note"])
    for variables in ({}, {"order": {}}):
        (entry,) = refused(send(api, user, **variables), 400)["errors"]
        assert entry["field"] == "variables.order.number"


def test_a_version_stored_with_plain_names_is_read_as_before(api, user):
    version = saved(api, CHECKED)
    before = ["order", "order.gift", "order.note", "order.number"]
    TemplateVersion.objects.filter(pk=version.pk).update(optional=before)
    assert send(api, user).status_code == 202
    (entry,) = refused(send(api, user, order={}), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("variables", "render_failed")
    assert "the variable order.number is missing" in entry["detail"]


class TestUnsubscribeUrl:
    """It is nil on acceptance, and the recipient's page when the message is sent."""

    SOURCE = "{% if unsubscribe_url and order %}{{ order.number }}{% endif %}"

    @pytest.fixture(autouse=True)
    def public(self, settings):
        settings.PUBLIC_URL = PUBLIC

    @pytest.mark.parametrize(
        "source", [SOURCE, "{% unless unsubscribe_url %}{% if order %}{{ order.number }}{% endif %}{% endunless %}"]
    )  # fmt: skip
    def test_a_field_that_it_may_show_or_hide_is_required(self, source, api, user):
        saved(api, source)
        (entry,) = refused(send(api, user, order={}), 400)["errors"]
        assert (entry["field"], entry["code"]) == ("variables.order.number", "required")
        assert send(api, user).status_code == 202
        assert not EmailLog.objects.exclude(status="queued").exists()

    def test_so_it_is_in_a_push(self, api, user):
        push = {"channel": "push", "language": "en", "title": "T", "body": "B", "data": {"k": self.SOURCE}}
        body = {"code": "hello", "name": "Hello", "contents": [push]}
        assert api.post("/api/v1/templates/", body, format="json").status_code == 201
        (entry,) = refused(send(api, user, order={}), 400)["errors"]
        assert (entry["field"], entry["code"]) == ("variables.order.number", "required")

    def test_without_pages_it_stays_nil(self, api, user, settings):
        settings.PUBLIC_URL = ""
        saved(api, self.SOURCE)
        assert send(api, user, order={}).status_code == 202

    @pytest.mark.usefixtures("worker")
    def test_what_was_accepted_is_sent(self, api, user, smtp: ScriptedSmtpServer):
        saved(api, self.SOURCE)
        assert send(api, user, order=FULL).status_code == 202
        settled("sent")
        assert b"\r\n\r\n1" in smtp.messages[0].data
