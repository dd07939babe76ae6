"""Charts as SVG that follow the reader's light or dark, and the same shapes as PNG or PDF.

    panel = Panel("AUROC", [line(x, y, low, high, label="tcn")], Axis("subjects"), Axis(low=0, high=1))
    figure([panel], "What this shows").save(Path("curve.svg"))

A chart is made of marks (`line scatter error_bars score_bars bars heat rule`) on the axes of a `Panel`;
`figure` lays panels out in columns. Colours are names ("ink", "muted", "grid", "paper") or the number of a series.
"""

from embench.report.drawing.marks import Mark, bars, error_bars, heat, line, rule, scatter, score_bars
from embench.report.drawing.panels import Axis, Panel, figure
from embench.report.drawing.shapes import FIGURE_FORMATS, STYLE, SYMBOLS, Figure, check_path

__all__ = [
    "FIGURE_FORMATS",
    "STYLE",
    "SYMBOLS",
    "Axis",
    "Figure",
    "Mark",
    "Panel",
    "bars",
    "check_path",
    "error_bars",
    "figure",
    "heat",
    "line",
    "rule",
    "scatter",
    "score_bars",
]
