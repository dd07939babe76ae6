"""Intervals against closed forms, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from embench.interfaces.metric import Undefined
from embench.statistics.intervals import (
    Bootstrap,
    Estimate,
    bootstrap_estimate,
    draw_bootstrap,
    mean_over_subjects,
    paired_difference,
    shared_variance,
    widen,
)


def known(value: Estimate | Undefined) -> Estimate:
    assert isinstance(value, Estimate)
    return value


def test_subjects_on_their_own_get_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 15)
    estimate = known(mean_over_subjects(np.append(values, np.nan), np.arange(16)))
    low, high = stats.t.interval(0.95, 14, values.mean(), stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert (estimate.mean, estimate.std, estimate.subjects) == pytest.approx((values.mean(), values.std(ddof=1), 15))


def test_equal_groups_get_the_t_interval_of_their_means() -> None:
    values = np.random.default_rng(1).normal(size=(6, 4))
    estimate = known(mean_over_subjects(values.ravel(), np.repeat(list("abcdef"), 4)))
    means = values.mean(1)
    assert (estimate.low, estimate.high) == pytest.approx(stats.t.interval(0.95, 5, means.mean(), stats.sem(means)))


def test_one_group_has_no_interval_and_nobody_no_value() -> None:
    estimate = known(mean_over_subjects(np.array([0.4, 0.6]), np.array(["a", "a"])))
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, None, None)
    assert isinstance(mean_over_subjects(np.array([np.nan]), np.array(["a"])), Undefined)


def test_samples_keep_each_folds_number_of_subjects_in_the_seed_that_stratifies() -> None:
    subjects = [f"s{p}" for p in range(12)]
    tested = [{f: subjects[f::3] for f in range(3)}, {f: subjects[4 * f : 4 * f + 4] for f in range(3)}]
    bootstrap = draw_bootstrap(tested, {p: p for p in subjects}, 100)
    for seed, folds in enumerate(tested):
        for members in folds.values():
            drawn = bootstrap.counts[:, np.isin(bootstrap.subjects, members)].sum(1)
            assert (drawn[seed::2] == 4).all()
            assert not (drawn[1 - seed :: 2] == 4).all()
    assert (bootstrap.groups, bootstrap.free) == (12, 9)


def test_groups_are_drawn_whole() -> None:
    tested = [{0: ["a1", "a2", "b1", "b2"], 1: ["c1", "c2", "d"]}]
    bootstrap = draw_bootstrap(tested, {p: p[0] for f in tested[0].values() for p in f}, 50)
    at = {name: k for k, name in enumerate(bootstrap.subjects)}
    for one, other in (("a1", "a2"), ("b1", "b2"), ("c1", "c2")):
        np.testing.assert_array_equal(bootstrap.counts[:, at[one]], bootstrap.counts[:, at[other]])
    assert bootstrap.groups == 4


def test_leaving_one_out_still_has_something_to_draw() -> None:
    tested = [{p: [f"s{p}"] for p in range(10)}]
    bootstrap = draw_bootstrap(tested, {f"s{p}": f"s{p}" for p in range(10)}, 200)
    assert bootstrap.free == 9
    assert bootstrap.counts.std() > 0.5


def test_subjects_tested_in_every_fold_are_one_stratum() -> None:
    tested = [{f: ["a", "b", "c"] for f in range(5)}]
    assert draw_bootstrap(tested, {p: p for p in "abc"}, 10).free == 2


def test_the_expanded_percentiles_are_hesterbergs() -> None:
    """For one stratum of n: the normal's tail at sqrt(n / (n - 1)) times the t quantile with n - 1 degrees."""
    n = 10
    bootstrap = draw_bootstrap([{0: [f"s{p}" for p in range(n)]}], {f"s{p}": f"s{p}" for p in range(n)}, 10)
    values = np.linspace(0, 1, 100001)
    tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    assert bootstrap.interval(values) == pytest.approx((tail, 1 - tail), abs=1e-5)
    assert tail == pytest.approx(0.0086, abs=5e-5)  # of a nominal 0.025


def test_samples_are_the_same_every_time_and_do_not_depend_on_the_order_of_subjects() -> None:
    subjects = [f"s{p}" for p in range(8)]
    groups = {p: p for p in subjects}
    one = draw_bootstrap([{0: subjects[:4], 1: subjects[4:]}], groups, 50)
    other = draw_bootstrap([{1: subjects[:3:-1], 0: subjects[3::-1]}], groups, 50)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.subjects, other.subjects)


def test_differences_are_paired_by_subject_or_by_sample() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=20)
    group = np.arange(20)
    one, other = known(mean_over_subjects(shared + 0.1, group)), known(mean_over_subjects(shared, group))
    bootstrap = draw_bootstrap(
        [{0: [f"s{p:02d}" for p in range(20)]}], {f"s{p:02d}": f"s{p:02d}" for p in range(20)}, 300
    )
    by_subject = known(paired_difference(one, other, group, bootstrap))
    assert (by_subject.low, by_subject.high) == pytest.approx((0.1, 0.1))
    means = bootstrap.counts @ shared / 20
    by_sample = known(
        paired_difference(
            bootstrap_estimate(shared.mean() + 0.1, means + 0.1, bootstrap, 20),
            bootstrap_estimate(shared.mean(), means, bootstrap, 20),
            group,
            bootstrap,
        )
    )
    assert (by_sample.mean, by_sample.low, by_sample.high) == pytest.approx((0.1, 0.1, 0.1))
    assert isinstance(paired_difference(one, by_sample, group, bootstrap), Undefined)


def test_subjects_who_train_each_other_double_the_variance_where_nothing_is_learned() -> None:
    """What p adds is the mean of symmetric noise g(p, q) over those who trained, those of other folds. Seen over many
    studies, the variance of the sum is that of independent subjects and the allowance, together."""
    rng, subjects, folds, seeds = np.random.default_rng(8), 30, 5, 3
    sums, own, allowed = [], [], []
    for _ in range(3000):
        noise = np.triu(rng.normal(size=(subjects, subjects)), 1)
        noise += noise.T
        by_seed = np.empty((seeds, subjects))
        for row in by_seed:
            fold = rng.permutation(subjects) % folds
            row[:] = (noise * (fold[:, None] != fold)).sum(1)
        sums.append(by_seed.mean(0).sum())
        own.append(subjects * by_seed.mean(0).var(ddof=1))
        allowed.append(shared_variance(by_seed, folds))
    assert np.mean(own) + np.mean(allowed) == pytest.approx(np.var(sums), rel=0.1)
    assert np.var(sums) > 1.7 * np.mean(own)


def test_intervals_are_stretched_around_the_estimate_as_far_as_they_may() -> None:
    """Seeds 2 d apart: a variance of 2 d^2 in each group, weighed by 5 - 1 + 1/2."""
    base, d = np.array([0.1, 0.3, 0.2, 0.4]), 0.05
    by_seed = np.stack([base + d, base - d])
    estimate = Estimate(1.0, 0.1, 0.8, 1.4, 4, "people")
    more = 0.25 * 4.5 * 4 * 2 * d**2 / (4 * base.var(ddof=1))
    one = widen(estimate, by_seed, 5, share=0.25)
    assert (one.low, one.high) == pytest.approx((1 - 0.2 * np.sqrt(1 + more), 1 + 0.4 * np.sqrt(1 + more)))
    most = widen(estimate, by_seed, 5, share=100, most=1)
    assert (most.low, most.high) == pytest.approx((1 - 0.2 * np.sqrt(2), 1 + 0.4 * np.sqrt(2)))
    assert widen(estimate, np.stack([base, base]), 5, share=1) == estimate


def test_nothing_that_varies_has_no_interval() -> None:
    alone = Bootstrap(np.array(["a"]), np.ones((5, 1), int), 1, 0)
    assert alone.interval(np.full(5, 0.5)) == (None, None)


def test_the_interval_of_a_mean_within_folds_covers_it() -> None:
    rng = np.random.default_rng(4)
    subjects = [f"s{p:02d}" for p in range(20)]
    bootstrap = draw_bootstrap([{f: subjects[f::5] for f in range(5)}], {p: p for p in subjects}, 1000)
    covered = []
    for _ in range(1500):
        values = rng.normal(size=20)
        low, high = bootstrap.interval(bootstrap.counts @ values / 20)
        covered.append(low is not None and high is not None and low <= 0 <= high)
    assert 0.93 <= np.mean(covered) <= 0.975
