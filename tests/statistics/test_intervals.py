"""Intervals against closed forms, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from embench.interfaces.metric import Undefined
from embench.statistics.intervals import (
    Estimate,
    cover_other_stimuli,
    jackknife_error,
    jackknife_estimate,
    leave_one_out,
    mean_over_subjects,
    paired_difference,
    training_overlap,
    widen,
    with_add_one_interval,
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


def test_the_jackknife_of_a_mean_is_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(2).normal(0.6, 0.1, 14)
    names = [f"s{p:02d}" for p in range(14)]
    jackknife = leave_one_out([{0: names[:7], 1: names[7:]}], {})
    assert jackknife.subjects.tolist() == names
    without = jackknife.counts @ values / jackknife.counts.sum(1)
    estimate = jackknife_estimate(values.mean(), without, 14)
    assert (estimate.low, estimate.high) == pytest.approx(stats.t.interval(0.95, 13, values.mean(), stats.sem(values)))
    assert (estimate.std, estimate.error, estimate.df) == pytest.approx((stats.sem(values), stats.sem(values), 13))


def test_groups_are_left_out_whole() -> None:
    names = ["a1", "a2", "b1", "b2", "c1", "c2", "d"]
    jackknife = leave_one_out([{0: names[:4], 1: names[4:]}], {name: name[0] for name in names})
    kept = [[name for name, count in zip(names, row, strict=True) if count] for row in jackknife.counts]
    assert kept == [names[2:], names[:2] + names[4:], names[:4] + names[6:], names[:6]]
    assert jackknife.by_group(np.arange(7)).tolist() == [1, 5, 9, 6]


def test_who_varies_nothing_counts_for_nothing() -> None:
    """A subject without a comparison leaves the score as it is, which is no sign of certainty."""
    without = np.array([0.6, 0.7, 0.65, np.nan])
    error, df = jackknife_error(without)
    assert (error, df) == pytest.approx((np.sqrt(2 * without[:3].var()), 2))
    assert jackknife_error(np.array([0.6, np.nan])) == (0.0, 0)
    assert jackknife_estimate(0.6, np.array([0.6]), 1).low is None


def test_differences_are_paired_by_subject_or_by_what_is_left_out() -> None:
    shared, group = np.random.default_rng(0).normal(size=20), np.arange(20)
    one, other = known(mean_over_subjects(shared + 0.1, group)), known(mean_over_subjects(shared, group))
    by_subject = known(paired_difference(one, other, group))
    assert (by_subject.low, by_subject.high) == pytest.approx((0.1, 0.1))
    without = (shared.sum() - shared) / 19
    left = [jackknife_estimate(shared.mean() + more, without + more, 20) for more in (0.1, 0.0)]
    by_group = known(paired_difference(*left, group))
    assert (by_group.mean, by_group.low, by_group.high) == pytest.approx((0.1, 0.1, 0.1))
    assert isinstance(paired_difference(one, by_group, group), Undefined)


def test_an_interval_over_stimuli_too_adds_their_variance() -> None:
    """A mean over subjects and stimuli of a table: the errors of the means of its rows and of its columns."""
    table = np.random.default_rng(3).normal(size=(12, 6)) + np.random.default_rng(4).normal(size=6)
    estimate = known(mean_over_subjects(table.mean(1), np.arange(12)))
    both = cover_other_stimuli(estimate, np.array([np.delete(table, k, 1).mean() for k in range(6)]))
    error = np.hypot(stats.sem(table.mean(1)), stats.sem(table.mean(0)))
    assert (both.mean, both.error, both.df, both.over) == (
        estimate.mean,
        pytest.approx(error),
        5,
        "subjects_and_stimuli",
    )
    assert both.high - both.mean == pytest.approx(stats.t.ppf(0.975, 5) * error)
    again = known(paired_difference(both, both, np.arange(12)))
    assert (again.low, again.high, again.over) == (0.0, 0.0, "subjects_and_stimuli")


@pytest.mark.parametrize("symmetric", [True, False])
def test_subjects_who_train_each_other_double_the_variance_where_nothing_is_learned(symmetric: bool) -> None:
    """What p adds is the mean of noise g(p, q) over those who trained, those of other folds. If q does to p what p does
    to q, then, seen over many studies, the variance of the sum is that of independent subjects and the allowance,
    together. If not, it is that of independent subjects, and less of what differs between seeds is added."""
    rng, subjects, folds, seeds = np.random.default_rng(8), 30, 5, 3
    sums, own, allowed, between = [], [], [], []
    for _ in range(1500):
        noise = rng.normal(size=(subjects, subjects))
        if symmetric:
            noise = np.triu(noise, 1) + np.triu(noise, 1).T
        np.fill_diagonal(noise, 0)
        fold = np.stack([rng.permutation(subjects) % folds for _ in range(seeds)])
        trained = fold[:, :, None] != fold[:, None, :]
        by_seed = (noise * trained).sum(2)
        sums.append(by_seed.mean(0).sum())
        own.append(subjects * by_seed.mean(0).var(ddof=1))
        allowed.append(training_overlap(by_seed, trained))
        between.append((folds - 1 + 1 / seeds) * by_seed.var(0, ddof=1).sum())
    shown = np.mean(own) + np.mean(allowed)
    if symmetric:
        assert np.var(sums) > 1.7 * np.mean(own)
        assert 0.9 < shown / np.var(sums) < 1.3
    else:
        assert np.var(sums) == pytest.approx(np.mean(own), rel=0.15)
        assert np.mean(allowed) < 0.65 * np.mean(between)


def test_what_subjects_share_widens_the_interval_around_the_estimate() -> None:
    estimate = known(mean_over_subjects(np.array([0.5, 0.6, 0.8, 0.7]), np.arange(4)))
    assert estimate.error is not None
    wider = widen(estimate, 1.25 * estimate.error**2)
    assert (wider.mean, wider.shared) == (estimate.mean, 1.25 * estimate.error**2)
    assert wider.high - wider.mean == pytest.approx(1.5 * (estimate.high - estimate.mean))
    widest, same = (widen(estimate, factor * estimate.error**2) for factor in (9, 2))
    assert (widest.low, widest.high, widest.shared) == (same.low, same.high, same.shared)
    assert wider.mean - wider.low == pytest.approx(wider.high - wider.mean)
    assert widen(estimate, None) == estimate


def test_the_add_one_interval_is_that_of_the_subjects_and_one_more_at_chance() -> None:
    values = np.random.default_rng(9).uniform(0.55, 0.75, 15)
    plain = known(mean_over_subjects(values, np.arange(15)))
    found, more = with_add_one_interval(plain), np.append(values, 0.5)
    half = stats.t.ppf(0.975, 14) * stats.sem(more)
    assert (found.low, found.high) == pytest.approx((more.mean() - half, more.mean() + half))
    assert (found.mean, found.std, found.error, found.df) == (plain.mean, plain.std, plain.error, plain.df)
    without = (values.sum() - values) / 14
    of_jackknife = with_add_one_interval(jackknife_estimate(values.mean(), without, 15))
    assert (of_jackknife.low, of_jackknife.high) == pytest.approx((found.low, found.high))
    mirrored = with_add_one_interval(known(mean_over_subjects(1 - values, np.arange(15))))
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))


def test_the_add_one_interval_keeps_what_subjects_share() -> None:
    plain = known(mean_over_subjects(np.array([0.6, 0.7, 0.65, 0.62, 0.71]), np.arange(5)))
    assert plain.error is not None
    found = with_add_one_interval(widen(plain, 1.5 * plain.error**2))
    spread = stats.sem([0.6, 0.7, 0.65, 0.62, 0.71, 0.5]) ** 2 + 1.5 * plain.error**2
    centre = (5 * plain.mean + 0.5) / 6
    assert found.low == pytest.approx(centre - stats.t.ppf(0.975, 4) * np.sqrt(spread))


def test_nobody_who_differs_is_no_certainty_and_an_interval_ends_where_scores_do() -> None:
    same = known(mean_over_subjects(np.ones(16), np.arange(16)))
    assert (same.low, same.high) == (1.0, 1.0)
    perfect = with_add_one_interval(same)
    assert perfect.low == pytest.approx(1 - (1 + stats.t.ppf(0.975, 15)) * 0.5 / 17)
    assert perfect.high == 1.0
    constant = with_add_one_interval(known(mean_over_subjects(np.full(16, 0.5), np.arange(16))))
    assert (constant.low, constant.high) == (0.5, 0.5)  # whoever comes: chance by construction
    alone = known(mean_over_subjects(np.array([0.9]), np.array(["a"])))
    assert with_add_one_interval(alone) == alone


def test_the_add_one_interval_of_other_stimuli_too_counts_the_subjects() -> None:
    table = np.clip(np.random.default_rng(3).normal(0.7, 0.1, size=(12, 6)), 0, 1)
    both = cover_other_stimuli(
        known(mean_over_subjects(table.mean(1), np.arange(12))),
        np.array([np.delete(table, k, 1).mean() for k in range(6)]),
    )
    assert both.error is not None
    found, centre = with_add_one_interval(both), (12 * both.mean + 0.5) / 13
    own = (11 * both.error**2 + (both.mean - 0.5) ** 2 / 13) / 13
    assert found.low == pytest.approx(centre - stats.t.ppf(0.975, 5) * np.sqrt(own))
    assert found.error == both.error


def test_seeds_that_do_not_differ_show_nothing() -> None:
    trained = ~np.eye(4, dtype=bool)
    by_seed = np.random.default_rng(5).normal(size=(3, 4))
    assert training_overlap(by_seed, np.stack([trained] * 3)) is None
    assert training_overlap(by_seed[:1], trained[None]) is None
    apart = trained.copy()
    apart[0, 1] = apart[1, 0] = False
    assert training_overlap(by_seed, np.stack([trained, apart, trained])) is not None
    gone = np.where(np.arange(3)[:, None] == 1, np.nan, by_seed)
    assert training_overlap(gone, np.stack([trained, apart, trained])) is None
