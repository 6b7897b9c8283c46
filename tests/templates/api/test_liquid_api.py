"""Through the door: what is refused when a template is saved, and what a notification may leave out."""

import pytest

from apps.templates.models import TemplateContent, TemplateVersion
from tests.support.factories import EMAIL_EN
from tests.support.routes import refused

URL = "/api/v1/templates/"


@pytest.fixture(autouse=True)
def _somebody(organization):
    pass


def saved(api, **parts):
    return api.post(URL, {"code": "t", "name": "T", "contents": [{**EMAIL_EN, "subject": "S", **parts}]})


def shown(api, **variables):
    return api.post(f"{URL}t/preview/", {"variables": variables})


@pytest.mark.parametrize("part", ["html", "text", "subject"])
def test_a_call_that_cannot_work_is_reported_with_its_position(api, part):
    answer = saved(api, **{part: "Due\n{{ d | date: format: 'x' }}"})
    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert entry["field"] == f"contents[0].{part}"
    assert entry["detail"] == "line 2, column 8: the filter date has no argument named 'format'"


def test_the_same_in_a_partial_and_a_layout(api):
    for address, body in (
        ("partials/", {"name": "p", "text": "{{ d | date }}"}),
        ("layouts/", {"name": "l", "text": "{{ content }}{{ d | date }}"}),
    ):
        (entry,) = refused(api.post(f"{URL}{address}", body), 400, "validation_error")["errors"]
        assert entry["field"] == "text"
        assert "the filter date takes 1 argument" in entry["detail"]


def test_a_sentence_whose_condition_asks_for_its_variable_needs_none(api):
    source = "{% if coupon != blank %}Your code: {{ coupon }}.{% endif %}"
    source += "{% if name == blank %}Hi{% else %}{{ name }}{% endif %}"
    assert saved(api, text=source, html="").status_code == 201
    version = TemplateVersion.objects.get()
    assert (version.required, version.optional) == ([], ["coupon", "name"])
    for variables, expected in (
        ({}, "Hi"),
        ({"coupon": None, "name": None}, "Hi"),
        ({"coupon": "X", "name": "Ada"}, "Your code: X.Ada"),
    ):
        assert shown(api, **variables).json()["data"]["contents"]["email"]["text"] == expected


def test_a_comment_is_saved_as_it_is_and_not_read(api):
    source = "a{% comment %}{{ not closed {% render 'nowhere' %}{% endcomment %}\r\nb"
    assert saved(api, text=source, html="").status_code == 201
    assert TemplateContent.objects.get().parts["text"] == source
    assert shown(api).json()["data"]["contents"]["email"]["text"] == "a\r\nb"


def test_a_partial_is_put_in_between_dashes(api):
    assert api.post(f"{URL}partials/", {"name": "goodbye", "text": "Bye"}).status_code == 201
    assert saved(api, text='Hello {%- render "goodbye" -%} !', html="").status_code == 201
    assert shown(api).json()["data"]["contents"]["email"]["text"] == "HelloBye!"
