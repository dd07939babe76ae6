"""All estimators of values, from the command line: on generated joystick ratings, and on real self-ratings of a few
people."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from embench import registry
from embench.cli import main
from embench.interfaces.fusion import Estimator

from ..tiny.world import few_folds

DATA = os.environ.get("EMBENCH_TEST_DATA")
real = pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA does not say where real data are")
SUBJECTS = 5


def estimators_of_values() -> list[str]:
    """Bundled fusions that are fitted to features and predict values."""
    loaded = {name: registry.load_plugin("fusion", name) for name in registry.list_plugins("fusion")}
    return [n for n, k in loaded.items() if issubclass(k, Estimator) and k.reads == "features" and "value" in k.kinds]


def generated_case(root: Path) -> None:
    registry.synthesizer("case")(root / "case", subjects=SUBJECTS, seed=0, effect=1.0, length_s=200)


def some_of(dataset: str, folder: str, root: Path) -> None:
    """The files of a release with the recordings of a few people."""
    source, copy = Path(str(DATA)) / dataset, root / dataset
    for person in sorted((source / folder).iterdir())[:SUBJECTS]:
        shutil.copytree(person, copy / folder / person.name)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, copy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "target"),
    [
        ("case", "arousal_value"),
        pytest.param("hku956", "valence_value", marks=real),
        pytest.param("wearable_stress", "rating", marks=real),
    ],
)
def test_all_baselines_of_values_run(
    dataset: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    if dataset == "case":
        generated_case(tmp_path)
    elif dataset == "hku956":
        some_of("hku956", "1. physiological_signals", tmp_path)
    else:
        some_of("wearable_stress", "Wearable_Dataset/STRESS", tmp_path)
    fusions = estimators_of_values()
    assert set(fusions) >= {"ridge", "linear_svr", "svr", "forest", "boosting", "knn", "mlp"}
    line = ["grid", "--dataset", dataset, "--target", target, "--data-root", str(tmp_path), "--seeds", "0"]
    line += ["--encoder", "handcrafted", "--runs", str(tmp_path / "runs"), "--workers", "1"]
    line += ["--protocol", few_folds(tmp_path, 2)]  # what clock and movement tell takes longer than all methods
    assert main([*line, *(part for name in fusions for part in ("--fusion", name))]) == 0, capsys.readouterr().err
    files = list((tmp_path / "runs").glob("*/*/scores.json"))
    assert len(files) == len(fusions)
    for file in files:
        scores = json.loads(file.read_text())["scores"][target]
        assert np.isfinite(scores["ccc"]["mean"])
        assert 0 < scores["rmse"]["mean"] < 10
