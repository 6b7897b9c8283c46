"""The admin pages of notifications: the request, each delivery, and the timeline as text."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.admin.lists import searching
from apps.admin.lists.filters import Within
from apps.admin.lists.paging import UncountedList
from apps.admin.lists.rows import Log
from apps.admin.lists.times import moment
from apps.notifications.channels.logs import deliveries_of
from apps.notifications.models import Delivery, Event, Notification, summary
from apps.notifications.transitions import timeline
from apps.users.models import User
from notifier.lib.masking import masked_text


class NotificationList(UncountedList):
    """Loads the deliveries of a page's notifications with one query per channel."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = deliveries_of(self.result_list)
        for notification in self.result_list:
            notification.loaded = found[notification.pk]


@admin.register(Notification)
class NotificationPages(Log):
    list_display = ("accepted", "status", "template", "user", "request_id", "live", "organization")
    list_filter = (Within, "organization", "live")
    list_select_related = ("organization", "user", "template_version__template")
    search_fields = ("id",)
    search_help_text = (
        "Exact match: an id, a request_id, a correlation id, a recipient's address or a device token."
    )
    fields = (
        "id", "status", "template", "user", "organization", "request_id", "correlation_id", "requested_by",
        "live", "priority", "accepted", "scheduled", "expires", "variable_names", "metadata_text",
    )  # fmt: skip

    accepted = moment("created_at", "accepted")
    scheduled = moment("scheduled_at")
    expires = moment("expires_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        return (searching.first_found(queryset, searching.of_notification(term)) if term else queryset), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UncountedList]:
        return NotificationList

    @admin.display
    def template(self, notification: Notification) -> str:
        return str(notification.template_version)

    @admin.display
    def status(self, notification: Notification) -> str:
        loaded: list[Delivery] | None = getattr(notification, "loaded", None)
        rows = deliveries_of([notification])[notification.pk] if loaded is None else loaded
        return summary(row.shown_status for row in rows).capitalize()

    @admin.display(description="variables")
    def variable_names(self, notification: Notification) -> str:
        # Names only: the values are private (codes, amounts, names).
        return ", ".join(sorted(notification.variables)) or "none"

    @admin.display(description="metadata")
    def metadata_text(self, notification: Notification) -> str:
        return (
            masked_text(json.dumps(notification.metadata, ensure_ascii=False))
            if notification.metadata
            else ""
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        context: dict[str, Any] = {}
        notification = self.get_object(request, object_id) if object_id else None
        if notification is not None and self.has_view_permission(request, notification):
            rows = deliveries_of([notification])[notification.pk]
            context = {
                "deliveries": [(row, _page_of(row), masked_text(row.error_detail)) for row in rows],
                "entries": timeline_of(notification, rows),
            }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})


def _page_of(row: Delivery) -> str:
    return reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk])


def timeline_of(notification: Notification, rows: list[Delivery]) -> list[dict[str, Any]]:
    """The timeline's rows, oldest first: time, kind, channel and recipient of the delivery, and text lines."""
    recipients = {row.pk: row.masked_recipient for row in rows}
    entries = list(notification.events.order_by("id"))
    people = _names(entries)
    return [
        {
            "at": entry.at,
            "kind": entry.kind,
            "channel": entry.channel,
            "recipient": recipients.get(entry.delivery_id, "") if entry.delivery_id else "",
            "lines": entry_lines(entry, people),
        }
        for entry in entries
    ]


def entry_lines(entry: Event, people: dict[str, str] | None = None) -> list[str]:
    """A timeline entry's data as lines of text, addresses masked."""
    if entry.kind == timeline.ACCEPTED:
        first = f"{entry.data.get('template')} v{entry.data.get('version')}"
        return [first, *(_decision(one) for one in entry.data.get("decisions", []))]
    return [
        masked_text(f"{key.replace('_', ' ')}: {(people or {}).get(str(value), value)}")
        for key, value in entry.data.items()
    ]


def _decision(decision: dict[str, Any]) -> str:
    reason = f" ({decision['reason']})" if decision.get("reason") else ""
    recipient = masked_text(decision.get("recipient") or "no recipient")
    return f"{decision['channel']} to {recipient}: {decision['decision']}{reason}"


def _names(entries: list[Event]) -> dict[str, str]:
    """The email address of each person whom the timeline names as `user:<id>`."""
    ids = {
        str(entry.data["by"]).removeprefix("user:")
        for entry in entries
        if str(entry.data.get("by", "")).startswith("user:")
    }
    return {f"user:{user.pk}": user.email for user in User.objects.filter(pk__in=ids)}
