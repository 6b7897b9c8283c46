"""The OpenAPI document says what really comes back: the envelope around each view's data, and its errors."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample

from notifier.examples import EXAMPLES

PREFIX = "/api/v1/"
_FIRST_SENTENCE = re.compile(r".+?(?=[.;](\s|$)|$)", re.DOTALL)
_TEXT = {"type": "string"}
_META = {
    "type": "object",
    "nullable": True,
    "description": "On lists: total, limit, page, total_pages, has_next, has_previous; where rows grow "
    "without bound also the cursors next and previous.",
}


def enveloped(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The schema of the envelope around `data`."""
    return {
        "type": "object",
        "required": ["success", "data", "error", "message", "meta"],
        "properties": {
            "success": {"type": "boolean"},
            "data": data,
            "error": {"type": "string", "nullable": True, "description": "A stable code in snake_case."},
            "message": {"type": "string", "description": "One sentence for a person."},
            "meta": _META,
            **more,
        },
    }


_ERROR = enveloped(
    {"type": "object", "nullable": True},
    errors={
        "type": "array",
        "description": "Where fields are at fault.",
        "items": {
            "type": "object",
            "required": ["field", "code", "detail"],
            "properties": {"field": _TEXT, "code": _TEXT, "detail": _TEXT},
        },
    },
)


class EnvelopeSchema(AutoSchema):  # type: ignore[no-untyped-call]
    def get_tags(self) -> list[str]:
        return [self.path.removeprefix(PREFIX).split("/")[0]]

    def get_summary(self) -> str | None:
        """The description's first sentence, which the pages show beside the path."""
        found = _FIRST_SENTENCE.match(self.get_description().strip())
        return " ".join(found[0].split()) if found else None

    def get_examples(self) -> list[OpenApiExample]:
        value = EXAMPLES.get(f"{self.method} {self.path.removeprefix(PREFIX)}")
        return [] if value is None else [OpenApiExample("It works", value=value, request_only=True)]

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> Any:
        responses = super()._get_response_bodies(*args, **kwargs)  # type: ignore[no-untyped-call]
        error = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Error", type=ResolvedComponent.SCHEMA, object="Error", schema=_ERROR
        )
        self.registry.register_on_missing(error)
        responses["4XX"] = {
            "description": "Refused; `error` and `message` say why.",
            "content": {"application/json": {"schema": error.ref}},
        }
        return responses

    def _get_response_for_code(self, *args: Any, **kwargs: Any) -> Any:
        response = super()._get_response_for_code(*args, **kwargs)  # type: ignore[no-untyped-call]
        for content in response.get("content", {}).values():
            content["schema"] = enveloped(content.get("schema", {}))
        return response
