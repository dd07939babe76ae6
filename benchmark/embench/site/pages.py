"""Pages from templates: their shared parts, links, and data for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from embench.report.text import templates_of
from embench.site import number_style
from embench.site.addresses import addresses
from embench.statistics.metrics import metric_facts


def render(template: str, depth: int, **values: Any) -> str:
    """A page that lies `depth` folders below the site's first page."""
    return _TEMPLATES.get_template(template).render(root="../" * depth, addresses=addresses(), **values)


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
