"""Tables in Markdown, and the place of what is made on a page that is written by hand."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *rows])


def insert(page: str, command: str, made: str) -> str:
    """The page with what a command made between its marks. Raises ValueError where it lacks one."""
    begin, end = (f"<!-- made by `{command}`: {mark} -->" for mark in ("begin", "end"))
    if begin not in page or end not in page:
        raise ValueError(f"the page lacks {begin!r} or {end!r}")
    return f"{page.partition(begin)[0]}{begin}\n\n{made}\n\n{end}{page.partition(end)[2]}"
