"""What the pages say is there, is there: links, options, commands, names, exit codes, files."""

import re
import subprocess
import sys

import pytest
import typer

from embench import errors, protocols, registry
from embench.cli import app

from .pages import PAGES, ROOT, files, links

README, GUIDE = ROOT / "README.md", ROOT / "docs" / "user-guide.md"


def commands_of(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    missing = [str(target) for target in links(page) if not target.exists()]
    assert not missing


def test_nobody_is_told_to_install_another_project_of_this_name():
    texts = [*PAGES, *(ROOT / "benchmark").rglob("*.py"), *(ROOT / "plugins").rglob("*.py"), ROOT / "pyproject.toml"]
    wrong = re.compile(r"pip install[^\n`]*[ '\"]embench(?![-_\w])")
    assert not [str(path) for path in texts if wrong.search(path.read_text())]


def test_readme_or_user_guide_shows_every_command():
    named = README.read_text() + GUIDE.read_text()
    assert not [name for name in COMMANDS if f"embench {name}" not in named]


def test_user_guide_names_every_option_of_run():
    options = {option for parameter in COMMANDS["run"].params for option in parameter.opts if option.startswith("--")}
    assert not [option for option in options - {"--help"} if f"`{option}" not in GUIDE.read_text()]


def test_user_guide_names_every_exit_code():
    kinds = [getattr(errors, name) for name in dir(errors) if isinstance(getattr(errors, name), type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.EmbenchError)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", GUIDE.read_text(), re.MULTILINE)} == codes | {0, 130, 143}


def test_readme_says_what_exists():
    table = README.read_text().partition("| | exists |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([^`]+)`", table))
    kinds = ("dataset", "encoder", "pretrainer", "fusion")
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
