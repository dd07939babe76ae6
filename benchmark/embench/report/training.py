"""Learning curves: figures of the stages, epoch by epoch; the first epoch is 1, as in the progress of a run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.report.curves import mean_and_band
from embench.report.drawing import Axis, Panel, figure, line
from embench.report.facts import RunFacts
from embench.report.page import figure_row, figure_with_table

TRAINING_WIDTH = 420.0
LOSSES = {"loss": ("training subjects", False), "val_loss": ("validation subjects", True)}


def training_section(run: RunFacts) -> Markup | Undefined:
    """The section of learning curves, a figure for each kind of stage, modality and target."""
    if not run.record.history:
        return Undefined(run.why_no_network("history"))
    kinds: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in run.record.history:
        kind = tuple(str(row[key]) for key in ("kind", "modality", "target") if row.get(key))
        kinds[kind][str(row["stage"])].append(dict(row))
    return figure_row([_learning(", ".join(kind), list(stages.values())) for kind, stages in kinds.items()])


def _learning(title: str, stages: list[list[dict[str, Any]]]) -> Markup:
    last = max(int(row["epoch"]) for rows in stages for row in rows)
    epochs = np.arange(last + 1)
    few = tuple(map(str, epochs + 1)) if last < 10 else ()  # no half epochs
    at = epochs if few else epochs + 1  # an axis of names counts from 0
    marks, head, columns = [], ["epoch", "networks"], []
    for k, (name, (title, dashed)) in enumerate(LOSSES.items()):
        curves = np.full((len(stages), last + 1), np.nan)
        for i, rows in enumerate(stages):
            for row in rows:
                curves[i, int(row["epoch"])] = float(row.get(name) or "nan")
        if np.isfinite(curves).any():
            mean, low, high = mean_and_band(curves)
            marks.append(line(at, mean, low, high, colour=k, dashed=dashed, label=title))
            head += [title, "10 %", "90 %"]
            columns += [mean, low, high]
    trained = np.array([sum(any(int(r["epoch"]) == e for r in rows) for rows in stages) for e in epochs])
    note = f"Loss of {len(stages)} networks (folds and seeds): the mean, with a band that contains 80 % of them"
    note += ". At each epoch, only networks still in training count." if trained[-1] < len(stages) else "."
    panel = Panel(title, marks, Axis("epoch", names=few), Axis("loss"), 200)
    cells = [(int(e) + 1, int(trained[e]), *(float(c[e]) for c in columns)) for e in epochs]
    return figure_with_table(
        figure([panel], f"Learning curves: {title}", note, width=TRAINING_WIDTH), head, cells, note
    )
