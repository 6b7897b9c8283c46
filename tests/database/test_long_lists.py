"""A list that is too long is refused before its items are validated."""

import pytest
from rest_framework import serializers

from notifier.lib.fields.validation import ShortDictField, ShortListField
from tests.support.routes import refused

MANY = 20_000
NAMES = dict.fromkeys(map(str, range(MANY)), 0)


@pytest.fixture
def looked_at(monkeypatch):
    """The fields whose values were validated."""
    seen = []
    checked = serializers.Field.run_validation
    nested = serializers.Serializer.run_validation

    def counted(original):
        def run_validation(self, data=serializers.empty):
            seen.append(self.field_name)
            return original(self, data)

        return run_validation

    monkeypatch.setattr(serializers.Field, "run_validation", counted(checked))
    monkeypatch.setattr(serializers.Serializer, "run_validation", counted(nested))
    return seen


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("notifications/batch/", {"notifications": [0] * MANY}, "notifications"),
        ("notifications/", {"template_code": "hello", "channels": [0] * MANY}, "channels"),
        (
            "notifications/",
            {"template_code": "hello", "variables": NAMES},
            "variables",
        ),
        (
            "notifications/",
            {"template_code": "hello", "metadata": NAMES},
            "metadata",
        ),
        ("templates/", {"code": "x", "name": "x", "contents": [{}] * MANY}, "contents"),
        ("templates/hello/versions/", {"variables": [{}] * MANY}, "variables"),
        (
            "templates/substitute/",
            {"contents": [{"channel": "push", "language": "en", "data": NAMES}]},
            "contents[0].data",
        ),
        ("templates/layouts/", {"name": "x", "values": NAMES}, "values"),
        ("dead-letters/replay/", {"ids": [0] * MANY}, "ids"),
        ("admin/api-keys/", {"name": "x", "scopes": [0] * MANY}, "scopes"),
        ("admin/api-keys/", {"name": "x", "addresses": [0] * MANY}, "addresses"),
    ],
)
def test_its_items_are_not_looked_at(path, body, field, api, version, looked_at):
    errors = refused(api.post(f"/api/v1/{path}", body, format="json"), 400)["errors"]
    assert (field, "max_length") in {(entry["field"], entry["code"]) for entry in errors}
    assert len(looked_at) < 100


def test_nor_are_the_categories_of_preferences(api, user, looked_at):
    body = {"categories": NAMES}
    answer = api.patch(f"/api/v1/users/{user.pk}/preferences/", body, format="json")
    (entry,) = refused(answer, 400)["errors"]
    assert (entry["field"], entry["code"]) == ("categories", "max_length")
    assert len(looked_at) < 100


def test_every_list_that_is_sent_says_how_long_it_may_be():
    """Every list and dict field of the apps is one of the two that count before they validate."""

    def kinds(of):
        for one in of.__subclasses__():
            yield one
            yield from kinds(one)

    ours = [one for one in kinds(serializers.BaseSerializer) if one.__module__.startswith("apps.")]
    found = [
        (one.__name__, name, field)
        for one in ours
        for name, field in getattr(one, "_declared_fields", {}).items()
        if isinstance(field, (serializers.ListField, serializers.DictField))
    ]
    assert found
    wrong = [
        f"{owner}.{name}"
        for owner, name, field in found
        if owner != "ReplayedSerializer" and not isinstance(field, ShortListField | ShortDictField)
    ]
    assert not wrong
