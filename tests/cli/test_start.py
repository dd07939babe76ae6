"""What must not be imported at start-up."""

import json
import subprocess
import sys

import pytest

from ..site.conftest import link_entries

HEAVY = {"torch", "numpy", "pandas", "pydantic", "scipy", "sklearn"}
CALL = "from embench.cli import main; main({!r})"
PLAIN = (
    ["--help"], ["run", "--help"], ["pretrain", "--help"], ["list"], ["list", "--json"], ["info", "amigos"],
    ["run", "--nonsense"], ["data", "labels", "--help"],
)  # fmt: skip


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """(code, what it must not import) of one interpreter that runs them all, from the lightest to the heaviest."""
    boards = link_entries(tmp_path_factory.mktemp("boards"), {"stress_predict/subject-independent-v2": ["*-svm-a*"]})
    entries = [str(path) for path in sorted(boards.glob("*/*/*"))]
    return [
        ("import embench", HEAVY | {"typer", "rich", "yaml"}),
        ("embench.__version__; embench.names('encoder')", HEAVY | {"typer", "rich"}),
        *((CALL.format(arguments), HEAVY | {"matplotlib"}) for arguments in PLAIN),
        (
            CALL.format(["leaderboard", "show", "--boards", str(boards)]),
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


def test_public_names():
    import embench

    assert embench.load("encoder", "cnn_tf").__name__ == "CnnTf"
    assert "late" in embench.names("fusion")
    assert callable(embench.run)
    assert set(embench.__all__) <= set(dir(embench))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = embench.nonsense
