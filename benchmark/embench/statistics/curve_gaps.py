"""Differences of curves: what methods gain where test subjects give something first, over nothing given, and by how
much one gains more than another.

All is scored on the units that the methods have in common, with something given and with nothing, and paired over
subjects. What a method does with nothing given is its run with `--given 0` or, where there is none, the rows
`nothing_given` that each run with more holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.protocols import NOTHING_GIVEN, Given, recorded_given
from embench.records.manifest import but_for_given, with_people
from embench.records.predictions import MODEL, UNPREDICTED
from embench.records.record import Record
from embench.records.wording import format_p, format_points, given_in_words
from embench.statistics import significance
from embench.statistics.common import check_same, common_targets
from embench.statistics.comparison import ComparedMethod, method_names, methods_on_common
from embench.statistics.intervals import Estimate, paired_difference, shared_variance, widen
from embench.statistics.significance import ALPHA


@dataclass(frozen=True)
class CurveGap:
    """A gain of a method over nothing given, or by how much `one` gains more than the `other`.

    Args:
        given: what test subjects give, as `--given` says it.
        one: the method's name; `other`: the other's, empty where it is the gain of one.
        difference: paired, with its 95 % interval; p of a t test with the same error, and `holm`, the same corrected
            for all that were tested at once.
    """

    given: str
    one: str
    other: str
    difference: Estimate
    p: float
    holm: float
    bounded: bool

    @property
    def shown(self) -> bool:
        """True if the corrected test is significant."""
        return self.holm < ALPHA

    @property
    def sentence(self) -> str:
        """A sentence that may be quoted."""
        gap, data = self.difference, f"{given_in_words(Given.read(self.given).plain())} as calibration data"
        low, high = ("?" if end is None else format_points(end, self.bounded) for end in (gap.low, gap.high))
        size = f"{format_points(gap.mean, self.bounded)}{' points' if self.bounded else ''}"
        figures = f"{size}, 95 % interval {low} to {high}, {format_p(self.holm)}, {gap.subjects} subjects"
        if self.other and self.shown:
            return f"With {data}, the gains of {self.one} and {self.other} differ by {figures}."
        if self.other:
            return f"With {data}, a difference in gain of {self.one} and {self.other} is not shown: {figures}."
        if self.shown:
            return f"With {data}, {self.one} changes by {figures}."
        return f"With {data}, a change of {self.one} is not shown: {figures}."

    def as_json(self) -> dict[str, Any]:
        """The gap as `embench compare --json` prints it."""
        return {**vars(self), "difference": with_people(self.difference.as_json()), "sentence": self.sentence}


@dataclass(frozen=True)
class CurveTable:
    """The gains of methods on a target at each amount, and the differences between these. `scores`: (amount, method)
    -> the score there; `0` is nothing given."""

    target: str
    metric: str
    scores: Mapping[tuple[str, str], Estimate]
    gains: tuple[CurveGap, ...]
    differences: tuple[CurveGap, ...]

    def as_json(self) -> dict[str, Any]:
        """The table as `embench compare --json` prints it."""
        return {
            "target": self.target,
            "metric": self.metric,
            "scores": [
                {"given": given, "method": name, "score": with_people(score.as_json())}
                for (given, name), score in self.scores.items()
            ],
            "gains": [gap.as_json() for gap in self.gains],
            "differences": [gap.as_json() for gap in self.differences],
        }


def are_curves(records: Sequence[Record]) -> bool:
    """True if records differ in what test subjects give."""
    asked = [recorded_given(record.run.get("given")) for record in records]
    return None not in asked and len(set(asked)) > 1


def compare_curves(
    records: Sequence[Record],
    given: str | None = None,
    targets: Sequence[str] | None = None,
    metric: str | None = None,
) -> list[CurveTable]:
    """Compares the gains of one method or several over nothing given: a table for each target. Holm's correction is
    over all tests of all targets.

    Args:
        given: the amount, as `--given` says it, with commas between several; by default all that every method has.

    Raises:
        UsageError: runs differ in more than method and amount, are of protocols to which nobody gives anything, or have
            no amount in common. DataError: as `compare`.
    """
    methods, amounts = _methods(records, given)
    tables = []
    for target in targets or common_targets(records):
        made = [_at(methods, amount, target, metric) for amount in amounts]
        scores = {key: score for of in made for key, score in of.scores.items()}
        gaps = [gap for of in made for gap in of.gains], [gap for of in made for gap in of.differences]
        tables.append(CurveTable(target, made[0].metric, scores, tuple(gaps[0]), tuple(gaps[1])))
    corrected = iter(significance.holm([gap.p for table in tables for gap in (*table.gains, *table.differences)]))
    return [
        replace(
            table,
            gains=tuple(replace(gap, holm=next(corrected)) for gap in table.gains),
            differences=tuple(replace(gap, holm=next(corrected)) for gap in table.differences),
        )
        for table in tables
    ]


_Amounts = dict[Given, Record]


def _methods(records: Sequence[Record], given: str | None) -> tuple[dict[str, _Amounts], list[Given]]:
    """Name of a method -> amount -> its run, and the amounts to compare at."""
    _check_given(records)
    if len(records) > 1:
        check_same(records, but=["seeds", "calibration data", "target access"])
    grouped: dict[str, _Amounts] = {}
    of_first: dict[str, Record] = {}
    for record in records:
        key = repr(but_for_given(record.manifest))
        asked = Given.of(record.run["given"])
        if asked in grouped.setdefault(key, {}):
            raise UsageError(
                f"two runs are of one method, with --given {asked.text}",
                where=f"{grouped[key][asked].run['id']} and {record.run['id']}",
                expected="one run of each method at each amount",
            )
        grouped[key][asked] = record
        of_first.setdefault(key, record)
    names = dict(zip(of_first, method_names(list(of_first.values())), strict=True))
    methods = {names[key]: runs for key, runs in grouped.items()}
    has = {name: {asked for asked in runs if asked.plain()} for name, runs in methods.items()}
    wanted = [Given.read(text) for text in given.split(",")] if given else None
    common = sorted(set.intersection(*has.values()), key=lambda asked: asked.place)
    if (wanted is None and not common) or any(asked not in common for asked in wanted or ()):
        listed = "; ".join(
            f"{name}: {', '.join(asked.text for asked in sorted(runs, key=lambda asked: asked.place))}"
            for name, runs in methods.items()
        )
        raise UsageError(
            "not all methods were run with the same calibration data"
            + (f", {', '.join(asked.text for asked in wanted if asked not in common)}" if wanted else ""),
            where="embench compare",
            expected=f"the same amounts (> 0) for every method; found: {listed}",
            hint="run the others with --given too",
        )
    return methods, wanted or common


def _check_given(records: Sequence[Record]) -> None:
    for record in records:
        if record.run.get("given") is None:
            raise UsageError(
                f"{record.run['protocol']['name']} has no calibration data",
                where=record.run["id"],
                expected="runs under personalise-v1",
            )


def _at(methods: Mapping[str, _Amounts], given: Given, target: str, metric: str | None) -> CurveTable:
    """The table of one amount, uncorrected."""
    pairs = {name: (runs[given], _nothing_given(runs, given)) for name, runs in methods.items()}
    every = [record for pair in pairs.values() for record in pair]
    found = {id(method.record): method for method in methods_on_common(every, target, metric)}
    gains: dict[str, Estimate] = {}
    scores: dict[tuple[str, str], Estimate] = {}
    for name, (more, nothing) in pairs.items():
        with_it, without = found[id(more)], found[id(nothing)]
        scores |= {("0", name): without.told, (given.text, name): with_it.told}
        gains[name] = _less(with_it.score, without.score, with_it, name)
    about = next(iter(found.values())).about

    def gap(one: str, other: str, difference: Estimate) -> CurveGap:
        shared, error = shared_variance(difference.by_seed, about.trained), difference.error
        if shared is None and error is not None and about.trained.any():
            shared = error**2  # as in the gains of records, where seeds do not show how much it is
        widened = widen(difference, shared)
        p = 1.0 if widened.error is None else significance.t_test(widened.mean, widened.error, widened.df)
        return CurveGap(given.text, one, other, widened, p, p, about.bounded)

    first = found[id(every[0])]
    return CurveTable(
        target,
        about.metric,
        scores,
        tuple(gap(name, "", gain) for name, gain in gains.items()),
        tuple(gap(a, b, _less(gains[a], gains[b], first, f"{a}, {b}")) for a, b in combinations(gains, 2)),
    )


def _less(one: Estimate, other: Estimate, method: ComparedMethod, where: str) -> Estimate:
    gap = paired_difference(one, other, method.about.group)
    if isinstance(gap, Undefined):
        raise DataError(f"the gain in {method.about.metric} is undefined: {gap.reason}", where=where)
    return gap


def _nothing_given(runs: _Amounts, given: Given) -> Record:
    """The method's run with nothing given, else what its run with more holds of it, as such a run."""
    if Given() in runs:
        return runs[Given()]
    record = runs[given]
    table = record.predictions
    rows = table.take(table.rows_with(method=NOTHING_GIVEN) | table.rows_with(method=UNPREDICTED))
    if not len(rows):
        raise DataError(
            "the record does not contain predictions without calibration data",
            where=record.run["id"],
            hint="run it with --given 0 too",
        )
    name = np.where(rows["method"] == NOTHING_GIVEN, MODEL, rows["method"])
    return replace(record, predictions=type(rows)({**{c: rows[c] for c in rows.columns}, "method": name}))
