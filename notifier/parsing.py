"""JSON as it may come in: bounded in size and depth, and nothing in it that storage can't hold."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.settings import api_settings

DEPTH_LIMIT = 32
CHUNK = 64 * 1024
CHUNKS = 128
"""Twice the largest body that is taken: who sends more loses the connection."""


class WholeBodyMiddleware:
    """Reads what is left of a body before its answer leaves: a refusal often needs none of it.

    The server closes a connection whose request it has not read to the end, and whoever is still sending then, or
    begins the next request on it, gets no answer: nginx makes a 502 of it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # The caller may be gone: there is nobody to tell.
        with suppress(UnreadablePostError):
            for _ in range(CHUNKS):
                if not request.read(CHUNK):
                    break
        return response


class PayloadTooLarge(APIException):
    status_code = 413
    default_code = "payload_too_large"


class BoundedJSONParser(BaseParser):
    """Raises PayloadTooLarge past the view's `body_limit` (bytes), ParseError for what isn't sound."""

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
        except UnicodeDecodeError as fault:
            raise ParseError(f"The body is not UTF-8 at byte {fault.start}.") from fault
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except RecursionError as fault:
            raise ParseError(f"The body is nested deeper than {DEPTH_LIMIT} levels.") from fault
        except ValueError as fault:
            raise ParseError(f"The body is not JSON: {fault}") from fault
        _check(value, 1)
        return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


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
            for item in value.values() if isinstance(value, dict) else value:
                _check(item, depth + 1)
        case int() if abs(value) > 2**63:
            raise ParseError("A number is out of range: use a string for more than 64 bits.")
        case float() if not math.isfinite(value):
            # 1e400 is sound JSON, and infinity to Python; PostgreSQL's JSON has no such number.
            raise ParseError("A number is out of range: use a string for more than 64 bits.")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("A string holds a NUL character (\\u0000); remove it.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as fault:
            raise ParseError("A string holds half of a surrogate pair; send whole characters.") from fault
