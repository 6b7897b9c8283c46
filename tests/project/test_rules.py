"""Rules that stand once: each of these fails when a second copy of one appears."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models.statuses import Status
from apps.notifications.transitions.status_changes import (
    RECEIPT_MOVES,
    REPLAY_MOVES,
    SENDER_MOVES,
    movable_to,
)
from apps.users.models import User
from apps.users.preferences.translations import TRANSLATIONS
from notifier.channels.registry import CHANNELS
from notifier.lib.database import storage
from tests.environment import ROOT


def sources(*folders):
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


CODE = dict(sources("apps", "notifier"))
NOTIFICATIONS = {path: text for path, text in CODE.items() if path.startswith("apps/notifications/")}


def where(pattern, code=CODE):
    return {path for path, text in code.items() if re.search(pattern, text)}


def calls(name, keyword, code=NOTIFICATIONS):
    """Where a method of this name is called with this keyword."""
    found = set()
    for path, text in code.items():
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == name
                and any(one.arg == keyword for one in node.keywords)
            ):
                found.add(path)
    return found


def test_a_deliverys_status_changes_in_one_module():
    """And, for hundreds of rows at once, in the two statements beside it. Callbacks have statuses of their own."""
    own = {"apps/notifications/webhooks/delivery.py", "apps/notifications/webhooks/redelivery.py"}
    assert calls("update", "status") - own == {"apps/notifications/transitions/status_changes.py"}
    assert where(r"SET status", NOTIFICATIONS) == {
        "apps/notifications/transitions/claims.py",
        "apps/notifications/transitions/outcomes.py",
    }


def test_a_row_is_only_moved_by_the_table():
    table = {**SENDER_MOVES, **RECEIPT_MOVES, **REPLAY_MOVES}
    assert set(table) <= set(Status)
    for to in Status:
        assert set(movable_to(to, SENDER_MOVES)) == {
            start for start, ends in SENDER_MOVES.items() if to in ends
        }


def test_dead_letters_are_made_and_closed_in_one_module():
    """A message that nobody could read is one, too, and is stored where it is read."""
    assert where(r"DeadLetter\.objects\.(create|update_or_create|bulk_create)", NOTIFICATIONS) == {
        "apps/notifications/transitions/dead_letters.py",
        "apps/notifications/queue/dead_letter_consumer.py",
    }
    assert where(r"state=DeadLetter\.State\.(DISCARDED|REPLAYED)", NOTIFICATIONS) == set()
    closing = where(r"notifications_deadletter", NOTIFICATIONS) | calls("update", "closed_at")
    assert closing == {
        "apps/notifications/transitions/dead_letters.py",
        # Events that could not be read have states like them.
        "apps/notifications/feedback/unread_events.py",
    }


def test_a_claim_is_given_back_in_one_function():
    assert where(r"def (give_back|release|free|un_?claim)\w*\(.*token", NOTIFICATIONS) <= {
        "apps/notifications/transitions/claims.py"
    }


def test_what_the_database_is_is_asked_in_one_place():
    assert where(r"connection\.vendor\b") == {"notifier/lib/database/storage.py"}


@pytest.mark.parametrize("operation", storage.operations, ids=lambda operation: operation.__name__)
def test_every_operation_has_a_twin_of_the_same_form(operation):
    assert operation.twin is not None
    assert inspect.signature(operation.twin) == inspect.signature(operation.postgresql)


def test_channels_are_named_where_they_are_meant_alone():
    """Everything else treats them alike, by their declaration (`notifier.channels.registry`)."""
    named = where(
        r"notifier\.channels\.(?!registry|declaration)\w+ import|channels\.\w+\.(log|message|render) import"
    )
    own = ("apps/notifications/channels/", "apps/admin/doctor/", "apps/notifications/password_reset/")
    assert {path for path in named if not path.startswith(own)} == {
        "notifier/channels/registry.py",
        # A sample of a layout is an email.
        "apps/admin/authoring/template_parts.py",
        # Links and headers for unsubscribing, bounces by mail.
        "apps/notifications/api/views/refusal_page.py",
        "apps/users/preferences/preference_page.py",
        "apps/notifications/feedback/dsn.py",
        "apps/notifications/feedback/bounce_mail.py",
        "apps/notifications/operations/suppression_review.py",
        "apps/notifications/management/commands/consume_emails.py",
        "apps/notifications/management/commands/consume_push.py",
        # Devices have tokens of push, and nothing else.
        "apps/notifications/operations/deletion.py",
        "apps/users/api/views/users.py",
        "apps/users/models/devices.py",
        # People sign in by their email address.
        "apps/users/access/failed_sign_ins.py",
    }


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.code)
def test_a_channel_is_declared_once_and_has_its_folder(channel):
    assert re.fullmatch(r"[a-z]{1,16}", channel.code)
    log = DELIVERIES[channel.code]
    assert (log.channel, log.__module__) == (channel.code, f"apps.notifications.channels.{channel.code}.log")
    assert {log.RECIPIENT} <= set(log.ERASED) <= {field.name for field in log._meta.fields}
    messages = import_module(f"apps.notifications.channels.{channel.code}.render")
    assert callable(messages.message_of)
    assert callable(messages.unsubscribe_page)
    assert set(channel.names) == set(TRANSLATIONS), "its name on the preference page"
    column = channel.address.person_column
    assert not column or User._meta.get_field(column)


def test_threads_are_started_by_loops_and_send_slots():
    own = {
        "notifier/lib/threads.py",
        "apps/notifications/delivery/send_slots.py",
        # A look-up and a check that may hang: left behind when their time is over.
        "notifier/lib/http/address_guard.py",
        "apps/admin/doctor/checks.py",
    }
    started = {path for path in where(r"threading\.Thread\(|ThreadPoolExecutor\(") if "/local/" not in path}
    assert started == own


def test_a_database_error_is_both_of_djangos():
    """Its InterfaceError, which a lost connection raises, is no DatabaseError: whoever names one means both."""
    named = where(r"except .*\b(DatabaseError|InterfaceError|OperationalError)\b")
    # A deadlock or a timeout, and kombu's own of that name.
    assert named == set()


def test_sockets_are_connected_by_two_clients():
    own = {
        "notifier/lib/http/client.py",
        "apps/notifications/channels/email/providers/smtp/session.py",
    }
    assert {path for path in where(r"socket\.(create_connection|socket)\(") if "/local/" not in path} == own


def test_scripts_take_nothing_from_tests():
    files = [path for path in (ROOT / "scripts").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert files
    for path in files:
        assert not re.search(r"^\s*(from|import) tests\b", path.read_text(), re.MULTILINE), path


PACKAGES = [
    path.parent
    for folder in ("apps", "notifier")
    for path in (ROOT / folder).rglob("__init__.py")
    if "migrations" not in path.parts
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_says_what_it_is_for_and_is_small(package: Path):
    modules = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 12, f"{package} has {len(modules)} modules"
    if package.name not in ("commands", "apps"):
        described = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
        assert len(re.split(r"[.:]\s", described)) >= 3, (
            f"{package}/__init__.py says too little of what it is for"
        )


def test_folders_of_tests_are_small_too():
    for folder in {path.parent for path in (ROOT / "tests").rglob("test_*.py")}:
        assert len(list(folder.glob("test_*.py"))) <= 12, folder


def test_no_module_grows_past_500_lines():
    long = {path: lines for path, text in CODE.items() if (lines := len(text.splitlines())) > 500}
    assert not long
