"""What is printed is free of the forms that the vocabulary bans; pages are short, and so are their sentences."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from . import names, prose
from .pages import ROOT

WORDS = 70_000
"""Of the documentation, code included, without what is made from code: lower it, never raise it."""


class Limits(NamedTuple):
    """The most that a page may have, as in `prose.Measures`."""

    words: int
    mean: float = 17
    long: float = 0.03
    banned: int = 0


HOW_TO, PAGE = Limits(1200), Limits(2500)
"""The most that a page of `docs/guide`, and any other page, may have."""

CEILINGS = {
    "docs/findings.md": Limits(1200, banned=3),  # made by bench.boards.tables: lower it with the template
}
"""Pages that are not there yet, with what they have: lower it, never raise it."""

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(page, what it says) -> why a banned form stays; at most 20."""


def test_no_printed_text_has_a_banned_form() -> None:
    """`python -m tests.docs.prose FOLDER` prints the texts of a folder that have one."""
    assert {folder: count for folder, count in prose.counts().items() if count} == {}


def test_text_is_told_from_code() -> None:
    def said(text: str) -> list[str]:
        return [found for found, _ in prose.Text("somewhere", 1, text).banned]

    assert said("the board has no rows of its own") == ["board"]
    assert said("show `board` by --board, or boards/here.md, or protocol_phase") == []
    assert said("whether `x` is no number") == ["is no number"]


def test_no_name_that_users_type_or_read_has_a_banned_form() -> None:
    found = {place_and_name for place_and_name in names.every_name() if prose.banned_in_name(place_and_name[1])}
    assert found == set()


def test_a_name_is_read_as_its_words() -> None:
    assert prose.banned_in_name("--all-boards") == ["boards"]
    assert prose.banned_in_name("primary_metric") == []


@pytest.mark.parametrize("page", prose.documentation(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_keeps_its_limits(page: Path) -> None:
    """`python -m tests.docs.prose PAGE` prints what is too long, and the banned forms."""
    place, found = page.relative_to(ROOT).as_posix(), prose.measure(page)
    limits = CEILINGS.get(place, HOW_TO if place.startswith("docs/guide/") else PAGE)
    banned = [form for form in found.banned if (place, form) not in EXCEPTIONS]
    assert found.words <= limits.words
    assert found.mean <= limits.mean
    assert found.long <= limits.long
    assert len(banned) <= limits.banned, banned


def test_documentation_and_its_exceptions_only_shrink() -> None:
    pages = {page.relative_to(ROOT).as_posix(): prose.measure(page) for page in prose.documentation()}
    assert sum(found.words for found in pages.values()) <= WORDS
    assert len(EXCEPTIONS) + sum(ceiling.banned for ceiling in CEILINGS.values()) <= 20
    assert [place for place, form in EXCEPTIONS if form not in pages[place].banned] == []


def test_sentences_are_counted_without_code_tables_and_headings() -> None:
    parts = (
        "# A head of words",
        "One two `a b c` four. See [this](a.md) now:",
        "    a = b c",
        "| a | b c d |",
        "- An item here",
    )
    assert prose.sentences("\n\n".join(parts)) == ["One two X four.", "See [this] now:", "An item here"]
