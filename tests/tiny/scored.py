"""Made-up runs: subjects who meet stimuli in time, with a model of known strength and confound-only models beside
it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from embench.interfaces.units import LabelRule, Target, Units
from embench.records.predictions import ANY_SEED, Labels, Predictions

BINARY = Target("stress", "binary", LabelRule(), "stress")


@dataclass
class Run:
    predictions: Predictions
    labels: Labels
    groups: dict[str, str]


@pytest.fixture
def make_run() -> Callable[..., Run]:
    return _run


def _run(
    n_subjects: int = 12,
    units: int = 20,
    seeds: int = 2,
    folds: int = 4,
    strength: float = 1.0,
    classes: int = 2,
    methods: tuple[str, ...] = ("model", "majority", "elapsed_time"),
    target: str = "stress",
) -> Run:
    """A unit each 10 s, all of a stimulus of its own that everybody meets; `majority` is constant."""
    rng = np.random.default_rng(7)
    names = [f"s{p:02d}" for p in range(n_subjects)]
    y = rng.integers(0, classes, (n_subjects, units))
    labels: dict[str, list[Any]] = {name: [] for name in Labels.FIXED}
    scores = [f"score_{k}" for k in range(classes)] if classes > 2 else []
    columns: dict[str, list[Any]] = {n: [] for n in (*Predictions.FIXED, "score", *scores, "decision")}
    for p, name in enumerate(names):
        for u in range(units):
            unit = f"{name}-r:{u * 10000}-{u * 10000 + 10000}"
            row = (name, f"{name}-r", unit, target, ANY_SEED, 1 + y[p, u], y[p, u])
            for column, value in zip(Labels.FIXED, row, strict=True):
                labels[column].append(value)
            for method in methods:
                for seed in range(seeds):
                    logits = rng.normal(size=classes) + strength * (method == "model") * np.eye(classes)[y[p, u]]
                    share = np.exp(logits) / np.exp(logits).sum()
                    if method == "majority":
                        share = np.full(classes, 1 / classes)
                    fold = (p * (2 * seed + 1) + p // folds) % folds
                    one = np.nan if classes > 2 else share[1]
                    several = share.tolist() if classes > 2 else []
                    row = (method, target, fold, seed, name, f"{name}-r", f"v{u}", unit, u * 10.0, one, *several)
                    for column, value in zip(columns, (*row, float(share.argmax())), strict=True):
                        columns[column].append(value)
    return Run(
        Predictions({n: np.array(c) for n, c in columns.items()}),
        Labels({n: np.array(c) for n, c in labels.items()}),
        {name: name for name in names},
    )


@pytest.fixture
def binary() -> Target:
    return BINARY


@pytest.fixture
def make_units() -> Callable[..., Units]:
    return _units


def _units(
    score: np.ndarray, y: np.ndarray, subject: np.ndarray, stimulus: np.ndarray, start_s: np.ndarray | None = None
) -> Units:
    n = len(y)
    return Units(
        kind="binary" if score.ndim == 1 else "classes",
        y_true=y.astype(float),
        score=score.astype(float),
        decision=np.zeros(n),
        subject=subject.astype(str),
        stimulus=stimulus.astype(str),
        start_s=np.full(n, np.nan) if start_s is None else start_s.astype(float),
        fold=np.zeros(n, int),
        group=subject.astype(str),
        length_s=10.0,
    )
