"""A version being written: its forms taken together, their preview, and saving the version."""

import json
from typing import Any

from django import forms
from django.http import QueryDict

from apps.admin.authoring import lines
from apps.admin.authoring.version_forms import ContentForm, ContentForms, VersionForm, initial_of
from apps.templates.authoring import versions
from apps.templates.liquid import budget
from apps.templates.models import Layout, Template, TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from apps.templates.rendering.rendering import VariableUse
from apps.users.models import User
from notifier.channels.declaration import Kind
from notifier.channels.registry import CHANNELS


class Draft:
    """Starts from a stored version's contents or from the posted form; keeps that version's declared variables."""

    def __init__(
        self, *, template: Template, start: TemplateVersion | None, posted: QueryDict | None = None
    ) -> None:
        self.template = template
        initial = initial_of(list(start.contents.all()) if start else [])
        self.declared: list[dict[str, Any]] = start.variables if start else []
        self.version = VersionForm(posted)
        rows = Layout.objects.filter(organization=template.organization_id)
        layouts = {"layouts": list(rows.values_list("name", flat=True))}
        self.groups = [
            ContentForms(
                posted, prefix=code, initial=initial[code], form_kwargs={"channel": channel, **layouts}
            )
            for code, channel in CHANNELS.items()
        ]
        self.bound = posted is not None
        self.use = VariableUse(frozenset(), frozenset())

    @property
    def required(self) -> list[str]:
        return sorted(self.use.required)

    @property
    def optional(self) -> list[str]:
        return sorted(self.use.optional)

    @property
    def contents(self) -> list[ContentForm]:
        """The forms that are filled in and not marked for deletion."""
        return [
            form
            for group in self.groups
            for form in group.forms
            if (form.has_changed() or form.initial) and not (self.bound and form in group.deleted_forms)
        ]

    @property
    def has_errors(self) -> bool:
        return bool(self.version.errors) or any(group.total_error_count() for group in self.groups)

    def is_valid(self) -> bool:
        good = all([self.version.is_valid(), *(group.is_valid() for group in self.groups)])
        if good and not self.contents:
            labels = ", ".join(channel.label for channel in CHANNELS.values())
            self.version.add_error(None, f"Write the content of at least one of these: {labels}.")
        return good and bool(self.contents)

    def save(self, *, author: User, active: bool) -> TemplateVersion | None:
        """The new version; None when a part is invalid: the error is then on that part's form field."""
        forms = self.contents
        try:
            return versions.add_version(
                template=self.template,
                contents=[form.row() for form in forms],
                variables=self.declared,
                note=self.version.cleaned_data["note"],
                author=author,
                active=active,
            )
        except versions.ContentError as error:
            where, _, part = error.field.partition(".")
            form = forms[int(where.removeprefix("contents[").removesuffix("]"))]
            form.add_error(part.partition(".")[0] or "language", error.detail)
            return None

    def render(self) -> None:
        """Set each form's `preview`, or its `error`. All previews together get the time budget of one save."""
        with budget.allowance(cpu=budget.WRITING_CPU, seconds=budget.WRITING_SECONDS):
            self._render()

    def _render(self) -> None:
        ready = [(form, source) for form in self.contents if (source := self._compiled(form)) is not None]
        samples = getattr(self.version, "cleaned_data", {}).get("samples") or {}
        examples = {
            one["name"]: json.dumps(value)
            for one in self.declared
            if one["name"] not in samples and (value := one.get("example", one.get("default"))) is not None
        }
        variables = lines.variables({**samples, **examples}, self.use.needs)
        for form, source in ready:
            try:
                organization_id = self.template.organization_id
                form.preview = rendering.render_for(organization_id, source.source, variables)
            except rendering.RenderError as error:
                form.error = f"{_label(form, error.field)}: {error.message}"

    def _compiled(self, form: ContentForm) -> TemplateContent | None:
        """The form's content, ready to render; None where it is invalid: the form then has the error."""
        source = _source(form, self.bound)
        if source is None:
            return None
        try:
            found = versions.prepared([source], (), self.template.organization)
        except versions.ContentError as error:
            form.error = f"{_label(form, error.field.partition('.')[2])}: {error.detail}"
            return None
        self.use = VariableUse.of([*self.use.needs.items(), *found.use.needs.items()])
        return source


def _source(form: ContentForm, bound: bool) -> TemplateContent | None:
    if bound:
        return TemplateContent.of(form.row()) if form.is_valid() else None
    values = {**form.initial}
    for part in form.channel.parts:
        if part.kind is Kind.DATA and part.name in values:
            values[part.name] = lines.parse(values[part.name])
    return TemplateContent.of({"channel": form.channel.code, **values})


def _label(form: forms.Form, part: str) -> str:
    field = form.fields.get(part.partition(".")[0])
    return str(field.label) if field is not None else part.capitalize()
