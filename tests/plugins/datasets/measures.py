"""What tests of synthetic files measure."""

import hashlib
import math
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score


def auroc(score: np.ndarray, label: np.ndarray) -> float:
    """Share of pairs of a positive and a negative unit that the score puts right, ties half; NaN with one class."""
    positive = np.asarray(label) > 0
    return float(roc_auc_score(positive, score)) if 0 < positive.sum() < len(positive) else math.nan


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of each file by its path below the folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
