"""The schema of run.yaml and scores.json: every record is written in it, and files of another one are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench.errors import DataError
from embench.records.record import read_record, read_scores, write_entry, write_record
from embench.records.scores import Scores

from ..leaderboard.test_verify import made_record
from ..sample import WHOLE
from ..tiny import scored

BOARDS = Path(__file__).parents[2] / "leaderboards"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_record(tmp_path, made_record(scored._run(), scored.BINARY))
    return tmp_path


def test_records_are_written_in_schema_3(folder: Path) -> None:
    run, scores = yaml.safe_load((folder / "run.yaml").read_text()), json.loads((folder / "scores.json").read_text())
    for content in (run, scores):
        assert next(iter(content.items())) == ("schema", 3)
    assert len(run["cohort"]["subjects"]) == 12
    primary_metric = scores["scores"]["stress"]["auroc_within"]
    assert (primary_metric["subjects"], primary_metric["over"]) == (12, "subjects_and_stimuli")
    assert read_scores(folder) == Scores(scores) == read_record(folder).scores


@pytest.mark.slow
@pytest.mark.parametrize("dataset", sorted(path.name for path in BOARDS.iterdir() if path.is_dir()))
def test_published_entries_are_read_and_written_again_in_this_schema(tmp_path: Path, dataset: str) -> None:
    for n, path in enumerate(sorted((BOARDS / dataset).glob("*/*/run.yaml"))):
        if n % 72 and not WHOLE:
            continue
        again = tmp_path / path.parent.relative_to(BOARDS)
        again.parent.mkdir(parents=True, exist_ok=True)
        before = read_record(path.parent)
        write_entry(again, before, again.parent.parent / "shared")
        after = read_record(again)
        assert after.scores == before.scores
        assert after.folds == before.folds
        assert {**after.run, "entry": None} == {**before.run, "entry": None}
        # Models that were renamed come in another order.
        for method in before.predictions.texts("method").names.tolist():
            rows = [each.predictions.take(each.predictions.rows_with(method=method)) for each in (before, after)]
            for name, values in rows[0].columns.items():
                np.testing.assert_array_equal(rows[1][name], values)


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("run.yaml", lambda content: content.pop("schema"), "the file has no schema"),
        ("run.yaml", lambda content: content.update(schema=4), "schema 4, which is not known"),
        ("run.yaml", lambda content: content.update(schema=True), "schema True"),
        ("run.yaml", lambda content: content.update(schema=None), "schema None"),
        ("scores.json", lambda content: content.update(schema=4), "schema 4"),
        ("scores.json", lambda content: content.update(schema="2"), "schema '2'"),
    ],
)
def test_another_schema_is_refused(folder: Path, name: str, change: Callable[[Any], object], what: str) -> None:
    run = yaml.safe_load((folder / "run.yaml").read_text())
    del run["files"], run["sealed"]  # which would find it first
    scores = json.loads((folder / "scores.json").read_text())
    change(run if name == "run.yaml" else scores)
    (folder / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    (folder / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(DataError, match=what) as refused:
        read_record(folder)
    assert str(refused.value.where).endswith(f"{name}, schema")
    assert "run the method again" in str(refused.value.hint)
