"""Intervals hold the truth and tests find what is not there as often as they say; `docs/statistics.md` has the figures.

Bounds are the promised rates, and what so few trials leave to chance beside them: about two standard errors."""

from __future__ import annotations

import pytest

from embench.statistics.significance import SHARED_TRAINING

from .rates import SCORES, clearings, coverage, equivalences, rejections

TIMES = 300


@pytest.mark.slow
@pytest.mark.parametrize("people", [24, 40])
@pytest.mark.parametrize("models", ["trained", "drawn"])
def test_intervals_hold_what_trained_models_score_on_new_people(people: int, models: str) -> None:
    for name, held in coverage(people, models, TIMES).items():
        assert 0.93 - 0.03 <= held <= 0.97 + 0.02, name


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("models", ["trained", "drawn"])
def test_tests_seldom_find_what_is_not_there(score: str, models: str) -> None:
    rates = rejections(24, models, score, TIMES)
    assert 0.03 - 0.02 <= rates["permutation"] <= 0.07 + 0.03
    for name in (SHARED_TRAINING, "wilcoxon", "corrected resampled t", "equivalence"):
        assert rates[name] <= 0.07 + 0.03


@pytest.mark.slow
def test_where_nothing_can_be_learned_only_the_allowance_for_shared_training_holds() -> None:
    rates = rejections(24, "trained", "auroc_within", TIMES, effect=0.0)
    assert rates["permutation"] > 0.1
    assert rates[SHARED_TRAINING] <= 0.07 + 0.03


@pytest.mark.slow
@pytest.mark.parametrize("headline", SCORES[:2])
def test_methods_that_learned_nothing_seldom_clear_a_constant(headline: str) -> None:
    """Once in 40 by the interval's word."""
    assert clearings(24, headline, TIMES) <= 0.025 + 0.025


def test_equivalence_is_seldom_found_at_the_margin() -> None:
    assert 0.01 <= equivalences(24, 2000) <= 0.07


@pytest.mark.slow
def test_a_t_test_over_windows_finds_what_is_not_there() -> None:
    rates = rejections(24, "drawn", "auroc_within", 100, units=240)
    assert rates["windows"] >= 0.2
    assert rates["permutation"] <= 0.12
