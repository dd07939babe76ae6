"""The packages in `examples/`: they are listed, conform, pass their own tests, and work together in a run."""

import json
import os
import subprocess
import sys

import pytest

from embench import registry
from embench.records.manifest import method_kind
from embench.records.record import read_manifest
from embench.testing import check

from ..sample import sample
from .conftest import FOLDERS

PACKAGES = [folder.name.replace("-", "_") for folder in FOLDERS]


def offered(package):
    (entry,) = (entry for entry in registry.entries() if entry.package == package)
    return entry


def test_they_are_listed_and_each_has_what_a_package_needs(examples, embench):
    listed = {entry["package"]: entry for entry in json.loads(embench("list", "--json").out)}
    assert {listed[package]["kind"] for package in examples} == {"encoder", "dataset", "observer"}
    assert not [listed[package]["broken"] for package in examples if listed[package]["broken"]]
    for package, folder in examples.items():
        assert listed[package]["name"] in (folder / "README.md").read_text()
        assert list((folder / "tests").glob("test_*.py"))


@pytest.mark.parametrize("package", sample(PACKAGES, "embench_acq_films", "embench_lab_notebook"))
def test_it_conforms(examples, package, tmp_path):
    assert package in examples
    entry = offered(package)
    cls = registry.load_plugin(entry.kind, entry.name)
    if entry.kind == "dataset":
        registry.synthesizer(entry.name)(tmp_path / "made", subjects=2, seed=0, effect=1.0)
        check("dataset", cls, tmp_path / "made")
    else:
        check(entry.kind, cls)


@pytest.mark.slow
def test_their_own_tests_pass(tmp_path):
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, FOLDERS), *filter(None, sys.path)])}
    tests = [str(folder / "tests") for folder in FOLDERS]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(line, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("examples")
def test_they_work_together(embench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = embench("data", "synthesize", "acq_films", "--out", "data/acq_films", "--subjects", "30")
    assert made.code == 0, made.err
    line = ["run", "--dataset", "acq_films", "--encoder", "rocket", "--fusion", "logreg", "--recipe", "quick"]
    done = embench(*line, "--seeds", "0", "--observer", "lab_notebook", "--data-root", "data", "--json")
    assert done.code == 0, done.err
    run = json.loads(done.out)
    (noted,) = [row for row in (tmp_path / "notebook.md").read_text().splitlines() if run["run"] in row]
    assert "acq_films" in noted
    folder = tmp_path / "runs" / "acq_films" / run["run"]
    assert method_kind(read_manifest(folder).method) == "features"  # what a package's encoder gives
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert "mean" in scores["valence"][run["primary_metric"]]
    assert scores["arousal"]["auroc_within"]["mean"] > 0.6  # the planted effect, of which ROCKET sees the rhythm
