"""The differences that a number of subjects can show before anything is measured, and how many a difference needs.

Two methods are compared by a paired t test over subjects, two-sided at .05, with 80 % power. How much their difference
varies over subjects depends on the two: a plan takes the middle 80 % of the pairs that were published.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from embench.files import parse_yaml
from embench.records.manifest import MethodKind

OTHER_DATASETS = "elsewhere"
"""The datasets of all published pairs, in place of a name: for datasets without any."""
PUBLISHED_PAIRS = Path(__file__).with_name("published_pairs.yaml")
_KINDS = {"features": "feature methods", "network": "networks"}


class PairSpread(NamedTuple):
    """Standard deviation over subjects of the paired difference of AUROC of two published methods of a kind: the bounds
    of the middle 80 % of pairs, and the median. `source`: their number, kind and dataset, in words."""

    low: float
    median: float
    high: float
    source: str


@cache
def published_spread(kind: MethodKind, dataset: str = OTHER_DATASETS) -> PairSpread:
    """The spread of published pairs on a dataset, by its name without the package; of all datasets where it has none.

    >>> published_spread("features", "mine") == published_spread("features")
    True
    """
    published = parse_yaml(PUBLISHED_PAIRS.read_text(encoding="utf-8"))[kind]
    place = dataset if dataset in published else OTHER_DATASETS
    low, median, high, pairs = published[place]
    where = place if place != OTHER_DATASETS else f"{len(published) - 1} other datasets"
    return PairSpread(low, median, high, f"{pairs} pairs of published {_KINDS[kind]}, {where}")


def smallest_difference(subjects: int, sd: float) -> float:
    """The difference of two methods that so many subjects show with 80 % power at .05; NaN for fewer than two.

    >>> round(smallest_difference(34, 0.1), 3)
    0.05
    """
    df = subjects - 1
    if df < 1:
        return float("nan")
    from scipy.special import stdtrit  # slow to import

    return float((stdtrit(df, 0.975) + stdtrit(df, 0.8)) * sd / subjects**0.5)


def describe_difference(subjects: int, spread: PairSpread, score: str) -> dict[str, Any]:
    """The smallest detectable difference as plans hold it: for the median of published pairs, and its range."""
    median, low, high = (round(smallest_difference(subjects, sd), 3) for sd in (spread.median, spread.low, spread.high))
    return {
        "smallest_difference": median,
        "smallest_difference_range": [low, high],
        "smallest_difference_note": f"{score}, paired over subjects, 80 % power; middle 80 % of {spread.source}",
    }


def subjects_needed(difference: float, sd: float) -> int:
    """The least number of subjects that show a difference of this size, see `smallest_difference`.

    >>> subjects_needed(0.05, sd=0.1), subjects_needed(0.05, sd=0.05)
    (34, 10)
    """
    return next(n for n in count(2) if smallest_difference(n, sd) <= difference)
