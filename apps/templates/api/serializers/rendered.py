"""Response schemas of previews, substitutions and comparisons, for the OpenAPI description."""

from typing import Any, ClassVar

from rest_framework import serializers

from notifier.channels.declaration import Channel, Kind
from notifier.channels.registry import CHANNELS, choices

_FIGURES: dict[type, type[serializers.Field[Any, Any, Any, Any]]] = {
    int: serializers.IntegerField,
    str: serializers.CharField,
}


class RenderedContentSerializer(serializers.Serializer[Any]):
    """The texts of one channel's parts."""

    channel: ClassVar[Channel]

    def get_fields(self) -> dict[str, Any]:
        texts = {
            part.name: (
                serializers.DictField(child=serializers.CharField())
                if part.kind is Kind.DATA
                else serializers.CharField()
            )
            for part in self.channel.sources
        }
        figures = {
            figure.name: _FIGURES[figure.kind](help_text=figure.help_text) for figure in self.channel.figures
        }
        language = serializers.CharField(help_text="Of the content that was rendered.")
        return {"language": language, **texts, **figures}


class RenderedSerializer(serializers.Serializer[Any]):
    """The rendered message by channel; a channel without content is omitted."""

    def get_fields(self) -> dict[str, Any]:
        return {code: kind(required=False) for code, kind in _RENDERED.items()}


_RENDERED: dict[str, type[RenderedContentSerializer]] = {
    code: type(f"Rendered{code.capitalize()}Serializer", (RenderedContentSerializer,), {"channel": channel})
    for code, channel in CHANNELS.items()
}


class PreviewedSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(allow_null=True, help_text="Null: the draft.")
    contents = RenderedSerializer()


class SubstitutedSerializer(serializers.Serializer[Any]):
    contents = RenderedSerializer()


class ChangeSerializer(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=choices())
    language = serializers.CharField()
    part = serializers.CharField(help_text="Such as subject, html, data.order.")
    change = serializers.ChoiceField(choices=["added", "removed", "changed"])
    diff = serializers.CharField(help_text="A unified diff.")


class ComparedSerializer(serializers.Serializer[Any]):
    to = serializers.IntegerField()
    changes = ChangeSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a Python keyword.
        before = serializers.IntegerField(allow_null=True, help_text="Null: `to` is the first version.")
        return {"from": before, **super().get_fields()}
