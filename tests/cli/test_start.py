"""What must not be imported at start-up, and what `embench` alone says."""

import json
import os
import shlex
import subprocess
import sys

import pytest
import typer

from embench.cli import app, machine

from ..published import link_entries

HEAVY = {"torch", "numpy", "pandas", "pydantic", "scipy", "sklearn"}
BEFORE_TRAINING = {"torch", "pandas", "scipy", "sklearn"}
WRONG = (
    ["--dataset", "amigos"], ["--dataset", "amigos", "--encoder", "no_such"],
    ["--dataset", "amigos", "--encoder", "tcn", "--seeds", "first"],
)  # fmt: skip
CALL = "from embench.cli import main; main({!r})"
PLAIN = (
    [], ["--help"], ["run", "--help"], ["pretrain", "--help"], ["list"], ["list", "--json"],
    ["run", "--nonsense"], ["data", "labels", "--help"],
)  # fmt: skip


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """(code, what it must not import) of one interpreter that runs them all, from the lightest to the heaviest."""
    boards = link_entries(tmp_path_factory.mktemp("boards"), {"wearable_stress/subject-independent-v4": ["*-svm-*"]})
    entries = [str(path) for path in sorted(boards.glob("*/*/*"))]
    return [
        ("import embench", HEAVY | {"typer", "rich", "yaml"}),
        ("embench.__version__; embench.list_plugins('encoder')", HEAVY | {"typer", "rich"}),
        *((CALL.format(arguments), HEAVY | {"matplotlib", "pygments"}) for arguments in PLAIN),
        *((CALL.format(["grid", *words]), BEFORE_TRAINING) for words in WRONG),
        ("embench.run; embench.benchmark", BEFORE_TRAINING),
        (CALL.format(["info", "amigos"]), {"torch", "sklearn", "matplotlib", "pygments"}),
        (
            CALL.format(["leaderboard", "show", "--leaderboards", str(boards)]),
            {"torch", "sklearn", "scipy.stats", "av", "cv2"},
        ),
        (CALL.format(["export", entries[0]]), {"torch", "sklearn", "av", "cv2"}),
        (CALL.format(["compare", *entries]), {"torch", "sklearn.ensemble", "av", "cv2", "statsmodels"}),
    ]


@pytest.mark.parametrize("count", [pytest.param(-1, id="light"), pytest.param(None, id="all", marks=pytest.mark.slow)])
def test_start_imports_nothing_heavy(steps, count):
    steps = steps[:count]
    names = "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    program = "\n".join(["import sys, json", *(f"{code}\n{names}" for code, _ in steps)])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = [set(json.loads(line)) for line in done.stderr.splitlines() if line.startswith("[")]
    for (code, light), modules in zip(steps, imported, strict=True):
        assert not light & modules, code


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder; there are no data elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path / "nowhere"))
    return tmp_path


def told(embench, monkeypatch):
    """The commands that `embench` alone prints; each is one that the command line can read."""
    done = embench()
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    with monkeypatch.context() as patch:
        patch.setattr(typer.main.get_command(app).context_class, "invoke", lambda *_, **__: None)
        lines = [line.strip() for line in done.out.replace("\\\n", " ").splitlines() if line.startswith("  ")]
        assert all(embench(*shlex.split(line)[1:]).code == 0 for line in lines if "--help" not in line)
    assert lines[-1] == "embench --help"
    return [" ".join(line.split()) for line in lines]


def test_without_data_it_says_how_to_get_some(here, embench, monkeypatch):
    assert here
    assert "embench data synthesize amigos --out data/amigos --subjects 18" in told(embench, monkeypatch)


def test_with_data_it_says_a_run_that_fits_them(here, embench, monkeypatch):
    (here / "data" / "eegmat").mkdir(parents=True)
    lines = told(embench, monkeypatch)
    method = "--encoder handcrafted --fusion logreg --modalities ecg"
    assert f"embench run --dataset eegmat {method} --seeds 0 --data-root data" in lines
    monkeypatch.setattr(machine, "find_spec", lambda _: None)  # the light installation trains nothing
    assert "embench score predictions.csv --dataset eegmat --data-root data" in told(embench, monkeypatch)


def test_with_a_study_of_ones_own_it_names_its_folder(here, embench, monkeypatch):
    (here / "study").mkdir()
    (here / "study" / "dataset.yaml").touch()
    assert "embench data verify ./study" in told(embench, monkeypatch)


def test_with_runs_it_says_how_to_look_at_them(here, embench, monkeypatch):
    for name in ("cnn_tf-single-0", "tcn-single-1"):
        (here / "runs" / "deap" / name).mkdir(parents=True)
        (here / "runs" / "deap" / name / "run.yaml").touch()
    os.utime(here / "runs/deap/cnn_tf-single-0/run.yaml", (1, 1))
    lines = told(embench, monkeypatch)
    assert "embench report runs/deap/tcn-single-1" in lines
    assert "embench compare runs/deap/*" in lines


def test_public_names():
    import embench

    assert embench.load_plugin("encoder", "cnn_tf").__name__ == "CnnTf"
    assert "late" in embench.list_plugins("fusion")
    assert callable(embench.run)
    assert set(embench.__all__) <= set(dir(embench))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = embench.nonsense
