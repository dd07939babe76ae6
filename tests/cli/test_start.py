"""What must not be imported at start-up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "pandas", "pydantic", "scipy", "sklearn"}
BOARD = Path(__file__).parents[2] / "leaderboards" / "stress_predict"
ENTRIES = [str(path) for path in sorted(BOARD.glob("subject-independent-v?/*"))[:2]]
CALL = "from embench.cli import main; main({arguments!r})"


@pytest.mark.parametrize(
    ("code", "light"),
    [
        ("import embench", HEAVY | {"typer", "rich", "yaml"}),
        ("import embench; embench.__version__; embench.names('encoder')", HEAVY | {"typer", "rich"}),
        (CALL.format(arguments=["--help"]), HEAVY),
        (CALL.format(arguments=["run", "--help"]), HEAVY),
        (CALL.format(arguments=["pretrain", "--help"]), HEAVY),
        (CALL.format(arguments=["list"]), HEAVY),
        (CALL.format(arguments=["list", "--json"]), HEAVY),
        (CALL.format(arguments=["info", "amigos"]), HEAVY),
        (CALL.format(arguments=["run", "--nonsense"]), HEAVY),
        (CALL.format(arguments=["leaderboard", "show"]), {"torch", "sklearn", "scipy.stats", "av", "cv2"}),
        (CALL.format(arguments=["compare", *ENTRIES]), {"torch", "sklearn.ensemble", "av", "cv2", "statsmodels"}),
        (CALL.format(arguments=["export", ENTRIES[0]]), {"torch", "sklearn", "av", "cv2"}),
    ],
)
def test_start_imports_nothing_heavy(code, light):
    names = "json.dumps(sorted(sys.modules))"
    program = f"import sys, json\n{code}\nprint({names}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not light & set(json.loads(done.stderr.splitlines()[-1]))


def test_public_names():
    import embench

    assert embench.load("encoder", "cnn_tf").__name__ == "CnnTf"
    assert "late" in embench.names("fusion")
    assert callable(embench.run)
    assert set(embench.__all__) <= set(dir(embench))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = embench.nonsense
