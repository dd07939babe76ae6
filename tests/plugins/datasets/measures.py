"""What tests of synthetic files measure."""

import hashlib
import math
from pathlib import Path

import numpy as np


def auroc(score: np.ndarray, label: np.ndarray) -> float:
    """Share of pairs of a positive and a negative unit that the score puts right, ties half; NaN with one class."""
    positive = np.asarray(label) > 0
    most = np.count_nonzero(positive)
    pairs = most * (len(positive) - most)
    assert not np.isnan(score).any()
    _, place, tied = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(tied) - (tied - 1) / 2)[place]  # `scipy.stats.rankdata` takes longer than all the rest
    return float(ranks[positive].sum() - most * (most + 1) / 2) / pairs if pairs else math.nan


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of each file by its path below the folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
