"""The delivery log of each channel, and the rows of all kinds that wait for a worker."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from apps.notifications.models.deliveries import Delivery, Notification
from apps.notifications.models.webhooks import CALLBACKS, Callback
from notifier.channels.registry import CODES


def _log(channel: str) -> Any:
    return import_module(f"apps.notifications.channels.{channel}.log").LOG


DELIVERIES: Mapping[str, Any] = {code: _log(code) for code in CODES}
"""By channel: a subclass of `Delivery`, the one that the channel's folder has."""
WAITING: Mapping[str, Any] = {**DELIVERIES, CALLBACKS: Callback}
"""By the first part of a lane's name: what its workers are woken for."""


def deliveries_of(notifications: Iterable[Notification]) -> dict[Any, list[Delivery]]:
    """The deliveries of each notification, by its id, in the order of creation; one query for each channel."""
    found: dict[Any, list[Delivery]] = {notification.pk: [] for notification in notifications}
    for model in DELIVERIES.values():
        for row in model.objects.shown().filter(notification__in=list(found)).order_by("id"):
            found[row.notification_id].append(row)
    return found


def delivery_named(pk: Any) -> Delivery | None:
    """The delivery with this id, whichever channel's it is."""
    found = (model.objects.filter(pk=pk).first() for model in DELIVERIES.values())
    return next((row for row in found if row is not None), None)
