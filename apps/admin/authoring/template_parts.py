"""Admin pages of layouts and partials, which an organization's templates share."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.admin.authoring import lines
from apps.admin.authoring.version_forms import LinesField, SourceField
from apps.admin.lists.rows import OrganizationRows, RowForm
from apps.templates.api.views.parts import check_quota
from apps.templates.authoring import parts, versions
from apps.templates.models import Layout, Partial, SourceFormat, Template, TemplateContent
from apps.templates.rendering import rendering
from apps.users.models import Organization
from notifier.channels.email import EMAIL

WIDE = "width:min(720px,70vw);box-sizing:border-box"
SAMPLE_TEXT = "The template's content appears here."
SAMPLES = {
    SourceFormat.HTML.value: f"<p>{SAMPLE_TEXT}</p>",
    SourceFormat.MJML.value: f"<mj-section><mj-column><mj-text>{SAMPLE_TEXT}</mj-text></mj-column></mj-section>",
}
ALONE = {
    SourceFormat.HTML.value: '{{% render "{}" %}}',
    SourceFormat.MJML.value: '<mjml><mj-body>{{% render "{}" %}}</mj-body></mjml>',
}


class PartForm(RowForm):
    constrained = frozenset({"organization", "name"})

    html = SourceField(label="HTML", rows=16)
    text = SourceField(label="Plain text", rows=8)

    class Meta:
        labels: ClassVar = {"source_format": "HTML format"}
        help_texts: ClassVar = {
            "name": "Templates refer to it by this name; it can't be changed later.",
            "source_format": "MJML is compiled to HTML that old mail clients display well, too.",
        }
        widgets: ClassVar = {"description": forms.Textarea(attrs={"rows": 2, "cols": 80})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, SourceField | LinesField):
                field.widget.attrs["style"] = f"{WIDE};font-family:monospace"

    def check_quota(self, organization: Organization) -> None:
        check_quota(type(self.instance), organization)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            try:
                parts.check(self.instance)
            except versions.ContentError as error:
                self.add_error(error.field.partition(".")[0], error.detail)


class LayoutForm(PartForm):
    html = SourceField(
        label="HTML",
        rows=16,
        help_text="Must contain {{ content }} once, where the template's own HTML goes.",
    )
    text = SourceField(
        label="Plain text", rows=8, help_text="Must contain {{ content }} once, too; may be empty."
    )
    values = LinesField(  # type: ignore[assignment]
        label="Values",
        rows=5,
        help_text="One per line, such as “colour: #0a7d43”; use it as {{ layout.colour }}.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["values"] = lines.written(self.instance.values)


class PartPages(OrganizationRows):
    form: type[PartForm] = PartForm
    list_display = (
        "name",
        "description",
        "organization",
        "revision",
        "updated_at",
    )
    list_filter = ("organization", "source_format")
    list_select_related = ("organization",)
    search_fields = ("name", "description")
    editable: ClassVar = ["organization", "name", "description", "source_format", "html", "text"]

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        if obj is None:
            return list(self.editable)
        return [*self.editable, "preview", "used_by", "revision", "created_at", "updated_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        if obj is None:
            return []
        return ["organization", "name", "preview", "used_by", "revision", "created_at", "updated_at"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        parts.save(obj)

    @admin.display(description="used by")
    def used_by(self, part: Any) -> SafeString:
        found = list(parts.uses(part))
        ids = dict(
            Template.objects.usable()
            .filter(organization=part.organization_id, code__in=[use.template for use in found])
            .values_list("code", "pk")
        )
        rows = (
            (
                reverse("admin:templates_template_change", args=[ids[use.template]]),
                use.template,
                f"v{use.version}" + (f", from revision {use.revision}" if use.outdated else ""),
            )
            for use in found
        )
        return format_html_join(", ", '<a href="{}">{}</a> ({})', rows) or SafeString("no template")

    @admin.display(description="preview")
    def preview(self, part: Any) -> SafeString:
        """The stored state, rendered; not what is being typed."""
        content = self.sample(part)
        try:
            found = versions.prepared([content], (), part.organization)
            variables = lines.variables({}, found.use.needs)
            shown = rendering.render_for(part.organization_id, content.source, variables)
        except versions.ContentError as error:
            return format_html("No preview: {}", error.detail)
        except rendering.RenderError as error:
            return format_html("No preview: {}", error.message)
        frame = (
            f'<iframe sandbox="" title="HTML preview" style="{WIDE};height:320px;background:#fff;'
            'border:1px solid var(--hairline-color);border-radius:6px" srcdoc="{}"></iframe>'
        )
        plain = f'<pre style="{WIDE};white-space:pre-wrap">{{}}</pre>'
        return format_html(
            "{}{}",
            format_html(frame, shown["html"]) if shown["html"] else "",
            format_html(plain, shown["text"]) if shown["text"] else "",
        )

    def sample(self, part: Any) -> TemplateContent:
        raise NotImplementedError


@admin.register(Layout)
class LayoutPages(PartPages):
    form = LayoutForm
    editable: ClassVar = [*PartPages.editable, "values"]

    def sample(self, part: Layout) -> TemplateContent:
        return _email(
            html=SAMPLES[part.source_format] if part.html else "",
            text=SAMPLE_TEXT if part.text else "",
            source_format=part.source_format,
            layout=part.name,
        )


@admin.register(Partial)
class PartialPages(PartPages):
    def sample(self, part: Partial) -> TemplateContent:
        return _email(
            html=ALONE[part.source_format].format(part.name) if part.html else "",
            text=ALONE["html"].format(part.name) if part.text else "",
            source_format=part.source_format,
        )


def _email(**parts: str) -> TemplateContent:
    return TemplateContent.of({"channel": EMAIL.code, "language": "en", **parts})
