"""A working folder as the reader of a page has it: data at hand, the program installed, the pages' files written."""

import os
import subprocess
import sys
import tomllib
from glob import glob
from pathlib import Path

import pytest

from embench import registry
from embench.cli import main

from .pages import PAGES, ROOT, commands, files

EMBENCH = ("embench", ".venv/bin/embench")

SIZE = ("--subjects", "4", "--length-s", "25")
"""Of made-up data in place of a page's: as few people as leave some to train on and to validate, and films of 14 to
20 s, each with a window of 10 s."""

SIZES = {"amigos": SIZE, "case": ("--subjects", "5", "--length-s", "300"), "stress_predict": ("--length-s", "300")}
"""What is added where a page's command makes recordings of real length."""

THIN = {"cnn_mlp": ("widths=[8,8,8]", "hidden=8"), "videomae": ("width=48", "layers=1")}
"""What networks of films are built with where a plan asks for a paper's, of which a step of training takes 10 s."""


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data root with a small generated AMIGOS."""
    root = tmp_path_factory.mktemp("docs-data")
    assert main(["data", "synthesize", "amigos", "--out", str(root / "amigos"), *SIZE]) == 0
    return root


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    """Stages of the runs of all pages, so that a stage of several is run once."""
    return tmp_path_factory.mktemp("docs-stages")


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """A data root with a few of the real subjects of Stress-Predict and Quiroz 2018, as links; skips where there are
    none."""
    source = os.environ.get("EMBENCH_TEST_DATA")
    if not source:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    root = tmp_path_factory.mktemp("docs-real")
    places = ["stress_predict/Processed_data", "quiroz2018/user_study_encoding.csv", "quiroz2018/PANAS"]
    places += [f"stress_predict/Raw_data/{subject}" for subject in ("S02", "S03", "S04")]
    walks = Path(source).glob("quiroz2018/walking_data/mo_ew1?_*.csv")
    for place in (*places, *(f"quiroz2018/walking_data/{walk.name}" for walk in walks)):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(Path(source, place))
    return root


@pytest.fixture(scope="session")
def entries():
    """Published entries that a command names, and a few of the others."""
    named = {word.rpartition("/")[2] for page in PAGES for words in commands(page) for word in words}
    boards = ROOT / "leaderboards"
    folders = [*boards.glob("stress_predict/*/*/"), *boards.glob("wearable_stress/*-v4/*/")]
    some = [folder for folder in folders if folder.name in named or folder.name[-2:] < "03"]
    return [*some, *(folder for folder in boards.glob("eegmat/*/*/") if folder.name in named)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with the pages' files in it; now the working folder."""
    for page in PAGES:
        for name, text in files(page).items():
            if "/" not in name:
                (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def workplace(folder, data, stages, entries, session_cache, monkeypatch):
    """The folder with the demo's data where README has them, and a part of the published entries."""
    demo = folder / ".embench" / "demo"
    demo.mkdir(parents=True)
    (demo / "amigos").symlink_to(data / "amigos", target_is_directory=True)
    for runs in (folder / "runs", demo / "runs"):
        runs.mkdir()
        (runs / "stages").symlink_to(stages, target_is_directory=True)
    for entry in entries:  # links, so that what is published stays here
        link = folder / entry.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(entry, target_is_directory=True)
    (folder / "docs").symlink_to(ROOT / "docs", target_is_directory=True)
    monkeypatch.setenv("EMBENCH_DATA", str(data))
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    return folder


@pytest.fixture
def mine(folder, site, installing):
    """The package of the pages on plugins, installed from the files that they show."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["embench"]
    package = folder / points["plugins"]
    package.mkdir()
    (package / "__init__.py").write_text("")
    for path in [*folder.glob("my_*.py"), folder / "registry.yaml"]:
        (package / path.name).write_text(path.read_text())
    installing.write(site, project["name"], project["version"], points, package)
    registry.refresh()
    return package


FILLED_IN = {("data", "new"): "{}/", ("challenge", "new"): "/holder/"}
"""Command -> a part of the paths of files that a reader fills in after it, as the pages show them."""


def fill_in(folder, within):
    """Write the files of the pages whose path has `within`."""
    for name, text in (item for page in PAGES for item in files(page).items()):
        if within in name:
            (folder / name).write_text(text)


def shorten(arguments):
    """Return a printed command with what makes it quick."""
    if arguments[:2] == ["data", "synthesize"] and "--length-s" not in arguments:
        arguments += SIZES.get(arguments[2], ())
    if arguments[:1] == ["run"] and "DIR" in arguments:
        arguments += ("--seeds", "0")  # minutes for ten partitions
    if arguments[:3] == ["baselines", "--dataset", "./study"]:
        arguments += ("--seeds", "0", "--modalities", "eda")  # minutes for all
    if "paper" in arguments and "--encoder" in arguments:
        thin = THIN.get(arguments[arguments.index("--encoder") + 1], ())
        arguments += [word for setting in thin for word in ("--set", f"encoder.build.{setting}")]
    return arguments


@pytest.fixture
def shell(folder, request):
    """Runs a printed command as a reader would, and gives its exit code and what it printed. `make` only says what it
    would do: its targets are what continuous integration runs. A file in a folder, such as `study/dataset.yaml`, is
    written once `data new` or `challenge new` has."""

    def run(words):
        program, *words = words
        if program == "git":  # a reader without a clone
            return 0, ""
        arguments = [each for word in words for each in sorted(glob(word)) or [word]]  # noqa: PTH207  words may be paths from /
        if program in EMBENCH:
            arguments = shorten(arguments)
            capsys = request.getfixturevalue("capsys")
            values = {"VALUE": "8f3a" * 16}  # of a public value, which a reader looks up
            if "DIR" in arguments:
                values["DIR"] = str(request.getfixturevalue("real_data"))
            code = main([values.get(word, word) for word in arguments])
            for command, within in FILLED_IN.items():
                if tuple(arguments[:2]) == command:
                    fill_in(folder, within.format(*arguments[2:3]))
            return code, "".join(capsys.readouterr())
        line = {
            "make": ["make", "--dry-run", "--directory", str(ROOT), *arguments],
            "python": [sys.executable, *arguments],
        }[program]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def run_all(lines, shell):
    for words in lines:
        code, printed = shell(words)
        assert code == 0, f"{' '.join(words)}\nended with {code}:\n{printed}"
