"""Entries of a protocol that a later version took the place of: read, compared and audited as before, never mixed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench.cli import main
from embench.leaderboard import build_leaderboards, leaderboard_sections

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "stress_predict"
ENTRIES = sorted(PUBLISHED.glob("subject-independent-v1/handcrafted-*"))[:2]


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """Two published entries, and one of them as the next version would have it."""
    for entry in ENTRIES:
        shutil.copytree(entry, tmp_path / "stress_predict" / "subject-independent-v1" / entry.name)
    shutil.copytree(PUBLISHED / "shared", tmp_path / "stress_predict" / "shared")
    new = tmp_path / "stress_predict" / "subject-independent-v3" / ENTRIES[0].name
    shutil.copytree(ENTRIES[0], new)
    run: dict[str, Any] = yaml.safe_load((new / "run.yaml").read_text())
    run["protocol"] |= {"name": "subject-independent-v3", "version": 3}
    (new / "run.yaml").write_text(yaml.safe_dump(run))
    return tmp_path


def test_their_board_says_what_took_its_place_and_comes_last(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = leaderboard_sections(boards)
    assert (first.protocol, first.superseded_by) == ("subject-independent-v3", None)
    assert (last.protocol, last.superseded_by) == ("subject-independent-v1", "subject-independent-v3")
    assert [sum(row.is_method for row in section.rows) for section in (first, last)] == [1, 2]
    build_leaderboards(boards)
    page = (boards / "stress_predict" / "README.md").read_text()
    new, old = page.split("## stress, subject-independent-v1, superseded\n")
    assert "`subject-independent-v3` supersedes this protocol." in old
    assert "uperseded" not in new
    front = (boards / "README.md").read_text().splitlines()
    assert [line.endswith(", superseded") for line in front if "stress_predict" in line] == [False, True]
    title = "subject-independent-v1 (superseded by subject-independent-v3), target stress"
    assert main(["leaderboard", "show", "stress_predict", "--boards", str(boards)]) == 0
    done = capsys.readouterr()
    assert title not in done.out
    assert "not shown: 1 superseded leaderboard; --all shows them" in done.err
    for more in (["--all"], ["--protocol", "subject-independent-v1"]):
        assert main(["leaderboard", "show", "--boards", str(boards), *more]) == 0
        assert title in capsys.readouterr().out


@pytest.mark.slow
def test_they_are_reported_compared_and_audited(
    boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(boards / "stress_predict" / "subject-independent-v1" / entry.name) for entry in ENTRIES)
    assert main(["report", one, "--out", str(tmp_path / "report.html")]) == 0
    assert "auroc_crossed_time" in (tmp_path / "report.html").read_text()
    capsys.readouterr()
    assert main(["compare", one, other, "--json"]) == 0
    [compared] = json.loads(capsys.readouterr().out)["targets"]
    assert (compared["metric"], len(compared["comparisons"])) == ("auroc_crossed_time", 1)
    if "EMBENCH_TEST_DATA" not in os.environ:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    assert main(["audit", one, "--data-root", os.environ["EMBENCH_TEST_DATA"]]) == 0  # nothing severe
    assert "0 severe" in capsys.readouterr().out
