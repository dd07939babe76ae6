"""Rendering of pages from templates: shared parts, links, format of numbers, and notes on leaderboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

import embench
from embench.errors import DataError
from embench.files import read_text
from embench.records.scores import Score
from embench.records.wording import format_figure, format_interval, format_score
from embench.report.latex.bibliography import load_templates
from embench.statistics import metric_facts

# Addresses of the project, from the metadata of the installed package (`[project.urls]`).


@cache
def addresses() -> dict[str, str]:
    """Return the known addresses among `documentation`, `repository` and `rows` (how to submit an entry). If only the
    repository is known, the documentation is its folder `docs`."""
    try:
        named = metadata(embench.DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        return {}
    pairs = (entry.partition(",") for entry in named)
    urls = {label.strip().casefold(): url.strip() for label, _, url in pairs if url.strip().startswith("https://")}
    found = {name: urls[name] for name in ("documentation", "repository") if name in urls}
    if "repository" in found:
        place = f"{found['repository'].removesuffix('/').removesuffix('.git')}/blob/main"
        found = {"documentation": f"{place}/docs", **found, "rows": f"{place}/CONTRIBUTING.md#sending-a-row"}
    return found


# Numbers on pages, in one style: a minus sign for negative numbers, and a digit before the point.

_NUMBER = re.compile(r"(?<![\w.\N{EN DASH}/-])(-|\N{MINUS SIGN})?(\.?)(?=\d)")
_TEXT = re.compile(r">[^<]*(?=<)")


def in_one_style(text: str) -> str:
    """Format the numbers in a text in the style of the site; names, dates and ranges are unchanged.

    >>> in_one_style("2 [.02, .5], 2026-11-22, ranks 1-23, subject-independent-v4")
    '2 [0.02, 0.5], 2026-11-22, ranks 1-23, subject-independent-v4'
    >>> in_one_style("not shown -.03") == "not shown \N{MINUS SIGN}0.03"
    True
    """
    return _NUMBER.sub(lambda found: ("\N{MINUS SIGN}" if found[1] else "") + (found[2] and "0."), text)


def style_texts(html: Markup) -> Markup:
    """Format the numbers in texts of HTML in the style of the site; scripts and tags are unchanged."""
    return Markup(_TEXT.sub(lambda found: in_one_style(found[0]), html))  # noqa: S704  it was HTML before


def styled_figure(value: float | None, spec: str = ".3f") -> str:
    """Format a number in the style of the site; a dash for None."""
    return in_one_style(format_figure(value, spec, missing="—"))


def styled_interval(score: Any, template: str = "[{}, {}]", spec: str = ".3f") -> str:
    """Format the interval of a score in the style of the site; empty where it has none."""
    return in_one_style(format_interval(score, template, spec))


def styled_score(value: Score | None) -> str:
    """Format a score with its interval in the style of the site; a dash for None."""
    return in_one_style(format_score(value, missing="—"))


# Pages from templates: their shared parts, links, and data for scripts.

_NOTICE: ContextVar[str] = ContextVar("notice", default="")


@contextmanager
def private_pages(notice: str) -> Iterator[None]:
    """Show a notice, such as that runs are unpublished, on all pages that are rendered within the context."""
    token = _NOTICE.set(notice)
    try:
        yield
    finally:
        _NOTICE.reset(token)


def notice() -> str:
    """Return the notice of the current pages; empty for published entries."""
    return _NOTICE.get()


def render(template: str, depth: int, **values: Any) -> str:
    """Render a page in a folder that is `depth` levels below the site's first page."""
    shared = {"root": "../" * depth, "addresses": addresses(), "notice": notice()}
    return _TEMPLATES.get_template(template).render(**shared, **values)


def write_page(path: Path, text: str) -> None:
    """Write a text file, and create its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def link(*parts: str) -> str:
    """Return a relative address from names of folders and files, with special characters escaped."""
    return "/".join(quote(part, safe="") for part in parts)


def script_json(value: Any) -> Markup:
    """Return `value` as JSON for a script element; characters that could end the element are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704  no character is left that has a meaning in HTML


_TEMPLATES = load_templates("embench.site", html=True)
_TEMPLATES.filters |= {
    "figure": styled_figure,
    "interval": styled_interval,
    "score": styled_score,
    "styled": in_one_style,
    "script_json": script_json,
}
_TEMPLATES.globals |= {"link": link, "metric_facts": metric_facts}


# Notes about a leaderboard, written in Markdown by maintainers, as a part of its page.


def read_note(folder: Path | None, dataset: str, datasets: AbstractSet[str]) -> Markup:
    """Render the note on a dataset, `<dataset>.md` in a folder, as HTML without its title; empty if there is none.

    Headings become one level lower. Links to notes of other `datasets` lead to their pages. Other links inside the
    folder, and pictures, are replaced by their text. HTML in a note is shown as text.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder and Path(folder) / f"{dataset}.md"
    if not path or not path.is_file():
        return Markup()
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a note cannot be read: {error}", where=str(path)) from error
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # Comments mark generated tables and are not part of the text.
    tokens = markdown.parse("\n".join(line for line in text.splitlines() if not line.startswith("<!--")))
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.children:
            token.children = _filter_tokens(token.children, datasets)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  the renderer escapes the text


def _filter_tokens(tokens: list[Token], datasets: AbstractSet[str]) -> list[Token]:
    """Replace pictures, and links that are not part of the site, by their text."""
    filtered: list[Token] = []
    is_dropped = []  # for each open link
    for token in tokens:
        if token.type == "link_open":
            href = _resolve_link(str(token.attrs["href"]), datasets)
            is_dropped.append(href is None)
            if href is not None:
                token.attrs["href"] = href
                filtered.append(token)
        elif token.type == "link_close":
            if not is_dropped.pop():
                filtered.append(token)
        elif token.type in ("image", "text"):
            filtered.append(Token("text", "", 0, content=in_one_style(token.content)))
        else:
            filtered.append(token)
    return filtered


def _resolve_link(href: str, datasets: AbstractSet[str]) -> str | None:
    """Return the address for a link on a dataset's page; None where its target is not part of the site."""
    place = urlsplit(href)
    if place.scheme in ("http", "https"):
        return href
    stem = Path(place.path).stem
    if not place.scheme and not place.netloc and place.path.endswith(".md"):
        name = Path(place.path).parent.name if stem == "README" else stem
        if name in datasets:
            return f"../{link(name, 'index.html')}"
    return None
