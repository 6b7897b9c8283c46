"""Every route of the URLconf with every kind of caller. A route that is missing in the table fails here."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from django.db import transaction
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models.scopes import ROLE_SCOPES, Role, Scope
from tests.conftest import client_for
from tests.support.factories import UserFactory
from tests.support.routes import LOGIN, ROUTES, Route, refused, served, stored, world_of

GRANTED, DONE_WITHOUT, STRANGER, HIDDEN, FORBIDDEN = "2xx", "as for anybody", 401, 404, 403
LISTS_OF_ONES_OWN = ("users", "notifications")
"""Lists that everybody has, with their own rows in them."""


def expected(route: Route, scopes: frozenset[str] | None, *, person: bool) -> Any:
    """What a caller with these scopes gets about somebody else's rows; `scopes` None: nobody is signed in."""
    if route.person:
        return STRANGER if scopes is None else GRANTED if person else FORBIDDEN
    if route.scope is None:
        return DONE_WITHOUT
    if scopes is None:
        return STRANGER
    if route.scope in scopes:
        return GRANTED
    if person and route.own:
        return GRANTED if route.name in LISTS_OF_ONES_OWN else HIDDEN
    return FORBIDDEN


@cache
def password() -> str:
    return make_password(LOGIN["password"])


def signed_in(organization: Any, role: str) -> APIClient:
    person = UserFactory(
        organization=organization, email=f"{role}@example.com", role=role, password=password()
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
    return client


CALLERS: dict[
    str, tuple[Callable[[Any, Route], APIClient], Callable[[Route], frozenset[str] | None], bool]
] = {
    "anonymous": (lambda organization, route: APIClient(), lambda route: None, False),
    **{
        str(role): (
            lambda organization, route, role=role: signed_in(organization, role),
            lambda route, role=role: ROLE_SCOPES[role],
            True,
        )
        for role in Role.values
    },
    "a key with only that scope": (
        lambda organization, route: client_for(organization, scopes=[route.scope] if route.scope else []),
        lambda route: frozenset({route.scope}),
        False,
    ),
    "a key with every scope but that": (
        lambda organization, route: client_for(
            organization, scopes=[scope for scope in Scope.values if scope != route.scope]
        ),
        lambda route: frozenset(Scope.values) - {route.scope},
        False,
    ),
}
"""Each as: who calls, what they may do, whether they are a person."""


@pytest.mark.parametrize(("method", "name"), sorted(served()))
def test_who_may_use_it(method, name, organization, api, user, version):
    found = [route for route in ROUTES if (route.method, route.name) == (method, name)]
    assert found, f"Add {method} {name} to tests/support/routes.py: say which scope it needs."
    (route,) = found
    world = world_of(api, user)
    anybody = set()
    for who, (client_of, scopes_of, person) in CALLERS.items():
        client = client_of(organization, route)
        wanted = expected(route, scopes_of(route), person=person)
        # Sign-ins and the like are few a minute for each address.
        caches["default"].clear()
        before = stored()
        with transaction.atomic():
            answer = route.call(client, world)
            after = stored()
            transaction.set_rollback(True)
        if wanted == DONE_WITHOUT:
            anybody.add(answer.status_code)
            assert answer.status_code != FORBIDDEN, who
        elif wanted == GRANTED:
            assert answer.status_code in (200, 201, 202, 204), (who, answer.status_code, answer.content)
        else:
            refused(answer, wanted)
            assert after == before, who
    # A door that is open to all takes no notice of who knocks.
    assert len(anybody) <= 1
