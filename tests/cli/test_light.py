"""Scoring, comparing, auditing and reading boards where the libraries that train networks are not installed."""

import csv
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embench.cli import main

HEAVY = ["av", "cv2", "neurokit2", "safetensors", "soxr", "timm", "torch", "torchvision", "transformers"]
ROOMS = ["records", "statistics", "leaderboard", "report", "site"]
BOARDS = Path(__file__).parents[2] / "leaderboards"
ENTRIES = [str(path) for path in sorted((BOARDS / "stress_predict").glob("subject-independent-v?/*"))[:2]]

WITHOUT = f"""
import sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Nowhere())
"""
EACH = """
import contextlib, io, json
from embench.cli import main

said = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""


def without_them(lines, folder, **environment):
    """(exit code, stdout, stderr) of command lines in a process that finds none of `HEAVY`."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + EACH, json.dumps(lines)],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_rooms_of_records_and_numbers_import_none_of_them():
    modules = [
        module.name
        for room in ROOMS
        for module in pkgutil.walk_packages(importlib.import_module(f"embench.{room}").__path__, f"embench.{room}.")
    ]
    program = f"{WITHOUT}\nimport importlib\nfor name in {modules}:\n    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with synthetic data that a whole installation prepared, and predictions of every unit."""
    folder = tmp_path_factory.mktemp("light")
    data = ["--data-root", str(folder / "data")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(folder / "cache"))
        for dataset, *how in (
            ("stress_predict", "--subjects", "10", "--length-s", "300"),
            ("k_emocon", "--subjects", "1", "--length-s", "20", "--videos"),
        ):
            assert main(["data", "synthesize", dataset, *how, "--out", str(folder / "data" / dataset)]) == 0
        units = str(folder / "units.csv")
        assert main(["data", "labels", "stress_predict", *data, "--units", units]) == 0
    with (folder / "units.csv").open(newline="") as file, (folder / "mine.csv").open("w", newline="") as mine:
        writer = csv.writer(mine)
        writer.writerow(["subject", "recording", "unit", "target", "score"])
        for k, row in enumerate(csv.DictReader(file)):
            writer.writerow([*(row[name] for name in ("subject", "recording", "unit", "target")), k * 7 % 11 / 11])
    for entry in ENTRIES:
        shutil.copytree(entry, folder / "boards" / Path(entry).relative_to(BOARDS))
    shared = Path("stress_predict") / "shared"
    shutil.copytree(BOARDS / shared, folder / "boards" / shared)
    return folder


@pytest.mark.slow
def test_commands_on_data_and_records_work_without_them(prepared):
    data = ["--data-root", "data"]
    lines = [
        ["list"],
        ["info", "cnn_tf"],
        ["data", "status", *data],
        ["data", "labels", "stress_predict", *data],
        ["data", "verify", "stress_predict", *data],
        ["score", "mine.csv", "--dataset", "stress_predict", *data, "--out", "scored"],
        ["audit", "scored", *data],
        ["report", "scored", *data],
        ["compare", *ENTRIES],
        ["export", *ENTRIES, "--latex", "--methods", "--bibtex"],
        ["export", *ENTRIES, "--reforms"],
        ["export", "--dataset", "stress_predict", "--croissant"],
        ["export", "--board", "boards/stress_predict", "--croissant"],
        ["leaderboard", "show", "--boards", "boards", "--all"],
        ["leaderboard", "site", "--boards", "boards", "--out", "site"],
        ["leaderboard", "build", "--boards", "boards"],
    ]
    results = without_them(lines, prepared, EMBENCH_CACHE=str(prepared / "cache"))
    for line, (code, out, err) in zip(lines, results, strict=True):
        assert code == 0, (line, out, err)
    assert Path(ENTRIES[0]).name.rpartition("-")[2] in results[-3][1]
    assert {path.name for path in (prepared / "scored").iterdir()} >= {"run.yaml", "scores.json", "audit.json"}


@pytest.mark.slow
def test_what_needs_one_of_them_names_it(prepared):
    data = ["--dataset", "stress_predict", "--data-root", "data"]
    lines = [
        ["score", "mine.csv", *data, "--out", "elsewhere"],
        ["run", *data, "--encoder", "handcrafted", "--fusion", "logreg"],
        ["data", "labels", "k_emocon", "--data-root", "data"],
        ["audit", "scored", "--data-root", "data", "--retrain", "1"],
    ]
    new, run, films, retrain = without_them(lines, prepared, EMBENCH_CACHE=str(prepared / "empty"))
    assert new[0] == run[0] == films[0] == 5
    assert "soxr is not installed" in new[2]
    assert "av is not installed" in films[2]
    assert "torch is not installed" in run[2]
    assert "pip install ." in run[2]
    assert retrain[0] != 0
