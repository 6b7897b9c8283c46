"""Pagination: numbered pages where a count is cheap, cursors where rows grow without bound."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination, CursorPagination, PageNumberPagination
from rest_framework.response import Response

from apps.users.access.list_limits import bounded
from apps.users.access.permissions import caller_of
from notifier.http.envelope import envelope

LIMIT_MAX = 100
WHOLE_NUMBER = re.compile(r"\A[0-9]{1,18}\Z")


def _page(rows: Any, meta: dict[str, Any]) -> Response:
    response = Response(envelope(rows, message="OK.", meta=meta))
    response.enveloped = True  # type: ignore[attr-defined]
    return response


class SizedPages:
    """`?limit=` rows a page. An invalid limit is a 400; it is never silently replaced by another."""

    page_size: Any = 20
    page_size_query_param: Any = "limit"
    max_page_size: Any = LIMIT_MAX

    def get_page_size(self, request: Any) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return int(self.page_size)
        if not WHOLE_NUMBER.match(given) or not 1 <= int(given) <= self.max_page_size:
            raise ValidationError({self.page_size_query_param: f"Ask for 1 to {self.max_page_size} rows."})
        return int(given)


class Pages(BasePagination):
    """Cursors where the view declares that its rows grow without bound (`grows`), numbered pages elsewhere."""

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        self._chosen: Any = CursorPages() if getattr(view, "grows", False) else NumberedPages()
        # The queries of every list run here, so they are limited here.
        with bounded(caller_of(request).organization):
            return self._chosen.paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data: Any) -> Response:
        response: Response = self._chosen.get_paginated_response(data)
        return response

    def get_schema_operation_parameters(self, view: Any) -> Any:
        chosen: Any = CursorPages() if getattr(view, "grows", False) else NumberedPages()
        return chosen.get_schema_operation_parameters(view)


class NumberedPages(SizedPages, PageNumberPagination):
    """`?page=` and `?limit=`, with totals. A page past the last is a 404."""

    def get_page_number(self, request: Any, paginator: Any) -> int:
        given = request.query_params.get(self.page_query_param, "1")
        if not WHOLE_NUMBER.match(given) or int(given) < 1:
            raise ValidationError({self.page_query_param: "Pages are numbered from 1."})
        return int(given)

    def get_paginated_response(self, data: Any) -> Response:
        assert self.page is not None  # noqa: S101 - paginate_queryset ran before
        return _page(
            data,
            {
                "total": self.page.paginator.count,
                "limit": self.page.paginator.per_page,
                "page": self.page.number,
                "total_pages": self.page.paginator.num_pages,
                "has_next": self.page.has_next(),
                "has_previous": self.page.has_previous(),
            },
        )


class CursorPages(SizedPages, CursorPagination):
    """`?cursor=` and `?limit=`: newest first, no count; ids are time-ordered, so they are the order."""

    ordering = "-id"

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        return tuple(getattr(view, "page_order", (self.ordering,)))

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        try:
            self.rows = self.get_page_size(request)
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, DjangoValidationError) as error:
            # DjangoValidationError: a forged cursor, whose position is no id.
            raise ValidationError({"cursor": "Use `next` or `previous` of a page's meta."}) from error

    def decode_cursor(self, request: Any) -> Any:
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is None:
            # An invalid cursor that happens to decode would be the first page again: an endless loop for a client.
            raise NotFound
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return _page(
            data,
            {
                "total": None,
                "limit": self.rows,
                "page": None,
                "total_pages": None,
                "has_next": self.has_next,
                "has_previous": self.has_previous,
                "next": self._cursor(self.get_next_link()),
                "previous": self._cursor(self.get_previous_link()),
            },
        )

    def _cursor(self, link: str | None) -> str | None:
        return parse_qs(urlsplit(link).query)[self.cursor_query_param][0] if link else None
