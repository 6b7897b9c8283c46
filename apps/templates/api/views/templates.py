"""Endpoints of templates and their versions: create, change, archive, activate, compare."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Now
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.templates import credentials
from apps.templates.api.serializers.rendered import ComparedSerializer
from apps.templates.api.serializers.templates import (
    ActivateSerializer,
    DiffSerializer,
    TemplateSerializer,
    VersionSerializer,
)
from apps.templates.authoring import comparing
from apps.templates.authoring import versions as authoring
from apps.templates.models import Template, TemplateContent, TemplateVersion
from apps.users.access import quotas
from apps.users.access.permissions import OrganizationRows, caller_of
from apps.users.models import Organization
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows

READ_WRITE = {
    "GET": Scope.TEMPLATES_READ,
    "POST": Scope.TEMPLATES_WRITE,
    "PUT": Scope.TEMPLATES_WRITE,
    "PATCH": Scope.TEMPLATES_WRITE,
    "DELETE": Scope.TEMPLATES_WRITE,
}


class TemplateRows(OrganizationRows):
    lookup_field = "code"
    kwargs: dict[str, Any]

    def get_queryset(self) -> QuerySet[Any]:
        rows = Template.objects.usable().select_related("active_version", "fallback_version", "category")
        return self.visible(rows.order_by("code"))

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "caller": caller_of(self.request)}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if self.scopes.get(str(request.method)) != Scope.TEMPLATES_WRITE:
            return
        caller = caller_of(request)
        if not credentials.may_write(str(kwargs.get("code")), caller.scopes, live=caller.live):
            raise PermissionDenied("Only an administrator may change the password reset email.")

    def template(self) -> Template:
        template: Template = get_object_or_404(TemplateRows.get_queryset(self), code=self.kwargs["code"])
        return template


class TemplateListView(TemplateRows, FilteredRows, generics.ListCreateAPIView[Template]):
    """List templates, or add one (with `contents`: its first version, activated immediately)."""

    scopes: ClassVar = READ_WRITE
    serializer_class = TemplateSerializer

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset().listed()  # type: ignore[attr-defined]
        return rows

    def perform_create(self, serializer: Any) -> None:
        caller = caller_of(self.request)
        contents = serializer.validated_data.pop("contents", None)
        variables = serializer.validated_data.pop("variables", [])
        check_quota(caller.organization)
        with transaction.atomic():
            template = serializer.save(organization=caller.organization)
            if contents:
                with content_errors_shown():
                    authoring.add_version(
                        template=template,
                        contents=contents,
                        variables=variables,
                        author=caller.user,
                        active=True,
                    )


class TemplateDetailView(TemplateRows, generics.RetrieveUpdateDestroyAPIView[Template]):
    """One template. Deleting archives it, since notifications refer to it."""

    http_method_names = ["get", "patch", "delete", "head", "options"]
    scopes: ClassVar = READ_WRITE
    serializer_class = TemplateSerializer

    def perform_destroy(self, instance: Template) -> None:
        Template.objects.filter(pk=instance.pk).update(archived_at=Now())


class VersionListView(TemplateRows, FilteredRows, generics.ListCreateAPIView[TemplateVersion]):
    """A template's versions, newest first; posting adds one. Versions are immutable."""

    scopes: ClassVar = READ_WRITE
    serializer_class = VersionSerializer

    def get_queryset(self) -> QuerySet[TemplateVersion]:
        # The sources only: the compiled form is many times as long.
        written = Prefetch("contents", TemplateContent.objects.defer("compiled"))
        return self.template().versions.select_related("template").prefetch_related(written)

    def perform_create(self, serializer: Any) -> None:
        fields = serializer.validated_data
        with content_errors_shown():
            serializer.instance = authoring.add_version(
                template=self.template(),
                contents=fields["contents"],
                variables=fields.get("variables", []),
                note=fields.get("note", ""),
                author=caller_of(self.request).user,
                active=fields["activate"],
            )


class ActivateView(TemplateRows, APIView):
    """Make a version the one that new notifications use; activating an older one is a rollback."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(request=ActivateSerializer, responses=TemplateSerializer)
    def post(self, request: Request, code: str) -> Response:
        template = self.template()
        serializer = ActivateSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        version = numbered(template, serializer.validated_data["version"])
        authoring.activate(template=template, version=version)
        return Response(TemplateSerializer(template).data)


class VersionDetailView(TemplateRows, APIView):
    """One version with its sources."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(responses=VersionSerializer)
    def get(self, request: Request, code: str, number: int) -> Response:
        version = get_object_or_404(self.template().versions.select_related("template"), number=number)
        return Response(VersionSerializer(version).data)


class DiffView(TemplateRows, APIView):
    """The differences between two versions: a unified diff for each part that differs."""

    scopes: ClassVar = READ_WRITE
    parameters: ClassVar = {"GET": DiffSerializer}

    @extend_schema(parameters=[DiffSerializer], responses=ComparedSerializer)
    def get(self, request: Request, code: str) -> Response:
        template = self.template()
        serializer = DiffSerializer(data=request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        numbers = serializer.validated_data
        versions = template.versions.order_by("-number")
        new = numbered(template, numbers["to"], field="to") if "to" in numbers else versions.first()
        if new is None:
            raise ValidationError({"to": "The template has no version yet."})
        old = versions.filter(number__lt=new.number).first()
        if "from" in numbers:
            old = numbered(template, numbers["from"], field="from")
        found = comparing.changes(old.contents.all() if old else (), new.contents.all())
        return Response({"from": old and old.number, "to": new.number, "changes": list(found)})


def check_quota(organization: Organization) -> None:
    mine = Template.objects.usable().filter(organization=organization)
    quotas.check("QUOTA_TEMPLATES", organization.pk, mine, "templates")


def numbered(template: Template, number: int, *, field: str = "version") -> TemplateVersion:
    version = template.versions.filter(number=number).first()
    if version is None:
        raise ValidationError({field: f"Template {template.code} has no version {number}."})
    return version


class CompilerIsBusy(APIException):
    status_code = 503
    default_code = "compiler_busy"
    wait = 2
    """Seconds sent in Retry-After."""


@contextmanager
def content_errors_shown() -> Iterator[None]:
    """Turns a ContentError into the 400 that names the part, and CompilerBusy into a 503."""
    try:
        yield
    except authoring.CompilerBusy as error:
        raise CompilerIsBusy(error.detail) from error
    except authoring.ContentError as error:
        raise ValidationError({error.field: error.detail}) from error
