"""Gains of pretrained rows over their comparison runs on a board, from published entries."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from embench.leaderboard import build_leaderboards, load_sections
from embench.records.record import read_record
from embench.statistics.comparison import compare
from embench.vocabulary import markdown

from ..tiny.running import command

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "eegmat"
BOARD = PUBLISHED / "subject-independent-v4"
ROW, SCRATCH, FEATURES = "cnn_tf-single-0e70c3bbdf", "cnn_tf-single-d080ecd6dc", "handcrafted-logreg-30bf3c961a"
NAME = "CNN-Transformer; one network; pretrained by masked-value pretraining"
UNBESIDE = "cnn_tf-single-de08b9e4d6"
"""Reads the EEG, where the others read the ECG; on the board of the test it says that it was pretrained."""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board of one pretrained row with two comparison runs, and of another one without any."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    at = tmp_path / "boards" / "eegmat"
    shutil.copytree(PUBLISHED / "shared", at / "shared")
    for name in (ROW, SCRATCH, FEATURES, UNBESIDE):
        shutil.copytree(BOARD / name, at / BOARD.name / name)
    about = at / BOARD.name / UNBESIDE / "run.yaml"
    run = yaml.safe_load(about.read_text())
    run["method"]["pretrainers"] = ["embench_plugins/masked_value"]
    about.write_text(yaml.safe_dump(run, sort_keys=False))
    return tmp_path / "boards"


def gap_texts(board: Path) -> dict[str, list[str]]:
    """Id -> the gaps of each pretrained row, in words."""
    (section,) = load_sections(board)
    return {row.id: row.pretraining_comparison.texts for row in section.rows if row.pretraining_comparison}


def test_the_gap_to_each_run_is_that_of_compare(board: Path) -> None:
    one, scratch, features = (read_record(BOARD / name) for name in (ROW, SCRATCH, FEATURES))
    gaps = [compare(one, other, "task", "auroc_within").difference for other in (scratch, features)]
    texts = [f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" for gap in gaps]
    assert gap_texts(board) == {
        ROW: [
            f"{texts[0]} over the same from scratch",
            f"{texts[1]} over handcrafted + logreg",
            "networks trained for at most 16 epochs",
        ],
        UNBESIDE: [],
    }


def test_a_reader_sees_them_on_every_board(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = build_leaderboards(board)[0].read_text()
    over_scratch = gap_texts(board)[ROW][0]
    assert "Gain from pretraining, over the same network" in page
    assert markdown(f"ECG: {over_scratch}") in page
    assert f"({BOARD.name}/{UNBESIDE}), {markdown(f'{NAME}, EEG: no from-scratch comparison')}" in page
    shown = command(capsys, "leaderboard", "show", "eegmat", "--leaderboards", board)
    text = " ".join(shown.out.split())
    assert f"pretraining on ECG: {over_scratch};" in text
    assert f"{NAME} on EEG: no from-scratch comparison." in text
    found = command(
        capsys,
        "leaderboard",
        "show",
        "eegmat",
        "--leaderboards",
        board,
        "--columns",
        "id,pretraining_comparison",
        "--format",
        "json",
    )
    by_id = {
        row["id"]: row["pretraining_comparison"] for row in reversed(json.loads(found.out))
    }  # models of an entry follow it
    assert by_id[UNBESIDE] == ["no from-scratch comparison"]
    assert by_id[SCRATCH] is None
    assert len(by_id[ROW]) == 3
