"""A study of one's own, from its run to a site: no output that leaves holds a name of the folder, a person, a device or
a day, and no local record a path of the machine."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import pytest

from embench.cli import main
from embench.leaderboard import verify_data, withheld
from embench.leaderboard.pull_request import check_entry

from .own_names import FOLDER, PEOPLE, make_study, places

pytestmark = pytest.mark.slow
METHOD = ("--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "eda", "--device", "cpu", "--workers", "1")

ONE = "name: one-v1\nsummary: One.\ncore:\n  - {encoder: handcrafted, fusion: logreg, modalities: eda}\n"


def embench(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`out` holds all that leaves, `runs` the records, `own` what the study's owner makes for himself."""
    base = tmp_path_factory.mktemp("names")
    study = make_study(base / "data")
    (base / "root").mkdir()
    (base / "root" / "tasks").symlink_to(study)
    for name in ("out", "own"):
        (base / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        patch.setenv("EMBENCH_CACHE", str(base / "cache"))
        embench("data", "verify", study, "--share", "out/verified.json")
        embench("data", "labels", study, "--units", "own/units.csv", "--figure", "out/labels.svg")
        embench("run", "--dataset", study, *METHOD, "--runs", base / "runs")
        run = next(base.glob("runs/tasks/*"))
        embench("run", "--dataset", "tasks", "--data-root", base / "root", *METHOD, "--seeds", 0, "--dev")
        embench("audit", run, "--dataset", study)
        embench("report", run, "--out", "own/report.html", "--data-root", "root")
        embench("report", run, "--out", "out/report.html", "--share")
        for form in ("latex", "methods", "bibtex"):
            embench("export", run, f"--{form}", "--out", f"out/{form}.txt")
        given = ("--consent", "--ethics", "Board of the Faculty, no. 17")
        embench("leaderboard", "submit", run, "--leaderboards", "out/boards", "--data-root", "root", *given)
        embench("leaderboard", "verify", "out/boards", "--data-root", "root")
        embench("leaderboard", "build", "--leaderboards", "out/boards")
        embench("leaderboard", "site", "--leaderboards", "out/boards", "--out", "out/site")
        (base / "one-v1.yaml").write_text(ONE)
        embench(
            "baselines",
            "--dataset",
            study,
            "--baseline-set",
            "one-v1.yaml",
            "--modalities",
            "eda",
            "--runs",
            base / "runs",
        )
        shutil.copytree(next(base.glob("runs/baselines/*")), "out/baselines")
    return base


def test_what_leaves_names_nobody_and_no_place(base: Path) -> None:
    assert places(base / "out", also=str(base).encode()) == []
    entry = next(base.glob("out/boards/own-tasks/subject-independent-*/*"))
    assert sorted(path.name for path in entry.iterdir()) == ["audit.json", "labels.hmac", "run.yaml", "scores.json"]


def test_the_folder_of_a_set_has_no_entries_and_scores_of_three_digits(base: Path) -> None:
    folder = base / "out" / "baselines"
    assert not (folder / "entries").exists()
    assert "which leave only with the participants' consent" in (folder / "README.md").read_text()
    with (folder / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "method"]
    assert len(rows) == 1
    assert float(rows[0]["score"]) == round(float(rows[0]["score"]), 3)
    assert "majority" not in (folder / "paper" / "tables.tex").read_text()  # its numbers would tell of labels


def test_local_records_name_nobody_and_no_place(base: Path) -> None:
    assert places(base / "runs", also=str(base).encode()) == []
    assert places(base / "own" / "report.html", also=str(base).encode()) == []


def test_a_copy_without_the_key_is_not_compared(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(base / "data" / FOLDER, tmp_path / "tasks", ignore=shutil.ignore_patterns(".embench"))
    entry = next(base.glob("out/boards/own-tasks/subject-independent-*/*"))
    found = {check.check: check for check in check_entry(entry, tmp_path)}
    assert (found["labels"].status, "another key of pseudonyms" in found["labels"].reason) == ("not possible", True)
    shutil.copytree(base / "data" / FOLDER / ".embench", tmp_path / "tasks" / ".embench", dirs_exist_ok=True)
    verify_data._cohort.cache_clear()
    found = {check.check: check for check in check_entry(entry, tmp_path)}
    assert found["labels"].status == "passed"


def test_a_report_to_share_holds_no_labels_and_no_person(base: Path) -> None:
    run = next(base.glob("runs/tasks/handcrafted-*"))  # not the one with --dev
    folds = (run / "folds.csv").read_text().splitlines()[1:]
    subjects = {line.split(",")[0] for line in folds}
    assert len(subjects) == len(PEOPLE)
    local, shared = ((base / part / "report.html").read_text() for part in ("own", "out"))
    assert all(subject in local for subject in subjects)
    assert not any(subject in shared for subject in subjects)
    assert ("not for others" in local, "not for others" in shared) == (True, False)


def test_a_report_that_tells_labels_is_not_shared(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(base.glob("runs/tasks/handcrafted-*"))  # not the one with --dev
    monkeypatch.setattr(withheld, "FEWEST_UNITS", 10_000)
    assert main(["report", str(run), "--share", "--out", str(base / "told.html")]) == 1
    assert not (base / "told.html").exists()


def test_lists_for_the_owner_have_own_names(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    monkeypatch.setenv("EMBENCH_CACHE", str(base / "cache"))
    with (base / "own" / "units.csv").open() as file:
        units = list(csv.DictReader(file))
    assert {row["subject"] for row in units} == set(PEOPLE)
    assert all(row["unit"].startswith(f"{row['recording']}:") for row in units)
    lines = [f"{u['subject']},{u['recording']},{u['unit']},{u['target']},{k % 9 / 9}" for k, u in enumerate(units)]
    Path("own/answers.csv").write_text("\n".join(["subject,recording,unit,target,score", *lines]) + "\n")
    embench("score", "own/answers.csv", "--dataset", f"data/{FOLDER}", "--out", "runs/scored/answers")
    assert places(base / "runs" / "scored", also=str(base).encode()) == []
    run = next(base.glob("runs/tasks/handcrafted-*"))  # not the one with --dev
    ran, scored = (gzip.decompress((of / "labels.csv.gz").read_bytes()) for of in (run, base / "runs/scored/answers"))
    assert ran == scored
