"""Serializer fields of templates: codes, sources, contents, declared variables."""

import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.templates import declarations
from apps.templates.liquid.limits import DATA_KEYS_LIMIT
from apps.templates.models import (
    CODE_HINT,
    CODE_PATTERN,
    SourceFormat,
    Template,
    TemplateContent,
    TemplateVersion,
    refuse_reserved,
)
from apps.users.models import Category
from notifier.channels.declaration import Kind
from notifier.channels.registry import CHANNELS, choices
from notifier.lib.fields.validation import (
    LINE_BREAKERS,
    FlagField,
    LanguageField,
    LineField,
    NumberField,
    OneOfField,
    ShortDictField,
    ShortListField,
    StrictSerializer,
    TextField,
)

VERSION_LIMIT = 2**31 - 1


class SourceField(TextField):
    """A Liquid source."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_blank=True, max_length=65536, **kwargs)


class CodeField(TextField):
    default_error_messages = {"invalid": CODE_HINT}

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if value and not re.match(CODE_PATTERN, value):
            self.fail("invalid")
        return value


class NewCodeField(CodeField):
    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        try:
            refuse_reserved(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages[0], "reserved") from error
        return value


@extend_schema_field(serializers.CharField(max_length=50, allow_null=True))
class CategoryField(serializers.Field[Any, Any, Any, Any]):
    """A category of the caller's organization, given by its code."""

    default_error_messages = {"none": "There is no category with this code."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> Category:
        code = LineField(max_length=50).run_validation(data)
        organization = self.context["caller"].organization
        found = Category.objects.filter(organization=organization, code=code).first()
        if found is None:
            self.fail("none")
        return found

    def to_representation(self, value: Category) -> str:
        return value.code


class DataField(ShortDictField):
    """A push's data: an object of string keys and Liquid sources."""

    child = TextField(allow_blank=True, max_length=4096)
    default_error_messages = {"key": "A key must be one line of 1 to 255 characters."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        value: dict[str, str] = super().to_internal_value(data)
        if not all(0 < len(key) <= 255 and not LINE_BREAKERS.search(key) for key in value):
            self.fail("key")
        return value


def _format() -> OneOfField:
    return OneOfField(choices=SourceFormat.choices, required=False, help_text="Of `html`; default: html.")


def _layout() -> CodeField:
    return CodeField(
        required=False,
        allow_blank=True,
        max_length=100,
        help_text="The name of the layout around the content; empty: none.",
    )


def _data() -> DataField:
    return DataField(max_length=DATA_KEYS_LIMIT, required=False)


_FIELDS: dict[Kind, Callable[[], Any]] = {Kind.FORMAT: _format, Kind.LAYOUT: _layout, Kind.DATA: _data}


class ContentSerializer(StrictSerializer):
    """One channel's content in one language. A channel has only the parts that it declares."""

    channel = OneOfField(choices=choices())
    language = LanguageField()

    def get_fields(self) -> dict[str, Any]:
        parts = {part.name: part.kind for channel in CHANNELS.values() for part in channel.parts}
        return {
            **super().get_fields(),
            **{name: _FIELDS.get(kind, SourceField)() for name, kind in parts.items()},
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        own = [part.name for part in CHANNELS[attrs["channel"]].parts]
        foreign = sorted(set(attrs) - {"channel", "language", *own})
        if foreign:
            raise serializers.ValidationError(
                {
                    name: f"Content for {attrs['channel']} has only the fields {', '.join(own)}."
                    for name in foreign
                }
            )
        return attrs

    def to_representation(self, instance: TemplateContent) -> dict[str, Any]:
        return instance.fields()


class ContentsField(ShortListField):
    """A version's contents. Errors are named by position: `contents[1].html`."""

    child = ContentSerializer()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, **kwargs)

    def to_representation(self, data: Any) -> list[Any]:
        # A version has rows; a draft stores the submitted dicts.
        rows = data.all() if hasattr(data, "all") else [TemplateContent.of(fields) for fields in data]
        return list(super().to_representation(rows))


class DeclarationSerializer(StrictSerializer):
    """The declaration of one variable: its type, whether callers must send it, its default and example."""

    name = LineField(max_length=declarations.NAME_LIMIT, help_text="Dotted: `order.number`.")
    type = OneOfField(choices=list(declarations.TYPES))
    example = serializers.JSONField(required=False, allow_null=True)
    description = TextField(required=False, allow_blank=True, max_length=500)

    def get_fields(self) -> dict[str, Any]:
        # As class attributes they would shadow the serializer's own.
        return {
            **super().get_fields(),
            "required": FlagField(required=False),
            "default": serializers.JSONField(required=False, allow_null=True),
            "sensitive": FlagField(
                required=False, help_text="Hidden after sending, such as a code or a sign-in link."
            ),
        }


class DeclarationsField(ShortListField):
    child = DeclarationSerializer()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=100, **kwargs)

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        return [dict(one) for one in super().to_internal_value(data)]

    def to_representation(self, data: Any) -> list[Any]:
        return list(data)


@extend_schema_field(serializers.IntegerField(min_value=1, max_value=VERSION_LIMIT, allow_null=True))
class VersionNumberField(serializers.Field[Any, Any, Any, Any]):
    """A version of the serializer's template, given by its number."""

    default_error_messages = {"none": "The template has no version with this number."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> TemplateVersion:
        number = NumberField(min_value=1, max_value=VERSION_LIMIT).run_validation(data)
        template = getattr(self.parent, "instance", None)
        found = template.versions.filter(number=number).first() if isinstance(template, Template) else None
        if found is None:
            self.fail("none")
        return found

    def to_representation(self, value: TemplateVersion) -> int:
        return value.number
