"""`embench plugin new`: what it writes installs, conforms and runs; the guide shows the same classes."""

import json
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from embench import registry
from embench.authoring import check_plugins, write_package
from embench.cli import main
from embench.testing import check

from ..docs.pages import GUIDE, files
from ..sample import WHOLE, drawn, sample

KINDS = (*registry.PLUGIN_KINDS, "estimator")
SHOWN = {name: text for page in GUIDE for name, text in files(page).items()}


@pytest.fixture
def write(tmp_path, site, installing):
    """Writes packages and installs them, as pip would."""

    def written(kind, name):
        made = write_package(kind, name, tmp_path / f"project-{name}", "Ada Lovelace")
        project = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]
        points = project["entry-points"]["embench"]
        installing.write(site, project["name"], project["version"], points, made.folder / made.package)
        registry.refresh()
        return made

    return written


@pytest.mark.parametrize("kind", KINDS)
def test_the_guide_shows_the_class_that_is_written(kind, tmp_path):
    made = write_package(kind, f"my_{kind}", tmp_path / "project")
    assert (made.folder / made.package / f"my_{kind}.py").read_text() == SHOWN[f"my_{kind}.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_checks(kind, write):
    made = write(kind, "mine")
    found = list(check_plugins(made.package))
    assert [one.check for one in found] == ["registry.yaml", "import", "conformance"]
    assert not [one for one in found if one.fault or one.skipped]
    assert "Ada Lovelace" in (made.folder / "LICENSE").read_text()


@pytest.mark.slow
def test_the_tests_of_new_packages_pass(write, site):
    folders = [write(kind, f"mine_{kind}").folder for kind in KINDS]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *folders]
    path = f"{site}:{':'.join(sys.path)}"
    done = subprocess.run(line, cwd=site, env={"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{2 * len(folders)} passed" in done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("workplace")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS if WHOLE else drawn(KINDS)[:3])
def test_the_commands_that_come_next_end_with_a_headline(kind, write, workplace, session_cache, monkeypatch, capsys):
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    monkeypatch.chdir(workplace)
    made = write(kind, "mine")
    for line in made.try_it:
        program, *words = shlex.split(line)
        assert program == "embench"
        if words[:2] == ["data", "synthesize"] and Path("data", words[2]).exists():
            continue  # as most kinds, an earlier one has made these data
        if "--length-s" in words:
            words += ["--length-s", "15"]  # a window of each film is enough for a primary metric, too
        capsys.readouterr()
        assert main([*words, "--json"] if words[0] == "run" else words) == 0
    run = json.loads(capsys.readouterr().out)
    assert run["scores"]["arousal"][run["primary_metric"]]["mean"] > 0


def test_new_packages_are_clean_to_linters(tmp_path):
    for kind in KINDS:
        write_package(kind, f"mine_{kind}", tmp_path / kind)
    for line in (["check", "--select=E,F,UP,B"], ["format", "--check"]):
        words = [sys.executable, "-m", "ruff", line[0], "--isolated", "--line-length=120", *line[1:], str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encoders", "mine"], "did you mean encoder"),
        (["encoder", "2fast"], "`2fast` is not a name"),
        (["encoder", "my-net"], "letters, digits and `_`"),
        (["encoder", "../../etc"], "is not a name"),
        (["encoder", "réseau"], "is not a name"),
        (["encoder", "lambda"], "a keyword of Python"),
        (["encoder", "logreg"], "already has a fusion with the name `logreg`"),
        (["encoder", "plugins"], "a package with the name embench_plugins exists already"),
    ],
)
def test_names_that_cannot_be_taken(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plugin", "new", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "kept").mkdir()
    assert main(["plugin", "new", "metric", "mine", "--out", str(tmp_path / "kept")]) == 2
    assert "exists already, and embench does not overwrite it" in capsys.readouterr().err
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("name", sample(["network", "tensor", "encoder", "view", "small"], "network", "small"))
def test_a_class_that_would_hide_another_of_its_module_gets_a_longer_name(name, write):
    made = write("encoder", name)
    check("encoder", registry.load_plugin("encoder", f"{made.package}/{name}"))


def test_what_it_prints_are_the_next_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plugin", "new", "fusion", "mine", "--author", "Ada"]) == 0
    printed = capsys.readouterr().out
    for line in ("pip install -e ./embench-mine", "embench plugin check embench_mine", "--fusion mine"):
        assert line in printed
    assert main(["plugin", "check", "embench-mine"]) == 2
    assert "pip install -e ./embench-mine" in capsys.readouterr().err
