"""Query parameters of lists, validated like a body: a misspelt filter must not silently show everything."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet

from notifier.lib.fields.validation import PageQuery, StrictSerializer


class FilteredRows:
    """A mixin before a generic list view. `filter_class` is the serializer of all query parameters of the list."""

    request: Any
    filter_class: ClassVar[type[StrictSerializer]] = PageQuery

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        serializer = self.filter_class(data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        return self.narrowed(queryset, serializer.validated_data)

    def narrowed(self, rows: QuerySet[Any], filters: Mapping[str, Any]) -> QuerySet[Any]:
        return rows
