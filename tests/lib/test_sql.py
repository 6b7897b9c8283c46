"""The SQL of the hot path."""

import pytest
from django.db import connection

from notifier.lib.database.sql import run

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="There are none on SQLite."),
]


def test_each_is_prepared_once_a_connection():
    text = "SELECT %(number)s::int + 41"
    assert [run(text, {"number": number}) for number in (1, 2)] == [[(42,)], [(43,)]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%::int + 41"])
        assert cursor.fetchone() == (1,)
