"""Predictions of values from a file: what is refused, and what is said of those that no label can have."""

import pytest

from embench.errors import DataError

from ..tiny.world import plugin
from .test_outside import everything, kinds, put, rows_of, scored

__all__ = ["everything", "kinds", "scored"]


def test_values_need_their_column_and_have_no_other_decision(everything, scored, tmp_path):
    rows = [row for row in rows_of(everything.folder / "predictions.csv.gz") if row["target"] == "arousal_value"]
    with pytest.raises(DataError, match="the predictions of arousal_value must be in a column `score`"):
        scored([{**row, "score_0": "0.2", "score_1": "0.8"} for row in rows], drop=("score",))
    with pytest.raises(DataError, match="decisions differ from the values, such as 9") as caught:
        scored([{**row, "decision": "9"} if i == 1 else row for i, row in enumerate(rows)])
    assert caught.value.where.endswith("line 3")
    again = scored(rows)
    plain = scored(rows, drop=("decision",), out=tmp_path / "out" / "plain")
    assert again.scores["scores"] == plain.scores["scores"]


def test_values_off_the_scale_and_constant_ones_are_named(kinds, everything, tmp_path, embench):
    rows = [row for row in rows_of(everything.folder / "predictions.csv.gz") if row["target"] == "arousal_value"]
    path = put(tmp_path / "huge.csv", [{**row, "score": "40"} for row in rows], drop=("decision",))
    line = ["score", path, "--dataset", plugin("Kinds"), "--data-root", kinds.data, "--protocol", kinds.protocol]
    done = embench(*line, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert f"arousal_value: {len(rows)} of {len(rows)} predictions are outside the scale of 1 to 9" in said
    assert "values of arousal_value are constant in 2 of 2 folds" in said
    assert "class weights" not in said
