"""Primitives of a drawing: lines, areas, rectangles, dots and words, in pixels, with colours by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from embench.errors import UsageError

FIGURE_FORMATS = (".svg", ".png", ".pdf")
_LIGHT = {"ink": "#1c2330", "muted": "#5a6473", "grid": "#e2e6ec", "paper": "#ffffff"}
_DARK = {"ink": "#e8ecf2", "muted": "#a3adba", "grid": "#303844", "paper": "#151a21"}
# Okabe and Ito's colours, which readers with any kind of colour vision can tell apart; yellow is too pale on white.
_SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07D00", "#56B4E9", "#7A6FD0")
_SERIES_DARK = ("#56B4E9", "#F28C4B", "#2FC497", "#E39AC2", "#E6B422", "#8CC9EE", "#A79DF2")
_NAMES = (*_LIGHT, *map(str, range(len(_SERIES))))
SYMBOLS = ("circle", "square", "diamond", "triangle")
Anchor = Literal["start", "middle", "end"]


def _variables(colours: Sequence[str]) -> str:
    return "".join(f"--d-{name}:{colour};" for name, colour in zip(_NAMES, colours, strict=True))


STYLE = (
    f":root{{{_variables([*_LIGHT.values(), *_SERIES])}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables([*_DARK.values(), *_SERIES_DARK])}}}}}"
    ".drawing{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    + "".join(f".drawing .f{n}{{fill:var(--d-{n})}}.drawing .s{n}{{stroke:var(--d-{n});fill:none}}" for n in _NAMES)
)
"""Styles of the classes in an SVG: a page with several figures holds them once (`svg(alone=False)`)."""


@dataclass(frozen=True)
class Shape:
    """A primitive at `at`, (n, 2) pixels from the top left corner; of a rectangle two corners."""

    kind: Literal["line", "area", "rect", "dot", "cloud", "text"]
    at: np.ndarray
    colour: str
    size: float = 1.0
    """Width of a line, radius of a dot, height of a text."""
    opacity: float = 1.0
    dashed: bool = False
    symbol: str = "circle"
    text: str = ""
    """The words of a text; of anything else its tooltip."""
    anchor: Anchor = "middle"
    turn: float = 0.0
    """Degrees, clockwise."""
    bold: bool = False


def colour_name(colour: int | str) -> str:
    """The name of a colour: of a series by its number, which wraps around, else as it is."""
    return str(colour % len(_SERIES)) if isinstance(colour, int) else colour


@dataclass(frozen=True)
class Figure:
    """A finished drawing, with a description for readers who cannot see it."""

    title: str
    about: str
    width: float
    height: float
    shapes: Sequence[Shape]

    def svg(self, *, alone: bool = True) -> str:
        """An SVG element. `alone`: with its style and background; else the page around it holds `STYLE`."""
        text = f"{self.title}. {self.about}" if self.about else self.title
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" aria-label={quoteattr(text)} '
            f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}">'
            f"<title>{escape(self.title)}</title>"
        )
        about = f"<desc>{escape(self.about)}</desc>" if self.about else ""
        style = f'<style>{STYLE}</style><rect class="fpaper" width="100%" height="100%"/>' if alone else ""
        return "\n".join([head + about + style, *map(_svg, self.shapes), "</svg>"])

    def save(self, path: Path) -> None:
        """Writes .svg; .png and .pdf in the light colours. The same shapes give the same bytes."""
        path = Path(path)
        if path.suffix.lower() == ".svg":
            path.write_text(self.svg() + "\n", encoding="utf-8", newline="\n")
        else:
            _print(self, path)


def check_path(path: Path, where: str) -> None:
    """Raises UsageError where no figure can be written to `path`; `where` is the option that named it."""
    if path.suffix.lower() not in FIGURE_FORMATS:
        raise UsageError(f"no format for {path.name}", where=where, expected=f"a name in {', '.join(FIGURE_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", where=where)


def _outline(symbol: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    if symbol == "square":
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if symbol == "diamond":
        return [(x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y)]
    return [(x, y - 1.2 * r), (x + 1.15 * r, y + r), (x - 1.15 * r, y + r)]


def _path(points: Any, close: bool = False) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if close else "")


def _svg(shape: Shape) -> str:
    faint = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    fill = f'class="f{shape.colour}"{faint}'
    if shape.kind == "text":
        ((x, y),) = shape.at
        turn = f' transform="rotate({shape.turn:g} {x:.1f} {y:.1f})"' if shape.turn else ""
        bold = ' font-weight="600"' if shape.bold else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"'
        return f"<text {fill} {place}{bold}{turn}>{escape(shape.text)}</text>"
    if shape.kind == "cloud":
        # A line of no length with round ends is a dot: thousands of them are one short path.
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in shape.at if np.isfinite(x + y))
        width = f'stroke-width="{2 * shape.size:g}" stroke-linecap="round"'
        return f'<path class="s{shape.colour}" {width} stroke-opacity="{shape.opacity:g}" d="{dots}"/>'
    if shape.kind == "line":
        dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
        drawn = f'path class="s{shape.colour}"{faint} stroke-width="{shape.size:g}"{dashes} d="{_path(shape.at)}"'
    elif shape.kind == "area":
        drawn = f'path {fill} d="{_path(shape.at, close=True)}"'
    elif shape.kind == "rect":
        (x, y), (w, h) = shape.at.min(0), np.ptp(shape.at, axis=0)
        drawn = f'rect {fill} x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
    elif shape.symbol == "circle":
        ((x, y),) = shape.at
        drawn = f'circle {fill} cx="{x:.1f}" cy="{y:.1f}" r="{shape.size:g}"'
    else:
        ((x, y),) = shape.at
        drawn = f'path {fill} d="{_path(_outline(shape.symbol, x, y, shape.size), close=True)}"'
    return f"<{drawn}><title>{escape(shape.text)}</title></{drawn.split()[0]}>" if shape.text else f"<{drawn}/>"


def _print(figure: Figure, path: Path) -> None:
    """Writes a figure with matplotlib. A pixel is a point, so that letters and lines keep their sizes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Sheet

    colours = dict(zip(_NAMES, [*_LIGHT.values(), *_SERIES], strict=True))
    with mpl.rc_context({"font.family": "sans-serif"}):
        sheet = Sheet(figsize=(figure.width / 72, figure.height / 72), facecolor="white")
        axes = sheet.add_axes((0, 0, 1, 1), xlim=(0, figure.width), ylim=(figure.height, 0))
        axes.set_axis_off()
        for k, shape in enumerate(figure.shapes):
            _put(axes, shape, {"color": colours[shape.colour], "alpha": shape.opacity, "zorder": k})
        # No date: the same shapes give the same bytes.
        about: dict[str, Any] = {"Title": figure.title, **({"CreationDate": None} if path.suffix == ".pdf" else {})}
        sheet.savefig(path, metadata=about, dpi=150)


def _put(axes: Any, shape: Shape, look: Mapping[str, Any]) -> None:
    x, y = shape.at[:, 0], shape.at[:, 1]
    if shape.kind == "text":
        about = {
            "horizontalalignment": {"start": "left", "middle": "center", "end": "right"}[shape.anchor],
            "verticalalignment": "baseline",
            "rotation": -shape.turn,
            "rotation_mode": "anchor",
            "fontweight": "bold" if shape.bold else "normal",
            "fontsize": 0.88 * shape.size,  # its letters are wider than a browser's
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
