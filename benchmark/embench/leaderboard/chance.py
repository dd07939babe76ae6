"""Contributions of groups of subjects to each method's primary metric, minus those of a constant score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from embench.checksums import read_checked, write_checked
from embench.leaderboard.entries import load_summands
from embench.leaderboard.kept import kept_place
from embench.leaderboard.row import ShownEntry
from embench.records.record import read_record


def above_chance_parts(entries: Sequence[ShownEntry], target: str) -> dict[str, Mapping[str, float]]:
    """Id -> group of subjects -> its contribution beyond that of a constant score; without entries that do not hold
    contributions. Groups have numbers, in one order for all entries with as many."""
    found, constant = dict[str, Mapping[str, float]](), dict[str, list[float] | None]()
    for entry in entries:
        summands = load_summands(entry.folder).get(target)
        if summands is None:
            continue
        if summands.fits not in constant:
            constant[summands.fits] = _of_constant(entry, target, summands.fits)
        groups, chance = len(summands.adds), constant[summands.fits]
        if chance is not None and len(chance) == groups:
            found[entry.id] = {f"{k} of {groups}": float(summands.adds[k] - chance[k]) for k in range(groups)}
    return found


def _of_constant(entry: ShownEntry, target: str, fits: str) -> list[float] | None:
    """Contributions to the metric of a constant score, kept from one command to the next: they take a second."""
    place = kept_place("chance", fits)
    if content := read_checked(place):
        return json.loads(content)
    from embench.statistics.summands import chance_contributions  # with scipy, which what is kept does not need

    found = chance_contributions(read_record(entry.folder), target)
    write_checked(place, json.dumps(found).encode())
    return found
