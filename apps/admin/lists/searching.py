"""Exact search for a message by any of its identifiers, through the cheapest index that finds it."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import Delivery, Notification
from apps.users.models import Organization
from apps.users.recipient_hashes import hashes_of, recipient_hash


def first_found(rows: QuerySet[Any], conditions: Iterable[Q]) -> QuerySet[Any]:
    """The rows of the first condition that matches any; a single query over all conditions would scan the table."""
    for condition in conditions:
        matching = rows.filter(condition)
        if matching.exists():
            return matching
    return rows.none()


def as_id(term: str) -> uuid.UUID | None:
    """The id in `term`: bare, or within one of our Message-IDs (`<delivery id@host>`)."""
    try:
        return uuid.UUID(term.strip("<>").partition("@")[0])
    except ValueError:
        return None


def named(term: str) -> Iterator[QuerySet[Any, Any]]:
    """The notifications with this request_id, then those with this correlation id."""
    # Both indexes begin with the organization.
    rows = Notification.objects.filter(organization__in=Organization.objects.values("pk"))
    for field in ("request_id", "correlation_id"):
        yield rows.filter(**{field: term}).values("pk")


def of_delivery(model: type[Delivery], term: str) -> Iterator[Q]:
    """Conditions for a delivery log: ids, recipient, request_id, correlation id, the provider's message id."""
    if found := as_id(term):
        yield Q(pk=found) | Q(notification=found)
    yield Q(recipient_hash=recipient_hash(model.channel, term))
    for notifications in named(term):
        yield Q(notification__in=notifications)
    yield Q(provider_message_id=term)


def of_notification(term: str) -> Iterator[Q]:
    """Conditions for notifications: the identifiers of a delivery log, but for the provider's message id."""
    if found := as_id(term):
        yield Q(pk=found) | Q(pk__in=_deliveries(Q(pk=found), "notification"))
    yield Q(pk__in=_deliveries(_recipient(term), "notification"))
    for notifications in named(term):
        yield Q(pk__in=notifications)


def of_dead_letter(term: str) -> Iterator[Q]:
    """Conditions for dead letters: ids, recipient, request_id, correlation id."""
    if found := as_id(term):
        yield Q(pk=found) | Q(notification=found) | Q(delivery_id=found)
    yield Q(delivery_id__in=_deliveries(_recipient(term), "pk"))
    for notifications in named(term):
        yield Q(notification__in=notifications)


def _recipient(term: str) -> Q:
    return Q(recipient_hash__in=hashes_of(term))


def _deliveries(condition: Q, field: str) -> list[Any]:
    found: list[Any] = []
    for model in DELIVERIES.values():
        found += model.objects.filter(condition).values_list(field, flat=True)[:1000]
    return found
