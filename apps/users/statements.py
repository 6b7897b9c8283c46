"""Statements of the hot path, prepared once a connection and with their values beside them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

Row = TypeVar("Row", bound=models.Model)


def run(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that a PostgreSQL statement returns. It takes part in the transaction, if there is one.

    Django's own cursor writes the values into the text, so that each execution is parsed and planned anew; for an
    array of a hundred that costs more than the rest. Raises Django's DatabaseError.
    """
    connection.ensure_connection()
    # The wrapper that turns the driver's errors into Django's is what its own cursors use.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, prepare=True)  # type: ignore[call-overload]
        return cursor.fetchall()


def fetch(model: type[Row], condition: str, values: Mapping[str, Any]) -> list[Row]:
    """The rows of the model for which the condition holds, as instances. On PostgreSQL alone.

    For the few look-ups of every request: Django's query for one costs ten times as much to build as to run.
    """
    fields = model._meta.concrete_fields
    found = []
    for columns in run(_selection(model, condition), values):
        read = [
            field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
            for field, value in zip(fields, columns, strict=True)
        ]
        found.append(model.from_db(connection.alias, [field.attname for field in fields], read))
    return found


@lru_cache(maxsize=64)
def _selection(model: type[models.Model], condition: str) -> str:
    names = ", ".join(str(field.column) for field in model._meta.concrete_fields)
    return f"SELECT {names} FROM {connection.ops.quote_name(model._meta.db_table)} WHERE {condition}"  # noqa: S608


def insert(rows: Sequence[models.Model]) -> None:
    """Store new rows of one model by one statement, an array a column; elsewhere than on PostgreSQL by Django's own.

    A tenth of what `bulk_create` costs, which builds an expression for every value. What the database fills in
    by itself is not read back. Raises Django's DatabaseError.
    """
    if not rows:
        return
    model = type(rows[0])
    if connection.vendor != "postgresql":
        model._base_manager.bulk_create(rows)
        return
    columns: dict[str, list[Any]] = {}
    filled = []
    for field in model._meta.concrete_fields:
        values = [field.pre_save(row, add=True) for row in rows]
        given = [None if isinstance(value, DatabaseDefault) else value for value in values]
        if given.count(None) == len(given) and isinstance(values[0], DatabaseDefault):
            continue
        if any(isinstance(value, DatabaseDefault) for value in values):
            filled.append(str(field.column))
        columns[str(field.column)] = [
            None if value is None else field.get_db_prep_save(value, connection) for value in given
        ]
    run(_insertion(model, tuple(columns), tuple(filled)), columns)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


@lru_cache(maxsize=64)
def _insertion(model: type[models.Model], columns: tuple[str, ...], filled: tuple[str, ...]) -> str:
    """`filled`: columns that the database's clock fills where no value is given."""
    types = {field.column: str(field.db_type(connection)) for field in model._meta.concrete_fields}
    # Without its length: a cast to varchar(n) would cut a value short, where storing it is an error.
    arrays = ", ".join(f"%({column})s::{types[column].partition('(')[0]}[]" for column in columns)
    chosen = ", ".join(
        f"coalesce({column}, statement_timestamp())" if column in filled else column for column in columns
    )
    names, table = ", ".join(columns), connection.ops.quote_name(model._meta.db_table)
    return (
        f"INSERT INTO {table} ({names}) SELECT {chosen} FROM unnest({arrays}) AS given({names}) RETURNING 1"  # noqa: S608 - names of our own
    )
