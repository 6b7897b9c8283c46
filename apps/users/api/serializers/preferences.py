"""A person's preferences and the organization's categories: request and response fields."""

import re
import uuid
from typing import Any

from rest_framework import serializers

from apps.users.models import ACCOUNT, Category
from notifier.channels.registry import CODES
from notifier.lib.fields.validation import (
    CATEGORY_PATTERN,
    UNKNOWN_SHOWN,
    FlagField,
    LineField,
    NumberField,
    ShortDictField,
    StrictModelSerializer,
    StrictSerializer,
)


class CategoryPreferenceSerializer(StrictSerializer):
    mandatory = FlagField(read_only=True)

    def get_fields(self) -> dict[str, Any]:
        general = "Null: as for the channel in general."
        chosen = {code: FlagField(required=False, allow_null=True, help_text=general) for code in CODES}
        return {**chosen, **super().get_fields()}


class PreferencesSerializer(StrictSerializer):
    """Each channel: true where the person allows it. Fields that are left out stay as they are.

    `categories` holds, by code, the exceptions to that; a mandatory category can't be refused.
    """

    categories = ShortDictField(child=CategoryPreferenceSerializer(), max_length=1000, required=False)

    def get_fields(self) -> dict[str, Any]:
        return {**{code: FlagField(required=False) for code in CODES}, **super().get_fields()}

    def validate_categories(self, value: dict[str, Any]) -> dict[Category, dict[str, bool | None]]:
        rows = Category.objects.filter(organization=self.context["organization"], code__in=list(value))
        known = {category.code: category for category in rows}
        absent = [code for code in value if code not in known][:UNKNOWN_SHOWN]
        if absent:
            raise serializers.ValidationError(
                {
                    code[:100]: serializers.ErrorDetail("There is no category with this code.", "not_found")
                    for code in absent
                }
            )
        refused = {
            code: {
                channel: serializers.ErrorDetail("Nobody can opt out of this category.", "mandatory")
                for channel, enabled in channels.items()
                if enabled is False
            }
            for code, channels in value.items()
            if known[code].mandatory and False in channels.values()
        }
        if refused:
            raise serializers.ValidationError(refused)
        return {known[code]: dict(channels) for code, channels in value.items()}

    def choices(self) -> dict[tuple[uuid.UUID | None, str], bool | None]:
        data = self.validated_data
        general = {(None, channel): data[channel] for channel in CODES if channel in data}
        return general | {
            (category.pk, channel): enabled
            for category, channels in data.get("categories", {}).items()
            for channel, enabled in channels.items()
        }


class CategorySerializer(StrictModelSerializer):
    code = LineField(max_length=50)
    name = LineField(max_length=200)
    mandatory = FlagField(required=False, help_text="Nobody can opt out of it.")
    cap = NumberField(
        required=False, allow_null=True, min_value=1, max_value=Category.CAP_BOUND,
        help_text="At most so many messages to one address or device within the window; null: no limit.",
    )  # fmt: skip
    cap_window = NumberField(
        required=False, allow_null=True, min_value=Category.SHORTEST_WINDOW, max_value=Category.LONGEST_WINDOW,
        help_text="Seconds.",
    )  # fmt: skip

    class Meta:
        model = Category
        fields = ["id", "code", "name", "mandatory", "cap", "cap_window", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]

    def validate_code(self, value: str) -> str:
        if not re.match(CATEGORY_PATTERN, value):
            raise serializers.ValidationError(Category.HINT, "invalid")
        if self.instance is not None:
            if value != self.instance.code:
                raise serializers.ValidationError(
                    "A category's code can't be changed; callers send it.", "immutable"
                )
            return value
        if Category.objects.filter(organization=self.context["caller"].organization, code=value).exists():
            raise serializers.ValidationError("Another category has this code.", "unique")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {
            field: attrs[field] if field in attrs else getattr(self.instance, field, None)
            for field in ("cap", "cap_window")
        }
        mandatory = attrs.get("mandatory", getattr(self.instance, "mandatory", False))
        code = self.instance.code if self.instance is not None else attrs["code"]
        if code == ACCOUNT and (not mandatory or given["cap"] is not None):
            field = "cap" if mandatory else "mandatory"
            raise serializers.ValidationError(
                {field: "Nobody can opt out of what concerns their account, and it has no cap."},
                code="reserved",
            )
        lacking = [field for field, value in given.items() if value is None]
        if len(lacking) == 1:
            raise serializers.ValidationError(
                {lacking[0]: "Give cap and cap_window together, or null for both."}, code="required"
            )
        return attrs
