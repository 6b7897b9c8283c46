"""What one request may spend on templates, and what one organization."""

import itertools
import string
import time

import pytest

from apps.notifications.acceptance import planning
from apps.notifications.delivery import render
from apps.templates import declarations
from apps.templates.html import compiling
from apps.templates.liquid import budget, engine
from apps.templates.liquid.budget import Shares
from tests.conftest import client_for, post
from tests.support.factories import EMAIL_EN, OrganizationFactory, template_with
from tests.support.routes import refused

EXPENSIVE = (
    "{% for a in (1..4000) %}{{ name | append: 'x' | upcase | downcase | capitalize | size }}{% endfor %}"
)
"""Some tenths of a second; as a part of its own it stays within every bound."""
STYLED = {**EMAIL_EN, "html": "<style>p { color: red }</style><p>{{ name }}</p>"}
LONG = '{% render "long" %}' * 12 + "y"
FOUR = 4 * budget.CPU_LIMIT
ALPHABET = string.ascii_letters
KEYWORDS = {"as", "by", "if", "in", "or"}


@pytest.fixture(autouse=True)
def full_shares(monkeypatch):
    fresh = Shares()
    monkeypatch.setattr("apps.templates.rendering.rendering.shares", fresh)
    return fresh


@pytest.fixture
def expensive(organization):
    keys = {f"key{number}": EXPENSIVE for number in range(32)}
    push = {"channel": "push", "language": "en", "title": "Hello", "body": "x", "data": keys}
    return template_with(organization, push, code="expensive")


def taken(work):
    began = time.thread_time()
    answer = work()
    return answer, time.thread_time() - began


class TestRequest:
    def test_a_message_of_many_expensive_parts_is_refused_by_the_parts_name(self, expensive, api, user):
        answer, seconds = taken(lambda: post(api, user, template_code="expensive"))
        (entry,) = refused(answer, 400)["errors"]
        assert entry["code"] == "too_costly"
        assert "push data.key" in entry["detail"]
        assert seconds < FOUR

    def test_so_is_its_preview(self, expensive, api):
        answer, seconds = taken(
            lambda: api.post(
                "/api/v1/templates/expensive/preview/", {"variables": {"name": "Ada"}}, format="json"
            )
        )
        (entry,) = refused(answer, 400)["errors"]
        assert (entry["field"].rpartition(".")[0], entry["code"]) == ("push.data", "too_costly")
        assert seconds < FOUR

    def test_a_batch_of_dear_ones_has_a_bound_and_the_cheap_ones_before_are_taken(
        self, expensive, api, user, version, monkeypatch
    ):
        monkeypatch.setattr(budget, "BATCH_CPU", 1.0)
        cheap = {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}}
        items = [cheap, *[{**cheap, "template_code": "expensive"}] * 200, cheap]
        answer, seconds = taken(
            lambda: api.post("/api/v1/notifications/batch/", {"notifications": items}, format="json")
        )
        results = answer.json()["data"]["results"]
        assert results[0]["result"] == "accepted"
        assert {one["errors"][0]["code"] for one in results[1:-1]} == {"too_costly"}
        assert "another batch" in results[-2]["errors"][0]["detail"]
        assert seconds < 5

    def test_a_push_has_32_keys_at_most(self, organization, api):
        content = {
            "channel": "push", "language": "en", "title": "Hello", "body": "x",
            "data": {f"key{number}": "x" for number in range(33)},
        }  # fmt: skip
        answer = api.post(
            "/api/v1/templates/", {"code": "many", "name": "Many", "contents": [content]}, format="json"
        )
        assert refused(answer, 400)["errors"][0]["field"] == "contents[0].data"

    def test_writing_has_a_bound_for_all_contents_together(self, api, organization, monkeypatch):
        monkeypatch.setattr(budget, "WRITING_CPU", 0.05)
        part = {"name": "long", "text": "{{ name }}" * 1900}
        assert api.post("/api/v1/templates/partials/", part, format="json").status_code == 201
        contents = [
            {"channel": "email", "language": f"en-A{number}", "subject": "x", "text": LONG}
            for number in range(10, 60)
        ]  # fmt: skip
        answer, seconds = taken(
            lambda: api.post(
                "/api/v1/templates/", {"code": "a", "name": "A", "contents": contents}, format="json"
            )
        )
        assert answer.status_code == 400, answer.content
        assert seconds < FOUR

    def test_so_has_looking_at_a_draft_whose_partial_became_dear(
        self, api, organization, version, monkeypatch
    ):
        part = {"name": "long", "text": "x"}
        assert api.post("/api/v1/templates/partials/", part, format="json").status_code == 201
        contents = [
            {"channel": "email", "language": f"en-A{number}", "subject": "x", "text": f"{number}{LONG}"}
            for number in range(10, 60)
        ]  # fmt: skip
        draft = "/api/v1/templates/hello/draft/"
        assert api.put(draft, {"contents": contents}, format="json").status_code == 201
        assert api.patch(
            "/api/v1/templates/partials/long/", {"text": "{{ name }}" * 160}, format="json"
        ).status_code == 200  # fmt: skip
        monkeypatch.setattr(budget, "WRITING_CPU", 0.05)
        answer, seconds = taken(lambda: api.get(draft))
        (warning,) = answer.json()["data"]["warnings"]
        assert "takes too long" in warning
        assert seconds < FOUR

    def test_names_that_many_conditions_around_them_ask_for_are_found_at_once(self, api, organization):
        conditions = iter(
            pair for pair in map("".join, itertools.product(ALPHABET, repeat=2)) if pair not in KEYWORDS
        )
        around = "".join(f"{{% if {' and '.join(itertools.islice(conditions, 90))} %}}" for _ in range(27))
        used = f"{{{{ 'x' | append: {','.join(ALPHABET * 9)} }}}}" * 38
        content = {
            "channel": "email",
            "language": "en",
            "subject": "x",
            "text": around + used + "{% endif %}" * 27,
        }
        answer, seconds = taken(
            lambda: api.post("/api/v1/templates/substitute/", {"contents": [content]}, format="json")
        )
        assert answer.status_code in (200, 400), answer.content
        assert seconds < FOUR

    def test_a_version_uses_500_variables_at_most(self, api, organization):
        names = [f"n{number}" for number in range(501)]

        def written(*given):
            content = {**EMAIL_EN, "text": "".join(f"{{{{ {name} }}}}" for name in given)}
            body = {"code": f"uses-{len(given)}", "name": "Many", "contents": [content]}
            return api.post("/api/v1/templates/", body, format="json")

        assert written(*names[:499]).status_code == 201
        (entry,) = refused(written(*names[:500]), 400)["errors"]
        assert (entry["field"], "500 variables" in entry["detail"]) == ("contents", True)

    def test_an_answer_names_so_many_missing_variables(self, organization, api, user):
        template_with(
            organization, {**EMAIL_EN, "text": "".join(f"{{{{ n{number} }}}}" for number in range(90))}
        )
        errors = refused(post(api, user), 400)["errors"]
        assert len(errors) == 50
        assert {entry["code"] for entry in errors} == {"required"}

    def test_a_batch_of_what_is_refused_unrendered_has_a_bound_too(self, api, user, version, monkeypatch):
        monkeypatch.setattr(budget, "BATCH_CPU", 0.05)
        looked = []

        def slow(declared, required, variables):
            looked.append(1)
            ends = time.thread_time() + 0.02
            while time.thread_time() < ends:
                pass
            return {}, [declarations.VariableError("name", "The template uses this variable.", "required")]

        monkeypatch.setattr(declarations, "applied", slow)
        items = [{"user_id": str(user.pk), "template_code": "hello"}] * 40
        answer = api.post("/api/v1/notifications/batch/", {"notifications": items}, format="json")
        results = answer.json()["data"]["results"]
        assert [one["result"] for one in results] == ["rejected"] * 40
        assert results[0]["errors"][0]["code"] == "required"
        assert results[-1]["errors"][0]["code"] == "too_costly"
        assert len(looked) < 10


class TestShare:
    def test_an_organization_that_has_used_it_up_renders_only_cheap_messages(
        self, expensive, api, user, version
    ):
        codes = set()
        for _ in range(40):
            answer, seconds = taken(lambda: post(api, user, template_code="expensive"))
            (entry,) = refused(answer, 400)["errors"]
            codes.add(entry["detail"].partition(": ")[2])
            if "share" in entry["detail"]:
                break
        assert "share" in entry["detail"]
        assert post(api, user).status_code == 202

    def test_it_is_an_organizations_own(self, expensive, api, user, version, full_shares):
        full_shares._charge(user.organization_id, 60)
        other = OrganizationFactory(slug="other")
        template_with(other, {**EMAIL_EN, "text": EXPENSIVE.replace("4000", "500")}, code="expensive")
        body = {"recipient": {"email": "grace@example.com"}, "template_code": "expensive"}
        assert post(client_for(other), **body).status_code == 202
        assert "share" in refused(post(api, user, template_code="expensive"), 400)["errors"][0]["detail"]

    def test_it_comes_back(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
        shares = Shares()
        shares._charge("acme", 6)
        assert shares._now("acme") < 0
        now[0] = 10.0
        assert shares._now("acme") == pytest.approx(budget.SHARE_KEPT - 6 + 10 * budget.SHARE)


class TestKept:
    """Of what callers write a process keeps so much, however many write it."""

    @pytest.fixture(autouse=True)
    def nothing_kept(self):
        for kept in (engine._parsed, planning._versions, render._source):
            kept.clear()

    def test_sources_count_by_what_is_in_their_braces(self, api, organization):
        dense = f"{{{{ 'x' | append: {','.join(ALPHABET * 9)} }}}}" * 60
        contents = [{**EMAIL_EN, "html": "", "text": f"{number}{dense}"} for number in range(2)]
        for content in contents:
            api.post("/api/v1/templates/substitute/", {"contents": [content]}, format="json")
        assert engine._parsed.weight > 2 * engine.NODE_WEIGHT * len(dense)
        assert engine._parsed.weight < engine.PARSED_LIMIT

    def test_a_version_counts_with_everything_in_it(self, api, user, organization):
        variables = [{"name": "list", "type": "list", "default": [[]] * 1_000}]
        body = {"code": "long", "name": "Long", "variables": variables}
        body["contents"] = [{**EMAIL_EN, "language": one, "text": "x" * 50_000} for one in ("en", "fr")]
        assert api.post("/api/v1/templates/", body, format="json").status_code == 201
        assert post(api, user, template_code="long").status_code == 202
        assert planning._versions.weight > 2 * 50_000 + 20 * 3_000


class TestCompiler:
    def written(self, client, code="styled"):
        return client.post(
            "/api/v1/templates/", {"code": code, "name": "Styled", "contents": [STYLED]}, format="json"
        )

    def test_an_organization_has_one_place(self, api, organization, monkeypatch):
        monkeypatch.setattr(compiling, "PATIENCE", 0.05)
        other = client_for(OrganizationFactory(slug="other"))
        with compiling.compiler_slots.slot(organization.pk, patience=0):
            answer = self.written(api)
            assert refused(answer, 503, "compiler_busy")["message"]
            assert answer["Retry-After"] == "2"
            assert self.written(other).status_code == 201
        assert self.written(api).status_code == 201

    def test_when_all_are_taken_it_waits_for_a_moment_alone(self, api, organization, monkeypatch):
        monkeypatch.setattr(compiling, "PATIENCE", 0.05)
        with compiling.compiler_slots.slot("a", patience=0), compiling.compiler_slots.slot("b", patience=0):
            assert self.written(api).status_code == 503
        assert self.written(api).status_code == 201

    def test_every_way_to_it_says_so(self, api, organization, version, monkeypatch):
        monkeypatch.setattr(compiling, "PATIENCE", 0.0)
        draft = {"contents": [STYLED]}
        with compiling.compiler_slots.slot(organization.pk, patience=0):
            for send, path, body in (
                (api.post, "hello/versions/", draft),
                (api.put, "hello/draft/", draft),
                (api.post, "substitute/", {**draft, "variables": {"name": "Ada"}}),
                (api.post, "layouts/", {"name": "brand", "html": STYLED["html"] + "{{ content }}"}),
            ):
                assert refused(send(f"/api/v1/templates/{path}", body, format="json"), 503, "compiler_busy")
