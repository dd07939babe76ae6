"""Every command that README, CONTRIBUTING and the pages of docs/ print is run, in the order of its page, and ends well.

Commands are read from the pages, so a page that gains one is tested with it. Only what they work on is small: a few
synthetic subjects in `.embench/demo` and in $EMBENCH_DATA, and a few real ones, in one partition, in the folder written
as DIR. The quick tests read the arguments of every command and run those that need no data; the slow ones run all.
"""

import shlex
import tomllib

import pytest
import typer

from embench import registry
from embench.cli import app, main

from .conftest import EMBENCH, run_all
from .pages import CLUSTER, FIRST, GUIDE, PAGES, ROOT, blocks, commands

HERE = [page for page in PAGES if page != CLUSTER]
HOLDERS = [page for page in PAGES if "datasets" in page.parts and "\n## Run it\n" in page.read_text(encoding="utf-8")]
"""Pages with commands on files that have to be obtained: their arguments are read, and they are not run."""
WITHOUT_GUIDE = [page for page in HERE if page not in (*GUIDE, *HOLDERS, FIRST)]
"""Pages whose commands run here; `test_guide.py` and `test_first_run.py` run others, and look at what they leave."""
FOUNDATION = ROOT / "docs" / "guide" / "foundation.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WU = ROOT / "docs" / "papers" / "wu2023.md"
ADDRESS = PROJECT.get("urls", {}).get("Repository", "https://example.org/embench")
"""The address of the repository; until `pyproject.toml` has one, a name that nobody can register."""
GROUPS = ("challenge", "data", "leaderboard", "plugin", "weights")
INSTANT = ("list", "info", "doctor")


def is_instant(words):
    """Whether a command shows what the program itself knows."""
    if words[0] not in EMBENCH:
        return words[0] == "make"
    return len(words) == 1 or words[1] in INSTANT or bool({"--help", "--version"} & set(words))


def pages_with(wanted, pages=HERE):
    found = {page: [words for words in commands(page) if wanted(words)] for page in pages}
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page, lines in found.items() if lines]


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_of_programs_that_a_test_can_run(page):
    for words in commands(page):
        if words[:2] == ("git", "clone"):
            assert words[2] == ADDRESS
            continue
        assert words[0] in {*EMBENCH, "make", "python"}, f"no test runs `{' '.join(words)}`"
        if words[0] == "make":
            assert f"\n{words[1]}: " in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", pages_with(lambda words: words[0] in EMBENCH and not is_instant(words)))
def test_arguments_are_those_of_the_commands(page, monkeypatch):
    are_read([words for words in commands(page) if words[0] in EMBENCH and not is_instant(words)], monkeypatch)


@pytest.mark.parametrize(("page", "count"), [(FOUNDATION, 4), (WU, 2)])
def test_arguments_of_the_commands_for_holders_of_weights_are_those_of_the_commands(page, count, monkeypatch):
    """They need weights that nobody has here: they are text, and not run. Nor are lines that rows of a table end."""
    text = "".join(b.body for b in blocks(page) if b.language == "text").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if "run" not in line.split() or "--dataset" in line]
    assert len(lines) == count
    are_read([shlex.split(line) for line in lines], monkeypatch)


def are_read(lines, monkeypatch):
    """Each is read as the program reads it, and goes to the command that it names; nothing is run."""
    read, program = [], typer.main.get_command(app).context_class
    monkeypatch.setattr(program, "invoke", lambda self, *_, **__: read.append(self.command_path))
    for words in lines:
        assert main(words[1:]) == 0, " ".join(words)
        assert read[-1].split() == ["embench", *words[1 : 3 if words[1] in GROUPS else 2]]


def test_each_dataset_has_its_holders_commands():
    """Where nobody has read the whole release, the forecast comes first: it may take a night."""
    cards = [registry.load_plugin("dataset", name).card for name in registry.list_plugins("dataset")]
    unread = {card.name.partition("/")[0] for card in cards if card.verified_on_real == "never"}
    assert {page.stem for page in HOLDERS} == {card.name.partition("/")[0] for card in cards} - {"own", "corpus"}
    for page in HOLDERS:
        lines = [words for words in commands(page) if words[1] == "baselines"]
        assert all(words[2:4] == ("--dataset", page.stem) for words in lines), page
        forecast = [words[-1] == "--dry-run" for words in lines]
        assert forecast == ([True, False] if page.stem in unread else [False]), page


@pytest.mark.parametrize("page", pages_with(is_instant))
@pytest.mark.usefixtures("mine")
def test_instant_commands_run(page, shell, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # `doctor` reads all prepared data
    run_all([words for words in commands(page) if is_instant(words)], shell)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(lambda words: not is_instant(words) and "DIR" not in words, WITHOUT_GUIDE))
@pytest.mark.usefixtures("workplace", "mine")
def test_commands_run(page, shell):
    run_all([words for words in commands(page) if "DIR" not in words], shell)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(lambda words: "DIR" in words))
@pytest.mark.usefixtures("workplace")
def test_commands_on_real_subjects_run(page, shell, real_data):
    assert real_data
    run_all([words for words in commands(page) if "DIR" in words], shell)
