"""The conditioned scores against loops over every quadruple, and what no nuisance may win."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import TIE, Pairs, auroc_by_subject, compare_subjects
from embench.interfaces.units import Units
from embench.statistics.conditioned import (
    CONDITIONED,
    comparison_counts,
    comparisons,
    over_folds,
    proportion_won,
    proportion_won_resampled,
    sum_tables,
)
from embench.statistics.estimates import balanced_score
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined

MakeUnits = Callable[..., Units]


def over(a: float, b: float, tie: float) -> float:
    if np.isnan([a, b]).any():  # lost
        return 0.0
    return 0.5 if np.isinf([a, b]).any() or abs(a - b) <= tie else float(a > b)


def loop_crossed(units: Units, cell: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every quadruple of units, one after the other: the comparison inside p in row p, the one inside q in row q."""
    tie = TIE * np.ptp(units.score[np.isfinite(units.score)])
    wins, pairs = np.zeros((len(subjects),) * 2), np.zeros((len(subjects),) * 2)
    y, score = units.y_true, units.score
    rows = {(p, k): (units.subject == subjects[p]) & (y == k) for p, k in product(range(len(subjects)), (0, 1))}
    rows = {key: np.flatnonzero(mine) for key, mine in rows.items()}
    for p, q in permutations(range(len(subjects)), 2):
        # p: 1 at s (a), 0 at t (b); q: 0 at s (c), 1 at t (d)
        for a, b, c, d in product(rows[p, 1], rows[p, 0], rows[q, 0], rows[q, 1]):
            if cell[a] != cell[c] or cell[b] != cell[d] or cell[a] == cell[b]:
                continue
            if units.fold[a] != units.fold[b] or units.fold[c] != units.fold[d]:
                continue
            wins[p, q] += over(score[a], score[b], tie) / 2
            wins[q, p] += over(score[d], score[c], tie) / 2
            pairs[p, q] += 1
    return wins, pairs


def loop_within_stimulus(units: Units, subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tie = TIE * np.ptp(units.score[np.isfinite(units.score)])
    wins, pairs = np.zeros((len(subjects),) * 2), np.zeros((len(subjects),) * 2)
    owner = {name: p for p, name in enumerate(subjects)}
    for i, j in permutations(range(len(units)), 2):
        different = units.subject[i] != units.subject[j] and units.stimulus[i] == units.stimulus[j]
        if different and units.y_true[i] == 1 and units.y_true[j] == 0:
            place = owner[units.subject[i]], owner[units.subject[j]]
            wins[place] += over(units.score[i], units.score[j], tie)
            pairs[place] += 1
    return wins, pairs


def small(make_units: MakeUnits, seed: int) -> tuple[Units, np.ndarray]:
    """Few subjects and stimuli; some meet a stimulus several times, scores tie. With odd seeds, some units are not
    predicted."""
    rng = np.random.default_rng(seed)
    n = 40
    score = np.round(rng.random(n), 1)
    score[:4] = score[4:8] + 1e-12  # ties but for rounding
    start = rng.integers(0, 6, n) * 10.0
    subject, stimulus = rng.integers(0, 4, n), rng.integers(0, 3, n)
    if seed % 2:
        score[8:20] = np.where(np.arange(12) % 2, np.nan, np.inf)
    return make_units(score, rng.integers(0, 2, n), subject, stimulus, start), np.array(["0", "1", "2", "3", "absent"])


@pytest.mark.parametrize("seed", range(4))
def test_crossed_scores_equal_a_loop_over_quadruples(make_units: MakeUnits, seed: int) -> None:
    units, subjects = small(make_units, seed)
    for name, cell in (("auroc_crossed", units.stimulus), ("auroc_crossed_time", units.start_s)):
        [table] = comparisons(name, units, subjects)
        wins, pairs = loop_crossed(units, cell, subjects)
        np.testing.assert_allclose(table.wins, wins)
        np.testing.assert_array_equal(table.pairs, pairs)
        assert pairs.sum() > 20
        assert comparison_counts(name, table)[0] == pairs.sum() / 2


def test_units_of_two_folds_are_not_compared(make_units: MakeUnits) -> None:
    units, subjects = small(make_units, 0)
    units = replace(units, fold=np.arange(len(units)) % 2)
    [table] = comparisons("auroc_crossed", units, subjects)
    wins, pairs = loop_crossed(units, units.stimulus, subjects)
    np.testing.assert_allclose(table.wins, wins)
    np.testing.assert_array_equal(table.pairs, pairs)
    assert pairs.sum() > 20


@pytest.mark.parametrize("seed", range(4))
def test_within_stimulus_equals_a_loop_over_pairs(make_units: MakeUnits, seed: int) -> None:
    units, subjects = small(make_units, seed)
    [table] = comparisons("auroc_within_stimulus", units, subjects)
    wins, pairs = loop_within_stimulus(units, subjects)
    np.testing.assert_allclose(table.wins, wins)
    np.testing.assert_array_equal(table.pairs, pairs)


def test_bootstrap_of_a_table_equals_weighing_each_comparison_by_its_subjects(make_units: MakeUnits) -> None:
    units, subjects = small(make_units, 0)
    [table] = comparisons("auroc_crossed", units, subjects)
    counts = np.array([[1, 1, 1, 1, 0], [2, 0, 1, 1, 0], [0, 0, 0, 4, 0]])
    weights = [np.outer(c, c) for c in counts]
    expected = [(w * table.wins).sum() / (w * table.pairs).sum() for w in weights[:2]]
    np.testing.assert_allclose(table.resample(counts)[:2], expected)
    assert np.isnan(table.resample(counts)[2])  # one subject is no pair


@st.composite
def crossed_designs(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    subjects, stimuli = draw(st.integers(10, 14)), draw(st.integers(4, 8))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    levels = st.integers(-50, 50)
    f = np.array(draw(st.lists(levels, min_size=subjects, max_size=subjects)))
    g = np.array(draw(st.lists(levels, min_size=stimuli, max_size=stimuli)))
    subject, stimulus = (grid.ravel() for grid in np.meshgrid(range(subjects), range(stimuli), indexing="ij"))
    there = rng.random(len(subject)) < 0.9  # not everybody met everything
    return (
        (f[subject] * 0.1 + g[stimulus] * 0.7)[there],
        rng.integers(0, 2, there.sum()),
        subject[there],
        stimulus[there],
    )


def as_units(score: np.ndarray, y: np.ndarray, subject: np.ndarray, stimulus: np.ndarray) -> Units:
    n = len(y)
    blank = np.zeros(n)
    names = subject.astype(str)
    return Units("binary", y.astype(float), score, blank, names, stimulus, stimulus * 10.0, blank, names, 10.0)


@given(crossed_designs())
@settings(max_examples=60, deadline=None)
def test_subject_plus_stimulus_gets_exactly_half(design: tuple[np.ndarray, ...]) -> None:
    units = as_units(*design)
    subjects = np.unique(units.subject)
    for name in ("auroc_crossed", "auroc_crossed_time"):
        tables = comparisons(name, units, subjects)
        share = proportion_won(name, tables)
        assert share == 0.5 or isinstance(share, Undefined)
        if not isinstance(share, Undefined):
            counts = np.random.default_rng(0).integers(0, 3, (20, len(subjects)))
            np.testing.assert_array_equal(proportion_won_resampled(name, tables, counts), 0.5)


@given(crossed_designs())
@settings(max_examples=30, deadline=None)
def test_a_gain_of_the_subject_does_not_help_either(design: tuple[np.ndarray, ...]) -> None:
    _, y, subject, stimulus = design
    units = as_units((1.0 + subject) * stimulus - 3.0 * subject, y, subject, stimulus)
    share = proportion_won("auroc_crossed", comparisons("auroc_crossed", units, np.unique(units.subject)))
    assert share == 0.5 or isinstance(share, Undefined)


def test_what_is_at_work_in_subject_and_stimulus_together_is_found(make_units: MakeUnits) -> None:
    rng = np.random.default_rng(0)
    subject, stimulus = (grid.ravel() for grid in np.meshgrid(range(12), range(10), indexing="ij"))
    y = rng.integers(0, 2, len(subject))
    units = make_units(y + 5.0 * subject, y, subject, stimulus)
    tables = comparisons("auroc_crossed", units, np.unique(units.subject))
    assert proportion_won("auroc_crossed", tables) == 1


def test_constant_and_subject_level_scores_get_exactly_half_inside_subjects(make_units: MakeUnits) -> None:
    subject = np.repeat(np.arange(6), 9)
    y = np.arange(len(subject)) % 4 == 0
    y[subject == 5] = 1
    subjects = np.unique(subject.astype(str))
    for score in (np.full(len(y), 0.2), subject / 6):
        values = auroc_by_subject(make_units(score, y, subject, subject), subjects)
        np.testing.assert_array_equal(values, [0.5] * 5 + [np.nan])


@pytest.mark.parametrize("seed", range(4))
def test_inside_a_subject_it_is_the_share_of_pairs_won(make_units: MakeUnits, seed: int) -> None:
    units, subjects = small(make_units, seed)
    tie = TIE * np.ptp(units.score[np.isfinite(units.score)])
    for name, found in zip(subjects, auroc_by_subject(units, subjects), strict=True):
        high, low = (units.score[(units.subject == name) & (units.y_true == k)] for k in (1, 0))
        won = [over(a, b, tie) for a, b in product(high, low)]
        np.testing.assert_allclose(found, np.mean(won) if won else np.nan)


def test_inside_a_subject_it_is_the_ordinary_auroc(make_units: MakeUnits) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(5), 30)
    y, score = rng.integers(0, 2, 150), np.round(rng.random(150), 1)
    values = auroc_by_subject(make_units(score, y, subject, subject), np.unique(subject.astype(str)))
    np.testing.assert_allclose(values, [roc_auc_score(y[subject == p], score[subject == p]) for p in range(5)])


def test_few_comparisons_or_subjects_are_not_estimable() -> None:
    full = np.ones((12, 12)) - np.eye(12)
    few_subjects = np.zeros((12, 12))
    few_subjects[:9, :9] = 100 * (1 - np.eye(9))
    for pairs, text in (
        (full, "66 matched comparisons of 12 subjects"),
        (few_subjects, "3600 matched comparisons of 9 subjects"),
    ):
        found = proportion_won("auroc_crossed", [Pairs(pairs / 2, pairs)])
        assert isinstance(found, Undefined)
        assert found.reason.startswith(f"not estimable: {text}")
    assert proportion_won("auroc_crossed", [Pairs(2 * full, 4 * full)]) == 0.5


def test_why_nothing_can_be_compared(make_units: MakeUnits) -> None:
    subject, y = np.repeat([0, 1], 4), np.tile([0, 1], 4)
    one_stimulus = make_units(y, y, subject, np.zeros(8))
    subjects = np.array(["0", "1"])
    reasons = [comparisons(name, one_stimulus, subjects) for name in CONDITIONED]
    assert [r.reason for r in reasons if isinstance(r, Undefined)] == [
        "there is one stimulus only, so that nothing can be held constant",
        "there is one stimulus only, so that nothing can be held constant",
        "the release hides when units were recorded",
        "the release hides when units were recorded",
    ]
    timed = make_units(y, y, subject, np.zeros(8), np.tile(np.arange(4) * 10.0, 2))
    assert comparisons("auroc_crossed_matched", timed, subjects) == Undefined("it is not known how long sessions were")


def in_sessions(make_units: MakeUnits, seed: int, n_subjects: int = 12) -> tuple[Units, np.ndarray]:
    """Subjects of one fold, whose sessions are 20 s apart from each other in length, two of them equally long."""
    rng = np.random.default_rng(seed)
    subject, start = (grid.ravel() for grid in np.indices((n_subjects, 15)))
    score = np.round(rng.random(len(subject)), 2)
    units = make_units(score, rng.integers(0, 2, len(subject)), subject, start, 10.0 * start)
    length = 1000.0 + 20 * np.maximum(subject, 1)
    return replace(units, session_s=length), np.array([str(p) for p in range(n_subjects)])


def test_matched_comparisons_are_those_of_sessions_of_like_length(make_units: MakeUnits) -> None:
    units, subjects = in_sessions(make_units, 5)
    [table] = comparisons("auroc_crossed_matched", units, subjects)
    wins, pairs = loop_crossed(units, units.start_s, subjects)
    length = np.array([units.session_s[units.subject == name][0] for name in subjects])
    close = np.abs(np.subtract.outer(length, length)) <= 60
    assert 0.3 < close.mean() < 0.7
    np.testing.assert_allclose(table.wins, wins * close)
    np.testing.assert_array_equal(table.pairs, pairs * close)


def test_too_few_partners_of_like_length_are_said(make_units: MakeUnits) -> None:
    units, subjects = in_sessions(make_units, 6)
    spread = replace(units, session_s=units.session_s * 10)
    reason = proportion_won("auroc_crossed_matched", comparisons("auroc_crossed_matched", spread, subjects))
    assert isinstance(reason, Undefined)
    assert reason.reason.startswith(
        "not estimable: 2 subjects match another one whose session is of similar length, in 1 pairs"
    )
    assert isinstance(
        proportion_won("auroc_crossed_matched", comparisons("auroc_crossed_matched", units, subjects)), float
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_balanced_score_equals_a_loop_over_quadruples(make_units: MakeUnits, seed: int) -> None:
    units, subjects = in_sessions(make_units, seed, 8)
    joined = Joined({0: {0: units}})
    jackknife = leave_one_out(joined.tested_subjects(), {})
    some = Estimate(0.5, None, None, None, 8, "jackknife")

    def by_hand(left_out: str = "") -> float:
        halves: dict[tuple[float, float], list[list[float]]] = {}
        rows = {name: np.flatnonzero(units.subject == name) for name in subjects if name != left_out}
        y, score, start, tie = units.y_true, units.score, units.start_s, TIE * np.ptp(units.score)
        for p, q in permutations(rows, 2):  # p's session is the longer one
            apart = units.session_s[rows[p][0]] - units.session_s[rows[q][0]]
            if not 0 < apart <= 60:
                continue
            for a, b in product(rows[p], rows[p]):
                c, d = (rows[q][np.flatnonzero(start[rows[q]] == start[k])[0]] for k in (a, b))
                if (y[a], y[b], y[c], y[d]) == (1, 0, 0, 1):
                    won = (over(score[a], score[b], tie) + over(score[d], score[c], tie)) / 2
                    minutes = tuple(sorted(start[[a, b]] // 60))
                    halves.setdefault(minutes, [[], []])[int(start[a] < start[b])].append(won)
        both = [(one, other) for one, other in halves.values() if one and other]
        weights = [len(one) * len(other) / (len(one) + len(other)) for one, other in both]
        return float(np.average([(np.mean(one) + np.mean(other)) / 2 for one, other in both], weights=weights))

    found = balanced_score(joined, jackknife, some)
    assert isinstance(found, Estimate)
    assert found.mean == pytest.approx(by_hand())
    assert found.without == pytest.approx([by_hand(name) for name in jackknife.subjects])


def test_several_classes_are_taken_one_against_the_rest(make_units: MakeUnits) -> None:
    rng = np.random.default_rng(3)
    n = 60
    y, subject, stimulus = rng.integers(0, 3, n), rng.integers(0, 4, n), rng.integers(0, 4, n)
    score = rng.random((n, 3))
    subjects = np.array(["0", "1", "2", "3"])
    tables = comparisons("auroc_crossed", make_units(score, y, subject, stimulus), subjects)
    for k in range(3):
        wins, pairs = loop_crossed(make_units(score[:, k], y == k, subject, stimulus), stimulus, subjects)
        np.testing.assert_allclose(tables[k].wins, wins)
        np.testing.assert_array_equal(tables[k].pairs, pairs)


def test_tables_of_folds_add_up(make_units: MakeUnits) -> None:
    units, subjects = small(make_units, 0)
    tables = comparisons("auroc_crossed", units, subjects)
    [total] = sum_tables([tables, tables])
    np.testing.assert_array_equal(total.pairs, 2 * tables[0].pairs)
    np.testing.assert_array_equal(total.wins, 2 * tables[0].wins)


def test_folds_of_one_subject_add_nothing(make_units: MakeUnits) -> None:
    units, subjects = small(make_units, 0)
    alone = units.take(units.subject == subjects[0])
    for name in ("auroc_within_stimulus", "auroc_crossed", "auroc_crossed_time"):
        none, some = comparisons(name, alone, subjects), comparisons(name, units, subjects)
        assert not isinstance(none, Undefined)
        assert not isinstance(some, Undefined)
        assert len(none) == len(some)
        assert not any(table.pairs.any() or table.wins.any() for table in none)
        summed = over_folds(name, [alone, units, alone], subjects)
        assert not isinstance(summed, Undefined)
        for one, other in zip(summed, some, strict=True):
            np.testing.assert_array_equal(one.wins, other.wins)
            np.testing.assert_array_equal(one.pairs, other.pairs)
    same = replace(units, stimulus=np.full(len(units), "v"))
    assert over_folds("auroc_crossed", [same, same], subjects) == comparisons("auroc_crossed", same, subjects)


def test_subjects_without_units_or_classes_compare_nothing() -> None:
    table = compare_subjects(np.array([0.1, 0.2]), np.array([True, True]), np.array([0, 2]), 3, 0.0)
    assert not table.pairs.any()
    assert not table.wins.any()
