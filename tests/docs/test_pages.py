"""What the pages say is there, is there: links, options, commands, names, exit codes, files."""

import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import typer

from embench import protocols, registry
from embench.cli import app

from .pages import LINKED, PAGES, ROOT, anchors, files, links

GUIDE = [page for page in PAGES if {"start", "guide"} & set(page.parts)]
RUN = ROOT / "docs" / "guide" / "run.md"


def commands_of(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands_of(typer.main.get_command(app)))


def leads_nowhere(page, link):
    """Whether a link inside the project has no file or heading, or one outside it cannot be an address."""
    if re.match(r"[a-z]+:", link):
        parts = urlsplit(link)
        return parts.scheme != "mailto" and (parts.scheme not in ("https", "http") or "." not in (parts.hostname or ""))
    path, _, part = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    outside = not target.is_relative_to(ROOT)
    return outside or not target.exists() or bool(part and target.suffix == ".md" and part not in anchors(target))


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert [link for link in links(page) if leads_nowhere(page, link)] == []


@pytest.mark.parametrize(
    ("link", "fine"),
    [
        ("other.md", True), ("other.md#two-words", True), ("#here", True), ("https://doi.org/10.1/x", True),
        ("gone.md", False), ("other.md#three", False), ("#there", False), ("htps://example.org", False),
        ("https://example", False), ("../../../etc/passwd", False),
    ],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch, link, fine):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.write_text(f"# Here\n\n| a | b |\n|---|---|\n| [a table's]({link}) | `[code](is.none)` |\n")
    other.write_text("## *Two* words\n")
    monkeypatch.setitem(leads_nowhere.__globals__, "ROOT", tmp_path)
    (found,) = links(page)
    assert leads_nowhere(page, found) is not fine


def test_nobody_is_told_to_install_another_project_of_this_name():
    texts = [*PAGES, *(ROOT / "benchmark").rglob("*.py"), *(ROOT / "plugins").rglob("*.py"), ROOT / "pyproject.toml"]
    wrong = re.compile(r"pip install[^\n`]*[ '\"]embench(?![-_\w])")
    assert not [str(path) for path in texts if wrong.search(path.read_text())]


def test_nobody_is_told_to_install_a_name_that_is_not_registered():
    """Who registered it would run code on readers' machines."""
    folders = [ROOT / "benchmark", ROOT / "plugins", ROOT / "tests"]
    texts = [*PAGES, *(path for folder in folders for path in folder.rglob("*.py"))]
    wrong = re.compile(r"pip install[^\n`]*[ '\"]embench-affect(?! @)")
    assert not [str(path) for path in texts if wrong.search(path.read_text())]


def test_the_guide_shows_every_command():
    named = "".join(page.read_text() for page in GUIDE)
    assert not [name for name in COMMANDS if f"embench {name}" not in named]


def test_the_page_on_runs_explains_options_that_exist():
    options = {option for parameter in COMMANDS["run"].params for option in parameter.opts}
    explained = set(re.findall(r"^\| `(--[\w-]+)", RUN.read_text(), re.MULTILINE))
    assert len(explained) > 9
    assert not explained - options


def test_every_protocol_answers_a_question():
    page = (ROOT / "docs" / "which-protocol.md").read_text()
    assert [name for name in protocols.protocol_names() if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("page", "most"),
    [("README.md", 450), ("docs/concepts.md", 1200), ("docs/which-protocol.md", 500), ("docs/cite.md", 500)],
)
def test_the_first_pages_are_short(page, most):
    assert len((ROOT / page).read_text().split()) <= most


def test_a_page_says_what_exists():
    table = (ROOT / "docs" / "reference" / "included.md").read_text().partition("| | exists |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([^`]+)`", table))
    kinds = ("dataset", "encoder", "pretrainer", "fusion", "observer")
    bundled = {e.name for e in registry.entries() if e.package == registry.BUNDLED and e.kind in kinds}
    assert named == {name for name in bundled if "/" not in name} | set(protocols.protocol_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_shown_files_are_tidy(page, tmp_path):
    shown = {name: named for name, named in files(page).items() if name.endswith(".py")}
    for name, named in shown.items():
        (tmp_path / name).write_text(named)
    ruff = [sys.executable, "-m", "ruff"]
    for line in (["check", "--select", "E,F,W,B,UP"], ["format", "--check"]) if shown else ():
        done = subprocess.run(
            [*ruff, *line, "--isolated", "--line-length", "120", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
