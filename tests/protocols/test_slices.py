"""What test subjects give first, and what is scored after it, on small timelines: a character is a unit of 10 s."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.errors import CheckFailed, UsageError
from embench.interfaces.units import Unit
from embench.planning.plan import make
from embench.planning.request import Request
from embench.protocols import Given, Placed, Slices, cut_slices, prove_slices
from embench.protocols.schema import PersonalRules

DATA = os.environ.get("EMBENCH_TEST_DATA")
UNITS = PersonalRules(gives="units", most=10, guard_s=60, block_s=120)
SESSION, BLOCKS = PersonalRules(gives="session"), PersonalRules(gives="blocks")
FREE = "000111000111000111"
"""Two conditions by turns, of 30 s each."""
TASKS = "0" * 8 + "1" * 8 + "0" * 8 + "1" * 8 + "0" * 8 + "1" * 8


def timeline(subject: str, labels: str, recording: str = "r", start_s: float = 0.0, order: float = 0.0) -> list[Unit]:
    """The units of a recording; they come in no order of time."""
    units = [
        Unit(f"{subject}/{recording}:{k}", f"{subject}/{recording}", subject, "task", subject, 10.0 * k, 10.0 * k + 10,
             start_s + 10 * k, order) for k in range(len(labels))
    ]  # fmt: skip
    return units[::2] + units[1::2]


def placed(*people: Sequence[tuple[str, list[Unit]]], classes: int = 2, **options) -> Placed:
    """People as (labels, units) of their recordings; `-` is a unit without a label."""
    units = [unit for person in people for _, made in person for unit in made]
    of = {unit.id: text[int(unit.id.rpartition(":")[2])] for person in people for text, made in person for unit in made}
    y = np.array([math.nan if of[unit.id] == "-" else float(of[unit.id]) for unit in units])
    settings = {"kind": "condition", "fixed_order": False, "session": {unit.recording: 0 for unit in units}}
    return Placed(units, y, y.copy(), classes, **{**settings, **options})


def people(labels: str, count: int = 3, **options) -> Placed:
    return placed(*([(labels, timeline(f"p{i}", labels))] for i in range(count)), **options)


def cut(at: Placed, rules: PersonalRules = UNITS) -> Slices:
    return cut_slices(rules, at, "toy", sorted({unit.subject for unit in at.units}))


def drawn(at: Placed, slices: Slices, subject: str = "p0") -> str:
    """A subject's units in the order of time: the rank of what is given, `s` of what is scored, else `.`."""
    own = at.by_subject[subject]
    return "".join("s" if slices.scored[i] else str(slices.rank[i]) if slices.rank[i] else "." for i in own)


def fewer(most: int, **rules) -> PersonalRules:
    return UNITS.model_copy(update={"most": most, **rules})


def test_the_first_units_of_each_class_are_given_and_a_whole_block_and_the_guard_lie_before_what_is_scored() -> None:
    at = people(FREE)
    assert drawn(at, cut(at)) == "12.12......sssssss"
    assert drawn(at, cut(at, fewer(2))) == "12.12......sssssss"  # sixty seconds after the second of the other class
    assert drawn(at, cut(at, fewer(2, guard_s=0))) == "12.12....sssssssss"  # a whole block at least
    assert drawn(at, cut(at, fewer(2, guard_s=100))) == "1..1..........ssss"  # of two, a class would be left out


@pytest.mark.parametrize("text", [FREE, TASKS, "0011" * 9])
def test_units_are_scored_or_not_however_many_are_given(text: str) -> None:
    at = people(text)
    slices = cut(at)
    for k in range(slices.most + 1):
        given = slices.select_given(k)
        assert given.sum() == 2 * k * 3
        assert not (given & slices.scored).any()
        assert not (given & ~slices.select_given(slices.most)).any()
        prove_slices(UNITS, at, slices, given, "toy")


def test_most_is_what_two_thirds_of_the_subjects_can_give() -> None:
    few = "000" + "1" * 8 + "0" * 20 + "1" * 8
    slices = cut(placed(*([(text, timeline(f"p{i}", text))] for i, text in enumerate([TASKS, TASKS, few]))))
    assert (slices.most, dict(slices.unusable)) == (5, {"p2": "the remaining units to score lacks a class"})
    assert not slices.scored[-len(few) :].any()
    half = placed(*([(text, timeline(f"p{i}", text))] for i, text in enumerate([TASKS, few])))
    with pytest.raises(UsageError, match="1 of 2 subjects"):
        cut(half)


def test_where_tasks_come_in_one_order_the_first_block_of_each_class_alone_is_given() -> None:
    short = "00" + "111" + "000" * 2 + TASKS
    assert cut(people(short)).most == 10
    slices = cut(at := people(short, fixed_order=True))
    assert (slices.most, drawn(at, slices)[:11]) == (2, "1212.......")


def test_units_without_a_label_are_neither_given_nor_scored_and_end_no_block() -> None:
    at = people("--000-000111111-" + TASKS + "-")
    slices = cut(at, fewer(5))
    assert drawn(at, slices)[:16] == "..123.45.12345.."
    assert not slices.scored[~np.isfinite(at.y)].any()
    assert drawn(at, slices).startswith("..123.45.12345..." + "." * 7)


def test_each_of_several_classes_is_given_and_scored() -> None:
    at = people("012" * 14, classes=3)
    slices = cut(at, fewer(2))
    assert drawn(at, slices)[:12] == "111222......"
    assert set(at.y[slices.scored]) == {0, 1, 2}


def test_of_values_the_first_units_are_given_and_blocks_are_stretches_of_time() -> None:
    at = people("1234567899" * 8, classes=1, kind="continuous")
    slices = cut(at)
    assert drawn(at, slices).startswith("12345678910" + "." * 14 + "s")  # from the third stretch of two minutes on
    with pytest.raises(UsageError, match="one value only"):
        cut(people("1234567899" + "5" * 70, classes=1, kind="continuous"))


def recordings(subject: str, start_s=lambda k: 300.0 * k, order=float) -> list[tuple[str, list[Unit]]]:
    """Twelve recordings of 30 s, the last one first in the files; each with one of two labels."""
    made = [(f"{k % 2}" * 3, timeline(subject, "000", f"r{k}", start_s(k), order(k))) for k in range(12)]
    return made[::-1]


@pytest.mark.parametrize("hidden", ["nothing", "starts", "order"])
def test_recordings_are_blocks_in_their_order(hidden: str) -> None:
    told = {"starts": {"start_s": lambda _: math.nan}, "order": {"order": lambda _: math.nan}}.get(hidden, {})
    at = placed(*(recordings(f"p{i}", **told) for i in range(3)), kind="rating")
    slices = cut(at, fewer(3))
    assert drawn(at, slices) == "123123..." + "s" * 27
    assert slices.block[at.by_subject["p0"]].tolist() == [k for k in range(12) for _ in range(3)]


def test_recordings_whose_order_the_release_hides_are_refused() -> None:
    at = placed(*(recordings(f"p{i}", lambda _: math.nan, lambda _: math.nan) for i in range(3)), kind="rating")
    with pytest.raises(UsageError, match="hides in which order recordings came"):
        cut(at)


def test_sessions_are_given_or_scored_whole() -> None:
    def of(subject: str) -> list[tuple[str, list[Unit]]]:
        return [("0011", timeline(subject, "0011", f"d{k}")) for k in (2, 0, 1)]

    session = {f"p{i}/d{k}": k for i in range(3) for k in range(3)}
    at = placed(*(of(f"p{i}") for i in range(3)), session=session)
    assert drawn(at, cut(at, SESSION)) == "1212ssssssss"
    with pytest.raises(UsageError, match="one session only"):
        cut(people(TASKS), SESSION)


def test_the_first_half_of_the_blocks_is_given_and_a_block_is_left_out() -> None:
    at = people(TASKS)
    slices = cut(at, BLOCKS.model_copy(update={"guard_s": 0.0}))
    assert [bool(slices.rank[i]) for i in at.by_subject["p0"]] == [True] * 24 + [False] * 24
    assert drawn(at, slices)[-24:] == "." * 8 + "s" * 16


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("0" * 20 + "1" * 20, "the remaining units to score lacks a class"),  # a task each, as rest and arithmetic
        ("0" * 40, "what is given lacks a class"),
    ],
)
def test_a_design_that_does_not_allow_it_is_refused_with_the_reason(labels: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"3 of 3 subjects, {reason}"):
        cut(people(labels))


def test_more_than_subjects_can_give_is_refused() -> None:
    slices = cut(people(TASKS))
    slices.check(Given(5), "toy")
    slices.check(Given.read("session"), "toy")
    with pytest.raises(UsageError, match="5 units of each class as calibration data, fewer than 9") as caught:
        slices.check(Given(9), "toy")
    assert slices.words in str(caught.value)


@pytest.mark.parametrize("text", ["-1", "2.5", "labelled:5", "unlabelled:0", "unlabelled:", "five", "0,5", ""])
def test_what_nobody_can_give_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid amount of calibration data"):
        Given.read(text)


@pytest.mark.parametrize("text", ["0", "5", "unlabelled:5", "session"])
def test_what_is_given_reads_back_from_records(text: str) -> None:
    assert Given.from_record(Given.read(text).to_record()).text == text


def leaking(at: Placed, given: str, scored: str) -> tuple[Slices, np.ndarray]:
    """Slices that somebody made by hand: characters of each subject's units in the order of time, and what is given."""
    slices, rank, chosen = cut(at), np.zeros(len(at.units), np.int64), np.zeros(len(at.units), bool)
    for own in at.by_subject.values():
        for k in (0, 1):
            picked = [i for i, mark in zip(own, given, strict=True) if mark == "x" and at.y[i] == k]
            rank[picked] = np.arange(1, len(picked) + 1)
        chosen[own] = [mark == "s" for mark in scored]
    return replace(slices, rank=rank, scored=chosen), rank > 0


@pytest.mark.parametrize(
    ("given", "scored", "found"),
    [
        ("x..x..............", "...............sss", ""),
        (".x..x.............", "...............sss", "skip earlier units"),  # picked
        ("x..x.x............", "...............sss", "skip earlier units"),  # drawn at random
        ("xxxxxxx...........", "......ssssssssssss", "calibration data and scored"),
        ("xxxxxx............", "......ssssssssssss", "less than a block after"),  # its neighbours
        ("x..x.............x", "...............ss.", "less than a block after"),  # after it
        ("xxxxxx............", ".........sssssssss", "less than 60 s after"),
    ],
)
def test_slices_that_somebody_chose_are_refused(given: str, scored: str, found: str) -> None:
    at = people(FREE)
    slices, mine = leaking(at, given, scored)
    if not found:
        prove_slices(UNITS, at, slices, mine, "toy")
        return
    with pytest.raises(CheckFailed, match=found):
        prove_slices(UNITS, at, slices, mine, "toy")


def test_blocks_are_counted_by_the_proof_itself() -> None:
    """Whoever says that each unit is a block of its own has not put one between."""
    at = people(FREE, fixed_order=True)
    slices, mine = leaking(at, "x..x..............", "....ssssssssssssss")
    each = replace(slices, block=np.arange(len(at.units)))
    with pytest.raises(CheckFailed, match="less than a block after"):
        prove_slices(UNITS.model_copy(update={"guard_s": 0.0}), at, each, mine, "toy")


IN_ORDER = (
    "given up to 5 units of each class from the first block of rest and the first of stress; scored on the 2nd and 3rd "
    "blocks of stress and the 3rd of rest"
)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (FREE, {}, "given the first units of each class, up to 2; scored on what comes at least a block and 60 s"),
        ("12345" * 20, {"classes": 1, "kind": "continuous"}, "given the first units, up to 10; scored on"),
        (TASKS, {"fixed_order": True, "names": ("rest", "stress")}, IN_ORDER),
    ],
)
def test_words_name_what_is_given_and_what_is_scored(labels: str, options: dict, words: str) -> None:
    assert cut(people(labels, **options)).words.startswith(words)


def test_conditions_that_came_once_are_named_alone() -> None:
    raw = {"0": 0.0, "1": 1.0, "2": 0.0, "3": 1.0, "4": 1.0}
    at = people("0" * 8 + "1" * 8 + "2" * 8 + "3" * 8 + "4" * 8, fixed_order=True,
                names=("rest", "the colour test", "recovery", "interview", "hyperventilation"))  # fmt: skip
    at = replace(at, y=np.array([raw[f"{value:.0f}"] for value in at.raw]))
    with pytest.raises(UsageError):
        cut(at)  # recovery alone lies between
    at = people("0" * 8 + "1" * 8 + "5" * 8 + "2" * 8 + "3" * 8 + "4" * 8, fixed_order=True,
                names=("rest", "colour test", "recovery", "interview", "hyperventilation", "pause"))  # fmt: skip
    at = replace(at, y=np.array([{**raw, "5": 0.0}[f"{value:.0f}"] for value in at.raw]))
    assert cut(at).words == (
        "given up to 5 units of each class from rest and colour test; scored on recovery, interview and "
        "hyperventilation"
    )


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA names no folder with real data")
def test_real_sessions_give_their_first_rest_and_stress_and_one_task_each_is_refused() -> None:
    request = Request("stress_predict", encoders=("handcrafted",), fusion="logreg", protocol="personalise-v1",
                      seeds="0", data_root=Path(DATA or "."), device="cpu", workers=1)  # fmt: skip
    found = {name: make(replace(request, dataset=name)).test for name in ("stress_predict", "wearable_stress")}
    for name, cohort in found.items():
        slices = cohort.slices
        assert slices is not None
        assert slices.words.startswith("given up to 10 units of each class from the first block of rest and the first")
        for own in cohort.placed.by_subject.values():
            if slices.scored[own].any():
                assert set(cohort.placed.y[own[slices.select_given(2)[own]]]) == {0, 1}, name
                assert set(cohort.placed.y[own[slices.scored[own]]]) == {0, 1}, name
    assert all("to give" in reason for reason in found["wearable_stress"].slices.unusable.values())
    with pytest.raises(UsageError, match="for 36 of 36 subjects, the remaining units to score lacks a class"):
        make(replace(request, dataset="eegmat"))
