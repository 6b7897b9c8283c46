"""Random query parameters: a response in the envelope, a 4xx that names the parameter, and never a 5xx."""

import random
from urllib.parse import quote

import pytest
import yaml

from tests.environment import ROOT
from tests.support.routes import ENVELOPE, PARTS, ROUTES, stored, world_of

PATHS = yaml.safe_load((ROOT / "docs/openapi.yml").read_text())["paths"]
NASTY = [
    "", "%20", "%00", "a%00b", "x" * 5000, "-1", "0", "1e400", "nan", "inf", "9" * 400, "1.5", "%D9%A1", "%C2%B2",
    "'", "' OR 1=1 --", "%25", "_", "%5C", "*", "%22", "%3Cscript%3E", "null", "true", "False", "%5B%5D", "%7B%7D",
    "%ED%A0%80", "%FF%FE", "%E2%80%AE", "../../etc/passwd", "%0d%0aSet-Cookie:%20a=b", "%7B%7Bname%7D%7D",
    "00000000-0000-0000-0000-000000000000", "%7B00000000-0000-0000-0000-000000000000%7D", "urn:uuid:0",
    "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "2026-01-01T00:00:00%2B99:00",
    "1970-01-01", "email", "queued", "cD0yMDI2", "cj0xJnA9eA==", "bz0x", "a@b@c", "1&1",
]  # fmt: skip
UNKNOWN = [
    "email__startswith=a", "organization=1", "user__email__regex=.*", "limit[]=1", "ordering=-password", "format=xml",
    "fields=password", "page_size=1000000", "a" * 200 + "=1", "%00=1", "=1", "&&&", "x=1;y=2", "?limit=1",
]  # fmt: skip


def routes_with_parameters():
    for route in ROUTES:
        if route.method == "GET" or route.name == "notifications":
            yield route


@pytest.fixture
def world(api, user, version):
    api.raise_request_exception = False
    return world_of(api, user)


def parameters(route, world):
    url = route.url(world)
    for path, operations in PATHS.items():
        whole = path
        for part in PARTS.get(route.name, ()):
            whole = whole.replace(f"{{{part}}}", str(world[part]))
        if whole == url and route.method.lower() in operations:
            found = operations[route.method.lower()].get("parameters", [])
            return [one["name"] for one in found if one["in"] == "query"]
    return []


def call(api, route, world, query):
    send = getattr(api, route.method.lower())
    body = {} if route.body is None else route.sound(world)
    url = f"{route.url(world)}?{query}"
    return send(url) if route.method == "GET" else send(url, body, format="json")


def check(answer, context):
    assert answer.status_code < 500, (context, answer.content[:300])
    assert list(answer.json())[:5] == ENVELOPE, context


def test_no_value_of_any_parameter_is_a_server_error(api, world):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat it with
    chance = random.Random(seed)
    before, tried = stored(), 0
    for route in routes_with_parameters():
        if route.method != "GET":
            continue
        for name in parameters(route, world):
            odd = ["".join(chance.choices("%0aA'\"{}[]\\;,:+-_.é\u0661\u202e", k=12)) for _ in range(5)]
            for value in [*NASTY, *(quote(one) for one in odd)]:
                query = f"{name}={value}"
                answer = call(api, route, world, query)
                check(answer, (str(route), query))
                if answer.status_code == 400 and answer.json()["error"] == "validation_error":
                    fields = {entry["field"] for entry in answer.json()["errors"]}
                    assert fields & {name, "1"}, (str(route), query, answer.content)
                tried += 1
    assert stored() == before
    assert tried > 2000


@pytest.mark.parametrize("query", UNKNOWN)
def test_an_unknown_parameter_is_no_server_error_and_no_way_in(query, api, user, world):
    before = stored()
    for route in routes_with_parameters():
        if route.method == "GET":
            answer = call(api, route, world, query)
            if not query.startswith("format"):
                check(answer, (str(route), query))
            assert answer.status_code < 500
    assert stored() == before
