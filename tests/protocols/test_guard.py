"""Folds that break their protocol's promise are refused, with the ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embench.errors import CheckFailed, UsageError
from embench.interfaces.units import Unit
from embench.protocols import (
    Fold,
    count_leaks,
    describe_leaks,
    load_protocol,
    make_units,
    partition,
    protocol_names,
    prove,
    whole_recordings,
)

from .cohorts import card, clips, cohort, recording

INDEPENDENT, SEGMENT = load_protocol("subject-independent-v4"), load_protocol("segment-random-legacy")


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
    prove(INDEPENDENT, "toy", units, folds)


def test_segments_under_a_protocol_that_says_it_does_not_leak(units: list[Unit]) -> None:
    lying = SEGMENT.model_copy(update={"leaks": False})
    with pytest.raises(CheckFailed, match=r"subjects are in both train and val of fold 0: p\d+, p\d+"):
        prove(lying, "toy", units, partition(lying, "toy", units, 0))
    prove(SEGMENT, "toy", units, partition(SEGMENT, "toy", units, 0))


def test_recordings_under_a_protocol_that_says_it_does_not_leak(units: list[Unit]) -> None:
    split = SEGMENT.split.model_copy(update={"by": "recording"})
    lying = SEGMENT.model_copy(update={"leaks": False, "split": split})
    with pytest.raises(CheckFailed, match="subjects are in both"):
        prove(lying, "toy", units, partition(lying, "toy", units, 0))


def test_a_subject_in_two_parts(units: list[Unit], folds: list[Fold]) -> None:
    one = folds[0].train[0]
    subject = next(unit.subject for unit in units if unit.id == one)
    with pytest.raises(CheckFailed, match=f"1 subjects are in both train and val of fold 0: {subject}"):
        prove(INDEPENDENT, "toy", units, moved(folds, {one}, "train", "val"))


def test_a_group_in_two_parts(units: list[Unit], folds: list[Fold]) -> None:
    subject = next(unit.subject for unit in units if unit.id == folds[0].train[0])
    group = next(unit.group for unit in units if unit.subject == subject)
    theirs = {unit.id for unit in units if unit.subject == subject}
    with pytest.raises(CheckFailed, match=f"1 groups are in both train and val of fold 0: {group}"):
        prove(INDEPENDENT, "toy", units, moved(folds, theirs, "train", "val"))


def test_a_recording_in_two_parts_of_a_split_by_recording(units: list[Unit]) -> None:
    protocol = SEGMENT.model_copy(update={"split": SEGMENT.split.model_copy(update={"by": "recording"})})
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, "toy", units, folds)
    with pytest.raises(CheckFailed, match="1 recordings are in both train and val of fold 0"):
        prove(protocol, "toy", units, moved(folds, {folds[0].train[0]}, "train", "val"))


def test_a_unit_in_two_parts(units: list[Unit]) -> None:
    folds = partition(SEGMENT, "toy", units, 0)
    folds[0] = replace(folds[0], train=(*folds[0].train, folds[0].test[0]))
    with pytest.raises(CheckFailed, match=f"1 units are in both train and test of fold 0: {folds[0].test[0]}"):
        prove(SEGMENT, "toy", units, folds)


def test_overlapping_units_in_two_parts(units: list[Unit]) -> None:
    """Half-overlapping windows share raw samples even where no unit is shared."""
    halves = [replace(u, id=f"{u.id}+", start=u.start + 5, stop=u.stop + 5) for u in units]
    both = [*units, *halves]
    with pytest.raises(CheckFailed, match="units share raw samples with another part"):
        prove(SEGMENT, "toy", both, partition(SEGMENT, "toy", both, 0))


def test_a_unit_never_tested_or_twice(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match="units are never tested"):
        prove(INDEPENDENT, "toy", units, folds[1:])
    with pytest.raises(CheckFailed, match="units are tested more than once"):
        prove(INDEPENDENT, "toy", units, [*folds, replace(folds[0], index=5)])


def test_ids_must_be_the_units_own(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match=f"1 ids belong to several units: {units[0].id}"):
        prove(INDEPENDENT, "toy", [*units, units[0]], folds)
    with pytest.raises(CheckFailed, match="are not units: stranger"):
        prove(INDEPENDENT, "toy", units, [replace(folds[0], train=(*folds[0].train, "stranger")), *folds[1:]])


def test_training_and_validation_are_not_empty(units: list[Unit], folds: list[Fold]) -> None:
    all_subjects = set(folds[0].train)
    with pytest.raises(CheckFailed, match="fold 0 has no training units"):
        prove(INDEPENDENT, "toy", units, moved(folds, all_subjects, "train", "val"))
    with pytest.raises(CheckFailed, match="fold 0 has no validation units"):
        prove(INDEPENDENT, "toy", units, moved(folds, set(folds[0].val), "val", "train"))


def test_test_stimuli_must_be_unseen() -> None:
    units = cohort(n_subjects=8, stimuli=3)
    split = INDEPENDENT.split.model_copy(update={"by": "group+stimulus"})
    crossed = INDEPENDENT.model_copy(update={"split": split})
    with pytest.raises(CheckFailed, match="stimuli are in both train and test"):
        prove(crossed, "toy", units, partition(INDEPENDENT, "toy", units, 0))


def test_only_a_few_of_many_ids_are_shown(units: list[Unit], folds: list[Fold]) -> None:
    with pytest.raises(CheckFailed, match=r": (\S+, ){4}\S+ and \d+ more"):
        prove(INDEPENDENT, "toy", units, folds[1:])


def test_what_a_leaking_split_gives_up_is_counted() -> None:
    units = cohort(n_subjects=4, stimuli=1)
    mine = {subject: [unit.id for unit in units if unit.subject == subject] for subject in ("p0", "p1", "p2", "p3")}
    # p0 stands on both sides of fold 0, in one recording; the others on one side of each fold.
    first = Fold(0, (*mine["p1"], mine["p0"][0]), (), (*mine["p0"][1:], *mine["p2"]))
    second = Fold(1, tuple(mine["p2"]), (), (*mine["p1"], *mine["p3"]))
    deviations = count_leaks(SEGMENT, units, [first, second])
    assert deviations["split.by"] == {"subjects": [1, 4], "recordings": [1, 4]}
    assert describe_leaks(SEGMENT, deviations)[0].endswith(": 1 of 4 subjects and 1 of 4 recordings")
    assert count_leaks(INDEPENDENT, units, [first, second]) == {}


@pytest.mark.parametrize("name", protocol_names())
def test_every_published_protocol_makes_the_folds_that_it_declares(name: str) -> None:
    protocol = load_protocol(name)
    dataset = next(iter(protocol.stimuli or ["toy"]))
    units = cohort(n_subjects=12, stimuli=6)
    if dataset == "faced" or protocol.split.within:
        units = clips(protocol)
    elif protocol.stimuli:
        named = sorted(protocol.included_stimuli(dataset) or ())
        shown = [recording(f"p{p}", name, 40.0) for p in range(12) for name in named]
        single = protocol.split.by == "segment"
        units = make_units(shown, card(name=dataset), "continuous", protocol) if single else whole_recordings(shown)
    folds = partition(protocol, dataset, units, 0)
    prove(protocol, dataset, units, folds)
    deviations = count_leaks(protocol, units, folds)
    assert bool(deviations) == protocol.leaks
    recordings = len({unit.recording for unit in units})
    if protocol.split.by == "segment":
        assert deviations["split.by"]["subjects"] == [12, 12]
    if protocol.split.by in ("recording", "stimulus"):
        assert deviations["split.by"] == {"subjects": [12, 12], "recordings": [0, recordings]}


FILMS = load_protocol("faced-films-v1")


@pytest.fixture
def shown() -> list[Unit]:
    """Whole recordings of the clips that take part in `FILMS`."""
    return clips(FILMS, subjects=10)


def learning(folds: list[Fold], index: int, extra: list[str], role: str = "train") -> list[Fold]:
    """The folds with `extra` units in a part of one of them."""
    changed = replace(folds[index], **{role: (*getattr(folds[index], role), *extra)})
    return [changed if fold.index == index else fold for fold in folds]


def by_others(units: list[Unit], fold: Fold, stimulus: str, role: str = "train") -> list[str]:
    """The units of subjects of a part of a fold, at a stimulus."""
    learn = {unit.subject for unit in units if unit.id in getattr(fold, role)}
    return [unit.id for unit in units if unit.subject in learn and unit.stimulus == stimulus]


@pytest.mark.parametrize("role", ["train", "val"])
def test_another_clip_of_a_tested_film_is_not_learned_from(shown: list[Unit], role: str) -> None:
    folds = partition(FILMS, "faced", shown, 0)
    prove(FILMS, "faced", shown, folds)
    stimulus_of = {unit.id: unit.stimulus for unit in shown}
    fold = next(f for f in folds if "clip07" in {stimulus_of[id_] for id_ in f.test})
    mates = by_others(shown, fold, "clip08", role)
    assert mates
    assert not set(mates) & {*fold.train, *fold.val}
    with pytest.raises(
        CheckFailed, match=f"1 training stimuli are related to test stimuli of fold {fold.index}, .*: clip08"
    ):
        prove(FILMS, "faced", shown, learning(folds, fold.index, mates[:1], role))


def test_a_clip_of_the_tested_part_is_not_learned_from_though_nobody_is_tested_on_it(shown: list[Unit]) -> None:
    folds = partition(FILMS, "faced", shown, 0)
    subjects = {unit.subject for unit in shown if unit.id in folds[0].test}
    stimulus = next(unit.stimulus for unit in shown if unit.id in folds[0].test)
    units = [unit for unit in shown if not (unit.subject in subjects and unit.stimulus == stimulus)]
    folds = partition(FILMS, "faced", units, 0)
    prove(FILMS, "faced", units, folds)
    with pytest.raises(CheckFailed, match=f"1 training stimuli are related to test stimuli of fold 0, .*: {stimulus}"):
        prove(FILMS, "faced", units, learning(folds, 0, by_others(units, folds[0], stimulus)[:1]))


def test_a_clip_that_takes_no_part_is_in_no_fold(shown: list[Unit]) -> None:
    folds = partition(FILMS, "faced", shown, 0)
    neutral = replace(shown[0], id="neutral", recording="neutral", stimulus="clip13")
    with pytest.raises(CheckFailed, match="1 stimuli of faced do not belong to the protocol: clip13"):
        prove(FILMS, "faced", [*shown, neutral], learning(folds, 0, ["neutral"]))
    nine = load_protocol("gerster2026-nine")
    units = clips(nine)
    folds = partition(nine, "faced", units, 0)
    with pytest.raises(CheckFailed, match="are not units"):
        prove(nine, "faced", units, learning(folds, 0, ["sub-011/clip02:0-40000"]))


@pytest.mark.parametrize("name", ["chen2023-within", "gerster2026-time", "gerster2026-clips"])
def test_a_fold_within_a_subject_has_nobody_else(name: str) -> None:
    protocol = load_protocol(name)
    units = clips(protocol, subjects=3)
    folds = partition(protocol, "faced", units, 0)
    other = next(unit for unit in reversed(units) if unit.subject == "sub-002" and unit.stimulus == "clip05")
    with pytest.raises(CheckFailed, match="2 subjects share fold 0 of a split within subjects: sub-000, sub-002"):
        prove(protocol, "faced", units, learning(folds, 0, [other.id]))


def test_the_guard_refuses_a_dataset_that_the_protocol_does_not_name(shown: list[Unit]) -> None:
    with pytest.raises(UsageError, match="faced-films-v1 does not define the stimuli of deap"):
        prove(FILMS, "deap", shown, partition(FILMS, "faced", shown, 0))
