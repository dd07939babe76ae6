"""How often intervals hold the truth, and how often tests find what is not there: `python -m tests.truth.rates 2000`.

Prints the tables of `docs/statistics.md`. Subjects, partitions and models are drawn anew each time, from a fixed seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
from scipy import stats
from tabulate import tabulate

from embench import protocols
from embench.records.predictions import Predictions
from embench.statistics import significance
from embench.statistics.common import joined_on_common
from embench.statistics.comparison import compare
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, draw_bootstrap
from embench.statistics.scores import compute_scores

from .cohorts import (
    TARGET,
    UNITS,
    cross_validated,
    draw_features,
    draw_labels,
    drawn,
    forest,
    partitions,
    perceptron,
    predict,
    recorded,
    trained,
    worth,
)
from .sequential import Trials, shares

SCORES = ("auroc_within", "auroc_crossed_time", "f1_weighted")
MODELS = {"trained": trained, "drawn": drawn, "perceptron": perceptron, "forest": forest}
EFFECT, SEEDS, NEW_PEOPLE = 0.5, 3, 2000


def coverage(
    n_subjects: int, models: str, seed: int = 0, effect: float = EFFECT, n_new_subjects: int = NEW_PEOPLE
) -> Trials:
    """Whether a 95 % interval holds what the trained models score on new subjects, for each score."""
    rng = np.random.default_rng([seed, n_subjects])
    while True:
        held = {}
        y, folds = draw_labels(rng, n_subjects), partitions(rng, n_subjects, SEEDS)
        x = draw_features(rng, y, effect)
        fitted = cross_validated(rng, x, y, folds, MODELS[models])
        new = draw_labels(rng, n_new_subjects)
        truth = worth(fitted, draw_features(rng, new, effect), new)
        made = recorded("a", predict(fitted, x, folds), y, folds, SCORES[0])
        [joined] = joined_on_common([made], TARGET, made.groups)
        bootstrap = draw_bootstrap(joined.tested_subjects(), made.groups, 1000)
        for name in SCORES:
            score, _ = estimate(name, joined, TARGET, bootstrap, made.groups)
            assert isinstance(score, Estimate)
            assert score.low is not None
            assert score.high is not None
            held[name] = bool(score.low <= truth[name] <= score.high)
        yield held


def clearings(n_subjects: int, headline: str, seed: int = 0) -> Trials:
    """Whether a method clears a constant where there is nothing to learn."""
    rng = np.random.default_rng([seed, n_subjects, 2])
    while True:
        y, folds = draw_labels(rng, n_subjects), partitions(rng, n_subjects, SEEDS)
        x = draw_features(rng, y, 0.0)
        predicted = predict(cross_validated(rng, x, y, folds, trained), x, folds)
        made = recorded("a", predicted, y, folds, headline)
        constant = {
            **made.predictions.columns,
            "method": np.full(predicted.size, "prior"),
            "score": np.full(predicted.size, 0.5),
        }
        assert made.labels is not None
        scores = compute_scores(
            Predictions.concatenate([made.predictions, Predictions(constant)]),
            made.labels,
            targets=[TARGET],
            protocol=protocols.load_protocol("subject-independent-v1"),
            card=SimpleNamespace(fixed_order=headline == "auroc_crossed_time"),
            groups=made.groups,
            unit_length_s=10.0,
            replicates=300,
        )
        yield {"clears": bool(scores["differences"]["prior"][TARGET.name]["clears"])}


def rejections(
    n_subjects: int, models: str, score: str, seed: int = 0, units: int = UNITS, effect: float = EFFECT
) -> Trials:
    """Whether p of each test is below .05, when two methods read two sensors of equal use; `interval` is whether the
    difference's interval leaves out 0, `windows` a paired t test over all units, right or wrong."""
    rng = np.random.default_rng([seed, n_subjects, 1])
    while True:
        y, folds = draw_labels(rng, n_subjects, units), partitions(rng, n_subjects, SEEDS)
        predicted = []
        for _ in range(2):
            x = draw_features(rng, y, effect)
            predicted.append(predict(cross_validated(rng, x, y, folds, MODELS[models]), x, folds))
        c = compare(*(recorded(name, s, y, folds, score) for name, s in zip("ab", predicted, strict=True)))
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
        gaps = significance.EQUIVALENCE_MARGIN + 0.2 * (rng.beta(8, 2, n_subjects) - rng.beta(8, 2, n_subjects))
        error = float(stats.sem(gaps))
        found.append(significance.equivalence_test(float(gaps.mean()), error, n_subjects - 1) < 0.05)
    return float(np.mean(found))


def tables(times: int) -> Iterator[str]:
    rows = [
        [n_subjects, models, effect, *_percent(shares(coverage(n_subjects, models, effect=effect), times))]
        for n_subjects in (24, 40)
        for models, effect in ((m, e) for m in MODELS for e in (EFFECT, 0.0) if m != "drawn" or e)
    ]
    yield tabulate(rows, ["people", "models", "effect", *SCORES], tablefmt="github")
    rows = [[n, name, *_percent(shares(clearings(n, name), times))] for n in (24, 40) for name in SCORES[:2]]
    yield tabulate(rows, ["people", "headline", "clear a constant"], tablefmt="github")
    for models, effect in (("trained", EFFECT), ("drawn", EFFECT), ("trained", 0.0)):
        rows = []
        for n_subjects in (24, 40):
            for name in SCORES:
                rates = shares(rejections(n_subjects, models, name, effect=effect), times)
                rows.append([n_subjects, name, *_percent(rates)])
        yield f"{models}, effect {effect}\n" + tabulate(rows, ["people", "score", *rates], tablefmt="github")
    for units in (24, 120, 240):
        rates = shares(rejections(24, "drawn", SCORES[0], units=units), times)
        yield f"{units} windows a person: over windows {rates['windows']:.3f}, over people {rates['permutation']:.3f}"
    yield f"equivalence at the margin: {equivalences(24, 20 * times):.3f}"


def _percent(rates: dict[str, float]) -> list[str]:
    return [f"{100 * rate:.1f}" for rate in rates.values()]


if __name__ == "__main__":
    for table in tables(int(sys.argv[1])):
        print(table, "\n", flush=True)
