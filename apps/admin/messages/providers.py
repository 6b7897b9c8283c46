"""Provider circuit breakers, their history, and webhook bodies of email services that could not be parsed."""

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
    """Providers serve every organization, so only superusers see these pages."""

    list_select_related = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows if operator_of(request).is_superuser else rows.none()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)


@admin.register(ProviderState)
class ProviderPages(Shared):
    """The circuit breakers of providers; a provider has a row once its circuit has opened."""

    list_display = ("name", "circuit_open", "open_until", "opens", "code", "detail")
    fields = ("name", "circuit_open", "open_until", "probe_until", "opens", "code", "detail")
    ordering = ("name",)
    actions = ("close_circuit", "open_circuit")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(is_open=Q(open_until__gt=Now()))
        return rows

    @admin.display(boolean=True)
    def circuit_open(self, state: ProviderState) -> bool:
        return bool(getattr(state, "is_open", False))

    @admin.action(description="Close the circuit: send through the provider again")
    def close_circuit(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        by = audit_name(request)
        closed = sum(circuit_breaker.close(state.name, by=by) for state in queryset)
        for state in queryset:
            rate_limit.forget(state.name)
        self.message_user(request, f"Circuits closed: {closed}. Waiting messages are sent within a minute.")

    @admin.action(
        description="Open the circuit: send nothing through the provider until an operator closes it"
    )
    def open_circuit(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        for state in queryset:
            circuit_breaker.open_manually(state.name, by=audit_name(request))
        self.message_user(
            request, f"Circuits opened: {len(queryset)}. Messages wait, or go through the next provider."
        )


@admin.register(CircuitChange)
class CircuitChangePages(Shared):
    list_display = ("at", "provider", "kind", "code", "detail", "seconds", "by")
    list_filter = ("provider", "kind")
    ordering = ("-id",)


@admin.register(UnreadEvent)
class UnreadEventPages(Shared):
    """Webhook events of email services in a format that this release can't parse."""

    list_display = ("received", "source", "state", "error", "times")
    list_filter = ("state", "source")
    fields = (
        "received",
        "source",
        "state",
        "error",
        "times",
        "masked_body",
        "content_type",
        "closed",
        "closed_by",
    )
    ordering = ("-id",)
    actions = ("read_again", "ignore")

    received = moment("created_at", "received")
    closed = moment("closed_at")

    @admin.display(description="body")
    def masked_body(self, event: UnreadEvent) -> str:
        """The body as received, with addresses masked: parsing it needs the format, not the recipient."""
        return masked_text(event.body.encode("latin-1").decode("utf-8", "replace")[:4000])

    @admin.action(description="Parse the selected events again")
    def read_again(self, request: HttpRequest, queryset: QuerySet[UnreadEvent]) -> None:
        missed = [why for _, why in unread_events.read_again(queryset, by=audit_name(request))]
        read = missed.count("")
        self.message_user(
            request, f"Events parsed and applied: {read}; still not parsable: {len(missed) - read}."
        )

    @admin.action(description="Ignore the selected events: never apply them")
    def ignore(self, request: HttpRequest, queryset: QuerySet[UnreadEvent]) -> None:
        done = unread_events.close(queryset, UnreadEvent.State.IGNORED, by=audit_name(request))
        self.message_user(request, f"Events ignored: {done}.")
