"""The sections of a folder are kept from one command to the next, and made anew where anything changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from embench.leaderboard import leaderboard_sections, sections
from embench.leaderboard.select import row_fields

from .conftest import attest
from .made_up import put


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    put(tmp_path / "boards", "a", 0.6, effect=0.04)
    put(tmp_path / "boards", "b", 0.7)
    return tmp_path / "boards"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose entries were read, in order."""
    found: list[Path] = []
    load = sections.load_entries
    monkeypatch.setattr(sections, "load_entries", lambda root: found.append(root) or load(root))  # type: ignore[func-returns-value]
    return found


def shown(boards: Path) -> list[object]:
    found = leaderboard_sections(boards)
    return [(row_fields(section, row), row.apart) for section in found for row in section.rows]


def test_the_second_time_they_are_the_same_and_no_entry_is_read(boards: Path, read: list[Path]) -> None:
    first = shown(boards)
    assert shown(boards) == first
    assert read == [boards]


def test_any_change_of_the_folder_counts(boards: Path, read: list[Path]) -> None:
    assert leaderboard_sections(boards)[0].methods[0].id == "b"
    scores = boards / "stress_predict" / "subject-independent-v3" / "b" / "scores.json"
    stat = scores.stat()
    text = scores.read_text()
    content = json.loads(text)
    content["scores"]["stress"]["auroc_crossed_matched"]["mean"] = 0.1
    scores.write_text(json.dumps(content)[: len(text)].ljust(len(text)))
    os.utime(scores, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as an unpacked archive has it
    attest(scores.parent)
    assert leaderboard_sections(boards)[0].methods[0].id == "a"
    put(boards, "c", 0.9)
    assert leaderboard_sections(boards)[0].methods[0].id == "c"
    assert len(read) == 3


def test_what_else_lies_in_the_folder_is_not_read(boards: Path, read: list[Path]) -> None:
    shown(boards)
    (boards / ".venv" / "lib").mkdir(parents=True)
    os.mkfifo(boards / ".venv" / "lib" / "pipe")  # to read it would wait forever
    (boards / "stress_predict" / "notes.md").write_text("of the maintainers")
    shown(boards)
    assert len(read) == 1


def test_a_damaged_file_of_the_cache_is_made_anew(boards: Path, read: list[Path]) -> None:
    first = shown(boards)
    (kept,) = (boards.parent / "cache" / "boards").glob("*.json")
    kept.write_text(kept.read_text()[:-20])
    assert shown(boards) == first
    assert len(read) == 2


def test_other_code_makes_them_anew(boards: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    leaderboard_sections(boards)
    other = boards.parent / "rows.py"
    other.write_text("# another version")
    monkeypatch.setattr(sections, "_code", lambda: [other])
    leaderboard_sections(boards)
    assert len(read) == 2
