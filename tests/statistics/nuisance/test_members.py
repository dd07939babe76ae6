"""Every model that reads labels off nuisances predicts what the columns tell, of classes and of values."""

import numpy as np
import pytest

from embench import system
from embench.interfaces.units import LabelRule, Target
from embench.statistics import nuisance_models

MADE = ("balanced_trees", "trees", "careful_trees", "forest", "linear", "kernel", "perceptron")
TARGETS = {
    "binary": Target("t", "binary", LabelRule(), label="t"),
    "classes": Target("t", "classes", LabelRule(), label="t", n=3),
    "value": Target("t", "value", LabelRule(), label="t"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_models_predict_what_columns_tell(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    truth = x[:, 0] + 0.3 * rng.normal(size=len(x))
    y = {"binary": truth > 0, "classes": np.digitize(truth, [-0.5, 0.5]), "value": truth}[kind].astype(float)
    half = np.arange(len(x)) < 200
    parts = [(np.flatnonzero(half == side), np.flatnonzero(half != side)) for side in (True, False)]
    made = nuisance_models.predictions(
        {name: (x, getattr(nuisance_models, name)) for name in MADE}, y, TARGETS[kind], parts, seed=0
    )
    for name, predicted in made.items():
        assert predicted.shape == (len(x), 3 if kind == "classes" else 1)
        assert np.corrcoef(predicted[:, -1], truth)[0, 1] > 0.5, name


@pytest.mark.slow
def test_processes_predict_the_same_bytes(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200).astype(float)
    fold = np.arange(200) % 4
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    some = {name: (x, getattr(nuisance_models, name)) for name in MADE}
    here = nuisance_models.predictions(some, y, TARGETS["binary"], parts, seed=0)
    monkeypatch.setattr(system, "WORKERS_START_S", 0.0)  # so that they pay after one fit of each
    monkeypatch.setattr(nuisance_models, "cores", lambda: 2)
    there = nuisance_models.predictions(some, y, TARGETS["binary"], parts, seed=0)
    for name in MADE:
        assert here[name].tobytes() == there[name].tobytes(), name
