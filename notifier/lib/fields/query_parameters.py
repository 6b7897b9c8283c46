"""Query parameters. Each operation declares its own; any other parameter is a 400 that names the known ones.

Ignoring one silently would do harm: a misspelt filter shows everything, a misspelt `dry_run` sends.
"""

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from notifier.lib.fields.validation import UNKNOWN_SHOWN, StrictSerializer

if TYPE_CHECKING:
    # DRF's views import this module, by its name in the settings.
    from rest_framework.views import APIView


def parameters_of(view: Any, method: str) -> tuple[str, ...]:
    """The names of the parameters: from the view's `parameters` (method → serializer) or, for a list, from its
    `filter_class`."""
    serializer: type[StrictSerializer] | None = getattr(view, "parameters", {}).get(method)
    if serializer is None and method == "GET":
        serializer = getattr(view, "filter_class", None)
    return tuple(serializer().fields) if serializer is not None else ()


class KnownParameters(BasePermission):
    """Grants all requests; raises ValidationError for a parameter that the operation lacks, or that is repeated.

    It is a permission because every authenticated operation checks those, and after the others, so that a refused
    caller gets that error first. Public endpoints don't have it: links in mails, services' hooks and probes may carry
    parameters that others have added.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        method = "GET" if request.method == "HEAD" else str(request.method)
        # Most requests have no query, and a method that the view lacks is a 405.
        if request.META.get("QUERY_STRING") and method in view.allowed_methods and method != "OPTIONS":
            refuse(request, parameters_of(view, method))
        return True


def refuse(request: Request, known: tuple[str, ...]) -> None:
    given = request.query_params
    errors = {
        name[:100]: serializers.ErrorDetail(_unknown(known), "unknown_field")
        for name in [name for name in given if name not in known][:UNKNOWN_SHOWN]
    }
    errors |= {
        name: serializers.ErrorDetail("Give this parameter once.", "repeated")
        for name in known
        if len(given.getlist(name)) > 1
    }
    if errors:
        raise serializers.ValidationError(errors)


def _unknown(known: tuple[str, ...]) -> str:
    if not known:
        return "Unknown parameter. There are none here."
    return f"Unknown parameter. Known: {', '.join(known)}."


@extend_schema_field(bool)
class SwitchField(serializers.Field[bool, str, bool, Any]):
    """`true` or `1`, `false` or `0`. Other values are refused: a mistyped dry run would otherwise send."""

    default_error_messages = {"invalid": "Use true or false, 1 or 0."}

    def to_internal_value(self, data: str) -> bool:
        if data not in ("true", "1", "false", "0"):
            self.fail("invalid")
        return data in ("true", "1")

    def to_representation(self, value: bool) -> bool:
        return value


class DryRunQuery(StrictSerializer):
    dry_run = SwitchField(
        required=False, default=False, help_text="Decide everything; store and send nothing: a 200."
    )

    @classmethod
    def is_dry_run(cls, request: Request) -> bool:
        """Whether the request's query has `dry_run` switched on. Raises ValidationError."""
        query = cls(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        return bool(query.validated_data["dry_run"])
