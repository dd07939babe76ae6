"""A finished run of a claim, with the quantities that measures read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.records.predictions import ANY_SEED, MODEL
from embench.statistics.by_subject import Scored

SeedAndFold = tuple[int, int]
"""The seed of a run, and the number of a fold of it: networks that were trained on the same subjects."""


class ClaimRun(Scored):
    """A claim's run that has finished. `by` has the labels of the target that the claim names."""

    @property
    def labels(self) -> dict[tuple[int, str], float]:
        """(seed, unit) -> label; seed is `ANY_SEED` where all seeds share it. Raises DataError: the record has none."""
        table = self.record.labels
        if table is None:
            raise DataError("the record contains no labels", where=str(self.folder))
        own = table["target"] == self.target
        keys = zip(table["seed"][own].tolist(), table["unit"][own].tolist(), strict=True)
        return dict(zip(keys, table["label"][own].tolist(), strict=True))

    def right(self) -> dict[SeedAndFold, dict[str, bool]]:
        """Correctness of the method's decisions on labelled units: (seed, fold) -> unit -> right or wrong."""
        rows, known = self.predictions, self.labels
        found: dict[SeedAndFold, dict[str, bool]] = defaultdict(dict)
        columns = (rows[name].tolist() for name in ("seed", "fold", "unit", "decision"))
        for seed, fold, unit, decision in zip(*columns, strict=True):
            if np.isfinite(label := label_of(known, seed, unit)):
                found[seed, fold][unit] = decision == label
        return found

    def scores(self) -> dict[SeedAndFold, float]:
        """The claim's score of each seed and fold where it is defined."""
        rows = [r for r in self.record.scores.folds if (r["method"], r["target"]) == (MODEL, self.target)]
        return {(r["seed"], r["fold"]): r[self.metric] for r in rows if r.get(self.metric) is not None}

    def curves(self, kind: str) -> dict[SeedAndFold, list[Mapping[str, Any]]]:
        """The epochs of the stages of a kind, of this target or of none."""
        found: dict[SeedAndFold, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self.record.history:
            if row["kind"] == kind and (not row["target"] or self.target in row["target"].split(",")):
                found[int(row["seed"]), int(row["fold"] or 0)].append(row)
        return found


def label_of(labels: Mapping[tuple[int, str], float], seed: int, unit: str) -> float:
    """The label of a unit under a seed, or under all of them; NaN where there is none."""
    return labels.get((seed, unit), labels.get((ANY_SEED, unit), np.nan))


Runs = Mapping[str, ClaimRun]
