"""Each of these would hang, or fill the memory, without a limit of its own."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.templates.liquid import context
from apps.templates.rendering.rendering import RenderError, TemplateError
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


EVERY = "{% for i in (1..9999) %}"
BIG = [f"a{i}" for i in range(30_000)]
HOSTILE = {
    "nested loops": "{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}",
    "range": "{% for a in (1..1000000000) %}x{% endfor %}",
    "range reversed": "{% for a in (1..1000000000) reversed %}x{% endfor %}",
    "range to list": "{{ (1..100000000) | join }}",
    "range searched": "{% assign r = (1..1000000000) %}{% if r contains 'x' %}a{% endif %}",
    "range in when": "{% case 'x' %}{% when (1..1000000000) %}{% endcase %}",
    "range in cycle": "{% cycle (1..1000000000) %}",
    "range in cols": "{% tablerow a in (1..3) cols:(1..1000000000) %}x{% endtablerow %}",
    "range as argument": "{{ 'x' | append: (1..100000000000000000000) }}",
    "range in liquid": "{% liquid\n assign r = (1..100000000) | join\n echo r %}",
    "loops in a row": "{% for a in (1..9999) %}{% endfor %}" * 900,
    "many nodes in a loop": EVERY + "{% if true %}{% endif %}" * 900 + "{% endfor %}",
    "counters in a loop": EVERY + "{% increment a %}" * 1500 + "{% endfor %}",
    "append doubles": "{% assign x='aaaaaaaa' %}" + EVERY + "{% assign x = x | append: x %}{% endfor %}",
    "replace multiplies": "{{ s | replace: '', s }}",
    "replace grows": "{% assign x='a' %}" + EVERY
        + "{% assign x = x | replace: 'a','aaaaaaaaaa' %}{% endfor %}",
    "join multiplies": "{{ n | join: s }}",
    "split and join": "{{ s | split: '' | join: s }}",
    "concat doubles": "{% assign a = '1,2' | split: ',' %}" + EVERY
        + "{% assign a = a | concat: a %}{% endfor %}",
    "capture doubles": "{% capture c %}xxx{% endcapture %}" + EVERY
        + "{% capture c %}{{c}}{{c}}{% endcapture %}{% endfor %}",
    "times squares": "{% assign x = 99999 %}" + EVERY + "{% assign x = x | times: x %}{% endfor %}",
    "much output": EVERY + "{{ s }}{% endfor %}",
    "much kept": "".join(f"{{% assign a{i} = s %}}" for i in range(1500)),
    "uniq is quadratic": "{{ big | slice: 0, 9000 | uniq | size }}",
    "long comparisons": EVERY
        + "{% if " + " or ".join(["big contains 'q'"] * 40) + " %}{% endif %}{% endfor %}",
    "long when": EVERY + "{% case 1 %}{% when " + "2," * 480 + "2 %}{% endcase %}{% endfor %}",
    "strip_html again and again": EVERY + "{{ s | prepend: '<' | strip_html | size }}{% endfor %}",
    "date format": "{{ 'now' | date: s }}",
    "date text": "{{ s | date: '%Y' }}",
    "deep blocks": "{% if true %}" * 900 + "{% endif %}" * 900,
    "deep liquid": "{% liquid " + "liquid " * 130 + " %}",
    "deep brackets": "{{ " + "a[" * 330 + "a" + "]" * 330 + " }}",
    "long condition": "{% if a" + " or a" * 10_000 + " %}{% endif %}",
    "raw never closed": "{%raw%}" * 9_000,
    "tag never closed": "{%" + "a" * 60_000,
    "blanks in a tag": ("{%else" + " " * 900 + "%}") * 65,
    "blanks in an output": ("{{x" + " " * 900 + "%}") * 65,
    "brackets in an output": ("{{" + "(" * 996 + "}}") * 65,
    "quotes in an output": ("{{" + "['" * 498 + "}}") * 65,
    "openers": "{{" * 32_000,
    "tag openers": "{% " * 21_000,
    "a MiB": "x" * 2**20,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_stopped_soon(name: str) -> None:
    began = time.thread_time()
    with pytest.raises(TemplateError):
        text(HOSTILE[name], s="a" * 200_000, n=[["a"] * 20_000], big=BIG)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    "source",
    [
        "{% if " + " and ".join(["o != p"] * 90) + " %}{% endif %}",
        "{% case o %}{% when " + ",".join(["p"] * 450) + " %}{% endcase %}",
        "{{ o | append: " + ",".join(["p"] * 400) + " }}",
    ],
    ids=["if", "when", "filter"],
)
def test_one_condition_is_stopped_in_its_middle(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []

    def get(self: context.RenderContext, path: list[object], **kwargs: object) -> object:
        looked_up.append(path)
        return "".join(map(str, path))

    # What is compared may be large: here each takes a tenth of a second.
    monkeypatch.setattr(context.RenderContext, "get", get)
    monkeypatch.setattr(context, "time", SimpleNamespace(thread_time=lambda: len(looked_up) / 10))
    monkeypatch.setattr(context, "cpu_deadline", lambda: (0.5, "this takes too long"))
    with pytest.raises(RenderError, match="too long"):
        text(source)
    assert len(looked_up) < 20


def test_hostile_templates_together_stay_within_512_mib() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))\n"
        "from tests.templates.rendering.test_hostile_templates import BIG, HOSTILE, TemplateError, text\n"
        "for name, source in HOSTILE.items():\n"
        "    try: text(source, s='a' * 200_000, n=[['a'] * 20_000], big=BIG)\n"
        "    except TemplateError as fault: assert 'MemoryError' not in str(fault), name\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_integers_stay_small_in_every_filter() -> None:
    assert text("{{ 12345 | round: -1000000000 }} {{ 1.5 | round: 100000000000 }}") == "0 1.5"
    for source in ("{{ v | times: 1 }}", "{{ '1e999' | ceil }}"):
        with pytest.raises(RenderError):
            text(source, v="9" * 4000)
