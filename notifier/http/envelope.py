"""The envelope around every JSON response."""

from typing import Any

from rest_framework import status
from rest_framework.renderers import JSONRenderer


def envelope(
    data: Any = None,
    *,
    error: str | None = None,
    message: str = "",
    meta: dict[str, Any] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """The shape of every response: success, data, error, message, meta and, for invalid fields, errors."""
    answer = {"success": error is None, "data": data, "error": error, "message": message, "meta": meta}
    if errors:
        answer["errors"] = errors
    return answer


class EnvelopeRenderer(JSONRenderer):
    """Wraps the data that a view returns; one with `enveloped` set (an error, a page of a list) stays as it is.

    A response may have a `message` attribute for the envelope.
    """

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        response = (renderer_context or {}).get("response")
        if response is not None and response.status_code == status.HTTP_204_NO_CONTENT:
            return b""
        if not getattr(response, "enveloped", False):
            phrase = response.reason_phrase if response is not None else "OK"
            data = envelope(data, message=getattr(response, "message", f"{phrase}."))
        return bytes(super().render(data, accepted_media_type, renderer_context))
