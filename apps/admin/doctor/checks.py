"""All checks, and their running: each within a time, each whatever became of the others."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db import connections

from apps.admin.doctor import cache, configuration, database, mail, push, rabbit, work
from apps.admin.doctor.findings import Finding, Level, message_of, skipped, wrong
from apps.admin.doctor.secrets import masked

SECONDS = 15.0
"""The longest that a check is waited for; each bounds its own waits below this."""


@dataclass(frozen=True, slots=True)
class Check:
    """`needs`: the check without whose success this one has nothing to look at."""

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
)


def examine(
    checks: Iterable[Check] = CHECKS, *, seconds: float = SECONDS
) -> Iterator[tuple[Check, list[Finding]]]:
    """Each check's findings as soon as it is done, without passwords."""
    failed: set[str] = set()
    for check in checks:
        if check.needs in failed:
            findings = [skipped(f"Not looked at, since {check.needs} has to be well first.")]
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
        except Exception as error:  # noqa: BLE001 - a fault in one check must not hide the other checks
            found.append(
                wrong(f"It could not be checked: {type(error).__name__}: {message_of(error)}.", "Try again.")
            )
        finally:
            connections.close_all()

    # A daemon: one that hangs in spite of its own bounds does not keep the command from ending.
    thread = threading.Thread(target=look, name=f"doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return [wrong(f"No answer within {seconds:.0f} s.", "Look for a host that hangs, or for a firewall.")]
    return found
