"""Files of predictions under protocols to which test subjects give something first: how much of it each row is given,
and which units it may be of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from embench.data.cohort import Cohort
from embench.errors import DataError, UsageError
from embench.protocols import NOTHING_GIVEN, SLICE_ONLY, Given, Protocol
from embench.records.predictions import SubmittedRow
from embench.statistics.fold_predictions import FoldPredictions

UnitUse = Literal["given", "gap", "scored", "no label"]
WHY_UNTESTED: Mapping[UnitUse, str] = {
    "given": "that are calibration data, which are never scored",
    "gap": "in the gap between calibration data and scored units",
    "no label": "without a label, which are not scored",
}
"""Use of a unit -> what rows of it are of."""


@dataclass(frozen=True)
class GivenRows:
    """The rows of a file: what test subjects give -> rows; None under protocols that do not ask. `wanted`: those to be
    scored; the others are what they are compared with."""

    rows: Mapping[Given | None, Sequence[SubmittedRow]]
    wanted: Sequence[Given | None]

    def changed(self, change: Callable[[Sequence[SubmittedRow]], list[SubmittedRow]]) -> GivenRows:
        """The same with other rows."""
        return GivenRows({given: change(rows) for given, rows in self.rows.items()}, self.wanted)


def use_of(cohort: Cohort, i: int) -> UnitUse:
    """The use of a unit of a subject who takes part, under a protocol to which subjects give units."""
    slices = cohort.slices
    if slices is None:
        raise ValueError(f"{cohort.card.name} was laid out by a protocol to which subjects give nothing")
    if slices.scored[i]:
        return "scored"
    labelled = np.isfinite(cohort.label[cohort.targets[0].name][i])
    return "given" if slices.rank[i] > 0 else "gap" if labelled else "no label"


def by_given(protocol: Protocol, rows: Sequence[SubmittedRow], given: str | None, path: Path) -> GivenRows:
    """The rows by what test subjects give: by the column `given`, or all by the option `given`, which chooses among
    several of the column.

    Raises:
        UsageError: it is not said what they give, or the protocol gives nothing. DataError: some rows do not say it.
    """
    named = {row.given for row in rows}
    if not protocol.asks_given:
        if given is not None or named != {""}:
            raise UsageError(
                f"{protocol.name} does not let a file choose calibration data",
                where=f"--given {given}" if given is not None else f"{path}, column given",
                hint="--protocol personalise-v1",
            )
        return GivenRows({None: rows}, [None])
    asked = [Given.read(text) for text in given.split(",")] if given is not None else []
    if named == {""}:
        if len(asked) != 1:
            raise UsageError(
                "the amount of calibration data is not known"
                if not asked
                else "the rows do not name their amount of calibration data",
                where=str(path),
                expected="a column `given`, or --given with one of 0, 5, unlabelled:5, session",
                hint="for predictions without calibration data: --given 0",
            )
        return GivenRows({asked[0]: rows}, asked)
    if "" in named:
        lines = [str(row.line) for row in rows if not row.given]
        raise DataError(
            f"{len(lines)} rows do not name the amount of calibration data, but other rows do",
            where=f"{path}, lines {', '.join(lines[:5])}",
        )
    held = sorted(map(Given.read, named), key=lambda each: each.place)
    if unknown := [each.text for each in asked if each not in held]:
        raise UsageError(
            f"the file has no rows with {', '.join(unknown)} given",
            where=f"--given {given}",
            expected=", ".join(each.text for each in held),
        )
    return GivenRows({each: [row for row in rows if row.given == each.text] for each in held}, asked or held)


def compared_with(rows: GivenRows, given: Given | None) -> tuple[dict[str, Sequence[SubmittedRow]], dict[str, str]]:
    """Name of a comparison -> the file's own rows for it; and why it has none of the others."""
    found, absent = {}, {}
    for name, less in given.without().items() if given else ():
        if less in rows.rows:
            found[name] = rows.rows[less]
        else:
            what = "nothing" if name == NOTHING_GIVEN else less.text
            absent[name] = f"the file has no predictions with {what} given"
    if given and given.labelled and given.units:
        absent[SLICE_ONLY] = "the features of predictions made elsewhere are not known"
    return found, absent


def with_beside(
    predictions: Sequence[FoldPredictions], others: Mapping[str, Sequence[FoldPredictions]]
) -> list[FoldPredictions]:
    """Predictions with those of comparisons, of the same folds, beside them."""
    return [
        replace(of_fold, beside={name: made[k].score for name, made in others.items()})
        for k, of_fold in enumerate(predictions)
    ]
