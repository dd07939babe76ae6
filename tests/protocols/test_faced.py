"""The protocols of FACED on its real sidecars: who saw which clips, in which order, and for how long."""

from __future__ import annotations

import os
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from embench.interfaces.recording import Recording
from embench.interfaces.units import Unit
from embench.protocols import (
    Protocol,
    follow_recordings,
    load_protocol,
    make_units,
    partition,
    prove,
    select_recordings,
    whole_recordings,
)
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.faced.release import BLOCKS, PEOPLE, name_stimulus

pytestmark = pytest.mark.slow

BLOCK_OF = {name_stimulus(clip): k for k, block in enumerate(BLOCKS) for clip in block}


@pytest.fixture(scope="module")
def everything() -> list[Recording]:
    folder = Path(os.environ.get("EMBENCH_TEST_DATA", "")) / "faced_sidecars"
    if not os.environ.get("EMBENCH_TEST_DATA") or not folder.is_dir():
        pytest.skip("EMBENCH_TEST_DATA does not say where the sidecars of FACED are")
    reader = Faced(folder)
    return [recording for subject in reader.subjects() for recording in reader.recordings(subject)]


def split(protocol: Protocol, recordings: list[Recording]) -> tuple[list[Unit], list[tuple[list[Unit], list[Unit]]]]:
    """The units, and the training and test units of each fold."""
    units = make_units(recordings, Faced.card, "rating", protocol)
    if protocol.split.by == "segment":
        folds = partition(protocol, "faced", units, 0)
    else:
        roster = whole_recordings(select_recordings(protocol, Faced.card, recordings))
        folds = follow_recordings(partition(protocol, "faced", roster, 0), roster, units)
    prove(protocol, "faced", units, folds)
    at = {unit.id: unit for unit in units}
    return units, [([at[i] for i in (*f.train, *f.val)], [at[i] for i in f.test]) for f in folds]


def test_films_are_split_in_the_blocks_that_everyone_saw(everything: list[Recording]) -> None:
    units, folds = split(load_protocol("faced-films-v1"), everything)
    assert (len(units), len(folds)) == (123 * 24, 15)
    order = {r.id: r.order for r in everything}
    for learned, tested in folds:
        assert len(tested) == 8 * len({unit.subject for unit in tested})
        assert not {unit.subject for unit in learned} & {unit.subject for unit in tested}
        blocks = {BLOCK_OF[unit.stimulus] for unit in tested}
        assert len(blocks) == 2
        assert not blocks & {BLOCK_OF[unit.stimulus] for unit in learned}
        # What one sees of a subject are two stretches of four clips in a row.
        for _, own in groupby(sorted(tested, key=lambda u: (u.subject, order[u.recording])), lambda u: u.subject):
            places = [order[unit.recording] or 0 for unit in own]
            assert [place - places[4 * (k // 4)] for k, place in enumerate(places)] == [0, 1, 2, 3] * 2


def test_chen2023_has_the_last_30_s_of_every_clip(everything: list[Recording]) -> None:
    units, folds = split(load_protocol("chen2023"), everything)
    assert set(Counter(unit.recording for unit in units).values()) == {30}
    assert len(units) == 123 * 28 * 30
    length = {r.id: r.duration_s for r in everything}
    last = {unit.recording: unit.stop for unit in units}
    assert all(-1e-9 < length[name] - stop < 0.0011 for name, stop in last.items())
    tested = [sorted({unit.subject for unit in test}) for _, test in folds]
    assert [len(names) for names in tested] == [*[12] * 9, 15]
    assert [name for names in tested for name in names] == list(PEOPLE)


@pytest.mark.parametrize(
    ("name", "folds", "tested", "trained"),
    [
        ("chen2023-within", 1230, 28 * 3, 28 * 27),
        ("gerster2026-time", 369, 28 * 10, 28 * 20),
        ("gerster2026-clips", 369, 9 * 30, 18 * 30),
        ("gerster2026-nine-within", 1230, 9 * 3, 9 * 27),
    ],
)
def test_each_subject_is_split_alone(
    name: str, folds: int, tested: int, trained: int, everything: list[Recording]
) -> None:
    units, made = split(load_protocol(name), everything)
    assert len(made) == folds
    assert {(len(test), len(train)) for train, test in made} == {(tested, trained)}
    assert all(len({unit.subject for unit in (*train, *test)}) == 1 for train, test in made)
    assert sum(len(test) for _, test in made) == len(units)


def test_people_and_clips_of_gerster2026_films_are_both_unseen(everything: list[Recording]) -> None:
    units, folds = split(load_protocol("gerster2026-films"), everything)
    assert (len(units), len(folds)) == (123 * 27 * 30, 30)
    for train, test in folds:
        assert not {unit.subject for unit in train} & {unit.subject for unit in test}
        assert not {unit.stimulus for unit in train} & {unit.stimulus for unit in test}
        assert len({unit.stimulus for unit in test}) == 9
