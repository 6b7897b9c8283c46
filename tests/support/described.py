"""Checks every response of the API in any test against the OpenAPI document: operation, status and schema.

Stricter than the document itself: an object may have no properties beyond its schema, so that a new field can't be
returned without being documented.
"""

import re
from functools import cache
from json import loads  # by itself: a test may replace the module's
from typing import Any

from django.http import HttpRequest
from django.test import Client
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from notifier.openapi.views import document

API = "/api/v1/"
JSON = "application/json"
PARAMETER = re.compile(r"<[^>]+>|\{[^}]+\}")


class NotDescribed(AssertionError):
    """The response contradicts the document."""


def closed(schema: Any) -> Any:
    """The schema, with no additional properties allowed in its objects."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {name: closed(inner) for name, inner in schema.items()}
    if isinstance(shut.get("properties"), dict) and shut.get("type") is not None:
        shut.setdefault("additionalProperties", False)
    return shut


@cache
def _registry() -> Any:
    return Registry().with_resource("urn:api", DRAFT202012.create_resource(closed(document())))


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """By method and path, whatever its parameters are called."""
    return {
        (method.upper(), PARAMETER.sub("{}", path)): {"path": path, **operation}
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


@cache
def validator(pointer: str) -> Any:
    return Draft202012Validator(
        {"$ref": f"urn:api#/{pointer}"},
        registry=_registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def check(request: HttpRequest, response: Any) -> None:
    """Raises NotDescribed.

    Exempt from having an operation, and held to the shape of an error alone: a path that leads nowhere (404), a
    method that its path doesn't have (405), and what is refused before there is a path to it (a host or a path
    that can't be read). OPTIONS is no operation of the document.
    """
    if not request.path_info.startswith(API) or request.method == "OPTIONS":
        return
    here = f"{request.method} {request.get_full_path()[:200]}"
    match = request.resolver_match
    method = "GET" if request.method == "HEAD" else str(request.method)
    operation = match and operations().get((method, PARAMETER.sub("{}", f"/{match.route}")))
    status = str(response.status_code)
    if not operation:
        if status not in ("400", "401", "403", "404", "405", "429", "500", "503"):
            raise NotDescribed(f"{here}: {status}, and no such operation is described")
        pointer = "components/schemas/Error"
    else:
        declared = operation["responses"].get(status)
        if declared is None:
            raise NotDescribed(f"{here}: {status} is not declared; {response.content[:300]!r}")
        if "content" not in declared:
            if response.content:
                raise NotDescribed(f"{here}: {status} has a body, and none is declared")
            return
        pointer = (
            f"paths/{_escaped(operation['path'])}/{method.lower()}/responses/{status}/content/"
            f"{_escaped(JSON)}/schema"
        )
    if response["Content-Type"] != JSON:
        raise NotDescribed(f"{here}: {status} came as {response['Content-Type']}")
    if request.method != "HEAD":
        error = best_match(validator(pointer).iter_errors(loads(response.content)))
        if error is not None:
            raise NotDescribed(f"{here}: {status}, {error.json_path}: {error.message[:300]}")


def watch(patch: Any) -> None:
    """Check every response of every test client from here on."""
    original = Client.request

    def request(client: Client, **given: Any) -> Any:
        response = original(client, **given)
        check(response.wsgi_request, response)
        return response

    patch.setattr(Client, "request", request)
