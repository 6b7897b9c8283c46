"""Serializers of layouts and partials."""

from typing import Any

from rest_framework import serializers

from apps.templates.api.serializers.fields import CodeField, SourceField
from apps.templates.authoring import parts
from apps.templates.models import Layout, Partial, SourceFormat
from notifier.lib.fields.validation import (
    LineField,
    OneOfField,
    ShortDictField,
    StrictModelSerializer,
    StrictSerializer,
    TextField,
)


class PartSerializer(StrictModelSerializer):
    name = CodeField(max_length=100)
    description = TextField(max_length=2000, required=False, allow_blank=True)
    source_format = OneOfField(
        choices=SourceFormat.choices, required=False, help_text="Of `html`; default: html."
    )
    html = SourceField()
    text = SourceField()

    def validate_name(self, value: str) -> str:
        model: Any = self.Meta.model  # type: ignore[attr-defined]
        if self.instance is not None and value != self.instance.name:
            raise serializers.ValidationError("A name can't be changed; sources refer to it.", "immutable")
        organization = self.context["caller"].organization
        if self.instance is None and model.objects.filter(organization=organization, name=value).exists():
            raise serializers.ValidationError("This name is taken.", "unique")
        return value

    def create(self, validated_data: dict[str, Any]) -> Any:
        model: Any = self.Meta.model  # type: ignore[attr-defined]
        part = model(**validated_data)
        parts.save(part)
        return part

    def update(self, instance: Any, validated_data: dict[str, Any]) -> Any:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        parts.save(instance)
        return instance


class PartialSerializer(PartSerializer):
    class Meta:
        model = Partial
        fields = [
            "id", "name", "description", "source_format", "html", "text", "revision", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields = ["id", "revision", "created_at", "updated_at"]


class LayoutSerializer(PartSerializer):
    values = ShortDictField(
        max_length=parts.VALUES_LIMIT,
        child=LineField(max_length=parts.VALUE_LENGTH, allow_blank=True),
        required=False,
        help_text="Values of `{{ layout.name }}`; a name that begins with colour needs a colour.",
    )

    class Meta:
        model = Layout
        fields = [*PartialSerializer.Meta.fields, "values"]
        read_only_fields = PartialSerializer.Meta.read_only_fields


class UseSerializer(StrictSerializer):
    template = serializers.CharField(help_text="The template's code.")
    version = serializers.IntegerField(help_text="Its active version.")
    revision = serializers.IntegerField(help_text="The revision that this version contains.")
    outdated = serializers.BooleanField(
        help_text="A newer revision exists, which a new version would contain."
    )
