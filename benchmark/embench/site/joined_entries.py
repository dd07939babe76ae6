"""The predictions of entries, joined with labels. Entries of one board mostly predicted the same units in the same
folds: these are joined once, with row numbers in place of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from embench.errors import DataError
from embench.interfaces.units import Target
from embench.leaderboard.entries import LeaderboardEntry
from embench.records.predictions import MODEL, Predictions, nine_digits
from embench.records.record import PREDICTIONS_FILE, read_numbers, read_record
from embench.statistics.common import joined_on_common, recorded_targets
from embench.statistics.joined import Joined


@dataclass(frozen=True)
class JoinedRows:
    """The labelled units of a target that entries predicted, or should have, with the numbers of their rows as scores.

    `groups`: subject -> group. `rows`: how many rows an entry's file has.
    """

    joined: Joined
    target: Target
    groups: Mapping[str, str]
    rows: int

    def scored(self, entry: LeaderboardEntry) -> Joined:
        """The units with the scores of an entry, not finite in those that it does not predict. Raises DataError where
        its file is damaged."""
        path = entry.folder / PREDICTIONS_FILE
        numbers = read_numbers(path)
        if "score" not in numbers or len(numbers["score"]) != self.rows:
            raise DataError("the numbers do not fit the predicted units", where=str(path))
        score = nine_digits(numbers["score"].astype(np.float64))
        return Joined({
            seed: {fold: replace(units, score=score[units.score.astype(int)]) for fold, units in folds.items()}
            for seed, folds in self.joined.seeds.items()
        })  # fmt: skip


class JoinedEntries:
    """The joined rows of entries, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], JoinedRows | None] = {}

    def of(self, entry: LeaderboardEntry, target: str) -> JoinedRows | None:
        """Joins an entry's rows of a target. None where it does not hold predictions and the rule of the target's
        labels, or a target of it has several classes. Raises DataError where files are damaged."""
        parts = entry.run.entry
        if parts is None or not (parts.rows and parts.labels):
            return None
        key = (entry.board, parts.rows, parts.labels, parts.folds, target)
        if key not in self._made:
            self._made[key] = _joined(entry, target)
        return self._made[key]


def _joined(entry: LeaderboardEntry, name: str) -> JoinedRows | None:
    record = read_record(entry.folder)
    model = record.predictions.own
    target = next((each for each in recorded_targets(record) if each.name == name), None)
    if target is None or "score_0" in model.columns:
        return None
    model = model.take(np.lexsort((model["seed"], model["unit"], model["target"])))  # as the shared rows lie
    number, n = np.arange(len(model), dtype=float), len(model)
    numbered = Predictions({**model.columns, "method": np.full(n, MODEL), "score": number, "decision": np.zeros(n)})
    [joined] = joined_on_common([replace(record, predictions=numbered)], target, record.groups)
    return JoinedRows(joined, target, record.groups, len(model))
