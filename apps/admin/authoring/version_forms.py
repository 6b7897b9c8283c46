"""The forms of a template version, for authors who don't program: one form per channel and language."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms

from apps.admin.authoring import lines
from apps.templates.models import SourceFormat, TemplateContent
from apps.users.channels import Channel
from apps.users.models import validate_language

SOURCE_LIMIT = 65536


class SourceField(forms.CharField):
    """A Liquid source, kept byte for byte, except that the browser's CRLF becomes LF."""

    def __init__(self, *, rows: int = 0, **kwargs: Any) -> None:
        widget: forms.Widget = forms.TextInput(attrs={"class": "wide"})
        if rows:
            widget = forms.Textarea(attrs={"rows": rows, "class": "wide", "spellcheck": "true"})
        super().__init__(required=False, strip=False, max_length=SOURCE_LIMIT, widget=widget, **kwargs)

    def clean(self, value: Any) -> str:
        return str(super().clean(value)).replace("\r\n", "\n")


class LinesField(forms.CharField):
    """`name: value` lines; cleaned to a dictionary."""

    def __init__(self, *, rows: int, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "class": "wide", "spellcheck": "false"})
        super().__init__(required=False, max_length=SOURCE_LIMIT, widget=widget, **kwargs)

    def clean(self, value: Any) -> Any:
        return lines.parse(super().clean(value))


class FormatField(forms.ChoiceField):
    """HTML unless chosen otherwise. Choosing a format alone doesn't count as filling in the form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=SourceFormat.choices, initial=SourceFormat.HTML, required=False, **kwargs)

    def clean(self, value: Any) -> str:
        return str(super().clean(value) or SourceFormat.HTML)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial, data or SourceFormat.HTML)


class ContentForm(forms.Form):
    """The content of one channel in one language."""

    channel: ClassVar[str]
    preview: Any = None
    """The rendered parts, set by `Draft.render`; where rendering fails, `error` says why."""
    error: str = ""

    language = forms.CharField(
        max_length=35,
        validators=[validate_language],
        label="Language",
        help_text="A tag such as en, fr or fr-CA.",
        widget=forms.TextInput(attrs={"size": 8}),
    )

    def row(self) -> dict[str, Any]:
        """What `authoring.add_version` takes."""
        fields = {name: self.cleaned_data[name] for name in self.fields if name != "DELETE"}
        return {"channel": self.channel, **fields}


class EmailForm(ContentForm):
    channel = Channel.EMAIL

    subject = SourceField(label="Subject", help_text="One line. {{ name }} is replaced by the person's name.")
    html = SourceField(label="Message, formatted (HTML)", rows=12)
    source_format = FormatField(label="Format of the formatted message")
    text = SourceField(
        label="Message, plain text",
        rows=8,
        help_text="For mail clients that show no formatting. Recommended.",
    )
    layout = forms.ChoiceField(
        required=False, label="Layout", help_text="What surrounds the message: header, footer, colours."
    )

    def __init__(self, *args: Any, layouts: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A layout deleted since stays a choice, so that saving names it in the error.
        names = sorted({*layouts, self.initial.get("layout", "")} - {""})
        if names:
            layout = self.fields["layout"]
            assert isinstance(layout, forms.ChoiceField)  # noqa: S101 - declared above
            layout.choices = [("", "none"), *((name, name) for name in names)]
        else:
            del self.fields["layout"]


class PushForm(ContentForm):
    channel = Channel.PUSH

    title = SourceField(label="Title", help_text="One line, in bold on the phone.")
    body = SourceField(label="Text", rows=3)
    link = SourceField(label="Link", help_text="The address that a tap opens; may be empty.")
    image = SourceField(label="Image", help_text="The image's address (https); may be empty.")
    data = LinesField(  # type: ignore[assignment]
        label="Data for the app", rows=3, help_text="For programmers: one “name: value” per line."
    )


class VersionForm(forms.Form):
    """The fields of the version as a whole."""

    note = forms.CharField(
        max_length=200,
        required=False,
        label="What changed",
        help_text="A short note for the list of versions.",
        widget=forms.TextInput(attrs={"class": "wide"}),
    )
    samples = LinesField(
        label="Sample values for the preview",
        rows=5,
        help_text="One per line, such as “name: Ada”. A missing value shows as [name].",
    )


EmailForms = forms.formset_factory(EmailForm, extra=1, can_delete=True, max_num=50)
PushForms = forms.formset_factory(PushForm, extra=1, can_delete=True, max_num=50)


def initial_of(contents: list[TemplateContent]) -> dict[str, list[dict[str, Any]]]:
    """The forms' initial values by channel, from a stored version's contents."""
    found: dict[str, list[dict[str, Any]]] = {channel: [] for channel in Channel.values}
    for content in contents:
        parts = (
            TemplateContent.EMAIL_FIELDS if content.channel == Channel.EMAIL else TemplateContent.PUSH_PARTS
        )
        values = {part: getattr(content, part) for part in ("language", *parts)}
        if "data" in values:
            values["data"] = lines.written(values["data"])
        found[content.channel].append(values)
    return found
