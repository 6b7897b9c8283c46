"""Response schemas of previews, substitutions and comparisons, for the OpenAPI description."""

from typing import Any

from rest_framework import serializers

from apps.users.channels import Channel


class RenderedEmailSerializer(serializers.Serializer[Any]):
    language = serializers.CharField(help_text="Of the content that was rendered.")
    subject = serializers.CharField()
    html = serializers.CharField()
    text = serializers.CharField()


class RenderedPushSerializer(serializers.Serializer[Any]):
    language = serializers.CharField(help_text="Of the content that was rendered.")
    title = serializers.CharField()
    body = serializers.CharField()
    image = serializers.CharField()
    link = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        # As a class attribute it would shadow the serializer's own `data`.
        return {**super().get_fields(), "data": serializers.DictField(child=serializers.CharField())}


class RenderedSerializer(serializers.Serializer[Any]):
    """The rendered message by channel; a channel without content is omitted."""

    email = RenderedEmailSerializer(required=False)
    push = RenderedPushSerializer(required=False)


class PreviewedSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(allow_null=True, help_text="Null: the draft.")
    contents = RenderedSerializer()


class SubstitutedSerializer(serializers.Serializer[Any]):
    contents = RenderedSerializer()


class ChangeSerializer(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=Channel.choices)
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
