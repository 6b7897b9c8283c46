"""The view of the OpenAPI document. Generating it takes a second, so it is cached for the life of the process."""

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import DEFAULTS, APISettings


@cache
def document() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


@cache
def _rendered(renderer: Any) -> bytes:
    return bytes(renderer().render(document(), renderer_context={}))


class CachedYaml(OpenApiYamlRenderer):
    def render(self, data: Any, media_type: Any = None, renderer_context: Any = None) -> Any:
        return _rendered(OpenApiYamlRenderer)


class CachedJson(OpenApiJsonRenderer):
    def render(self, data: Any, media_type: Any = None, renderer_context: Any = None) -> Any:
        return _rendered(OpenApiJsonRenderer)


class ByParameter(DefaultContentNegotiation):
    """Allows `?format=json`, which the API's own operations don't have."""

    settings: Any = APISettings({"URL_FORMAT_OVERRIDE": "format"}, DEFAULTS)  # type: ignore[arg-type]


class SchemaView(SpectacularAPIView):
    content_negotiation_class = ByParameter
    renderer_classes = [CachedYaml, CachedJson]

    def _get_schema_response(self, request: Request) -> Response:
        name = self._get_filename(request, "1")  # type: ignore[no-untyped-call]
        return Response({}, headers={"Content-Disposition": f'inline; filename="{name}"'})
