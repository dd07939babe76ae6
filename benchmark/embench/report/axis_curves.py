"""The curve over the runs that lie beside a run's folder and differ from it in what test subjects give first alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from embench.errors import EmbenchError
from embench.records.manifest import Manifest, but_for_given
from embench.records.record import read_manifest, read_record
from embench.records.scores import Scores
from embench.report.facts import RunFacts
from embench.report.grid_curves import build_curves, draw_curve
from embench.report.page import figure_row, figure_with_table, html_table, join_parts, paragraph
from embench.report.points import AXIS_TITLES, Curve

_ABOUT_GIVEN = (
    "The same method, and what it is compared with, by the amount of calibration data of the test subject; below, its "
    "gain over the best of these."
)


def given_section(run: RunFacts) -> Markup | None:
    """The curve over this run and those beside its folder that differ from it in what test subjects give alone; None
    where there are none, or others may see the report."""
    if run.manifest.given is None or run.for_others:
        return None
    found = _beside(run)
    curves = [curve for curve in build_curves(found) if curve.axis == "given"] if len(found) > 1 else []
    return describe_curve(curves[0]) if curves else None


def _comparable(about: Manifest) -> list[Any]:
    """What runs have in common that stand on one curve."""
    return [about.seeds, *but_for_given(about)]


def _beside(run: RunFacts) -> list[tuple[Mapping[str, Any], Scores]]:
    """run.yaml and scores of the run and of those that differ from it in what test subjects give alone."""
    found, own = [], _comparable(run.manifest)
    for path in sorted(run.folder.resolve().parent.glob("*/run.yaml")) if run.folder else ():
        try:
            if _comparable(read_manifest(path.parent)) == own:
                record = read_record(path.parent)
                found.append((record.run, record.scores))
        except EmbenchError:  # another run's record that cannot be read
            continue
    return found


def describe_curve(curve: Curve) -> Markup:
    """The figure of a curve with its numbers, and a table of gains where there are some."""
    head = ("target", "score", "of", AXIS_TITLES[curve.axis], "mean", "from", "to")
    rows = [
        (point.target, point.metric, point.line, point.at, point.score.mean, point.score.low, point.score.high)
        for _, points in curve.panels()
        for point in points
    ]
    drawn = figure_with_table(draw_curve(curve), head, rows, _ABOUT_GIVEN)
    gains = [
        (point.target, point.line, point.at, point.above, point.score.mean, point.score.low, point.score.high)
        for title, _ in curve.panels()
        for point in curve.gains(title)
    ]
    columns = ("target", "given", AXIS_TITLES[curve.axis], "above", "gain", "from", "to")
    told = [html_table(columns, gains, "Gain over the best confound-only model")] if gains else []
    return join_parts([paragraph(curve.note), figure_row([drawn]), *told])
