"""`python -m tests.install`: the wheel installed in an empty environment, where plugins of every kind are then written,
installed and run; and the light installation in another one, which scores predictions on every dataset.

Needs a package index. Nothing of this folder can be imported in either environment: programs run elsewhere.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections import defaultdict
from pathlib import Path

from embench import registry

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
KINDS = ("dataset", "encoder", "pretrainer", "fusion", "estimator", "metric", "observer")
NEW = [["plugin", "new", kind, f"mine_{kind}", "--author", "Ada Lovelace"] for kind in KINDS]
OWN = ["--dataset", "mine_dataset", "--data-root", "made", "--recipe", "quick", "--seeds", "0", "--device", "cpu"]
NETWORKS = ["--encoder", "mine_encoder", "--pretrainer", "mine_pretrainer", "--fusion", "mine_fusion"]
MINE = [
    *(["plugin", "check", f"embench_mine_{kind}"] for kind in KINDS),
    ["data", "synthesize", "mine_dataset", "--out", "made/mine_dataset", "--subjects", "6"],
    ["run", *OWN, *NETWORKS, "--observer", "mine_observer"],
    ["run", *OWN, "--encoder", "handcrafted", "--fusion", "mine_estimator", "--modalities", "eda"],
]
LIGHT = [["doctor"], ["list"], ["leaderboard", "show", "--leaderboards", str(BOARDS)], ["compare", *ENTRIES]]

UNLABELLED = "corpus"
"""The dataset without targets: recordings to pretrain on."""


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


def add_own(python: Path, place: Path) -> None:
    """Installs the new packages in `place`, and runs the tests that came with them."""
    folders = [str(place / f"embench-mine-{kind}") for kind in KINDS]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "pytest", *folders], check=True)
    line = [str(python), "-m", "pytest", "-q", "--import-mode=importlib", *folders]
    subprocess.run(line, cwd=place, env=without_checkout(), check=True)


def without_checkout() -> dict[str, str]:
    """The environment of programs that must not find this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and "EMBENCH" not in name}


def run(program: Path, lines: list[list[str]], place: Path) -> None:
    """Runs commands in a folder of their own, without this checkout on the path."""
    clean = without_checkout()
    place.mkdir(exist_ok=True)
    for line in lines:
        done = subprocess.run([str(program), *line], cwd=place, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"embench {' '.join(line)}: {done.stdout}{done.stderr}"
        print("ok: embench", *line, flush=True)


def predict(units: Path, predictions: Path) -> None:
    """Writes predictions of the first target of two classes among the units that `embench data labels` lists."""
    with units.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = defaultdict[str, set[str]](set)
    for row in rows:
        labels[row["target"]].add(row["label"])
    chosen = next(target for target, found in labels.items() if found <= {"", "0", "1"})
    with predictions.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["subject", "recording", "unit", "target", "score"], extrasaction="ignore")
        writer.writeheader()
        for k, row in enumerate(row for row in rows if row["target"] == chosen):
            writer.writerow(row | {"score": k * 7 % 11 / 11})


def score_each_dataset(program: Path, place: Path) -> None:
    """Lists the units of synthetic files of every dataset, and scores predictions of them."""
    for entry in registry.entries("dataset"):
        name = entry.full_name.removeprefix(f"{registry.BUNDLED}/")
        if name == UNLABELLED:
            continue
        root = f"made-{name.replace('/', '-')}"
        made, files = ["--data-root", root], f"{root}/{name.partition('/')[0]}"
        run(program, [["data", "synthesize", name, "--out", files, "--subjects", "6"]], place)
        run(program, [["data", "labels", name, *made, "--units", "units.csv"]], place)
        predict(place / "units.csv", place / "mine.csv")
        run(program, [["score", "mine.csv", "--dataset", name, *made, "--out", f"scored/{name}"]], place)
        shutil.rmtree(place / root)


def same_identities(python: Path) -> None:
    """The bundled readers have the identities there that they have here, in an editable installation."""
    call = "{n: r.code_identity('dataset', n) for n in r.list_plugins('dataset')}"
    ask = f"from embench import registry as r; print({call})"
    asked = [
        subprocess.run(
            [str(each), "-c", ask], env=without_checkout(), capture_output=True, text=True, check=True
        ).stdout
        for each in (python, Path(sys.executable))
    ]
    assert asked[0] == asked[1], asked


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="embench-install-") as name:
        place = Path(name)
        wheel = build(place / "dist")
        assert not missing(wheel), missing(wheel)
        score = ROOT / "requirements-score.txt"
        light = installed(place / "light", f"-r {score}", f"--no-deps {wheel}")
        same_identities(light.with_name("python"))
        run(light, LIGHT, place / "light-work")
        score_each_dataset(light, place / "light-work")
        pins = f"-c {ROOT / 'constraints.txt'}"
        program, work = installed(place / "whole", f"torch {pins}", f"{wheel} {pins}"), place / "whole-work"
        run(program, [*WHOLE, *NEW], work)
        add_own(program.with_name("python"), work)
        run(program, MINE, work)


if __name__ == "__main__":
    main()
