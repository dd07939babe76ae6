"""How often intervals of scores near 1 hold the truth: `python -m tests.truth.near_one 2000` prints the table of
`docs/why/statistics.md`.

Subjects differ: the AUROC of each is drawn from a beta distribution around that of the population. It is measured on 24
units, half of them positive, with normal scores. The smaller the concentration, the more of the distance to 1 is due to
few subjects, and the more often samples leave them out.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats
from tabulate import tabulate

from embench.statistics.intervals import Estimate, mean_over_subjects, with_add_one_interval

POPULATIONS = 0.5, 0.75, 0.9, 0.95, 0.97, 0.99
SUBJECTS = 16, 36
CONCENTRATIONS = 2.0, 10.0
UNITS = 12
"""Of each class, for each subject."""


def measured(rng: np.random.Generator, population: float, subjects: int, concentration: float) -> np.ndarray:
    """(P,) the AUROC of each subject on their units."""
    own = rng.beta(population * concentration, (1 - population) * concentration, subjects)
    apart = np.sqrt(2) * stats.norm.ppf(np.clip(own, 1e-12, 1 - 1e-12))
    positive = rng.normal(size=(subjects, UNITS, 1)) + apart[:, None, None]
    return np.asarray((positive > rng.normal(size=(subjects, 1, UNITS))).mean((1, 2)))


def coverage(population: float, subjects: int, concentration: float, draws: int) -> dict[str, tuple[float, float]]:
    """Interval -> the share of draws in which it holds the population's AUROC, and its mean width."""
    rng = np.random.default_rng([round(1000 * population), subjects, round(concentration)])
    found: dict[str, list[tuple[bool, float]]] = {"t": [], "add-one": []}
    for _ in range(draws):
        plain = mean_over_subjects(measured(rng, population, subjects, concentration), np.arange(subjects))
        assert isinstance(plain, Estimate)
        for name, estimate in (("t", plain), ("add-one", with_add_one_interval(plain))):
            assert estimate.low is not None
            assert estimate.high is not None
            found[name].append((estimate.low <= population <= estimate.high, estimate.high - estimate.low))
    rates = {name: np.mean(each, axis=0).tolist() for name, each in found.items()}
    return {name: (held, width) for name, (held, width) in rates.items()}


def table(draws: int) -> str:
    rows = []
    for concentration in CONCENTRATIONS:
        for subjects in SUBJECTS:
            for population in POPULATIONS:
                cells = coverage(population, subjects, concentration, draws).values()
                shown = [f"{100 * held:.1f} ({width:.2f})".replace("(0.", "(.") for held, width in cells]
                rows.append([f"{concentration:g}", subjects, f"{population:g}".replace("0.", "."), *shown])
    heads = ["concentration", "subjects", "AUROC", "t", "add-one"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    print(table(int(sys.argv[1])))
