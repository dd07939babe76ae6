"""Pages from templates: their shared parts, links, and data for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from embench.report.latex.bibliography import templates_of
from embench.site import number_style
from embench.site.addresses import addresses
from embench.statistics.metrics import metric_facts

_NOTICE: ContextVar[str] = ContextVar("notice", default="")


@contextmanager
def private_pages(notice: str) -> Iterator[None]:
    """Inside, pages are those of unpublished runs, and each begins with this notice."""
    token = _NOTICE.set(notice)
    try:
        yield
    finally:
        _NOTICE.reset(token)


def notice() -> str:
    """Return the notice of the pages that are written; empty where they are of published entries."""
    return _NOTICE.get()


def render(template: str, depth: int, **values: Any) -> str:
    """A page that lies `depth` folders below the site's first page."""
    shared = {"root": "../" * depth, "addresses": addresses(), "notice": notice()}
    return _TEMPLATES.get_template(template).render(**shared, **values)


def write_page(path: Path, text: str) -> None:
    """Writes a text file, and the folders above it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def link(*parts: str) -> str:
    """A relative address of these names of folders and files, each of which may hold any character."""
    return "/".join(quote(part, safe="") for part in parts)


def script_json(value: Any) -> Markup:
    """`value` as JSON inside a script element, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704  nothing is left in it that HTML could read


_TEMPLATES = templates_of("embench.site", html=True)
_TEMPLATES.filters |= {
    "figure": number_style.styled_figure,
    "interval": number_style.styled_interval,
    "score": number_style.styled_score,
    "styled": number_style.in_one_style,
    "script_json": script_json,
}
_TEMPLATES.globals |= {"link": link, "metric_facts": metric_facts}
