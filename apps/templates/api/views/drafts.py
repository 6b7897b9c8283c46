"""Endpoints of a template's draft: read, write, discard, publish."""

from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.templates.api.serializers.templates import DraftSerializer, PublishSerializer, VersionSerializer
from apps.templates.api.views.templates import READ_WRITE, TemplateRows, content_errors_shown
from apps.templates.authoring import drafts
from apps.templates.models import TemplateDraft
from apps.users.access.permissions import caller_of


class StaleDraft(APIException):
    status_code = 409
    default_code = "stale_draft"
    default_detail = "The draft was changed since you read it; read it again."


class DraftView(TemplateRows, APIView):
    """The version being written, at most one per template. It is never sent and may be incomplete."""

    scopes: ClassVar = READ_WRITE

    def draft(self) -> TemplateDraft:
        return get_object_or_404(TemplateDraft.objects.select_related("template"), template=self.template())

    @extend_schema(responses=DraftSerializer)
    def get(self, request: Request, code: str) -> Response:
        return Response(DraftSerializer(self.draft()).data)

    @extend_schema(request=DraftSerializer, responses={200: DraftSerializer, 201: DraftSerializer})
    def put(self, request: Request, code: str) -> Response:
        template = self.template()
        serializer = DraftSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = {"base": None, **serializer.validated_data}
        try:
            with content_errors_shown():
                draft = drafts.save(template=template, author=caller_of(request).user, **fields)
        except drafts.StaleDraft as error:
            raise StaleDraft from error
        made = status.HTTP_201_CREATED if fields["base"] is None else status.HTTP_200_OK
        return Response(DraftSerializer(draft).data, made)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, code: str) -> Response:
        self.draft().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PublishView(DraftView):
    """Turn the draft into the template's next version, which is immutable, and delete the draft."""

    http_method_names = ["post", "options"]

    @extend_schema(request=PublishSerializer, responses={201: VersionSerializer})
    def post(self, request: Request, code: str) -> Response:
        draft = self.draft()
        serializer = PublishSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            with content_errors_shown():
                version = drafts.publish(
                    draft=draft,
                    base=serializer.validated_data.get("base"),
                    active=serializer.validated_data["activate"],
                    author=caller_of(request).user,
                )
        except drafts.StaleDraft as error:
            raise StaleDraft from error
        return Response(VersionSerializer(version).data, status.HTTP_201_CREATED)
