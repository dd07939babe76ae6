"""Numbers on pages, in one style: a minus sign before them where they are negative, and a digit before the point."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from embench.records.scores import Score
from embench.records.wording import format_figure, format_interval, format_score

_NUMBER = re.compile(r"(?<![\w.\N{EN DASH}/-])(-|\N{MINUS SIGN})?(\.?)(?=\d)")
_TEXT = re.compile(r">[^<]*(?=<)")


def in_one_style(text: str) -> str:
    """The text with its numbers in the style of the site; names, dates and ranges stay as they are.

    >>> in_one_style("2 [.02, .5], 2026-11-22, ranks 1-23, subject-independent-v3")
    '2 [0.02, 0.5], 2026-11-22, ranks 1-23, subject-independent-v3'
    >>> in_one_style("not shown -.03") == "not shown \N{MINUS SIGN}0.03"
    True
    """
    return _NUMBER.sub(lambda found: ("\N{MINUS SIGN}" if found[1] else "") + (found[2] and "0."), text)


def style_texts(html: Markup) -> Markup:
    """HTML with numbers in the one style in the texts between its tags, where no program stands."""
    return Markup(_TEXT.sub(lambda found: in_one_style(found[0]), html))  # noqa: S704  it was HTML before


def styled_figure(value: float | None, spec: str = ".3f") -> str:
    """A number; a dash where there is none."""
    return in_one_style(format_figure(value, spec, missing="—"))


def styled_interval(score: Any, template: str = "[{}, {}]", spec: str = ".3f") -> str:
    """The interval of a score, empty where it has none."""
    return in_one_style(format_interval(score, template, spec))


def styled_score(value: Score | None) -> str:
    """A score with its interval, as tables show it."""
    return in_one_style(format_score(value, missing="—"))
