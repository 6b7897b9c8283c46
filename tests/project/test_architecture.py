"""The rules that keep the rooms apart, and the wiring that nothing else would notice missing."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import models

from apps.notifications.models import summary
from apps.notifications.models.statuses import PRECEDENCE, Status
from apps.notifications.transitions.status_changes import RECEIPT_MOVES, REPLAY_MOVES, SENDER_MOVES
from notifier.lib.database.tenancy import TenantManager
from tests.environment import ROOT

OURS = ("users", "templates", "notifications", "notifier_admin")


def test_imports_run_one_way():
    linter = Path(sys.executable).parent / "lint-imports"
    checked = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_no_migration_is_missing(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("label", OURS)
def test_every_model_belongs_to_an_organization_or_to_something_that_does(label):
    exempt = {
        "Organization", "ProviderState", "CircuitChange", "TickLease", "ProviderEvent", "UnreadEvent", "ImapFolder",
    }  # fmt: skip
    parents = {
        "NotificationPreference": "user", "TemplateVersion": "template", "TemplateContent": "version",
        "TemplateDraft": "template", "Event": "notification",
    }  # fmt: skip
    for model in apps.get_app_config(label).get_models():
        if model.__name__ in exempt:
            continue
        model._meta.get_field(parents.get(model.__name__, "organization"))
        assert isinstance(model._default_manager, TenantManager), f"{model} is seen by every organization"


@pytest.mark.parametrize("label", OURS)
def test_keys_are_time_ordered_uuids_and_times_have_zones(label):
    natural = {"ProviderState", "TickLease"}
    for model in apps.get_app_config(label).get_models():
        if model.__name__ not in natural:
            assert isinstance(model._meta.pk, models.UUIDField), model
            assert model().pk.version == 7


def test_status_tables_are_complete():
    assert set(PRECEDENCE) == set(Status)
    final = set(Status) - {Status.QUEUED, Status.SENDING, Status.UNKNOWN}
    assert not final & set(SENDER_MOVES), "a final status never moves back by itself"
    assert set(RECEIPT_MOVES) == {Status.SENT, Status.UNKNOWN}
    assert set(REPLAY_MOVES) == {Status.FAILED, Status.UNKNOWN}


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        (["sent", "sending", "failed"], "sending"),
        (["sent", "failed"], "failed"),
        (["skipped", "sent"], "sent"),
        (["scheduled", "skipped"], "scheduled"),
        (["scheduled", "queued"], "queued"),
        (["unknown", "sent"], "unknown"),
        ([], "skipped"),
    ],
)
def test_a_notification_shows_the_status_that_matters_most(statuses, shown):
    assert summary(statuses) == shown


def test_nobody_is_looked_up_past_the_index():
    # Django's `iexact` compares upper(), and the indexes are on lower(): `User.at` is the look-up by address.
    files = [path for path in (ROOT / "apps").rglob("*.py") if "migrations" not in path.parts]
    assert [str(path) for path in files if "__iexact" in path.read_text()] == []
