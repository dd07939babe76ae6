"""`embench leaderboard show`: which boards and rows are shown, in which order, and how they are printed."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embench.cli import main
from embench.errors import UsageError
from embench.leaderboard import load_sections
from embench.leaderboard.columns import Row
from embench.leaderboard.entries import Backing
from embench.leaderboard.tables import flatten_row, read_filter, select_sections, sort_rows

from ..published import link_entries
from .made_up import put


@pytest.fixture(autouse=True)
def unknown_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return some_boards(tmp_path)


def some_boards(tmp_path: Path) -> Path:
    """Three methods on one board, one of which adds and one of which took long, and a board that leaks."""
    encoders, fusion = {"eda": "embench_plugins/handcrafted"}, "embench_plugins/svm"
    svm: dict[str, Any] = {
        "method": {"encoders": encoders, "fusion": fusion, "pretrainers": [], "modalities": ["eda"]},
        "seeds": list(range(6)),
    }
    put(tmp_path, "late-aaaaaaaaaa", 0.61)
    put(tmp_path, "svm-bbbbbbbbbb", 0.64, effect=0.07, **svm)
    slow = {"wall_seconds": 9000.0, "parameters": 10, "flops": None, "device": "cpu", "peak_memory_mb": None}
    put(tmp_path, "svm-cccccccccc", 0.58, cost=slow, subjects=23, **svm)
    put(tmp_path, "late-dddddddddd", 0.99, leaks=True)
    return tmp_path


@pytest.fixture
def show(boards: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def shown(*options: str, code: int = 0) -> str:
        assert main(["leaderboard", "show", "--leaderboards", str(boards), *options]) == code
        done = capsys.readouterr()
        return done.err if code else done.out

    return shown


def fields(boards: Path) -> list[tuple[dict[str, Any], Row]]:
    section = load_sections(boards)[0]
    return [(flatten_row(section, row), row) for row in section.rows]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], Row]]:
    return fields(some_boards(tmp_path_factory.mktemp("boards")))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("fusion=svm", "bc"),
        ("fusion!=svm", "a"),
        ("modalities~PP", "a"),
        ("modalities=ppg, eda", "a"),
        ("score>=0.61", "ab"),
        ("time_s<=125", "ab"),
        ("subjects=23", "c"),
        ("adjusted=yes", "b"),
        ("adjusted=no", "ac"),
        ("pretrainers=", "bc"),
        ("evidence=reproduced", "abc"),
        ("entry=bbbbbbbbbb", "b"),
        ("entry~BBB", "b"),
        ("time>=9000", "c"),
        ("method=handcrafted features; SVM", "bc"),
    ],
)
def test_filters_keep_rows_by_their_fields(rows: list[tuple[dict[str, Any], Row]], text: str, ids: str) -> None:
    methods = [row for row, _ in rows if row["kind"] == "method"]
    keeps = read_filter(text, list(methods[0]))
    assert {row["id"][-1] for row in methods if keeps(row)} == set(ids)


def test_rows_are_sorted_and_those_without_a_value_come_last(rows: list[tuple[dict[str, Any], Row]]) -> None:
    assert [row["id"][-1] for row, _ in sort_rows(rows, "-time_s")] == ["c", "b", "a", "b"]
    assert [row["id"][-1] for row, _ in sort_rows(rows, "score") if row["kind"] == "method"] == ["c", "a", "b"]
    assert sort_rows(rows, "time_s")[-1][0]["kind"] == "control"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["stres_predict"], ["no leaderboard has the dataset `stres_predict`", "did you mean stress_predict?"]),
        (["--protocol", "subject-independent-v9"], ["the protocol `subject", "segment-random-legacy, subject-indep"]),
        (["--target", "arousal"], ["the target `arousal`", "one of: stress"]),
        (["stress_predict", "--dataset", "wesad"], ["two datasets"]),
        (["--filter", "fusio=svm"], ["unknown field `fusio`", "--filter", "did you mean fusion?", "modalities"]),
        (["--filter", "fusion"], ["cannot read the filter `fusion`", "FIELD=VALUE"]),
        (["--filter", "score>=high"], ["`high` is not a number", "score>="]),
        (["--sort", "-scor"], ["unknown field `scor`", "--sort", "did you mean score?"]),
        (["--columns", "rank,methods"], ["unknown field `methods`", "did you mean method or"]),
        (["--metric", "auroc_withn"], ["--metric", "did you mean auroc_within or"]),
    ],
)
def test_mistakes_name_the_field_the_choices_and_the_nearest(show: Any, options: list[str], words: list[str]) -> None:
    error = show(*options, code=2)
    assert all(word in error for word in words), error


def test_the_default_table_is_narrow_and_names_once_what_all_rows_share(show: Any) -> None:
    text = show("stress_predict")
    assert max(map(len, text.splitlines())) <= 100
    assert "stress_predict, segment-random-legacy, leaks, target stress" in text
    first = text.split("\n\n\n")[0]
    assert "23 to 24 subjects, 3 methods: 3 above chance, 1 given time and movement" in " ".join(first.split())
    assert "recipe small (1 assumed); evidence reproduced by A. Reader, 2026-11-22; suspicious: no." in " ".join(
        first.split()
    )
    [svm] = [line for line in first.splitlines() if "bbbbbbbbbb" in line]
    assert svm.split()[:2] == ["1-3", "handcrafted"]
    assert "yes, 0.07" in svm
    assert "(0.02 to 0.12)" in first
    assert "yes, partial r 0.07 (0.02 to 0.12)" in show("stress_predict", "--columns", "id,movement")
    table, _, models = first.partition("models without any physiological signal: Time-matched AUROC")
    assert "time since the start  0.50 always" in models
    assert "always" not in table


def test_long_names_are_wrapped_and_never_cut(boards: Path, show: Any) -> None:
    settings = [f"encoder[ppg].build.width_{k}=64" for k in range(5)]
    put(
        boards,
        "late-eeeeeeeeee",
        0.6,
        recipe={"preset": "small", "on_leaderboard": True, "assumed": [], "settings": settings},
    )
    text = show("--columns", "method,score,entry")
    assert max(map(len, text.splitlines())) <= 100
    assert "settings" in text
    text = show("--columns", "details,entry")
    assert max(map(len, text.splitlines())) <= 100
    assert all(setting in "".join(text.split()) for setting in settings)


def test_chosen_columns_and_another_metric(show: Any) -> None:
    lines = show("--columns", "method,time_s,auroc_high,id").splitlines()
    assert any(line.split()[:3] == ["method", "time", "auroc"] for line in lines)
    text = show("--metric", "auroc")
    assert "The score shown is AUROC" in text
    assert "0.70 (0.65 to 0.75)" in text
    assert "rank  " not in text


def test_boards_of_several_accesses_and_controls_alone(boards: Path, show: Any) -> None:
    assert "access" not in show("stress_predict")
    put(boards, "rest-ffffffffff", 0.55, access="baseline")
    lines = show("--target", "stress", "--protocol", "subject-independent-v4").splitlines()
    assert any("ffffffffff" in line for line in lines)
    told = " ".join(lines)
    assert "the same access to data of the test subjects and context: 3 (unlabelled); 1 (baseline)." in told
    confound_only = show("--filter", "kind=control")
    assert "time since the start" in confound_only
    assert "same access" not in confound_only
    assert "late" not in confound_only


def test_without_a_choice_it_says_a_line_for_each_board_and_how_to_see_one(show: Any) -> None:
    text = show()
    [line] = [line for line in text.splitlines() if line.startswith("Stress tasks or rest")]
    assert line.split()[-5:-1] == ["3", "3", "1", "(0)"]
    assert "95 of 100 such leaderboards would show no more than this many." in " ".join(text.split())
    assert "leaks" not in text
    assert "Not in this table: 1 leaderboard of other protocols" in text
    assert text.rstrip().endswith("embench leaderboard show stress_predict")
    assert "bbbbbbbbbb" in show("--all")


@pytest.mark.parametrize("width", [70, 140])
def test_columns_that_do_not_fit_are_left_out_and_named(
    boards: Path, show: Any, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    put(boards, "rest-ffffffffff", 0.55, access="baseline", evidence=None)
    text = show("stress_predict")
    assert max(map(len, text.splitlines())) <= width
    assert ("Columns without room here: " in text) == (width == 70)
    assert ("signals" in text) == (width == 140)
    assert any("SVM on" in line for line in text.splitlines()) == (width == 70)


def test_not_shown_stands_with_its_number(show: Any) -> None:
    table = show("--filter", "id=late-aaaaaaaaaa")
    assert "not shown" in table
    assert "(-0.05 to 0.05)" in table
    shown = show("--filter", "id=late-aaaaaaaaaa", "--columns", "movement")
    assert "not shown, partial r 0.00 (-0.05 to 0.05)" in shown


def test_csv_and_json_hold_all_rows_with_the_same_fields(show: Any) -> None:
    rows = json.loads(show("--format", "json"))
    table = list(csv.DictReader(io.StringIO(show("--format", "csv"))))
    assert len(rows) == len(table) == 6  # four methods, and a control of each board
    assert [list(row) for row in rows] == [list(row) for row in table]
    [row] = [row for row in rows if row["id"] == "svm-bbbbbbbbbb" and row["kind"] == "method"]
    assert (row["score"], row["score_low"], row["score_high"]) == (0.64, 0.59, pytest.approx(0.69))
    assert (row["auroc_crossed_matched"], row["modalities"], row["subjects"]) == (0.64, ["eda"], 24)
    assert (row["adjusted"], row["partial_r"], row["adjusted_level"]) == (True, 0.07, "movement")
    assert (row["chance"], row["movement"], row["protocol_phase"]) == ("yes", "yes", "yes")
    [leaking] = [row for row in rows if row["id"] == "late-dddddddddd" and row["kind"] == "method"]
    assert (leaking["adjusted"], leaking["seeds"]) == (None, ["0", "1", "2"])
    [line] = [line for line in table if line["id"] == "svm-bbbbbbbbbb" and line["kind"] == "method"]
    assert (line["leaks"], line["energy_j"], line["score"], line["adjusted"]) == ("no", "", "0.64", "yes")
    assert line["seeds"] == "0; 1; 2; 3; 4; 5"
    assert list(json.loads(show("--format", "json", "--columns", "id,score"))[0]) == ["id", "score"]
    assert json.loads(show("--format", "json", "--filter", "id=nothing")) == []
    assert "no entry matches" in show("--filter", "id=nothing")


def test_markdown_is_one_table_for_each_board(show: Any) -> None:
    lines = show("--format", "markdown", "--columns", "method,score").splitlines()
    assert lines[0] == "## stress_predict, subject-independent-v4, target stress"
    assert lines[2:5] == [
        "| method | Time-matched AUROC |",
        "| --- | --- |",
        r"| handcrafted features; SVM | 0.64 (0.59 to 0.69) |",
    ]


def test_what_readers_of_rows_add_is_shown(boards: Path) -> None:
    section = load_sections(boards)[0]
    row = replace(section.rows[0], evidence=Backing("reproduced", "a lab", "2026-11-30"), suspicious=True)
    found = flatten_row(section, row)
    assert (found["evidence"], found["evidence_by"], found["evidence_on"]) == ("reproduced", "a lab", "2026-11-30")
    assert found["suspicious"]


@pytest.mark.slow
def test_published_boards_fit_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    datasets = ("eegmat", "hku956", "stress_predict", "wearable_stress")
    chosen = {f"{dataset}/subject-independent-v4": ["*-0*"] for dataset in datasets}
    some = link_entries(tmp_path, chosen)
    assert main(["leaderboard", "show", "--leaderboards", str(some)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100


def test_a_board_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="dataset"):
        select_sections([], dataset="amigos")
