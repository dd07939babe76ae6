"""Charts as SVG that follow the reader's light or dark mode, and the same shapes as PNG or PDF.

A chart is made of marks (`line`, `scatter`, `error_bars`, `score_bars`, `bars`, `heat`, `rule`) on the axes of a
`Panel`; `figure` arranges panels in columns. Colours are names (`ink`, `muted`, `grid`, `paper`) or numbers of series.

    panel = Panel("AUROC", [line(x, y, low, high, label="tcn")], Axis("subjects"), Axis(low=0, high=1))
    figure([panel], "What this shows").save(Path("curve.svg"))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from embench.errors import UsageError
from embench.records.wording import Interval

# Primitives of a drawing: lines, areas, rectangles, dots and text, in pixels, with colours by name.

FIGURE_FORMATS = (".svg", ".png", ".pdf")
_LIGHT = {"ink": "#1c2330", "muted": "#5a6473", "grid": "#e2e6ec", "paper": "#ffffff"}
_DARK = {"ink": "#e8ecf2", "muted": "#a3adba", "grid": "#303844", "paper": "#151a21"}
# Colours by Okabe and Ito, suitable for colour-blind readers; their yellow is too pale on white and omitted.
_SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07D00", "#56B4E9", "#7A6FD0")
_SERIES_DARK = ("#56B4E9", "#F28C4B", "#2FC497", "#E39AC2", "#E6B422", "#8CC9EE", "#A79DF2")
_NAMES = (*_LIGHT, *map(str, range(len(_SERIES))))
SYMBOLS = ("circle", "square", "diamond", "triangle")
Anchor = Literal["start", "middle", "end"]


def _colour_variables(colours: Sequence[str]) -> str:
    return "".join(f"--d-{name}:{colour};" for name, colour in zip(_NAMES, colours, strict=True))


STYLE = (
    f":root{{{_colour_variables([*_LIGHT.values(), *_SERIES])}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_colour_variables([*_DARK.values(), *_SERIES_DARK])}}}}}"
    ".drawing{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    + "".join(f".drawing .f{n}{{fill:var(--d-{n})}}.drawing .s{n}{{stroke:var(--d-{n});fill:none}}" for n in _NAMES)
)
"""CSS of the classes in an SVG; a page with several figures contains it once, see `Figure.svg`."""


@dataclass(frozen=True)
class Shape:
    """A primitive of a drawing at the points `at` (n, 2), in pixels from the top left corner: a line or an area through
    the points, a rectangle between two corners, a dot, a cloud of dots, or a text."""

    kind: Literal["line", "area", "rect", "dot", "cloud", "text"]
    at: np.ndarray
    colour: str
    size: float = 1.0
    """Width of a line, radius of a dot, or height of a text, in pixels."""
    opacity: float = 1.0
    dashed: bool = False
    symbol: str = "circle"
    text: str = ""
    """Content of a text; tooltip of any other shape."""
    anchor: Anchor = "middle"
    turn: float = 0.0
    """Rotation in degrees, clockwise."""
    bold: bool = False


def colour_name(colour: int | str) -> str:
    """Return the name of a colour, which may be the number of a series; numbers wrap around."""
    return str(colour % len(_SERIES)) if isinstance(colour, int) else colour


@dataclass(frozen=True)
class Figure:
    """A finished drawing of `width` by `height` pixels; `about` describes it for readers who cannot see it."""

    title: str
    about: str
    width: float
    height: float
    shapes: Sequence[Shape]

    def svg(self, *, alone: bool = True) -> str:
        """Return an SVG element; unless it stands `alone`, the page around it must contain `STYLE`."""
        text = f"{self.title}. {self.about}" if self.about else self.title
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" aria-label={quoteattr(text)} '
            f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}">'
            f"<title>{escape(self.title)}</title>"
        )
        about = f"<desc>{escape(self.about)}</desc>" if self.about else ""
        style = f'<style>{STYLE}</style><rect class="fpaper" width="100%" height="100%"/>' if alone else ""
        return "\n".join([head + about + style, *map(_element, self.shapes), "</svg>"])

    def save(self, path: Path) -> None:
        """Write an .svg file, or in light colours a .png or .pdf file. Equal shapes give equal bytes."""
        path = Path(path)
        if path.suffix.lower() == ".svg":
            path.write_text(self.svg() + "\n", encoding="utf-8", newline="\n")
        else:
            _save_matplotlib(self, path)


def check_path(path: Path, where: str) -> None:
    """Raise UsageError if no figure can be written to `path`; `where` is the option that named it."""
    if path.suffix.lower() not in FIGURE_FORMATS:
        raise UsageError(f"no format for {path.name}", where=where, expected=f"a name in {', '.join(FIGURE_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", where=where)


def _get_outline(symbol: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    if symbol == "square":
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if symbol == "diamond":
        return [(x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y)]
    return [(x, y - 1.2 * r), (x + 1.15 * r, y + r), (x - 1.15 * r, y + r)]


def _path_data(points: Any, close: bool = False) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if close else "")


def _element(shape: Shape) -> str:
    faint = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    fill = f'class="f{shape.colour}"{faint}'
    if shape.kind == "text":
        ((x, y),) = shape.at
        turn = f' transform="rotate({shape.turn:g} {x:.1f} {y:.1f})"' if shape.turn else ""
        bold = ' font-weight="600"' if shape.bold else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"'
        return f"<text {fill} {place}{bold}{turn}>{escape(shape.text)}</text>"
    if shape.kind == "cloud":
        # Lines of zero length with round ends look like dots: thousands of dots fit into one short path.
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in shape.at if np.isfinite(x + y))
        width = f'stroke-width="{2 * shape.size:g}" stroke-linecap="round"'
        return f'<path class="s{shape.colour}" {width} stroke-opacity="{shape.opacity:g}" d="{dots}"/>'
    if shape.kind == "line":
        dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
        drawn = f'path class="s{shape.colour}"{faint} stroke-width="{shape.size:g}"{dashes} d="{_path_data(shape.at)}"'
    elif shape.kind == "area":
        drawn = f'path {fill} d="{_path_data(shape.at, close=True)}"'
    elif shape.kind == "rect":
        (x, y), (w, h) = shape.at.min(0), np.ptp(shape.at, axis=0)
        drawn = f'rect {fill} x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
    elif shape.symbol == "circle":
        ((x, y),) = shape.at
        drawn = f'circle {fill} cx="{x:.1f}" cy="{y:.1f}" r="{shape.size:g}"'
    else:
        ((x, y),) = shape.at
        drawn = f'path {fill} d="{_path_data(_get_outline(shape.symbol, x, y, shape.size), close=True)}"'
    return f"<{drawn}><title>{escape(shape.text)}</title></{drawn.split()[0]}>" if shape.text else f"<{drawn}/>"


def _save_matplotlib(figure: Figure, path: Path) -> None:
    """Write a figure with matplotlib. A pixel becomes a point, so that texts and lines keep their sizes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Sheet

    colours = dict(zip(_NAMES, [*_LIGHT.values(), *_SERIES], strict=True))
    with mpl.rc_context({"font.family": "sans-serif"}):
        sheet = Sheet(figsize=(figure.width / 72, figure.height / 72), facecolor="white")
        axes = sheet.add_axes((0, 0, 1, 1), xlim=(0, figure.width), ylim=(figure.height, 0))
        axes.set_axis_off()
        for k, shape in enumerate(figure.shapes):
            _draw_shape(axes, shape, {"color": colours[shape.colour], "alpha": shape.opacity, "zorder": k})
        # No date: the same shapes give the same bytes.
        about: dict[str, Any] = {"Title": figure.title, **({"CreationDate": None} if path.suffix == ".pdf" else {})}
        sheet.savefig(path, metadata=about, dpi=150)


def _draw_shape(axes: Any, shape: Shape, look: Mapping[str, Any]) -> None:
    x, y = shape.at[:, 0], shape.at[:, 1]
    if shape.kind == "text":
        about = {
            "horizontalalignment": {"start": "left", "middle": "center", "end": "right"}[shape.anchor],
            "verticalalignment": "baseline",
            "rotation": -shape.turn,
            "rotation_mode": "anchor",
            "fontweight": "bold" if shape.bold else "normal",
            "fontsize": 0.88 * shape.size,  # letters of matplotlib are wider than a browser's
        }
        axes.text(x[0], y[0], shape.text, **about, **look)
    elif shape.kind == "line":
        axes.plot(x, y, linewidth=shape.size, linestyle=(0, (4, 3)) if shape.dashed else "-", **look)
    elif shape.kind == "area":
        axes.fill(x, y, linewidth=0, **look)
    elif shape.kind == "rect":
        axes.fill(x[[0, 1, 1, 0]], y[[0, 0, 1, 1]], linewidth=0, **look)
    else:
        marker = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^"}[shape.symbol]
        axes.scatter(x, y, s=(2 * shape.size) ** 2, marker=marker, linewidth=0, **look)


# Marks of a panel. A mark stores the range of its data, and computes its shapes once the axes are known.

Colour = int | str
NOWHERE = np.empty((0, 2))
Frame = Callable[[Any, Any], np.ndarray]
"""Function from data x (n,) and y (n,) to pixels (n, 2)."""


@dataclass(frozen=True)
class Mark:
    """A mark on a panel, such as a line.

    Args:
        x, y: values that the axes must cover; NaN is ignored.
        shapes: function that draws the mark once the scales of the axes are known.
        legend: text in the legend; `key`: shapes beside this text.
    """

    x: np.ndarray
    y: np.ndarray
    shapes: Callable[[Frame], list[Shape]]
    legend: str = ""
    key: tuple[Shape, ...] = ()


def _as_columns(*columns: Any) -> list[np.ndarray]:
    return [np.asarray(column, np.float64).reshape(-1) for column in columns]


def _split_at_nan(at: np.ndarray) -> list[np.ndarray]:
    """Split points (n, 2) at NaN; return the parts with at least two points."""
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
    """Draw a line, broken where `y` is NaN, with an optional band from `low` to `high`, and symbols at the points."""
    x, y = _as_columns(x, y)
    edges = _as_columns(low, high) if low is not None else []
    name = colour_name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        drawn = []
        if edges:
            down, up = (frame(x, np.where(np.isfinite(sum(edges)), edge, np.nan)) for edge in edges)
            for one, other in zip(_split_at_nan(down), _split_at_nan(up), strict=True):
                drawn.append(Shape("area", np.concatenate([other, one[::-1]]), name, opacity=0.18))
        drawn += [Shape("line", part, name, width, opacity, dashed) for part in _split_at_nan(frame(x, y))]
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
    """Draw a scatter plot with tooltips `tips`. Without tooltips, all circles are one path, which keeps files small."""
    x, y = _as_columns(x, y)
    name = colour_name(colour)

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
    """Draw points with whiskers from `low` to `high`: vertical at x = `at`, or horizontal at y = `at` if `across`."""
    at, mean, low, high = _as_columns(at, mean, low, high)
    name = colour_name(colour)
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
    """Draw error bars of scores with their intervals; `look` are options of `error_bars`."""
    return error_bars(at, *([getattr(score, end) for score in scores] for end in ("mean", "low", "high")), **look)


def bars(
    at: Any, value: Any, base: Any = 0.0, *, across: bool = False, colour: Colour = 0, label: str = "",
    width: Any = 0.72, opacity: float = 1.0,
) -> Mark:  # fmt: skip
    """Draw bars from `base` to `value`: vertical at x = `at`, or horizontal at y = `at` if `across`. `width`: one for
    all bars, or one for each (n,)."""
    at, value = _as_columns(at, value)
    base = np.broadcast_to(np.asarray(base, np.float64), value.shape)
    name = colour_name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        one, other = at - width / 2, at + width / 2
        first, last = (frame(base, one), frame(value, other)) if across else (frame(one, base), frame(other, value))
        corners = np.stack([first, last], 1)
        return [Shape("rect", c, name, opacity=opacity) for c in corners if np.isfinite(c).all()]

    sides, span = np.concatenate([at - width / 2, at + width / 2]), np.concatenate([value, base])
    x, y = (span, sides) if across else (sides, span)
    return Mark(x, y, shapes, label, (Shape("rect", NOWHERE, name, opacity=opacity),))


def heat(values: Any, texts: Sequence[Sequence[str]] = (), *, colour: Colour = 0, top: float | None = None) -> Mark:
    """Draw a cell for each of the `values` (rows, columns), with a stronger colour for a larger value and `texts` on
    the cells. Row 0 is at y = 0. The value `top`, by default the largest one, has the full colour."""
    table = np.asarray(values, np.float64)
    rows, columns = table.shape
    largest = top if top is not None else (np.nanmax(table) if np.isfinite(table).any() else 1.0)
    proportion, name = np.clip(np.nan_to_num(table / (largest or 1.0)), 0, 1), colour_name(colour)

    def shapes(frame: Frame) -> list[Shape]:
        drawn = []
        for i in range(rows):
            for k in range(columns):
                cell = frame([k - 0.48, k + 0.48], [i - 0.48, i + 0.48])
                drawn.append(Shape("rect", cell, name, opacity=round(0.05 + 0.5 * float(proportion[i, k]), 3)))
                if texts:  # readable in light and dark mode, since no cell has more than about half of its colour
                    drawn.append(Shape("text", cell.mean(0)[None] + [0, 4], "ink", 12, text=texts[i][k]))
        return drawn

    return Mark(np.array([-0.5, columns - 0.5]), np.array([-0.5, rows - 0.5]), shapes)


def rule(*, x: float = math.nan, y: float = math.nan, label: str = "", colour: Colour = "muted") -> Mark:
    """Draw a dashed line across the whole panel: vertical at `x` or horizontal at `y`."""

    def shapes(frame: Frame) -> list[Shape]:
        ends = frame([-np.inf, np.inf], [y, y]) if math.isnan(x) else frame([x, x], [-np.inf, np.inf])
        return [Shape("line", ends, colour_name(colour), 1.2, dashed=True)]

    key = Shape("line", NOWHERE, colour_name(colour), 1.2, dashed=True)
    return Mark(np.array([x]), np.array([y]), shapes, label, (key,))


# Axes with ticks, titles and legends, and the arrangement of panels.

SMALL, TITLE = 11.0, 13.0
_LETTER = 0.56
"""Assumed mean width of a letter, relative to its height."""
_MARGIN = 16.0
"""Margin right of a plot, in pixels, for half of the last number on its axis."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, by default the range of the data. An axis of categories has `names` at 0, 1, ..; on
    a y-axis, the first name is at the top."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    names: Sequence[str] = ()
    ticks: bool = True


@dataclass(frozen=True)
class Panel:
    """Marks on two axes. `height` is the height of the plot inside the axes, in pixels."""

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
    """Return a figure with panels arranged in rows.

    Args:
        about: description for readers who cannot see the figure.
        columns: number of panels in a row; `width`: width of a row in pixels.
        heading: whether to write the title above the panels.
    """
    shapes: list[Shape] = []
    top, step = 4.0, width / columns
    if heading:
        shapes.append(_text(4, 18, title, size=15, anchor="start", bold=True))
        top = 30.0
    lefts = [max(map(_left, panels[k::columns])) for k in range(min(columns, len(panels)))]  # aligns plots in a column
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        plot, bottom = top + max(_head_height(panel, step) for panel in row), top
        for k, panel in enumerate(row):
            drawn, end = _draw(panel, k * step, top, step - _MARGIN, k * step + lefts[k], plot)
            shapes += drawn
            bottom = max(bottom, end)
        top = bottom + 10
    return Figure(title, about, width, math.ceil(top), shapes)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high` at equal steps, with at most `most` steps."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _format_numbers(places: Sequence[float]) -> list[str]:
    """Format numbers with the fewest decimals that show all of them exactly."""
    decimals = next((d for d in range(7) if all(abs(round(p, d) - p) < 1e-9 for p in places)), 7)
    return [f"{place:.{decimals}f}" for place in places]


def _text(x: float, y: float, text: str, *, size: float = SMALL, colour: str = "ink", **about: Any) -> Shape:
    return Shape("text", np.array([[x, y]], float), colour, size, text=text, **about)


def _text_width(text: str, size: float = SMALL) -> float:
    return _LETTER * size * len(text)


def _get_range(axis: Axis, spans: Sequence[np.ndarray]) -> tuple[float, float]:
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    values = np.concatenate([*spans, np.empty(0)])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    pad = 0.04 * (high - low) or 0.5
    low = low - pad if axis.low is None else axis.low
    high = high + pad if axis.high is None else axis.high
    return float(low), float(high if high > low else low + 1)


def _get_ticks(axis: Axis, domain: tuple[float, float], most: int) -> tuple[list[float], list[str]]:
    if axis.names:
        return list(range(len(axis.names))), list(axis.names)
    found = ticks(*domain, most) if axis.ticks else []
    return found, _format_numbers(found)


def _arrange_legend(panel: Panel, width: float) -> list[list[tuple[Mark, float]]]:
    """Return the lines of a legend of at most `width` pixels: (mark, x position in pixels) of each entry."""
    lines: list[list[tuple[Mark, float]]] = []
    at = width
    for mark in panel.marks:
        if mark.legend:
            wide = 26 + _text_width(mark.legend) + 10
            if at + wide > width:
                lines.append([])
                at = 0.0
            lines[-1].append((mark, at))
            at += wide
    return lines


def _head_height(panel: Panel, width: float) -> float:
    """Return the height of a panel's title and legend, in pixels."""
    return (20 if panel.title else 6) + 17 * len(_arrange_legend(panel, width - _MARGIN)) + 4


def _left(panel: Panel) -> float:
    """Return the width of the texts left of a plot, in pixels."""
    _, names = _get_ticks(panel.y, _get_range(panel.y, [m.y for m in panel.marks]), 5)
    return (20 if panel.y.label else 4) + max([_text_width(name) for name in names], default=0) + 8


def _draw(panel: Panel, x0: float, top: float, width: float, left: float, plot: float) -> tuple[list[Shape], float]:
    """Return the shapes of a panel, and the y position of its lower end, in pixels.

    Args:
        x0, top, width: upper left corner and width of the panel.
        left, plot: upper left corner of the plot inside the axes.
    """
    right, bottom = x0 + width, plot + panel.height
    across = _get_range(panel.x, [m.x for m in panel.marks])
    up = _get_range(panel.y, [m.y for m in panel.marks])
    if panel.y.names:
        up = up[::-1]
    frame = _make_frame(across, up, (left, right), (bottom, plot))
    shapes = [_text(x0 + 4, top + 14, panel.title, size=TITLE, anchor="start", bold=True)] if panel.title else []
    for k, entries in enumerate(_arrange_legend(panel, width)):
        for mark, at in entries:
            shapes += _draw_key(mark, x0 + 4 + at, top + (20 if panel.title else 6) + 17 * k)
    axes, end = _draw_axes(panel, frame, across, up, x0)
    shapes += axes
    for mark in panel.marks:
        shapes += mark.shapes(frame)
    return shapes, end


def _make_frame(
    across: tuple[float, float], up: tuple[float, float], columns: tuple[float, float], rows: tuple[float, float]
) -> Frame:
    """Return the function from data to pixels, for ranges of data (`across`, `up`) and of pixels (`columns`,
    `rows`)."""

    def frame(x: object, y: object) -> np.ndarray:
        points = np.stack(np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64)), -1)
        start, stop = np.array([across[0], up[0]]), np.array([across[1], up[1]])
        low, high = np.minimum(start, stop), np.maximum(start, stop)
        # Points outside the axes are drawn on the edge.
        ratio = (np.clip(points, low, high) - start) / (stop - start)
        origin, end = np.array([columns[0], rows[0]]), np.array([columns[1], rows[1]])
        return origin + ratio * (end - origin)

    return frame


def _draw_key(mark: Mark, x: float, y: float) -> list[Shape]:
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


def _draw_axes(
    panel: Panel, frame: Frame, across: tuple[float, float], up: tuple[float, float], x0: float
) -> tuple[list[Shape], float]:
    """Return the shapes of both axes, and the y position of the lower end of their texts, in pixels."""
    (left, plot), (right, bottom) = frame(across[0], up[1]), frame(across[1], up[0])
    shapes = [Shape("line", np.array([[left, bottom], [right, bottom]]), "muted")]
    places, names = _get_ticks(panel.y, up if not panel.y.names else (0, 1), max(3, int(panel.height // 40)))
    for place, name in zip(places, names, strict=True):
        y = frame(across[0], place)[1]
        if not panel.y.names:
            shapes.insert(0, Shape("line", np.array([[left, y], [right, y]]), "grid"))
        shapes.append(_text(left - 6, y + 4, name, colour="muted", anchor="end"))
    if panel.y.label:
        shapes.append(_text(x0 + 13, (plot + bottom) / 2, panel.y.label, colour="muted", turn=-90))
    places, names = _get_ticks(panel.x, across, max(2, int((right - left) // 60)))
    room = (right - left) / max(1, len(names))
    turned = bool(panel.x.names) and max(map(_text_width, names)) + 4 > room
    for place, name in zip(places, names, strict=True):
        x = frame(place, up[0])[0]
        if not panel.x.names:
            shapes.insert(0, Shape("line", np.array([[x, plot], [x, bottom]]), "grid"))
        about: dict[str, Any] = {"turn": -40.0, "anchor": "end"} if turned else {}
        shapes.append(_text(x + (4 if turned else 0), bottom + 15, name, colour="muted", **about))
    end = bottom + (0.7 * max(map(_text_width, names)) + 16 if turned else 20 if names else 6)
    if panel.x.label:
        shapes.append(_text((left + right) / 2, end + 11, panel.x.label, colour="muted"))
        end += 17
    return shapes, end


# The labels of a dataset as a figure: one panel for each target, one bar for each subject.


def draw_labels(title: str, targets: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the labels of each subject, from the descriptions of targets by `embench.data.describe.describe_labels`."""
    panels = [_draw_target(target) for target in targets if target.get("per_person")]
    return figure(panels, f"{title}: labels of each subject", width=640, heading=True)


def _draw_target(target: Mapping[str, Any]) -> Panel:
    rows = target["per_person"]
    at = np.arange(len(rows))
    marks: list[Mark]
    if "values" in target:
        mean, sd = (np.array([row["values"][key] for row in rows]) for key in ("mean", "sd"))
        marks = [error_bars(at, mean, mean - sd, mean + sd, across=True)]
        x = Axis(f"{target['label']}, mean and SD of units")
    else:
        marks, x, done = [], Axis("proportion of units", 0, 1), np.zeros(len(rows))
        for k, about in enumerate(target["classes"]):
            share = np.array([row["classes"][k]["share"] for row in rows])
            marks.append(bars(at, done + share, done, across=True, colour=k, label=about["name"]))
            done = done + share
    return Panel(target["target"], marks, x, Axis("subject", names=[row["subject"] for row in rows]), 15.0 * len(rows))
