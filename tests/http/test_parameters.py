"""Query parameters: an operation accepts its own, once each. A dry run never sends."""

import pytest
import yaml
from rest_framework.test import APIClient

from apps.users.access import sessions
from notifier.channels.registry import CODES
from notifier.lib.fields.query_parameters import parameters_of
from tests.environment import ROOT
from tests.support.routes import GUARDED, PARTS, PERSONAL, patterns, refused, stored, world_of

PATHS = yaml.load((ROOT / "docs/openapi.yml").read_text(), Loader=yaml.CSafeLoader)["paths"]  # noqa: S506
NO_WORD_FOR_IT = [
    "yes", "no", "on", "off", "y", "n", "t", "f", "2", "-1", "01", "", "%20", "true%20", "TRUE", "True", "False",
    "null", "None", "%00", "%ef%bc%91", "true,true", "x" * 1000,
]  # fmt: skip
STRANGE = [
    "dryrun=true",
    "dry-run=true",
    "DRY_RUN=true",
    "dry_run[]=true",
    "dry_run%20=true",
    "x=1",
    "=1",
    "expand=all",
]
SENDING = {"notifications", "notify", *(f"notifications-{code}" for code in CODES), "batch"}
MESSAGE = {"recipient": {"email": "bo@example.com"}, "template_code": "hello", "variables": {"name": "Bo"}}
DOORS = {
    "notifications/": MESSAGE,
    "notify/": MESSAGE,
    "notifications/email/": MESSAGE,
    "notifications/batch/": {"notifications": [MESSAGE, MESSAGE]},
}


@pytest.fixture
def world(api, user, version):
    api.raise_request_exception = False
    return world_of(api, user)


def errors(answer, code=None):
    entries = refused(answer, 400, "validation_error")["errors"]
    assert code is None or {entry["code"] for entry in entries} == {code}, entries
    return {entry["field"] for entry in entries}


@pytest.mark.parametrize("door", DOORS)
class TestDryRun:
    @pytest.mark.parametrize("word", NO_WORD_FOR_IT)
    def test_another_value_of_the_switch_sends_nothing(self, word, door, api, version):
        before = stored()
        answer = api.post(f"/api/v1/{door}?dry_run={word}", DOORS[door], format="json")
        assert errors(answer, "invalid") == {"dry_run"}
        assert "true or false" in answer.json()["errors"][0]["detail"]
        assert stored() == before

    @pytest.mark.parametrize("query", STRANGE)
    def test_so_does_a_misspelt_one(self, query, door, api, version):
        before = stored()
        answer = api.post(f"/api/v1/{door}?{query}", DOORS[door], format="json")
        errors(answer, "unknown_field")
        assert "Known: dry_run." in answer.json()["errors"][0]["detail"]
        assert stored() == before

    def test_given_twice_it_is_refused(self, door, api, version):
        before = stored()
        answer = api.post(f"/api/v1/{door}?dry_run=true&dry_run=false", DOORS[door], format="json")
        assert errors(answer, "repeated") == {"dry_run"}
        assert stored() == before

    @pytest.mark.parametrize("word", ["true", "1"])
    def test_what_is_meant_is_done(self, word, door, api, version):
        before = stored()
        answer = api.post(f"/api/v1/{door}?dry_run={word}", DOORS[door], format="json")
        assert answer.status_code == 200
        assert answer.json()["message"].startswith("A dry run: nothing is stored or sent.")
        assert stored() == before

    @pytest.mark.parametrize("word", ["false", "0"])
    def test_no_dry_run_is_a_send(self, word, door, api, version):
        assert api.post(f"/api/v1/{door}?dry_run={word}", DOORS[door], format="json").status_code == 202


class TestBatch:
    def test_a_dry_run_says_what_would_become_of_each(self, api, user, version):
        api.post("/api/v1/notifications/", {**MESSAGE, "request_id": "before"}, format="json")
        items = [
            {**MESSAGE, "channels": ["email"]},
            {**MESSAGE, "template_code": "absent"},
            {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}},
            {**MESSAGE, "request_id": "before"},
            {**MESSAGE, "request_id": "before", "variables": {"name": "Cy"}},
            "no object",
        ]
        before = stored()

        answer = api.post("/api/v1/notifications/batch/?dry_run=1", {"notifications": items}, format="json")

        assert stored() == before
        data = answer.json()["data"]
        assert (data["accepted"], data["rejected"]) == (3, 3)
        assert [result["index"] for result in data["results"]] == list(range(6))
        made = [
            [(one["channel"], one["decision"]) for one in result.get("decisions", ())]
            for result in data["results"]
        ]
        assert made == [[("email", "send")], [], [("email", "send"), ("push", "send")], [], [], []]
        # It was made before: a send would be answered with it.
        assert data["results"][3]["request_id"] == "before"
        assert [result.get("error") for result in data["results"]] == [
            None, "validation_error", None, None, "request_id_reused", "validation_error",
        ]  # fmt: skip
        assert "3 of 6 would be taken, 3 refused" in answer.json()["message"]

    def test_it_costs_what_the_batch_costs(self, api, version, settings):
        settings.RATE_LIMIT_ITEMS = 3
        url, body = "/api/v1/notifications/batch/?dry_run=true", {"notifications": [MESSAGE] * 2}
        assert api.post(url, body, format="json").status_code == 200
        assert refused(api.post(url, body, format="json"), 429, "rate_limited")


@pytest.mark.parametrize(
    "query", ["surprise=1", "dry_run=true", "Status=sent", "tenant=1", "%00=1", "format=xml"]
)
def test_no_guarded_operation_takes_what_it_does_not_know(query, api, world):
    before = stored()
    for route in GUARDED:
        if query.startswith("dry_run") and route.method == "POST" and route.name in SENDING:
            continue
        send = getattr(api, route.method.lower())
        url = f"{route.url(world)}?{query}"
        answer = send(url) if route.body is None else send(url, route.sound(world), format="json")
        name = query.partition("=")[0].replace("%00", "\0")
        assert errors(answer, "unknown_field") == {name}, route
    assert stored() == before


def test_nor_does_one_of_a_person(user):
    person = APIClient()
    person.credentials(HTTP_AUTHORIZATION=f"Bearer {sessions.begin(user)['access']}")
    for route in PERSONAL:
        send = getattr(person, route.method.lower())
        assert errors(send(f"{route.url({})}?x=1", route.body, format="json"), "unknown_field") == {"x"}


REPEATED = [
    "status=sent&status=queued", "status=sent&status=sent", "limit=1&limit=2", "channel=email&channel=push",
    "cursor=a&cursor=b", "user=1&user=2", "template=a&template=b", "created_after=1&created_after=2",
    "correlation_id=a&correlation_id=a", "limit=5&status=sent&limit=5", "template=&template=",
]  # fmt: skip


@pytest.mark.parametrize("query", REPEATED)
def test_a_parameter_given_twice_is_named(query, api, world):
    names = [part.partition("=")[0] for part in query.split("&")]
    twice = {name for name in names if names.count(name) > 1}
    assert errors(api.get(f"/api/v1/notifications/?{query}"), "repeated") == twice


def test_a_refused_caller_gets_that_error_first(api, db):
    assert refused(APIClient().get("/api/v1/users/?x=1"), 401)
    assert refused(APIClient().post("/api/v1/notifications/?dry_run=yes", {}), 401)


def test_public_endpoints_accept_added_parameters(api, world):
    """Probes, and links and hooks to which others have added a parameter."""
    assert api.get("/api/v1/health/?probe=1&probe=2").status_code == 200
    assert api.get("/api/v1/health/live/?utm_source=x").status_code == 200
    refused(APIClient().post("/api/v1/auth/login/?next=/", {}, format="json"), 400, "validation_error")
    refused(APIClient().post("/api/v1/providers/none/events/?token=1", {}, format="json"), 404)


def test_a_method_that_leads_nowhere_is_still_that(api, world):
    assert api.put("/api/v1/users/?x=1", {}).status_code == 405


def test_the_document_names_the_parameters_that_there_are(world):
    views, known = dict(patterns()), 0
    for route in [*GUARDED, *PERSONAL]:
        view = views[route.name]
        operation = operation_of(route, world)
        described = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        assert described == set(parameters_of(view.cls(**view.view_initkwargs), route.method)), route
        known += len(described)
    assert known > 50


def operation_of(route, world):
    (found,) = [
        operations[route.method.lower()]
        for path, operations in PATHS.items()
        if route.method.lower() in operations and filled(path, route.name, world) == route.url(world)
    ]
    return found


def filled(path, name, world):
    for part in PARTS.get(name, ()):
        path = path.replace(f"{{{'id' if part == 'pk' else part}}}", str(world[part]))
    return path
