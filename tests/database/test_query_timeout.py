"""The limits of list queries, and the errors beyond them."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import psycopg
import pytest
from django.db import OperationalError, connection

from apps.notifications.api import queries
from apps.users.access import list_limits
from notifier.http import errors as handling
from tests.conftest import client_for, post
from tests.environment import ROOT
from tests.support.factories import OrganizationFactory

LIST = "/api/v1/notifications/"
on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no such bound.")


@pytest.fixture
def slow(monkeypatch):
    """Every list of notifications takes the database ten seconds."""
    usual = queries.filtered
    monkeypatch.setattr(
        queries,
        "filtered",
        lambda *a, **k: usual(*a, **k).extra(where=["(SELECT pg_sleep(10)) IS NOT NULL"]),  # noqa: S610
    )


@on_postgres
def test_a_list_that_takes_too_long_is_a_503_of_its_own(api, slow, settings, monkeypatch):
    settings.QUERY_TIMEOUT = 0.1
    forgotten = []
    monkeypatch.setattr(handling, "forget_broken_connections", lambda: forgotten.append(True))
    answer = api.get(LIST)
    assert (answer.status_code, answer.json()["error"]) == (503, "query_timeout")
    assert "filter" in answer.json()["message"]
    assert answer["Retry-After"] == "5"
    assert not forgotten, "the database is well"
    assert api.get("/api/v1/users/").status_code == 200


@on_postgres
def test_the_bound_ends_with_the_list(transactional_db, api, settings):
    settings.QUERY_TIMEOUT = 7
    assert api.get(LIST).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@on_postgres
@pytest.mark.parametrize(
    ("opened", "seconds", "bound"),
    [
        ("import notifier.wsgi", "5", "15s"),
        ("import notifier.wsgi", "0", "0"),
        ("import django; django.setup()", "5", "0"),
        ("import celery_app, django; django.setup()", "5", "0"),
    ],
)
def test_statements_of_the_api_process_are_bounded_and_no_others(db, opened, seconds, bound):
    asks = (
        "from django.db import connection as c; import json\n"
        "with c.cursor() as cursor: cursor.execute('SHOW statement_timeout'); print(json.dumps(cursor.fetchone()))\n"
        "c.close(); c.close_pool()"
    )
    where = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    found = subprocess.run(
        [sys.executable, "-c", f"{opened}\n{asks}"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": where,
            "QUERY_TIMEOUT": seconds,
            "DJANGO_SETTINGS_MODULE": "notifier.settings",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(found.stdout.splitlines()[-1]) == [bound]


def test_a_write_that_takes_too_long_may_be_sent_again():
    try:
        raise OperationalError from psycopg.errors.QueryCanceled()
    except OperationalError as error:
        answer = handling.exception_handler(error, {"request": SimpleNamespace(method="POST")})
    assert (answer.status_code, answer.data["error"]) == (503, "query_timeout")
    assert "again" in answer.data["message"]


def test_an_organization_reads_a_few_lists_at_once_and_others_are_not_held(
    api, organization, user, version, monkeypatch
):
    monkeypatch.setattr(list_limits, "PATIENCE", 0.01)
    sent = post(api, user).json()["data"]["id"]
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(list_limits.concurrency_limit.slot(organization.pk, patience=0))
        for path in (LIST, "/api/v1/users/", "/api/v1/templates/hello/usage/", "/api/v1/audit/"):
            refused = api.get(path)
            assert (refused.status_code, refused.json()["error"]) == (429, "too_many_lists"), path
            assert refused["Retry-After"] == "1"
        # What isn't a list is not held, and no other organization is.
        assert api.get(f"{LIST}{sent}/").status_code == 200
        assert client_for(OrganizationFactory()).get(LIST).status_code == 200
    assert api.get(LIST).status_code == 200


@on_postgres
def test_a_list_that_took_too_long_releases_its_slot(api, organization, slow, settings):
    settings.QUERY_TIMEOUT = 0.05
    for _ in range(4):
        assert api.get(LIST).json()["error"] == "query_timeout"
    assert not list_limits.concurrency_limit._running
