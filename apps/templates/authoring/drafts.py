"""A template's next version while it is written: saved, thrown away, published.

Two writers never overwrite each other: each change names the state that it was made from.
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
    """Somebody else has changed, published or deleted the draft since it was read."""


def save(
    *,
    template: Template,
    contents: Sequence[dict[str, Any]],
    variables: Sequence[dict[str, Any]] = (),
    note: str = "",
    base: datetime | None,
    author: User | None,
) -> TemplateDraft:
    """Put the draft into this state if it is still the one of `base`; None: there is none yet.

    Its sources must be readable; what else a version needs may still be missing. Raises ContentError,
    StaleDraft.
    """
    rows = [TemplateContent(**fields) for fields in contents]
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
    """The draft as the template's next version; the draft is gone. Raises ContentError, StaleDraft."""
    # Locked, so that of two who publish at once one finds it gone.
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
