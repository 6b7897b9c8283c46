"""Endpoints that render contents and return the result; nothing is stored or sent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.templates import declarations
from apps.templates.api.serializers.rendered import PreviewedSerializer, SubstitutedSerializer
from apps.templates.api.serializers.templates import PreviewSerializer, SubstituteSerializer
from apps.templates.api.views.templates import TemplateRows, content_errors_shown, numbered
from apps.templates.authoring import versions
from apps.templates.models import Template, TemplateContent, TemplateDraft, TemplateVersion
from apps.templates.rendering import rendering
from apps.users.access.permissions import caller_of
from apps.users.models import Organization
from apps.users.models.scopes import Scope
from notifier.channels.registry import CODES


def render_contents(
    contents: Iterable[TemplateContent],
    variables: Mapping[str, Any],
    *,
    language: str,
    organization: Organization,
) -> dict[str, Any]:
    """The rendered parts by channel; a channel without content in a matching language is omitted.

    Raises ValidationError that names the channel and part, as `email.html`.
    """
    rows = list(contents)
    found: dict[str, Any] = {}
    for channel in CODES:
        content = versions.content_for(rows, channel, language, organization.default_language)
        if content is None:
            continue
        try:
            parts = rendering.render_for(organization.pk, content.source, variables)
            parts = rendering.shown(content.declared, parts)
        except rendering.RenderError as error:
            code = error.code if error.code == rendering.TOO_COSTLY else "invalid"
            named = {f"{channel}.{error.field}": [ErrorDetail(str(error), code)]}
            raise ValidationError(named) from error
        found[channel] = {"language": content.language, **parts}
    return found


def refuse(errors: Iterable[declarations.VariableError]) -> None:
    """Raises the ValidationError (400) that names each invalid variable; returns where there is none."""
    named = {f"variables.{error.field}": [ErrorDetail(error.detail, code=error.code)] for error in errors}
    if named:
        raise ValidationError(named)


class PreviewView(TemplateRows, APIView):
    """Render a version or the draft with the given variables, by channel; nothing is sent."""

    scopes: ClassVar = {"POST": Scope.TEMPLATES_READ}

    @extend_schema(request=PreviewSerializer, responses=PreviewedSerializer)
    def post(self, request: Request, code: str) -> Response:
        template = self.template()
        serializer = PreviewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        version = self._written(template, fields)
        contents: Sequence[TemplateContent]
        if isinstance(version, TemplateDraft):
            contents = version.rows()
            with content_errors_shown():
                versions.prepared(contents, version.variables, template.organization)
        else:
            contents = list(version.contents.all())
        if "variables" in fields:
            variables, errors = declarations.applied(version.variables, (), fields["variables"])
            # Missing variables are reported by rendering, with their position in the source.
            refuse(error for error in errors if error.code != "required")
        else:
            variables = declarations.examples(version.variables)
        language = fields.get("language", template.organization.default_language)
        number = None if isinstance(version, TemplateDraft) else version.number
        return Response(
            {
                "version": number,
                "contents": render_contents(
                    contents, variables, language=language, organization=template.organization
                ),
            }
        )

    def _written(self, template: Template, fields: Mapping[str, Any]) -> TemplateVersion | TemplateDraft:
        if fields["draft"]:
            draft = TemplateDraft.objects.filter(template=template).first()
            if draft is None:
                raise ValidationError({"draft": f"Template {template.code} has no draft."})
            return draft
        version = numbered(template, fields["version"]) if "version" in fields else template.active_version
        if version is None:
            raise ValidationError({"version": "No version is active; send a version number."})
        return version


class SubstituteView(TemplateRows, APIView):
    """Render a template's active version, or contents of the caller's own, for use outside Notifier."""

    scopes: ClassVar = {"POST": Scope.TEMPLATES_READ}

    @extend_schema(request=SubstituteSerializer, responses=SubstitutedSerializer)
    def post(self, request: Request) -> Response:
        serializer = SubstituteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields, organization = serializer.validated_data, caller_of(request).organization
        variables = fields["variables"]
        contents: Sequence[TemplateContent]
        if "contents" in fields:
            contents = [TemplateContent.of(content) for content in fields["contents"]]
            with content_errors_shown():
                versions.prepared(contents, (), organization, whole=True)
        else:
            version = _active(self.get_queryset(), fields["template_code"])
            contents = list(version.contents.all())
            variables, errors = version.ready(variables)
            refuse(errors)
        fallback = organization.default_language
        language = fields.get("language", fallback)
        rendered = render_contents(contents, variables, language=language, organization=organization)
        if not rendered:
            raise ValidationError(
                {"language": f"The contents have several languages, but neither {language} nor {fallback}."},
                code="no_content",
            )
        return Response({"contents": rendered})


def _active(templates: QuerySet[Any], code: str) -> TemplateVersion:
    template: Template | None = templates.filter(code=code).first()
    if template is None:
        raise ValidationError({"template_code": "There is no template with this code."}, code="not_found")
    if template.active_version is None:
        raise ValidationError(
            {"template_code": "This template has no active version yet."}, code="no_active_version"
        )
    return template.active_version
