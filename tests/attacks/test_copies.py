"""Predictions that are another entry's with noise are flagged; honest pairs of published entries are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from embench.leaderboard import verify_data
from embench.leaderboard.entries import list_entry_folders
from embench.records.predictions import MODEL, Predictions
from embench.records.record import Record, read_manifest, read_record

from ..sample import proof

BOARDS = Path(__file__).parents[2] / "leaderboards"
COPIED = ("handcrafted-lda-f5ae9b61a6", "handcrafted-naive_bayes-a978ce06d4", "unet_se-single-915953c5e9")
OTHER = "handcrafted-forest-fd54f64004"
"""An entry of another method, in whose name they are sent."""
CLOSE = (
    ("handcrafted-naive_bayes-deaa334f4e", "handcrafted-naive_bayes-fa701a898b"),  # rank correlation .93
    ("handcrafted-naive_bayes-a978ce06d4", "handcrafted-naive_bayes-cff5a8a7ed"),  # equal
    ("handcrafted-linear_svm-12ce227267", "handcrafted-lda-485d71a341"),  # rank correlation .9999
    ("handcrafted-logreg-3cd485d6e9", "handcrafted-lda-299f0abefd"),
    ("handcrafted-mlp-a5e3cd52e9", "handcrafted-linear_svm-12ce227267"),
    ("tcn-single-83ee272480", "tcn-shared_tf-d8d09f133d"),  # rank correlation .84, the closest networks
)


@cache
def entry(name: str) -> Record:
    [folder] = BOARDS.glob(f"*/*/{name}")
    return read_record(folder)


def changed(of: Record, change: Callable[[np.ndarray, Predictions], np.ndarray]) -> Record:
    """Another method's predictions, changed, in the name of `OTHER`."""
    rows = of.predictions.take(of.predictions.rows_with(method=MODEL))
    predictions = Predictions({**rows.columns, "score": change(rows["score"], rows)})
    return replace(of, run={**of.run, "method": entry(OTHER).run["method"]}, predictions=predictions)


def noisy(share: float, seed: int = 0) -> Callable[[np.ndarray, Predictions], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda score, _: score + share * score.std() * rng.normal(size=len(score))


def unit_noise(score: np.ndarray, rows: Predictions) -> np.ndarray:
    """The same noise in every seed."""
    names = rows["unit"].tolist()
    lots = dict(zip(sorted(set(names)), np.random.default_rng(1).normal(size=len(set(names))), strict=True))
    return score + 0.03 * score.std() * np.array([lots[name] for name in names])


def some_folds(score: np.ndarray, rows: Predictions) -> np.ndarray:
    """Two folds of five are honest."""
    return np.where(rows["fold"] < 3, noisy(0.02)(score, rows), np.random.default_rng(2).normal(size=len(score)))


CHANGES: dict[str, Callable[[np.ndarray, Predictions], np.ndarray]] = {
    "nothing": lambda score, _: score,
    "another scale": lambda score, _: 0.4 + 0.2 * score,
    "another shape": lambda score, _: np.tanh(score - score.mean()),
    "noise of .001 SD": noisy(0.001),
    "noise of .01 SD": noisy(0.01),
    "noise of .05 SD": noisy(0.05),
    "the same noise in every seed": unit_noise,
    "noise in three folds of five": some_folds,
}


@pytest.mark.parametrize("name", COPIED)
@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_in_another_methods_name_is_flagged(name: str, change: str) -> None:
    assert verify_data.describe_copy(changed(entry(name), CHANGES[change]), entry(name))


@pytest.mark.parametrize("pair", CLOSE, ids=lambda pair: pair[0])
def test_an_honest_pair_is_not_flagged(pair: tuple[str, str]) -> None:
    assert not verify_data.describe_copy(*map(entry, pair))


@proof
@pytest.mark.slow
def test_no_pair_of_published_entries_is_flagged() -> None:
    boards: dict[tuple[str, ...], list[Path]] = {}
    for folder in list_entry_folders(BOARDS):
        run = read_manifest(folder)
        if run.entry and run.entry.rows:
            boards.setdefault((run.dataset.name, run.protocol.name, *run.targets), []).append(folder)
    for folders in boards.values():
        records = [read_record(folder) for folder in folders]
        flagged = [
            (a.manifest.id, b.manifest.id)
            for a, b in itertools.combinations(records, 2)
            if verify_data.describe_copy(a, b)
        ]
        assert not flagged
