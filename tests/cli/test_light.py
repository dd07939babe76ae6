"""Scoring, comparing, auditing and reading boards where the libraries that train networks are not installed."""

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

from ..install import predict

HEAVY = [
    "cv2", "huggingface_hub", "matplotlib", "neurokit2", "requests", "safetensors", "timm", "torch", "torchvision",
    "transformers",
]  # fmt: skip
ROOMS = ["records", "statistics", "leaderboard", "report", "site"]
BOARDS = Path(__file__).parents[2] / "leaderboards"
ENTRIES = [
    str(BOARDS / "stress_predict" / "subject-independent-v4" / name)
    for name in ("handcrafted-svm-d535a9be1d", "handcrafted-svm-8ca7c7b5c8")
]

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
        made = ["--subjects", "10", "--length-s", "300", "--out", str(folder / "data" / "stress_predict")]
        assert main(["data", "synthesize", "stress_predict", *made]) == 0
        units = str(folder / "units.csv")
        assert main(["data", "labels", "stress_predict", *data, "--units", units]) == 0
    predict(folder / "units.csv", folder / "mine.csv")
    for entry in ENTRIES:
        shutil.copytree(entry, folder / "boards" / Path(entry).relative_to(BOARDS))
    shared = Path("stress_predict") / "shared"
    shutil.copytree(BOARDS / shared, folder / "boards" / shared)
    return folder


@pytest.mark.slow
def test_commands_on_data_and_records_work_without_them(prepared):
    data = ["--data-root", "data"]
    lines = [
        ["doctor", *data],
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
        ["leaderboard", "show", "--leaderboards", "boards", "--all"],
        ["leaderboard", "site", "--leaderboards", "boards", "--out", "site"],
        ["leaderboard", "build", "--leaderboards", "boards"],
    ]
    results = without_them(lines, prepared, EMBENCH_CACHE=str(prepared / "cache"))
    for line, (code, out, err) in zip(lines, results, strict=True):
        assert code == 0, (line, out, err)
    assert Path(ENTRIES[0]).name.rpartition("-")[2] in results[-3][1]
    assert "light, without training" in " ".join(results[0][1].split())
    assert "BROKEN" not in results[0][1]
    assert {path.name for path in (prepared / "scored").iterdir()} >= {"run.yaml", "scores.json", "audit.json"}


@pytest.mark.slow
def test_what_needs_one_of_them_names_it(prepared):
    data = ["--dataset", "stress_predict", "--data-root", "data"]
    lines = [
        ["run", *data, "--encoder", "handcrafted", "--fusion", "logreg"],
        ["baselines", *data],
        ["tune", *data, "--encoder", "cnn_tf", "--fusion", "single", "--search", "encoder.lr=0.1,1"],
        ["pretrain", "--pretrainer", "mae", "--corpus", "stress_predict", "--encoder", "cnn_tf", "--data-root", "data"],
        ["list", "--matrix"],
        ["info", "logreg"],
        ["data", "fetch", "stress_predict", "--data-root", "elsewhere", "--yes"],
        ["audit", "scored", "--data-root", "data", "--retrain", "1"],
    ]
    *train, info, fetch, retrain = without_them(lines, prepared, EMBENCH_CACHE=str(prepared / "empty"))
    for line, (code, out, err) in zip(lines, train, strict=False):  # of those that train
        assert code == 5, (line, out, err)
        assert "torch is not installed" in err
        assert "https://download.pytorch.org/whl/cpu && pip install ." in err
    assert info[0] == 0
    assert "torch is not installed, and fusion `logreg` needs it" in info[1] + info[2]
    assert "pip install requests" in fetch[2]
    assert retrain[0] != 0


@pytest.mark.slow
def test_predictions_on_films_are_scored_without_them(tmp_path):
    """`make install` does so for every dataset, in a light installation."""
    made = ["--data-root", "made"]
    synthetic = ["data", "synthesize", "k_emocon", "--subjects", "6", "--out", str(tmp_path / "made" / "k_emocon")]
    assert main([*synthetic, "--videos", "--length-s", "60"]) == 0
    cache = str(tmp_path / "cache")
    lines = [["data", "labels", "k_emocon", *made, "--units", "units.csv"]]
    (labels,) = without_them(lines, tmp_path, EMBENCH_CACHE=cache)
    assert labels[0] == 0, labels
    predict(tmp_path / "units.csv", tmp_path / "mine.csv")
    lines = [["score", "mine.csv", "--dataset", "k_emocon", *made, "--out", "scored"]]
    (scored,) = without_them(lines, tmp_path, EMBENCH_CACHE=cache)
    assert scored[0] == 0, scored
