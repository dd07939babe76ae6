"""Made-up sessions of many lengths, with three tasks in one order: how often a clock seems to find something, and how
often an effect is found. `python -m tests.truth.sessions 200` prints the tables of `docs/why/statistics.md`.

Tasks begin and end later in longer sessions, by .4 s for each second, and earlier or later in some subjects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from scipy import optimize, signal, stats
from tabulate import tabulate

from embench.interfaces.metric import Undefined
from embench.records.record import Record

from ..attacks.attack import Arena
from ..attacks.clocks import CLOCKS, Clock
from ..attacks.unseen import UNSEEN
from .cohorts import draw_lengths, partitions, recorded
from .sequential import Trials, shares

EDGES = np.array([650.0, 1010.0, 1330.0, 1930.0, 2240.0, 2360.0])
"""When tasks begin and end in a session of mean length, in s, as in Stress-Predict."""
UNIT_S, SEEDS = 30, 3
HEADLINES = {
    "old": ("auroc_crossed_time", "subject-independent-v4"),
    "new": ("auroc_crossed_matched", "subject-independent-v4"),
}


def draw_sessions(
    rng: np.random.Generator, n_subjects: int, wide: bool, jitter: float = 45.0
) -> tuple[np.ndarray, np.ndarray]:
    """((subjects,) lengths in s, spread as in Stress-Predict or from 2,000 to 5,000; (subjects, units) 1 in tasks, 0
    between them, NaN after the end). `jitter`: how much earlier or later a subject's tasks are, an SD in s."""
    lengths = rng.uniform(2000.0, 5000.0, n_subjects).round(3) if wide else draw_lengths(rng, n_subjects)
    shift = 0.4 * (lengths - lengths.mean()) + jitter * rng.normal(size=n_subjects)
    edges = EDGES + shift[:, None] + 20.0 * rng.normal(size=(n_subjects, len(EDGES)))
    middle = UNIT_S * (np.arange(lengths.max() // UNIT_S) + 0.5)
    y = (edges[:, :, None] < middle).sum(1) % 2.0
    return lengths, np.where(middle + UNIT_S / 2 <= lengths[:, None], y, np.nan)


def draw_scores(rng: np.random.Generator, y: np.ndarray, within: float) -> np.ndarray:
    """(subjects, units) what a method says that nobody had to train, and that scores `within` inside subjects: noise
    that lasts (its correlation is .9 after 10 s), and an effect that differs between subjects."""
    spread = 1 + 0.7 * stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    effect = optimize.brentq(lambda d: stats.norm.cdf(d * spread / np.sqrt(2)).mean() - within, 0, 10)
    kept = 0.9 ** (UNIT_S / 10)
    start = rng.normal(size=(len(y), 1))
    noise = np.hstack([start, np.sqrt(1 - kept**2) * rng.normal(size=(len(y), y.shape[1] - 1))])
    gain = effect * (1 + 0.7 * rng.normal(size=(len(y), 1)))
    return gain * np.nan_to_num(y) + signal.lfilter([1.0], [1.0, -kept], noise)


def made_run(rng: np.random.Generator, lengths: np.ndarray, y: np.ndarray, score: np.ndarray, which: str) -> Record:
    """A run with the same scores (subjects, units) in all seeds, under the old primary metric or the new one."""
    primary_metric, protocol = HEADLINES[which]
    folds = partitions(rng, lengths, SEEDS, protocol)
    return recorded("a", np.tile(score, (SEEDS, 1, 1)), y, folds, primary_metric, lengths, unit_s=UNIT_S)


def findings(clocks: Mapping[str, Clock], seed: int = 0) -> Trials:
    """Whether the interval of each clock lies above .5, and its negative's, on 24 to 40 subjects; what is not estimable
    does not."""
    rng = np.random.default_rng([seed, 3])
    while True:
        n_subjects, wide, jitter = int(rng.integers(24, 41)), bool(rng.integers(2)), float(rng.choice([30, 45, 60]))
        lengths, y = draw_sessions(rng, n_subjects, wide, jitter)
        arena = Arena(made_run(rng, lengths, y, rng.random(y.shape), "new"))
        found = {}
        for name, clock in clocks.items():
            score = arena.clock(clock)
            for sign, what in ((1, name), (-1, f"{name}, negated")):
                primary_metric = arena.primary_metric(sign * score)
                found[what] = not isinstance(primary_metric, Undefined) and primary_metric.low > 0.5
        yield found


def powers(n_subjects: int, wide: bool, within: float, seed: int = 0) -> Trials:
    """Whether the interval of an effect lies above .5 under the old primary metric and under the new one, and whether
    the latter is not estimable."""
    rng = np.random.default_rng([seed, n_subjects, wide, round(100 * within)])
    while True:
        lengths, y = draw_sessions(rng, n_subjects, wide)
        score, found = draw_scores(rng, y, within), {}
        for which in HEADLINES:
            arena = Arena(made_run(rng, lengths, y, score, which))
            primary_metric = arena.primary_metric(arena.rows["score"])
            found[which] = not isinstance(primary_metric, Undefined) and primary_metric.low > 0.5
            found["not estimable"] = isinstance(primary_metric, Undefined)
        yield found


def tables(times: int) -> Iterator[str]:
    rows = []
    for n_subjects, wide in product((12, 24, 34, 40), (False, True)):
        rates = [shares(powers(n_subjects, wide, within), times) for within in (0.6, 0.65, 0.72)]
        cells = [f"{100 * rate[which]:.0f}" for rate in rates for which in HEADLINES]
        missing = np.mean([rate["not estimable"] for rate in rates])
        rows.append(
            [n_subjects, "2,000 to 5,000 s" if wide else "as in Stress-Predict", *cells, f"{100 * missing:.0f}"]
        )
    head = [f"{within}, {which}" for within in (".60", ".65", ".72") for which in HEADLINES]
    yield tabulate(rows, ["subjects", "lengths", *head, "not estimable"], "github")
    rates = shares(findings(CLOCKS | UNSEEN), times)
    yield tabulate([[name, f"{100 * rate:.1f}"] for name, rate in rates.items()], ["clock", "above .5"], "github")


if __name__ == "__main__":
    for table in tables(int(sys.argv[1])):
        print(table, "\n", flush=True)
