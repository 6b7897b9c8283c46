"""Serializers of templates, versions, drafts and previews."""

from typing import Any, ClassVar

from rest_framework import serializers

from apps.templates.api.serializers.fields import (
    VERSION_LIMIT,
    CategoryField,
    CodeField,
    ContentsField,
    DeclarationsField,
    NewCodeField,
    VersionNumberField,
)
from apps.templates.authoring import versions
from apps.templates.models import OnUnknown, Template, TemplateDraft, TemplateVersion
from notifier.lib.fields.validation import (
    VALUES_LIMIT,
    FlagField,
    LanguageField,
    LineField,
    MomentField,
    NumberField,
    OneOfField,
    ShortDictField,
    StrictModelSerializer,
    StrictSerializer,
    TextField,
)

__all__ = ["CodeField"]


class VersionSerializer(StrictModelSerializer):
    contents = ContentsField(allow_empty=False)
    variables = DeclarationsField()
    note = LineField(max_length=200, required=False, allow_blank=True)
    activate = FlagField(write_only=True, required=False, default=False)
    active = serializers.SerializerMethodField()

    class Meta:
        model = TemplateVersion
        fields = [
            "number", "active", "note", "required", "optional", "variables", "warnings", "pinned",
            "created_at", "contents", "activate",
        ]  # fmt: skip
        read_only_fields = ["number", "required", "optional", "warnings", "pinned", "created_at"]
        extra_kwargs: ClassVar = {
            "required": {"help_text": "Names of variables without which a notification is refused."},
            "optional": {
                "help_text": "Names of variables that may be left out; `order?.note` only together with `order`."
            },
        }

    def get_active(self, version: TemplateVersion) -> bool:
        return version.template.active_version_id == version.pk


class TemplateSerializer(StrictModelSerializer):
    code = NewCodeField()
    name = LineField(max_length=200)
    description = TextField(max_length=2000, required=False, allow_blank=True)
    category = CategoryField(help_text="A category's code; null: none.")
    on_unknown = OneOfField(choices=OnUnknown.choices, required=False)
    contents = ContentsField(
        write_only=True, required=False, allow_empty=False, help_text="Version 1, activated at once."
    )
    variables = DeclarationsField(write_only=True, help_text="Version 1's; only with `contents`.")
    fallback_version = VersionNumberField(
        help_text="Sent where the active version can't be rendered; the timeline then has an entry for it.",
    )
    active_version = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField(help_text="The active version's.")

    class Meta:
        model = Template
        fields = [
            "id", "code", "name", "description", "category", "on_unknown", "active_version", "fallback_version",
            "warnings", "created_at", "updated_at", "contents", "variables",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at", "updated_at"]

    def get_active_version(self, template: Template) -> int | None:
        return template.active_version.number if template.active_version else None

    def get_warnings(self, template: Template) -> list[str]:
        return list(template.active_version.warnings) if template.active_version else []

    def validate_code(self, value: str) -> str:
        if self.instance is not None and value != self.instance.code:
            raise serializers.ValidationError(
                "A template's code can't be changed; callers refer to it.", "immutable"
            )
        if self.instance is None and Template.objects.usable().filter(
            organization=self.context["caller"].organization, code=value
        ):
            raise serializers.ValidationError("Another template has this code.", code="unique")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("contents", "variables"):
            if self.instance is not None and name in attrs:
                raise serializers.ValidationError({name: "Post a new version; versions don't change."})
        if "variables" in attrs and "contents" not in attrs:
            raise serializers.ValidationError({"variables": "Variables belong to contents; send both."})
        return attrs


class ActivateSerializer(StrictSerializer):
    version = NumberField(min_value=1, max_value=VERSION_LIMIT)


class DraftSerializer(StrictModelSerializer):
    contents = ContentsField(allow_empty=True)
    variables = DeclarationsField()
    note = LineField(max_length=200, required=False, allow_blank=True)
    base = MomentField(
        required=False,
        write_only=True,
        help_text="The draft's `updated_at` when it was read; omit it when there was no draft.",
    )
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = TemplateDraft
        fields = ["contents", "variables", "note", "warnings", "updated_at", "updated_by", "base"]
        read_only_fields = ["updated_at", "updated_by"]

    def get_warnings(self, draft: TemplateDraft) -> list[str]:
        return versions.warnings(draft.rows(), draft.variables, draft.template.organization)


class PublishSerializer(StrictSerializer):
    activate = FlagField(required=False, default=False)
    base = MomentField(
        required=False, help_text="The draft's `updated_at`; publish only if it is unchanged since."
    )


class PreviewSerializer(StrictSerializer):
    version = NumberField(
        min_value=1, max_value=VERSION_LIMIT, required=False, help_text="Default: the active one."
    )
    draft = FlagField(required=False, default=False, help_text="Render the draft instead of a version.")
    language = LanguageField(required=False)
    variables = ShortDictField(
        max_length=VALUES_LIMIT,
        required=False,
        help_text="Default: the examples in the version's declarations.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["draft"] and "version" in attrs:
            raise serializers.ValidationError({"draft": "Send either version or draft, not both."})
        return attrs


class SubstituteSerializer(StrictSerializer):
    template_code = CodeField(required=False)
    contents = ContentsField(
        required=False, allow_empty=False, help_text="Rendered instead of a template's contents."
    )
    language = LanguageField(required=False)
    variables = ShortDictField(max_length=VALUES_LIMIT, required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("template_code" in attrs) == ("contents" in attrs):
            raise serializers.ValidationError(
                {"template_code": "Send either template_code or contents."}, code="required"
            )
        return attrs


class DiffSerializer(StrictSerializer):
    to = serializers.IntegerField(
        min_value=1, max_value=VERSION_LIMIT, required=False, help_text="Default: the newest version."
    )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a Python keyword.
        before = serializers.IntegerField(
            min_value=1,
            max_value=VERSION_LIMIT,
            required=False,
            help_text="Default: the version before `to`, or nothing.",
        )
        return {"from": before, **super().get_fields()}
