"""Response shapes of notifications, batches, dry runs and timelines."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.notifications.channels.logs import deliveries_of
from apps.notifications.models import Delivery, Event, Notification, summary
from apps.templates.api.serializers.rendered import RenderedSerializer
from notifier.channels.registry import choices
from notifier.lib.fields.validation import VALUES_LIMIT, FieldErrorSerializer, MaskedField, ShortDictField
from notifier.lib.masking import masked_value


class AcceptedDeliverySerializer(serializers.Serializer[Delivery]):
    id = serializers.UUIDField()
    channel = serializers.ChoiceField(choices=choices())
    status = serializers.CharField(source="shown_status")
    reason = serializers.CharField()
    recipient = serializers.CharField(source="masked_recipient", help_text="Masked.")


class DeliverySerializer(AcceptedDeliverySerializer):
    language = serializers.CharField()
    attempts = serializers.IntegerField()
    due_at = serializers.DateTimeField()
    provider = serializers.CharField()
    provider_message_id = serializers.CharField()
    error_code = serializers.CharField()
    error_detail = MaskedField(help_text="The provider's reply, addresses masked.")
    sent_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class TemplateReferenceSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(source="template.code")
    version = serializers.IntegerField(source="number")


class AcceptedSerializer(serializers.Serializer[Notification]):
    """An accepted request: its notification and the deliveries planned for it."""

    # The context's `rows` maps a notification's id to its deliveries; missing ones are queried.

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
    """A notification with its deliveries and their results."""

    delivery_class = DeliverySerializer

    user_id = serializers.UUIDField(allow_null=True)
    priority = serializers.IntegerField()
    live = serializers.BooleanField()
    variables = serializers.SerializerMethodField(
        help_text="Without those that the template declares sensitive."
    )
    metadata = ShortDictField(max_length=VALUES_LIMIT)
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
    """An accepted item has id, request_id, status, template and deliveries. A rejected one has error, message and
    errors; with `already_delivered` it also has the fields of the accepted one."""

    index = serializers.IntegerField(help_text="The item's index in the request, from 0.")
    result = serializers.ChoiceField(choices=["accepted", "rejected"])
    error = serializers.CharField(
        required=False, help_text="A stable code, the same as for a single request."
    )
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
    """The planned result of one delivery in a dry run."""

    delivery_id = serializers.UUIDField(help_text="Valid for this dry run only.")
    channel = serializers.ChoiceField(choices=choices())
    recipient = serializers.CharField(help_text="Masked.")
    language = serializers.CharField()
    decision = serializers.CharField(help_text="send, defer, skip or expire.")
    reason = serializers.CharField(required=False)
    until = serializers.DateTimeField(required=False, help_text="With defer.")
    fallback = serializers.BooleanField(required=False, help_text="True: the fallback version is rendered.")


class BatchTrialEntrySerializer(BatchEntrySerializer):
    """An item that would be accepted has its decisions. One whose request_id was used before has none; it has the
    fields of the notification accepted then."""

    decisions = DecisionSerializer(many=True, required=False)


class BatchTrialSerializer(BatchResultSerializer):
    results = BatchTrialEntrySerializer(many=True, help_text="One for each item, in their order.")


class TrialSerializer(serializers.Serializer[Any]):
    """The answer to a dry run; nothing is stored or sent."""

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
