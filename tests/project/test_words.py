"""One word for one thing, the field's own: identifiers don't speak the language of earlier releases."""

import io
import re
import tokenize
from collections import defaultdict

from tests.environment import ROOT

FORMER = {
    "hand": "sender thread", "hands": "sender threads", "wire": "connection, client, send slot",
    "wires": "send slots", "lend": "try_submit", "lent": "try_submit", "crowded": "has_waiters",
    "chunk": "batch", "chunks": "batches", "parcel": "claimed delivery", "parcels": "claimed deliveries",
    "promised": "reserved, pipelined next", "composing": "render", "words": "text, reply, message",
    "rechecking": "recheck_eligibility", "told": "tracking event, announced, recorded",
    "insist": "retry_until_recorded", "bury": "create a dead letter", "letter": "dead_letter",
    "letters": "dead_letters", "janitor": "crash_recovery", "drain": "dead_letter_consumer",
    "drained": "consumed", "sweep": "republish", "sweeps": "republisher", "swept": "republished",
    "coalescer": "group_commit", "coalescing": "group_commit", "asked": "request, submission, serializer",
    "party": "key, organization", "parties": "keys", "fault": "error", "faults": "errors",
    "said": "reply, message", "isolated": "tenant", "isolation": "tenancy",
}  # fmt: skip
"""What an identifier must not say any more, and what the thing is called."""
MODULES = {
    "return_paths": "verp", "bounces": "dsn", "circuits": "failure_window", "windows": "sliding_window",
    "statements": "sql", "waits": "retry_after", "page_words": "translations", "cast": "factories",
    "audit": "reconciliation, or audit_log", "told": "tracking", "dispatch": "route", "slots": "concurrency",
}  # fmt: skip
OTHERS = {
    # Named by others: Django's signals, asyncio's and ssl's own, Celery's settings, packages.
    "dispatch_uid", "third_party_auth", "_THIRD_PARTY", "CELERY_EMAIL_CHUNK_SIZE", "ascii_letters",
    "break_long_words",
    # Of RFC 2047.
    "_encoded_words",
    # The name of a path's parameter, by which generated clients call it.
    "letter",
}  # fmt: skip
FOLDERS = ("apps", "notifier", "tests", "benchmarks", "scripts")


def modules():
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if "migrations" not in path.parts:
                yield path


def parts(name):
    """DeadLetterRows: dead, letter, rows."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def former_in(name):
    """The former words of an identifier. A test's name is a sentence, and has the words of one."""
    if name in OTHERS or name.startswith("test_"):
        return set()
    found = set()
    for before, part in zip(["", *parts(name)], parts(name), strict=False):
        dead = part in ("letter", "letters") and before == "dead"
        if part in FORMER and not dead:
            found.add(part)
    return found


def test_identifiers_speak_the_fields_language():
    found = defaultdict(set)
    for path in modules():
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.NAME and former_in(token.string):
                found[str(path.relative_to(ROOT))].add(token.string)
    shown = [f"{path}: {', '.join(sorted(names))}" for path, names in sorted(found.items())]
    assert not found, "\n" + "\n".join(shown)


def test_modules_have_the_fields_names():
    named = {
        path for path in modules() if path.stem in MODULES and path.parts[-2] not in ("views", "accounts")
    }
    named -= {ROOT / "apps/users/models/audit.py"}
    assert not named


def test_the_rule_itself():
    assert former_in("DeadLetterRows") == set()
    assert former_in("replay_letter") == {"letter"}
    assert former_in("HANDS_A_CHUNK") == {"hands", "chunk"}
    assert former_in("test_words_are_sentences") == set()
