"""Dead letters for operators, and delivery receipts from gateways."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.api.serializers.dead_letters import (
    DeadLetterFilterSerializer,
    DeadLetterSerializer,
    ReceiptSerializer,
    ReceiptTakenSerializer,
    ReplayedSerializer,
    ReplaySerializer,
)
from apps.notifications.errors import NotHere
from apps.notifications.models import DeadLetter
from apps.notifications.transitions import dead_letters, receipts
from apps.users.access.permissions import OrganizationRows, caller_of, require_reach_of_recipient
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows

READ_WRITE = {"GET": Scope.DEAD_LETTERS_READ, "POST": Scope.DEAD_LETTERS_WRITE}

SHOWN = (
    *(field.name for field in DeadLetter._meta.concrete_fields),
    "notification__request_id",
    "notification__template_version__template__code",
)
"""The columns that a list needs; the notification's own, such as its variables, may be large."""


class DeadLetterRows(OrganizationRows):
    def get_queryset(self) -> QuerySet[DeadLetter]:
        rows = DeadLetter.objects.select_related("notification__template_version__template")
        return self.writable(self.visible(rows.only(*SHOWN)), path="notification__live")


class DeadLetterListView(FilteredRows, DeadLetterRows, generics.ListAPIView[DeadLetter]):
    """Failed deliveries that wait for an operator, newest first. `state` defaults to open."""

    scopes: ClassVar = READ_WRITE
    serializer_class = DeadLetterSerializer
    filter_class = DeadLetterFilterSerializer
    grows = True

    def narrowed(self, rows: QuerySet[Any], query: Mapping[str, Any]) -> QuerySet[Any]:
        paths = {
            "state": "state",
            "channel": "channel",
            "reason": "reason",
            "code": "code",
            "template": "notification__template_version__template__code",
            "request_id": "notification__request_id",
            "since": "created_at__gte",
            "until": "created_at__lt",
        }
        rows = rows.filter(**{path: query[name] for name, path in paths.items() if name in query})
        if "request_id" in query:
            # All columns of the unique index on request_id, so that it is used.
            rows = rows.filter(
                notification__organization=caller_of(self.request).organization,
                notification__live__in=(True, False),
            )
        return rows

    @extend_schema(parameters=[DeadLetterFilterSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)


class ReplayView(APIView):
    """Send failed deliveries again, each once, on the bulk lane. `unknown` ones only where `reason` asks for them."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(request=ReplaySerializer, responses=ReplayedSerializer)
    def post(self, request: Request) -> Response:
        serializer = ReplaySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = dict(serializer.validated_data)
        limit, dry_run = wanted.pop("limit"), wanted.pop("dry_run")
        ids = tuple(wanted.pop("ids")) if "ids" in wanted else None
        caller = caller_of(request)
        selection = dead_letters.Selection(
            organization=caller.organization.slug, live=None if caller.live else False, ids=ids, **wanted
        )
        selected = list(selection.dead_letters()[:limit])
        done = [
            dead_letter
            for dead_letter in selected
            if dry_run or dead_letters.replay(dead_letter, by=caller.name)
        ]
        return Response(
            {
                "dry_run": dry_run,
                "replayed": len(done),
                "skipped": len(selected) - len(done),
                "ids": [str(dead_letter.pk) for dead_letter in done],
            }
        )


class DiscardView(DeadLetterRows, APIView):
    """Close a dead letter without a send."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(request=None, responses=DeadLetterSerializer)
    def post(self, request: Request, letter: uuid.UUID) -> Response:
        found = get_object_or_404(self.get_queryset(), pk=letter)
        dead_letters.discard(found, by=caller_of(request).name)
        found.refresh_from_db(fields=["state", "closed_at", "closed_by"])
        return Response(DeadLetterSerializer(found).data)


class ReceiptView(APIView):
    """A gateway's receipt for a message that it accepted."""

    scopes: ClassVar = {"POST": Scope.NOTIFICATIONS_WRITE}
    channel = ""

    @extend_schema(request=ReceiptSerializer, responses=ReceiptTakenSerializer)
    def post(self, request: Request) -> Response:
        serializer = ReceiptSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        caller = caller_of(request)
        if serializer.validated_data["permanent"] and Scope.SUPPRESSIONS_WRITE not in caller.scopes:
            raise PermissionDenied(
                "Suppressing an address needs the scope suppressions:write; leave `permanent` out.",
                "permission_denied",
            )
        with transaction.atomic():
            row, moved = receipts.apply(
                organization=caller.organization,
                receipt=receipts.Receipt(channel=self.channel, **serializer.validated_data),
            )
            if row.notification.live and not caller.live:
                raise NotHere("There is no such delivery here.")
            if serializer.validated_data["permanent"] and row.notification.live:
                require_reach_of_recipient(request, row.channel, row.recipient)
        return Response({"delivery_id": str(row.pk), "status": row.status, "moved": moved})
