"""Partials, a layout's values and an email inside a layout, with dashes in the braces that put them in."""

from dataclasses import dataclass, field

import pytest

from apps.templates.rendering.rendering import TemplateSyntaxError, assemble, check
from tests.support.rendering import EmailContent, render_email


@dataclass
class Part:
    html: str
    text: str = ""
    name: str = "part"
    source_format: str = "html"
    values: dict[str, str] = field(default_factory=dict)


class Parts(dict[str, Part]):
    def partial(self, name: str) -> Part:
        return self[name]


PARTS = Parts(
    goodbye=Part(" bye\n", " bye\n"), name=Part("{{ v }}", "{{ v }}"), nested=Part("<{%- render 'goodbye' -%} >",
    ""), dashed=Part("( {{- v -}} )")
)  # fmt: skip


def rendered(source: str, layout: Part | None = None) -> str:
    check(source, html=True)
    made = assemble(source, part="html", source_format="html", library=PARTS, layout=layout)
    return render_email(EmailContent(subject="", html=made.text), {"v": "V"}).html


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('Hello{%- render "goodbye" -%}', "Hello bye\n"), ('Hello \n {%- render "goodbye" -%} \n !', "Hello bye\n!"),
        ('Hello {% render "goodbye" -%} !', "Hello  bye\n!"), ("Hello {%- render 'goodbye' %} !", "Hello bye\n !"),
        ('{%-render "name"-%}', "V"), ('a {%- render "name" -%} {%- render "name" -%} b', "aVVb"),
        ("a {%- render 'nested' -%} b", "a&lt; bye\n>b"),
        ("{{ v }} {%- render 'name' %}", "VV"), ("{% if v %} {%- render 'name' -%} {% endif %}", "V"),
        ("a {%- render 'dashed' -%} b", "a(V)b"),
        ("{%- render 'name' -%} {{ v }}", "VV"),
        ("{% for i in (1..2) -%} x {%- render 'name' -%} {%- endfor %}", "xVxV"),
    ],
)  # fmt: skip
def test_of_a_partial(source: str, expected: str) -> None:
    assert rendered(source) == expected.replace("&lt;", "<")


@pytest.mark.parametrize(
    ("wrapper", "expected"),
    [
        ("<b> {{- content -}} </b>", "<b> x </b>"), ("<b> {{- content }} </b>", "<b> x  </b>"),
        ("<b> {{ content -}} </b>", "<b>  x </b>"),
        ("<b>{{content}}</b>", "<b> x </b>"), ("{{ content }} {{- layout.colour -}} .", " x red."),
        ("{{ content }}[ {{layout.colour-}} ]", " x [ red]"),
        ("{% comment %}{{ content }}{{ layout.nope }}{% endcomment %}{{ content }}", " x "),
        ("{% raw %}{{ layout.nope }}{% endraw %}{{ content }}", "{{ layout.nope }} x "),
    ],
)  # fmt: skip
def test_of_a_layout(wrapper: str, expected: str) -> None:
    assert rendered(" x ", Part(wrapper, name="brand", values={"colour": "red"})) == expected


def test_an_error_beside_a_dash_has_its_position() -> None:
    source = "\n\n a {%- render 'name' -%} \n {% render 'nowhere' %}"
    with pytest.raises(TemplateSyntaxError, match="no partial named") as caught:
        rendered(source)
    assert (caught.value.line, caught.value.column) == (4, 2)


@pytest.mark.parametrize(
    "source", ["{%- render name -%}", "{%- render 'name', a: 1 -%}", "{%- include 'name' -%}"]
)
def test_other_forms_say_what_to_write(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="includes a partial"):
        rendered(source)
