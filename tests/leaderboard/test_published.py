"""The entries of this repository pass every check: some, drawn by a hash of the code, or in the whole proof all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from embench.leaderboard.entries import list_entry_folders
from embench.leaderboard.pull_request import check_entry, select_failures
from embench.records.record import read_manifest
from embench.runs.reproduce import Reproduction, _compare_cost

from ..sample import drawn, proof

BOARDS, DATA = Path(__file__).parents[2] / "leaderboards", os.environ.get("EMBENCH_TEST_DATA")
SAMPLE = 2
SOON = ("eegmat", "hku956")
"""Datasets without an accelerometer, of which all that entries are compared with is made in seconds."""


ENTRIES = drawn(list_entry_folders(BOARDS), lambda folder: folder.name)
CURRENT = [folder for folder in ENTRIES if folder.parent.name.endswith("-v4")]
BOARDS_HERE = [*SOON, *sorted({folder.parents[1].name for folder in CURRENT} - {*SOON})]


def named(folder: Path) -> str:
    return "/".join(folder.parts[-3:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", [*ENTRIES[:SAMPLE], *(pytest.param(folder, marks=proof) for folder in ENTRIES[SAMPLE:])], ids=named
)
def test_a_published_entry_says_what_follows_from_its_files(folder: Path) -> None:
    assert not select_failures(check_entry(folder))


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="needs real recordings in $EMBENCH_TEST_DATA")
@pytest.mark.parametrize("board", [SOON[0], *(pytest.param(board, marks=proof) for board in BOARDS_HERE[1:])])
def test_a_published_entry_is_of_the_data(board: str) -> None:
    assert DATA
    folder = next(folder for folder in CURRENT if folder.parents[1].name == board)
    made = {check.check: check for check in check_entry(folder, Path(DATA))}
    assert not select_failures(made.values())
    assert {made[name].status for name in ("labels", "confound_only")} == {"passed"}


def test_a_spot_check_of_another_fold_compares_flops_about_and_parameters_exactly() -> None:
    """The published case: the first row of one fold lacked the start of its context, and took 0.3 % fewer FLOPs."""
    run = read_manifest(BOARDS / "wearable_stress" / "subject-independent-v4" / "tcn-shared_tf-915ac858a6")
    result = Reproduction(run.id, "spot_checked")
    _compare_cost(run, run.cost.model_copy(update={"flops": 14194304}), result, ("parameters",))
    assert not result.wrong
    for change in ({"flops": 5 * 14194304}, {"parameters": 56050}):
        _compare_cost(
            run, run.cost.model_copy(update=change), result := Reproduction(run.id, "spot_checked"), ("parameters",)
        )
        assert len(result.wrong) == 1
