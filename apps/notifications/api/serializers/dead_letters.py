"""Request and response shapes of dead letters and receipts."""

from typing import Any

from rest_framework import serializers

from apps.notifications.api.serializers.requests import IdField, RequestIdField
from apps.notifications.models import DeadLetter
from apps.notifications.models.statuses import Status
from apps.templates.api.serializers.templates import CodeField
from notifier.channels.registry import choices
from notifier.lib.fields.validation import (
    CursorQuery,
    FlagField,
    LineField,
    MaskedField,
    MomentField,
    NumberField,
    OneOfField,
    ShortListField,
    StrictSerializer,
)


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    request_id = serializers.CharField(source="notification.request_id", default=None, allow_null=True)
    template = serializers.CharField(
        source="notification.template_version.template.code", default=None, allow_null=True
    )
    detail = MaskedField(help_text="The provider's reply, addresses masked.")

    class Meta:
        model = DeadLetter
        fields = [
            "id", "state", "channel", "reason", "code", "detail", "notification_id", "delivery_id", "epoch",
            "request_id", "template", "created_at", "closed_at", "closed_by",
        ]  # fmt: skip


class SelectionSerializer(StrictSerializer):
    channel = OneOfField(choices=choices(), required=False)
    reason = LineField(required=False, max_length=64, help_text="The dead letter's reason or code.")
    template = CodeField(required=False)
    request_id = RequestIdField(required=False)
    since = MomentField(required=False)
    until = MomentField(required=False)


class DeadLetterFilterSerializer(SelectionSerializer, CursorQuery):
    """The list's query parameters."""

    state = OneOfField(choices=DeadLetter.State.choices, required=False)
    code = LineField(required=False, max_length=64)


class ReplaySerializer(SelectionSerializer):
    ids = ShortListField(child=IdField(), required=False, max_length=1000)
    limit = NumberField(required=False, default=100, min_value=1, max_value=1000)
    dry_run = FlagField(required=False, default=False)


class ReplayedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    replayed = serializers.IntegerField()
    skipped = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.UUIDField())


class ReceiptSerializer(StrictSerializer):
    delivery_id = IdField(required=False)
    provider_message_id = LineField(required=False, max_length=255)
    status = OneOfField(choices=[Status.SENT, Status.DELIVERED, Status.BOUNCED])
    detail = LineField(required=False, allow_blank=True, max_length=500)
    permanent = FlagField(
        required=False, default=False, help_text="With bounced: suppress the address, retire the device."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("delivery_id" in attrs) == ("provider_message_id" in attrs):
            raise serializers.ValidationError(
                {"delivery_id": "Give either delivery_id or provider_message_id."}, code="required"
            )
        return attrs


class ReceiptTakenSerializer(serializers.Serializer[Any]):
    delivery_id = serializers.UUIDField()
    status = serializers.CharField()
    moved = serializers.BooleanField(help_text="False: the delivery already had this status, or a later one.")
