"""What the program prints, and README, are free of the forms that the vocabulary bans."""

from __future__ import annotations

from . import prose


def test_no_printed_text_has_a_banned_form() -> None:
    """`python -m tests.docs.prose FOLDER` prints the texts of a folder that have one."""
    assert {folder: count for folder, count in prose.counts().items() if folder not in prose.EXEMPT and count} == {}


def test_text_is_told_from_code() -> None:
    def said(text: str) -> list[str]:
        return [found for found, _ in prose.Text("somewhere", 1, text).banned]

    assert said("the board has no rows of its own") == ["board"]
    assert said("show `board` by --board, or boards/here.md, or protocol_phase") == []
    assert said("whether `x` is no number") == ["is no number"]
