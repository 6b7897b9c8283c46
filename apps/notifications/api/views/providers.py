"""The provider accounts and their circuit breakers. They serve every organization, so only the operating
organization has the scopes to switch them."""

from typing import Any, ClassVar

from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.models import CircuitChange, ProviderState
from apps.notifications.routing import circuit_breaker, rate_limit
from apps.notifications.routing.accounts import Account, configured
from apps.users.access.permissions import caller_of
from apps.users.models.scopes import Scope
from notifier.channels.registry import CODES
from notifier.lib.fields.filters import FilteredRows
from notifier.lib.fields.validation import CursorQuery

SCOPES = {"GET": Scope.PROVIDERS_READ, "POST": Scope.PROVIDERS_WRITE}


class ProviderSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    channel = serializers.CharField(
        help_text=f"{', '.join(CODES)}; empty for one that the settings no longer name."
    )
    kind = serializers.CharField(help_text="The URL's scheme: smtp, fcm, postmark, …")
    order = serializers.IntegerField(help_text="Lower is tried first.")
    weight = serializers.FloatField()
    rate = serializers.FloatField(help_text="Messages a second; 0 is no limit.")
    state = serializers.ChoiceField(choices=["closed", "open", "half_open"])
    open_until = serializers.DateTimeField(allow_null=True)
    code = serializers.CharField(help_text="Why the circuit opened.")


class CircuitChangeSerializer(serializers.ModelSerializer[CircuitChange]):
    class Meta:
        model = CircuitChange
        fields = ["id", "kind", "code", "seconds", "by", "at"]


def _accounts() -> list[tuple[str, Account]]:
    return [(channel, account) for channel in CODES for account in configured(channel)]


def _known(name: str) -> tuple[str, Account]:
    """The account with its channel: of the settings, or "" where only its stored state is left. Raises Http404."""
    for channel, account in _accounts():
        if account.name == name:
            return channel, account
    if ProviderState.objects.filter(name=name).exists():
        return "", Account(name)
    raise Http404


def _shown(channel: str, account: Account, state: ProviderState | None) -> dict[str, Any]:
    opened = state is not None and state.open_until is not None
    resting = opened and state.left.total_seconds() > 0  # type: ignore[union-attr]
    return {
        "name": account.name,
        "channel": channel,
        "kind": account.scheme,
        "order": account.order,
        "weight": account.weight,
        "rate": account.rate,
        "state": "open" if resting else "half_open" if opened else "closed",
        "open_until": state.open_until if state is not None else None,
        "code": state.code if state is not None else "",
    }


def _states() -> dict[str, ProviderState]:
    return {state.name: state for state in ProviderState.objects.annotate(left=F("open_until") - Now())}


class ProviderListView(FilteredRows, generics.GenericAPIView[Any]):
    """Every account that the settings name, with the present state of its circuit breaker."""

    scopes: ClassVar = SCOPES
    serializer_class = ProviderSerializer
    queryset = ProviderState.objects.none()

    @extend_schema(responses=ProviderSerializer(many=True))
    def get(self, request: Request) -> Response:
        self.filter_queryset(self.get_queryset())
        states = _states()
        rows: Any = [_shown(channel, account, states.get(account.name)) for channel, account in _accounts()]
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ProviderHistoryView(FilteredRows, generics.ListAPIView[CircuitChange]):
    """The openings and closings of the account's circuit, newest first."""

    scopes: ClassVar = SCOPES
    serializer_class = CircuitChangeSerializer
    filter_class = CursorQuery
    queryset = CircuitChange.objects.all()
    grows = True

    def get_queryset(self) -> QuerySet[CircuitChange]:
        name = self.kwargs["provider"]
        _known(name)
        return super().get_queryset().filter(provider=name)


class CircuitView(APIView):
    """Open the circuit breaker (its messages wait or use the next account, until it is closed), or close it."""

    scopes: ClassVar = SCOPES
    opens = False

    @extend_schema(request=None, responses=ProviderSerializer)
    def post(self, request: Request, provider: str) -> Response:
        known = _known(provider)
        by = caller_of(request).name
        if self.opens:
            circuit_breaker.open_manually(provider, by=by)
        else:
            circuit_breaker.close(provider, by=by)
            rate_limit.forget(provider)
        return Response(ProviderSerializer(_shown(*known, _states().get(provider))).data)
