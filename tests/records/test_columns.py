"""TextColumn that are kept once give back the rows that they were made of."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from embench.errors import DataError
from embench.records import predictions
from embench.records.predictions import Predictions, TextColumn


@pytest.fixture
def units(monkeypatch):
    """More units than rows are in memory at once, with names so long that their file is read in three parts of a MB."""
    monkeypatch.setattr(predictions, "ROWS_AT_ONCE", 1000)
    return [f"unit {i:0300}" for i in range(2001)]


def rows(units: list[str], method: str = "model") -> Predictions:
    n = len(units)
    texts = {name: np.array(units) for name in ("subject", "recording", "stimulus", "unit")}
    numbers = {"fold": np.arange(n), "seed": np.zeros(n), "start_s": np.zeros(n), "score": np.zeros(n)}
    same = {"method": np.full(n, method), "target": np.full(n, "t")}
    return Predictions({**texts, **numbers, **same, "decision": np.zeros(n)})


def test_names_of_several_parts_are_joined_in_order():
    both = Predictions.concatenate([rows(["b", "ä", "b"]), rows(["a", "longer than all"], "prior")])
    assert both["unit"].tolist() == ["b", "ä", "b", "a", "longer than all"]
    assert both["method"].tolist() == ["model"] * 3 + ["prior"] * 2


def test_names_that_no_row_has_any_more_are_forgotten():
    few = rows(["c", "a", "b", "a"]).take(np.array([3, 0]))
    texts = few.texts("unit")
    assert texts.names.tolist() == ["a", "c"]
    assert texts.code.tolist() == [0, 1]
    assert few.take(np.array([], np.int64))["unit"].tolist() == []


def test_codes_are_those_of_numpy():
    words = np.array(["x10", "x9", "", "x10", "é", "x"])
    names, code = np.unique(words, return_inverse=True)
    made = TextColumn.of([words[:2].tolist(), [], words[2:].tolist()])
    assert made.names.tolist() == names.tolist()
    assert made.code.tolist() == code.tolist()


def test_what_stands_together_is_listed_once():
    both = Predictions.concatenate([rows(["a", "b", "a"]), rows(["a"], "prior")])
    assert set(both.distinct("method", "unit")) == {("model", "a"), ("model", "b"), ("prior", "a")}
    assert len(both.distinct("unit", "fold")) == 3
    assert Predictions.none().distinct("unit", "fold") == []


def test_a_file_of_more_rows_than_are_read_at_once_comes_back(tmp_path, units):
    many = rows(units)
    many.write(tmp_path / "p.csv.gz")
    again = Predictions.read(tmp_path / "p.csv.gz")
    assert all(np.array_equal(again[name], many[name]) for name in many.columns)


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_name_with_commas_and_quotes_comes_back_wherever_it_stands(tmp_path, units, where):
    odd = ['the "odd", one']
    many = rows(odd + units if where == "first" else units + odd)
    many.write(tmp_path / "p.csv.gz")
    again = Predictions.read(tmp_path / "p.csv.gz")
    assert again["unit"].tolist() == many["unit"].tolist()


@pytest.mark.parametrize("line", ["\n", "model,t\n", '"model",t\n'])
def test_a_line_with_too_few_fields_is_found_wherever_it_stands(tmp_path, units, line):
    rows(units).write(tmp_path / "p.csv.gz")
    lines = gzip.decompress((tmp_path / "p.csv.gz").read_bytes()).decode().splitlines(keepends=True)
    for at in (1, len(lines)):
        text = "".join([*lines[:at], line, *lines[at:]])
        (tmp_path / "q.csv.gz").write_bytes(gzip.compress(text.encode()))
        with pytest.raises(DataError, match="unequal"):
            Predictions.read(tmp_path / "q.csv.gz")


def test_a_zero_keeps_its_sign_in_the_file(tmp_path):
    signed = Predictions({**rows(["a", "b"]).columns, "score": np.array([0.0, -0.0])})
    signed.write(tmp_path / "p.csv.gz")
    assert np.signbit(Predictions.read(tmp_path / "p.csv.gz")["score"]).tolist() == [False, True]
