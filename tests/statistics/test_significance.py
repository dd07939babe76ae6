"""Tests of differences against worked examples and other subjects' implementations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from embench.statistics import intervals
from embench.statistics.intervals import Estimate, mean_over_subjects

CLOSE = {"rel": 1e-6, "abs": 1e-9}

MAIZE = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48.0])
"""Darwin's pairs of crossed and self-fertilised plants, in eighths of an inch; Fisher (1935, The Design of Experiments,
section 21) worked the permutation test out on them."""


def test_the_primary_test_gives_what_fisher_found_by_hand() -> None:
    """1726 of the 32,768 ways to choose signs give a sum as far from 0 as 314."""
    values = intervals.sign_flips(MAIZE)
    assert values[0] == 314
    assert intervals.permutation_test(values) == pytest.approx(1726 / 32768, **CLOSE)


def test_few_groups_have_every_choice_of_signs() -> None:
    sums = np.array([0.3, -0.1, 0.25, 0.02])
    every = [float(np.dot(signs, sums)) for signs in product((1, -1), repeat=4)]
    np.testing.assert_allclose(np.sort(intervals.sign_flips(sums)), np.sort(every), atol=1e-12)
    far = np.mean([abs(value) >= abs(sums.sum()) - 1e-12 for value in every])
    assert intervals.permutation_test(intervals.sign_flips(sums)) == pytest.approx(far)


@pytest.mark.parametrize("n_subjects", [9, 24])
def test_the_primary_test_agrees_with_scipys(n_subjects: int) -> None:
    """Exactly where all ways are counted, else within what chance does to 32,768 ways."""
    sums = np.random.default_rng(n_subjects).normal(0.4, 1, n_subjects)
    theirs = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=np.random.default_rng(0)
    )
    ours = intervals.permutation_test(intervals.sign_flips(sums))
    assert ours == pytest.approx(theirs.pvalue, abs=1e-6 if n_subjects == 9 else 0.01)


def test_no_difference_at_all_is_no_finding() -> None:
    none = np.zeros(6)
    assert intervals.permutation_test(intervals.sign_flips(none)) == 1
    assert intervals.wilcoxon_test(none) == 1
    assert intervals.t_test(0.0, 0.0, 5) == 1
    assert intervals.equivalence_test(0.0, 0.0, 5) == 0


def test_wilcoxon_counts_signed_ranks() -> None:
    """Of 32 signs two have all ranks on one side."""
    assert intervals.wilcoxon_test(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32, **CLOSE)


def test_the_corrected_t_agrees_with_the_functions_of_scikit_learns_guide() -> None:
    """From "Statistical comparison of models using grid search" in its examples, there one-sided."""
    differences = np.random.default_rng(2).normal(0.02, 0.05, 50)
    train, test = 80, 20

    def corrected_std(differences: np.ndarray, n_train: int, n_test: int) -> float:
        kr = len(differences)
        return float(np.sqrt(np.var(differences, ddof=1) * (1 / kr + n_test / n_train)))

    t = differences.mean() / corrected_std(differences, train, test)
    error = intervals.corrected_error(differences, folds=5)
    ours = intervals.t_test(float(differences.mean()), error, len(differences) - 1)
    assert ours == pytest.approx(2 * stats.t.sf(abs(t), len(differences) - 1), **CLOSE)


def test_equivalence_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(3)
    one = rng.normal(0.7, 0.05, 24)
    other = one + rng.normal(0.003, 0.03, 24)
    gap = mean_over_subjects(one - other, np.arange(24))
    assert isinstance(gap, Estimate)
    error = float(stats.sem(one - other))
    theirs = ttost_paired(one, other, -intervals.EQUIVALENCE_MARGIN, intervals.EQUIVALENCE_MARGIN)[0]
    assert intervals.equivalence_test(gap.mean, error, 23) == pytest.approx(theirs, **CLOSE)
    assert (gap.low, gap.high) == pytest.approx(DescrStatsW(one - other).tconfint_mean(), **CLOSE)


def test_the_interval_over_groups_agrees_with_cluster_robust_regression() -> None:
    """An intercept alone, errors clustered by group: groups of one to five subjects."""
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 1, 2, 3])
    values = rng.normal(0.6, 0.1, len(group)) + rng.normal(0, 0.1, 8)[group]
    ours = mean_over_subjects(values, group)
    assert isinstance(ours, Estimate)
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": group}, use_t=True)
    assert (ours.low, ours.high) == pytest.approx(tuple(fit.conf_int()[0]), **CLOSE)


def test_the_smallest_difference_is_seen_four_times_in_five() -> None:
    """By the noncentral t distribution."""
    error, df = 0.013, 23
    centre = intervals.smallest_detectable(error, df) / error
    critical = stats.t.ppf(0.975, df)
    seen = stats.nct.sf(critical, df, centre) + stats.nct.cdf(-critical, df, centre)
    assert seen == pytest.approx(0.8, **CLOSE)


def test_holm_of_a_worked_example() -> None:
    """.005 x 4, .01 x 3, .03 x 2, and .04 no smaller than the one before."""
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], **CLOSE)
    assert intervals.holm([]) == []


def test_letters_join_neighbours_that_no_test_tells_apart() -> None:
    different = np.zeros((5, 5), bool)
    for a, b in ((0, 2), (0, 3), (0, 4), (1, 4), (2, 4), (3, 4)):
        different[a, b] = different[b, a] = True
    assert intervals.rank_groups(different) == ["a", "ab", "b", "b", "c"]
    assert intervals.rank_groups(np.zeros((3, 3), bool)) == ["a", "a", "a"]
    assert len(set(intervals.rank_groups(~np.eye(60, dtype=bool)))) == 60


def test_without_an_allowance_it_is_the_permutation_test() -> None:
    values = intervals.sign_flips(np.random.default_rng(5).normal(0.4, 1, 12))
    assert intervals.shared_training_test(values, 0.0) == intervals.permutation_test(values)


def test_the_allowance_shrinks_a_difference_as_its_interval_gets_wider() -> None:
    """The variance of sign flips is the sum of squares: 1.25 times as much again takes a third off the difference. More
    than twice as much is not allowed for."""
    sums = np.random.default_rng(6).normal(0.6, 1, 12)
    values = intervals.sign_flips(sums)
    expected = (1 + (np.abs(values[1:]) >= sums.sum() / 1.5).sum()) / len(values)
    own = (sums**2).sum()
    assert intervals.shared_training_test(values, 1.25 * own) == pytest.approx(expected, **CLOSE)
    assert intervals.shared_training_test(values, 9 * own) == intervals.shared_training_test(values, 2 * own)
