"""Folds that break their protocol's promise are refused, with the ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embench.errors import CheckFailed
from embench.interfaces.units import Unit
from embench.protocols import Fold, load_protocol, partition, protocol_deviations, protocol_names, prove

from .cohorts import cohort

INDEPENDENT, SEGMENT = load_protocol("subject-independent-v2"), load_protocol("segment-random-legacy")


@pytest.fixture
def units() -> list[Unit]:
    return cohort(groups={f"p{i}": f"dyad{i // 2}" for i in range(12)})


@pytest.fixture
def folds(units: list[Unit]) -> list[Fold]:
    return partition(INDEPENDENT, "toy", units, 0)


def moved(folds: list[Fold], ids: set[str], source: str, target: str) -> list[Fold]:
    """The folds with some units moved from one part of the first fold to another."""
    first = folds[0]
    kept = tuple(id_ for id_ in getattr(first, source) if id_ not in ids)
    return [replace(first, **{source: kept, target: (*getattr(first, target), *sorted(ids))}), *folds[1:]]


def test_sound_folds_pass(units: list[Unit], folds: list[Fold]) -> None:
    prove(INDEPENDENT, units, folds)


def test_segments_under_a_protocol_that_says_it_does_not_leak(units: list[Unit]) -> None:
    lying = SEGMENT.model_copy(update={"leaks": False})
    with pytest.raises(CheckFailed, match=r"subjects are in both train and val of fold 0: p\d+, p\d+"):
        prove(lying, units, partition(lying, "toy", units, 0))
    prove(SEGMENT, units, partition(SEGMENT, "toy", units, 0))


def test_recordings_under_a_protocol_that_says_it_does_not_leak(units: list[Unit]) -> None:
    split = SEGMENT.split.model_copy(update={"by": "recording"})
    lying = SEGMENT.model_copy(update={"leaks": False, "split": split})
    with pytest.raises(CheckFailed, match="subjects are in both"):
        prove(lying, units, partition(lying, "toy", units, 0))


def test_a_subject_in_two_parts(units: list[Unit], folds: list[Fold]) -> None:
    one = folds[0].train[0]
    subject = next(unit.subject for unit in units if unit.id == one)
    with pytest.raises(CheckFailed, match=f"1 subjects are in both train and val of fold 0: {subject}"):
        prove(INDEPENDENT, units, moved(folds, {one}, "train", "val"))


def test_a_group_in_two_parts(units: list[Unit], folds: list[Fold]) -> None:
    subject = next(unit.subject for unit in units if unit.id == folds[0].train[0])
    group = next(unit.group for unit in units if unit.subject == subject)
    theirs = {unit.id for unit in units if unit.subject == subject}
    with pytest.raises(CheckFailed, match=f"1 groups are in both train and val of fold 0: {group}"):
        prove(INDEPENDENT, units, moved(folds, theirs, "train", "val"))


def test_a_recording_in_two_parts_of_a_split_by_recording(units: list[Unit]) -> None:
    protocol = SEGMENT.model_copy(update={"split": SEGMENT.split.model_copy(update={"by": "recording"})})
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, units, folds)
    with pytest.raises(CheckFailed, match="1 recordings are in both train and val of fold 0"):
        prove(protocol, units, moved(folds, {folds[0].train[0]}, "train", "val"))


def test_a_unit_in_two_parts(units: list[Unit]) -> None:
    folds = partition(SEGMENT, "toy", units, 0)
    folds[0] = replace(folds[0], train=(*folds[0].train, folds[0].test[0]))
    with pytest.raises(CheckFailed, match=f"1 units are in both train and test of fold 0: {folds[0].test[0]}"):
        prove(SEGMENT, units, folds)


def test_overlapping_units_in_two_parts(units: list[Unit]) -> None:
    """Half-overlapping windows share raw samples even where no unit is shared."""
    halves = [replace(u, id=f"{u.id}+", start=u.start + 5, stop=u.stop + 5) for u in units]
    both = [*units, *halves]
    with pytest.raises(CheckFailed, match="units share raw samples with another part"):
        prove(SEGMENT, both, partition(SEGMENT, "toy", both, 0))


def test_a_unit_never_tested_or_twice(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match="units are never tested"):
        prove(INDEPENDENT, units, folds[1:])
    with pytest.raises(CheckFailed, match="units are tested more than once"):
        prove(INDEPENDENT, units, [*folds, replace(folds[0], index=5)])


def test_ids_must_be_the_units_own(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match=f"1 ids are used by several units: {units[0].id}"):
        prove(INDEPENDENT, [*units, units[0]], folds)
    with pytest.raises(CheckFailed, match="are not units: stranger"):
        prove(INDEPENDENT, units, [replace(folds[0], train=(*folds[0].train, "stranger")), *folds[1:]])


def test_training_and_validation_are_not_empty(units: list[Unit], folds: list[Fold]) -> None:
    all_subjects = set(folds[0].train)
    with pytest.raises(CheckFailed, match="fold 0 has no training units"):
        prove(INDEPENDENT, units, moved(folds, all_subjects, "train", "val"))
    with pytest.raises(CheckFailed, match="fold 0 has no validation units"):
        prove(INDEPENDENT, units, moved(folds, set(folds[0].val), "val", "train"))


def test_test_stimuli_must_be_unseen() -> None:
    units = cohort(n_subjects=8, stimuli=3)
    split = INDEPENDENT.split.model_copy(update={"by": "group+stimulus"})
    crossed = INDEPENDENT.model_copy(update={"split": split})
    with pytest.raises(CheckFailed, match="stimuli are in both train and test"):
        prove(crossed, units, partition(INDEPENDENT, "toy", units, 0))


def test_only_a_few_of_many_ids_are_shown(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match=r": (\S+, ){4}\S+ and \d+ more"):
        prove(INDEPENDENT, units, folds[1:])


def test_what_a_leaking_split_gives_up_is_counted() -> None:
    units = cohort(n_subjects=4, stimuli=1)
    mine = {subject: [unit.id for unit in units if unit.subject == subject] for subject in ("p0", "p1", "p2", "p3")}
    # p0 stands on both sides of fold 0, in one recording; the others on one side of each fold.
    first = Fold(0, (*mine["p1"], mine["p0"][0]), (), (*mine["p0"][1:], *mine["p2"]))
    second = Fold(1, tuple(mine["p2"]), (), (*mine["p1"], *mine["p3"]))
    deviations = protocol_deviations(SEGMENT, units, [first, second])
    assert deviations["split.by"].endswith(": 1 of 4 subjects and 1 of 4 recordings")
    assert protocol_deviations(INDEPENDENT, units, [first, second]) == {}


@pytest.mark.parametrize("name", protocol_names())
def test_every_published_protocol_makes_the_folds_that_it_declares(name: str) -> None:
    protocol = load_protocol(name)
    units = cohort(n_subjects=12, stimuli=6)
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, units, folds)
    deviations = protocol_deviations(protocol, units, folds)
    assert bool(deviations) == protocol.leaks
    if protocol.split.by == "segment":
        assert "12 of 12 subjects" in deviations["split.by"]
    if protocol.split.by == "recording":
        assert deviations["split.by"].endswith(": 12 of 12 subjects and 0 of 72 recordings")
