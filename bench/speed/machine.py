"""Description of the machine of the figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import psutil

from bench import ROOT

BUSY = 10.0
"""Percent of the machine's processors that others use, above which figures are not to be trusted."""


def about() -> dict[str, Any]:
    """Machine, versions and commit."""
    commit, changed = _git("rev-parse", "--short=10", "HEAD"), _git("status", "--porcelain", "-uno")
    names = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "transformers")
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": (commit or "not known") + (" with changes" if changed else ""),
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in names},
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def others() -> float:
    """Percent of the processors that are in use while this process waits a second."""
    return float(psutil.cpu_percent(interval=1.0))


def _git(*words: str) -> str:
    line = ["git", "-C", str(ROOT), *words]
    return subprocess.run(line, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603  # our own words


def _processor() -> str:
    try:  # its own name for the model is only in what Linux prints
        made = subprocess.run(["lscpu", "--json"], check=True, capture_output=True, text=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return platform.processor() or platform.machine()
    fields = {row["field"]: row["data"] for row in json.loads(made)["lscpu"]}
    return str(fields.get("Model name:", platform.machine()))
