"""What rows, claims and entries ask for, by which one finds the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from bench.boards.published import entries
from embench.leaderboard.entries import LeaderboardEntry
from embench.records.manifest import Manifest


def question(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a request asks for, whoever states it: a row, a claim or an entry."""
    encoders, settings = (tuple(request.get(name) or ()) for name in ("encoders", "settings"))
    modalities = tuple(sorted(request["modalities"].split(",")))  # a claim has them in the order of the dataset
    named = ("dataset", "fusion", "targets", "protocol", "train_dataset", "label_subjects")
    pretrainers = tuple(request.get("pretrainers") or ())
    return encoders, modalities, tuple(sorted(settings)), pretrainers, *map(request.get, named)


def asked(run: Manifest) -> tuple[Any, ...]:
    """Returns the question that an entry's run answers. Its request has no pretrainers, which may name places; its
    configuration does."""
    return question({**run.config["request"], "pretrainers": run.config["pretrainers"]})


@cache
def published() -> dict[tuple[Any, ...], LeaderboardEntry]:
    """Entries by the question that their run answers."""
    return {asked(entry.run): entry for entry in entries()}
