"""The curve of a run's scores over the lag between labels and signals, where it was run at several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from embench.errors import EmbenchError
from embench.protocols import without_lag
from embench.records.manifest import Manifest
from embench.records.record import read_manifest, read_record
from embench.records.scores import Scores
from embench.report.facts import RunFacts
from embench.report.grid_curves import Curve, build_curves, draw_curve
from embench.report.page import figure_row, figure_with_table, paragraph

_HEAD = ("target", "score", "of", "lag in s", "mean", "from", "to")
_ABOUT = (
    "The same method, and the controls, which read no signals, with labels read at other moments: above 0, so many "
    "seconds after the signals. Units that a lag moves out of their recording have no label."
)


def lag_section(run: RunFacts) -> Markup | None:
    """The curve over this run and those beside its folder that differ from it in their lag alone; None where there
    are none, predictions were made elsewhere, or others may see the report."""
    found = [] if run.for_others or run.outside else _at_all_lags(run)
    curves = build_curves(found) if len(found) > 1 else []
    return _drawn(curves[0]) if curves else None


def _at_all_lags(run: RunFacts) -> list[tuple[Mapping[str, Any], Scores]]:
    """run.yaml and scores of the run and of those like it but for the lag."""
    found = []
    for path in sorted(run.folder.resolve().parent.glob("*/run.yaml")) if run.folder else ():
        try:
            if _but_for_lag(read_manifest(path.parent)) == _but_for_lag(run.manifest):
                record = read_record(path.parent)
                found.append((record.run, record.scores))
        except EmbenchError:  # another run's record that cannot be read
            continue
    return found


def _but_for_lag(about: Manifest) -> list[Any]:
    """The settings of a run that a curve over lags holds constant."""
    config = {name: value for name, value in about.config.items() if name not in ("protocol", "request")}
    rules = {name: value for name, value in about.protocol.rules.items() if name not in ("name", "lag_s")}
    return [without_lag(about.protocol.name), rules, config]


def _drawn(curve: Curve) -> Markup:
    rows = [
        (point.target, point.metric, point.line, point.at, point.score.mean, point.score.low, point.score.high)
        for point in curve.points
    ]
    drawn = figure_with_table(draw_curve(curve), _HEAD, rows, _ABOUT)
    return paragraph(curve.note) + figure_row([drawn])
