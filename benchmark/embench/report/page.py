"""HTML: sections, tables, pictures with the table behind them: all in one file, without a script.

The HTML itself lies in `templates/`. What comes from a run is escaped there; what these functions return is `Markup`,
which is not escaped again.
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
from embench.records.wording import format_figure, join_with_and
from embench.report.drawing import STYLE, Figure
from embench.report.facts import NO_LABELS, RunFacts

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
class SectionBody:
    """The content of a section, and what it can't show: a target or a part of it -> the reason."""

    shown: Markup
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of the page; `short` is the text of links to it. A `body` that is undefined is not shown."""

    short: str
    title: str
    body: Markup | SectionBody | Undefined

    @property
    def id(self) -> str:
        """Target of links within the page."""
        return self.short.lower().replace(" ", "-")

    @property
    def shown(self) -> Markup:
        """The text, empty where there is none."""
        if isinstance(self.body, Undefined):
            return Markup()
        return self.body.shown if isinstance(self.body, SectionBody) else self.body

    @property
    def missing(self) -> dict[str, str]:
        """The parts that can't be shown, in words -> the reason."""
        name = self.title[:1].lower() + self.title[1:] if self.title[1:2].islower() else self.title
        if isinstance(self.body, Undefined):
            return {name: self.body.reason}
        missing = self.body.missing if isinstance(self.body, SectionBody) else {}
        return {f"{name}: {part}": reason for part, reason in missing.items()}


def render_macro(name: str, *values: Any, of_template: str = "parts") -> Markup:
    """The macro `name` of `templates/parts.html`, or of another template, called with `values`."""
    markup: Markup = getattr(_TEMPLATES.get_template(f"{of_template}.html").module, name)(*values)
    return markup


def join_parts(parts: Iterable[Markup]) -> Markup:
    """Parts one after the other."""
    return Markup("").join(parts)


def by_target(
    run: RunFacts, part: Callable[[RunFacts, Target], Markup | Undefined], *before: Markup, narrow: bool = False
) -> SectionBody | Undefined:
    """A section's part for each target, below its name where a run has several; `before` stands above them. Parts that
    are `narrow` stand side by side."""
    return join_named({target.name: part(run, target) for target in run.targets}, *before, narrow=narrow)


def by_labelled_target(
    run: RunFacts, part: Callable[[RunFacts, Target], Markup | Undefined], *, narrow: bool = False
) -> SectionBody | Undefined:
    """Sections by target, of a record that holds labels."""
    return by_target(run, part, narrow=narrow) if run.record.labels is not None else NO_LABELS


def join_named(
    parts_by_name: Mapping[str, Markup | Undefined], *before: Markup, narrow: bool = False
) -> SectionBody | Undefined:
    """The parts of a section, each below its name where there are several, see `by_target`."""
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
    """Adds a full stop and a capital, which a name such as `auroc_within` does not get."""
    first = text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]
    return first if first.endswith(".") else f"{first}."


def paragraph(text: str) -> Markup:
    """A paragraph."""
    return render_macro("text", text)


def with_reasons(reasons: Mapping[str, str]) -> str:
    """Parts that are not there with their reasons, as text: each reason in parentheses, once.

    >>> with_reasons({"map": "too few units", "training": "no history", "probes": "too few units"})
    'map and probes (too few units); training (no history)'
    """
    named: dict[str, list[str]] = {}
    for what, reason in reasons.items():
        named.setdefault(reason, []).append(what)
    return "; ".join(f"{join_with_and(what)} ({reason})" for reason, what in named.items())


def format_cell(value: Any) -> str:
    """A cell: three decimals, thousands apart, a dash where there is nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_figure(value, ",")
    return format_figure(value) if value is None or isinstance(value, float) else str(value)


def html_table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> Markup:
    """An HTML table whose first column names the row."""
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


def figure_row(figures: Sequence[Markup]) -> Markup:
    """Figures side by side."""
    return render_macro("pictures", figures)


def fact_list(pairs: Sequence[tuple[str, str]]) -> Markup:
    """A list of names and values."""
    return render_macro("facts", pairs)


def render_page(title: str, header: Markup, sections: Sequence[Section], footer: str, style: str = "") -> str:
    """The whole file; sections without a text are named in one line at its end. `style` names a stylesheet in
    `templates/` that is added."""
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        header=header,
        sections=[section for section in sections if section.shown],
        not_shown=with_reasons({what: why for section in sections for what, why in section.missing.items()}),
        footer=footer,
        style=f"{style}.css" if style else "",
        drawing_style=Markup(STYLE),  # noqa: S704  a constant
    )
