"""Values of a face (list of the StressID code): the mean of each column of action units and gaze, then their SDs.

OpenFace 2's 17 intensities, 17 presences and 8 gaze values make 84.
"""

from __future__ import annotations

import numpy as np

from embench_plugins.encoders.features.spans import Spans

STATISTICS = ("mean", "sd")


def face(x: np.ndarray, spans: Spans) -> np.ndarray:
    """(n, 2 C) of the columns `x` (C, T): C means, then C SDs."""

    def compute(rows: np.ndarray) -> np.ndarray:
        return np.stack([rows.mean(-1), rows.std(-1, ddof=1)], 1)

    return spans.rows(x, compute, len(x) * len(STATISTICS))
