"""API keys: request and response fields, and the rule that a key gives a new key no more than it has itself."""

import ipaddress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers

from apps.users.access.authentication import Caller
from apps.users.models import ApiKey, default_expiry, default_scopes
from apps.users.models.scopes import Scope
from notifier.lib.fields.validation import (
    FlagField,
    LineField,
    MomentField,
    NumberField,
    OneOfField,
    ShortListField,
    StrictModelSerializer,
    StrictSerializer,
)

DAY = 24 * 3600


class RateLimitField(NumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=1,
            max_value=settings.RATE_LIMIT_KEY_MOST,
            required=False,
            allow_null=True,
            help_text="Requests a minute; null: the default for all keys.",
            **kwargs,
        )


class NetworkField(LineField):
    """A network, or a single address."""

    default_error_messages = {"network": "Write a network such as 203.0.113.0/24, or an address."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return str(ipaddress.ip_network(super().to_internal_value(data)))
        except ValueError:
            self.fail("network")


def may_give_limit(caller: Caller, wanted: int | None) -> bool:
    """Whether the limit is no higher than the key's own: otherwise a key could escape its limit through a new key."""
    return caller.api_key is None or _limit(wanted) <= _limit(caller.api_key.rate_limit)


def may_give_addresses(caller: Caller, wanted: list[str]) -> bool:
    """Whether the networks are within the calling key's own, where it has any."""
    own = caller.api_key.addresses if caller.api_key is not None else []
    return not own or (bool(wanted) and all(any(_within(one, network) for network in own) for one in wanted))


def longest_life(caller: Caller) -> datetime | None:
    """The latest expiry that the calling key may give: its own lifetime, from now on. None: no limit."""
    own = caller.api_key
    if own is None or own.expires_at is None:
        return None
    return timezone.now() + (own.expires_at - own.created_at)


def _limit(rate_limit: int | None) -> int:
    return rate_limit or settings.RATE_LIMIT_KEY


def _within(one: str, network: str) -> bool:
    inner, outer = ipaddress.ip_network(one), ipaddress.ip_network(network)
    return inner.version == outer.version and inner[0] in outer and inner[-1] in outer


def refuse_more_than_own(caller: Caller, wanted: int | None) -> None:
    if caller.api_key is not None and not may_give_limit(caller, wanted):
        own = _limit(caller.api_key.rate_limit)
        raise serializers.ValidationError(f"Your own limit is {own}; give at most that.", code="beyond")


class ApiKeySerializer(StrictModelSerializer):
    name = LineField(max_length=100)
    scopes = ShortListField(
        child=OneOfField(choices=Scope.choices),
        required=False, allow_empty=False, max_length=len(Scope),
        help_text="Default: send and read. None that the caller lacks.",
    )  # fmt: skip
    live = FlagField(required=False, help_text="False: a test key, whose messages go to the sandbox.")
    rate_limit = RateLimitField()
    addresses = ShortListField(
        child=NetworkField(), required=False, max_length=ApiKey.ADDRESSES_LIMIT,
        help_text="Networks from which the key may be used; empty: any.",
    )  # fmt: skip
    expires_at = MomentField(required=False, help_text="Default: in a year (KEY_LIFETIME_DAYS).")
    created_by = serializers.UUIDField(source="created_by_id", read_only=True, allow_null=True)

    class Meta:
        model = ApiKey
        fields = [
            "id", "name", "prefix", "scopes", "live", "rate_limit", "addresses", "expires_at", "revoked_at",
            "last_used_at", "created_by", "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "prefix", "revoked_at", "last_used_at", "created_at"]

    def validate_rate_limit(self, value: int | None) -> int | None:
        refuse_more_than_own(self.context["caller"], value)
        return value

    def validate_addresses(self, value: list[str]) -> list[str]:
        if not may_give_addresses(self.context["caller"], value):
            raise serializers.ValidationError(
                "Give only networks within your own `addresses`.", code="beyond"
            )
        return value

    def validate_expires_at(self, value: datetime) -> datetime:
        if value <= timezone.now():
            raise serializers.ValidationError("This is in the past already.", code="in_the_past")
        longest = longest_life(self.context["caller"])
        if longest is not None and value > longest:
            raise serializers.ValidationError(
                f"A key can't give a longer lifetime than its own: until {longest:%Y-%m-%d %H:%MZ} at most.",
                code="beyond",
            )
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuses permissions beyond the caller's own, and narrows the defaults to them."""
        caller: Caller = self.context["caller"]
        attrs["scopes"] = list(dict.fromkeys(attrs.get("scopes", default_scopes())))
        beyond = ", ".join(scope for scope in attrs["scopes"] if scope not in caller.scopes)
        if beyond:
            raise serializers.ValidationError(
                {"scopes": serializers.ErrorDetail(f"You don't have these yourself: {beyond}.", "beyond")}
            )
        if caller.api_key is not None:
            attrs.setdefault("addresses", caller.api_key.addresses)
            if (longest := longest_life(caller)) is not None:
                attrs.setdefault("expires_at", min(longest, default_expiry()))
            if not may_give_limit(caller, None):
                attrs.setdefault("rate_limit", caller.api_key.rate_limit)
        attrs.setdefault("live", caller.live)
        if attrs["live"] and not caller.live:
            raise serializers.ValidationError(
                {"live": serializers.ErrorDetail("A test key can't make a live one.", "beyond")}
            )
        return attrs


class IssuedKeySerializer(ApiKeySerializer):
    key = serializers.CharField(read_only=True, help_text="The key itself, in this response only.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]


class KeyChangeSerializer(StrictSerializer):
    name = LineField(max_length=100, required=False)
    rate_limit = RateLimitField()

    def validate_rate_limit(self, value: int | None) -> int | None:
        caller: Caller = self.context["caller"]
        if caller.api_key is not None and caller.api_key.pk == self.context["key"].pk:
            raise serializers.ValidationError("A key doesn't change its own limit.", code="beyond")
        refuse_more_than_own(caller, value)
        return value


class KeyRotationSerializer(StrictSerializer):
    overlap = NumberField(
        min_value=0, max_value=7 * DAY, required=False, default=DAY,
        help_text="Seconds for which the old key still works; 0 ends it at once.",
    )  # fmt: skip
