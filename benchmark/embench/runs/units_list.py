"""The list of units that a file of predictions may be of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embench.data.cohort import Cohort, build_cohort
from embench.data.pseudonyms import OwnName
from embench.errors import UsageError
from embench.files import saving, write_text
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Protocol
from embench.records.manifest import seeds_taken
from embench.records.record import format_csv
from embench.runs.given_files import use_of
from embench.store import Store


def units_table(
    store: Store,
    card: Card,
    targets: Sequence[Target],
    protocol: Protocol,
    names: Mapping[str, OwnName] | None = None,
) -> list[dict[str, Any]]:
    """Units of a dataset: a row for each target and unit, with what a file of predictions must repeat (`subject`,
    `recording`, `unit`, `target`), where to cut (`start_s`, `stop_s` of the recording's own signals), the label (blank
    where there is none), and under `fold_K` the fold of partition K that tests the unit (blank where none does), of all
    that a board takes. Where test subjects give units first, `use` says whether a unit is `given`, scored, or in the
    gap between, and `rank` its place among those of its class that are given.

    Args:
        names: recording -> what its owner calls it, and whose it is, for whom the table is then; else pseudonyms stay.
    """
    rows, seeds = [], seeds_taken("network", protocol.split.folds)[-1]
    for target in targets:
        if target.label not in store.label_kinds:
            continue
        cohort = build_cohort(store, card, (target,), None, protocol)
        tested = [{u: f.index for f in cohort.folds(protocol, seed) for u in f.test} for seed in seeds]
        groups = cohort.groups
        for i in cohort.eligible:
            unit, label = cohort.units[i], cohort.label[target.name][i]
            known = OwnName(unit.recording, unit.subject, groups[unit.subject], unit.stimulus)
            called = names[unit.recording] if names else known
            rows.append(
                {
                    "subject": called.subject, "group": called.group, "recording": called.recording,
                    "stimulus": called.stimulus, "unit": called.recording + unit.id.removeprefix(unit.recording),
                    "start_s": unit.start, "stop_s": unit.stop,
                    "target": target.name, "label": "" if math.isnan(label) else f"{label:.9g}",
                    **_use(cohort, i),
                    **{f"fold_{seed}": fold_of.get(unit.id, "") for seed, fold_of in zip(seeds, tested, strict=True)},
                }
            )  # fmt: skip
    return rows


def _use(cohort: Cohort, i: int) -> dict[str, Any]:
    """The use and rank of a unit, where subjects give some first."""
    if cohort.slices is None:
        return {}
    return {"use": use_of(cohort, i), "rank": int(cohort.slices.rank[i]) or ""}


def write_units(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises UsageError where there is nothing to write, MachineError where it can't be written."""
    if not rows:
        raise UsageError("no unit has any of the targets, so the list is empty", where=str(path))
    with saving("the list of units", path):
        write_text(Path(path), format_csv(rows, list(rows[0])))
