"""The database: reachable, migrated to this release, and its clock in agreement with this machine's."""

import time

import psycopg
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.admin.doctor.findings import Finding, message_of, ok, wrong
from notifier.lib.database import storage
from notifier.lib.database.recovery import DATABASE_ERRORS

CLOCKS_AGREE = 5.0
"""Seconds of difference allowed: signed timestamps tolerate little more, and logs become hard to correlate."""
SHOWN = 5

_REFUSALS = (
    ("password authentication failed", "Correct the user name and password in DATABASE_URL."),
    ("role ", "Create the role, or correct the user name in DATABASE_URL."),
    ("no pg_hba.conf entry", "Allow this host in the server's pg_hba.conf."),
    ("database ", "Create the database, or correct its name in DATABASE_URL."),
    ("too many clients", "Raise max_connections, or lower DATABASE_POOL_SIZE: each process has a pool."),
)


def answers() -> list[Finding]:
    if not storage.on_postgresql():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return [ok(f"The database is {connection.settings_dict['NAME']} ({storage.vendor()}).")]
    where = f"{connection.settings_dict['HOST'] or 'localhost'}:{connection.settings_dict['PORT'] or 5432}"
    try:
        # Not through the pool, whose error says only that no connection is available.
        with psycopg.connect(**connection.get_connection_params()) as direct:
            row = direct.execute("SELECT pg_is_in_recovery(), current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        return [_refused(where, message_of(error))]
    standby, version = row or (False, "")
    if standby:
        return [wrong(f"The database at {where} is a standby: it can't be written to.", "Use the primary.")]
    return [ok(f"The database answers at {where} (PostgreSQL {version}).")]


def _refused(where: str, message: str) -> Finding:
    if "FATAL" not in message:
        return wrong(
            f"The database at {where} can't be reached: {message}.",
            "Start PostgreSQL, or correct the host and port in DATABASE_URL.",
        )
    reason = message.partition("FATAL:")[2].strip()
    remedy = next((remedy for start, remedy in _REFUSALS if start in reason), "See the server's log.")
    return wrong(f"The database at {where} refuses us: {reason}.", remedy)


def migrations() -> list[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return [ok("All migrations are applied.")]
    names = [f"{step.app_label}.{step.name}" for step, _ in plan]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [
        wrong(
            f"Migrations are missing from the database: {', '.join(names[:SHOWN])}{more}.",
            "Run manage.py migrate.",
        )
    ]


def clock() -> list[Finding]:
    if not storage.on_postgresql():
        return [ok("The database runs on this machine and uses its clock.")]
    try:
        # Connect before taking the time.
        connection.ensure_connection()
        before = time.time()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone()
        after = time.time()
    except DATABASE_ERRORS as error:
        return [wrong(f"The database's clock can't be read: {message_of(error)}.", "Run the doctor again.")]
    offset = theirs - (before + after) / 2
    if abs(offset) - (after - before) / 2 <= CLOCKS_AGREE:
        return [ok("The database's clock and this machine's agree.")]
    return [
        wrong(
            f"The database's clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's.",
            "Synchronize both by NTP.",
        )
    ]
