"""What the program and its plugins print, and README, are free of the forms that the vocabulary bans."""

from __future__ import annotations

from . import names, prose


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
