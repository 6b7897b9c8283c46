"""Layouts and partials: validated when saved, and the templates that use each one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import transaction

from apps.templates.authoring.library import Library
from apps.templates.authoring.versions import ContentError, errors_of
from apps.templates.liquid import assembling, budget
from apps.templates.models import Layout, Partial, Template, TemplateVersion
from apps.templates.rendering import rendering

VALUES_LIMIT = 50
VALUE_LENGTH = 500
VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")
REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029{}<>]")
"""Values are inserted into HTML, style sheets and Liquid, so they may contain none of their syntax."""
COLOUR_NAME = re.compile(r"colou?r", re.IGNORECASE)
COLOUR = re.compile(
    r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})|[a-z]{3,30}|(?:rgb|hsl)a?\([0-9.,%/ a-z]{1,50}\)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Use:
    """A template whose active version contains a part; `outdated`: the part has a newer revision."""

    template: str
    version: int
    revision: int
    outdated: bool


def save(part: Layout | Partial) -> None:
    """Validate and store a part. A change of its sources makes a new revision. Raises ContentError."""
    check(part)
    with transaction.atomic():
        if not part._state.adding:
            stored = type(part).objects.select_for_update().get(pk=part.pk)
            changed = any(getattr(part, name) != getattr(stored, name) for name in part.SOURCES)
            part.revision = stored.revision + changed
        part.save()


def check(part: Layout | Partial) -> None:
    """Raises ContentError, whose field is one of the part's, if no content could use the part."""
    if not part.html and not part.text:
        raise ContentError("html", "Write html, text or both.")
    if isinstance(part, Layout):
        _check_values(part.values)
    with budget.allowance(cpu=budget.WRITING_CPU, seconds=budget.WRITING_SECONDS):
        _check_sources(part)


def _check_sources(part: Layout | Partial) -> None:
    library = Library(part.organization, changed=part)
    for name in ("html", "text"):
        source: str = getattr(part, name)
        if not source:
            continue
        with errors_of(name):
            budget.check()
            rendering.check(source, html=name == "html")
            if isinstance(part, Layout):
                assembling.placeholder(source)
                around = rendering.assemble("", part=name, source_format="html", library=library, layout=part)
                if name == "html":
                    rendering.compiled(around, part.organization_id)
            else:
                around = rendering.assemble(
                    source, part=name, source_format=part.source_format, library=library
                )
            rendering.variables_of(around.text)


def _check_values(values: Mapping[str, str]) -> None:
    if len(values) > VALUES_LIMIT:
        raise ContentError("values", f"A layout has at most {VALUES_LIMIT} values.")
    for name, value in values.items():
        field = f"values.{name[:50]}"
        if not VALUE_NAME.fullmatch(name):
            raise ContentError(field, "Use names of up to 50 letters, digits and underscores.")
        if len(value) > VALUE_LENGTH or REFUSED.search(value):
            raise ContentError(
                field, f"Use one line of up to {VALUE_LENGTH} characters without braces, < and >."
            )
        if COLOUR_NAME.match(name) and not COLOUR.fullmatch(value):
            raise ContentError(field, "Use a colour such as #0a7d43, rgb(10, 125, 67) or green.")


def changed_since(version: TemplateVersion) -> list[str]:
    """The version's parts that have a newer revision now, as `layout brand`, `partial footer`."""
    return [
        f"{kind} {part.name}"
        for kind, model in (("layout", Layout), ("partial", Partial))
        for part in model.objects.filter(
            organization=version.template.organization_id, name__in=version.pinned.get(f"{kind}s", {})
        )
        if part.revision > version.pinned[f"{kind}s"][part.name]
    ]


def uses(part: Layout | Partial) -> Iterator[Use]:
    """Every usable template whose active version contains this part, directly or through another part."""
    kind = "layouts" if isinstance(part, Layout) else "partials"
    rows = Template.objects.usable().filter(organization=part.organization_id).exclude(active_version=None)
    # These columns only: the others of a version hold up to megabytes of objects, for a thousand versions.
    wanted = ("code", "active_version__number", "active_version__pinned")
    for code, number, pinned in rows.order_by("code").values_list(*wanted):
        if (revision := pinned.get(kind, {}).get(part.name)) is not None:
            yield Use(code, number, revision, revision < part.revision)
