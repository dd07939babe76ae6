"""How often intervals of calibration and net benefit hold the truth: `python -m tests.truth.probabilities 200` prints
the table of `docs/why/statistics.md`.

In each trial, a logistic regression is trained on new subjects, in five folds and three seeds. The truth is what these
models get on 400 others. Subjects differ in their features and, where `own` is not 0, in how often they are positive.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tabulate import tabulate

from embench.interfaces.units import Units
from embench.statistics.calibration import Calibration, calibration
from embench.statistics.joined import Joined

SUBJECTS, OTHERS, UNITS, FOLDS, SEEDS = (15, 24, 36), 400, 40, 5, 3
WORLDS = {"nothing to learn": (0.0, 0.0), "nothing to learn, own": (0.0, 1.0), "learnt": (1.0, 0.0),
          "learnt, own": (1.0, 1.0)}  # fmt: skip
"""The effect of a feature, and the SD of log odds between subjects."""


def people(rng: np.random.Generator, n: int, told: float, own: float) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, UNITS, 3) and labels (n, UNITS) of subjects."""
    x = rng.normal(0, 0.7, (n, 1, 3)) + rng.normal(size=(n, UNITS, 3))
    odds = told * x[..., 0] + rng.normal(0, own, (n, 1)) - 0.7
    return x, (rng.random((n, UNITS)) < expit(odds)).astype(float)


def trial(
    rng: np.random.Generator, subjects: int, told: float, own: float
) -> tuple[Calibration, np.ndarray, np.ndarray]:
    """The predictions of the models for their test subjects, and the probabilities and labels (n,) of others."""
    (x, y), (others, positive) = people(rng, subjects, told, own), people(rng, OTHERS, told, own)
    seeds: dict[int, dict[int, Units]] = {seed: {} for seed in range(SEEDS)}
    said = []
    for seed in range(SEEDS):
        order = rng.permutation(subjects)
        for fold in range(FOLDS):
            test = np.sort(order[fold::FOLDS])
            train = np.setdiff1d(order, test)
            model = LogisticRegression().fit(x[train].reshape(-1, 3), y[train].ravel())
            score, known = model.predict_proba(x[test].reshape(-1, 3))[:, 1], y[test].ravel()
            who, none = np.repeat(np.char.mod("p%02d", test), UNITS), np.zeros(known.size)
            seeds[seed][fold] = Units("binary", known, score, none, who, who, none, np.full(known.size, fold), who)
            said.append(model.predict_proba(others.reshape(-1, 3))[:, 1])
    found = calibration(Joined(seeds), {})
    assert isinstance(found, Calibration)
    return found, np.concatenate(said), np.tile(positive.ravel(), len(said))


def coverage(subjects: int, told: float, own: float, draws: int) -> dict[str, float]:
    """The shares of intervals that hold the truth, the share of thresholds at which a gain was shown that there is not,
    of those without one, and the means of the error and of what chance would make of it."""
    rng = np.random.default_rng([subjects, int(told), int(own)])
    seen: dict[str, list[float]] = {name: [] for name in ("share", "net benefit", "mean", "error", "by chance")}
    shown: list[bool] = []
    for _ in range(draws):
        found, said, positive = trial(rng, subjects, told, own)
        cell = np.searchsorted([b.lowest for b in found.bins[1:]], said, side="right")
        for k, b in enumerate(found.bins):
            seen["share"].append((b.low or 0) <= positive[cell == k].mean() <= (b.high or 1))
        for at in found.benefits:
            alarm = said >= at.threshold
            gain = (positive * alarm).mean() - at.odds * ((1 - positive) * alarm).mean()
            always = positive.mean() - at.odds * (1 - positive).mean()
            if at.low is not None and at.high is not None:
                seen["net benefit"].append(at.low <= gain <= at.high)
            if gain <= max(0, always):
                shown.append(at.is_shown)
        gap = found.too_high
        seen["mean"].append((gap.low or 0) <= said.mean() - positive.mean() <= (gap.high or 0))
        seen["error"].append(found.error)
        seen["by chance"].append(found.by_chance or 0)
    return {**{name: float(np.mean(values)) for name, values in seen.items()}, "shown": float(np.mean(shown))}


if __name__ == "__main__":
    rows = []
    for count in SUBJECTS:
        for name, world in WORLDS.items():
            got = coverage(count, *world, draws=int(sys.argv[1]))
            held = [f"{100 * got[of]:.1f}" for of in ("share", "net benefit", "mean", "shown")]
            rows.append([count, name, *held, *(f"{got[of]:.3f}" for of in ("error", "by chance"))])
    heads = ["subjects", "world", "share in a bin", "net benefit", "mean probability", "gain shown where none is",
             "calibration error", "by chance"]  # fmt: skip
    print(tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True))
