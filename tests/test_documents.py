"""What documents name is there."""

import re

import pytest

from tests.environment import ROOT

TESTS = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


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
