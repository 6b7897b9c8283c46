"""Each path and each name of the recipes in CONTRIBUTING.md resolves, so that whoever follows one finds the place."""

import re

import pytest

from tests.environment import ROOT
from tests.project.test_documents import names_in

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = TEXT.partition("\n## Recipes\n")[2]
FOLDERS = ("apps", "notifier", "tests", "docs", "docker", "scripts")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def steps():
    """(the recipe's title, the text of one of its steps); what stands before a recipe's steps is one, too."""
    for recipe in re.split(r"^### ", RECIPES, flags=re.MULTILINE):
        title, _, text = recipe.partition("\n")
        for step in re.split(r"^\d+\. |\n\n", text, flags=re.MULTILINE):
            if "`" in step:
                yield title, step


def is_path(word):
    return word.split("/")[0] in FOLDERS or word in ("pyproject.toml", "CHANGELOG.md")


def mentions():
    """Each word in backticks: a path, or a name with the paths before it in its step."""
    for title, step in steps():
        before = []
        for number, word in enumerate(re.findall(r"`([^`]+)`", step)):
            if is_path(word):
                before.append(word)
                yield pytest.param(word, None, id=f"{title}: {word}")
            elif NAME.fullmatch(word):
                yield pytest.param(word, tuple(before), id=f"{title}: {number} {word}")


def modules(path):
    whole = ROOT / path
    found = [whole] if whole.is_file() else sorted(whole.rglob("*.py"))
    return [str(module.relative_to(ROOT)) for module in found if module.suffix == ".py"]


@pytest.mark.parametrize(("word", "places"), list(mentions()))
def test_what_a_recipe_mentions_is_there(word, places):
    if places is None:
        assert (ROOT / word).exists()
        assert word.endswith("/") == (ROOT / word).is_dir(), "a folder ends in a slash"
    else:
        assert places, "no path stands before it in its step"
        assert any(word in names_in(module) for place in places for module in modules(place)), places


def test_every_recipe_is_read():
    titles = {title for title, _ in steps()}
    assert {"Add a provider", "Add a channel", "Add a status", "Change a claim's SQL"} <= titles
    assert len(list(mentions())) > 200


def rooms_listed():
    table = TEXT.partition("| Room of `apps/notifications/` |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)


def test_every_room_has_its_line():
    rooms = {path.parent.name for path in (ROOT / "apps/notifications").glob("*/__init__.py")}
    assert set(rooms_listed()) == rooms - {"migrations"}
    for app in (ROOT / "apps").glob("*/__init__.py"):
        assert f"| `apps/{app.parent.name}/` |" in TEXT


def test_rooms_stand_in_the_order_of_their_contract():
    contract = (ROOT / "pyproject.toml").read_text().partition('containers = ["apps.notifications"]')[2]
    layers = re.findall(r'"([\w |]+)"', contract.partition("\nlayers = [")[2].partition("]")[0])
    from_the_top = [name.strip() for layer in layers for name in layer.split("|")]
    assert rooms_listed() == [name for name in reversed(from_the_top) if name in rooms_listed()]
