"""The four scenarios of EPiC 2023 on the clips of CASE: what is tested, and what it may learn from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embench.errors import CheckFailed, UsageError
from embench.interfaces.units import Unit
from embench.protocols import Fold, load_protocol, make_units, partition, prove
from embench.protocols.schema import Split

from .cohorts import card, recording

CLIPS = ("1", "2", "3", "4", "5", "6", "7", "8")


def shown(protocol: str, seconds: float = 90.0) -> list[Unit]:
    recordings = [
        recording(f"p{p}", clip, seconds, start_s=200.0 * k) for p in range(6) for k, clip in enumerate(CLIPS)
    ]
    return make_units(recordings, card(name="case"), "continuous", load_protocol(protocol))


def folds_of(protocol: str) -> tuple[dict[str, Unit], list[Fold]]:
    units = shown(protocol)
    folds = partition(load_protocol(protocol), "case", units, 0)
    prove(load_protocol(protocol), "case", units, folds)
    return {unit.id: unit for unit in units}, folds


def test_across_time_the_last_third_of_each_recording_is_tested_and_the_rest_learned_from() -> None:
    units, (fold,) = folds_of("epic2023-time")
    assert {units[id_].start for id_ in fold.test} == {60.0, 70.0, 80.0}
    assert len(fold.test) == 6 * 8 * 3
    assert len(fold.val) == round(0.1 * 6 * 8 * 6)
    assert {*fold.train, *fold.val, *fold.test} == set(units)


def test_nothing_after_a_tested_moment_may_be_learned_from() -> None:
    protocol = load_protocol("epic2023-time")
    units, (fold,) = folds_of("epic2023-time")
    last = [id_ for id_ in fold.test if units[id_].start == 80.0]
    wrong = replace(fold, train=(*fold.train, *last), test=tuple(id_ for id_ in fold.test if id_ not in last))
    with pytest.raises(CheckFailed, match=r"48 training units of fold .* lie after its test units"):
        prove(protocol, "case", list(units.values()), [wrong])
    with pytest.raises(CheckFailed, match="48 units are never tested"):
        prove(protocol, "case", list(units.values()), [replace(wrong, train=fold.train)])


@pytest.mark.parametrize(
    ("protocol", "tested"),
    [
        ("epic2023-elicitor", [{"1", "2"}, {"3", "4"}, {"5", "6"}, {"7", "8"}]),
        ("epic2023-version", [{"1", "3", "5", "7"}, {"2", "4", "6", "8"}]),
    ],
)
def test_clips_are_tested_by_type_and_by_version(protocol: str, tested: list[set[str]]) -> None:
    units, folds = folds_of(protocol)
    assert [{units[id_].stimulus for id_ in fold.test} for fold in folds] == tested
    for fold in folds:
        assert {units[id_].subject for id_ in fold.test} == {units[id_].subject for id_ in fold.train}
        assert {*fold.train, *fold.val, *fold.test} == set(units)


def test_across_subjects_nobody_is_on_both_sides() -> None:
    units, folds = folds_of("epic2023-subject")
    assert len(folds) == 5
    for fold in folds:
        assert not {units[id_].subject for id_ in fold.test} & {units[id_].subject for id_ in fold.train + fold.val}


def test_the_scenarios_are_of_case_alone() -> None:
    with pytest.raises(UsageError, match="epic2023-time does not define the stimuli of amigos"):
        load_protocol("epic2023-time").stimulus_rules("amigos")


def test_only_stretches_of_time_have_a_last_one() -> None:
    with pytest.raises(ValueError, match="`tests: last` requires segments in order of time"):
        Split(by="segment", folds=3, tests="last")
