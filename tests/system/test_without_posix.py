"""One module asks the operating system; without what Windows or macOS lack, the commands work all the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..published import link_entries
from ..tiny.world import few_folds

ROOT = Path(__file__).parents[2]
ONE_DOOR = ROOT / "benchmark" / "embench" / "system.py"
NOT_EVERYWHERE = re.compile(
    r"^\s*(?:import|from) (?:fcntl|resource|pwd|grp|termios|msvcrt)\b|/proc\b|sched_getaffinity"
    r"|signal\.SIG(?!INT|TERM|_DFL)|os\.(?:fork|kill|getuid|geteuid|uname|sysconf|mkfifo|killpg)\b",
    re.MULTILINE,
)


def test_one_module_asks_the_operating_system():
    files = [path for folder in ("benchmark", "plugins", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert ONE_DOOR in files
    found = {path: NOT_EVERYWHERE.findall(path.read_text("utf-8")) for path in files if path != ONE_DOOR}
    assert not {str(path): words for path, words in found.items() if words}


SCRIPT = """
import shlex, sys
from embench.cli import main
from pathlib import Path

if __name__ == "__main__":
    for line in sys.stdin:
        words = [str(next(Path().glob(word))) if "*" in word else word for word in shlex.split(line)]
        print("$", *words, flush=True)
        if code := main(words):
            sys.exit(code)
"""
LINES = """
data synthesize stress_predict --out data/stress_predict --subjects 4 --length-s 200
data status stress_predict --data-root data
run --dataset stress_predict --encoder handcrafted --fusion logreg --recipe quick --seeds 0 --modalities eda \
--workers 2 --data-root data --protocol few.yaml
score runs/stress_predict/*/predictions.csv.gz --dataset stress_predict --data-root data --protocol few.yaml \
--out scored
leaderboard show --leaderboards boards
doctor
"""


@pytest.fixture
def without_posix(tmp_path):
    """The environment of a program without what Windows or macOS lack; see `without_posix/sitecustomize.py`."""
    taken = Path(__file__).with_name("without_posix")
    path = os.pathsep.join([str(taken), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "EMBENCH_CACHE": str(tmp_path / "cache")}
    environment.pop("EMBENCH_DATA", None)
    return environment


@pytest.mark.parametrize("requested", ["import fcntl", "import resource", "import os; os.sched_getaffinity(0)"])
def test_they_are_taken_away(without_posix, requested):
    done = subprocess.run(
        [sys.executable, "-c", requested], env=without_posix, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Error" in done.stderr


def test_memory_and_cores_are_known_without_them(without_posix):
    requested = (
        "from embench import system as s; s.reset_peak_memory(); print(s.cores(), s.free_memory(), s.peak_memory())"
    )
    done = subprocess.run(
        [sys.executable, "-c", requested], env=without_posix, capture_output=True, text=True, check=True
    )
    assert all(int(number) > 0 for number in done.stdout.split())


@pytest.mark.slow
def test_commands_end_well_without_them(without_posix, tmp_path):
    few_folds(tmp_path, 2)
    link_entries(tmp_path / "boards", {"eegmat/subject-independent-v4": ["handcrafted-l*"]})
    script = tmp_path / "lines.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        input=LINES.strip(),
        cwd=tmp_path,
        env=without_posix,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n$ doctor\n" in done.stdout
