"""Removes a message's sensitive values from a provider's reply: a relay that refuses an email may quote its link."""

import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from apps.templates import credentials
from apps.templates.declarations import HIDDEN
from apps.templates.models import TemplateVersion


def secrets_in(version_id: uuid.UUID, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The sensitive values of a notification of this version. One database query per version and process."""
    code, declared = _declared(version_id)
    return tuple(credentials.secrets_of(code, declared, variables)) if code or declared else ()


def redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


@lru_cache(maxsize=256)
def _declared(version_id: uuid.UUID) -> tuple[str, list[dict[str, Any]]]:
    """The template's code if it carries a credential, else "", and the version's sensitive declarations.

    Cached: neither ever changes.
    """
    found = TemplateVersion.objects.select_related("template").get(pk=version_id)
    sensitive = [one for one in found.variables if one.get("sensitive")]
    return (found.template.code if found.template.code in credentials.CODES else ""), sensitive
