"""`python -m tests.install`: the wheel installed in an empty environment, and the light installation in another one.

Needs a package index. Nothing of this folder can be imported in either environment: programs run elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOARDS = ROOT / "leaderboards"
ENTRIES = [str(path) for path in sorted((BOARDS / "stress_predict").glob("subject-independent-v?/*"))[:2]]
MADE = ["--dataset", "amigos", "--data-root", "made", "--runs", "runs", "--seeds", "0", "--device", "cpu"]
WHOLE = [
    ["doctor"],
    ["list"],
    ["info", "cnn_tf"],
    ["data", "synthesize", "amigos", "--out", "made/amigos", "--subjects", "5", "--length-s", "12"],
    ["run", *MADE, "--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "ecg", "--target", "arousal"],
]
LIGHT = [["list"], ["leaderboard", "show", "--boards", str(BOARDS)], ["compare", *ENTRIES]]


def build(folder: Path, source: Path = ROOT) -> Path:
    """The wheel of the sources, written to a folder."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def missing(wheel: Path) -> list[str]:
    """Files of the two packages that the wheel lacks."""
    tracked = subprocess.run(
        ["git", "ls-files", "benchmark/embench", "plugins/embench_plugins"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    held = set(zipfile.ZipFile(wheel).namelist())
    return [name for name in tracked.stdout.splitlines() if name.partition("/")[2] not in held]


def installed(folder: Path, *arguments: str) -> Path:
    """The `embench` of a new environment with what pip is told to install there, one call for each line."""
    venv.create(folder, with_pip=True)
    for line in arguments:
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *line.split()], check=True)
    return folder / "bin" / "embench"


def run(program: Path, lines: list[list[str]], place: Path) -> None:
    """Runs commands in a folder of their own, without this checkout on the path."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and "EMBENCH" not in name}
    place.mkdir()
    for line in lines:
        done = subprocess.run([str(program), *line], cwd=place, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"embench {' '.join(line)}: {done.stdout}{done.stderr}"
        print("ok: embench", *line, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="embench-install-") as name:
        place = Path(name)
        wheel = build(place / "dist")
        assert not missing(wheel), missing(wheel)
        score = ROOT / "requirements-score.txt"
        run(installed(place / "light", f"-r {score}", f"--no-deps {wheel}"), LIGHT, place / "light-work")
        pins = f"-c {ROOT / 'constraints.txt'}"
        run(installed(place / "whole", f"torch {pins}", f"{wheel} {pins}"), WHOLE, place / "whole-work")


if __name__ == "__main__":
    main()
