"""How a reader gets along: what the site's search finds, how wide tables are, and how long the way to a page is.

`python -m tests.docs.reading` prints the measures of all pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markdown_it import MarkdownIt

from . import prose
from .pages import LINKED, PAGES, ROOT, links

SEPARATOR = re.compile(r"[\s\-_,:!=\[\]()\\\"`/]+|\.(?!\d)")
"""Between the words of the search index: `config.separator` in Zensical's `search.json`."""
TITLE, PATH, TEXT = 3, 2, 1
"""Weights of the fields of a section in Zensical's search; a page's path is the names above it in the navigation."""
_MARKDOWN = MarkdownIt("commonmark").enable("table")


class Section(NamedTuple):
    """A heading of a page with what stands below it, which is what the search finds."""

    page: str
    title: str
    words: dict[int, list[str]]
    """Weight of a field -> its words."""


def _words(text: str) -> list[str]:
    return [word for word in SEPARATOR.split(text.lower()) if word]


def _navigation(entries: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry, above
        else:
            for name, below in entry.items():
                yield from _navigation(below, (*above, name))


@cache
def sections() -> tuple[Section, ...]:
    """The sections of all pages of the site, in the order of the navigation."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    return tuple(
        section
        for page, above in _navigation(nav)
        if page != "CHANGELOG.md"  # which is not searched
        for section in _sections(page, above)
    )


def _sections(page: str, above: tuple[str, ...]) -> Iterator[Section]:
    tokens = _MARKDOWN.parse((ROOT / page).read_text(encoding="utf-8"))
    parts: list[tuple[str, list[str]]] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        text = _plain(token)
        if before is not None and before.type == "heading_open":
            parts.append((text, []))
        elif text and parts:
            parts[-1][1].append(text)
    path = [word for name in (*above, parts[0][0]) for word in _words(name)]
    for title, texts in parts:
        yield Section(page, title, {TITLE: _words(title), PATH: path, TEXT: _words(" ".join(texts))})


def _plain(token: Any) -> str:
    if token.type in ("fence", "code_block"):
        return str(token.content)
    kinds = ("text", "code_inline", "softbreak")
    return "".join(part.content or " " for part in token.children or () if part.type in kinds)


def search(query: str) -> list[Section]:
    """The sections that the site's search finds, best first.

    A section is found if each word of the query is the beginning of one of its words. Sections are compared by their
    best field, then by the number of words in it, their distance, and how early the first one stands.
    """
    asked = _words(query)
    found = []
    for section in sections():
        if all(any(word.startswith(term) for words in section.words.values() for word in words) for term in asked):
            keys = [(-weight, *_closeness(section.words[weight], asked)) for weight in (TITLE, PATH, TEXT)]
            found.append((sorted(key for key in keys if key[1]), section))
    found.sort(key=lambda pair: (pair[0], -len(pair[0])))
    return [section for _, section in found]


def _closeness(words: Sequence[str], asked: Sequence[str]) -> tuple[int, int, int]:
    """Minus the number of asked words that occur, the shortest stretch that holds them, and where it begins."""
    places = [[place for place, word in enumerate(words) if word.startswith(term)] for term in asked]
    places = [each for each in places if each]
    if not places:
        return 0, 0, 0
    spans = []
    for first in sorted(place for each in places for place in each):
        ends = [next((place for place in each if place >= first), None) for each in places]
        if None not in ends:
            spans.append((max(end for end in ends if end is not None) - first, first))
    return (-len(places), *min(spans, default=(len(words), 0)))


WIDE_PX, NARROW_PX = 688, 358
"""Width of the text on a screen of 1440 and of 390 px: Material's grid of 1220 px without two columns of 242 px and
margins of 48; 390 without 32."""


def widths(page: Path) -> Iterator[tuple[int, int, str]]:
    """The least width of each table of a page on a wide and on a narrow screen, in px, and its first column's head.

    Estimated: a column is as wide as its longest word and the margins of `docs/site/extra.css`. A letter takes 52 % of
    the size of the font, which is 12.8 px, or 12 px on a narrow screen. Code may be broken anywhere, and on
    a narrow screen heads, too.
    """
    rows: list[list[list[str]]] = []
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(_unbroken(token))
        elif token.type == "table_close":
            yield _width(rows, 6.7, 16), _width(rows[1:], 6.2, 10), " ".join(rows[0][0])
            rows = []


def _width(rows: Sequence[Sequence[Sequence[str]]], letter: float, margins: int) -> int:
    """The sum over columns of the longest word and the margins."""
    columns = zip(*rows, strict=False)
    return sum(
        round(letter * max((len(word) for cell in each for word in cell), default=1)) + margins for each in columns
    )


def _unbroken(token: Any) -> list[str]:
    """The parts of a cell within which no line may end."""
    text = "".join(" " if part.type == "code_inline" else part.content or " " for part in token.children or ())
    return re.split(r"\s+|(?<=[-\u2013])", text)


def journey(*wanted: str, most: int = 3) -> tuple[int, list[str]]:
    """The words of the shortest way from README to one of the pages, each read whole, and the way."""
    ways = {"README.md": [(count_words("README.md"), ["README.md"])]}
    best: tuple[int, list[str]] = (10**6, [])
    for _ in range(most):
        further: dict[str, list[tuple[int, list[str]]]] = {}
        for page, known in ways.items():
            for link in _neighbours(page):
                words, way = min(known)
                further.setdefault(link, []).append((words + count_words(link), [*way, link]))
        ways = further
        best = min([best, *(min(known) for page, known in ways.items() if page in wanted)])
    return best


@cache
def _neighbours(page: str) -> frozenset[str]:
    path = ROOT / page
    targets = {(path.parent / link.partition("#")[0]).resolve() for link in links(path) if "://" not in link}
    return frozenset(each.relative_to(ROOT).as_posix() for each in targets if each in LINKED)


@cache
def count_words(page: str) -> int:
    """Words of a page, code included; of README, too."""
    return prose.count_words(ROOT / page)


def pictures(page: Path) -> list[str]:
    """The pictures that a page shows, without badges."""
    return [link for link in links(page) if link.endswith((".svg", ".png")) and "badge" not in link]


def main() -> None:
    for page in PAGES:
        for wide, narrow, head in widths(page):
            if wide > WIDE_PX or narrow > NARROW_PX:
                print(f"{page.relative_to(ROOT)}: table {head!r} takes {wide} px, and {narrow} px on a narrow screen")


if __name__ == "__main__":
    main()
