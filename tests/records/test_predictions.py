"""Files of predictions and labels: the same rows give the same bytes, and come back as they were."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.errors import DataError
from embench.records.predictions import ANY_SEED, Labels, Predictions


def few(**changed: Any) -> Predictions:
    columns = {
        "method": ["model", "model"],
        "target": ["stress"] * 2,
        "fold": [0, 1],
        "seed": [0, 2],
        "subject": ["S01", 'Anne "A", née B'],
        "recording": ["S01-1", "S02-1"],
        "stimulus": ["session"] * 2,
        "unit": ["S01-1:0-10000", "S02-1:0-10000"],
        "start_s": [0.5, np.nan],
        "score": [0.1, 0.9],
        "decision": [0, 1],
    }
    return Predictions({**columns, **changed})


def test_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.random(500), rng.random(500) * 1e-30, [0.0, 1.0]]).astype(np.float32)
    columns = {name: np.resize(column, len(scores)) for name, column in few().columns.items()}
    predictions = Predictions({**columns, "score": scores})
    predictions.write(tmp_path / "p.csv.gz")
    again = Predictions.read(tmp_path / "p.csv.gz")
    assert list(again.columns) == list(predictions.columns)
    for name in predictions.columns:
        np.testing.assert_array_equal(again[name], predictions[name])
        assert again[name].dtype == predictions[name].dtype
    np.testing.assert_array_equal(again["score"].astype(np.float32), scores)


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    few().write(tmp_path / "one.csv.gz")
    few().write(tmp_path / "other.csv.gz")
    content = (tmp_path / "one.csv.gz").read_bytes()
    assert content == (tmp_path / "other.csv.gz").read_bytes()
    Predictions.read(tmp_path / "one.csv.gz").write(tmp_path / "again.csv.gz")
    assert content == (tmp_path / "again.csv.gz").read_bytes()


def test_read_as_users_would_expect(tmp_path: Path) -> None:
    few(score=[0.1, 1 / 3]).write(tmp_path / "p.csv.gz")
    lines = gzip.decompress((tmp_path / "p.csv.gz").read_bytes()).decode().splitlines()
    assert lines == [
        "method,target,fold,seed,subject,recording,stimulus,unit,start_s,score,decision",
        "model,stress,0,0,S01,S01-1,session,S01-1:0-10000,0.5,0.1,0",
        'model,stress,1,2,"Anne ""A"", née B",S02-1,session,S02-1:0-10000,,0.333333333,1',
    ]


def test_what_is_scored_is_what_is_written(tmp_path: Path) -> None:
    predictions = few(score=[0.1 + 1e-12, 0.123456789123456])
    predictions.write(tmp_path / "p.csv.gz")
    np.testing.assert_array_equal(Predictions.read(tmp_path / "p.csv.gz")["score"], predictions["score"])
    assert predictions["score"].tolist() == [0.1, 0.123456789]


def test_targets_with_several_classes_stand_beside_others(tmp_path: Path) -> None:
    several = {f"score_{k}": [0.2, 0.3] for k in range(12)}
    both = Predictions.concatenate([few(), few(score=[np.nan] * 2, **several)])
    assert both.classes == 12
    assert list(both.columns)[9:13] == ["score", "score_0", "score_1", "score_2"]
    both.write(tmp_path / "p.csv.gz")
    again = Predictions.read(tmp_path / "p.csv.gz")
    assert np.isnan(again["score_11"][:2]).all()
    assert again["score_11"][2:].tolist() == [0.2, 0.3]


def test_labels_of_all_seeds_are_blank(tmp_path: Path) -> None:
    columns = {
        "subject": ["S01", "S01"],
        "recording": ["r", "r"],
        "unit": ["r:0-10000", "r:0-10000"],
        "target": ["stress", "valence"],
        "seed": [ANY_SEED, 1],
        "raw": [0.1, 7],
        "label": [0, np.nan],
    }
    labels = Labels(columns)
    labels.write(tmp_path / "l.csv.gz")
    lines = gzip.decompress((tmp_path / "l.csv.gz").read_bytes()).decode().splitlines()
    assert lines[1:] == ["S01,r,r:0-10000,stress,,0.1,0", "S01,r,r:0-10000,valence,1,7,"]
    again = Labels.read(tmp_path / "l.csv.gz")
    assert again["seed"].tolist() == [ANY_SEED, 1]
    assert again.lines() == labels.lines() == lines[1:]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"score": [0.1]}, "unequal length"),
        ({"fold": ["x", "y"]}, "does not consist of numbers"),
        ({"index": [1, 2]}, "do not fit: index"),
        ({"score_1": [1, 2]}, "with a gap"),
    ],
)
def test_odd_columns_are_refused(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        few(**changed)


def damage(content: bytes) -> bytes:
    return content[: len(content) // 2]


def not_gzip(content: bytes) -> bytes:
    return gzip.decompress(content)


def uneven(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content) + b"a,b\n")


def words(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b"0.1", b"high"))


@pytest.mark.parametrize("spoil", [damage, not_gzip, uneven, words])
def test_damaged_files_are_named(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "p.csv.gz"
    few().write(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError) as error:
        Predictions.read(path)
    assert error.value.where == str(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        Labels.read(tmp_path / "l.csv.gz")
