"""Tables large enough for realistic query plans, filled by the database itself."""

from typing import Any

from django.db import connection, models

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import (
    BULK_BELOW,
    Callback,
    CallbackAttempt,
    DeadLetter,
    Event,
    Notification,
    Suppression,
)
from apps.users.models import AuditEntry, Device, Organization, User

ROWS = 200_000
BIG: dict[type[models.Model], dict[str, str]]

ID = "lpad(to_hex(n), 32, '0')::uuid"
AGO = f"now() - ({ROWS} - n) * interval '30 seconds'"
# An organization's own rows are every tenth, so its statuses are dealt by the tens.
SHARE = "(n / 10) % 100"
STATUS = f"""CASE WHEN {SHARE} < 2 THEN 'queued' ELSE coalesce((ARRAY['sending', 'unknown', 'failed', 'bounced',
    'expired', 'cancelled', 'skipped'])[{SHARE} - 1], CASE WHEN {SHARE} < 50 THEN 'delivered' ELSE 'sent' END) END"""
DELIVERY = {
    "notification_id": ID, "status": STATUS, "created_at": AGO, "recipient_hash": "md5(n::text)",
    "due_at": f"CASE WHEN {SHARE} = 0 THEN now() + interval '1 day' ELSE {AGO} END",
    "deadline_at": "now() + interval '2 days'", "priority": f"CASE WHEN n % 20 = 0 THEN {BULK_BELOW - 1} ELSE 5 END",
    "provider_message_id": "'told-' || n", "published_at": AGO,
}  # fmt: skip
BIG = {
    User: {
        "email": "'person' || n || '@Example.com'", "password": "'!'", "phone": "'+1' || 4150000000 + n",
    },
    Device: {"user_id": ID, "token_hash": "md5(n::text)", "platform": "'web'"},
    Notification: {
        "request_id": "'order-' || n", "correlation_id": "'correlation-' || n", "user_id": ID, "created_at": AGO,
    },
    EmailLog: {**DELIVERY, "email": "'person' || n || '@example.com'"},
    PushLog: {**DELIVERY, "device_id": ID},
    Event: {"notification_id": ID, "kind": "'accepted'", "at": AGO},
    AuditEntry: {
        "actor": "'user:' || n % 20", "action": "(ARRAY['created', 'changed', 'deleted'])[n % 3 + 1]", "at": AGO,
        "kind": "'users.user'", "row_id": f"({ID})::text",
    },
    Suppression: {
        "channel": "'email'", "recipient_hash": "md5(n::text)", "created_at": AGO,
        "reason": "CASE WHEN n % 50 = 0 THEN 'asked' ELSE 'bounced' END",
        "lifted_at": "CASE WHEN n % 4 = 0 THEN now() END",
    },
    DeadLetter: {
        "notification_id": ID, "delivery_id": ID, "channel": "'email'", "created_at": AGO, "code": "'refused'",
        "state": f"CASE WHEN {SHARE} = 0 THEN 'open' ELSE 'discarded' END",
        "reason": "CASE WHEN n % 50 = 0 THEN 'timed_out' ELSE 'permanent' END",
    },
    Callback: {
        "notification_id": ID, "status": "'delivered'", "due_at": AGO, "created_at": AGO, "type": "'sent'",
        "payload": "'{}'",
    },
    CallbackAttempt: {"callback_id": ID, "number": "1", "http_status": "200", "at": AGO},
}  # fmt: skip
"""What differs from row to row, by the model, in an order in which what is referred to comes first."""


def fill(small: Organization, large: Organization, template_version: Any) -> None:
    """A tenth of the rows belongs to the small organization, spread between those of the large one."""
    shared = {
        "id": ID,
        "organization_id": f"CASE WHEN n % 10 = 0 THEN '{small.pk}' ELSE '{large.pk}' END::uuid",
        "template_version_id": f"'{template_version.pk}'",
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() == ("on",):
            # What is referred to is there by construction; looking each of them up takes as long as all the rest.
            cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for model, differing in BIG.items():
            columns, chosen = [], []
            for field in model._meta.concrete_fields:
                expression = differing.get(field.column) or shared.get(field.column) or _default(field)
                if expression is not None:
                    columns.append(field.column)
                    chosen.append(expression)
            rebuilt = _without_indexes(cursor, model)
            cursor.execute(
                f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(chosen)}"  # noqa: S608
                f" FROM generate_series(1, {ROWS}) AS n"
            )
            for definition in rebuilt:
                cursor.execute(definition)
            # The map of what everybody sees decides over index-only scans.
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
        for setting in ("session_replication_role", "synchronous_commit", "maintenance_work_mem"):
            cursor.execute(f"RESET {setting}")


def empty() -> None:
    with connection.cursor() as cursor:
        tables = ", ".join(model._meta.db_table for model in (Organization, *BIG))
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        for model in BIG:
            cursor.execute(f"ANALYZE {model._meta.db_table}")


def _without_indexes(cursor: Any, model: type[models.Model]) -> list[str]:
    """Drop the table's indexes, but for its constraints': to make them anew is quicker than to fill them."""
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT IN"
        " (SELECT conname FROM pg_constraint) AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
        [model._meta.db_table],
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]


def _default(field: Any) -> str | None:
    """The column's usual value, as SQL; None where the database fills it in."""
    if field.db_default is not models.NOT_PROVIDED or field.null:
        return None
    if isinstance(field, models.DateTimeField):
        return "now()"
    value = field.get_db_prep_save(field.get_default(), connection)
    with connection.cursor() as cursor:
        text: str = cursor.mogrify("%s", [value])
    return text
