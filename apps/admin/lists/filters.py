"""List filters whose choices need only a bounded query, however large the table is."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import get_last_value_from_parameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.notifications.models import DeadLetter

RECENT = 1000
"""How many of the newest rows provide the choices."""


class RecentValues(admin.FieldListFilter):
    """Offers the values found in the newest rows: Django's own filter would read the whole column."""

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.chosen = get_last_value_from_parameters(params, field_path)
        super().__init__(field, request, params, model, model_admin, field_path)
        newest = model_admin.get_queryset(request).order_by("-pk").values_list(field_path, flat=True)[:RECENT]
        self.values = sorted({value for value in (*newest, self.chosen) if value})

    def expected_parameters(self) -> list[str | None]:
        return [self.field_path]

    def has_output(self) -> bool:
        return bool(self.values)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {
            "selected": self.chosen is None,
            "query_string": changelist.get_query_string(remove=[self.field_path]),
            "display": "All",
        }
        for value in self.values:
            yield {
                "selected": value == self.chosen,
                "query_string": changelist.get_query_string({self.field_path: value}),
                "display": value,
            }


class DeadLetterState(admin.SimpleListFilter):
    """Open dead letters by default; a search covers every state."""

    title = parameter_name = "state"
    ALL = "all"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.default = self.ALL if request.GET.get(SEARCH_VAR) else DeadLetter.State.OPEN.value
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((state.value, str(state.label)) for state in DeadLetter.State), (self.ALL, "All")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for name, title in self.lookup_choices:
            yield {
                "selected": str(name) == (self.value() or self.default),
                "query_string": changelist.get_query_string({"state": str(name)}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value() or self.default
        return queryset if wanted == self.ALL else queryset.filter(state=wanted)


class Within(admin.SimpleListFilter):
    """Recently created rows. Ids are UUIDv7 and begin with the time, so the primary key's index serves the query."""

    title = "time"
    parameter_name = "within"
    SPANS: ClassVar[dict[str, tuple[str, timedelta]]] = {
        "hour": ("The last hour", timedelta(hours=1)),
        "day": ("The last 24 hours", timedelta(days=1)),
        "week": ("The last 7 days", timedelta(days=7)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in self.SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.SPANS:
            return queryset
        begin = timezone.now() - self.SPANS[str(self.value())][1]
        # The smallest UUIDv7 of that millisecond.
        first = uuid.UUID(int=int(begin.timestamp() * 1000) << 80)
        return queryset.filter(pk__gte=first)
