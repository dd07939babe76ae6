"""The way of somebody who has never met the project, as CONTRIBUTING shows it: repeats a row, checks one, sends one."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from embench.cli import main
from embench.errors import CheckFailed
from embench.leaderboard.entries import UNCONFIRMED, UNKNOWN_FILES
from embench.leaderboard.nonces import commit_nonces
from embench.leaderboard.pull_request import submit_runs
from embench.records.audit import write_audit
from embench.records.predictions import MODEL
from embench.records.record import read_record

from ..attacks.test_forged_entries import Forger
from .boards import METHOD, Place, place

__all__ = ["place"]
pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def model_scores(folder: Path) -> tuple[list[str], list[float]]:
    p = read_record(folder).predictions
    p = p.take(p["method"] == MODEL)
    p = p.take(np.lexsort([p["seed"], p["unit"]]))
    return p["unit"].tolist(), p["score"].tolist()


def test_a_row_is_repeated_verified_and_seen_when_it_is_forged(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-root", str(place.data)]
    assert main(["run", "--from", str(place.entry), *data, "--runs", str(tmp_path / "runs")]) == 0
    again = tmp_path / "runs" / "stress_predict" / place.entry.name
    assert model_scores(again) == model_scores(place.entry)
    assert main(["leaderboard", "verify", str(place.entry), *data]) == 0
    shutil.copytree(place.boards, tmp_path / "boards")
    forged = tmp_path / "boards" / place.entry.relative_to(place.boards)
    Forger(forged).edit_scores(lambda scores: scores["scores"]["stress"]["auroc"].update(mean=0.99))
    capsys.readouterr()
    assert main(["leaderboard", "verify", str(tmp_path / "boards"), *data]) == 1
    assert "scores.json: scores.stress.auroc.mean: 0.99" in capsys.readouterr().out


def documented() -> list[list[str]]:
    """The commands that CONTRIBUTING shows for a row of one's own."""
    section = PAGE.read_text().partition("## Sending a row")[2].partition("\n## ")[0]
    return [shlex.split(line.removeprefix("$ ")) for line in section.splitlines() if line.startswith("$ embench")]


def test_the_way_of_contributing_ends_with_a_row(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place.boards, "leaderboards")
    shutil.copytree("leaderboards", "earlier")
    commands = documented()
    assert [words[1] for words in commands] == ["run", "audit", "leaderboard", "leaderboard"]
    for words in commands:
        found = [path.name for path in Path().glob("runs/stress_predict/*")]
        line = [word.replace("RUN", found[0] if found else "") for word in words[1:]]
        assert main([str(place.data) if word == "DIR" else word for word in line]) == 0
    said = capsys.readouterr().out
    listed = said.partition("commit these files on a branch of your own:\n")[2].partition("then open")[0].split()
    assert listed
    assert all(path.startswith("leaderboards/stress_predict/") for path in listed)  # as `git add` takes them here
    [entry] = Path("leaderboards/stress_predict/subject-independent-v4").glob("handcrafted-naive_bayes-*")
    # What maintainers do with the pull request, and afterwards.
    assert main(["leaderboard", "verify", "leaderboards", "--previous", "earlier"]) == 0
    assert main(["leaderboard", "build"]) == 0
    page = Path("leaderboards/stress_predict/README.md").read_text()
    # A few subjects of the release, and no other entry of these seeds whose confound-only models could be compared.
    assert f"({UNKNOWN_FILES}, {UNCONFIRMED}) | handcrafted features; naive Bayes" in page
    monkeypatch.setenv("EMBENCH_NONCE_SECRET", commit_nonces(Path("leaderboards")))
    assert main(["leaderboard", "reveal-nonce"]) == 0
    check = ["leaderboard", "reproduce", str(entry), "--spot-check", "2", "--attester", "A. Reader"]
    assert main([*check, "--data-root", str(place.data)]) == 0
    assert main(["leaderboard", "build"]) == 0
    assert "2 of 25 stages checked by A. Reader" in Path("leaderboards/stress_predict/README.md").read_text()


def submit(*arguments: object) -> int:
    return main(["leaderboard", "submit", *map(str, arguments)])


def test_what_no_board_takes_is_refused_with_reasons_and_nothing_is_written(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, runs = ["--data-root", str(place.data)], tmp_path / "runs"
    for more in (["--fusion", "lda", "--seeds", "0"], ["--fusion", "lda", "--seeds", "0", "--dev"]):
        assert main(["run", *METHOD, *more, *data, "--runs", str(runs)]) == 0
    leaking = ["--fusion", "lda", "--protocol", "segment-random-legacy", "--runs", str(tmp_path / "legacy")]
    assert main(["run", *METHOD, *leaking, *data]) == 0
    made, boards = sorted(runs.glob("stress_predict/*")), tmp_path / "boards"
    [leaks], [published] = (
        list((root / "stress_predict").glob("handcrafted-lda-*")) for root in (tmp_path / "legacy", place.root / "runs")
    )
    capsys.readouterr()
    assert submit(*made, leaks, published, "--leaderboards", boards, *data) == 1
    said = capsys.readouterr().err
    assert "it scored validation subjects (--dev)" in said
    assert "its seeds are 0 instead of 0 to 5 or 0 to 4" in said
    assert "its protocol segment-random-legacy leaks; with --allow-leakage" in said
    assert not boards.exists()
    assert submit(published, "--leaderboards", place.boards, *data) == 1
    assert "has this entry already" in capsys.readouterr().err
    assert submit(place.entry, "--leaderboards", boards) == 1
    assert "it is an entry already" in capsys.readouterr().err
    assert submit(leaks, "--allow-leakage", "--leaderboards", boards, *data) == 0
    assert (leaks / "audit.json").is_file()  # it was audited on the way
    [entry] = boards.glob("stress_predict/segment-random-legacy/*")
    assert main(["leaderboard", "verify", str(entry), *data]) == 0


def test_a_severe_finding_keeps_a_run_from_a_board(place: Place, tmp_path: Path) -> None:
    [run] = (place.root / "runs" / "stress_predict").glob("handcrafted-lda-*")
    shutil.copytree(run, tmp_path / run.name)
    audit = json.loads((run / "audit.json").read_text())
    evidence = {"n_pairs": 1, "pairs": ["S1 and S2"], "windows": {}, "matches": []}
    finding = {"check": "copies", "severity": "severe", "id": "copied_signals", "evidence": evidence}
    audit = {**audit, "findings": [finding], "counts": {"severe": 1, "warning": 0, "note": 0}}
    write_audit(tmp_path / run.name, {name: value for name, value in audit.items() if name != "sealed"})
    with pytest.raises(CheckFailed, match=r"its audit is severe: 1 pairs of subjects .* S1 and S2 \[copies\]"):
        submit_runs([tmp_path / run.name], tmp_path / "boards", str.encode)
    assert not (tmp_path / "boards").exists()


def test_a_folder_of_finished_runs_is_not_taken_for_a_reproduction(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["leaderboard", "reproduce", str(place.entry), "--attester", "A. Reader", "--data-root", str(place.data)]
    assert main([*line, "--runs", str(place.root / "runs")]) == 2
    assert "the folder contains finished runs" in capsys.readouterr().err
    assert main([*line, "--nonce", "1"]) == 2
    assert main([*line, "--spot-check", "1", "--attester", ""]) == 2
