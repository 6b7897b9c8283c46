"""The local default's page: sent and unsent messages, beside their notification's timeline. Loopback only, no
sign-in."""

import uuid
from operator import itemgetter
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.notifications.channels.logs import DELIVERIES, delivery_named
from apps.notifications.models import Delivery, Event, Notification
from apps.notifications.models.statuses import Status
from notifier.channels.registry import CHANNELS
from notifier.local import demo
from notifier.local.inbox import inbox

UNSENT_SHOWN = 50
"""The most deliveries without a caught message that are shown, newest first: this page is no log."""


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "local/inbox.html", {"curl": demo.curl(request.get_host())})


def caught(request: HttpRequest) -> JsonResponse:
    """The messages after number `?after=`, each with its notification's id; and always all unsent ones."""
    after = request.GET.get("after", "0")
    items = inbox.after(int(after) if after.isdecimal() else 0)
    return JsonResponse({"items": [_with_notification(item) for item in items], "unsent": _unsent()})


def timeline(request: HttpRequest, pk: uuid.UUID) -> JsonResponse:
    events = Event.objects.filter(notification=pk).order_by("id")
    return JsonResponse(
        {
            "events": [
                {"at": event.at.isoformat(), "kind": event.kind, "channel": event.channel, "data": event.data}
                for event in events
            ]
        }
    )


def _with_notification(item: dict[str, Any]) -> dict[str, Any]:
    """The item with `notification_id` and `request_id`; both are empty for a message without a notification."""
    notifications = Notification.objects.all()
    try:
        if item.get("notification_id"):
            found = notifications.filter(pk=uuid.UUID(item["notification_id"]))
        else:
            row = delivery_named(uuid.UUID(item["delivery_id"]))
            found = notifications.filter(pk=row.notification_id) if row else notifications.none()
        notification = found.first()
    except ValueError:
        notification = None
    return {
        **item,
        "notification_id": str(notification.pk) if notification else "",
        "request_id": (notification.request_id if notification else None) or "",
    }


def _unsent() -> list[dict[str, Any]]:
    rows = [
        row
        for model in DELIVERIES.values()
        for row in model.objects.shown()
        .exclude(status__in=(Status.SENT, Status.DELIVERED))
        .select_related("notification__template_version__template")[:UNSENT_SHOWN]
    ]
    return sorted(map(_unsent_item, rows), key=itemgetter("at"), reverse=True)[:UNSENT_SHOWN]


def _unsent_item(row: Delivery) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "at": (row.finished_at or row.created_at).isoformat(),
        "kind": row.channel,
        # A token is long; the caught pushes also show only its beginning.
        "to": row.recipient if CHANNELS[row.channel].address.readable else f"{row.recipient[:12]}…",
        "subject": str(row.notification.template_version),
        "status": row.shown_status,
        "due_at": row.due_at.isoformat() if row.status == Status.QUEUED else "",
        "reason": row.reason,
        "code": row.error_code,
        "detail": row.error_detail,
        "notification_id": str(row.notification_id),
        "request_id": row.notification.request_id or "",
    }
