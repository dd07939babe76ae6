"""Intervals hold the truth and tests find what is not there as often as they say; `docs/why/statistics.md` has
the figures.

Bounds are the promised rates, and what 300 trials leave to chance beside them: about two standard errors.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from embench.statistics.intervals import SHARED_TRAINING

from ..sample import WHOLE, proof, sample
from .allowance import SCORES
from .films import told_apart
from .rates import equivalences, false_alarms, outcomes, rejections
from .sequential import MOST, Trials, wrong

CHANCE = 0.03
"""What 300 trials leave to chance beside a promised rate."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_subjects", "models", "effect"),
    [
        (24, "trained", 0.0),
        *(pytest.param(n, "trained", effect, marks=proof) for n, effect in ((24, 0.5), (40, 0.0), (40, 0.5))),
        *(pytest.param(24, "forest", effect, marks=proof) for effect in (0.0, 0.5)),
    ],
)  # fmt: skip
def test_intervals_miss_and_tests_find_what_is_not_there_as_seldom_as_they_say(
    n_subjects: int, models: str, effect: float
) -> None:
    misses = dict.fromkeys(SCORES, (0.0, 0.07 + CHANCE))
    finds = {f"p {name}": (0.0, 0.07 + CHANCE) for name in SCORES[:3]}
    assert not wrong(_with_all(outcomes(n_subjects, models, effect), {**misses, **finds}), {**misses, **finds})


def _with_all(trials: Trials, names: Iterable[str]) -> Trials:
    """The trials in which all of the scores were estimable."""
    return (trial for trial in trials if all(name in trial for name in names))


@pytest.mark.slow
@pytest.mark.parametrize("models", [pytest.param("trained", marks=proof), "drawn"])
def test_scores_of_folds_are_seldom_told_apart(models: str) -> None:
    tests = (SHARED_TRAINING, "corrected resampled t", "equivalence", "interval")
    trials = rejections(24, models, "f1_weighted")
    assert not wrong(trials, dict.fromkeys(tests, (0.0, 0.07 + CHANCE)), most=MOST if WHOLE else 100)


@pytest.mark.slow
@pytest.mark.parametrize("primary_metric", ["auroc_within", pytest.param("auroc_crossed_matched", marks=proof)])
def test_methods_that_learned_nothing_are_seldom_above_chance(primary_metric: str) -> None:
    """Once in 40 by the interval's word."""
    assert not wrong(false_alarms(24, primary_metric), {"above": (0.0, 0.035 + 0.015)}, most=MOST if WHOLE else 60)


@pytest.mark.slow
def test_methods_that_are_equal_on_new_films_are_seldom_told_apart() -> None:
    """The permutation of subjects alone, by the score inside subjects, does so three times as often."""
    bounds = {"auroc_crossed": (0.0, 0.07 + CHANCE), "auroc_within": (0.0, 0.07 + CHANCE)}
    assert not wrong(told_apart(37, 16, 1.0), {**bounds, "auroc_within, subjects alone": (0.14, 1.0)})


def test_equivalence_is_seldom_found_at_the_margin() -> None:
    assert 0.01 <= equivalences(24, 2000) <= 0.07


@pytest.mark.slow
def test_a_t_test_over_windows_finds_what_is_not_there() -> None:
    trials = rejections(24, "drawn", "auroc_within", units=240)
    assert not wrong(trials, {"windows": (0.2, 1.0), "permutation": (0.0, 0.12)}, most=100 if WHOLE else 50)


@pytest.mark.skipif(WHOLE, reason="a long proof runs all its trials")
@pytest.mark.parametrize(
    ("rate", "found"),
    sample(
        [(0.05, False), (0.03, False), (0.16, True), (0.3, True), (0.003, True), (0.0, True)],
        (0.05, False),
        (0.3, True),
    ),
)
def test_trials_end_when_it_is_clear(rate: float, found: bool) -> None:
    """Simulated rates: those well inside the bounds are called wrong, and those well outside missed, no more often than
    is promised; and most are judged early."""
    rng, called, drawn = np.random.default_rng(int(1e4 * rate)), 0, 0

    def trials():
        nonlocal drawn
        while True:
            drawn += 1
            yield {"it": rng.random() < rate}

    for _ in range(200):
        called += bool(wrong(trials(), {"it": (0.01, 0.1)}))
    assert called >= 200 * 0.9 if found else called <= 2
    assert found or drawn < 200 * 150
