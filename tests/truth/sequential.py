"""Sequential tests of rates: trials are drawn until it is clear whether a rate keeps its bounds.

Wald's test for each bound. A rate that keeps a wide distance to its bounds is called wrong once in 1,000 times at most;
one that lies well beyond a bound is missed once in 20 times at most (`NEAR` says what is wide and well). Where this is
still open after `MOST` trials, the share among them decides. `make rates` stops at nothing before `MOST`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import log

import numpy as np

from ..sample import WHOLE

MOST = 300
ALARM, MISS = 0.001, 0.05
NEAR = {"low": (2.0, 0.5), "high": (0.8, 1.4)}
"""Factors of a bound: of the rate that certainly keeps it, and of the one that certainly doesn't."""

Trials = Iterator[dict[str, bool]]
"""What happened in each trial, by name; there is no end to them."""
Bounds = tuple[float, float]
"""The lowest and the highest rate that is right; 0 and 1 bound nothing."""


def wrong(trials: Iterable[Mapping[str, bool]], bounds: Mapping[str, Bounds], most: int = MOST) -> dict[str, str]:
    """The rates that break their bounds, with what was seen of them; `trials` say for each name whether it happened."""
    hits, seen, last = Counter(), 0, {}
    for seen, trial in enumerate(islice(trials, most), 1):
        hits.update(name for name in bounds if trial[name])
        last = {name: _verdict(hits[name], seen, *bounds[name]) for name in bounds}
        if not WHOLE and None not in last.values():
            break
    for name, (low, high) in bounds.items():
        if WHOLE or last[name] is None:
            last[name] = low <= hits[name] / seen <= high
    return {name: f"{hits[name]} of {seen}" for name, kept in last.items() if not kept}


def shares(trials: Trials, times: int) -> dict[str, float]:
    """How often each happens in so many trials."""
    drawn = list(islice(trials, times))
    return {name: float(np.mean([trial[name] for trial in drawn])) for name in drawn[0]}


def _verdict(hits: int, seen: int, low: float, high: float) -> bool | None:
    """Whether a rate keeps both bounds; None while that is open."""
    evidences = [_against(hits, seen, bound, side) for side, bound in (("low", low), ("high", high)) if 0 < bound < 1]
    if any(evidence > log((1 - MISS) / ALARM) for evidence in evidences):
        return False
    return True if all(evidence < log(MISS / (1 - ALARM)) for evidence in evidences) else None


def _against(hits: int, seen: int, bound: float, side: str) -> float:
    """The logarithm of how much likelier these trials are where the bound is broken."""
    kept, broken = (factor * bound for factor in NEAR[side])
    return hits * log(broken / kept) + (seen - hits) * log((1 - broken) / (1 - kept))
