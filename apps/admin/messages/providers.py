from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from apps.admin.lists.rows import ReadOnly, audit_name, is_superuser, operator_of
from apps.admin.lists.times import moment
from apps.notifications.feedback import unread_events
from apps.notifications.models import CircuitChange, ProviderState, UnreadEvent
from apps.notifications.routing import circuit_breaker, rate_limit
from notifier.lib.masking import masked_text


class Shared(ReadOnly):
    """Providers serve every organization, so they are the superusers' affair."""

    list_select_related = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows if operator_of(request).is_superuser else rows.none()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)


@admin.register(ProviderState)
class ProviderPages(Shared):
    """The circuits of the providers that ever rested."""

    list_display = ("name", "resting", "open_until", "opens", "code", "detail")
    fields = ("name", "resting", "open_until", "probe_until", "opens", "code", "detail")
    ordering = ("name",)
    actions = ("close_circuit", "open_circuit")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(rests=Q(open_until__gt=Now()))
        return rows

    @admin.display(boolean=True)
    def resting(self, state: ProviderState) -> bool:
        return bool(getattr(state, "rests", False))

    @admin.action(description="Close the circuit: give it messages again")
    def close_circuit(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        by = audit_name(request)
        closed = sum(circuit_breaker.close(state.name, by=by) for state in queryset)
        for state in queryset:
            rate_limit.forget(state.name)
        self.message_user(request, f"{closed} closed. What waits for it goes out within a minute.")

    @admin.action(description="Open the circuit: give it nothing until it is closed by hand")
    def open_circuit(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        for state in queryset:
            circuit_breaker.open_by_hand(state.name, by=audit_name(request))
        self.message_user(request, f"{len(queryset)} opened. Their messages wait, or take the next provider.")


@admin.register(CircuitChange)
class CircuitChangePages(Shared):
    list_display = ("at", "provider", "kind", "code", "detail", "seconds", "by")
    list_filter = ("provider", "kind")
    ordering = ("-id",)


@admin.register(UnreadEvent)
class UnreadEventPages(Shared):
    """What email services told in a shape that this release doesn't know."""

    list_display = ("told", "source", "state", "error", "times")
    list_filter = ("state", "source")
    fields = (
        "told",
        "source",
        "state",
        "error",
        "times",
        "as_it_came",
        "content_type",
        "closed",
        "closed_by",
    )
    ordering = ("-id",)
    actions = ("read_again", "ignore")

    told = moment("created_at", "told")
    closed = moment("closed_at")

    @admin.display(description="as it came")
    def as_it_came(self, event: UnreadEvent) -> str:
        """Addresses masked: who is meant is nobody's question here."""
        return masked_text(event.body.encode("latin-1").decode("utf-8", "replace")[:4000])

    @admin.action(description="Read the selected again")
    def read_again(self, request: HttpRequest, queryset: QuerySet[UnreadEvent]) -> None:
        missed = [why for _, why in unread_events.read_again(queryset, by=audit_name(request))]
        read = missed.count("")
        self.message_user(request, f"{read} read and applied; {len(missed) - read} can't be read yet.")

    @admin.action(description="Ignore the selected: forget what they say")
    def ignore(self, request: HttpRequest, queryset: QuerySet[UnreadEvent]) -> None:
        done = unread_events.close(queryset, UnreadEvent.State.IGNORED, by=audit_name(request))
        self.message_user(request, f"{done} ignored.")
