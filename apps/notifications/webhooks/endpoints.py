"""Disabling an endpoint that accepts nothing for days, or answers that it is gone."""

import structlog
from django.db.models.functions import Now

from apps.notifications.models import Callback, WebhookEndpoint, from_now
from apps.notifications.webhooks import outcomes
from apps.notifications.webhooks.client import Answer

log = structlog.get_logger(__name__)

DAYS_OF_FAILING = 5
"""Longer than the schedule of one callback, so that a receiver's bad weekend disables nothing."""


def judge(row: Callback, url: str, answer: Answer, *, given_up: bool) -> None:
    """Update the organization's endpoint by an attempt's answer. Call in the transaction that records the attempt.

    It is disabled by a 410, and when a callback is given up after days in which none was accepted. A single failure
    does not disable it, however long ago the last one was: a callback that is tried again may arrive.
    """
    endpoint = WebhookEndpoint.objects.filter(organization_id=row.organization_id, url=url, enabled=True)
    if outcomes.taken(answer):
        endpoint.exclude(failing_since=None).update(failing_since=None)
        return
    endpoint.filter(failing_since=None).update(failing_since=Now())
    if answer.status == outcomes.GONE:
        reason = "The receiver answered 410."
    elif given_up:
        endpoint = endpoint.filter(failing_since__lt=from_now(-DAYS_OF_FAILING * 24 * 3600))
        reason = f"The receiver took nothing for {DAYS_OF_FAILING} days."
    else:
        return
    if endpoint.update(enabled=False, disabled_reason=reason):
        log.error(
            "callback_endpoint_disabled",
            organization_id=str(row.organization_id),
            reason=reason,
            code=answer.code,
        )
