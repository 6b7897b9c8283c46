"""Every example of the OpenAPI document, posted in order to the demo's data (`make run`)."""

import pytest
import yaml
from rest_framework.test import APIClient

from apps.users.access import sessions
from apps.users.models import User
from notifier.channels.registry import CODES
from notifier.local import demo
from notifier.openapi.examples import EXAMPLES
from tests.environment import ROOT

PATHS = yaml.load((ROOT / "docs/openapi.yml").read_text(), Loader=yaml.CSafeLoader)["paths"]  # noqa: S506
TO_BE_FILLED_IN = {
    # A token, a code of a mail, an operator's password, a delivery's id: no document can know them.
    "POST auth/refresh/": 401,
    "POST auth/logout/": 401,
    "POST auth/password-reset/confirm/": 400,
    "POST admin/login/": 401,
    **{f"POST {code}/status/": 404 for code in CODES},
}
MADE = {
    "POST users/{id}/devices/": "{device}",
    "POST admin/api-keys/": "{api_key}",
    "POST suppressions/": "{suppression}",
}
"""The operations whose created id later paths contain."""


@pytest.fixture
def seeded(db, settings):
    # As `make run` is.
    settings.ALLOW_REGISTRATION, settings.PUBLIC_URL = True, "http://127.0.0.1:8000"
    return demo.seed()


def documented():
    found = {}
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                examples = operation["requestBody"]["content"]["application/json"]["examples"].values()
                name = f"{method.upper()} {path.removeprefix('/api/v1/')}"
                found[name] = ([one["value"] for one in examples], operation["responses"])
    return found


def test_each_gets_what_its_operation_is_for(seeded):
    api, open_door = APIClient(), APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {seeded['key']}")
    parts = {
        "{id}": seeded["user_id"],
        "{category}": "newsletter",
        "{code}": "order-shipped",
        "{name}": "brand",
    }
    documented_operations = documented()
    assert set(documented_operations) == set(EXAMPLES)
    for name in EXAMPLES:
        examples, declared = documented_operations[name]
        method, _, path = name.partition(" ")
        for part, value in parts.items():
            path = path.replace(part, value)
        client = api
        if name == "POST auth/password/":
            client = APIClient()
            lin = User.objects.get(email="lin@example.com")
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {sessions.begin(lin)['access']}")
        elif path.startswith(("auth/", "admin/login", "users/login")):
            client = open_door
        for example in examples:
            answer = getattr(client, method.lower())(f"/api/v1/{path}", example, format="json")
            assert str(answer.status_code) in declared, (name, answer.content)
            if name in TO_BE_FILLED_IN:
                assert answer.status_code == TO_BE_FILLED_IN[name], (name, answer.content)
            else:
                assert answer.status_code in (200, 201, 202, 204), (name, answer.content)
        if name in MADE:
            parts[MADE[name]] = answer.json()["data"]["id"]
