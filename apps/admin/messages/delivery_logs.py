"""The admin pages of the delivery logs: every message by every channel, newest first."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.admin.lists import searching
from apps.admin.lists.filters import RecentValues, Within
from apps.admin.lists.rows import Log
from apps.admin.lists.times import moment
from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import Delivery
from notifier.channels.registry import CHANNELS
from notifier.lib.masking import masked_text


class DeliveryPages(Log):
    list_display: tuple[str, ...] = (
        "created", "masked_recipient", "status", "why", "attempts", "provider", "template", "organization",
    )  # fmt: skip
    list_display_links = ("created", "masked_recipient")
    list_filter = (
        Within,
        "status",
        ("reason", RecentValues),
        ("error_code", RecentValues),
        ("provider", RecentValues),
        ("language", RecentValues),
        "organization",
    )
    list_select_related: ClassVar[tuple[str, ...]] = (
        "organization",
        "notification__template_version__template",
    )
    search_fields = ("id",)
    search_help_text = (
        "Exact match: an id, a request_id, a correlation id, a recipient, a Message-ID or the provider's id."
    )
    fields: ClassVar[tuple[str, ...]] = (
        "id", "notification", "template", "organization", "masked_recipient", "language", "status", "reason",
        "attempts", "resends", "provider", "provider_message_id", "error_code", "provider_reply", "priority",
        "created", "due", "deadline", "published", "claimed_by", "leased", "epoch", "sent", "finished",
    )  # fmt: skip

    created = moment("created_at", "accepted")
    due = moment("due_at")
    deadline = moment("deadline_at")
    published = moment("published_at")
    leased = moment("lease_until")
    sent = moment("sent_at")
    finished = moment("finished_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        return searching.first_found(queryset, searching.of_delivery(self.model, term)), False

    @admin.display(description="recipient")
    def masked_recipient(self, row: Delivery) -> str:
        return row.masked_recipient or "none"

    @admin.display
    def why(self, row: Delivery) -> str:
        return ": ".join(dict.fromkeys(word for word in (row.reason, row.error_code) if word)) or "-"

    @admin.display
    def template(self, row: Delivery) -> str:
        return str(row.notification.template_version)

    @admin.display(description="provider's reply")
    def provider_reply(self, row: Delivery) -> str:
        reply = (
            row.error_detail.replace(row.recipient, row.masked_recipient)
            if row.recipient
            else row.error_detail
        )
        return masked_text(reply) or "-"


class DevicePages(DeliveryPages):
    list_display = (*DeliveryPages.list_display, "device_name")
    list_select_related = (*DeliveryPages.list_select_related, "device")
    fields = (*DeliveryPages.fields[:5], "device_name", *DeliveryPages.fields[5:])

    @admin.display(description="device")
    def device_name(self, row: Any) -> str:
        return str(row.device) if row.device else ""


for model in DELIVERIES.values():
    admin.site.register(model, DevicePages if CHANNELS[model.channel].address.of_device else DeliveryPages)
