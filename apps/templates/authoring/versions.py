"""Adds and activates versions, and selects a version's content for a recipient's language."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.templates import credentials, declarations
from apps.templates.authoring.library import Library
from apps.templates.liquid import budget
from apps.templates.liquid.assembling import Assembled
from apps.templates.liquid.limits import DATA_KEYS_LIMIT, TooSlow
from apps.templates.models import Layout, Template, TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from apps.users.models import Organization, User
from notifier.channels.declaration import Kind
from notifier.lib.concurrency import Busy

NAMES_LIMIT = 500
"""Variables that a version may use: each is checked for every message, and named in the error if missing."""
WHOLE_LIMIT = 4 * 1024 * 1024
"""Characters of all assembled parts together: a source of a few kilobytes may include large partials many times."""


class ContentError(Exception):
    """A source or a declaration is invalid. `field` is a dotted path such as `contents[0].html`."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


class CompilerBusy(ContentError):
    """The content is not at fault: all compiler slots, or the organization's own, are taken. Retry later."""


def add_version(
    *,
    template: Template,
    contents: Iterable[Mapping[str, Any]],
    variables: Sequence[declarations.Declaration] = (),
    note: str = "",
    author: User | None = None,
    active: bool = False,
) -> TemplateVersion:
    """Store the template's next version, with the current revisions of its layouts and partials.

    `active`: also activate it. Raises ContentError.
    """
    rows = [TemplateContent.of(fields) for fields in contents]
    found = prepared(rows, variables, template.organization, whole=True)
    if template.code in credentials.CODES and any(found.pinned.values()):
        raise ContentError(
            "contents",
            "An email that carries a credential can't use layouts or partials: their authors could read it.",
        )
    use = declarations.merged(variables, found.use)
    with transaction.atomic():
        # The lock gives concurrent authors different numbers; without it the constraint would refuse the second.
        Template.objects.select_for_update().get(pk=template.pk)
        newest = template.versions.aggregate(newest=Max("number"))["newest"] or 0
        version = TemplateVersion.objects.create(
            template=template,
            number=newest + 1,
            note=note,
            required=sorted(use.required),
            optional=sorted(use.optional),
            variables=list(variables),
            warnings=declarations.warnings(variables, found.use),
            pinned=found.pinned,
            created_by=author,
        )
        for row in rows:
            row.version = version
        TemplateContent.objects.bulk_create(rows)
        if active:
            activate(template=template, version=version)
    return version


def activate(*, template: Template, version: TemplateVersion) -> None:
    """New notifications use this version from now on; those accepted earlier keep theirs."""
    template.active_version = version
    template.save(update_fields=["active_version", "updated_at"])


def content_for(
    contents: Iterable[TemplateContent], channel: str, wanted: str, fallback: str
) -> TemplateContent | None:
    """The channel's content in the best language: `wanted`, its base, `fallback` (the organization's), its
    base, or the only one. Case-insensitive; None if nothing matches.

    `fr-CA` matches `fr`; `fr` doesn't match `fr-CA`: a reader of a regional form understands the plain language,
    while a regional text may be wrong elsewhere.
    """
    by_language = {row.language.lower(): row for row in contents if row.channel == channel}
    for language in (*_tags(wanted), *_tags(fallback)):
        if language in by_language:
            return by_language[language]
    return next(iter(by_language.values())) if len(by_language) == 1 else None


def _tags(language: str) -> Iterator[str]:
    """The tag and its prefixes: `zh-hant-tw`, `zh-hant`, `zh`."""
    tag = language.lower()
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class Checked:
    """Validated contents. `use`: their variables, including those of their layouts and partials; `parts`: the
    assembled sources of each content, by part name; `pinned`: see `TemplateVersion`."""

    use: rendering.VariableUse
    parts: Sequence[Mapping[str, Assembled]]
    pinned: Mapping[str, Mapping[str, int]]


def checked(
    rows: Sequence[TemplateContent],
    variables: Sequence[declarations.Declaration],
    organization: Organization,
) -> Checked:
    """Validate the contents and assemble them with the current revisions of their layouts and partials.

    Raises ContentError where a source is invalid, a channel has two contents in one language, or a limit is exceeded.
    """
    for error in declarations.errors_of(variables):
        raise ContentError(f"variables{error.field}", error.detail)
    library = Library(organization)
    seen: set[tuple[str, str]] = set()
    parts: list[dict[str, Assembled]] = []
    whole = 0
    for position, row in enumerate(rows):
        where = f"contents[{position}]"
        if (row.channel, row.language.lower()) in seen:
            raise ContentError(where, f"There is already {row.channel} content in {row.language}; keep one.")
        seen.add((row.channel, row.language.lower()))
        parts.append(_assembled(row, where, library))
        whole = _no_longer(whole, (part.text for part in parts[-1].values()))
    use = rendering.variables_of(*(part.text for row in parts for part in row.values()))
    if len(use.needs) > NAMES_LIMIT:
        raise ContentError("contents", f"A version uses at most {NAMES_LIMIT} variables.")
    return Checked(use, parts, library.pinned)


def _no_longer(whole: int, more: Iterable[str]) -> int:
    """`whole` plus the length of these parts. Raises ContentError past WHOLE_LIMIT."""
    whole += sum(map(len, more))
    if whole > WHOLE_LIMIT:
        megabytes = WHOLE_LIMIT // 1024**2
        raise ContentError(
            "contents", f"With layouts and partials, all contents together are longer than {megabytes} MiB."
        )
    return whole


def _assembled(row: TemplateContent, where: str, library: Library) -> dict[str, Assembled]:
    layout = _layout(row, where, library)
    kinds = {part.name: part.kind for part in row.declared.parts}
    _check_keys(row, where)
    found: dict[str, Assembled] = {}
    for name, source in row.sources().items():
        kind = kinds[name.partition(".")[0]]
        with errors_of(f"{where}.{name}"):
            budget.check()
            rendering.check(source, html=kind is Kind.HTML)
            found[name] = rendering.assemble(
                source,
                part="html" if kind is Kind.HTML else "text",
                source_format=row.option(Kind.FORMAT),
                library=library,
                layout=layout if kind in (Kind.HTML, Kind.TEXT) else None,
            )
            rendering.variables_of(found[name].text)
    return found


def _layout(row: TemplateContent, where: str, library: Library) -> Layout | None:
    name = row.option(Kind.LAYOUT)
    try:
        return library.layout(name) if name else None
    except KeyError:
        raise ContentError(f"{where}.layout", "There is no layout with this name.") from None


def _check_keys(row: TemplateContent, where: str) -> None:
    for part in row.declared.parts:
        keys = row.part(part) if part.kind is Kind.DATA else ()
        if len(keys) > DATA_KEYS_LIMIT:
            raise ContentError(
                f"{where}.{part.name}", f"A {row.channel} has at most {DATA_KEYS_LIMIT} {part.name} keys."
            )
        for key in keys:
            if part.key_error is not None and (error := part.key_error(key)):
                raise ContentError(f"{where}.{part.name}.{key}", error)


@contextmanager
def errors_of(field: str) -> Iterator[None]:
    """Turns errors about a source into a ContentError for this field; Busy into CompilerBusy."""
    try:
        yield
    except rendering.TemplateSyntaxError as error:
        raise ContentError(field, str(error)) from error
    except TooSlow as error:
        raise ContentError(
            field, "Validating the contents takes too long; write fewer or shorter ones."
        ) from error
    except Busy as error:
        raise CompilerBusy(
            field, "Other templates are being compiled; save it again in a few seconds."
        ) from error


def prepared(
    rows: Sequence[TemplateContent],
    variables: Sequence[declarations.Declaration],
    organization: Organization,
    *,
    whole: bool = False,
) -> Checked:
    """Validate the contents and compile them in place, within one request's time budget.

    `whole`: also require every part that a version needs. Raises ContentError.
    """
    with budget.allowance(cpu=budget.WRITING_CPU, seconds=budget.WRITING_SECONDS):
        found = checked(rows, variables, organization)
        if whole:
            complete(rows)
        compile_contents(rows, found, organization)
    return found


def compile_contents(rows: Sequence[TemplateContent], found: Checked, organization: Organization) -> None:
    """Set each row's `compiled`, in a compiler slot of the organization. Raises ContentError."""
    whole = 0
    for position, (row, parts) in enumerate(zip(rows, found.parts, strict=True)):
        row.compiled, written = {}, row.sources()
        for part, assembled in parts.items():
            with errors_of(f"contents[{position}].{part}"):
                budget.check()
                source = rendering.compiled(assembled, organization.pk)
                rendering.variables_of(source)
            if source != written[part]:
                row.compiled[part] = source
        whole = _no_longer(whole, row.compiled.values())


def warnings(
    rows: Sequence[TemplateContent],
    variables: Sequence[declarations.Declaration],
    organization: Organization,
) -> list[str]:
    """Warnings for a draft's author, or the error that a layout or partial, changed since, causes in it."""
    try:
        # Limited, since the draft's layouts and partials may have become expensive since it was saved.
        with budget.allowance(cpu=budget.WRITING_CPU):
            return declarations.warnings(variables, checked(rows, variables, organization).use)
    except ContentError as error:
        return [f"{error.field}: {error.detail}"]


def complete(rows: Sequence[TemplateContent]) -> None:
    """Raises ContentError where a required part is missing."""
    if not rows:
        raise ContentError("contents", "A version needs content for at least one channel.")
    for position, row in enumerate(rows):
        where = f"contents[{position}]"
        channel, written = row.declared, row.sources()
        for name in channel.required:
            if name not in written:
                raise ContentError(f"{where}.{name}", f"{channel.label} content needs a {name}.")
        if channel.one_of and not written.keys() & set(channel.one_of):
            raise ContentError(
                f"{where}.{channel.one_of[-1]}",
                f"{channel.label} content needs {' or '.join(channel.one_of)}.",
            )
