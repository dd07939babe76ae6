"""Pages from templates: shared parts, links, number style and notes of leaderboards."""

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
from embench.report.latex.bibliography import templates_of
from embench.statistics import metric_facts

# Addresses of the project from the metadata of the installed package (`[project.urls]`).


@cache
def addresses() -> dict[str, str]:
    """`documentation`, `repository` and `rows`, which tells how a row is sent; without those that nothing names. Where
    only the repository is named, the documentation is its folder `docs`."""
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


# Numbers on pages, in one style: a minus sign before them where they are negative, and a digit before the point.

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


# Pages from templates: their shared parts, links, and data for scripts.

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
    "figure": styled_figure,
    "interval": styled_interval,
    "score": styled_score,
    "styled": in_one_style,
    "script_json": script_json,
}
_TEMPLATES.globals |= {"link": link, "metric_facts": metric_facts}


# Notes about a board, written in Markdown by people, as a part of its page.


def read(folder: Path | None, dataset: str, datasets: AbstractSet[str]) -> Markup:
    """The page `<dataset>.md` of a folder as HTML, without its title; empty where there is none.

    Headings stand one level below those of the page. Links to notes of other `datasets` lead to their pages; of other
    links inside the folder, and of pictures, only the words stay. HTML in a note is shown as text.

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
    # Marks of generated tables are comments, which readers of Markdown don't see.
    tokens = markdown.parse("\n".join(line for line in text.splitlines() if not line.startswith("<!--")))
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.children:
            token.children = _kept(token.children, datasets)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  the renderer escapes the text


def _kept(tokens: list[Token], datasets: AbstractSet[str]) -> list[Token]:
    """The parts of a line without links that lead nowhere, and without pictures."""
    kept: list[Token] = []
    dropped = []
    for token in tokens:
        if token.type == "link_open":
            href = _target(str(token.attrs["href"]), datasets)
            dropped.append(href is None)
            if href is not None:
                token.attrs["href"] = href
                kept.append(token)
        elif token.type == "link_close":
            if not dropped.pop():
                kept.append(token)
        elif token.type in ("image", "text"):
            kept.append(Token("text", "", 0, content=in_one_style(token.content)))
        else:
            kept.append(token)
    return kept


def _target(href: str, datasets: AbstractSet[str]) -> str | None:
    """Target of a link from a dataset's page; None where that is not in the site."""
    place = urlsplit(href)
    if place.scheme in ("http", "https"):
        return href
    stem = Path(place.path).stem
    if not place.scheme and not place.netloc and place.path.endswith(".md"):
        name = Path(place.path).parent.name if stem == "README" else stem
        if name in datasets:
            return f"../{link(name, 'index.html')}"
    return None
