"""Request and response shapes of webhook endpoints, callbacks and their attempts."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.notifications.models import CallbackAttempt, WebhookEndpoint
from notifier.lib.fields.validation import (
    CursorQuery,
    FlagField,
    LineField,
    MaskedField,
    MomentField,
    NumberField,
    OneOfField,
    StrictSerializer,
)
from notifier.lib.http import address_guard

OVERLAP_SECONDS = 24 * 3600
LONGEST_OVERLAP_SECONDS = 30 * OVERLAP_SECONDS


class CallbackUrlField(LineField):
    """An https URL of at most 2,000 characters, without credentials, whose host the address guard allows."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        try:
            address_guard.parse(value)
        except address_guard.Refused as error:
            raise serializers.ValidationError(str(error), code=error.code) from error
        return value


@extend_schema_serializer(component_name="Endpoint")
class EndpointRequestSerializer(StrictSerializer):
    url = CallbackUrlField()
    enabled = FlagField(required=False, default=True)


class EndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    class Meta:
        model = WebhookEndpoint
        fields = ["id", "url", "enabled", "disabled_reason", "failing_since", "former_until", "created_at"]


class EndpointWithSecretSerializer(EndpointSerializer):
    """`secret` is null once it has been shown."""

    secret = serializers.CharField(allow_null=True)

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]


class SecretRotationSerializer(StrictSerializer):
    overlap = NumberField(
        required=False,
        default=OVERLAP_SECONDS,
        min_value=0,
        max_value=LONGEST_OVERLAP_SECONDS,
        help_text="Seconds for which the present secret also signs, beside the new one.",
    )


class CallbackReplaySerializer(StrictSerializer):
    """Which webhook events to replay, by the time they were created."""

    since = MomentField()
    until = MomentField(required=False, help_text="Default: now. At most 31 days later.")
    status = OneOfField(
        choices=["failed", "all"],
        required=False,
        default="failed",
        help_text="failed: not accepted, or cancelled because there was no endpoint; all: accepted ones, too.",
    )
    dry_run = FlagField(required=False, default=False)


class CallbacksReplayedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    queued = serializers.IntegerField(help_text="How many are queued again, or would be.")


class QueuedSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The webhook event's `webhook-id`.")
    type = serializers.CharField()


class AttemptSerializer(serializers.ModelSerializer[CallbackAttempt]):
    webhook_id = serializers.UUIDField(source="callback_id")
    type = serializers.CharField(source="callback.type")
    notification_id = serializers.UUIDField(source="callback.notification_id", allow_null=True)
    status = serializers.CharField(source="callback.status", help_text="The callback's present status.")
    detail = MaskedField(help_text="The receiver's reply, or the network error; addresses masked.")

    class Meta:
        model = CallbackAttempt
        fields = [
            "id", "webhook_id", "type", "notification_id", "status", "number", "url", "http_status", "code",
            "detail", "milliseconds", "at",
        ]  # fmt: skip


class AttemptFilterSerializer(CursorQuery):
    """Query parameters of the list of attempts."""

    notification = serializers.UUIDField(required=False)
