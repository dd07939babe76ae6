"""The rows of the published leaderboards: those of a baseline set on their datasets."""

from __future__ import annotations

from functools import cache
from typing import Any

from embench.files import snapshot
from embench.sets.files import find_set
from embench.sets.rows import BaselineRow, baseline_rows

FIXED, LEGACY = "subject-independent-v4", "segment-random-legacy"
DATASETS = ("stress_predict", "wearable_stress", "hku956", "eegmat", "quiroz2018")
FAST = ("svm", "forest", "boosting")


@cache
@snapshot()
def leaderboard_rows(dataset: str, name: str = "leaderboard-v1", **places: Any) -> list[BaselineRow]:
    """Return the rows of a dataset that can be run, on a CPU.

    Args:
        name: of the baseline set.
        places: the requests' `data_root`, `runs` and `workers`."""
    found = baseline_rows(find_set(name), "full", dataset, {"device": "cpu", **places})
    return [row for row in found if not row.reason]
