"""The labels of a dataset's units, as a record holds them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from embench.data.cohort import Cohort
from embench.interfaces.units import Target
from embench.protocols import Fold
from embench.records.predictions import ANY_SEED, Labels


def cohort_labels(
    cohort: Cohort, targets: Sequence[Target], dealt: Mapping[int, Sequence[Fold]], index: Collection[int]
) -> Labels:
    """The labels of the units at `index` that have one and are tested, as the card's rules make them; by seed where
    training subjects decide the cut.

    Args:
        dealt: seed -> folds.
    """
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    if cohort.slices is not None:
        index = [i for i in index if cohort.slices.scored[i]]
    wanted, rows = set(index), []
    for target in targets:
        labels: dict[tuple[int, int], float] = {}
        if target.rule.cut == "training_mean":
            keep = set(cohort.positions)
            for seed, folds in dealt.items():
                for fold in folds:
                    train = [position[u] for u in fold.train if position[u] in keep]
                    label = cohort.labels(target, train)
                    labels |= {(seed, position[u]): label[position[u]] for u in fold.test if position[u] in wanted}
        else:
            labels = {(ANY_SEED, i): cohort.label[target.name][i] for i in index}
        for (seed, i), known in labels.items():
            if math.isfinite(known):
                unit, raw = cohort.units[i], cohort.raw[target.name][i]
                rows.append((unit.subject, unit.recording, unit.id, target.name, seed, raw, known))
    return Labels({name: [row[k] for row in rows] for k, name in enumerate(Labels.FIXED)})  # type: ignore[misc]
