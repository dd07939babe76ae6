"""Runs that are made up, and what others attest of an entry."""

import datetime as dt
from pathlib import Path
from typing import Any

from embench.leaderboard.entries import Attestation, hash_entry, write_attestation
from embench.records.record import read_manifest

from ..tiny.scored import binary, make_run

__all__ = ["binary", "make_run"]


def attest(folder: Path, level: Any = "reproduced", by: str = "A. Reader", **more: Any) -> Path:
    """The file in which somebody attests an entry."""
    run = read_manifest(folder)
    stated = {"protocol": run.protocol.name, "entry": run.id, "digest": hash_entry(folder, run), "versions": {}}
    made = Attestation(level=level, by=by, on=dt.date(2026, 11, 22), **stated, **more)
    return write_attestation(folder, run, made)
