"""Marks of a panel. A mark knows the data that it spans, and its shapes once the axes are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embench.records.wording import Interval
from embench.report.drawing.shapes import Shape
from embench.report.drawing.shapes import colour_name as _name

Colour = int | str
NOWHERE = np.empty((0, 2))
Frame = Callable[[Any, Any], np.ndarray]
"""Data (n,), (n,) -> (n, 2) pixels."""


@dataclass(frozen=True)
class Mark:
    """A mark on a panel: the data it spans (NaN where it sets no limits), its shapes, its legend's text and sample."""

    x: np.ndarray
    y: np.ndarray
    shapes: Callable[[Frame], list[Shape]]
    legend: str = ""
    key: tuple[Shape, ...] = ()


def _floats(*columns: Any) -> list[np.ndarray]:
    return [np.asarray(column, np.float64).reshape(-1) for column in columns]


def _unbroken(at: np.ndarray) -> list[np.ndarray]:
    """The stretches of two points and more between NaN."""
    finite = np.isfinite(at).all(1)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(int)))
    return [at[a:b] for a, b in zip(ends[::2], ends[1::2], strict=True) if b - a > 1]


def line(
    x: Any,
    y: Any,
    low: Any = None,
    high: Any = None,
    *,
    colour: Colour = 0,
    label: str = "",
    dashed: bool = False,
    width: float = 1.8,
    symbol: str = "",
    opacity: float = 1.0,
) -> Mark:
    """A line, broken where `y` is NaN, with a band from `low` to `high` and a `symbol` at each point where asked."""
    x, y = _floats(x, y)
    edges = _floats(low, high) if low is not None else []
    name = _name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        drawn = []
        if edges:
            down, up = (frame(x, np.where(np.isfinite(sum(edges)), edge, np.nan)) for edge in edges)
            for one, other in zip(_unbroken(down), _unbroken(up), strict=True):
                drawn.append(Shape("area", np.concatenate([other, one[::-1]]), name, opacity=0.18))
        drawn += [Shape("line", part, name, width, opacity, dashed) for part in _unbroken(frame(x, y))]
        if symbol:
            drawn += [Shape("dot", at[None], name, 3.5, symbol=symbol) for at in frame(x, y) if np.isfinite(at).all()]
        return drawn

    key = [Shape("line", NOWHERE, name, width, dashed=dashed)]
    if symbol:
        key.append(Shape("dot", NOWHERE, name, 3.5, symbol=symbol))
    return Mark(np.tile(x, 1 + len(edges)), np.concatenate([y, *edges]), shapes, label, tuple(key))


def scatter(
    x: Any, y: Any, *, colour: Colour = 0, label: str = "", symbol: str = "circle", size: float = 3.0,
    opacity: float = 0.75, tips: Sequence[str] = (),
) -> Mark:  # fmt: skip
    """A scatter; `tips` holds the tooltip of each. Circles without any are one path, small in the file."""
    x, y = _floats(x, y)
    name = _name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        at = frame(x, y)
        if not tips and symbol == "circle":
            return [Shape("cloud", at, name, size, opacity)]
        texts = tips or [""] * len(at)
        return [
            Shape("dot", p[None], name, size, opacity, symbol=symbol, text=t) for p, t in zip(at, texts, strict=True)
        ]

    return Mark(x, y, shapes, label, (Shape("dot", NOWHERE, name, size, symbol=symbol),))


def error_bars(
    at: Any, mean: Any, low: Any, high: Any, *, across: bool = False, colour: Colour = 0, label: str = "",
    symbol: str = "circle", tips: Sequence[str] = (),
) -> Mark:  # fmt: skip
    """Points with whiskers from `low` to `high`, upright at x = `at`; lying at y = `at` where `across`."""
    at, mean, low, high = _floats(at, mean, low, high)
    name = _name(colour)
    x, y = np.tile(at, 3), np.concatenate([mean, low, high])

    def shapes(frame: Frame) -> list[Shape]:
        drawn, n = [], len(at)
        place = frame(y, x) if across else frame(x, y)
        cap = np.array([0.0, 4.0] if across else [4.0, 0.0])
        for k in range(n):
            middle, ends, tip = place[k], place[[n + k, 2 * n + k]], tips[k] if tips else ""
            if np.isfinite(ends).all():
                drawn.append(Shape("line", ends, name, 1.6, text=tip))
                drawn += [Shape("line", np.stack([end - cap, end + cap]), name, 1.6) for end in ends]
            if np.isfinite(middle).all():
                drawn.append(Shape("dot", middle[None], name, 4.2, symbol=symbol, text=tip))
        return drawn

    key = (Shape("dot", NOWHERE, name, 4.2, symbol=symbol),)
    return Mark(y, x, shapes, label, key) if across else Mark(x, y, shapes, label, key)


def score_bars(at: Any, scores: Sequence[Interval], **look: Any) -> Mark:
    """Error bars of scores with their intervals, which look as `error_bars` says."""
    return error_bars(at, *([getattr(score, end) for score in scores] for end in ("mean", "low", "high")), **look)


def bars(
    at: Any, value: Any, base: Any = 0.0, *, across: bool = False, colour: Colour = 0, label: str = "",
    width: Any = 0.72, opacity: float = 1.0,
) -> Mark:  # fmt: skip
    """Bars from `base` to `value`, upright at x = `at`; lying at y = `at` where `across`. `width`: of all or each."""
    at, value = _floats(at, value)
    base = np.broadcast_to(np.asarray(base, np.float64), value.shape)
    name = _name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        one, other = at - width / 2, at + width / 2
        first, last = (frame(base, one), frame(value, other)) if across else (frame(one, base), frame(other, value))
        corners = np.stack([first, last], 1)
        return [Shape("rect", c, name, opacity=opacity) for c in corners if np.isfinite(c).all()]

    sides, span = np.concatenate([at - width / 2, at + width / 2]), np.concatenate([value, base])
    x, y = (span, sides) if across else (sides, span)
    return Mark(x, y, shapes, label, (Shape("rect", NOWHERE, name, opacity=opacity),))


def heat(values: Any, texts: Sequence[Sequence[str]] = (), *, colour: Colour = 0, top: float | None = None) -> Mark:
    """A table of cells (rows, columns), stronger to `top` (the largest), each with its text; row 0 where y = 0."""
    table = np.asarray(values, np.float64)
    rows, columns = table.shape
    largest = top if top is not None else (np.nanmax(table) if np.isfinite(table).any() else 1.0)
    share = np.clip(np.nan_to_num(table / (largest or 1.0)), 0, 1)

    def shapes(frame: Frame) -> list[Shape]:
        drawn = []
        for i in range(rows):
            for k in range(columns):
                cell = frame([k - 0.48, k + 0.48], [i - 0.48, i + 0.48])
                drawn.append(Shape("rect", cell, _name(colour), opacity=round(0.05 + 0.5 * float(share[i, k]), 3)))
                if texts:  # on half of a colour ink can be read, on light and on dark
                    drawn.append(Shape("text", cell.mean(0)[None] + [0, 4], "ink", 12, text=texts[i][k]))
        return drawn

    return Mark(np.array([-0.5, columns - 0.5]), np.array([-0.5, rows - 0.5]), shapes)


def rule(*, x: float = math.nan, y: float = math.nan, label: str = "", colour: Colour = "muted") -> Mark:
    """A dashed line over the whole panel, at `x` or at `y`."""

    def shapes(frame: Frame) -> list[Shape]:
        ends = frame([-np.inf, np.inf], [y, y]) if math.isnan(x) else frame([x, x], [-np.inf, np.inf])
        return [Shape("line", ends, _name(colour), 1.2, dashed=True)]

    return Mark(np.array([x]), np.array([y]), shapes, label, (Shape("line", NOWHERE, _name(colour), 1.2, dashed=True),))
