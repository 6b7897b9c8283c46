"""What the documents name exists (tests, paths, modules, links and anchors), and their shell blocks can be pasted."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache

import pytest

from scripts.private_services.process import free_port
from tests.environment import ROOT

DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
FOLDERS = "apps|notifier|tests|docs|docker|scripts|benchmarks|requirements"
"""Of the checkout, whose paths are looked up. An API path such as `templates/` is none of them."""
SUFFIXES = "py|md|toml|yml|conf|json|html|txt|js"
MADE = ("docker/.env", "docker/secrets/", "docker/credentials/", "var/")
"""What an installation makes for itself."""


def parameter(path, text, start, *values):
    line = text[:start].count("\n") + 1
    return pytest.param(*values, id=f"{path.relative_to(ROOT)}:{line}:{values[-1]}")


MADE_BY_RUNNING = {".venv", ".git", "var", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


@cache
def tree():
    """Every file of the checkout that is not made by running it, relative to its root."""
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE_BY_RUNNING]
        files += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return tuple(files)


@cache
def found(name):
    """The files that a document means by `name`: the path itself, or its end ("faults/test_deploy.py")."""
    return tuple(path for path in tree() if path == name or path.endswith(f"/{name}"))


@cache
def names_in(path):
    """The names that a module defines: of its own, and of its classes, alone and as `Class.name`."""
    names = set()

    def add(nodes, prefix):
        for node in nodes:
            own = []
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own = [node.name]
            elif isinstance(node, ast.Assign):
                own = [
                    leaf.id
                    for target in node.targets
                    for leaf in ast.walk(target)
                    if isinstance(leaf, ast.Name)
                ]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                own = [node.target.id]
            for name in own:
                names.update({name, f"{prefix}{name}"})
            if isinstance(node, ast.ClassDef):
                add(node.body, f"{node.name}.")
            elif isinstance(node, ast.If | ast.Try | ast.With):
                add(ast.iter_child_nodes(node), prefix)

    add(ast.parse((ROOT / path).read_text()).body, "")
    return frozenset(names)


# --- Tests ------------------------------------------------------------------------------------------------------


def promises():
    """Each test that a document names, with the file that it names last before it."""
    for document in DOCUMENTS:
        text, file = document.read_text(), ""
        for match in re.finditer(r"`((?:[\w-]+/)*test_\w+\.py)`|`(test_\w+|Test\w+)`", text):
            if match[1]:
                file = match[1]
            yield parameter(document, text, match.start(), file, match[2] or match[1])


@pytest.mark.parametrize(("file", "name"), list(promises()))
def test_every_test_that_a_document_names_exists(file, name):
    files = [path for path in found(file) if path.startswith("tests/")]
    assert files, f"no {file or 'file is named before it'} under tests/"
    assert len(files) == 1, f"more than one: name its folder, too: {files}"
    assert name == file or name in names_in(files[0])


def test_the_promises_are_many():
    """A change of the tables' form must not make the test above look at nothing."""
    per = [parameter.id.partition(":")[0] for parameter in promises()]
    assert per.count("docs/guarantees.md") > 150
    assert per.count("docs/security.md") > 80
    assert per.count("docs/operations.md") > 8


# --- Paths and modules ------------------------------------------------------------------------------------------


def paths():
    patterns = (
        # In backticks: below a folder of ours, or a file by its suffix.
        rf"`((?:{FOLDERS})/[\w./*-]*)`",
        rf"`((?:[\w.*-]+/)*[\w.*-]+\.(?:{SUFFIXES}))`",
        # In a command or an example.
        rf"(?<![\w./`:-])((?:{FOLDERS})/[\w./-]*\w)(?![\w/`{{])",
    )
    for document in DOCUMENTS:
        text = document.read_text()
        for pattern in patterns:
            for match in re.finditer(pattern, text):
                if not match[1].startswith(MADE):
                    yield parameter(document, text, match.start(), match[1])


@pytest.mark.parametrize("path", list(paths()))
def test_every_path_that_a_document_names_exists(path):
    if "*" in path:
        assert list(ROOT.glob(path))
    elif not (ROOT / path).exists():
        assert found(path)


def modules():
    for document in DOCUMENTS:
        text = document.read_text()
        for match in re.finditer(
            r"(?<![\w./@-])((?:apps|notifier|tests|celery_app)(?:\.[A-Za-z_]\w*)+)", text
        ):
            if not re.search(rf"\.(?:{SUFFIXES})$", match[1]):
                yield parameter(document, text, match.start(), match[1])


@pytest.mark.parametrize("dotted", list(modules()))
def test_every_module_that_a_document_names_exists(dotted):
    parts = dotted.split(".")
    path = ROOT
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if parts:
        module = path / f"{parts.pop(0)}.py"
        assert module.exists(), f"{module.relative_to(ROOT)} does not exist"
        assert not parts or ".".join(parts) in names_in(str(module.relative_to(ROOT)))


# --- Links ------------------------------------------------------------------------------------------------------


FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def links():
    for document in DOCUMENTS:
        # Blanked, and not cut out: the lines keep their numbers.
        text = FENCED.sub(lambda block: re.sub(r"\S", "-", block[0]), document.read_text())
        for match in re.finditer(r"\]\(([^)\s]+)\)", text):
            if not match[1].startswith(("http:", "https:", "mailto:")):
                yield parameter(document, text, match.start(), document, match[1])


@cache
def anchors(page):
    """As GitHub makes them of the headings."""
    text = FENCED.sub("", page.read_text())
    titles = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("document", "target"), list(links()))
def test_every_link_leads_somewhere(document, target):
    name, _, anchor = target.partition("#")
    page = (document.parent / name).resolve() if name else document
    assert page.exists()
    assert not anchor or anchor in anchors(page)


# --- Shell blocks -----------------------------------------------------------------------------------------------


def shell_blocks():
    for path in DOCUMENTS:
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


# --- Log lines --------------------------------------------------------------------------------------------------


def log_events():
    text = (ROOT / "docs/operations.md").read_text()
    table = text.partition("\nLines to alert on:\n")[2].partition("\n## ")[0]
    for row in table.splitlines():
        yield from re.findall(r"`(\w+)`", row.partition(" | ")[0])


@cache
def code():
    return "\n".join(
        (ROOT / path).read_text()
        for path in tree()
        if path.startswith(("apps/", "notifier/")) and path.endswith(".py")
    )


@pytest.mark.parametrize("event", sorted(set(log_events())))
def test_every_log_line_that_operations_explains_is_written(event):
    assert f'"{event}"' in code()


def test_the_log_lines_are_many():
    assert len(set(log_events())) > 20


# --- The front page ---------------------------------------------------------------------------------------------


def test_the_readme_is_one_page():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    first_screen = "\n".join(lines[:30])
    assert "make run" in first_screen
    assert "make test" in first_screen


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """(a folder that looks like the checkout, the environment): `make run` runs there."""
    tmp_path = tmp_path_factory.mktemp("demo")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["VAR_DIR"] = str(tmp_path / "var")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "manage.py").symlink_to(ROOT / "manage.py")
    (tmp_path / "var").mkdir()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart", "--port", str(free_port())],
            cwd=tmp_path, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while "\ncurl " not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.1)
        yield tmp_path, environment
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_its_blocks_send_show_and_replay(shell, demo):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    folder, environment = demo
    tour = (ROOT / "README.md").read_text().partition("\n## Send, see, replay\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", tour, re.DOTALL | re.MULTILINE)
    assert 3 <= len(blocks) <= 5
    # They are meant for a machine that has nothing else to do.
    typed = re.sub(
        r"^sleep (\d+)$", lambda line: f"sleep {3 * int(line[1])}", "\n".join(blocks), flags=re.MULTILINE
    )
    done = subprocess.run(
        [shell], input=typed, cwd=folder, env=environment, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    # Entries of two timelines: an email, a push and a text, then an email that was refused.
    assert re.findall(r'"kind": "(\w+)"', done.stdout) == [
        *("accepted", "sent", "sent", "sent"),
        *("accepted", "failed", "replayed", "sent"),
    ]


def test_no_line_is_too_long():
    """Tables and fenced blocks can't be broken."""
    long = []
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":
            continue
        text = FENCED.sub("", document.read_text())
        long += [
            f"{document.name}: {line}" for line in text.splitlines() if len(line) > 120 and line[0] != "|"
        ]
    assert not long


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text()
    for path in sorted(folder.glob("0*.md")):
        text = path.read_text()
        title = re.match(r"# (\d+)\. (.+)\n\nStatus: (.+)\n", text)
        assert title, f"{path.name}: a title, and then its status"
        assert int(title[1]) == int(path.name[:4])
        assert f"[{title[2]}]({path.name})" in index
        sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert [name for name in sections if name in FORM] == [name for name in FORM if name in sections]
        assert {"Context", "Decision", "Consequences"} <= set(sections)
        assert set(sections) <= set(FORM), path.name


FORM = ("Context", "Decision", "Consequences", "Measured", "Alternatives refused")
