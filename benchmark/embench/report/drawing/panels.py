"""Axes with ticks, titles and legends, and how panels stand together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from embench.report.drawing.marks import Frame, Mark
from embench.report.drawing.shapes import Figure, Shape

SMALL, TITLE = 11.0, 13.0
_LETTER = 0.56
"""Mean width of a letter, of its height: there is no font to measure here."""
_MARGIN = 16.0
"""Right of a plot: half of the number at the end of its axis."""


@dataclass(frozen=True)
class Axis:
    """A scale; with `names` there is one place for each, 0, 1, ..; a y-axis has the first on top."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    names: Sequence[str] = ()
    ticks: bool = True


@dataclass(frozen=True)
class Panel:
    """Marks on two axes. `height` is that of the plot inside the axes, in pixels."""

    title: str
    marks: Sequence[Mark]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    height: float = 220.0


def figure(
    panels: Sequence[Panel],
    title: str,
    about: str = "",
    *,
    columns: int = 1,
    width: float = 720.0,
    heading: bool = False,
) -> Figure:
    """Panels in rows of `columns`, `width` pixels wide in all. `about` is a description for readers who cannot see it;
    `heading` writes the title on top."""
    shapes: list[Shape] = []
    top, each = 4.0, width / columns
    if heading:
        shapes.append(_text(4, 18, title, size=15, anchor="start", bold=True))
        top = 30.0
    lefts = [max(map(_left, panels[k::columns])) for k in range(min(columns, len(panels)))]  # one under the other
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        plot, foot = top + max(_head(panel, each) for panel in row), top
        for k, panel in enumerate(row):
            drawn, end = _panel(panel, k * each, top, each - _MARGIN, k * each + lefts[k], plot)
            shapes += drawn
            foot = max(foot, end)
        top = foot + 10
    return Figure(title, about, width, math.ceil(top), shapes)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, `most` steps or fewer."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _numbers(places: Sequence[float]) -> list[str]:
    """Numbers with as few decimals as all of them need."""
    decimals = next((d for d in range(7) if all(abs(round(p, d) - p) < 1e-9 for p in places)), 7)
    return [f"{place:.{decimals}f}" for place in places]


def _text(x: float, y: float, text: str, *, size: float = SMALL, colour: str = "ink", **about: Any) -> Shape:
    return Shape("text", np.array([[x, y]], float), colour, size, text=text, **about)


def _wide(text: str, size: float = SMALL) -> float:
    return _LETTER * size * len(text)


def _domain(axis: Axis, spans: Sequence[np.ndarray]) -> tuple[float, float]:
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    values = np.concatenate([*spans, np.empty(0)])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    pad = 0.04 * (high - low) or 0.5
    low = low - pad if axis.low is None else axis.low
    high = high + pad if axis.high is None else axis.high
    return float(low), float(high if high > low else low + 1)


def _places(axis: Axis, domain: tuple[float, float], most: int) -> tuple[list[float], list[str]]:
    if axis.names:
        return list(range(len(axis.names))), list(axis.names)
    found = ticks(*domain, most) if axis.ticks else []
    return found, _numbers(found)


def _legend(panel: Panel, width: float) -> list[list[tuple[Mark, float]]]:
    """Lines of (mark, where it begins)."""
    lines: list[list[tuple[Mark, float]]] = []
    at = width
    for mark in panel.marks:
        if mark.legend:
            wide = 26 + _wide(mark.legend) + 10
            if at + wide > width:
                lines.append([])
                at = 0.0
            lines[-1].append((mark, at))
            at += wide
    return lines


def _head(panel: Panel, width: float) -> float:
    return (20 if panel.title else 6) + 17 * len(_legend(panel, width - _MARGIN)) + 4


def _left(panel: Panel) -> float:
    _, names = _places(panel.y, _domain(panel.y, [m.y for m in panel.marks]), 5)
    return (20 if panel.y.label else 4) + max([_wide(name) for name in names], default=0) + 8


def _panel(panel: Panel, x0: float, top: float, width: float, left: float, plot: float) -> tuple[list[Shape], float]:
    """Shapes of a panel whose plot begins at (`left`, `plot`), and where it ends below."""
    right, bottom = x0 + width, plot + panel.height
    across = _domain(panel.x, [m.x for m in panel.marks])
    up = _domain(panel.y, [m.y for m in panel.marks])
    if panel.y.names:
        up = up[::-1]
    frame = _frame(across, up, (left, right), (bottom, plot))
    shapes = [_text(x0 + 4, top + 14, panel.title, size=TITLE, anchor="start", bold=True)] if panel.title else []
    for k, entries in enumerate(_legend(panel, width)):
        for mark, at in entries:
            shapes += _key(mark, x0 + 4 + at, top + (20 if panel.title else 6) + 17 * k)
    axes, end = _axes(panel, frame, across, up, x0)
    shapes += axes
    for mark in panel.marks:
        shapes += mark.shapes(frame)
    return shapes, end


def _frame(
    across: tuple[float, float], up: tuple[float, float], columns: tuple[float, float], rows: tuple[float, float]
) -> Frame:
    def frame(x: object, y: object) -> np.ndarray:
        at = np.stack(np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64)), -1)
        start, stop = np.array([across[0], up[0]]), np.array([across[1], up[1]])
        low, high = np.minimum(start, stop), np.maximum(start, stop)
        share = (np.clip(at, low, high) - start) / (stop - start)  # what lies beyond the axes stands on their edge
        origin, end = np.array([columns[0], rows[0]]), np.array([columns[1], rows[1]])
        return origin + share * (end - origin)

    return frame


def _key(mark: Mark, x: float, y: float) -> list[Shape]:
    shapes = []
    for key in mark.key:
        if key.kind == "line":
            at = np.array([[x, y + 7], [x + 20, y + 7]])
        elif key.kind == "rect":
            at = np.array([[x + 4, y + 1], [x + 16, y + 13]])
        else:
            at = np.array([[x + 10, y + 7]])
        shapes.append(replace(key, at=at))
    return [*shapes, _text(x + 26, y + 11, mark.legend, anchor="start")]


def _axes(
    panel: Panel, frame: Frame, across: tuple[float, float], up: tuple[float, float], x0: float
) -> tuple[list[Shape], float]:
    (left, plot), (right, bottom) = frame(across[0], up[1]), frame(across[1], up[0])
    shapes = [Shape("line", np.array([[left, bottom], [right, bottom]]), "muted")]
    places, names = _places(panel.y, up if not panel.y.names else (0, 1), max(3, int(panel.height // 40)))
    for place, name in zip(places, names, strict=True):
        y = frame(across[0], place)[1]
        if not panel.y.names:
            shapes.insert(0, Shape("line", np.array([[left, y], [right, y]]), "grid"))
        shapes.append(_text(left - 6, y + 4, name, colour="muted", anchor="end"))
    if panel.y.label:
        shapes.append(_text(x0 + 13, (plot + bottom) / 2, panel.y.label, colour="muted", turn=-90))
    places, names = _places(panel.x, across, max(2, int((right - left) // 60)))
    room = (right - left) / max(1, len(names))
    turned = bool(panel.x.names) and max(map(_wide, names)) + 4 > room
    for place, name in zip(places, names, strict=True):
        x = frame(place, up[0])[0]
        if not panel.x.names:
            shapes.insert(0, Shape("line", np.array([[x, plot], [x, bottom]]), "grid"))
        about: dict[str, Any] = {"turn": -40.0, "anchor": "end"} if turned else {}
        shapes.append(_text(x + (4 if turned else 0), bottom + 15, name, colour="muted", **about))
    end = bottom + (0.7 * max(map(_wide, names)) + 16 if turned else 20 if names else 6)
    if panel.x.label:
        shapes.append(_text((left + right) / 2, end + 11, panel.x.label, colour="muted"))
        end += 17
    return shapes, end
