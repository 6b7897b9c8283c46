"""Limits on the list queries of one organization: a few at once in a process, each for a few seconds."""

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
"""Seconds that one more list waits for a slot. Meanwhile it holds a thread and a connection."""
concurrency_limit = ConcurrencyLimit(total=1000, each=3)
"""Together with the one that may wait, `each` is half of the eight threads that an API process has by default."""


class TooManyLists(APIException):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many_lists"
    default_detail = (
        "Other lists of this organization are being read; ask again shortly, for one after the other."
    )
    wait = 1
    """Seconds, sent as Retry-After."""


@contextmanager
def bounded(organization: Organization) -> Iterator[None]:
    """Run the queries of a list within the limits. Raises TooManyLists, and OperationalError for a query that takes
    too long."""
    with ExitStack() as held:
        try:
            held.enter_context(concurrency_limit.slot(organization.pk, patience=PATIENCE))
        except Busy as error:
            raise TooManyLists from error
        if storage.on_postgresql() and settings.QUERY_TIMEOUT:
            # LOCAL: the connection serves other requests afterwards, and a pooler's session may serve other clients.
            held.enter_context(transaction.atomic())
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [int(settings.QUERY_TIMEOUT * 1000)])
        yield
