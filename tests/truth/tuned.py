"""How often a method exceeds chance, and how well it scores: with its own settings, with those that each fold chooses
on its validation subjects, and with one choice by the validation subjects of all folds, who are test subjects of
others. `python -m tests.truth.tuned 50`; names of cases after the number choose some."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from embench.planning.tuning import Search
from embench.runs.run import run
from embench.runs.tuning import tune
from embench.statistics.result import Result

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subject, write

SUBJECTS, RECORDINGS, FOLDS = 20, 12, 5
CASES: dict[str, tuple[float, dict[str, Any], Search]] = {
    "no signal, logreg": (0.5, {"fusion": "logreg"}, Search(space=("fusion.build.C=log:1e-4..1e2",), trials=8)),
    "no signal, knn": (0.5, {"fusion": "knn"}, Search(space=("fusion.build.neighbours=log:1..60",), trials=8)),
    "signal, knn of one neighbour": (
        0.3,
        {"fusion": "knn", "settings": ("fusion.build.neighbours=1",)},
        Search(space=("fusion.build.neighbours=log:1..60",), trials=8),
    ),
}
"""Case -> the share of labels that differ from what the signals say, a method, and what is searched."""


def draw(folder: Path, wrong: float, seed: int) -> Bench:
    """Subjects whose valence is what their signals say, but for a share of labels that are `wrong`: half of them is all
    of it."""
    subjects = {}
    for number in range(SUBJECTS):
        rng = np.random.default_rng([seed, number])
        high = rng.permutation(np.arange(RECORDINGS) % 2)
        felt = np.where(rng.random(RECORDINGS) < wrong, 1 - high, high)
        rated = [{"arousal": 3.0 + 4 * a, "valence": 3.0 + 4 * v} for a, v in zip(high, felt, strict=True)]
        subjects[f"p{number:02d}"] = make_subject(
            number, RECORDINGS, seconds=10.0, modalities=("eda",), ratings=rated.__getitem__
        )
    return Bench(write(folder / "data", subjects, seed=seed), folder / "runs", protocol=few_folds(folder, FOLDS))


def scored(case: str, seed: int, folder: Path) -> dict[str, tuple[float, bool]]:
    """Way of choosing -> AUROC within subjects, and whether its interval lies above chance."""
    wrong, method, search = CASES[case]
    bench = draw(folder, wrong, seed)
    request = bench.request("handcrafted", modalities="eda", targets="valence", **method)
    found = tune(request, search)
    means = [np.mean([c.scores[k] or 0.0 for c in found.tuning.choices]) for k in range(search.trials)]
    best = search.settings[int(np.argmax(means))]
    asked = {
        "own settings": request,
        "chosen in each fold": found.request,
        "chosen once": replace(request, settings=(*request.settings, *best)),
    }
    return {name: _above(run(each)) for name, each in asked.items()}


def _above(result: Result) -> tuple[float, bool]:
    score = result.scores.get_scores("valence")["auroc_within"]
    return score.mean, score.low is not None and score.low > 0.5


def tables(times: int, cases: Collection[str], root: Path) -> Iterator[str]:
    os.environ["EMBENCH_CACHE"] = str(root / "cache")
    for case in cases or CASES:
        drawn = []
        for seed in range(times):
            with tempfile.TemporaryDirectory(dir=root) as folder:
                drawn.append(scored(case, seed, Path(folder)))
        rows = []
        for name in drawn[0]:
            means, above = zip(*(each[name] for each in drawn), strict=True)
            rows.append([name, f"{np.mean(means):.3f}", f"{sum(above)} of {times}"])
        yield tabulate(rows, [case, "AUROC within subjects", "above chance"], tablefmt="github")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="embench-tuned-") as where:
        for table in tables(int(sys.argv[1]), sys.argv[2:], Path(where)):
            print(f"{table}\n", flush=True)
