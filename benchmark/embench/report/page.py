"""HTML: sections, tables, pictures with the table behind them: all in one file, without a script.

The HTML itself lies in `templates/`. What comes from a run is escaped there; what these functions return is `Markup`,
which is not escaped again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from embench.interfaces.units import Target
from embench.records.wording import format_figure
from embench.report.drawing import STYLE, Figure
from embench.report.facts import RunFacts

_TEMPLATES = Environment(loader=PackageLoader("embench.report"), autoescape=True, undefined=StrictUndefined)
_TEMPLATES.keep_trailing_newline = True

_CODE = re.compile(r"`([^`]+)`")


def _code_spans(text: str) -> Markup:
    """The text, escaped, with what stands in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


_TEMPLATES.filters["code"] = _code_spans

LONG_CELL = 30
"""Letters of a cell that is given room on a narrow screen."""


@dataclass(frozen=True)
class Section:
    """A part of the page; `short` is the text of links to it."""

    short: str
    title: str
    body: Markup

    @property
    def id(self) -> str:
        """What links within the page point to."""
        return self.short.lower().replace(" ", "-")


def render_macro(name: str, *values: Any) -> Markup:
    """The macro `name` of `templates/parts.html`, called with `values`."""
    made: Markup = getattr(_TEMPLATES.get_template("parts.html").module, name)(*values)
    return made


def join_parts(parts: Iterable[Markup]) -> Markup:
    """Parts one after the other."""
    return Markup("").join(parts)


def by_target(run: RunFacts, part: Callable[[RunFacts, Target], Markup]) -> Markup:
    """A section's part for each target, below its name where a run has several."""
    named = len(run.targets) > 1
    return join_parts(
        (render_macro("heading", target.name) if named else Markup()) + part(run, target) for target in run.targets
    )


def paragraph(text: str) -> Markup:
    """A paragraph."""
    return render_macro("text", text)


def missing_note(reason: str) -> Markup:
    """The note in place of what cannot be shown."""
    return render_macro("missing", reason)


def format_cell(value: Any) -> str:
    """A cell: three decimals, thousands apart, a dash where there is nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_figure(value, ",")
    return format_figure(value) if value is None or isinstance(value, float) else str(value)


def html_table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> Markup:
    """The first column names the row."""
    cells = [
        (
            format_cell(first) if isinstance(first, float) else str(first),
            [(_kind(cell), format_cell(cell)) for cell in others],
        )
        for first, *others in rows
    ]
    return render_macro("table", head, cells, caption)


def _kind(cell: Any) -> str:
    """The class of a cell: a number, a long text, or nothing."""
    counted = isinstance(cell, int | float) and not isinstance(cell, bool)
    return "n" if counted else "long" if len(str(cell)) > LONG_CELL else ""


def figure_with_table(
    figure: Figure, head: Sequence[str], rows: Sequence[Sequence[Any]], note: str, *, wide: bool = False
) -> Markup:
    """A drawing, its note, and a table of its numbers."""
    drawn = Markup(figure.svg(alone=False))  # noqa: S704  drawing escapes its own texts
    return render_macro("picture", drawn, figure.title, html_table(head, rows, figure.title), note, wide)


def figure_row(made: Sequence[Markup]) -> Markup:
    """Figures side by side."""
    return render_macro("pictures", made)


def fact_list(pairs: Sequence[tuple[str, str]]) -> Markup:
    """A list of names and values."""
    return render_macro("facts", pairs)


def render_page(title: str, header: Markup, sections: Sequence[Section], footer: str) -> str:
    """The whole file."""
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        header=header,
        sections=sections,
        footer=footer,
        drawing_style=Markup(STYLE),  # noqa: S704  a constant
    )
