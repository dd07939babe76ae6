"""HTML of reports: sections, tables, and figures with their tables, in one file without scripts.

Templates in `templates/` escape all texts. These functions return `Markup`, which is not escaped again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.wording import format_figure, grouped, join_with_and
from embench.report.drawing import STYLE, Figure
from embench.report.facts import NO_LABELS, RunFacts

_TEMPLATES = Environment(loader=PackageLoader("embench.report"), autoescape=True, undefined=StrictUndefined)
_TEMPLATES.keep_trailing_newline = True

_CODE = re.compile(r"`([^`]+)`")


def _code_spans(text: str) -> Markup:
    """Escape a text, and mark the parts in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


_TEMPLATES.filters["code"] = _code_spans

LONG_CELL = 30
"""Number of characters above which a table cell gets a wider column on a narrow screen."""


@dataclass(frozen=True)
class SectionBody:
    """The content of a section; `missing`: name of a target or part that cannot be shown -> the reason."""

    markup: Markup
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A section of the page; `short` is the text of links to it. A section with an undefined `body` is not shown."""

    short: str
    title: str
    body: Markup | SectionBody | Undefined

    @property
    def id(self) -> str:
        """The anchor of the section in links within the page."""
        return self.short.lower().replace(" ", "-")

    @property
    def markup(self) -> Markup:
        """The content; empty if it is undefined."""
        if isinstance(self.body, Undefined):
            return Markup()
        return self.body.markup if isinstance(self.body, SectionBody) else self.body

    @property
    def missing(self) -> dict[str, str]:
        """The section or a part of it that cannot be shown, in words -> the reason."""
        name = self.title[:1].lower() + self.title[1:] if self.title[1:2].islower() else self.title
        if isinstance(self.body, Undefined):
            return {name: self.body.reason}
        missing = self.body.missing if isinstance(self.body, SectionBody) else {}
        return {f"{name}: {part}": reason for part, reason in missing.items()}


def render_macro(name: str, *values: Any, of_template: str = "parts") -> Markup:
    """Render the macro `name` of a template, `templates/parts.html` by default, with `values` as its arguments."""
    markup: Markup = getattr(_TEMPLATES.get_template(f"{of_template}.html").module, name)(*values)
    return markup


def join_parts(parts: Iterable[Markup]) -> Markup:
    """Join parts one after the other."""
    return Markup("").join(parts)


def by_target(
    run: RunFacts, part: Callable[[RunFacts, Target], Markup | Undefined], *before: Markup, narrow: bool = False
) -> SectionBody | Undefined:
    """Return the body of a section with a part for each target.

    Args:
        part: function from the run and a target to the part, or to the reason why there is none.
        before: content above the parts.
        narrow: whether parts are narrow enough to be placed side by side.
    """
    return join_named({target.name: part(run, target) for target in run.targets}, *before, narrow=narrow)


def by_labelled_target(
    run: RunFacts, part: Callable[[RunFacts, Target], Markup | Undefined], *, narrow: bool = False
) -> SectionBody | Undefined:
    """Return `by_target` for parts that need labels; undefined if the record has no labels."""
    return by_target(run, part, narrow=narrow) if run.record.labels is not None else NO_LABELS


def join_named(
    parts_by_name: Mapping[str, Markup | Undefined], *before: Markup, narrow: bool = False
) -> SectionBody | Undefined:
    """Return the body of a section with parts by name; several parts get their names as headings. See `by_target`."""
    missing = {name: one.reason for name, one in parts_by_name.items() if isinstance(one, Undefined)}
    if len(missing) == len(parts_by_name) and len(set(missing.values())) == 1:
        return Undefined(next(iter(missing.values())))
    named = len(parts_by_name) > 1
    parts = [
        (render_macro("heading", name) if named else Markup()) + one
        for name, one in parts_by_name.items()
        if one and not isinstance(one, Undefined)
    ]
    if narrow and len(parts) > 1:
        parts = [render_macro("columns", parts)]
    return SectionBody(join_parts([*before, *parts] if parts else []), missing)


def as_sentence(text: str) -> str:
    """Return a text with a capital letter, except in names such as `auroc_within`, and a full stop."""
    first = text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]
    return first if first.endswith(".") else f"{first}."


def paragraph(text: str) -> Markup:
    """Return a text as an HTML paragraph."""
    return render_macro("text", text)


def with_reasons(reasons: Mapping[str, str]) -> str:
    """List missing parts with their reasons in parentheses, each reason once.

    >>> with_reasons({"map": "too few units", "training": "no history", "probes": "too few units"})
    'map and probes (too few units); training (no history)'
    """
    named = grouped((reason, part) for part, reason in reasons.items())
    return "; ".join(f"{join_with_and(parts)} ({reason})" for reason, parts in named.items())


def format_cell(value: Any) -> str:
    """Format the value of a table cell: fractions with three decimals, integers with thousands separators."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_figure(value, ",")
    return format_figure(value) if value is None or isinstance(value, float) else str(value)


def html_table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> Markup:
    """Return an HTML table whose first column has the names of the rows."""
    cells = []
    for first, *others in rows:
        name = format_cell(first) if isinstance(first, float) else str(first)
        cells.append((name, [(_get_class(cell), format_cell(cell)) for cell in others]))
    return render_macro("table", head, cells, caption)


def _get_class(cell: Any) -> str:
    """Return the CSS class of a cell: `n` for a number, `long` for a long text, else empty."""
    counted = isinstance(cell, int | float) and not isinstance(cell, bool)
    return "n" if counted else "long" if len(str(cell)) > LONG_CELL else ""


def figure_with_table(
    figure: Figure, head: Sequence[str], rows: Sequence[Sequence[Any]], note: str, *, wide: bool = False
) -> Markup:
    """Return a figure with a note and a table of its numbers (`head`, `rows`)."""
    drawn = Markup(figure.svg(alone=False))  # noqa: S704  drawing escapes its own texts
    return render_macro("picture", drawn, figure.title, html_table(head, rows, figure.title), note, wide)


def figure_row(figures: Sequence[Markup]) -> Markup:
    """Place figures side by side."""
    return render_macro("pictures", figures)


def fact_list(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Return an HTML list of (name, value) pairs."""
    return render_macro("facts", pairs)


def render_page(title: str, header: Markup, sections: Sequence[Section], footer: str, style: str = "") -> str:
    """Render a whole HTML file; sections without content are named in one line at its end.

    Args:
        style: name of an additional stylesheet in `templates/`.
    """
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        header=header,
        sections=[section for section in sections if section.markup],
        not_shown=with_reasons({what: why for section in sections for what, why in section.missing.items()}),
        footer=footer,
        style=f"{style}.css" if style else "",
        drawing_style=Markup(STYLE),  # noqa: S704  a constant
    )
