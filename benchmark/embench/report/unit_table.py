"""Labels and scores of runs by unit, as a table for a mixed model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.units import Target
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record
from embench.records.wording import bare_name, in_words
from embench.statistics.common import recorded_targets
from embench.statistics.joined import labels_of

UNIT_COLUMNS = ("target", "subject", "stimulus", "recording", "unit", "start_s", "rating")
"""The columns of a unit; those of scores follow."""
WHY_DIFFERENT = (
    "Its result may differ from that of embench: it assumes one slope, also compares subjects, adjusts for neither "
    "time nor movement, and takes scores as independent, although the models that made them share training subjects."
)


def unit_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each target and labelled unit of runs on one dataset: `UNIT_COLUMNS`, then the score of each run
    (`score` of a single one), averaged over seeds. Blank are the label of a unit whose class depends on the seed, and
    the score of a unit that a run did not predict.

    Raises:
        UsageError: the runs are of several datasets or protocols, or a target has several classes. DataError: the
            labels of a record are withheld.
    """
    if len({(record.manifest.dataset.name, record.manifest.protocol.hash) for record in records}) > 1:
        raise UsageError(
            "the runs have several datasets or protocols", where="--table", expected="runs with the same units"
        )
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, record in zip(score_columns(records), records, strict=True):
        if record.labels is None:
            raise DataError("the labels of this record are withheld", where=record.manifest.id, expected="a run")
        for target in recorded_targets(record):
            if target.kind not in ("binary", "value"):
                raise UsageError(
                    f"{target.name} has several classes", where="--table", expected="binary or continuous targets"
                )
            for key, row, score in _scored(record.predictions.own, record.labels, target):
                rows.setdefault(key, row)[name] = score
    return [rows[key] for key in sorted(rows)]


def score_columns(records: Sequence[Record]) -> list[str]:
    """Return the name of each run's column: its sensors, encoders and fusion, with the end of its id where two share
    these."""
    if len(records) == 1:
        return ["score"]
    names = [_method(record.run) for record in records]
    ids = [record.manifest.id.rpartition("-")[2] for record in records]
    return [name if names.count(name) == 1 else f"{name}_{id_}" for name, id_ in zip(names, ids, strict=True)]


def mixed_model(path: Path, rows: Sequence[Mapping[str, Any]], column: str) -> tuple[str, str]:
    """Return the two lines of R that fit the mixed model of the first target's ratings to the table in `path`."""
    targets = list(dict.fromkeys(row["target"] for row in rows))
    binary = all(row["rating"] in (0, 1, "") for row in rows if row["target"] == targets[0])
    call, family = ("glmer", ", family = binomial") if binary else ("lmer", "")
    subset = f', subset = target == "{targets[0]}"' if len(targets) > 1 else ""
    stimuli = {row["stimulus"] for row in rows if row["target"] == targets[0]}
    formula = f"rating ~ {column} + (1|subject)" + (" + (1|stimulus)" if len(stimuli) > 1 else "")
    return f"lme4::{call}({formula},", f'  data = read.csv("{path.as_posix()}"){family}{subset})'


def _method(run: Mapping[str, Any]) -> str:
    method = run["method"]
    if method.get("outside"):
        parts = [in_words(str(method["outside"]))]
    else:
        parts = [*method["modalities"], *dict.fromkeys(map(bare_name, (method.get("encoders") or {}).values()))]
        parts += [bare_name(method["fusion"])] if method.get("fusion") else []
    # A name in R has letters, digits, dots and underscores.
    return "_".join(["score", *("".join(c if c.isalnum() else "." for c in part) for part in parts)])


def _scored(own: Predictions, labels: Labels, target: Target) -> Iterator[tuple[tuple[str, str], dict[str, Any], Any]]:
    """Yield the key, the row and the mean score of each labelled unit of a target."""
    own = own.take(own.rows_with(target=target.name))
    label, columns = labels_of(own, labels, target), dict(own.columns)  # a column of texts is made at each access
    unit, predicted = columns["unit"], columns["method"] == MODEL
    order = np.argsort(unit, kind="stable")
    ends = np.flatnonzero(unit[order][1:] != unit[order][:-1]) + 1
    for at in np.split(order, ends) if len(order) else ():
        known = np.unique(label[at][np.isfinite(label[at])])
        if not len(known):
            continue
        first, scores = at[0], columns["score"][at][predicted[at]]
        row: dict[str, Any] = {name: str(columns[name][first]) for name in ("subject", "stimulus", "recording", "unit")}
        start = float(columns["start_s"][first])
        row |= {
            "target": target.name,
            "start_s": _number(start) if np.isfinite(start) else "",
            "rating": _number(known[0]) if len(known) == 1 else "",
        }
        yield (target.name, row["unit"]), row, _number(scores.mean()) if len(scores) else ""


def _number(value: float) -> float | int:
    """A number to nine significant digits, whole ones without a point."""
    return int(value) if float(value).is_integer() else float(f"{value:.9g}")
