"""Request shapes and query parameters of notifications."""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.api.serializers.webhooks import CallbackUrlField
from apps.notifications.models.statuses import SCHEDULED, Status
from apps.templates.api.serializers.templates import CodeField
from notifier.channels.declaration import Address
from notifier.channels.registry import CHANNELS, CODES, choices
from notifier.lib.fields.validation import (
    IDENTIFIER_PATTERN,
    VALUES_LIMIT,
    AddressField,
    CursorQuery,
    LanguageField,
    LineField,
    MomentField,
    NumberField,
    OneOfField,
    ShortDictField,
    ShortListField,
    SpelledField,
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
"""URL libraries remove these segments from a path before they send it."""
PATH_SEGMENTS = frozenset({*CODES, "batch", "events", "cancel", "status"})
"""The literal segments of the routes under notifications/; a request_id equal to one could not be addressed."""


def refuse_reserved(value: str) -> None:
    """Raises ValidationError for a request_id that could not be used in a path."""
    if value in DOTS:
        raise ValidationError(
            "URL libraries remove path segments of dots alone: add a letter.", code="reserved"
        )
    if value in PATH_SEGMENTS:
        raise ValidationError(
            f"`{value}` is a reserved path segment of this API: put a prefix before it, as in `order-{value}`.",
            code="reserved",
        )


class RequestIdField(LineField):
    """The caller's own id: up to 255 letters, digits and `._:-`, unique in the organization."""

    def __init__(self, **kwargs: Any) -> None:
        pattern = RegexValidator(IDENTIFIER_PATTERN, "Use letters, digits and . _ : - only.", code="invalid")
        also = kwargs.pop("validators", [])
        super().__init__(max_length=255, validators=[pattern, *also], **kwargs)


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own field also accepts numbers."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class RecipientSerializer(StrictSerializer):
    """An address for one channel or for several. One that belongs to a user counts as that user: their preferences
    apply, however they are addressed."""

    language = LanguageField(required=False)
    timezone = LineField(required=False, max_length=64, validators=[validate_timezone])

    def get_fields(self) -> dict[str, Any]:
        addresses = {channel.address.request_field: _field(channel.address) for channel in CHANNELS.values()}
        return {**addresses, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not recipients_in(attrs):
            names = ", ".join(channel.address.request_field for channel in CHANNELS.values())
            raise serializers.ValidationError(f"Give at least one of {names}.", code="required")
        return attrs


def _field(address: Address) -> LineField:
    if address.format == "email":
        return AddressField(required=False)
    return SpelledField(spelled=address.spelled, max_length=address.limit, required=False)


def recipients_in(fields: Mapping[str, Any]) -> dict[str, str]:
    """The addresses in a validated recipient, by channel."""
    found = {code: fields.get(channel.address.request_field, "") for code, channel in CHANNELS.items()}
    return {code: address for code, address in found.items() if address}


@extend_schema_serializer(component_name="Notification")
class NotificationRequestSerializer(StrictSerializer):
    """`user_id` or `recipient`, and a template; everything else has a default."""

    user_id = IdField(required=False)
    recipient = RecipientSerializer(required=False)
    template_code = CodeField()
    channels = ShortListField(
        child=OneOfField(choices=choices()),
        required=False,
        allow_empty=False,
        max_length=8,
    )
    notification_type = OneOfField(
        choices=choices(), required=False, help_text="The same as `channels` with this one."
    )
    variables = ShortDictField(max_length=VALUES_LIMIT, required=False, default=dict)
    language = LanguageField(required=False)
    request_id = RequestIdField(required=False, validators=[refuse_reserved])
    priority = NumberField(required=False, default=5, min_value=1, max_value=10)
    scheduled_at = MomentField(required=False)
    expires_at = MomentField(required=False)
    metadata = ShortDictField(max_length=VALUES_LIMIT, required=False, default=dict)
    callback_url = CallbackUrlField(
        required=False, help_text="Receives every final status, in addition to the organization's endpoint."
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
        """Validated fields as a `NotificationRequest`. The header's correlation id takes precedence over the
        metadata's."""
        recipient = fields.get("recipient", {})
        from_metadata = fields["metadata"].get("correlation_id")
        return NotificationRequest(
            template_code=fields["template_code"],
            user_id=fields.get("user_id"),
            recipients=recipients_in(recipient),
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
    """The same as a single request, with a priority below 5: a batch never delays messages that people wait for."""

    priority = NumberField(required=False, default=4, min_value=1, max_value=4)


class BatchSerializer(StrictSerializer):
    # Validated one by one later, so that one invalid item does not reject the others.
    notifications = ShortListField(
        child=serializers.JSONField(),
        allow_empty=False,
        max_length=1000,
        help_text="As POST notifications/ takes.",
    )


class NotificationFilterSerializer(CursorQuery):
    """The list's query parameters."""

    status = OneOfField(choices=[*Status.values, SCHEDULED], required=False)
    channel = OneOfField(choices=choices(), required=False)
    user = serializers.UUIDField(required=False)
    template = CodeField(required=False)
    created_after = MomentField(required=False)
    created_before = MomentField(required=False)
    correlation_id = serializers.RegexField(CORRELATION_PATTERN, required=False)
