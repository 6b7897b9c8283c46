"""The OpenAPI document of the real responses: the envelope around each view's data, and its errors."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.plumbing import get_lib_doc_excludes as library_bases
from drf_spectacular.utils import OpenApiExample

from notifier.lib.fields.validation import BASES, FieldErrorSerializer
from notifier.openapi import error_answers
from notifier.openapi.examples import EXAMPLES
from notifier.openapi.operations import OPERATIONS, Operation

PREFIX = "/api/v1/"
_FIRST_SENTENCE = re.compile(r".+?(?=[.;](\s|$)|$)", re.DOTALL)
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_NUMBER = {"type": "integer"}
_NULL = {"type": "null"}


def _all_required(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


NUMBERED = _all_required(
    {
        "total": _NUMBER,
        "limit": _NUMBER,
        "page": _NUMBER,
        "total_pages": _NUMBER,
        "has_next": _FLAG,
        "has_previous": _FLAG,
    }
)
_CURSOR = {"type": ["string", "null"], "description": "For `cursor`; null: there is no such page."}
BY_CURSOR = _all_required(
    {
        "total": _NULL,
        "limit": _NUMBER,
        "page": _NULL,
        "total_pages": _NULL,
        "has_next": _FLAG,
        "has_previous": _FLAG,
        "next": _CURSOR,
        "previous": _CURSOR,
    }
)


def enveloped(data: dict[str, Any], *, success: bool, meta: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The schema of the envelope around `data`."""
    error = {"type": "string", "description": "A stable code in snake_case."}
    shape = _all_required(
        {
            "success": _FLAG,
            "data": data,
            "error": _NULL if success else error,
            "message": {**_TEXT, "description": "One sentence for a person."},
            "meta": meta,
        }
    )
    shape["properties"].update(more)
    return shape


_ERROR = enveloped(
    {
        "type": ["object", "null"],
        "description": "With `already_delivered`, the notification that was delivered.",
    },
    success=False,
    meta=_NULL,
    errors={
        "type": "array",
        "description": "For invalid fields.",
        "items": {"$ref": "#/components/schemas/FieldError"},
    },
)


def bases() -> list[type]:
    """Base classes whose docstrings are not for the API's callers."""
    return [*library_bases(), *BASES]  # type: ignore[no-untyped-call]


class EnvelopeSchema(AutoSchema):  # type: ignore[no-untyped-call]
    @property
    def _operation(self) -> Operation:
        return OPERATIONS[f"{self.method} {self.path.removeprefix(PREFIX)}"]

    def get_operation_id(self) -> str:
        return self._operation.id

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix(PREFIX).split("/")[0]]

    def get_description(self) -> str:  # type: ignore[override]
        return self._operation.description or str(super().get_description())  # type: ignore[no-untyped-call]

    def get_summary(self) -> str | None:
        """The description's first sentence, which the documentation pages show beside the path."""
        found = _FIRST_SENTENCE.match(self.get_description().strip())
        return " ".join(found[0].split()) if found else None

    def get_examples(self) -> list[OpenApiExample]:
        value = EXAMPLES.get(f"{self.method} {self.path.removeprefix(PREFIX)}")
        return [] if value is None else [OpenApiExample("It works", value=value, request_only=True)]

    def _error_statuses(self) -> set[int]:
        """The error statuses that the operation may return."""
        found = {*error_answers.ALWAYS, *self._operation.also}
        if [entry for entry in self.get_auth() if entry]:  # type: ignore[no-untyped-call]
            found.update(error_answers.GUARDED)
            if self.method != "GET":
                found.update(error_answers.WRITING)
        if "{" in self.path or self._numbered():
            found.add(404)
        if f"{self.method} {self.path.removeprefix(PREFIX)}" in EXAMPLES:
            found.update(error_answers.WITH_BODY)
        if not self.path.startswith(f"{PREFIX}health/"):
            found.add(429)
        return found

    def _listed(self) -> bool:
        return self.method == "GET" and bool(self._is_list_view())  # type: ignore[no-untyped-call]

    def _numbered(self) -> bool:
        return self._listed() and not getattr(self.view, "grows", False)

    def _component(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema
        )
        self.registry.register_on_missing(component)
        reference: dict[str, Any] = component.ref
        return reference

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> Any:
        responses = super()._get_response_bodies(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.resolve_serializer(FieldErrorSerializer, "response")  # type: ignore[no-untyped-call]
        error = self._component("Error", _ERROR)
        for status in sorted(self._error_statuses()):
            responses.setdefault(str(status), error_answers.described(status, error))
        return responses

    def _get_response_for_code(self, *args: Any, **kwargs: Any) -> Any:
        response = super()._get_response_for_code(*args, **kwargs)  # type: ignore[no-untyped-call]
        success = not str(args[1]).startswith(("4", "5"))
        meta = _NULL
        if success and self._listed():
            by_cursor = not self._numbered()
            meta = self._component(
                "CursorPage" if by_cursor else "NumberedPage", BY_CURSOR if by_cursor else NUMBERED
            )
        for content in response.get("content", {}).values():
            content["schema"] = enveloped(content.get("schema", {}), success=success, meta=meta)
        return response
