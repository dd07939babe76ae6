"""Intervals hold the truth and tests find what is not there as often as they say; `docs/statistics.md` has the figures.

Bounds are the promised rates, and what 300 trials leave to chance beside them: about two standard errors.
"""

from __future__ import annotations

import numpy as np
import pytest

from embench.statistics.significance import SHARED_TRAINING

from .rates import SCORES, clearings, coverage, equivalences, rejections
from .sequential import wrong

NEW_PEOPLE = 500
"""Enough for what models are worth to be known five times as well as from the people whom a run tests."""


@pytest.mark.slow
@pytest.mark.parametrize("n_subjects", [24, 40])
@pytest.mark.parametrize("models", ["trained", "drawn"])
def test_intervals_hold_what_trained_models_score_on_new_subjects(n_subjects: int, models: str) -> None:
    trials = coverage(n_subjects, models, n_new_subjects=NEW_PEOPLE)
    missed = ({name: not held for name, held in trial.items()} for trial in trials)
    assert not wrong(missed, dict.fromkeys(SCORES, (0.03 - 0.02, 0.07 + 0.03)))


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("models", ["trained", "drawn"])
def test_tests_seldom_find_what_is_not_there(score: str, models: str) -> None:
    bounds = dict.fromkeys((SHARED_TRAINING, "wilcoxon", "corrected resampled t", "equivalence"), (0.0, 0.07 + 0.03))
    assert not wrong(rejections(24, models, score), {"permutation": (0.03 - 0.02, 0.07 + 0.03), **bounds})


@pytest.mark.slow
def test_where_nothing_can_be_learned_only_the_allowance_for_shared_training_holds() -> None:
    trials = rejections(24, "trained", "auroc_within", effect=0.0)
    assert not wrong(trials, {"permutation": (0.1, 1.0), SHARED_TRAINING: (0.0, 0.07 + 0.03)})


@pytest.mark.slow
@pytest.mark.parametrize("headline", SCORES[:2])
def test_methods_that_learned_nothing_seldom_clear_a_constant(headline: str) -> None:
    """Once in 40 by the interval's word."""
    assert not wrong(clearings(24, headline), {"clears": (0.0, 0.025 + 0.025)})


def test_equivalence_is_seldom_found_at_the_margin() -> None:
    assert 0.01 <= equivalences(24, 2000) <= 0.07


@pytest.mark.slow
def test_a_t_test_over_windows_finds_what_is_not_there() -> None:
    trials = rejections(24, "drawn", "auroc_within", units=240)
    assert not wrong(trials, {"windows": (0.2, 1.0), "permutation": (0.0, 0.12)}, most=100)


@pytest.mark.parametrize(
    ("rate", "found"), [(0.05, False), (0.03, False), (0.16, True), (0.3, True), (0.003, True), (0.0, True)]
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
