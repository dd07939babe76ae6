"""What a row needs beside its score: confound-only models that somebody else has, raw files that are known, people of
its board."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.leaderboard import load_sections
from embench.leaderboard.columns import Row
from embench.leaderboard.entries import UNCONFIRMED, UNKNOWN_FILES
from embench.leaderboard.verify_data import find_board_differences
from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record, share_text
from embench.registry import find_releases

from .conftest import attest
from .made_up import put
from .test_verify import honest, publish, published, record

__all__ = ["honest", "published", "record"]

RELEASED = next(iter(find_releases("embench_plugins/stress_predict")))
TABLES = {"version": 2, "rows": "1" * 32, "labels": "2" * 32, "folds": "3" * 32}


def row(root: Path, run_id: str) -> Row:
    sections = load_sections(root)
    return next(row for section in sections for row in section.rows if row.id == run_id)


def with_controls(root: Path, run_id: str, confound_only: str) -> Path:
    scores = share_text(root / "stress_predict" / "shared", "confound_only_scores", "{}")
    return put(root, run_id, entry={**TABLES, "confound_only": confound_only * 32, "confound_only_scores": scores})


def test_controls_that_no_other_entry_has_are_not_confirmed_until_somebody_fits_them(tmp_path: Path) -> None:
    a, b = (with_controls(tmp_path, name, "4") for name in ("a", "b"))
    alone = with_controls(tmp_path, "alone", "5")
    assert row(tmp_path, a.name).rank
    assert row(tmp_path, b.name).rank
    assert row(tmp_path, "alone").marks == (UNCONFIRMED,)
    attest(alone, "reproduced", compared=["labels", "confound_only"])
    assert row(tmp_path, "alone").rank


def test_files_of_no_known_release_are_confirmed_by_two_others(tmp_path: Path) -> None:
    about = {"name": "embench_plugins/stress_predict", "fingerprint": "f", "synthetic": None}
    put(tmp_path, "known", dataset={**about, "files": RELEASED})
    folder = put(tmp_path, "unknown", dataset={**about, "files": "0" * 32})
    assert row(tmp_path, "known").rank
    for person in ("One", "Two"):
        assert UNKNOWN_FILES in row(tmp_path, "unknown").marks
        attest(folder, "reproduced", person, files="0" * 32)
    assert row(tmp_path, "unknown").rank


def test_rows_on_other_people_are_a_board_of_their_own(tmp_path: Path) -> None:
    for name, subjects in {"a": 24, "b": 24, "c": 36}.items():
        put(tmp_path, name, subjects=subjects)
    large, usual = load_sections(tmp_path)
    assert (large.people, usual.people) == (36, 24)
    assert [row.id for row in large.methods] == ["c"]
    assert {row.rank for row in usual.methods} == {(1, 2)}


def weaker(predictions: Predictions) -> Predictions:
    score = np.where(predictions["method"] == MODEL, predictions["score"], 0.5)
    return Predictions({**predictions.columns, "score": score})


@pytest.mark.parametrize("numpy", ["as before", "9.9.9"])
def test_weaker_controls_are_unlike_those_of_the_board_whatever_libraries_are_said_to_have_made_them(
    published: Path, record: Record, tmp_path: Path, numpy: str
) -> None:
    run: dict[str, Any] = copy.deepcopy(record.run) | {"id": "cnn_tf-single-1111111111"}
    if numpy != "as before":
        run["versions"] = {**run["versions"], "numpy": numpy}
    same = publish(tmp_path, replace(record, run=run))
    assert find_board_differences(same, [published]) == []
    forged = publish(tmp_path, replace(record, run=run, predictions=weaker(record.predictions)))
    assert [wrong.partition(":")[0] for wrong in find_board_differences(forged, [published])] == ["confound_only"]
