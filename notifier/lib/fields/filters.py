"""A list's query parameters, checked like a body: a misspelt filter must not show everything in silence."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet

from notifier.lib.fields.validation import PageQuery, StrictSerializer


class FilteredRows:
    """For generic list views; put it before them. `filter_class` names every parameter that the list has."""

    request: Any
    filter_class: ClassVar[type[StrictSerializer]] = PageQuery

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        serializer = self.filter_class(data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        return self.narrowed(queryset, serializer.validated_data)

    def narrowed(self, rows: QuerySet[Any], filters: Mapping[str, Any]) -> QuerySet[Any]:
        return rows
