"""Statements of the hot path, prepared once a connection and with their values beside them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault, Expression

from notifier.lib.database import storage


def run(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a PostgreSQL statement returns. It takes part in the transaction, if there is one.

    Django's own cursor writes the values into the text, so that each execution is parsed and planned anew; for an
    array of a hundred that costs more than the rest. Raises Django's DatabaseError.
    """
    connection.ensure_connection()
    # The wrapper that turns the driver's errors into Django's is what its own cursors use.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, prepare=True)  # type: ignore[call-overload]
        return cursor.fetchall()


def read(
    statement: str, models_read: tuple[type[models.Model], ...], values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """What a statement selects, with whole rows in it as instances. On PostgreSQL alone.

    `{0}`, `{1}` … in it stand for all columns of the models in order, whose tables it calls `t0`, `t1` …; what else
    it selects comes before them. A row that an outer join did not find is None.

    For the few look-ups of every request: Django's query for one costs ten times as much to build as to run.
    """
    text, plans = _selection(statement, models_read)
    found = []
    for columns in run(text, values):
        at = len(columns) - sum(len(plan.names) for plan in plans)
        row = list(columns[:at])
        for model, plan in zip(models_read, plans, strict=True):
            row.append(_instance(model, plan, columns[at : at + len(plan.names)]))
            at += len(plan.names)
        found.append(tuple(row))
    return found


class _Selected(NamedTuple):
    names: list[str]
    key: int
    converted: list[tuple[int, Any]]
    """Where in the row a value is not yet what the field gives, and the field."""


@lru_cache(maxsize=64)
def _selection(
    statement: str, models_read: tuple[type[models.Model], ...]
) -> tuple[str, tuple[_Selected, ...]]:
    plans = []
    for number, model in enumerate(models_read):
        fields = model._meta.concrete_fields
        names = ", ".join(f"t{number}.{field.column}" for field in fields)
        statement = statement.replace(f"{{{number}}}", names)
        converted = [(n, field) for n, field in enumerate(fields) if hasattr(field, "from_db_value")]
        key = next(n for n, field in enumerate(fields) if field.primary_key)
        plans.append(_Selected([field.attname for field in fields], key, converted))
    return statement, tuple(plans)


def _instance(model: type[models.Model], plan: _Selected, values: Sequence[Any]) -> models.Model | None:
    if values[plan.key] is None:
        return None
    given = list(values)
    for at, field in plan.converted:
        given[at] = field.from_db_value(given[at], None, connection)
    return model.from_db(connection.alias, plan.names, given)


@storage.operation
def insert(*groups: Sequence[models.Model]) -> None:
    """Store new rows, those of each group of one model: all of them by one statement, an array a column.

    A tenth of what `bulk_create` costs, which builds an expression for every value, and one round trip. A row that
    is alone goes without arrays, which cost more than its values. What the
    database fills in by itself is not read back. Raises Django's
    DatabaseError; then nothing is stored of any group.
    """
    filled = [rows for rows in groups if rows]
    if not filled:
        return
    shapes: list[Shape] = []
    values: list[Any] = []
    for rows in filled:
        columns, by_clock = _columns(rows)
        alone = len(rows) == 1
        shapes.append((type(rows[0]), tuple(columns), by_clock, alone))
        values += (array[0] for array in columns.values()) if alone else columns.values()
    run(_insertion(tuple(shapes)), values)
    for rows in filled:
        for row in rows:
            row._state.adding, row._state.db = False, connection.alias


@insert.portable
def _insert_portably(*groups: Sequence[models.Model]) -> None:
    for rows in groups:
        if rows:
            type(rows[0])._base_manager.bulk_create(rows)


AS_THEY_ARE = frozenset(
    {
        models.CharField,
        models.EmailField,
        models.TextField,
        models.BooleanField,
        models.PositiveSmallIntegerField,
        models.PositiveIntegerField,
        models.UUIDField,
        models.ForeignKey,
    }
)
"""Kinds of columns whose values psycopg takes as our rows hold them; others go through their field first."""


def _columns(rows: Sequence[models.Model]) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Each column's values, and which of these columns the clock of the database fills where no value is given."""
    columns: dict[str, list[Any]] = {}
    by_clock = []
    for field in type(rows[0])._meta.concrete_fields:
        if type(field) in AS_THEY_ARE:
            columns[str(field.column)] = [row.__dict__[field.attname] for row in rows]
            continue
        values = [field.pre_save(row, add=True) for row in rows]
        if isinstance(field.db_default, Expression):
            given = [None if isinstance(value, DatabaseDefault) else value for value in values]
            if given.count(None) == len(given):
                continue
            by_clock.append(str(field.column))
            values = given
        columns[str(field.column)] = [
            None if value is None else field.get_db_prep_save(value, connection) for value in values
        ]
    return columns, tuple(by_clock)


Shape = tuple[type[models.Model], tuple[str, ...], tuple[str, ...], bool]
"""A model, the columns that are given, those of them that the clock may fill, and whether it is one row alone."""


@lru_cache(maxsize=64)
def _insertion(shapes: tuple[Shape, ...]) -> str:
    parts = []
    for number, (model, columns, by_clock, alone) in enumerate(shapes):
        types = {field.column: str(field.db_type(connection)) for field in model._meta.concrete_fields}
        # Without its length: a cast to varchar(n) would cut a value short, where storing it is an error.
        casts = [f"%s::{types[column].partition('(')[0]}{'' if alone else '[]'}" for column in columns]
        given = casts if alone else list(columns)
        chosen = ", ".join(
            f"coalesce({one}, statement_timestamp())" if column in by_clock else one
            for column, one in zip(columns, given, strict=True)
        )
        names, table = ", ".join(columns), connection.ops.quote_name(model._meta.db_table)
        source = "" if alone else f" FROM unnest({', '.join(casts)}) AS given({names})"
        # The names are our own.
        parts.append(f"stored_{number} AS (INSERT INTO {table} ({names}) SELECT {chosen}{source})")  # noqa: S608
    return f"WITH {', '.join(parts)} SELECT 1"
