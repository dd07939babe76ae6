"""The labels of a dataset as a figure: one panel a target, one bar a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embench.report.drawing import Axis, Figure, Mark, Panel, bars, error_bars, figure


def draw_labels(title: str, targets: Sequence[Mapping[str, Any]]) -> Figure:
    """The per-subject part of what `label_report.report` says."""
    panels = [_panel(target) for target in targets if target.get("per_person")]
    return figure(panels, f"{title}: labels of each subject", width=640, heading=True)


def _panel(target: Mapping[str, Any]) -> Panel:
    rows = target["per_person"]
    at = np.arange(len(rows))
    marks: list[Mark]
    if "values" in target:
        mean, sd = (np.array([row["values"][key] for row in rows]) for key in ("mean", "sd"))
        marks, x = (
            [error_bars(at, mean, mean - sd, mean + sd, across=True)],
            Axis(f"{target['label']}, mean and SD of units"),
        )
    else:
        marks, x, done = [], Axis("proportion of units", 0, 1), np.zeros(len(rows))
        for k, about in enumerate(target["classes"]):
            share = np.array([row["classes"][k]["share"] for row in rows])
            marks.append(bars(at, done + share, done, across=True, colour=k, label=about["name"]))
            done = done + share
    return Panel(target["target"], marks, x, Axis("subject", names=[row["subject"] for row in rows]), 15.0 * len(rows))
