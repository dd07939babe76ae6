"""Hashes of values and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def digest(value: Any) -> str:
    """A short hash of plain values or an array: equal content, equal text."""
    if isinstance(value, np.ndarray):
        data = value.astype("U").tobytes() if value.dtype.kind == "O" else np.ascontiguousarray(value).tobytes()
        return hashlib.sha256(data + str(value.shape).encode()).hexdigest()[:32]
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
