"""What a version takes in memory, roughly, in bytes: for whoever keeps some."""

import json

from apps.templates.models import TemplateContent, TemplateVersion

OBJECT_WEIGHT = 20
"""For each character of JSON: small values take so much more than they are long."""


def of_version(version: TemplateVersion) -> int:
    """Without its contents."""
    fields = (version.required, version.optional, version.variables, version.warnings, version.pinned)
    return OBJECT_WEIGHT * sum(len(json.dumps(part)) for part in fields)


def of_content(content: TemplateContent) -> int:
    """Its sources, and what is rendered instead of them."""
    parts = (*content.EMAIL_PARTS, *content.PUSH_PARTS[:-1])
    texts = (*(getattr(content, part) for part in parts), *content.data.values(), *content.compiled.values())
    return sum(map(len, texts))
