"""The list of checks and their runner: each check has a time limit and runs even if others fail."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import connections

from apps.admin.doctor import accounts, cache, configuration, database, mail, push, rabbit, work
from apps.admin.doctor.findings import Finding, Level, message_of, skipped, wrong
from apps.admin.doctor.secrets import masked

SECONDS = 15.0
"""Seconds that a check may take; each check's own timeouts are below this."""


@dataclass(frozen=True, slots=True)
class Check:
    """`needs`: the check that must pass for this one to be meaningful; else this one is skipped."""

    name: str
    look: Callable[[], list[Finding]]
    needs: str = ""


CHECKS = (
    Check("settings", configuration.settings_as_read),
    Check("database", database.answers),
    Check("migrations", database.migrations, needs="database"),
    Check("clock", database.clock, needs="database"),
    Check("broker", rabbit.answers),
    Check("queues", rabbit.queues, needs="broker"),
    Check("workers", rabbit.workers, needs="broker"),
    Check("redis", cache.answers),
    Check("tick", work.tick, needs="migrations"),
    Check("providers", work.providers, needs="migrations"),
    Check("events", work.events, needs="migrations"),
    Check("email", mail.signs_in),
    Check("push", push.accepts),
    Check("sms", partial(accounts.usable, "sms")),
)


def examine(
    checks: Iterable[Check] = CHECKS, *, seconds: float = SECONDS
) -> Iterator[tuple[Check, list[Finding]]]:
    """Yields each check's findings as soon as it is done, with passwords masked."""
    failed: set[str] = set()
    for check in checks:
        if check.needs in failed:
            findings = [skipped(f"Skipped, since the check {check.needs} must pass first.")]
        else:
            findings = [masked(finding) for finding in _within(check, seconds)]
        if any(finding.level in (Level.WRONG, Level.SKIPPED) for finding in findings):
            failed.add(check.name)
        yield check, findings


def _within(check: Check, seconds: float) -> list[Finding]:
    found: list[Finding] = []

    def look() -> None:
        try:
            found.extend(check.look())
        except Exception as error:  # noqa: BLE001 - an error in one check must not hide the others
            found.append(
                wrong(f"The check failed: {type(error).__name__}: {message_of(error)}.", "Try again.")
            )
        finally:
            connections.close_all()

    # A daemon thread: one that hangs despite its timeouts doesn't keep the command from exiting.
    thread = threading.Thread(target=look, name=f"doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return [wrong(f"No answer within {seconds:.0f} s.", "Look for an unresponsive host or a firewall.")]
    return found
