"""The admin pages of webhook endpoints and of each webhook event sent to them."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from apps.admin.lists.filters import RecentValues, Within
from apps.admin.lists.rows import Log, ReadOnly
from apps.admin.lists.times import moment
from apps.notifications.models import Callback, WebhookEndpoint
from notifier.lib.masking import masked_text


@admin.register(WebhookEndpoint)
class WebhookEndpointPages(ReadOnly):
    """Without the signing secrets: the API shows those, once."""

    list_display = ("organization", "url", "enabled", "disabled_reason", "failing_since", "created_at")
    list_filter = ("enabled", "organization")
    list_select_related = ("organization",)
    ordering = ("-id",)
    fields = (
        "id", "organization", "url", "enabled", "disabled_reason", "failing_since", "former_until", "created_at",
    )  # fmt: skip

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        # An organization has one endpoint, so its name identifies the row even for its own staff.
        return list(self.list_display)


@admin.register(Callback)
class CallbackPages(Log):
    list_display = ("made", "type", "status", "attempts", "error_code", "goes_to", "organization")
    list_filter = (Within, "status", ("type", RecentValues), ("error_code", RecentValues), "organization")
    list_select_related = ("organization", "notification")
    search_fields = ("id",)
    search_help_text = "Exact match: an id, which the receiver gets as `webhook-id`."
    fields = (
        "id", "type", "status", "notification", "organization", "goes_to", "attempts", "error_code", "payload",
        "made", "due", "finished", "tries",
    )  # fmt: skip

    made = moment("created_at", "created")
    due = moment("due_at")
    finished = moment("finished_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        try:
            return (queryset.filter(pk=uuid.UUID(search_term.strip())) if search_term else queryset), False
        except ValueError:
            return queryset.none(), False

    @admin.display(description="destination")
    def goes_to(self, row: Callback) -> str:
        return row.url or "the endpoint"

    @admin.display(description="attempt log")
    def tries(self, row: Callback) -> str:
        lines = (
            (attempt.number, attempt.at.strftime("%Y-%m-%d %H:%M:%S"), attempt.url, attempt.code)
            + (masked_text(attempt.detail),)
            for attempt in row.log.order_by("id")
        )
        return format_html_join("", "<div>{}. {} {}: {} {}</div>", lines)
