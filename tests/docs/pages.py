"""Reads the documentation pages: the commands they print, the files they show, the links they make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
CLUSTER = ROOT / "docs" / "cluster.md"
"""Its commands need Slurm or Ray: `make cluster` runs them, and no other test."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
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


def links(page: Path) -> Iterator[Path]:
    """Where the page's links inside the project lead."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / target).resolve()
