"""The forms of a template version, for authors who don't program: one form per channel and language."""

from collections.abc import Sequence
from typing import Any

from django import forms

from apps.admin.authoring import lines
from apps.templates.models import SourceFormat, TemplateContent
from apps.users.models import validate_language
from notifier.channels.declaration import Channel, Kind, Part
from notifier.channels.registry import CHANNELS

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


def _field(part: Part) -> forms.Field:
    match part.kind:
        case Kind.FORMAT:
            return FormatField(label=part.label, help_text=part.help_text)
        case Kind.LAYOUT:
            return forms.ChoiceField(required=False, label=part.label, help_text=part.help_text)
        case Kind.DATA:
            return LinesField(rows=part.rows, label=part.label, help_text=part.help_text)
    return SourceField(rows=part.rows, label=part.label, help_text=part.help_text)


class ContentForm(forms.Form):
    """The content of one channel in one language: a field for each part that the channel declares.

    `layouts`: the names to choose from, where the channel has layouts.
    """

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

    def __init__(self, *args: Any, channel: Channel, layouts: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channel = channel
        for part in channel.parts:
            self.fields[part.name] = _field(part)
            if part.kind is Kind.LAYOUT:
                self._offer(part.name, layouts)

    def _offer(self, name: str, layouts: Sequence[str]) -> None:
        # A layout deleted since stays a choice, so that saving names it in the error.
        names = sorted({*layouts, self.initial.get(name, "")} - {""})
        if names:
            field: Any = self.fields[name]
            field.choices = [("", "none"), *((one, one) for one in names)]
        else:
            del self.fields[name]

    def row(self) -> dict[str, Any]:
        """What `authoring.add_version` takes."""
        fields = {name: self.cleaned_data[name] for name in self.fields if name != "DELETE"}
        return {"channel": self.channel.code, **fields}

    @property
    def on_phone(self) -> bool:
        """Whether the preview looks like a phone's message: where nothing is formatted."""
        return all(part.kind is not Kind.HTML for part in self.channel.parts)

    def figures(self) -> list[tuple[str, int | str]]:
        """What the channel counts of the preview, by its name."""
        return [(figure.name, figure.of(self.preview)) for figure in self.channel.figures]

    def shown(self) -> list[tuple[Part, Any]]:
        """The preview's parts, in order; without those that a recipient would not miss."""
        return [
            (part, text)
            for part in self.channel.sources
            if (text := self.preview[part.name]) or part.name in self.channel.required
        ]


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


ContentForms = forms.formset_factory(ContentForm, extra=1, can_delete=True, max_num=50)


def initial_of(contents: list[TemplateContent]) -> dict[str, list[dict[str, Any]]]:
    """The forms' initial values by channel, from a stored version's contents."""
    found: dict[str, list[dict[str, Any]]] = {channel: [] for channel in CHANNELS}
    for content in contents:
        values = {"language": content.language}
        for part in content.declared.parts:
            written = content.part(part)
            values[part.name] = lines.written(written) if part.kind is Kind.DATA else written
        found[content.channel].append(values)
    return found
