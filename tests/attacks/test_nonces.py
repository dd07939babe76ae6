"""The folds of a spot check follow from a nonce that neither the author of an entry nor its checker could choose."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from embench.cli import main
from embench.errors import EmbenchError
from embench.leaderboard import leaderboard_sections
from embench.leaderboard.columns import Row
from embench.leaderboard.entries import attestation_name, entry_digest, picked_stages, stages_of
from embench.records.record import read_manifest

from ..leaderboard.test_verify import honest, published

__all__ = ["honest", "published"]


def spot_check(entry: Path, nonce: str, **more: Any) -> Path:
    """The file that somebody writes who ran the folds of a nonce."""
    run = read_manifest(entry)
    digest = entry_digest(entry, run)
    content = {
        "version": 1, "protocol": run.protocol.name, "entry": run.id, "digest": digest, "level": "spot_checked",
        "by": "Somebody Else", "on": "2026-12-24", "versions": {}, "nonce": nonce,
        "stages": picked_stages(digest, nonce, 2, stages_of(entry, run)), **more,
    }  # fmt: skip
    path = entry.parents[1] / "attestations" / attestation_name(run.protocol.name, run.id, "Somebody Else")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def evidence(entry: Path) -> str:
    """The word of the leaderboard; where it refuses an attestation, that."""
    try:
        sections = leaderboard_sections(entry.parents[2])
    except EmbenchError:
        return "refused"
    [row] = [row for section in sections for row in section.rows if row.is_method and row.id == entry.name]
    return row.evidence.level


def test_a_nonce_that_its_checker_ground_attests_nothing(published: Path) -> None:
    run, stages = read_manifest(published), [(0, 0), (1, 1)]
    drawn = (
        n
        for n in map(str, range(9999))
        if picked_stages(entry_digest(published, run), n, 2, stages_of(published, run)) == stages
    )
    spot_check(published, next(drawn))
    assert evidence(published) in ("refused", "self_reported")


def test_a_nonce_of_ones_own_is_refused_in_a_pull_request(published: Path, tmp_path: Path) -> None:
    boards = published.parents[2]
    shutil.copytree(boards, tmp_path / "earlier")
    spot_check(published, "1")
    assert main(["leaderboard", "verify", str(boards), "--against", str(tmp_path / "earlier")]) == 1
