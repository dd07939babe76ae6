"""Measurements and publications from a copy of the project: speed, scaling, and the boards of real recordings."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def find_commit() -> str:
    """Return the commit of this copy of the project, 40 hexadecimal digits."""
    line = ["git", "rev-parse", "HEAD"]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
