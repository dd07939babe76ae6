"""What a page needs to compare two rows subject by subject, as `embench compare` does.

p comes from the summands that entries hold. The interval of a difference is that of `statistics.intervals`: a jackknife
over groups of subjects, or a t interval over subjects. It needs the score without each group, or the values of
subjects, which are computed here from the entries' predictions. Entries of one board mostly predicted the same units in
the same folds: these are joined with labels once, with row numbers in place of scores.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.leaderboard.entries import LeaderboardEntry
from embench.records.entry import PREDICTIONS_FILE, read_numbers
from embench.records.predictions import MODEL, UNPREDICTED, Predictions, nine_digits
from embench.records.record import read_record
from embench.statistics.common import joined_on_common, recorded_target
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, Jackknife, leave_one_out
from embench.statistics.joined import Joined
from embench.statistics.ranking import Summands
from embench.statistics.significance import MAX_PERMUTATIONS, group_permutations, smallest_detectable
from embench.statistics.summands import shared_part

_DIGITS = 9


def pairings(entries: Sequence[LeaderboardEntry]) -> dict[tuple[str, str], dict[str, Any]]:
    """(run id, target) -> what groups of subjects add to the headline (`adds`, and `by_seed`), and either the score
    `without` each group or the `values` of subjects; `fits` is equal for rows that can be paired, which have `shared`
    in common. `seeds`: those that are compared, where a row has more. Rows without summands are not in it.

    Raises:
        DataError: an entry's predictions, or what it shares with others, are damaged.
    """
    joins: dict[tuple[str, ...], _Frame | None] = {}
    found = {}
    for entry in entries:
        for target, summands in entry.summands.items():
            pair = _pairing(entry, target, summands, joins)
            if pair:
                found[entry.run.id, target] = pair
    return found


@dataclass(frozen=True)
class _Frame:
    """The units that entries predicted, with the numbers of their rows as scores."""

    joined: Joined
    target: Target
    jackknife: Jackknife
    rows: int


def _pairing(
    entry: LeaderboardEntry, target: str, summands: Summands, joins: dict[tuple[str, ...], _Frame | None]
) -> dict[str, Any] | None:
    parts = entry.run.entry
    if parts is None or not (parts.rows and parts.labels):
        return None
    key = (entry.board, parts.rows, parts.labels, parts.folds, target)
    if key not in joins:
        joins[key] = _frame(entry, target)
    frame = joins[key]
    if frame is None:
        return None
    score = _estimate(entry, target, frame)
    if not isinstance(score, Estimate) or score.without_stimulus is not None:
        return None
    groups, trained = len(summands.adds), summands.trained.astype(int)
    pair: dict[str, Any] = {
        "fits": summands.fits,
        "adds": _listed(summands.adds),
        "by_seed": [_listed(seed) for seed in summands.by_seed],
        **({"seeds": list(frame.joined.seeds)} if len(frame.joined.seeds) < len(entry.run.seeds) else {}),
        "shared": {
            "trained": [["".join(map(str, row)) for row in seed] for seed in trained.tolist()],
            "codes": frame.jackknife.codes.tolist(),
            "quantiles": _quantiles(groups),
        },
    }
    if score.subject_values is not None:
        return pair | {"values": _listed(score.subject_values)}
    if score.without is not None:
        return pair | {"without": _listed(score.without)}
    return None


def _frame(entry: LeaderboardEntry, name: str) -> _Frame | None:
    record = read_record(entry.folder)
    model = record.predictions.take(np.isin(record.predictions["method"], (MODEL, UNPREDICTED)))
    if "score_0" in model.columns:
        return None
    model = model.take(np.lexsort((model["seed"], model["unit"], model["target"])))  # as the shared rows lie
    number, n = np.arange(len(model), dtype=float), len(model)
    numbered = Predictions({**model.columns, "method": np.full(n, MODEL), "score": number, "decision": np.zeros(n)})
    target, groups = recorded_target(record, name), record.groups
    [joined] = joined_on_common([replace(record, predictions=numbered)], target, groups)
    joined = shared_part(joined, record.run)
    return _Frame(joined, target, leave_one_out(joined.tested_subjects(), groups), len(model))


def _estimate(entry: LeaderboardEntry, name: str, frame: _Frame) -> Estimate | Undefined | None:
    path = entry.folder / PREDICTIONS_FILE
    numbers = read_numbers(path)
    if "score" not in numbers or len(numbers["score"]) != frame.rows:
        raise DataError("the numbers do not fit the rows that were predicted", where=str(path))
    score = nine_digits(numbers["score"].astype(np.float64))
    seeds = {
        seed: {fold: replace(units, score=score[units.score.astype(int)]) for fold, units in folds.items()}
        for seed, folds in frame.joined.seeds.items()
    }
    found, _ = estimate(entry.scores.headlines[name], Joined(seeds), frame.target, frame.jackknife)
    return found


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if x != x else round(float(x), _DIGITS) for x in values]


@cache
def _quantiles(groups: int) -> Mapping[str, list[float]]:
    """Degrees of freedom -> the 97.5 % quantile of t, and the smallest difference that shows with 80 % power, in
    standard errors."""
    from scipy.special import stdtrit

    return {
        str(df): [round(float(stdtrit(df, 0.975)), _DIGITS), round(smallest_detectable(1.0, df), _DIGITS)]
        for df in range(1, groups)
    }


def flips_script(groups: int) -> str:
    """A script with the sign flips of so many groups, where they are random draws; empty where all are enumerated."""
    if 2**groups <= MAX_PERMUTATIONS:
        return ""
    bits = np.packbits(group_permutations(groups), axis=None)
    text = base64.b64encode(bits.tobytes()).decode()
    return f'"use strict";\n(window.FLIPS = window.FLIPS || {{}})[{groups}] = "{text}";\n'
