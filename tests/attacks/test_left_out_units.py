"""Units that a method gets wrong, left out of an entry: `leaderboard verify` finds it from the entry's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embench.leaderboard.pull_request import check_entry
from embench.records.predictions import MODEL
from embench.records.record import Record

from ..leaderboard.test_verify import honest, record
from ..sample import sample
from .test_forged_audits import audited, counted, scored_again, send

__all__ = ["honest", "record"]


def worst(of: Record) -> np.ndarray:
    """(n,) which rows are of the fifth of the units that the method gets most wrong."""
    p, known = of.predictions, of.labels
    assert known is not None
    label = dict(zip(known["unit"].tolist(), known["label"].tolist(), strict=True))
    own = p["method"] == MODEL
    units = p["unit"][own]
    wrong = np.abs(p["score"][own] - [label[unit] for unit in units.tolist()])
    return np.isin(p["unit"], units[np.argsort(wrong)[-len(units) // 5 :]])


LEFT_OUT: dict[str, Callable[[Record], np.ndarray]] = {
    "the fifth that it gets most wrong": worst,
    "one in twenty": lambda of: np.isin(of.predictions["unit"], np.unique(of.predictions["unit"])[::20]),
    "in one seed": lambda of: worst(of) & (of.predictions["seed"] == 1),
    "a subject": lambda of: of.predictions["subject"] == "s03",
    "one unit": lambda of: of.predictions["unit"] == of.predictions["unit"][0],
}


def test_where_none_is_left_out_none_is_missed(tmp_path: Path, record: Record) -> None:
    of = counted(record)
    assert status(send(tmp_path, of, audited(of))) == "passed"


@pytest.mark.parametrize("name", sample(LEFT_OUT, "the fifth that it gets most wrong", "a subject", "one unit"))
def test_units_that_are_left_out_are_missed(tmp_path: Path, record: Record, name: str) -> None:
    of = counted(record)
    left = scored_again(of, of.predictions.take(~LEFT_OUT[name](of)))
    assert status(send(tmp_path, left, audited(left))) == "failed"


def status(folder: Path) -> str:
    return {check.check: check.status for check in check_entry(folder)}["covered"]
