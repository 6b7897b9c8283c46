"""People and devices: request and response fields."""

from typing import Any

from rest_framework import serializers

from apps.users.models import Device, Platform, User
from apps.users.models.scopes import Role, Scope
from notifier.lib.fields.validation import (
    AddressField,
    ClockField,
    FlagField,
    LanguageField,
    LineField,
    OneOfField,
    PageQuery,
    SpelledField,
    StrictModelSerializer,
    validate_timezone,
)
from notifier.lib.phone_numbers import NUMBER_LIMIT, spelled


class UserSerializer(StrictModelSerializer):
    email = AddressField()
    phone = SpelledField(
        spelled=spelled,
        max_length=NUMBER_LIMIT,
        required=False,
        allow_blank=True,
        help_text="For texts, with + and the country's code; several people may share one.",
    )
    name = LineField(max_length=200, required=False, allow_blank=True)
    language = LanguageField(required=False, allow_blank=True)
    timezone = LineField(max_length=64, required=False, validators=[validate_timezone])
    quiet_from = ClockField(
        required=False,
        allow_null=True,
        help_text="In the person's time zone: messages wait from this time on.",
    )
    quiet_until = ClockField(
        required=False,
        allow_null=True,
        help_text="Messages wait until this time; earlier than quiet_from: on the next day.",
    )
    role = OneOfField(choices=Role.choices, required=False)
    is_active = FlagField(required=False)

    class Meta:
        model = User
        fields = [
            "id", "email", "phone", "name", "language", "timezone", "quiet_from", "quiet_until", "role", "is_active",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at"]

    def _settled(self, field: str, value: Any) -> None:
        """Refuses a change by the person themself; the unchanged value may be sent back."""
        if self.instance is None or Scope.USERS_WRITE in self.context["caller"].scopes:
            return
        if value != getattr(self.instance, field):
            raise serializers.ValidationError("You can't change this yourself.", code="forbidden")

    def validate_is_active(self, value: bool) -> bool:
        self._settled("is_active", value)
        return value

    def validate_email(self, value: str) -> str:
        # First: a member must not find out here whether an address belongs to somebody else.
        self._settled("email", value)
        organization = self.context["caller"].organization
        others = User.objects.filter(User.at(value), organization=organization)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        # For a clear message only: the database's constraint decides, also between two requests at once.
        if others.exists():
            raise serializers.ValidationError("This address belongs to another user.", code="unique")
        return value

    def validate_role(self, value: str) -> str:
        caller = self.context["caller"]
        granted = self.instance.role if self.instance is not None else Role.MEMBER
        if value != granted and (caller.user is None or caller.user.role != Role.ADMIN):
            raise serializers.ValidationError("Only an administrator may give a role.", code="forbidden")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        begin, end = (
            attrs[field] if field in attrs else getattr(self.instance, field, None)
            for field in ("quiet_from", "quiet_until")
        )
        if (begin is None) != (end is None):
            lacking = "quiet_until" if end is None else "quiet_from"
            raise serializers.ValidationError(
                {lacking: "Give quiet_from and quiet_until together, or null for both."}, code="required"
            )
        if begin is not None and begin == end:
            raise serializers.ValidationError(
                {"quiet_until": "End at another time than quiet_from."}, code="invalid"
            )
        return attrs


class UserFilterSerializer(PageQuery):
    """The list's query parameters."""

    # Not an AddressField: text that is no address matches no row, which is not an error.
    email = LineField(required=False, max_length=254, help_text="Exactly this address, in any spelling.")
    phone = SpelledField(
        spelled=spelled,
        max_length=NUMBER_LIMIT,
        required=False,
        help_text="This number, in any spelling that begins with + (written as %2B).",
    )


class DeviceSerializer(StrictModelSerializer):
    token = LineField(max_length=4096, write_only=True)
    platform = OneOfField(choices=Platform.choices)
    name = LineField(max_length=100, required=False, allow_blank=True)

    class Meta:
        model = Device
        fields = ["id", "token", "platform", "name", "retired_at", "created_at", "updated_at"]
        read_only_fields = ["id", "retired_at", "created_at", "updated_at"]
