"""API keys as the API shows and takes them."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.users.authentication import Caller
from apps.users.models import ApiKey, default_scopes
from apps.users.scopes import Scope
from apps.users.validation import FlagField, LineField, NumberField, StrictModelSerializer, StrictSerializer

DAY = 24 * 3600


class RateLimitField(NumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=1,
            max_value=ApiKey.RATE_LIMIT_BOUND,
            required=False,
            allow_null=True,
            help_text="Requests a minute; null: what holds for all keys.",
            **kwargs,
        )


class ApiKeySerializer(StrictModelSerializer):
    name = LineField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        required=False, allow_empty=False, max_length=len(Scope),
        help_text="Default: send and read. None that the caller lacks.",
    )  # fmt: skip
    live = FlagField(required=False, help_text="False: a test key, whose messages go to the sandbox.")
    rate_limit = RateLimitField()
    expires_at = serializers.DateTimeField(required=False)
    created_by = serializers.UUIDField(source="created_by_id", read_only=True, allow_null=True)

    class Meta:
        model = ApiKey
        fields = [
            "id", "name", "prefix", "scopes", "live", "rate_limit", "expires_at", "revoked_at", "last_used_at",
            "created_by", "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "prefix", "revoked_at", "last_used_at", "created_at"]

    def validate_expires_at(self, value: datetime) -> datetime:
        if value <= timezone.now():
            raise serializers.ValidationError("This is in the past already.", code="in_the_past")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Nobody hands out more than they have, not even by leaving it out."""
        caller: Caller = self.context["caller"]
        attrs["scopes"] = list(dict.fromkeys(attrs.get("scopes", default_scopes())))
        beyond = ", ".join(scope for scope in attrs["scopes"] if scope not in caller.scopes)
        if beyond:
            raise serializers.ValidationError(
                {"scopes": serializers.ErrorDetail(f"You don't have these yourself: {beyond}.", "beyond")}
            )
        attrs.setdefault("live", caller.live)
        if attrs["live"] and not caller.live:
            raise serializers.ValidationError(
                {"live": serializers.ErrorDetail("A test key can't make a live one.", "beyond")}
            )
        return attrs


class IssuedKeySerializer(ApiKeySerializer):
    key = serializers.CharField(read_only=True, help_text="The key itself, in this answer only.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]


class KeyChangeSerializer(StrictSerializer):
    name = LineField(max_length=100, required=False)
    rate_limit = RateLimitField()


class KeyRotationSerializer(StrictSerializer):
    overlap = NumberField(
        min_value=0, max_value=7 * DAY, required=False, default=DAY,
        help_text="Seconds for which the old key still works; 0 ends it at once.",
    )  # fmt: skip
