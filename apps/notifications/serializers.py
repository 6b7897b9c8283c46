"""Notifications as the API takes and shows them."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.notifications.callbacks.serializers import CallbackUrlField
from apps.notifications.models import Delivery, Event, Notification, deliveries_of
from apps.notifications.requests import NotificationRequest
from apps.notifications.statuses import SCHEDULED, Status, summary
from apps.templates.rendered_serializers import RenderedSerializer
from apps.templates.serializers import CodeField
from apps.users.channels import Channel
from apps.users.masking import masked_value
from apps.users.validation import (
    IDENTIFIER_PATTERN,
    VALUES_LIMIT,
    AddressField,
    CursorQuery,
    FieldErrorSerializer,
    LanguageField,
    LineField,
    MaskedField,
    MomentField,
    NumberField,
    OneOfField,
    ShortDictField,
    ShortListField,
    StrictSerializer,
    validate_timezone,
)

CORRELATION_PATTERN = re.compile(r"\A[\x21-\x7e]{1,128}\Z")

CHANNEL_OF_PATH = "This path is for {} alone; leave it out, or post to notifications/."
TOO_LARGE = (
    f"Variables and metadata hold {VALUES_LIMIT} values and {settings.BODY_LIMIT // 1024} KiB at most."
)


def _too_large(*given: Any) -> bool:
    values, length, waiting = 0, 0, list(given)
    while waiting:
        part = waiting.pop()
        values += 1
        match part:
            case str():
                length += len(part)
            case dict():
                values += len(part)
                length += sum(map(len, part))
                waiting.extend(part.values())
            case list():
                waiting.extend(part)
        if values + len(waiting) > VALUES_LIMIT or length > settings.BODY_LIMIT:
            return True
    return False


DOTS = frozenset({".", ".."})
"""URL libraries take these out of a path before they send it."""
PATH_WORDS = frozenset({*Channel.values, "batch", "events", "cancel", "status"})
"""What stands in paths under notifications/ by itself."""


def refuse_reserved(value: str) -> None:
    """Nothing could be looked up by such a request_id."""
    if value in DOTS:
        raise ValidationError("Dots alone are lost on the way in a path: add a letter.", code="reserved")
    if value in PATH_WORDS:
        raise ValidationError(
            f"`{value}` is a word of this API's own paths: put something before it, as in `order-{value}`.",
            code="reserved",
        )


class RequestIdField(LineField):
    """The caller's own id: up to 255 letters, digits and `._:-`, unique in the organization."""

    def __init__(self, **kwargs: Any) -> None:
        pattern = RegexValidator(IDENTIFIER_PATTERN, "Use letters, digits and . _ : - only.", code="invalid")
        also = kwargs.pop("validators", [])
        super().__init__(max_length=255, validators=[pattern, *also], **kwargs)


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own takes a number for one."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class RecipientSerializer(StrictSerializer):
    """An address, a device, or both. A user's is that user: what they refused is refused, however addressed."""

    email = AddressField(required=False)
    device_token = LineField(required=False, max_length=4096)
    language = LanguageField(required=False)
    timezone = LineField(required=False, max_length=64, validators=[validate_timezone])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("email") and not attrs.get("device_token"):
            raise serializers.ValidationError("Give an email, a device_token or both.", code="required")
        return attrs


@extend_schema_serializer(component_name="Notification")
class NotificationRequestSerializer(StrictSerializer):
    """`user_id` or `recipient`, and a template; everything else has a default."""

    user_id = IdField(required=False)
    recipient = RecipientSerializer(required=False)
    template_code = CodeField()
    channels = ShortListField(
        child=OneOfField(choices=Channel.choices),
        required=False,
        allow_empty=False,
        max_length=8,
    )
    notification_type = OneOfField(
        choices=Channel.choices, required=False, help_text="The same as `channels` with this one."
    )
    variables = ShortDictField(max_length=VALUES_LIMIT, required=False, default=dict)
    language = LanguageField(required=False)
    request_id = RequestIdField(required=False, validators=[refuse_reserved])
    priority = NumberField(required=False, default=5, min_value=1, max_value=10)
    scheduled_at = MomentField(required=False)
    expires_at = MomentField(required=False)
    metadata = ShortDictField(max_length=VALUES_LIMIT, required=False, default=dict)
    callback_url = CallbackUrlField(
        required=False, help_text="Told of every final status, beside the organization's endpoint."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("user_id" in attrs) == ("recipient" in attrs):
            raise serializers.ValidationError(
                {"user_id": "Give either user_id or recipient."}, code="required"
            )
        if "notification_type" in attrs:
            if "channels" in attrs:
                raise serializers.ValidationError(
                    {"notification_type": "Give channels only."}, code="conflict"
                )
            attrs["channels"] = [attrs["notification_type"]]
        if _too_large(attrs["variables"], attrs["metadata"]):
            raise serializers.ValidationError({"variables": TOO_LARGE}, code="too_large")
        return attrs

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        given = value.get("correlation_id")
        if given is not None and not (isinstance(given, str) and CORRELATION_PATTERN.match(given)):
            raise serializers.ValidationError(
                {"correlation_id": "Send 1 to 128 visible ASCII characters."}, code="invalid"
            )
        return value

    def to_request(
        self, fields: dict[str, Any], *, correlation_id: str, correlation_given: bool
    ) -> NotificationRequest:
        """The request as the submission takes it, of validated fields. The header's correlation id wins over the
        metadata's."""
        recipient = fields.get("recipient", {})
        from_metadata = fields["metadata"].get("correlation_id")
        return NotificationRequest(
            template_code=fields["template_code"],
            user_id=fields.get("user_id"),
            email=recipient.get("email", ""),
            device_token=recipient.get("device_token", ""),
            channels=tuple(fields.get("channels", ())),
            variables=fields["variables"],
            language=fields.get("language") or recipient.get("language", ""),
            request_id=fields.get("request_id"),
            priority=fields["priority"],
            scheduled_at=fields.get("scheduled_at"),
            expires_at=fields.get("expires_at"),
            metadata=fields["metadata"],
            callback_url=fields.get("callback_url", ""),
            correlation_id=correlation_id if correlation_given or not from_metadata else from_metadata,
        )


class BatchItemSerializer(NotificationRequestSerializer):
    """As a single request; its priority is below 5, so that a batch never delays what people wait for."""

    priority = NumberField(required=False, default=4, min_value=1, max_value=4)


class BatchSerializer(StrictSerializer):
    # Checked one by one afterwards: one bad item spoils no other.
    notifications = ShortListField(
        child=serializers.JSONField(),
        allow_empty=False,
        max_length=1000,
        help_text="As POST notifications/ takes.",
    )


class DeliverySerializer(serializers.Serializer[Delivery]):
    id = serializers.UUIDField()
    channel = serializers.ChoiceField(choices=Channel.choices)
    status = serializers.CharField(source="shown_status")
    reason = serializers.CharField()
    recipient = serializers.CharField(source="masked_recipient", help_text="Masked.")
    language = serializers.CharField()
    attempts = serializers.IntegerField()
    due_at = serializers.DateTimeField()
    provider = serializers.CharField()
    provider_message_id = serializers.CharField()
    error_code = serializers.CharField()
    error_detail = MaskedField(help_text="The provider's words, addresses masked.")
    sent_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class TemplateReferenceSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(source="template.code")
    version = serializers.IntegerField(source="number")


class AcceptedDeliverySerializer(serializers.Serializer[Delivery]):
    id = serializers.UUIDField()
    channel = serializers.ChoiceField(choices=Channel.choices)
    status = serializers.CharField(source="shown_status")
    reason = serializers.CharField()
    recipient = serializers.CharField(source="masked_recipient", help_text="Masked.")


class AcceptedSerializer(serializers.Serializer[Notification]):
    """What was made of a request."""

    # The context's `rows` holds the deliveries by notification; what is missing is looked up.

    id = serializers.UUIDField()
    request_id = serializers.CharField(allow_null=True)
    status = serializers.SerializerMethodField()
    template = TemplateReferenceSerializer(source="template_version")
    deliveries = serializers.SerializerMethodField()
    delivery_class: type[serializers.Serializer[Delivery]] = AcceptedDeliverySerializer

    def rows(self, notification: Notification) -> list[Delivery]:
        known: dict[Any, list[Delivery]] = self.context["rows"]
        if notification.pk not in known:
            known.update(deliveries_of([notification]))
        return known[notification.pk]

    def get_status(self, notification: Notification) -> str:
        return summary(row.shown_status for row in self.rows(notification))

    @extend_schema_field(AcceptedDeliverySerializer(many=True))
    def get_deliveries(self, notification: Notification) -> list[dict[str, Any]]:
        rows: Any = self.rows(notification)
        return list(self.delivery_class(rows, many=True).data)


class NotificationSerializer(AcceptedSerializer):
    """A notification, with what became of each of its deliveries."""

    delivery_class = DeliverySerializer

    user_id = serializers.UUIDField(allow_null=True)
    priority = serializers.IntegerField()
    live = serializers.BooleanField()
    variables = serializers.SerializerMethodField(help_text="Without what the template calls sensitive.")
    metadata = serializers.DictField()
    callback_url = serializers.CharField()
    correlation_id = serializers.CharField()
    scheduled_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field(DeliverySerializer(many=True))
    def get_deliveries(self, notification: Notification) -> list[dict[str, Any]]:
        return super().get_deliveries(notification)

    def get_variables(self, notification: Notification) -> dict[str, Any]:
        return notification.template_version.shown(notification.variables)


class BatchEntrySerializer(serializers.Serializer[Any]):
    """An accepted item has id, request_id, status, template and deliveries; a rejected one error, message and errors,
    and where it was sent before (`already_delivered`) the others too."""

    index = serializers.IntegerField(help_text="The item's place in the request, from 0.")
    result = serializers.ChoiceField(choices=["accepted", "rejected"])
    error = serializers.CharField(required=False, help_text="A stable code, as a single request's.")
    message = serializers.CharField(required=False, help_text="One sentence for a person.")
    id = serializers.UUIDField(required=False)
    request_id = serializers.CharField(required=False, allow_null=True)
    status = serializers.CharField(required=False)
    template = TemplateReferenceSerializer(required=False)
    deliveries = AcceptedDeliverySerializer(many=True, required=False)

    def get_fields(self) -> dict[str, Any]:
        # As a class attribute it would hide the serializer's own `errors`.
        return {**super().get_fields(), "errors": FieldErrorSerializer(many=True, required=False)}


class BatchResultSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = BatchEntrySerializer(many=True, help_text="One for each item, in their order.")


class DecisionSerializer(serializers.Serializer[Any]):
    """What would become of one delivery."""

    delivery_id = serializers.UUIDField(help_text="Of this trial alone.")
    channel = serializers.ChoiceField(choices=Channel.choices)
    recipient = serializers.CharField(help_text="Masked.")
    language = serializers.CharField()
    decision = serializers.CharField(help_text="send, defer, skip or expire.")
    reason = serializers.CharField(required=False)
    until = serializers.DateTimeField(required=False, help_text="With defer.")
    fallback = serializers.BooleanField(required=False, help_text="True: by the fallback version's words.")


class BatchTrialEntrySerializer(BatchEntrySerializer):
    """An item that would be taken has its decisions; one whose request_id came before has none, but what it made
    then."""

    decisions = DecisionSerializer(many=True, required=False)


class BatchTrialSerializer(BatchResultSerializer):
    results = BatchTrialEntrySerializer(many=True, help_text="One for each item, in their order.")


class TrialSerializer(serializers.Serializer[Any]):
    """What a dry run answers: nothing of it is stored or sent."""

    decisions = DecisionSerializer(many=True)
    rendered = RenderedSerializer()


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "at", "kind", "channel", "delivery_id", "data"]

    def to_representation(self, instance: Event) -> dict[str, Any]:
        shown = super().to_representation(instance)
        shown["data"] = masked_value(shown["data"])
        return shown


class NotificationFilterSerializer(CursorQuery):
    """The list's query parameters."""

    status = OneOfField(choices=[*Status.values, SCHEDULED], required=False)
    channel = OneOfField(choices=Channel.choices, required=False)
    user = serializers.UUIDField(required=False)
    template = CodeField(required=False)
    created_after = MomentField(required=False)
    created_before = MomentField(required=False)
    correlation_id = serializers.RegexField(CORRELATION_PATTERN, required=False)
