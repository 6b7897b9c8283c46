"""A template's draft, the version being written: saved, discarded, published.

Optimistic locking: each change names the `updated_at` that it is based on, so writers never overwrite each other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.templates.authoring import versions
from apps.templates.models import Template, TemplateContent, TemplateDraft, TemplateVersion
from apps.users.models import User


class StaleDraft(Exception):
    """The draft was changed, published or deleted since it was read."""


def save(
    *,
    template: Template,
    contents: Sequence[dict[str, Any]],
    variables: Sequence[dict[str, Any]] = (),
    note: str = "",
    base: datetime | None,
    author: User | None,
) -> TemplateDraft:
    """Save the draft if its `updated_at` is still `base`; None: create it.

    Its sources must be valid; other things that a version needs may be missing. Raises ContentError, StaleDraft.
    """
    rows = [TemplateContent.of(fields) for fields in contents]
    versions.prepared(rows, variables, template.organization)
    state: dict[str, Any] = {
        "contents": list(contents),
        "variables": list(variables),
        "note": note,
        "updated_at": timezone.now(),
        "updated_by": author,
    }
    if base is None:
        try:
            with transaction.atomic():
                return TemplateDraft.objects.create(template=template, **state)
        except IntegrityError as error:
            raise StaleDraft from error
    if not TemplateDraft.objects.filter(template=template, updated_at=base).update(**state):
        raise StaleDraft
    return TemplateDraft.objects.get(template=template)


@transaction.atomic
def publish(
    *, draft: TemplateDraft, base: datetime | None = None, active: bool = False, author: User | None = None
) -> TemplateVersion:
    """Turn the draft into the template's next version and delete it. Raises ContentError, StaleDraft."""
    # Locked, so that of two concurrent publications the second finds no draft.
    found = TemplateDraft.objects.select_for_update().filter(pk=draft.pk).first()
    if found is None or (base is not None and found.updated_at != base):
        raise StaleDraft
    version = versions.add_version(
        template=draft.template,
        contents=found.contents,
        variables=found.variables,
        note=found.note,
        author=author,
        active=active,
    )
    found.delete()
    return version
