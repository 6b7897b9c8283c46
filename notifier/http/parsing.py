"""Parsing of JSON bodies: limited in size and depth, and refused where a value can't be stored."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.settings import api_settings

DEPTH_LIMIT = 32
TOO_LARGE = "This number is out of range: use a text for more than 64 bits."
READ_SIZE = 64 * 1024
READS_LIMIT = 128
"""Twice the largest body that is accepted: a client that sends more loses the connection."""


class WholeBodyMiddleware:
    """Reads the rest of a request's body before the response is sent: an error often needs none of the body.

    The server closes a connection whose request it has not read to the end. A client that is still sending then, or
    begins the next request on it, gets no response: nginx turns that into a 502.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # The client may have disconnected.
        with suppress(UnreadablePostError):
            for _ in range(READS_LIMIT):
                if not request.read(READ_SIZE):
                    break
        return response


class PayloadTooLarge(APIException):
    status_code = 413
    default_code = "payload_too_large"


class BoundedJSONParser(BaseParser):
    """Raises PayloadTooLarge beyond the view's `body_limit` (bytes), ParseError for invalid JSON, ValidationError for
    valid JSON that can't be stored."""

    media_type = "application/json"
    renderer_class = api_settings.DEFAULT_RENDERER_CLASSES[0]

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = getattr((parser_context or {}).get("view"), "body_limit", settings.BODY_LIMIT)
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ParseError(f"The body is not UTF-8 at byte {error.start}.") from error
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except RecursionError as error:
            raise ParseError(f"The body is nested deeper than {DEPTH_LIMIT} levels.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        try:
            _check(value, 1)
        except Unstorable as error:
            raise ValidationError({error.field: ErrorDetail(error.detail, "unstorable")}) from error
        return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


class Unstorable(Exception):
    """Valid JSON that the database can't store unchanged. `parts`: the path to the value, outermost first."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.parts: list[str | int] = []

    @property
    def field(self) -> str:
        """The path as `variables.names[2]`; long names and unprintable characters are shortened or replaced."""
        parts = [f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in self.parts]
        return "".join(parts).removeprefix(".") if parts and parts[0][0] == "." else "".join(["body", *parts])


def _shown(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode().replace("\0", "?")


def _check(value: Any, depth: int) -> None:
    match value:
        case str():
            _check_text(value)
        case dict() | list():
            if depth > DEPTH_LIMIT:
                raise ParseError(f"The body is nested deeper than {DEPTH_LIMIT} levels.")
            if isinstance(value, dict):
                for key in value:
                    _check_text(key)
            part: str | int
            for part, item in value.items() if isinstance(value, dict) else enumerate(value):
                try:
                    _check(item, depth + 1)
                except Unstorable as error:
                    error.parts.insert(0, part)
                    raise
        case int() if abs(value) > 2**63:
            raise Unstorable(TOO_LARGE)
        case float() if not math.isfinite(value):
            # 1e400 is valid JSON, and infinity in Python; PostgreSQL's JSON has no such number.
            raise Unstorable(TOO_LARGE)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Unstorable("A text holds a NUL character (\\u0000), which can't be stored; remove it.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Unstorable("A text holds half of a surrogate pair; send whole characters.") from error
