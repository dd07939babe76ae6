"""What tests of synthetic files measure."""

import hashlib
import math
from pathlib import Path

import numpy as np
from scipy.stats import rankdata


def auroc(score: np.ndarray, label: np.ndarray) -> float:
    """Share of pairs of a positive and a negative unit that the score puts right, ties half; NaN with one class."""
    positive = np.asarray(label) > 0
    most = np.count_nonzero(positive)
    pairs = most * (len(positive) - most)
    ranks = rankdata(score, nan_policy="raise")
    return float(ranks[positive].sum() - most * (most + 1) / 2) / pairs if pairs else math.nan


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of each file by its path below the folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
