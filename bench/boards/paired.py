"""Paired differences between published rows: sensors, features and networks, pretraining."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

from bench.boards.published import EVERY, Board, Row
from bench.boards.rows import FAST
from embench.statistics.comparison import Comparison
from embench.statistics.intervals import ALPHA, Estimate, holm

SENSORS = {"ppg": "PPG", "eda": "EDA", "temp": "skin temperature", "eeg": "EEG", "ecg": "ECG"}


class SensorPair(NamedTuple):
    """Differences of the same estimators on two sensors, `one` less `other`, by estimator.

    `p`: corrected over all differences that the same estimator has, by Holm."""

    board: Board
    one: str
    other: str
    differences: dict[str, Comparison]
    p: dict[str, float]

    @property
    def label(self) -> str:
        return f"{SENSORS[self.one]} less {SENSORS[self.other]}"

    @property
    def shown(self) -> list[str]:
        """Estimators whose difference is shown, with the correction."""
        return [name for name, p in self.p.items() if p < ALPHA]


@cache
def sensor_pairs() -> list[SensorPair]:
    """Compare each estimator of `FAST` on each two sensors of a leaderboard whose labels are public."""
    found = []
    for board in EVERY:
        rows = {(row.fusion, row.modalities): row for row in board.rows if _is_plain(row)}
        read = [name for name in SENSORS if any(name == modality for _, modality in rows)]
        for one, other in combinations(read, 2):
            pairs = {name: (rows.get((name, one)), rows.get((name, other))) for name in FAST}
            compared = {name: a.against(b) for name, (a, b) in pairs.items() if a and b and a.is_open}
            if compared:
                found.append((board, one, other, compared))
    corrected: list[dict[str, float]] = [{} for _ in found]
    for name in FAST:
        having = [k for k, (*_, compared) in enumerate(found) if name in compared]
        for k, p in zip(having, holm([found[k][-1][name].p for k in having]), strict=True):
            corrected[k][name] = p
    return [SensorPair(*each, p) for each, p in zip(found, corrected, strict=True)]


def _is_plain(row: Row) -> bool:
    return row.kind == "features" and row.method == f"handcrafted + {row.fusion}"


def compare_kinds() -> list[tuple[Row, Row, Estimate]]:
    """Return the best row on features, the best network, and the network's difference, of each leaderboard with both
    whose labels are public."""
    both = [board.families for board in EVERY if all(board.families) and board.first.is_open]
    return [(own[0], other[0], other[0].against(own[0]).difference) for own, other in both]


def pretrained_pairs(boards: Sequence[Board] = EVERY) -> Iterator[tuple[Row, Row, Comparison | None]]:
    """Yield each pretrained row, the same one from scratch, and their comparison where predictions are public."""
    for board in boards:
        scratch = select_from_scratch(board)
        for row in board.rows:
            if row.pretrained and row.name in scratch:
                other = scratch[row.name]
                yield row, other, row.against(other) if row.is_open else None


def select_from_scratch(board: Board) -> dict[str, Row]:
    """Name -> the row without pretraining."""
    return {row.name: row for row in board.rows if not row.pretrained}
