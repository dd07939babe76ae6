"""Reads the documentation pages: the commands they print, the files they show, the links they make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
LINKED = sorted([*PAGES, ROOT / "CHANGELOG.md", *ROOT.glob("examples/**/*.md"), *ROOT.glob("bench/**/*.md")])
"""Pages whose links are checked."""
GUIDE = sorted(ROOT.glob("docs/guide/plugins/*.md"))
"""The pages on plugins, whose files make one package."""
FIRST = ROOT / "docs" / "start" / "first-run.md"
CLUSTER = ROOT / "docs" / "guide" / "cluster.md"
"""Its commands need Slurm or Ray: `make cluster` runs them, and no other test."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
SHELLS = {"console", "bash", "sh", "shell"}


class Block(NamedTuple):
    language: str
    title: str | None
    body: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        title = _TITLE.search(match["info"])
        language = match["info"].split()[0] if match["info"].split() else ""
        found.append(Block(language, title[1] if title else None, match["body"]))
    return found


def commands(page: Path) -> list[tuple[str, ...]]:
    """The command lines of a page: in `console` blocks what follows `$ `, in `bash` blocks every line."""
    found = []
    for block in blocks(page):
        if block.language in SHELLS:
            lines = block.body.replace("\\\n", " ").splitlines()
            if block.language == "console":
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            found += [tuple(words) for line in lines if (words := shlex.split(line, comments=True))]
    return found


def files(page: Path) -> dict[str, str]:
    """The whole files that a page shows, by the title of their block."""
    return {block.title: block.body for block in blocks(page) if block.title}


def links(page: Path) -> Iterator[str]:
    """Where the page's links and pictures lead, as they are written."""
    for token in _tokens(page):
        for part in token.children or ():
            if target := part.attrGet("href") or part.attrGet("src"):
                yield unquote(str(target))


@cache
def anchors(page: Path) -> set[str]:
    """What a link to a part of the page may say behind `#`: its headings, as GitHub writes them."""
    found: set[str] = set()
    tokens = _tokens(page)
    for opening, heading in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(part.content for part in heading.children or () if part.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.add(next(n for k in count() if (n := f"{name}-{k}" if k else name) not in found))
    return found


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
