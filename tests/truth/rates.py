"""How often intervals hold the truth, and how often tests find what is not there: `python -m tests.truth.rates 2000`.

Prints tables of `docs/why/statistics.md`, beside those of `allowance` and `films`. Subjects, partitions and models are
drawn anew each time, from a fixed seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from scipy import stats
from tabulate import tabulate

from embench import protocols
from embench.statistics import intervals
from embench.statistics.comparison import compare
from embench.statistics.scores import compute_scores

from .allowance import CANDIDATES, added, draws
from .cohorts import (
    TARGET,
    UNITS,
    cross_validated,
    draw_features,
    draw_labels,
    draw_lengths,
    drawn,
    partitions,
    predict,
    recorded,
    trained,
)
from .sequential import Trials, shares

TAKEN = CANDIDATES.index("bounded")
"""The allowance that statistics make; `test_allowance` proves that it is the same."""
MODELS = {"trained": trained, "drawn": drawn}
EFFECT, SEEDS = 0.5, 3


def outcomes(n_subjects: int, models: str, effect: float = EFFECT) -> Trials:
    """For each score, whether a 95 % interval misses what the trained models score on new subjects, and, as `p` of the
    score, whether the primary test tells two methods apart that read two sensors of equal use."""
    for row in draws(models, n_subjects, effect):
        found = {}
        for name, (mean, own, df, truth, *rest) in row.items():
            more = added(np.array(own), *np.array(rest[:3]))["bounded"]
            half = stats.t.ppf(0.975, df) * np.sqrt(own + np.nan_to_num(more))
            found[name] = bool(abs(mean - truth) > half)
            if len(rest) > 3:
                found[f"p {name}"] = rest[3 + TAKEN] < 0.05
        yield found


def false_alarms(n_subjects: int, primary_metric: str, seed: int = 0) -> Trials:
    """Whether a method is shown to be above chance where there is nothing to learn."""
    rng = np.random.default_rng([seed, n_subjects, 2])
    while True:
        lengths, y = draw_lengths(rng, n_subjects), draw_labels(rng, n_subjects)
        folds = partitions(rng, lengths, SEEDS)
        x = draw_features(rng, y, 0.0)
        predicted = predict(cross_validated(rng, x, y, folds, trained), x, folds)
        made = recorded("a", predicted, y, folds, primary_metric, lengths)
        assert made.labels is not None
        scores = compute_scores(
            made.predictions,
            made.labels,
            targets=[TARGET],
            protocol=protocols.load_protocol("subject-independent-v4"),
            design="fixed_order" if primary_metric == "auroc_crossed_matched" else "free",
            sessions=made.sessions,
            groups=made.groups,
            unit_length_s=10.0,
        )
        yield {"above": bool(scores["scores"][TARGET.name][primary_metric]["low"] > 0.5)}


def rejections(
    n_subjects: int, models: str, score: str, seed: int = 0, units: int = UNITS, effect: float = EFFECT
) -> Trials:
    """Whether p of each test is below .05, when two methods read two sensors of equal use; `interval` is whether the
    difference's interval leaves out 0, `windows` a paired t test over all units, right or wrong."""
    rng = np.random.default_rng([seed, n_subjects, 1])
    while True:
        lengths, y = draw_lengths(rng, n_subjects), draw_labels(rng, n_subjects, units)
        folds = partitions(rng, lengths, SEEDS)
        predicted = []
        for _ in range(2):
            x = draw_features(rng, y, effect)
            predicted.append(predict(cross_validated(rng, x, y, folds, MODELS[models]), x, folds))
        c = compare(*(recorded(name, s, y, folds, score, lengths) for name, s in zip("ab", predicted, strict=True)))
        found = {name: bool(p < 0.05) for name, p in c.tests.items()}
        assert c.difference.low is not None
        assert c.difference.high is not None
        found["interval"] = not c.difference.low <= 0 <= c.difference.high
        right = [((s >= 0.5) == y).mean(0).ravel() for s in predicted]
        found["windows"] = bool(stats.ttest_rel(*right).pvalue < 0.05)
        yield found


def equivalences(n_subjects: int, times: int) -> float:
    """The share of findings of equivalence where the true difference is the margin itself, when subjects' scores are
    skewed as areas near 1 are."""
    rng = np.random.default_rng(n_subjects)
    found = []
    for _ in range(times):
        gaps = intervals.EQUIVALENCE_MARGIN + 0.2 * (rng.beta(8, 2, n_subjects) - rng.beta(8, 2, n_subjects))
        error = float(stats.sem(gaps))
        found.append(intervals.equivalence_test(float(gaps.mean()), error, n_subjects - 1) < 0.05)
    return float(np.mean(found))


def tables(times: int) -> Iterator[str]:
    rows = [
        [n, name, *_percent(shares(false_alarms(n, name), times))]
        for n in (24, 40)
        for name in ("auroc_within", "auroc_crossed_matched")
    ]
    yield tabulate(rows, ["subjects", "primary_metric", "clear a constant"], tablefmt="github")
    rows = []
    for n_subjects in (24, 40):
        for name in ("auroc_within", "auroc_crossed_matched", "f1_weighted"):
            rates = shares(rejections(n_subjects, "trained", name), times)
            rows.append([n_subjects, name, *_percent(rates)])
    yield tabulate(rows, ["subjects", "score", *rates], tablefmt="github")
    for units in (24, 120, 240):
        rates = shares(rejections(24, "drawn", "auroc_within", units=units), times)
        yield f"{units} windows a subject: over windows {rates['windows']:.3f}, primary {rates['permutation']:.3f}"
    yield f"equivalence at the margin: {equivalences(24, 20 * times):.3f}"


def _percent(rates: dict[str, float]) -> list[str]:
    return [f"{100 * rate:.1f}" for rate in rates.values()]


if __name__ == "__main__":
    for table in tables(int(sys.argv[1])):
        print(table, "\n", flush=True)
