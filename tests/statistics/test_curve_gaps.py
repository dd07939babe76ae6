"""Gains over nothing given, and how those of two methods differ: by hand, and what may not be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from embench.errors import DataError, UsageError
from embench.interfaces.ranking import auroc_by_subject
from embench.protocols import NO_CALIBRATION, Given
from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record
from embench.statistics.comparison import compare
from embench.statistics.gains import are_curves, compare_curves
from embench.statistics.joined import joined_on_common

from ..truth.cohorts import TARGET, draw_labels, draw_lengths, partitions, recorded

PEOPLE = 16
NOISE = np.random.default_rng(4)
Y = draw_labels(NOISE, PEOPLE)
FOLDS = partitions(NOISE, draw_lengths(NOISE, PEOPLE), 1)
SHARED = NOISE.normal(size=(1, *Y.shape))


def made(method: str, given: str, strength: float) -> Record:
    """A run of a method that is given this, and tells labels so well."""
    own = np.random.default_rng([len(method), len(given)]).normal(size=SHARED.shape)
    logit = strength * (Y - 0.5) + SHARED + 0.5 * own
    of = recorded(f"{method}-{given}", 1 / (1 + np.exp(-logit)), Y, FOLDS, "auroc_within")
    amount = Given.read(given)
    config = {"parts": {method: {}}, "calibration_data": amount.text, "seeds": [0]}
    about = {"calibration_data": amount.to_record(), "target_access": amount.access, "config": config}
    named = {**of.run["method"], "submission": method}
    return replace(of, run={**of.run, **about, "method": named})


def with_rows(more: Record, nothing: Record) -> Record:
    """The run with what it predicts with nothing given, as its own record holds it."""
    rows = nothing.predictions
    renamed = Predictions({**{name: rows[name] for name in rows.columns}, "method": np.full(len(rows), NO_CALIBRATION)})
    return replace(more, predictions=Predictions.concatenate([more.predictions, renamed]))


def by_subject(of: Record) -> np.ndarray:
    [joined] = joined_on_common([of], TARGET, of.groups)
    subjects = np.array(sorted(of.groups))
    return np.nanmean([auroc_by_subject(units, subjects) for units in joined.seeds[0].values()], axis=0)


A0, A5, B0, B5 = made("aa", "0", 0.5), made("aa", "5", 3.0), made("bbb", "0", 0.5), made("bbb", "5", 0.6)


def test_the_difference_of_two_gains_is_that_of_subjects() -> None:
    [table] = compare_curves([A0, B5, A5, B0])
    [gap] = table.differences
    by_hand = (by_subject(A5) - by_subject(A0)) - (by_subject(B5) - by_subject(B0))
    sign = 1 if gap.one == "aa" else -1
    assert sign * gap.difference.mean == pytest.approx(by_hand.mean())
    # One seed does not show what shared training subjects add: as much again is allowed for.
    error = np.sqrt(2) * stats.sem(by_hand)
    low, high = stats.t.interval(0.95, PEOPLE - 1, by_hand.mean(), error)
    assert sorted(abs(end) for end in (gap.difference.low, gap.difference.high)) == pytest.approx([low, high])
    assert gap.p == pytest.approx(2 * stats.t.sf(by_hand.mean() / error, PEOPLE - 1))
    assert gap.p_holm >= gap.p
    assert gap.shown
    first, second = table.gains
    gained = {each.one: each.difference.mean for each in (first, second)}
    assert gained["aa"] == pytest.approx((by_subject(A5) - by_subject(A0)).mean())
    assert "5 labelled units of each class" in gap.sentence
    assert "aa" in gap.sentence


def test_a_run_holds_its_own_nothing_given() -> None:
    known = compare_curves([A0, A5, B0, B5], "5")[0].differences[0].difference
    own = compare_curves([with_rows(A5, A0), with_rows(B5, B0)], "5")[0].differences[0].difference
    assert own.mean == pytest.approx(known.mean)
    assert (own.low, own.high) == pytest.approx((known.low, known.high))
    with pytest.raises(DataError, match="without calibration data"):
        compare_curves([A5, B5], "5")


def test_runs_that_were_given_different_things_are_not_compared_as_if_alike() -> None:
    with pytest.raises(UsageError, match="calibration data") as refused:
        compare(A5, B0)
    assert "--calibration-data" in str(refused.value.hint)
    assert are_curves([A5, B0])
    with pytest.raises(UsageError, match="not all methods were run with the same calibration data"):
        compare_curves([A5, B0])
    with pytest.raises(UsageError, match="10"):
        compare_curves([A0, A5, B0, B5], "10")
    with pytest.raises(UsageError, match="two runs are of one method"):
        compare_curves([A0, A5, replace(A5, run={**A5.run, "id": "other"})])
    plain = {name: value for name, value in A5.run.items() if name != "calibration_data"}
    with pytest.raises(UsageError, match="has no calibration data"):
        compare_curves([replace(A5, run=plain), A0], "5")
    assert compare(A5, B5).metric == "auroc_within"
    assert not are_curves([A5, B5])


def test_a_method_that_changes_nothing_gains_nothing() -> None:
    same = replace(A0, run={**A5.run, "id": "same"})
    [table] = compare_curves([A0, same])
    [gap] = table.gains
    assert (gap.difference.mean, gap.p, gap.shown) == (0, 1, False)
    assert "a change of aa is not shown" in gap.sentence
    assert not table.differences
    assert MODEL in same.predictions.texts("method").names
