"""Checks that an entry predicts every labelled unit of its test subjects: a unit that is left out can't be wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from embench.records.differences import TOLERANCE
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels
from embench.records.record import Record


def missed_units(record: Record, labels: Labels) -> dict[str, set[str]]:
    """Target -> labelled units that lack a prediction in a seed whose folds test their subject, and are not counted as
    units without one."""
    tested: defaultdict[str, set[int]] = defaultdict(set)
    for row in record.folds:
        if row["role"] == "test":
            tested[str(row["subject"])].add(int(row["seed"]))
    rows = record.predictions.own
    answered = set(zip(rows["target"].tolist(), rows["seed"].tolist(), rows["unit"].tolist(), strict=True))
    missed: defaultdict[str, set[str]] = defaultdict(set)
    known = np.flatnonzero(np.isfinite(labels["label"]))
    columns = (labels[name][known].tolist() for name in ("target", "seed", "subject", "unit"))
    for target, seed, subject, unit in zip(*columns, strict=True):
        seeds = tested[subject] if seed == ANY_SEED else tested[subject] & {seed}
        if any((target, each, unit) not in answered for each in seeds):
            missed[target].add(unit)
    return missed


def wrong_coverage(record: Record, labels: Labels) -> Iterator[str]:
    """Yield the targets of which units are missed: a unit without a prediction counts as lost or tied."""
    for target, units in missed_units(record, labels).items():
        yield f"predictions: {len(units)} labelled units of {target} lack one, such as {min(units)}"
    shares = record.scores.get("coverage", {})
    for target, share in _shares(record, labels).items() if shares else ():
        if not abs(share - shares.get(target, math.nan)) <= TOLERANCE:
            yield f"scores.json: coverage.{target}: {shares.get(target)}, but it follows {share:.6g}"


def _shares(record: Record, labels: Labels) -> dict[str, float]:
    """Target -> the share of labelled units, over all seeds, that are predicted."""
    rows, found = record.predictions, {}
    known = np.isfinite(labels["label"])
    names = zip(*(labels[name][known].tolist() for name in ("target", "seed", "unit")), strict=True)
    labelled = {(target, unit, seed) for target, seed, unit in names}
    for target in record.run["targets"]:
        model, owed = (rows.take(rows.rows_with(method=name, target=target)) for name in (MODEL, UNPREDICTED))
        places = zip(model["unit"].tolist(), model["seed"].tolist(), strict=True)
        answered = sum(
            not labelled.isdisjoint({(target, unit, seed), (target, unit, ANY_SEED)}) for unit, seed in places
        )
        if answered or len(owed):
            found[target] = answered / (answered + len(owed))
    return found
