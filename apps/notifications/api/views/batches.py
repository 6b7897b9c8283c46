"""Many notifications in one request."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.acceptance import submission
from apps.notifications.api.serializers.notifications import BatchResultSerializer, BatchTrialSerializer
from apps.notifications.api.serializers.requests import BatchItemSerializer, BatchSerializer
from apps.notifications.api.views.notifications import (
    DRY_RUN,
    IDEMPOTENCY_KEY,
    accepted,
    answer_once,
    ok_with_message,
    parse_submission,
    rejected,
)
from apps.notifications.errors import Invalid, NotifierError, TooManyWaiting
from apps.users.access import throttling
from apps.users.access.permissions import caller_of
from apps.users.models.scopes import Scope
from notifier.lib.fields.query_parameters import DryRunQuery
from notifier.lib.fields.validation import field_errors

ITEM = BatchItemSerializer()
ITEM_LENGTH = 4_200
"""Bytes of a batch that count as one item, so that the largest body counts as the most items, whose cost it has."""


def with_totals(results: list[dict[str, Any]]) -> dict[str, Any]:
    taken = sum(result["result"] == "accepted" for result in results)
    return {"accepted": taken, "rejected": len(results) - taken, "results": results}


def result_message(data: Any, would_be: str) -> str:
    """The message of a batch's answer: the default "Accepted." would be wrong where every item was rejected."""
    taken, refused = data["accepted"], data["rejected"]
    if not refused:
        return f"All {taken} {would_be}taken."
    return f"{taken or 'None'} of {taken + refused} {would_be}taken, {refused} refused: `results` says why."


class BatchView(APIView):
    """Up to 1,000 requests in 4 MiB; each is accepted or rejected by itself, and uses the bulk lane.

    The answer is a 202 with the number accepted, also where every item was rejected. With `dry_run` it is the planned
    result of each item, and nothing is stored or sent. Items count towards a quota of their own; 4,200 bytes of the
    body count as one.
    """

    scopes: ClassVar = {"POST": Scope.NOTIFICATIONS_WRITE}
    parameters: ClassVar = {"POST": DryRunQuery}
    body_limit = 4 * 1024 * 1024

    @extend_schema(
        request=BatchSerializer,
        responses={200: BatchTrialSerializer, 202: BatchResultSerializer},
        parameters=[IDEMPOTENCY_KEY, DryRunQuery],
    )
    def post(self, request: Request) -> Response:
        dry_run = DryRunQuery.is_dry_run(request)
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        items: list[Any] = batch.validated_data["notifications"]
        caller = caller_of(request)
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        throttling.take_items(request._request, caller, max(len(items), length // ITEM_LENGTH))
        results: list[dict[str, Any]] = [{} for _ in items]
        submissions: dict[int, submission.Submission] = {}
        for index, item in enumerate(items):
            try:
                submissions[index] = parse_submission(request, ITEM, item)
            except ValidationError as error:
                results[index] = rejected(index, Invalid.of(field_errors(error.detail)))

        if dry_run:
            found, plans = submission.preview_all(caller=caller, submissions=list(submissions.values()))
            for index, result in zip(submissions, found, strict=True):
                if isinstance(result, NotifierError):
                    results[index] = rejected(index, result)
                elif (planned := plans.get(result.notification.pk)) is not None:
                    results[index] = {"index": index, "result": "accepted", "decisions": planned.decisions}
                else:
                    # Its request_id was used before: the same answer as a real request would get.
                    results[index] = {
                        "index": index,
                        "result": "accepted",
                        "decisions": [],
                        **accepted(result),
                    }
            counted = with_totals(results)
            return ok_with_message(counted, f"{DRY_RUN} {result_message(counted, 'would be ')}")

        def accept() -> tuple[dict[str, Any], str]:
            made = submission.submit_all(caller=caller, submissions=list(submissions.values()))
            for index, result in zip(submissions, made, strict=True):
                if isinstance(result, TooManyWaiting):
                    # This applies to every new item, since all use the bulk lane: nothing was stored.
                    raise result
                if isinstance(result, NotifierError):
                    results[index] = rejected(index, result)
                else:
                    results[index] = {"index": index, "result": "accepted", **accepted(result)}
            deliveries = sum(len(result.get("deliveries", ())) for result in results)
            throttling.charge_deliveries(caller, deliveries, items=len(items))
            return with_totals(results), ""

        answer = answer_once(request, "notifications/batch", submission.body_hash(request.data), accept)
        answer.message = result_message(answer.data, "")  # type: ignore[attr-defined]
        return answer
