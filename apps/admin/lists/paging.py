"""Paging for tables too large to count."""

from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

LIMIT = 1000
"""Rows that can be paged to; older rows are found by a filter or a search."""

if TYPE_CHECKING:
    Base = Paginator[Any]
else:
    Base = Paginator


class BoundedPaginator(Base):
    """Reads at most LIMIT + 1 primary keys instead of counting. `beyond`: more rows exist."""

    @cached_property
    def _seen(self) -> int:
        return len(self.object_list.values_list("pk")[: LIMIT + 1])  # type: ignore[attr-defined]

    @cached_property
    def count(self) -> int:
        return min(self._seen, LIMIT)

    @property
    def beyond(self) -> bool:
        return self._seen > LIMIT


class UncountedList(ChangeList):
    """Shows the link back to all rows only where a filter or a search narrows the list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Django's title asks the reader to select a row, which these lists are not for.
        self.title = str(self.opts.verbose_name_plural).capitalize()

    def get_ordering_field(self, field_name: Any) -> Any:
        # Django hides the sortable heading of such a column, but would still sort by it for `?o=`.
        sortable = self.sortable_by is None or field_name in self.sortable_by
        return super().get_ordering_field(field_name) if sortable else None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count
