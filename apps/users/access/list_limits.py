"""What one organization's lists may take of the database: a few at once in a process, each for a few seconds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from django.db import connection, transaction
from rest_framework import status
from rest_framework.exceptions import APIException

from apps.users.models import Organization
from notifier.lib.concurrency import Busy, ConcurrencyLimit
from notifier.lib.database import storage

PATIENCE = 0.5
"""Seconds that one more list waits for a place. It holds a thread meanwhile, and a connection."""
concurrency_limit = ConcurrencyLimit(total=1000, each=3)
"""With the one that waits: half of the eight threads that an API process has unless told otherwise."""


class TooManyLists(APIException):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many_lists"
    default_detail = (
        "Other lists of this organization are being read; ask again shortly, for one after the other."
    )
    wait = 1
    """Seconds, told in Retry-After."""


@contextmanager
def bounded(organization: Organization) -> Iterator[None]:
    """Around the queries of a list. Raises TooManyLists; a query that takes too long is an OperationalError."""
    with ExitStack() as held:
        try:
            held.enter_context(concurrency_limit.slot(organization.pk, patience=PATIENCE))
        except Busy as error:
            raise TooManyLists from error
        if storage.on_postgresql() and settings.QUERY_TIMEOUT:
            # LOCAL: the connection is another request's after this one, and a pooler's session may be anybody's.
            held.enter_context(transaction.atomic())
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [int(settings.QUERY_TIMEOUT * 1000)])
        yield
