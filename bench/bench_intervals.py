"""How long intervals and comparisons take on one core, and the promised bounds.

40 subjects with 300 units each, five folds, three seeds: 12,000 units, each predicted three times.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
from tabulate import tabulate

from embench.interfaces.units import LabelRule, Target, Units
from embench.statistics import permutation
from embench.statistics.estimates import estimate
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import Joined

N_SUBJECTS, UNITS, STIMULI, FOLDS, SEEDS = 40, 300, 20, 5, 3
METRICS = ("auroc_within", "auroc", "balanced_accuracy", "f1_weighted", "brier", "ece")
TARGET = Target("stress", "binary", LabelRule(), "stress")
TIMES = 3
"""Of which the quickest counts: other programs run too."""


def made_up(units: int, seed: int) -> Joined:
    """Predictions that are somewhat right; a subject's units are spread over the stimuli."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (N_SUBJECTS, units)).astype(float)
    names = np.repeat([f"s{p:02d}" for p in range(N_SUBJECTS)], units)
    seeds = {}
    for k in range(SEEDS):
        score = 1 / (1 + np.exp(-(0.5 * y + rng.normal(size=y.shape)))).ravel()
        everything = Units(
            kind="binary",
            y_true=y.ravel(),
            score=score,
            decision=(score >= 0.5).astype(float),
            subject=names,
            stimulus=np.tile([f"v{u * STIMULI // units:02d}" for u in range(units)], N_SUBJECTS),
            start_s=np.tile(10.0 * np.arange(units), N_SUBJECTS),
            fold=np.repeat(rng.permutation(N_SUBJECTS) % FOLDS, units),
            group=names,
            length_s=10.0,
        )
        seeds[k] = {fold: everything.take(everything.fold == fold) for fold in range(FOLDS)}
    return Joined(seeds)


def quickest(call: Callable[[], object]) -> float:
    """Processor seconds."""
    seconds = []
    for _ in range(TIMES):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    joined, films, other = made_up(UNITS, 0), made_up(STIMULI, 1), made_up(UNITS, 2)
    groups = {
        subject: subject
        for folds in joined.tested_subjects()
        for members in folds.values()
        for subject in members.tolist()
    }
    subjects = leave_one_out(joined.tested_subjects(), groups).subjects
    codes = np.arange(N_SUBJECTS)

    def scored(names: tuple[str, ...], of: Joined) -> None:
        for name in names:
            estimate(name, of, TARGET, leave_one_out(of.tested_subjects(), groups))

    tasks: dict[str, tuple[Callable[[], object], float | None]] = {
        "six metrics": (lambda: scored(METRICS, joined), 5.0),
        f"auroc_crossed, {STIMULI} stimuli": (lambda: scored(("auroc_crossed",), films), 1.0),
        "auroc_crossed_time of all units": (lambda: scored(("auroc_crossed_time",), joined), None),
        "permutation test of f1_weighted": (
            lambda: permutation.permuted_differences("f1_weighted", joined, other, subjects, codes),
            None,
        ),
    }
    rows = []
    for name, (call, bound) in tasks.items():
        seconds = quickest(call)
        verdict = "" if bound is None else f"{bound:.0f} s" + (" MISSED" if seconds > bound else "")
        rows.append([name, f"{seconds:.2f} s", verdict])
    print(f"{N_SUBJECTS} subjects, {N_SUBJECTS * UNITS:,} units, {SEEDS} seeds; one core, quickest of {TIMES}")
    print(tabulate(rows, ["", "processor", "bound"]), "\n")


if __name__ == "__main__":
    main()
