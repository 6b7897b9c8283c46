"""The query plans of PostgreSQL for each list and look-up over large tables: none has a sequential scan of one.

A list may scan its organization's newest rows until the page is full; QUERY_TIMEOUT limits that.
"""

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import yaml
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.api import queries
from apps.users.models import Organization, User
from notifier.lib.database import sql
from tests.environment import ROOT
from tests.support import big_tables
from tests.support.factories import OrganizationFactory, template_with
from tests.support.routes import PERSONAL, ROUTES, Route, world_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="Plans are PostgreSQL's."),
]

SMALL, LARGE = "small", "large"
BIG = {model._meta.db_table for model in big_tables.BIG}
READS = [route for route in ROUTES if route.method == "GET"]
PATHS: dict[str, Any] = yaml.safe_load((ROOT / "docs/openapi.yml").read_text())["paths"]
MIDDLE = "2026-01-01T00:00:00Z"
VALUES: dict[str, Any] = {
    "actor": "user:7", "code": "refused", "correlation_id": "correlation-1230", "email": "PERSON1230@example.com",
    "kind": "users.user", "limit": 100, "page": 2, "from": 1, "to": 1, "reason": "nothing-like-it",
    "recipient": "gone@example.com", "request_id": "order-1230", "row_id": "none", "template": "hello",
    "active": "true", "phone": "%2B14150001230",
}  # fmt: skip
"""The value for each query parameter; those with choices are tried with each. A new parameter needs a value here."""


@pytest.fixture(scope="module")
def _large_tables(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    with django_db_blocker.unblock():
        small, large = (OrganizationFactory(slug=slug) for slug in (SMALL, LARGE))
        try:
            big_tables.fill(small, large, template_with(large, code="seeded"))
            yield
        finally:
            big_tables.empty()


@pytest.fixture(params=[SMALL, LARGE])
def organization(_large_tables: None, db: None, request: pytest.FixtureRequest) -> Organization:
    """An organization with a tenth of the rows, and the one with the rest."""
    return Organization.objects.get(slug=request.param)


@pytest.fixture
def world(api: APIClient, user: Any, version: Any, unpublished: None) -> dict[str, Any]:
    return {**world_of(api, user), "large": user.organization.slug == LARGE}


class Recorder:
    """Records every statement of the API, of Django and of `notifier.lib.database.sql`, for EXPLAIN."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.own: list[tuple[Any, Any]] = []
        own = self.own

        class Noting(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
                own.append((query, params))
                return super().execute(query, params, **options)

        patch.setattr(sql, "psycopg", SimpleNamespace(Cursor=Noting))

    def scans(self, route: Route, client: APIClient, world: Any, query: str) -> list[str]:
        """The sequential scans of large tables by this call."""
        self.own.clear()
        with CaptureQueriesContext(connection) as captured:
            url = route.url(world) + (f"?{query}" if query else "")
            answer = client.generic(route.method, url)
        past_the_last = query.startswith("page=") and answer.status_code == 404
        # Of a service that asks for the URL by a GET: here there is none of that name.
        no_such_account = route.name == "provider-events" and answer.status_code == 404
        assert answer.status_code == 200 or past_the_last or no_such_account, (route, query, answer.content)
        texts = [(row["sql"], None) for row in captured.captured_queries]
        return [
            f"{route} ?{query}\n    {table}: {text}"
            for text, values in [*texts, *self.own]
            if text.lstrip().startswith(("SELECT", "WITH", "(SELECT"))
            for table in sorted(scanned(text, values) - spared(text, world))
        ]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def scanned(text: str, values: Any = None) -> set[str]:
    """The big tables that the statement scans sequentially."""
    with psycopg.ClientCursor(connection.connection) as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {text}", values)
        (explained,) = cursor.fetchone() or (None,)
    plans = explained if isinstance(explained, list) else json.loads(explained)
    return {
        node["Relation Name"]
        for node in nodes(plans[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
    }


def spared(text: str, world: dict[str, Any]) -> set[str]:
    """The listed table, where the caller's organization has nearly all of its rows: to read those is then to scan the
    table in any case."""
    listed = re.match(r'SELECT .*? FROM "(\w+)"', text)
    return {listed[1]} if world["large"] and listed else set()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def parameters(url: str) -> list[dict[str, Any]]:
    """The query parameters of the URL's path in the OpenAPI document; of several paths the one with the fewest
    placeholders."""
    fitting = [path for path in PATHS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url)]
    found = PATHS[min(fitting, key=lambda path: path.count("{"))]["get"]
    return [one for one in found.get("parameters", ()) if one["in"] == "query"]


def query_strings(parameter: dict[str, Any], world: dict[str, Any], client: APIClient, url: str) -> list[str]:
    """The query strings with which a parameter is tried."""
    name, schema = parameter["name"], parameter["schema"]
    if "enum" in schema:
        return [f"{name}={value}" for value in schema["enum"]]
    if name == "cursor":
        cursor = client.get(f"{url}?limit=1").json()["meta"]["next"]
        return [f"limit=1&cursor={cursor}"] if cursor else []
    if name == "since" and "usage" in url:
        return [""]
    if name in ("since", "until", "created_after", "created_before"):
        return [f"{name}={MIDDLE}"]
    value = {"user": world["pk"], "notification": world["key"], **VALUES}[name]
    return [f"{name}={value}"]


@pytest.mark.parametrize("route", READS, ids=str)
def test_no_read_of_the_api_reads_a_large_table_from_end_to_end(route, api, user, world, recorder):
    client = signed_in(user) if route in PERSONAL else api
    url = route.url(world)
    found = recorder.scans(route, client, world, "")
    for parameter in parameters(url):
        for query in query_strings(parameter, world, client, url):
            found += recorder.scans(route, client, world, query)
    assert not found, "\n".join(found)


def signed_in(user: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
    return client


@pytest.mark.parametrize("status", queries.SHOWN)
def test_a_status_that_many_have_is_found_among_the_newest(status, api, world, recorder, monkeypatch):
    # Fewer than the tables have of any status: as if half a million rows were due.
    monkeypatch.setattr(queries, "FEW_ROWS", 5)
    listed = next(route for route in READS if route.name == "notifications")
    assert not recorder.scans(listed, api, world, f"status={status}")


def test_people_are_found_by_address_through_an_index_of_addresses(organization):
    everywhere = User.objects.filter(User.at("PERSON1230@example.com"))
    for rows in (everywhere, everywhere.filter(organization=organization)):
        plan = rows.explain()
        assert "user_by_email" in plan or "user_email_once_an_organization" in plan, plan
        assert rows.count() <= 1
    assert everywhere.count() == 1
