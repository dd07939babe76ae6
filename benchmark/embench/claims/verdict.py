"""Verdicts on a claim from an interval: whether the direction is right, and whether the size is the published one."""

from __future__ import annotations

from typing import Literal

from embench.statistics.significance import ALPHA, EQUIVALENCE_MARGIN

Verdict = Literal[
    "supported", "contradicted", "equivalent", "undecided", "one seed", "two seeds", "no overlap correction"
]
MIN_SEEDS = 3
"""Fewer seeds decide nothing: they hardly show the part of initial weights and training subjects in a difference."""
Size = Literal["agrees", "smaller", "larger", "opposite"]


def direction_verdict(
    low: float | None,
    high: float | None,
    p: float | None,
    direction: Literal["higher", "lower"] = "higher",
    *,
    seeds: int,
    allowance: bool,
) -> Verdict:
    """The verdict on the direction of a difference, a less b.

    Args:
        low, high: its 95 % interval; None where nothing can vary.
        p: of the primary test, corrected for the claims that are tested together.
        direction: how a's score lies to b's if the claim is right.
        seeds: how many both sides have. `allowance`: whether the interval allows for subjects, or folds, that share
            training subjects.

    Returns:
        `supported`: the interval lies on the claim's side of 0, and the corrected p is at most .05; `contradicted`:
        the same on the other side; else `equivalent`: the interval lies within .02 of 0; else `undecided`. In place of
        the first three: `one seed` or `two seeds` where there are no more; `no overlap correction` where it is missing.
    """
    if low is None or high is None:
        return "undecided"
    if direction == "lower":
        low, high = -high, -low
    if p is not None and p <= ALPHA and (low > 0 or high < 0):
        verdict: Verdict = "supported" if low > 0 else "contradicted"
    elif low >= -EQUIVALENCE_MARGIN and high <= EQUIVALENCE_MARGIN:
        verdict = "equivalent"
    else:
        return "undecided"
    if seeds < MIN_SEEDS:
        return "one seed" if seeds == 1 else "two seeds"
    return verdict if allowance else "no overlap correction"


def size_verdict(published: float, low: float | None, high: float | None) -> Size | None:
    """Relation of the measured 95 % interval to the published difference: it holds it (`agrees`), or lies nearer to 0
    (`smaller`), further away (`larger`) or on the other side of 0 (`opposite`). None where there is no interval."""
    if low is None or high is None:
        return None
    if low <= published <= high:
        return "agrees"
    if published < 0:
        published, low, high = -published, -high, -low
    if low > published:
        return "larger"
    return "opposite" if high < 0 and published > 0 else "smaller"
