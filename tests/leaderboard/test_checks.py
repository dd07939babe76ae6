"""`leaderboard verify` on honest entries and boards: what it prints, keeps from being changed, and attests."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench.cli import main
from embench.leaderboard import load_sections
from embench.records.record import Record

from .conftest import attest
from .test_verify import honest, publish, published, record

__all__ = ["honest", "published", "record"]


def verify(*arguments: Any) -> int:
    return main(["leaderboard", "verify", *map(str, arguments)])


@pytest.fixture
def two(tmp_path: Path, published: Path, record: Record) -> tuple[Path, Path]:
    """Another entry on the same board."""
    return published, publish(tmp_path, replace(record, run={**record.run, "id": "cnn_tf-single-fedcba9876"}))


def test_every_check_is_named_with_its_result(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(published, "--json") == 0
    made = {check["check"]: (check["status"], check["reason"]) for check in json.loads(capsys.readouterr().out)}
    assert {name for name, (status, _) in made.items() if status == "passed"} >= {
        "files", "texts", "form", "contents", "protocol", "method", "design", "folds", "scores", "summands",
    }  # fmt: skip
    assert made["labels"] == ("not possible", "not compared with the data: no dataset has the name `acme/own`")
    assert made["audit"] == ("not possible", "the entry was not audited")
    assert verify(published) == 0
    assert "failed" not in capsys.readouterr().out


def test_a_board_is_verified_as_a_whole(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    boards = two[0].parents[2]
    assert verify(boards) == 0
    assert "2 entries, 0 with a check that did not pass" in capsys.readouterr().out
    shutil.rmtree(boards / "acme-own" / "shared")
    assert verify(boards) == 1
    out = capsys.readouterr().out
    assert "a file that entries of this leaderboard have in common is missing" in out
    assert "2 entries, 2 with a check that did not pass" in out
    assert verify(boards / "nothing") == 2
    assert verify(boards / "acme-own") == verify(two[0].parent) == 1  # a board, a protocol


def test_nothing_is_attested_but_what_passed(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = two
    (bad / "notes.txt").write_text("x")
    assert verify(good.parents[2], "--attester", "A. Reader") == 1
    [path] = (good.parents[1] / "attestations").iterdir()
    assert path.name == f"subject-independent-v4--{good.name}--a-reader.json"
    (bad / "notes.txt").unlink()
    rows = [row for section in load_sections(good.parents[2]) for row in section.rows]
    assert {row.id: row.evidence.level for row in rows if row.is_method} == {
        good.name: "verified", bad.name: "self_reported",
    }  # fmt: skip
    capsys.readouterr()
    about = yaml.safe_load((good / "run.yaml").read_text())
    about["cost"]["wall_seconds"] = 1.0
    (good / "run.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    assert verify(good) == 0
    assert "verified by A. Reader (does not count: the entry has changed since)" in capsys.readouterr().out
    assert verify(good, "--attester", " ") == 2


@pytest.fixture
def earlier(two: tuple[Path, Path], tmp_path: Path) -> Path:
    """The boards as they were before anything is proposed, with an attestation."""
    attest(two[0], "verified")
    shutil.copytree(two[0].parents[2], tmp_path / "earlier")
    return tmp_path / "earlier"


def test_entries_may_be_added_and_attested(
    two: tuple[Path, Path], earlier: Path, tmp_path: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    old = two[0]
    boards = old.parents[2]
    assert verify(boards, "--previous", earlier) == 0
    method = {**record.run["method"], "pretrainers": ["embench_plugins/masked_value"]}
    about = {**record.run, "id": "cnn_tf-single-1111111111"}
    added = publish(tmp_path, replace(record, run={**about, "method": method}))
    attest(old, "reproduced", "Somebody Else")
    assert verify(boards, "--previous", earlier) == 0
    attest(added)
    publish(tmp_path, replace(record, run=about | {"id": "cnn_tf-single-2222222222"}))
    capsys.readouterr()
    assert verify(boards, "--previous", earlier) == 1
    said = capsys.readouterr().out
    assert f"{added.name}--a-reader.json came with the entry" in said
    assert "is the same entry" in said


def test_what_is_added_to_an_entry_that_did_not_change_is_checked(
    two: tuple[Path, Path], earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards, folder = two[0].parents[2], two[0].parents[1] / "attestations"
    wrong = attest(two[1], "verified", "Somebody Else")
    wrong.write_text(wrong.read_text().replace("verified", "best"))
    assert verify(boards, "--previous", earlier) == 1
    assert "level: Input should be 'verified'" in capsys.readouterr().out
    wrong.rename(folder / "subject-independent-v4--another--somebody-else.json")
    assert verify(boards, "--previous", earlier) == 1
    assert "it is of no entry" in capsys.readouterr().out


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (shutil.rmtree, "the entry was deleted"),
    "changed": (lambda entry: (entry / "summands.json").write_text("{}"), "the entry was changed"),
    "unreadable": (lambda entry: (entry / "run.yaml").write_text("["), "the entry was changed"),
    "attestation": (
        lambda entry: shutil.rmtree(entry.parents[1] / "attestations"),
        "--a-reader.json was deleted",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_there_stays(
    two: tuple[Path, Path], earlier: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, says = CHANGES[name]
    change(two[0])
    assert verify(two[0].parents[2], "--previous", earlier) == 1
    assert says in capsys.readouterr().out


def test_a_sealed_entry_holds_nothing_that_tells_labels(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    run = copy.deepcopy(record.run)
    run["card"]["labels_public"] = "no"
    folder = publish(tmp_path, replace(record, run=run))
    assert verify(folder) == 0
    out = capsys.readouterr().out
    assert "the labels are not public, so that only a reproduction can check this" in out
    assert re.search("labels +not possible", out)
    scores = json.loads((folder / "scores.json").read_text())
    scores["folds"] = []
    (folder / "scores.json").write_text(json.dumps(scores))
    assert verify(folder) == 1
    assert "scores of folds" in capsys.readouterr().out


def test_tables_do_not_depend_on_the_order_in_which_entries_were_merged(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Two people send a row each, on branches of their own; somebody attests one of them."""
    attest(two[1])
    board, boards = two[0].parents[1], {}
    for order in ((0, 1), (1, 0)):
        merged = tmp_path / f"merged{order[0]}"
        for person in order:
            branch = tmp_path / f"branch{order[0]}{person}"
            shutil.copytree(board, branch / board.name)
            shutil.rmtree(branch / board.name / "subject-independent-v4" / two[1 - person].name)
            shutil.copytree(branch, merged, dirs_exist_ok=True)
        assert main(["leaderboard", "build", "--leaderboards", str(merged)]) == 0
        boards[order] = {p.relative_to(merged): p.read_bytes() for p in sorted(merged.rglob("*")) if p.is_file()}
    assert boards[0, 1] == boards[1, 0]
    assert {path.name for path in boards[0, 1]} >= {"README.md", "run.yaml"}
