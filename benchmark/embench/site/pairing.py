"""Data with which a page compares two rows subject by subject, as `embench compare` does.

p comes from the summands that entries hold. The interval of a difference is that of `statistics.intervals`: a jackknife
over groups of subjects, or a t interval over subjects. It needs the score without each group, or the values of
subjects, which are computed here from the entries' predictions.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from embench.leaderboard.entries import LeaderboardEntry
from embench.site.joined_entries import JoinedEntries, JoinedRows
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.ranking import Summands
from embench.statistics.significance import MAX_PERMUTATIONS, group_permutations, smallest_detectable
from embench.statistics.summands import shared_part

_DIGITS = 9


def pairings(entries: Sequence[LeaderboardEntry], joined: JoinedEntries) -> dict[tuple[str, str], dict[str, Any]]:
    """(run id, target) -> what groups of subjects add to the headline (`adds`, and `by_seed`), and either the score
    `without` each group or the `values` of subjects; `fits` is equal for rows that can be paired, which have `shared`
    in common. `seeds`: those that are compared, where a row has more. Rows without summands are not in it.

    Raises:
        DataError: an entry's predictions, or what it shares with others, are damaged.
    """
    found = {}
    for entry in entries:
        for target, summands in entry.summands.items():
            pair = _pairing(entry, target, summands, joined.of(entry, target))
            if pair:
                found[entry.run.id, target] = pair
    return found


def _pairing(
    entry: LeaderboardEntry, target: str, summands: Summands, rows: JoinedRows | None
) -> dict[str, Any] | None:
    if rows is None:
        return None
    joined = shared_part(rows.scored(entry))
    jackknife = leave_one_out(joined.tested_subjects(), rows.groups)
    score, _ = estimate(entry.scores.headlines[target], joined, rows.target, jackknife)
    if not isinstance(score, Estimate) or score.without_stimulus is not None:
        return None
    groups, trained = len(summands.adds), summands.trained.astype(int)
    pair: dict[str, Any] = {
        "fits": summands.fits,
        "adds": _listed(summands.adds),
        "by_seed": [_listed(seed) for seed in summands.by_seed],
        **({"seeds": list(joined.seeds)} if len(joined.seeds) < len(entry.run.seeds) else {}),
        "shared": {
            "trained": [["".join(map(str, row)) for row in seed] for seed in trained.tolist()],
            "codes": jackknife.codes.tolist(),
            "quantiles": _quantiles(groups),
        },
    }
    if score.subject_values is not None:
        return pair | {"values": _listed(score.subject_values)}
    if score.without is not None:
        return pair | {"without": _listed(score.without)}
    return None


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
    """A script with the sign flips of this many groups, where they are random draws; empty where all are enumerated."""
    if 2**groups <= MAX_PERMUTATIONS:
        return ""
    bits = np.packbits(group_permutations(groups), axis=None)
    text = base64.b64encode(bits.tobytes()).decode()
    return f'"use strict";\n(window.FLIPS = window.FLIPS || {{}})[{groups}] = "{text}";\n'
