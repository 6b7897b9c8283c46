"""Templates, their immutable versions with content by channel and language, and shared layouts and partials."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import uuid6
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from apps.templates import credentials, declarations
from apps.templates.liquid.analysis.variables import MARK, VariableUse, missed
from apps.templates.rendering.rendering import Source
from apps.users.audit_log import AuditedQuerySet
from apps.users.models import Category, Organization, validate_language
from notifier.channels.declaration import Channel, Kind
from notifier.channels.declaration import Part as DeclaredPart
from notifier.channels.registry import CHANNELS, choices
from notifier.lib.database.tenancy import TenantManager

CODE_PATTERN = r"\A[a-z0-9][a-z0-9._-]{0,99}\Z"
CODE_HINT = "Use up to 100 lower-case letters, digits, dots, dashes and underscores."
RESERVED_CODES = frozenset({"layouts", "partials", "substitute"})
"""Path segments of the API that share a namespace with template codes."""


def refuse_reserved(code: str) -> None:
    if code in RESERVED_CODES or code in credentials.CODES:
        raise ValidationError("Notifier reserves this code; choose another.", code="reserved")


class OnUnknown(models.TextChoices):
    """What to do when a crash leaves it unknown whether a message was sent."""

    RESEND = "resend", "Send again: it must arrive (codes, security)"
    HOLD = "hold", "Hold for an operator: it must not repeat (receipts, marketing)"


class SourceFormat(models.TextChoices):
    """The format of an HTML source."""

    HTML = "html", "HTML"
    MJML = "mjml", "MJML"


class Part(models.Model):
    """A source that several templates share, edited in place: a version takes a copy when it is created.

    `revision` counts the changes; a version records which one it contains.
    """

    SOURCES: ClassVar[tuple[str, ...]] = ("source_format", "html", "text")

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100, validators=[RegexValidator(CODE_PATTERN, CODE_HINT)])
    description = models.TextField(blank=True)
    source_format = models.CharField(
        max_length=8, choices=SourceFormat.choices, default=SourceFormat.HTML, help_text="Of the HTML."
    )
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantManager()

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Layout(Part):
    """A frame around an email's content, which replaces `{{ content }}`. `values`: name → text, which replaces
    `{{ layout.name }}` in this layout, in its partials and in the contents that use it."""

    SOURCES = (*Part.SOURCES, "values")

    values = models.JSONField(default=dict, blank=True)

    class Meta(Part.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="layout_name_once"),
        ]


class Partial(Part):
    """A fragment that replaces `{% render "name" %}` in a source."""

    class Meta(Part.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="partial_name_once"),
        ]


class TemplateQuerySet(AuditedQuerySet["Template"]):
    def usable(self) -> "TemplateQuerySet":
        return self.filter(archived_at=None)

    def listed(self) -> "TemplateQuerySet":
        """Defers the large columns of the joined versions, which lists don't show."""
        large = ("required", "optional", "variables", "pinned")
        versions = ("active_version", "fallback_version")
        return self.defer(*(f"{version}__{name}" for version in versions for name in large))


class Template(models.Model):
    """A kind of message, identified to callers by its code. At most one of its versions is active."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="templates")
    code = models.CharField(
        max_length=100, validators=[RegexValidator(CODE_PATTERN, CODE_HINT), refuse_reserved]
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    category = models.ForeignKey(
        Category,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What it is about; empty: nobody can allow or refuse it by itself.",
    )
    on_unknown = models.CharField(max_length=16, choices=OnUnknown.choices, default=OnUnknown.HOLD)
    active_version = models.ForeignKey(
        "TemplateVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    fallback_version = models.ForeignKey(
        "TemplateVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Sent where the version in use can't be rendered.",
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantManager.from_queryset(TemplateQuerySet)()

    class Meta:
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "code"],
                condition=models.Q(archived_at=None),
                name="template_code_once",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Immutable(models.Model):
    """A row that is never updated: notifications refer to exactly what was sent."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"A {type(self).__name__} can't be changed; add a new version instead.")
        super().save(*args, **kwargs)


class TemplateVersion(Immutable):
    """One state of a template. Activating an older one is a rollback.

    `required`, `optional`: dotted names of the variables that its content uses and its author declares, as in
    `VariableUse`; a version that was stored before `order?.note` existed has `order.note` there;
    `variables`: the declarations (see `declarations`); `warnings`: sentences for its author;
    `pinned`: the revisions of the shared parts it contains, as {"layouts": {name: revision}, "partials": {…}}.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True)
    required = models.JSONField(default=list)
    optional = models.JSONField(default=list)
    variables = models.JSONField(default=list)
    warnings = models.JSONField(default=list)
    pinned = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    organization_path: ClassVar[str] = "template__organization"

    objects = TenantManager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="version_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.template.code} v{self.number}"

    @property
    def use(self) -> VariableUse:
        """`required` and `optional` together."""
        return VariableUse(frozenset(self.required), frozenset(self.optional))

    @property
    def has_conditional_fields(self) -> bool:
        """Whether `optional` has an `order?.note`: a field that is needed where its object is given."""
        return any(MARK in entry for entry in self.optional)

    def ready(self, variables: Mapping[str, Any]) -> tuple[dict[str, Any], list[declarations.VariableError]]:
        """(variables to render this version with, defaults filled in; errors for missing and mistyped ones)."""
        return declarations.applied(self.variables, self.required, variables)

    def missed(self, variables: Mapping[str, Any], name: str) -> list[declarations.VariableError]:
        """The errors for what a rendering with `variables` found missing, which is `name`: a field that callers need
        not send, but have to where they send its object. Empty where it is no such field."""
        return [
            declarations.VariableError(
                path, f"The template uses this variable where {holder} is given.", "required"
            )
            for path, holder in missed(self.optional, variables, name)
        ]

    def shown(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """A notification's variables as operators may see them, sensitive values hidden."""
        return credentials.hidden(self.template.code, self.variables, variables)


FORMER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "email": ("subject", "html", "text", "source_format", "layout"),
    "push": ("title", "body", "image", "link", "data"),
}
"""The parts that the previous release keeps in columns of their own. While its processes may still run beside this
release's, these are written too, and read where `parts` is null; the next release drops them."""


class TemplateContent(Immutable):
    """A version's content for one channel and language. `parts`: the value of each part that the channel declares, by
    its name; a part that is left out is empty.

    `compiled`: the text rendered instead of a part's source where the two differ, because it includes a layout or
    partials, was MJML or has inlined styles; by the part's name, `data.<key>` for the `key` of the part `data`.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    version = models.ForeignKey(TemplateVersion, on_delete=models.CASCADE, related_name="contents")
    channel = models.CharField(max_length=16, choices=choices)
    language = models.CharField(max_length=35, validators=[validate_language])
    parts = models.JSONField(null=True)
    compiled = models.JSONField(default=dict, editable=False)

    # See FORMER_COLUMNS.
    subject = models.TextField(blank=True)
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    title = models.TextField(blank=True)
    body = models.TextField(blank=True)
    image = models.TextField(blank=True)
    link = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)
    source_format = models.CharField(max_length=8, choices=SourceFormat.choices, default=SourceFormat.HTML)
    layout = models.CharField(max_length=100, blank=True)

    organization_path: ClassVar[str] = "version__template__organization"

    objects = TenantManager()

    class Meta:
        ordering = ["channel", "language"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "channel", "language"], name="content_once_a_channel_and_language"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.language}"

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "TemplateContent":
        """An unsaved row from the API's form of a content: channel, language, and the channel's parts beside them."""
        parts = {name: value for name, value in fields.items() if name not in ("channel", "language")}
        former = {name: parts[name] for name in FORMER_COLUMNS.get(fields["channel"], ()) if name in parts}
        return cls(channel=fields["channel"], language=fields.get("language", ""), parts=parts, **former)

    @classmethod
    def from_db(cls, *args: Any, **options: Any) -> Self:
        row = super().from_db(*args, **options)
        if row.parts is None:
            row.parts = {name: getattr(row, name) for name in FORMER_COLUMNS[row.channel]}
        return row

    @property
    def declared(self) -> Channel:
        return CHANNELS[self.channel]

    def part(self, part: DeclaredPart) -> Any:
        """The part's value as it was written: for DATA an object, for any other a text, empty where there is none."""
        empty = {Kind.DATA: {}, Kind.FORMAT: SourceFormat.HTML.value}.get(part.kind, "")
        return (self.parts or {}).get(part.name, empty)

    def option(self, kind: Kind) -> str:
        """What is chosen in the part of this kind; empty where the channel has none."""
        return next((str(self.part(part)) for part in self.declared.parts if part.kind is kind), "")

    def fields(self) -> dict[str, Any]:
        """The API's form of it."""
        own = {part.name: self.part(part) for part in self.declared.parts}
        return {"channel": self.channel, "language": self.language, **own}

    def sources(self) -> dict[str, str]:
        """The non-empty Liquid sources as they were written, by part; `data.<key>` for each key of DATA."""
        found: dict[str, str] = {}
        for part in self.declared.sources:
            written = self.part(part)
            if part.kind is Kind.DATA:
                found |= {f"{part.name}.{key}": source for key, source in written.items()}
            else:
                found[part.name] = written
        return {name: source for name, source in found.items() if source}

    @property
    def source(self) -> Source:
        """What is rendered."""
        parts = {}
        for part in self.declared.sources:
            written = self.part(part)
            if part.kind is Kind.DATA:
                parts[part.name] = {
                    key: self.compiled.get(f"{part.name}.{key}", source) for key, source in written.items()
                }
            else:
                parts[part.name] = self.compiled.get(part.name, written)
        return Source(self.declared, parts)


class TemplateDraft(models.Model):
    """A version being written: editable, never sent. Contents and variables have the API's request format.

    `updated_at` identifies the state that a writer has read; a change applies to that state only.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    template = models.OneToOneField(Template, on_delete=models.CASCADE, related_name="draft")
    contents = models.JSONField(default=list)
    variables = models.JSONField(default=list)
    note = models.CharField(max_length=200, blank=True)
    updated_at = models.DateTimeField()
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )

    organization_path: ClassVar[str] = "template__organization"

    objects = TenantManager()

    def __str__(self) -> str:
        return f"{self.template.code} (draft)"

    def rows(self) -> list[TemplateContent]:
        """Its contents as unsaved rows."""
        return [TemplateContent.of(fields) for fields in self.contents]
