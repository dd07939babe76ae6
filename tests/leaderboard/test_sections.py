"""The sections of a folder are kept from one command to the next, and made anew where anything changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from embench.errors import DataError
from embench.leaderboard import build_leaderboards, load_sections
from embench.leaderboard import rows as leaderboard_rows
from embench.leaderboard.rows import load_entry_summaries
from embench.leaderboard.tables import build_sections, flatten_row, summarise

from ..docs.pages import ROOT
from .conftest import attest
from .made_up import put


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    put(tmp_path / "boards", "a", 0.6, effect=0.04)
    put(tmp_path / "boards", "b", 0.7)
    return tmp_path / "boards"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The entries that were read, in order."""
    found: list[str] = []
    load = leaderboard_rows.load_leaderboard_entry
    monkeypatch.setattr(leaderboard_rows, "load_leaderboard_entry", lambda at: found.append(at.name) or load(at))  # type: ignore[func-returns-value]
    return found


def shown(boards: Path) -> list[object]:
    found = load_sections(boards)
    return [(flatten_row(section, row), row.differences) for section in found for row in section.rows]


def edit(entry: Path, mean: float) -> None:
    """Another primary metric, in a file of the same size and time, as an unpacked archive has it."""
    scores = entry / "scores.json"
    stat, text = scores.stat(), scores.read_text()
    content = json.loads(text)
    content["scores"]["stress"]["auroc_crossed_matched"]["mean"] = mean
    scores.write_text(json.dumps(content)[: len(text)].ljust(len(text)))
    os.utime(scores, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    attest(entry)


def test_the_second_time_they_are_the_same_and_no_entry_is_read(boards: Path, read: list[str]) -> None:
    first = shown(boards)
    assert shown(boards) == first
    assert read == ["a", "b"]
    assert build_sections(load_entry_summaries(boards)) == load_sections(boards)


def test_what_changes_is_read_and_nothing_else(boards: Path, read: list[str]) -> None:
    assert load_sections(boards)[0].methods[0].id == "b"
    edit(boards / "stress_predict" / "subject-independent-v4" / "b", 0.1)
    assert load_sections(boards)[0].methods[0].id == "a"
    put(boards, "c", 0.9)
    assert load_sections(boards)[0].methods[0].id == "c"
    assert read == ["a", "b", "b", "c"]


def test_what_is_said_of_an_entry_later_counts(boards: Path, read: list[str]) -> None:
    shown(boards)
    (attested,) = (boards / "stress_predict" / "attestations").glob("*--a--*")
    attested.unlink()
    rows = {row.id: row for row in load_sections(boards)[0].methods}
    assert rows["a"].marks == ("self-reported",)
    assert read == ["a", "b", "a"]


def test_tables_are_built_of_contents_whatever_the_times_of_files_say(boards: Path, read: list[str]) -> None:
    first = [path.read_text() for path in build_leaderboards(boards)]
    for path in boards.rglob("*.json"):
        os.utime(path)
    assert [path.read_text() for path in build_leaderboards(boards)] == first
    assert read == ["a", "b"]
    edit(boards / "stress_predict" / "subject-independent-v4" / "b", 0.1)
    assert [path.read_text() for path in build_leaderboards(boards)] != first


def test_a_shared_file_that_was_altered_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    published = Path(__file__).parents[2] / "leaderboards" / "stress_predict"
    entry = min((published / "subject-independent-v4").iterdir())
    shutil.copytree(published / "shared", tmp_path / "boards" / "stress_predict" / "shared")
    shutil.copytree(entry, tmp_path / "boards" / "stress_predict" / entry.parent.name / entry.name)
    [entry_shown] = load_entry_summaries(tmp_path / "boards")
    [scores] = (name for name in entry_shown.shared if name.startswith("confound_only_scores"))
    altered = tmp_path / "boards" / "stress_predict" / "shared" / scores
    altered.write_text(altered.read_text().replace("0.5", "0.6", 1))
    with pytest.raises(DataError, match="altered"):
        load_entry_summaries(tmp_path / "boards")


def test_what_else_lies_in_the_folder_is_not_read(boards: Path, read: list[str]) -> None:
    shown(boards)
    (boards / ".venv" / "lib").mkdir(parents=True)
    os.mkfifo(boards / ".venv" / "lib" / "pipe")  # to read it would wait forever
    (boards / "stress_predict" / "notes.md").write_text("of the maintainers")
    shown(boards)
    assert read == ["a", "b"]


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text.replace("0.6", "0.8"), lambda _: ""])
def test_a_damaged_file_of_the_cache_is_made_anew(damage: Callable[[str], str], boards: Path, read: list[str]) -> None:
    first = shown(boards)
    for file in (path for path in (boards.parent / "cache" / "boards").rglob("*") if path.is_file()):
        file.write_text(damage(file.read_text()))
    assert shown(boards) == first
    assert len(read) > 2


def test_other_code_makes_them_anew_and_what_old_code_made_goes(
    boards: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_sections(boards)
    [old] = (boards.parent / "cache" / "boards").iterdir()
    os.utime(old, (0, 0))
    monkeypatch.setattr(leaderboard_rows, "hash_code", lambda: "another")
    load_sections(boards)
    assert read == ["a", "b", "a", "b"]
    assert [path.name for path in old.parent.iterdir()] == ["another"]


def test_a_summary_says_why_a_question_has_no_count() -> None:
    """Subjects of quiroz2018 have two labelled walks each, so that order explains the label."""
    [section] = (each for each in load_sections(ROOT / "leaderboards") if each.dataset == "quiroz2018")
    cells = summarise(section).cells
    assert (cells["chance"], cells["movement"]) == ("0 (1)", "cannot be told")
