"""Validation at every endpoint: strict types, and text that is safe in headers, logs and lists."""

import re
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notifier.lib.email_addresses import ADDRESS_LIMIT, spelled
from notifier.lib.masking import masked_text

LANGUAGE_PATTERN = r"\A[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z"
CATEGORY_PATTERN = r"\A[a-z0-9][a-z0-9._-]{0,49}\Z"
IDENTIFIER_PATTERN = r"\A[A-Za-z0-9._:-]+\Z"
LINE_BREAKERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
VALUES_LIMIT = 10_000
"""Values in one message's variables, with the names of its objects. A page of a list, and a worker's batch, hold a
hundred messages: in memory an empty list takes twenty times as much as in JSON."""
UNKNOWN_SHOWN = 10
"""The most unknown fields that an error names: a body may hold thousands."""


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def validate_timezone(value: str) -> None:
    if value not in _timezones():
        raise ValidationError("Use a time zone name such as `Europe/Paris`.", code="invalid_timezone")


def validate_single_line(value: str) -> None:
    """Refuses control characters, above all CR and LF, which could end a header and begin another."""
    if LINE_BREAKERS.search(value):
        raise ValidationError("Remove line breaks and control characters.", code="control_characters")


class TextField(serializers.CharField):
    """Text, unchanged. A number is refused: a caller's `007` would have lost its zeros already."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class LineField(TextField):
    """One line of text, which may end up in a header, a log line or a list."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["validators"] = [*kwargs.get("validators", []), validate_single_line]
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        # Not trimmed: silently removing a line break at the end would hide the caller's error.
        if value and not self.allow_blank and value.isspace():
            self.fail("blank")
        return value


class OneOfField(serializers.ChoiceField):
    """One of a few values; the error message names them."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices, **kwargs)
        allowed = ", ".join(map(str, self.choices))
        self.error_messages["invalid_choice"] = f"Use one of: {allowed}."


class MomentField(serializers.DateTimeField):
    """A time with its zone: `2026-11-30T09:00:00Z`. Without one it would be ambiguous by hours."""

    default_error_messages = {"naive": "Say the time zone: end it with Z or an offset such as +01:00."}

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            self.fail("naive")
        return super().enforce_timezone(value)


class MaskedField(serializers.CharField):
    """Text that may contain a person's address, which is masked."""

    def to_representation(self, value: Any) -> str:
        return masked_text(str(value))


class FlagField(serializers.BooleanField):
    """true or false; no text or number in their place."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NumberField(serializers.IntegerField):
    """A whole number; no text with a number in it."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return int(super().to_internal_value(data))


# `format: time` would promise seconds and an offset.
@extend_schema_field({"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$", "example": "22:00"})
class ClockField(serializers.TimeField):
    """A time of day: `22:00`."""

    default_error_messages = {"invalid": "Use a time of day such as `22:00`."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%H:%M", input_formats=["%H:%M"], **kwargs)

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{2}:[0-9]{2}", value):
            self.fail("invalid")
        return super().to_internal_value(value)


class SpelledField(LineField):
    """A line in its canonical spelling. `spelled` gives that, or raises ValueError with a sentence for the caller."""

    def __init__(self, *, spelled: Callable[[str], str], max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self._spelled = spelled

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not value or len(value) > (self.max_length or 0) or LINE_BREAKERS.search(value):
            # The validators report it.
            return value
        try:
            return self._spelled(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


class AddressField(SpelledField, serializers.EmailField):
    """An email address, in the canonical spelling of `notifier.lib.email_addresses`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(spelled=spelled, max_length=ADDRESS_LIMIT, **kwargs)
        # Django's own validator accepts impossible addresses, and refuses some that people have.
        self.validators = [one for one in self.validators if not isinstance(one, EmailValidator)]


class LanguageField(LineField):
    """A language tag: `fr`, `fr-CA`."""

    default_error_messages = {"invalid_language": "Use a language tag such as `fr` or `fr-CA`."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=35, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if value and not re.match(LANGUAGE_PATTERN, value):
            self.fail("invalid_language")
        return value


class ShortListField(serializers.ListField):
    """A list with a maximum length. DRF's own field validates each of a million items before it counts them."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class ShortDictField(serializers.DictField):
    """The same for the names of an object, which DRF does not count."""

    default_error_messages = {"max_length": "Give at most {max_length} names."}

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        self.max_length = max_length
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return dict(super().to_internal_value(data))


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses unknown fields: a misspelt option must not be silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
                raise serializers.ValidationError(
                    {
                        name[:100]: serializers.ErrorDetail(
                            f"Unknown field. Known: {known}.", code="unknown_field"
                        )
                        for name in unknown[:UNKNOWN_SHOWN]
                    }
                )
        return super().to_internal_value(data)


class PageQuery(StrictSerializer):
    """The query parameters of a list with numbered pages."""

    page = serializers.IntegerField(required=False, min_value=1)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=100)


class CursorQuery(StrictSerializer):
    """The query parameters of a list that grows without bound."""

    limit = serializers.IntegerField(required=False, min_value=1, max_value=100)
    cursor = LineField(required=False, max_length=500)


class StrictModelSerializer(StrictSerializer, serializers.ModelSerializer[Any]):
    """A `ModelSerializer` that refuses unknown fields."""


BASES = (StrictSerializer, StrictModelSerializer)
"""Base classes whose docstrings are for developers, not for the API's callers."""


class FieldErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with one field or parameter."""

    field = serializers.CharField(help_text="As `recipient.email`, `contents[1].html`; a parameter's name.")
    code = serializers.CharField()
    detail = serializers.CharField()


def field_errors(detail: Any, path: str = "") -> list[dict[str, str]]:
    """DRF's nested details as a flat list of {field, code, detail}; `field` is a dotted path."""
    if isinstance(detail, dict):
        found = []
        for name, inner in detail.items():
            if isinstance(name, int):
                here = f"{path}[{name}]"
            else:
                here = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            found += field_errors(inner, here)
        return found
    if isinstance(detail, list):
        found = []
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            found += field_errors(inner, f"{path}[{position}]" if nested else path)
        return found
    return [{"field": path or "body", "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}]
