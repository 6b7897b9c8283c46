"""What the documents refer to exists."""

import re

import pytest

from tests.environment import ROOT

TESTS: dict[str, str] = {}
for _path in (ROOT / "tests").rglob("test_*.py"):
    # Files of several packages may have the same name.
    TESTS[_path.name] = TESTS.get(_path.name, "") + _path.read_text()


def named():
    file = ""
    for word in re.findall(
        r"`(test_\w+(?:\.py)?|Test\w+|tests/test_\w+\.py)`", (ROOT / "docs/security.md").read_text()
    ):
        if word.endswith(".py"):
            file = word.removeprefix("tests/")
        yield pytest.param(file, "" if word.endswith(".py") else word, id=word)


@pytest.mark.parametrize(("file", "name"), list(named()))
def test_every_test_that_the_promises_name_exists(file, name):
    assert re.search(rf"^ *(def|class) {name}\b" if name else "", TESTS[file], re.MULTILINE)


def shell_blocks():
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in files:
        text = path.read_text()
        for block in re.finditer(r"^```(?:sh|bash|shell)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: block.start()].count("\n") + 1
            yield pytest.param(block[1], id=f"{path.relative_to(ROOT)}:{line}")


@pytest.mark.parametrize("block", list(shell_blocks()))
def test_every_block_can_be_pasted_into_zsh(block):
    """Typed into zsh, a `#` begins no comment: its words would be arguments, and an apostrophe would wait for the
    next one. And the `?` of an address that matches no file ends the command."""
    quoted = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "Q", block, flags=re.DOTALL)
    assert "'" not in quoted
    assert '"' not in quoted
    assert not re.search(r"(?:^|\s)#", quoted)
    assert not re.search(r"(?:https?:|\$API)\S*[?*]", quoted)
