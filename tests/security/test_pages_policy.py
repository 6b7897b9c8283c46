"""Headers for browsers and caches on every response."""

import re

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.users.preferences import links
from notifier.settings import BASE_DIR
from tests.support.factories import UserFactory
from tests.support.routes import refused

PAGES = [
    "/admin/", "/admin/login/", "/admin/templates/template/add/", "/admin/users/apikey/add/",
    "/admin/notifications/notification/", "/api/docs/", "/password-reset/x/", "/preferences/x/", "/unsubscribe/x/",
]  # fmt: skip


@pytest.fixture
def browser(organization):
    root = UserFactory(organization=organization, is_staff=True, is_superuser=True, role="admin")
    client = Client()
    client.force_login(root)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_no_page_runs_a_script_that_stands_in_it(page, browser):
    answer = browser.get(page)
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
    )
    scripts = policy.get("script-src", policy["default-src"])
    assert "unsafe" not in scripts
    assert "nonce" not in scripts
    assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert "camera=()" in answer.headers["Permissions-Policy"]
    html = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", html), page
    assert not re.search(r"<[^>]+\son[a-z]+=", html), page


def test_nor_does_a_template_of_ours():
    for path in (BASE_DIR / "templates").rglob("*.html"):
        html = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", html), path
        assert not re.search(r"<[^>]+\son[a-z]+=", html), path


def test_the_links_pages_keep_their_own_stricter_policy(user, settings):
    settings.PUBLIC_URL = "https://notify.example.com"
    path = links.page_for(user.pk, None).removeprefix(settings.PUBLIC_URL)
    policy = Client().get(path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src")


def test_no_cache_keeps_an_answer_of_the_api(api, user):
    for answer in (
        api.get(f"/api/v1/users/{user.pk}/"),
        api.get("/api/v1/users/"),
        APIClient().get("/api/v1/x/"),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" not in answer.headers


def test_hsts_is_said_over_tls_where_it_is_set(settings, db):
    settings.SECURE_HSTS_SECONDS = 31536000
    assert "31536000" in Client().get("/admin/login/", secure=True).headers["Strict-Transport-Security"]


def test_the_document_is_made_once(monkeypatch, db):
    from drf_spectacular.generators import SchemaGenerator

    first = Client().get("/api/schema/")
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_, **__: pytest.fail("made again"))
    again = Client().get("/api/schema/")
    assert first.content == again.content
    assert b"/api/v1/notifications/batch/:" in first.content
    assert Client().get("/api/schema/?format=json").json()["openapi"].startswith("3.")


def test_an_organizations_callers_share_a_limit(api, user, settings, monkeypatch):
    from apps.users.access import throttling
    from notifier.lib.redis import sliding_window

    monkeypatch.setattr(throttling, "organizations", sliding_window.LocalSlidingWindows())
    settings.RATE_LIMIT_ORGANIZATION = 3
    path = f"/api/v1/users/{user.pk}/"
    answers = [api.get(path) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "RATE_LIMIT_ORGANIZATION" in refused(answers[-1], 429, "rate_limited")["message"]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60


def test_the_document_and_its_page_can_be_closed(settings):
    import importlib

    from notifier import urls

    try:
        settings.API_DOCS = False
        names = {getattr(entry, "name", None) for entry in importlib.reload(urls).urlpatterns}
        assert not {"schema", "docs"} & names
    finally:
        settings.API_DOCS = True
        importlib.reload(urls)
