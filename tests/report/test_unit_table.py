"""The table for a mixed model has the labels and scores of a record, a row for each labelled unit."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.cli import main
from embench.errors import DataError, UsageError
from embench.records.predictions import Predictions
from embench.records.record import Record, write_record
from embench.report.facts import score_columns, unit_rows

from ..leaderboard.test_verify import made_record
from ..tiny import scored


@pytest.fixture(scope="module")
def made() -> Record:
    return made_record(scored._run(units=12), scored.BINARY, "free")


def halved(record: Record) -> Record:
    """Another run, which scores all units half as high and did not predict the first."""
    rows = record.predictions
    first = rows["unit"] == rows["unit"][0]
    rows = rows.take(~first)
    columns = {name: rows[name] for name in rows.columns}
    run = {**record.run, "id": "other-9876543210"}
    return replace(record, run=run, predictions=Predictions({**columns, "score": columns["score"] / 2}))


def test_a_row_has_the_label_and_the_mean_score_of_its_unit(made: Record) -> None:
    assert made.labels is not None
    rows, own, labels = unit_rows([made]), made.predictions.own, made.labels
    assert sorted(row["unit"] for row in rows) == sorted(set(own["unit"].tolist()))
    for row in rows:
        at = own["unit"] == row["unit"]
        assert row["score"] == pytest.approx(own["score"][at].mean(), rel=1e-6)
        assert {row["rating"]} == set(labels["label"][labels["unit"] == row["unit"]].tolist())
        assert {(row["subject"], row["stimulus"])} == set(zip(own["subject"][at], own["stimulus"][at], strict=True))
        assert row["start_s"] == pytest.approx(own["start_s"][at][0], nan_ok=True) or row["start_s"] == ""


def test_each_run_has_a_column_and_units_that_it_did_not_predict_are_blank(made: Record) -> None:
    runs = [made, halved(made)]
    rows, (one, other) = unit_rows(runs), score_columns(runs)
    assert one.startswith("score_")
    assert one != other
    both = [row for row in rows if row.get(other, "") != ""]
    assert len(both) == len(rows) - 1
    assert all(row[other] == pytest.approx(row[one] / 2, rel=1e-6) for row in both)


def test_a_class_that_depends_on_the_seed_is_blank(made: Record) -> None:
    assert made.labels is not None
    unit = made.labels["unit"][0]
    seeds = np.unique(made.predictions["seed"])
    columns = {name: np.repeat(made.labels[name], len(seeds)) for name in made.labels.columns}
    columns["seed"] = np.tile(seeds, len(made.labels["unit"]))
    changed = (columns["unit"] == unit) & (columns["seed"] == seeds[0])
    columns["label"] = np.where(changed, 1 - columns["label"], columns["label"])
    rows = unit_rows([replace(made, labels=type(made.labels)(columns))])
    assert {row["unit"] for row in rows if row["rating"] == ""} == ({str(unit)} if len(seeds) > 1 else set())


def test_labels_that_are_withheld_and_other_data_are_refused(made: Record) -> None:
    with pytest.raises(DataError, match="withheld"):
        unit_rows([replace(made, labels=None)])
    elsewhere = replace(made, run={**made.run, "dataset": {**made.run["dataset"], "name": "embench_plugins/wesad"}})
    with pytest.raises(UsageError, match="several datasets"):
        unit_rows([made, elsewhere])


def test_the_command_writes_the_table_and_prints_a_line_of_r(
    made: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / "run", made)
    assert main(["export", str(tmp_path / "run"), "--unit-table", str(tmp_path / "t.csv")]) == 0
    printed = capsys.readouterr().out
    assert "rating ~ score + (1|subject) + (1|stimulus)" in printed
    assert "may differ" in printed
    with (tmp_path / "t.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(unit_rows([made]))
