"""Approximate memory use of versions and contents in bytes, for caches that are bounded by size."""

import json

from apps.templates.models import TemplateContent, TemplateVersion

OBJECT_WEIGHT = 20
"""Bytes per character of JSON: Python objects of small values take far more memory than their text."""


def of_version(version: TemplateVersion) -> int:
    """A version without its contents."""
    fields = (version.required, version.optional, version.variables, version.warnings, version.pinned)
    return OBJECT_WEIGHT * sum(len(json.dumps(part)) for part in fields)


def of_content(content: TemplateContent) -> int:
    """A content's sources and their compiled form."""
    return sum(map(len, (*content.sources().values(), *content.compiled.values())))
