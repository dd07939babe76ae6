"""Methods that are equal on new subjects and new films, and how often each test tells them apart: `python -m
tests.truth.films 400`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import numpy as np
from tabulate import tabulate

from embench.statistics.comparison import compare

from .cohorts import recorded
from .sequential import Trials

SEEDS, FOLDS = 1, 5


def told_apart(n_subjects: int, n_films: int, film_effect: float, seed: int = 0) -> Trials:
    """Whether p of two methods is below .05: of the primary test by `auroc_crossed`, which is the primary metric, and
    by `auroc_within`, and of the permutation of subjects by `auroc_within`.

    Labels go with the film, the subject and chance. Each method reads the label through noise, and its own response to
    each film, `film_effect` SD of that noise, which makes it better on some films and worse on others.
    """
    rng = np.random.default_rng([seed, n_subjects, n_films, int(10 * film_effect)])
    while True:
        film, subject = 0.7 * rng.normal(size=n_films), 0.5 * rng.normal(size=(n_subjects, 1))
        y = (film + subject + rng.normal(size=(n_subjects, n_films)) > 0).astype(float)
        folds = np.stack([rng.permutation(n_subjects) % FOLDS for _ in range(SEEDS)])
        methods = []
        for name in "ab":
            signal = y + rng.normal(size=y.shape) + film_effect * rng.normal(size=n_films)
            predicted = np.repeat(1 / (1 + np.exp(-signal))[None], SEEDS, axis=0)
            methods.append(recorded(name, predicted, y, folds, "auroc_crossed", design="shared_stimuli"))
        crossed, within = compare(*methods), compare(*methods, metric="auroc_within")
        yield {
            "auroc_crossed": crossed.p < 0.05,
            "auroc_within": within.p < 0.05,
            "auroc_within, subjects alone": within.tests["permutation"] < 0.05,
        }


def tables(times: int) -> Iterator[str]:
    rows = []
    for n_subjects, n_films in ((37, 16), (32, 40)):
        for effect in (0.0, 0.5, 1.0):
            drawn = list(islice(told_apart(n_subjects, n_films, effect), times))
            rows.append(
                [n_subjects, n_films, effect, *(f"{100 * np.mean([d[k] for d in drawn]):.1f}" for k in drawn[0])]
            )
    yield tabulate(rows, ["subjects", "films", "film effect", *drawn[0]], tablefmt="github")


if __name__ == "__main__":
    for table in tables(int(sys.argv[1])):
        print(table, flush=True)
