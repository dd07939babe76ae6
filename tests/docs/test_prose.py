"""What the program prints, and README, are free of the forms that the vocabulary bans."""

from __future__ import annotations

from . import prose

ALLOWED: dict[str, int] = {
    "README.md": 1,
    "benchmark/embench/cli": 26,
    "benchmark/embench/leaderboard": 72,
    "benchmark/embench/protocols": 1,
    "benchmark/embench/python": 1,
    "benchmark/embench/report": 1,
    "benchmark/embench/sets": 4,
    "benchmark/embench/site": 101,
    "benchmark/embench/statistics": 2,
    "columns": 5,
    "help": 16,
    "registry.yaml": 2,
}
"""Folder -> texts with a banned form that are still to be written anew; a folder that is not named has none. Whoever
mends some lowers the number. `python -m tests.docs.prose FOLDER` prints them."""


def test_banned_forms_only_become_fewer() -> None:
    found = {folder: count for folder, count in prose.counts().items() if folder not in prose.EXEMPT and count}
    assert {folder: count for folder, count in found.items() if count > ALLOWED.get(folder, 0)} == {}


def test_text_is_told_from_code() -> None:
    def said(text: str) -> list[str]:
        return [found for found, _ in prose.Text("somewhere", 1, text).banned]

    assert said("the board has no rows of its own") == ["board"]
    assert said("show `board` by --board, or boards/here.md, or registered_clock") == []
    assert said("whether `x` is no number") == ["is no number"]
