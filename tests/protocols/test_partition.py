"""Folds: fixed, balanced, and never through a group of subjects."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.errors import UsageError
from embench.interfaces.units import Unit
from embench.protocols import (
    Fold,
    Protocol,
    connected_groups,
    follow_recordings,
    load_protocol,
    make_units,
    partition,
    prove,
    roles,
)
from embench.protocols.partition import FEWEST_GROUPS

from .cohorts import card, clips, cohort, recording

INDEPENDENT, LOSO, SEGMENT = (
    load_protocol(name) for name in ("subject-independent-v4", "leave-one-subject-out-v4", "segment-random-legacy")
)


def by(split: str, **changes: Any) -> Protocol:
    return SEGMENT.model_copy(update={"split": SEGMENT.split.model_copy(update={"by": split}), **changes})


def subjects(units: list[Unit], ids: tuple[str, ...]) -> set[str]:
    subject_of = {unit.id: unit.subject for unit in units}
    return {subject_of[id_] for id_ in ids}


def assigned(folds: list[Fold]) -> dict[tuple[int, str], frozenset[str]]:
    return {(fold.index, role): frozenset(getattr(fold, role)) for fold in folds for role in ("train", "val", "test")}


def unit(subject: str, group: str, stimulus: str, start: int) -> Unit:
    name = f"{subject}/{stimulus}/{group}"
    return Unit(f"{name}:{start}", name, subject, stimulus, group, float(start), start + 10.0, float(start), 0.0)


@st.composite
def cohorts(draw: st.DrawFn) -> list[Unit]:
    """2 subjects and up in groups that may be linked through them, with 1 to 6 units in each of 1 to 3 recordings."""
    n = draw(st.integers(2, 14))
    units = []
    for p in range(n):
        for r in range(draw(st.integers(1, 3))):
            group = draw(st.sampled_from([f"p{p}", f"p{p}", f"g{p // 2}", f"g{(p + 1) // 3}"]))
            units += [unit(f"p{p}", group, f"v{r}", 10 * i) for i in range(draw(st.integers(1, 6)))]
    return units


@given(units=cohorts(), k=st.integers(0, 5), protocol=st.sampled_from([INDEPENDENT, LOSO]))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_groups_stay_whole_and_every_unit_is_tested_once(units: list[Unit], k: int, protocol: Protocol) -> None:
    group_of = connected_groups(units)
    groups = set(group_of.values())
    if len(groups) == 1:
        with pytest.raises(UsageError, match="cannot be split by group"):
            partition(protocol, "toy", units, k)
        return
    folds = partition(protocol, "toy", units, k)
    prove(protocol, "toy", units, folds)
    if protocol is LOSO or len(groups) < FEWEST_GROUPS:
        assert len(folds) == len(groups)
    else:
        assert len(folds) in ({2, 3, 4} if len(groups) < 8 else {4})  # some of the four are empty in a small cohort
    assert sorted(id_ for fold in folds for id_ in fold.test) == sorted(u.id for u in units)
    for fold in folds:
        parts = [{group_of[s] for s in subjects(units, part)} for part in (fold.train, fold.val, fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(groups)
        assert parts[0]
        assert parts[2]
        assert len(parts[1]) <= (len(groups) - len(parts[2])) / 2
        assert bool(parts[1]) == (len(groups) - len(parts[2]) > 1)


@given(units=cohorts(), k=st.integers(0, 3), seed=st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_the_order_of_units_decides_nothing(units: list[Unit], k: int, seed: int) -> None:
    shuffled = random.Random(seed).sample(units, len(units))
    splittable = len(set(connected_groups(units).values())) > 1
    for protocol in (SEGMENT, by("recording"), *([INDEPENDENT] if splittable else [])):
        folds = partition(protocol, "toy", units, k)
        assert assigned(folds) == assigned(partition(protocol, "toy", shuffled, k))
        place = {u.id: i for i, u in enumerate(units)}
        assert all(
            list(part) == sorted(part, key=place.__getitem__) for f in folds for part in (f.train, f.val, f.test)
        )


@given(units=cohorts(), k=st.integers(0, 3))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_legacy_splits_keep_what_they_declare(units: list[Unit], k: int) -> None:
    for protocol in (SEGMENT, by("recording")):
        folds = partition(protocol, "toy", units, k)
        prove(protocol, "toy", units, folds)
        assert sorted(id_ for fold in folds for id_ in fold.test) == sorted(u.id for u in units)


def test_folds_hold_equally_many_subjects() -> None:
    units = cohort(n_subjects=24)
    for k in range(3):
        folds = partition(INDEPENDENT, "toy", units, k)
        assert sorted(len(subjects(units, fold.test)) for fold in folds) == [4, 5, 5, 5, 5]
        assert {len(subjects(units, fold.val)) for fold in folds} == {4}


@pytest.mark.parametrize(
    ("n", "validating"), [(2, {0}), (3, {1}), (4, {1}), (5, {1, 2}), (10, {3, 4}), (40, {6, 7}), (60, {9, 10})]
)
def test_a_fifth_validates_at_least_four_at_most_half(n: int, validating: set[int]) -> None:
    units = cohort(n_subjects=n)
    assert {len(subjects(units, fold.val)) for fold in partition(INDEPENDENT, "toy", units, 0)} == validating


def test_a_large_group_does_not_take_most_subjects_from_training() -> None:
    units = cohort(groups={f"p{i}": "crowd" if i < 12 else f"p{i}" for i in range(16)})
    for k in range(5):
        for fold in partition(INDEPENDENT, "toy", units, k):
            assert 0 < len(subjects(units, fold.val)) <= len(subjects(units, fold.train))


def test_partitions_differ_by_k_dataset_and_protocol() -> None:
    units = cohort(n_subjects=24)
    first = assigned(partition(INDEPENDENT, "toy", units, 0))
    again = INDEPENDENT.model_copy(update={"folds_of": "subject-independent-v1"})
    others = [("toy", 1, INDEPENDENT), ("other", 0, INDEPENDENT), ("toy", 0, again)]
    assert all(first != assigned(partition(protocol, name, units, k)) for name, k, protocol in others)


def test_partition_of_a_dataset_is_fixed_for_good() -> None:
    """A change here parts new rows from published ones: it needs a new version of the protocol."""
    units = cohort(n_subjects=8)
    now = partition(INDEPENDENT, "toy", units, 0)
    assert [sorted(subjects(units, fold.test)) for fold in now] == [
        ["p0", "p1", "p6"],
        ["p2", "p3", "p5"],
        ["p4"],
        ["p7"],
    ]
    one_order = partition(INDEPENDENT, "toy", units, 0, {f"p{i}": 600.0 + i for i in range(8)})
    assert [sorted(subjects(units, fold.test)) for fold in one_order] == [
        ["p3", "p5"],
        ["p0", "p2"],
        ["p6", "p7"],
        ["p4"],
        ["p1"],
    ]


def test_neighbours_in_session_length_share_a_fold_where_tasks_came_in_one_order() -> None:
    units = cohort(n_subjects=35)
    sessions = {f"p{i}": 1000.0 + i * 17 % 35 for i in range(35)}
    order = sorted(sessions, key=lambda name: sessions[name])
    offsets = set()
    for k in range(8):
        folds = partition(INDEPENDENT, "toy", units, k, sessions)
        prove(INDEPENDENT, "toy", units, folds)
        fold_of = {name: fold.index for fold in folds for name in subjects(units, fold.test)}
        blocks = {at: [order[i : i + 4] for i in range(at, 32, 4)] for at in range(4)}
        whole = {at for at in blocks if all(len({fold_of[name] for name in block}) == 1 for block in blocks[at])}
        assert whole
        offsets |= whole
        assert len(folds) == 5
        assert all(4 <= len(subjects(units, fold.test)) <= 10 for fold in folds)
        shuffled = random.Random(k).sample(units, len(units))
        assert assigned(folds) == assigned(partition(INDEPENDENT, "toy", shuffled, k, sessions))
    assert offsets == {0, 1, 2, 3}  # partitions differ in who is whose neighbour
    assert partition(LOSO, "toy", units, 0, sessions) == partition(LOSO, "toy", units, 0)


def test_small_cohorts_have_as_many_folds_and_shorter_blocks() -> None:
    units = cohort(n_subjects=14)
    sessions = {f"p{i}": 600.0 + 10 * i for i in range(14)}
    for k in range(4):
        folds = partition(INDEPENDENT, "toy", units, k, sessions)
        assert sorted(len(subjects(units, fold.test)) for fold in folds) in (
            [2, 2, 2, 4, 4],
            [2, 2, 3, 3, 4],
            [2, 3, 3, 3, 3],
        )


def test_groups_stay_whole_in_blocks_of_neighbours() -> None:
    units = cohort(groups={f"p{i}": f"dyad{i // 2}" for i in range(24)})
    folds = partition(INDEPENDENT, "toy", units, 0, {f"p{i}": 600.0 + 100 * (i % 2) + i for i in range(24)})
    prove(INDEPENDENT, "toy", units, folds)
    assert max(len(subjects(units, fold.test)) for fold in folds) == 8  # four dyads


def test_subjects_of_one_block_are_still_split() -> None:
    units = cohort(n_subjects=4)
    for k in range(4):
        folds = partition(INDEPENDENT, "toy", units, k, dict.fromkeys(["p0", "p1", "p2", "p3"], 60.0))
        prove(INDEPENDENT, "toy", units, folds)
        assert len(folds) >= 2


def test_subjects_are_connected_through_any_recording() -> None:
    units = [
        unit("a", "a", "v0", 0),
        unit("a", "night1", "v1", 0),
        unit("b", "night1", "v1", 0),
        unit("b", "night2", "v2", 0),
        unit("c", "night2", "v2", 0),
        unit("d", "d", "v0", 0),
        unit("night2", "alone", "v0", 0),  # a subject called like a group is nobody of that group
    ]
    assert connected_groups(units) == {"a": "night1", "b": "night1", "c": "night1", "d": "d", "night2": "alone"}


def test_subjects_all_connected_cannot_be_split() -> None:
    units = cohort(groups={"p1": "family", "p2": "family", "p3": "family"})
    with pytest.raises(UsageError, match="cannot be split by group"):
        partition(INDEPENDENT, "toy", units, 0)


def test_subjects_and_stimuli_both_unseen() -> None:
    units = cohort(n_subjects=12, stimuli=6)
    protocol = by("group+stimulus", leaks=False)
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, "toy", units, folds)
    stimulus_of = {u.id: u.stimulus for u in units}
    assert [fold.index for fold in folds] == list(range(25))
    assert Counter(id_ for fold in folds for id_ in fold.test) == Counter(u.id for u in units)
    for fold in folds:
        assert fold.val
        assert not {stimulus_of[i] for i in fold.test} & {stimulus_of[i] for i in fold.train + fold.val}
        assert not subjects(units, fold.test) & subjects(units, fold.train + fold.val)
    with pytest.raises(UsageError, match="cannot be split by stimulus"):
        partition(protocol, "toy", cohort(n_subjects=12, stimuli=1), 0)


def test_roles_list_every_subject_once_where_nothing_leaks() -> None:
    units = cohort(groups={"p1": "dyad", "p2": "dyad", "p3": "p3", "p4": "p4", "p5": "p5", "p6": "p6", "p7": "p7"})
    rows = roles(units, partition(INDEPENDENT, "toy", units, 1))
    assert len(rows) == 4 * 7
    assert Counter((row.subject, row.role) for row in rows)["p1", "test"] == 1
    assert {row.group for row in rows if row.subject in {"p1", "p2"}} == {"dyad"}
    leaking = roles(units, partition(SEGMENT, "toy", units, 0))
    assert {row.role for row in leaking if row.subject == "p1"} == {"train", "val", "test"}
    assert leaking == sorted(leaking, key=lambda r: (r.fold, r.subject, ("train", "val", "test").index(r.role)))


def stimuli(units: list[Unit], ids: Iterable[str]) -> set[str]:
    stimulus_of = {unit.id: unit.stimulus for unit in units}
    return {stimulus_of[id_] for id_ in ids}


def test_groups_in_order_make_equal_folds_in_a_row_and_the_last_takes_the_rest() -> None:
    chen = load_protocol("chen2023")
    units = [unit(f"sub-{p:03d}", f"sub-{p:03d}", "clip01", 0) for p in range(123)]
    for k in range(2):
        folds = partition(chen, "faced", random.Random(k).sample(units, 123), k)
        tested = [sorted(subjects(units, fold.test)) for fold in folds]
        assert [len(names) for names in tested] == [*[12] * 9, 15]
        assert [name for names in tested for name in names] == [f"sub-{p:03d}" for p in range(123)]
        assert all(fold.val == () and len(fold.train) + len(fold.test) == 123 for fold in folds)
    few = partition(chen, "faced", units[:7], 0)
    assert [len(fold.test) for fold in few] == [1] * 7


def test_films_and_subjects_are_both_unseen() -> None:
    films = load_protocol("faced-films-v1")
    units = clips(films, subjects=20)
    folds = partition(films, "faced", units, 0)
    prove(films, "faced", units, folds)
    assert len(folds) == 15
    rules = films.stimulus_rules("faced")
    assert rules is not None
    for fold in folds:
        (part,) = [set(p) for p in rules.parts if set(p) == stimuli(units, fold.test)]
        learned = stimuli(units, fold.train + fold.val)
        mates = {"clip08"} if "clip07" in part else {"clip07"} if "clip08" in part else set()
        assert learned == {f"clip{n:02d}" for n in range(1, 29) if not 13 <= n <= 16} - part - mates
        assert not subjects(units, fold.test) & subjects(units, fold.train + fold.val)
        assert len(subjects(units, fold.val)) == 4
    assert assigned(folds) != assigned(partition(films, "faced", units, 1))
    assert assigned(folds) != assigned(partition(films, "faced/processed", units, 0))
    # Seed for seed the subjects are dealt alike for each part of the films.
    tested = [subjects(units, fold.test) for fold in folds]
    assert all(tested[3 * i] == tested[3 * i + 1] == tested[3 * i + 2] for i in range(5))


@pytest.mark.parametrize("name", ["faced-films-v1", "gerster2026-clips", "gerster2026-films", "chen2023-within"])
def test_a_subject_without_some_clips_changes_nothing_for_the_others(name: str) -> None:
    protocol = load_protocol(name)
    lost = {f"sub-003/clip{n:02d}" for n in (7, 1, 25)}
    whole, some = clips(protocol), clips(protocol, without=lost)
    assert 0 < len(some) < len(whole)
    folds, fewer = (partition(protocol, "faced", units, 0) for units in (whole, some))
    prove(protocol, "faced", some, fewer)
    gone = {unit.id for unit in whole} - {unit.id for unit in some}
    assert assigned(fewer) == {at: ids - gone for at, ids in assigned(folds).items()}


def test_a_part_that_a_subject_never_saw_makes_no_fold_within_this_subject() -> None:
    protocol = load_protocol("gerster2026-clips")
    rules = protocol.stimulus_rules("faced")
    assert rules is not None
    units = clips(protocol, subjects=2, without={f"sub-000/{name}" for name in rules.parts[1]})
    folds = partition(protocol, "faced", units, 0)
    prove(protocol, "faced", units, folds)
    assert [subjects(units, fold.test) for fold in folds] == [{"sub-000"}] * 2 + [{"sub-001"}] * 3
    assert [fold.index for fold in folds] == list(range(5))
    with pytest.raises(UsageError, match="cannot be split by parts of the stimuli"):
        partition(protocol, "faced", [u for u in units if u.stimulus in rules.parts[2]], 0)


def test_within_a_subject_time_is_split_into_stretches_of_each_recording() -> None:
    for name, count in (("chen2023-within", 10), ("gerster2026-time", 3)):
        protocol = load_protocol(name)
        units = clips(protocol, subjects=3)
        folds = partition(protocol, "faced", units, 0)
        prove(protocol, "faced", units, folds)
        assert len(folds) == 3 * count
        at = {u.id: u for u in units}
        for fold in folds:
            assert len(subjects(units, fold.train + fold.test)) == 1
            assert len(fold.test) == 28 * 30 // count
            assert len(fold.train) == 28 * 30 - len(fold.test)
            begins: dict[str, list[float]] = {}
            for id_ in fold.test:
                begins.setdefault(at[id_].recording, []).append(at[id_].start)
            assert len(begins) == 28
            part = fold.index % count
            for name_of, starts in begins.items():
                first = min(u.start for u in units if u.recording == name_of)
                assert starts == pytest.approx([first + 30 // count * part + s for s in range(30 // count)])
        shuffled = random.Random(1).sample(units, len(units))
        assert assigned(folds) == assigned(partition(protocol, "faced", shuffled, 0))


def test_a_short_recording_gives_its_rest_to_the_last_stretch() -> None:
    within = load_protocol("gerster2026-time")
    units = [unit("a", "a", "v0", s) for s in range(0, 110, 10)] + [unit("a", "a", "v1", s) for s in (0, 10)]
    folds = partition(within, "toy", units, 0)
    assert [len(fold.test) for fold in folds] == [3 + 1, 3 + 1, 5]
    with pytest.raises(UsageError, match="cannot be split by time"):
        partition(within, "toy", [unit("a", "a", f"v{r}", 0) for r in range(5)], 0)


def test_within_a_subject_recordings_are_dealt_out_too() -> None:
    protocol = by("recording")
    protocol = protocol.model_copy(update={"split": protocol.split.model_copy(update={"within": "subject"})})
    units = cohort(n_subjects=4, stimuli=6)
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, "toy", units, folds)
    assert len(folds) == 20
    assert all(len(subjects(units, fold.train + fold.val + fold.test)) == 1 for fold in folds)


def test_stimuli_of_all_subjects_are_split_where_that_is_asked_for() -> None:
    protocol = by("stimulus")
    units = cohort(n_subjects=6, stimuli=5)
    folds = partition(protocol, "toy", units, 0)
    prove(protocol, "toy", units, folds)
    assert sorted(len(stimuli(units, fold.test)) for fold in folds) == [1] * 5
    assert all(len(subjects(units, fold.test)) == 6 for fold in folds)


@pytest.mark.parametrize("name", ["faced-films-v1", "chen2023", "gerster2026-clips", "gerster2026-films"])
def test_the_order_of_recordings_decides_nothing_where_stimuli_are_named(name: str) -> None:
    protocol = load_protocol(name)
    units = clips(protocol)
    shuffled = random.Random(7).sample(units, len(units))
    assert assigned(partition(protocol, "faced", units, 1)) == assigned(partition(protocol, "faced", shuffled, 1))


def test_a_dataset_whose_stimuli_are_not_named_is_not_split() -> None:
    with pytest.raises(UsageError, match="faced-films-v1 does not define the stimuli of toy"):
        partition(load_protocol("faced-films-v1"), "toy", cohort(), 0)


def test_recordings_follow_their_units_into_many_folds() -> None:
    protocol = load_protocol("gerster2026-clips")
    dealt = clips(protocol, subjects=4)
    shown = [recording(u.subject, u.stimulus, u.stop) for u in dealt]
    units = make_units(shown, card(name="faced"), "rating", protocol)
    folds = partition(protocol, "faced", dealt, 0)
    followed = follow_recordings(folds, dealt, units)
    prove(protocol, "faced", units, followed)
    recording_of = {u.id: u.recording for u in [*dealt, *units]}
    place = {u.id: i for i, u in enumerate(units)}
    for one, other in zip(folds, followed, strict=True):
        for role in ("train", "val", "test"):
            ids = getattr(other, role)
            assert {recording_of[id_] for id_ in ids} == {recording_of[id_] for id_ in getattr(one, role)}
            assert list(ids) == sorted(ids, key=place.__getitem__)
