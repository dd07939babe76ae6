"""Common ground of several records: whether they can be compared, and the units that all of them predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.units import LabelRule, Target
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Predictions
from embench.records.record import Record
from embench.records.wording import format_value
from embench.statistics.joined import Joined, join, unit_length

_SAME = {
    "dataset": ("dataset", "name"),
    "synthetic data": ("dataset", "synthetic"),
    "protocol": ("protocol", "name"),
    "protocol's hash": ("protocol", "hash"),
    "label rules": ("card", "label_rules_hash"),
    "calibration data": ("given",),
    "target access": ("target_access",),
    "seeds": ("seeds",),
    "scoring of validation subjects": ("dev",),
}
"""Fields of `run.yaml` that have to be equal, in words."""
_HINTS = {
    "calibration data": "run both at the same --given; embench compare --given K compares the gains "
    "of methods at K over no calibration data"
}


def common_targets(records: Sequence[Record]) -> list[str]:
    """The targets that all records have. Raises UsageError where there is none."""
    named = [list(r.run["targets"]) for r in records]
    common = [target for target in named[0] if all(target in others for others in named)]
    if not common:
        raise UsageError("the runs have no target in common", expected=" / ".join(", ".join(names) for names in named))
    return common


def check_same(records: Sequence[Record], *, but: Sequence[str] = ()) -> None:
    """Raises UsageError where the records differ in what makes their scores comparable, `but` in these things."""
    if len(records) < 2:
        raise UsageError("a comparison needs several runs", expected="two runs at least")
    for what, path in _SAME.items():
        if what in but:
            continue
        values = [_value(r.run, path) for r in records]
        for r, value in zip(records, values, strict=True):
            if value != values[0]:
                raise UsageError(
                    f"runs can't be compared: they differ in {what}",
                    where=f"{records[0].run['id']} and {r.run['id']}",
                    expected=f"the same; found: {_told(values[0])} and {_told(value)}",
                    hint=_HINTS.get(what, "run both with the same settings"),
                )


def _value(run: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = run
    for key in path:
        found = found.get(key)
    return found


def _told(value: Any) -> str:
    return format_value(value, missing="nothing") or "nothing"


def common_seeds(records: Sequence[Record]) -> tuple[int, ...]:
    """The seeds that all records have, in order. Raises UsageError where there is none."""
    named = [list(r.run["seeds"]) for r in records]
    common = set(named[0]).intersection(*named)
    if not common:
        raise UsageError(
            "runs can't be compared: they have no seed in common",
            where=_ids(records),
            expected=f"a seed that all runs have; found: {' / '.join(', '.join(map(str, seeds)) for seeds in named)}",
            hint="run both with the same --seeds",
        )
    return tuple(sorted(common))


def recorded_target(of: Record, name: str) -> Target:
    """The target of this name. Raises UsageError where the record has none."""
    for target in recorded_targets(of):
        if target.name == name:
            return target
    raise UsageError(f"no target `{name}`", where=of.run["id"], expected=", ".join(of.scores.headlines))


def recorded_targets(of: Record) -> list[Target]:
    """The targets that were scored, from the label rules in the record."""
    card = of.run["card"]
    rules, steps = {row["name"]: row for row in card.get("label_rules", [])}, card.get("steps", {})
    return [
        Target(name, row["kind"], LabelRule(**_tuples(row["rule"])), row["label"], row["n"], step=steps.get(name))
        for name in of.scores.headlines
        if (row := rules.get(name))
    ]


def _tuples(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in rule.items()}


def joined_on_common(records: Sequence[Record], target: Target, groups: Mapping[str, str]) -> list[Joined]:
    """The labelled units that all methods predict or, under protocols of version 3, should have predicted. Raises
    DataError where there are none, or they don't fit."""
    rows = [_labelled_predictions(r, target.name) for r in records]
    keys = [[f"{seed} {unit}" for seed, unit in zip(t["seed"].tolist(), t["unit"].tolist(), strict=True)] for t in rows]
    common = reduce(set.intersection, map(set, keys))
    if not common:
        raise DataError(f"the runs have no labelled unit of {target.name} in common", where=_ids(records))
    length = unit_length(rows[0]["unit"])
    every = []
    for r, t, key in zip(records, rows, keys, strict=True):
        ours = t.take(np.array([k in common for k in key]))
        every.append(join(ours, r.labels, target, groups, length, records[0].sessions, whole=True)[MODEL])  # type: ignore[arg-type]  # `_labelled_predictions` saw to it
    for r, joined in zip(records, every, strict=True):
        if [(s, f, len(units)) for s, f, units in joined] != [(s, f, len(units)) for s, f, units in every[0]] or any(
            (a.subject != b.subject).any() for (_, _, a), (_, _, b) in zip(joined, every[0], strict=True)
        ):
            raise DataError(
                "the runs tested subjects in different folds, so that their models had other training subjects",
                where=f"{records[0].run['id']} and {r.run['id']}",
                expected="the same folds and seeds, for a file those of `embench data labels DATASET --units FILE`",
                hint="score predictions that were made in the folds of that list; folds of one's own can't be compared",
            )
        if any((a.y_true != b.y_true).any() for (_, _, a), (_, _, b) in zip(joined, every[0], strict=True)):
            raise DataError("the runs have different labels", where=f"{records[0].run['id']} and {r.run['id']}")
    return every


def _labelled_predictions(of: Record, target: str) -> Predictions:
    """The method's own rows of units that have a label."""
    if of.labels is None:
        raise DataError(
            "the record contains no labels, as those of this dataset are not public",
            where=of.run["id"],
            hint="compare the run's own folder, or run the method",
        )
    chosen = of.labels["target"] == target
    ids, seeds = of.labels["unit"][chosen], of.labels["seed"][chosen]
    labelled = set(zip(ids.tolist(), seeds.tolist(), strict=True))
    table = of.predictions
    own = table.rows_with(method=MODEL, target=target) | table.rows_with(method=UNPREDICTED, target=target)
    mine = np.flatnonzero(own)
    units, drawn = table["unit"][mine].tolist(), table["seed"][mine].tolist()
    known = [(u, ANY_SEED) in labelled or (u, s) in labelled for u, s in zip(units, drawn, strict=True)]
    return table.take(mine[np.array(known, bool)])


def has_shared_stimuli(of: Record) -> bool:
    """True if all subjects of the study had the same stimuli; False in records that don't say so."""
    return bool(of.run["cohort"].get("design") == "shared_stimuli")


def has_shared_subjects(of: Record) -> bool:
    """True if a subject is in both the training and the test part of a fold."""
    rows = {(r["seed"], r["fold"], r["subject"], r["role"]) for r in of.folds}
    return any((seed, fold, subject, "train") in rows for seed, fold, subject, role in rows if role == "test")


def _ids(records: Sequence[Record]) -> str:
    return ", ".join(r.run["id"] for r in records)
