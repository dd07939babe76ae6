"""Curves over the runs that lie beside a run's folder and differ from it in one thing alone: the lag of labels, or what
test subjects give first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from embench.errors import EmbenchError
from embench.protocols import without_lag
from embench.records.giving import but_for_given
from embench.records.manifest import Manifest
from embench.records.record import read_manifest, read_record
from embench.records.scores import Scores
from embench.report.facts import RunFacts
from embench.report.grid_curves import build_curves, draw_curve
from embench.report.page import figure_row, figure_with_table, html_table, join_parts, paragraph
from embench.report.points import AXIS_TITLES, Curve

_ABOUT = {
    "lag": "The same method, and the models without a signal, with labels read at other moments: above 0, so many "
    "seconds after the signals. Units that a lag moves out of their recording have no label.",
    "given": "The same method, and what it is compared with, by the amount of calibration data of the test subject; "
    "below, its gain over the best of these.",
}


def lag_section(run: RunFacts) -> Markup | None:
    """The curve over this run and those beside its folder that differ from it in their lag alone; None where there
    are none, predictions were made elsewhere, or others may see the report."""
    return _section(run, "lag", _but_for_lag) if not run.outside else None


def given_section(run: RunFacts) -> Markup | None:
    """The curve over this run and those beside its folder that differ from it in what test subjects give alone; None
    where there are none, or others may see the report."""
    return _section(run, "given", _but_for_given) if run.manifest.given is not None else None


def _but_for_given(about: Manifest) -> list[Any]:
    return [about.seeds, *but_for_given(about)]


def _but_for_lag(about: Manifest) -> list[Any]:
    config = {name: value for name, value in about.config.items() if name not in ("protocol", "request")}
    rules = {name: value for name, value in about.protocol.rules.items() if name not in ("name", "lag_s")}
    return [without_lag(about.protocol.name), rules, config]


def _section(run: RunFacts, axis: str, alike: Callable[[Manifest], list[Any]]) -> Markup | None:
    found = [] if run.for_others else _beside(run, alike)
    curves = [curve for curve in build_curves(found) if curve.axis == axis] if len(found) > 1 else []
    return describe_curve(curves[0]) if curves else None


def _beside(run: RunFacts, alike: Callable[[Manifest], list[Any]]) -> list[tuple[Mapping[str, Any], Scores]]:
    """run.yaml and scores of the run and of those that are alike."""
    found, own = [], alike(run.manifest)
    for path in sorted(run.folder.resolve().parent.glob("*/run.yaml")) if run.folder else ():
        try:
            if alike(read_manifest(path.parent)) == own:
                record = read_record(path.parent)
                found.append((record.run, record.scores))
        except EmbenchError:  # another run's record that cannot be read
            continue
    return found


def describe_curve(curve: Curve) -> Markup:
    """The figure of a curve with its numbers, and a table of gains where there are some."""
    head = ("target", "score", "of", AXIS_TITLES[curve.axis].replace("lag of labels", "lag"), "mean", "from", "to")
    rows = [
        (point.target, point.metric, point.line, point.at, point.score.mean, point.score.low, point.score.high)
        for _, points in curve.panels()
        for point in points
    ]
    drawn = figure_with_table(draw_curve(curve), head, rows, _ABOUT[curve.axis])
    gains = [
        (point.target, point.line, point.at, point.above, point.score.mean, point.score.low, point.score.high)
        for title, _ in curve.panels()
        for point in curve.gains(title)
    ]
    columns = ("target", "given", AXIS_TITLES[curve.axis], "above", "gain", "from", "to")
    told = [html_table(columns, gains, "Gain over the best confound-only model")] if gains else []
    return join_parts([paragraph(curve.note), figure_row([drawn]), *told])
