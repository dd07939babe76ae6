"""Folds that come with a file of predictions: completed as the protocol allows, proven, or refused by lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from embench.errors import CheckFailed
from embench.interfaces.units import Unit
from embench.protocols import Fold, load_protocol, partition
from embench.protocols.partition import GivenRow, complete_folds

from .cohorts import cohort

INDEPENDENT, CROSSED = load_protocol("subject-independent-v4"), load_protocol("subject-stimulus-independent-v4")
SEGMENT = load_protocol("segment-random-legacy")
GROUPS = {f"p{i}": f"dyad{i // 2}" for i in range(12)}


def units_of() -> list[Unit]:
    return cohort(groups=GROUPS)


def completed(protocol, units: Sequence[Unit], fold_of) -> list[Fold]:
    rows = [GivenRow(unit.id, fold_of(unit), line) for line, unit in enumerate(units, 2) if fold_of(unit) is not None]
    groups = {unit.subject: unit.group or unit.subject for unit in units}
    return complete_folds(protocol, "toy", units, groups, rows, seed=3, file="mine.csv")


def half(unit: Unit) -> int:
    return int(unit.subject[1:]) // 6


def test_a_fold_trains_on_all_whom_the_protocol_lets_it_train_on() -> None:
    units = units_of()
    for fold in completed(INDEPENDENT, units, half):
        tested = {unit.id for unit in units if half(unit) == fold.index}
        assert set(fold.test) == tested
        assert set(fold.train) == {unit.id for unit in units} - tested
        assert fold.val == ()


def test_subjects_without_a_row_are_tested_nowhere_and_may_have_trained() -> None:
    units = units_of()
    folds = completed(INDEPENDENT, units, lambda unit: half(unit) if int(unit.subject[1:]) < 10 else None)
    absent = {unit.id for unit in units if int(unit.subject[1:]) >= 10}
    assert not absent & {id_ for fold in folds for id_ in fold.test}
    assert all(absent <= set(fold.train) for fold in folds)


def test_one_row_of_a_group_stands_for_all_of_it() -> None:
    units = units_of()
    first = {unit.group: unit.id for unit in reversed(units)}.values()
    some = completed(INDEPENDENT, units, lambda unit: half(unit) if unit.id in first else None)
    assert some == completed(INDEPENDENT, units, half)


def test_a_stimulus_that_a_fold_tests_is_in_no_training_of_it() -> None:
    units = units_of()
    dealt = {id_: fold.index for fold in partition(CROSSED, "toy", units, 0) for id_ in fold.test}
    folds = completed(CROSSED, units, lambda unit: dealt[unit.id])
    by_id = {unit.id: unit for unit in units}
    for fold in folds:
        tested = {by_id[id_].stimulus for id_ in fold.test}
        assert fold.train
        assert not tested & {by_id[id_].stimulus for id_ in fold.train}


def test_a_group_in_two_folds_is_refused_by_its_lines() -> None:
    with pytest.raises(CheckFailed, match="dyad0 is tested in folds 0 and 1 of seed 3") as caught:
        completed(INDEPENDENT, units_of(), lambda unit: int(unit.subject[1:]) % 2)
    assert "mine.csv, lines 2 and " in str(caught.value)


def test_a_leaking_protocol_lets_a_subject_be_in_several_folds() -> None:
    units = units_of()
    number = {unit.id: i for i, unit in enumerate(units)}
    folds = completed(SEGMENT, units, lambda unit: number[unit.id] % 2)
    assert [len(fold.test) for fold in folds] == [len(units) / 2] * 2
