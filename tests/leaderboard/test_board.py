"""Leaderboards: which rows are ranked, what is next to the rank, and that the pages depend on the entries alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench import registry
from embench.cli import main
from embench.errors import CheckFailed, DataError
from embench.leaderboard import build_leaderboards, find_finished_runs, load_sections, publish_runs
from embench.leaderboard.columns import COST_FIELDS, columns
from embench.leaderboard.entries import Backing
from embench.records.predictions import ANY_SEED, Labels, Predictions

from ..packages import installing
from .conftest import attest
from .made_up import put


def ranks(root: Path) -> dict[str, tuple[int, int] | None]:
    [section] = load_sections(root)
    return {row.id: row.rank for row in section.rows if row.is_method}


def test_ranked_by_the_headline_alone(tmp_path: Path) -> None:
    for run_id, mean in (("a", 0.3), ("b", 0.9), ("c", 0.6)):
        put(tmp_path, run_id, mean)
    assert ranks(tmp_path) == {"b": (1, 1), "c": (2, 2), "a": (3, 3)}


def test_rows_that_cannot_be_told_apart_share_ranks_and_the_lead_stands_beside_luck(tmp_path: Path) -> None:
    for run_id, mean in (("a", 0.58), ("b", 0.66), ("c", 0.6), ("d", 0.2)):
        put(tmp_path, run_id, mean)
    assert list(ranks(tmp_path).items()) == [("b", (1, 3)), ("c", (1, 3)), ("a", (1, 3)), ("d", (4, 4))]
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if "late fusion" in line]
    assert rows == ["1-3", "1-3", "1-3", "4"]
    assert (
        "The first of 4 ranked methods is 0.150 above their mean; by chance, the best of 4 equal methods would be at "
        "most 0.0" in page
    )


def test_each_access_has_a_ranking_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.7, access="none")
    put(tmp_path, "b", 0.66)
    put(tmp_path, "c", 0.65, access="none")
    assert list(ranks(tmp_path).items()) == [("a", (1, 2)), ("b", (1, 1)), ("c", (1, 2))]
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "same access to data of the test subjects and context: 2 (none); 1 (unlabelled)." in page


def test_what_cannot_be_compared_has_no_rank_and_says_why(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.9, overlap="labelled_target")
    put(tmp_path, "b", None)
    put(tmp_path, "c", 0.6)
    assert ranks(tmp_path) == {"c": (1, 1), "a": None, "b": None}
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "(pretrained on labels of the test subjects)" in page
    assert "(primary metric not estimable)" in page


def test_weights_of_unknown_origin_have_no_rank(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.9, overlap="unknown", config={"pretrained": {"ppg": "0123456789ab"}})
    put(tmp_path, "b", 0.6)
    assert ranks(tmp_path) == {"b": (1, 1), "a": None}
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "| (pretrained on unknown subjects) |" in page
    assert "; started from weights 01234567; pretraining overlap: unknown |" in page


def test_seeds_of_ones_choice_have_no_rank(tmp_path: Path) -> None:
    put(tmp_path, "lucky", 0.9, seeds=[7])
    put(tmp_path, "more", 0.8, seeds=[0, 1, 2, 3])
    put(tmp_path, "a", 0.6, dev_evaluations={"stress": 12})
    assert ranks(tmp_path) == {"a": (1, 1), "lucky": None, "more": None}
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "| (seeds 7 instead of 0, 1, 2 or 0 to 5 or 0 to 4) |" in page
    [section] = load_sections(tmp_path)
    assert "3 / 2 / 12" in [columns()["test_evaluations"].text(row) for row in section.methods]


def test_the_method_says_what_sets_a_run_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"train_dataset": "embench_plugins/case", "drop": ["eda"], "label_subjects": 3, "pretrained": {}}
    config |= {"label_noise": 0.1}  # an option of tomorrow, for which nobody wrote a sentence
    recipe = {
        "preset": "small",
        "on_leaderboard": True,
        "assumed": [],
        "settings": ["fusion.lr=1e-4", "fusion.batch=8"],
    }
    put(tmp_path, "a", 0.6, config=config, recipe=recipe)
    put(tmp_path, "b", 0.5, config=dict.fromkeys(config))
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    method = "CNN-Transformer; late fusion; pretrained by masked-value pretraining"
    text = "trained on case; labels of 3 subjects; tested without eda; label noise 0.1; changed settings"
    assert f"| {method}; {text} |" in page
    assert f"| {method} |" in page
    away, _ = (section.methods[0] for section in reversed(load_sections(tmp_path)))
    assert "--set fusion.lr=1e-4; --set fusion.batch=8" in away.details
    assert main(["leaderboard", "show", "stress_predict", "--leaderboards", str(tmp_path)]) == 0
    assert "trained on case" in capsys.readouterr().out


def test_a_plugin_that_is_not_bundled_is_named_with_its_conformance(tmp_path: Path) -> None:
    method = {
        "encoders": {"ppg": "acme/wavelets"},
        "fusion": "acme/mine",
        "pretrainers": ["embench_plugins/masked_value"],
        "modalities": ["ppg"],
    }
    put(tmp_path, "a", 0.7, method=method, conformance={"fusion": "passed"})
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "; fusion is not bundled, conformance ... |" in page
    [section] = load_sections(tmp_path)
    said = "encoder[ppg] is not bundled, conformance not checked; fusion is not bundled, conformance passed"
    assert said in section.methods[0].details
    put(tmp_path, "b", 0.8, method=method, conformance={"fusion": "failed: its scores are not finite"})
    with pytest.raises(CheckFailed, match=r"its fusion does not pass the conformance checks \(failed: its scores"):
        build_leaderboards(tmp_path)


def test_rows_of_a_protocol_that_leaks_are_marked_and_never_ranked(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.99, leaks=True)
    put(tmp_path, "b", 0.6)
    honest, leaking = load_sections(tmp_path)
    assert (honest.protocol, leaking.protocol) == ("subject-independent-v4", "segment-random-legacy")
    assert [row.rank for row in leaking.rows] == [None, None]
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "1 method: nothing can be concluded, since training has seen part of the test data." in page
    assert "0.99" not in (tmp_path / "README.md").read_text()


def test_a_papers_score_that_depends_on_a_cut_orders_rows_and_never_ranks_them(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.6, primary_metric="accuracy")
    put(tmp_path, "b", 0.7, primary_metric="accuracy")
    [section] = load_sections(tmp_path)
    assert [(row.id, row.rank) for row in section.rows if row.is_method] == [
        ("b", None),
        ("a", None),
    ]
    build_leaderboards(tmp_path)
    assert (
        "| (the primary metric depends on a decision threshold) |"
        in (tmp_path / "stress_predict" / "README.md").read_text()
    )


def test_an_error_orders_rows_from_the_least_and_never_ranks_them(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.6, primary_metric="rmse")
    put(tmp_path, "b", 0.7, primary_metric="rmse")
    [section] = load_sections(tmp_path)
    assert [(row.id, row.rank) for row in section.methods] == [("a", None), ("b", None)]
    assert section.methods[0].marks == ("the primary metric is an error, which also rewards knowledge of the subject",)


def test_no_metric_of_a_package_ranks_that_depends_on_a_cut_or_is_not_installed(tmp_path: Path, site: Path) -> None:
    installing.install("embench_faulty", site)
    registry.refresh()
    put(tmp_path, "a", 0.6, primary_metric="embench_faulty/out_of_range")
    put(tmp_path, "b", 0.7, primary_metric="nowhere/kappa")
    [section] = load_sections(tmp_path)
    assert {row.id: row.marks for row in section.methods} == {
        "a": ("the primary metric depends on a decision threshold",),
        "b": ("the primary metric is not installed",),
    }


def test_controls_stand_beside_without_a_rank(tmp_path: Path) -> None:
    put(tmp_path, "a", subjects=20)
    put(tmp_path, "b", subjects=24)
    put(tmp_path, "c", subjects=24, seeds=[*range(10)])
    [section] = load_sections(tmp_path)
    [control] = section.confound_only
    assert (control.control, control.rank, control.id) == ("elapsed_time", None, "c")  # of most subjects and seeds
    auroc = control.scores["auroc"]
    assert auroc
    assert auroc.mean == pytest.approx(0.9424)


def test_a_row_shows_all_that_a_reader_needs(tmp_path: Path) -> None:
    put(tmp_path, "a", 0.612)
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    [row] = [line for line in page.splitlines() if "[a]" in line and "late fusion" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "1", "CNN-Transformer; late fusion; pretrained by masked-value pretraining", "PPG, EDA",
        "0.61 (0.56 to 0.66)", "yes", *["not shown, partial r 0.00 (-0.05 to 0.05)"] * 2,
        "not audited", "reproduced by A. Reader, 2026-11-22", "[a](subject-independent-v4/a)",
    ]  # fmt: skip
    [section] = load_sections(tmp_path)
    texts = [
        columns()[name].text(section.methods[0]) for name in ("recipe", "subjects", *COST_FIELDS, "test_evaluations")
    ]
    assert texts == [
        "small (1 assumed)", "24", "2 min, cpu", "1.25 M", "not measured", "not measured", "not measured", "3 / 2 / —",
    ]  # fmt: skip
    [head] = [line for line in page.splitlines() if line.startswith("| rank ")]
    assert "**Time-matched AUROC**" in head
    assert "| time since the start | 0.50 always |" in page


def test_pages_depend_on_the_entries_alone(tmp_path: Path) -> None:
    for root, order in ((tmp_path / "one", "abc"), (tmp_path / "other", "cba")):
        for run_id in order:
            put(root, run_id, 0.6)
        build_leaderboards(root)
    written = build_leaderboards(tmp_path / "one")
    assert [p.relative_to(tmp_path / "one").as_posix() for p in written] == ["stress_predict/README.md", "README.md"]
    for path in written:
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "one")).read_bytes()


def test_the_front_page_has_a_line_for_each_question(tmp_path: Path) -> None:
    assert [p.name for p in build_leaderboards(tmp_path)] == ["README.md"]
    assert "No entries yet." in (tmp_path / "README.md").read_text()
    put(tmp_path, "a", 0.61)
    build_leaderboards(tmp_path)
    front = (tmp_path / "README.md").read_text()
    assert "[Stress tasks or rest, from a wristband? Stress-Predict](stress_predict/README.md)" in front
    assert "| 1 | 1 | 0 (0) | 0 |" in front


def test_rows_trained_on_another_dataset_are_ranked_among_themselves(tmp_path: Path) -> None:
    for run_id, mean, source in (("home", 0.6, None), ("away", 0.7, "embench_plugins/case"), ("far", 0.65, "own/mine")):
        put(tmp_path, run_id, mean, config={"train_dataset": source, "pretrained": {}})
    found = {s.trained_on: [r.id for r in s.rows if r.is_method] for s in load_sections(tmp_path)}
    assert found == {None: ["home"], "case": ["away"], "own-mine": ["far"]}
    page, front = (path.read_text() for path in build_leaderboards(tmp_path))
    assert "## stress, subject-independent-v4, trained on case\n" in page
    assert "(stress_predict/README.md), stress, subject-independent-v4, trained on case\n" in front


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": {"name": "stress_predict", "fingerprint": "f", "synthetic": {"effect": 1.0}}},
        {"dev": True},
        {"recipe": {"preset": "quick", "on_leaderboard": False, "assumed": []}},
    ],
)
def test_entries_that_may_not_be_there_stop_the_board(tmp_path: Path, changed: dict[str, Any]) -> None:
    put(tmp_path, "a", **changed)
    with pytest.raises(CheckFailed, match="cannot be on a leaderboard"):
        build_leaderboards(tmp_path)


def test_misplaced_and_damaged_entries_are_named(tmp_path: Path) -> None:
    folder = put(tmp_path, "a")
    moved = folder.rename(folder.with_name("b"))
    with pytest.raises(DataError, match="wrong folder") as error:
        build_leaderboards(tmp_path)
    assert error.value.where == str(moved)
    moved.rename(folder)
    (folder / "scores.json").write_text("{}")
    with pytest.raises(DataError, match="the file has no schema"):
        build_leaderboards(tmp_path)


def test_an_entry_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, ".b.new123", attested=False)
    assert ranks(tmp_path) == {"a": (1, 1)}


def a_run(root: Path, run_id: str, **changed: Any) -> Path:
    """What a run leaves in its folder, `root`/<dataset>/<run-id>."""
    folder = put(root / "made", run_id, **changed).rename(root / run_id)
    (root / "runs" / "stress_predict").mkdir(parents=True, exist_ok=True)
    folder = folder.rename(root / "runs" / "stress_predict" / run_id)
    row = {"method": "model", "target": "stress", "fold": 0, "seed": 0, "subject": "S02", "recording": "S02"}
    row |= {"stimulus": "session", "unit": "S02:0-10000", "start_s": 0.0, "score": 0.5, "decision": 1.0}
    Predictions({name: np.array([value]) for name, value in row.items()}).write(folder / "predictions.csv.gz")
    label = {"subject": "S02", "recording": "S02", "unit": "S02:0-10000", "target": "stress", "seed": ANY_SEED}
    Labels({name: np.array([value]) for name, value in {**label, "raw": 1.0, "label": 1.0}.items()}).write(
        folder / "labels.csv.gz"
    )
    (folder / "folds.csv").write_text("subject,group,fold,role,seed,reason\nS02,S02,0,test,0,\n")
    return folder


def key_of(_: str) -> bytes:
    raise AssertionError("public labels need no key")


def test_runs_that_may_stand_on_a_board_are_published(tmp_path: Path) -> None:
    a_run(tmp_path, "a")
    tried = a_run(tmp_path, "b", dev=True)
    entries, refused = publish_runs(find_finished_runs(tmp_path / "runs"), tmp_path / "boards", key_of)
    assert entries == [tmp_path / "boards" / "stress_predict" / "subject-independent-v4" / "a"]
    assert refused == {tried: ["it scored validation subjects (--dev)"]}
    assert ranks(tmp_path / "boards") == {"a": None}  # until somebody else has run it
    attest(entries[0], compared=["confound_only"])
    assert ranks(tmp_path / "boards") == {"a": (1, 1)}


def test_publishing_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs that were made up are published, and then refused, as any entry that does not follow from its files."""
    a_run(tmp_path, "a")
    a_run(tmp_path, "b", dev=True)
    line = ["leaderboard", "build", "--from", str(tmp_path / "runs"), "--leaderboards", str(tmp_path / "boards")]
    assert main(line) == 1
    out, err = capsys.readouterr()
    assert "subject-independent-v4/a" in out
    assert "validation subjects" in err
    assert "does not follow from its own files: " in err
    assert not (tmp_path / "boards" / "stress_predict" / "README.md").exists()
    assert main([*line[:3], str(tmp_path / "nothing")]) == 3


def test_looks_without_the_seal_of_the_ledger_are_unknown(tmp_path: Path) -> None:
    put(tmp_path, "a", ledger=None)
    [section] = load_sections(tmp_path)
    assert columns()["test_evaluations"].text(section.methods[0]) == "not recorded"


def test_rows_that_nobody_else_has_run_have_no_rank_and_are_in_order(tmp_path: Path) -> None:
    put(tmp_path, "self", 0.9, attested=False)
    attest(put(tmp_path, "checked", 0.8, attested=False), "verified")
    put(tmp_path, "low", 0.66)
    put(tmp_path, "high", 0.7)
    in_order = [("self", None), ("checked", None), ("high", (1, 2)), ("low", (1, 2))]
    assert list(ranks(tmp_path).items()) == in_order
    [section] = load_sections(tmp_path)
    rows = {row.id: row for row in section.rows if row.is_method}
    assert [rows[name].marks for name in ("self", "checked", "low")] == [("self-reported",), ("verified",), ()]
    assert rows["checked"].evidence == Backing("verified", "A. Reader", "2026-11-22")
    assert (rows["high"].letters, rows["self"].letters) == ("a", "")
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "| (self-reported) | CNN-Transformer; late fusion" in page


def test_the_highest_attestation_that_is_of_the_entry_as_it_is_counts(tmp_path: Path) -> None:
    folder = put(tmp_path, "a", attested=False)
    attest(folder, "verified", "First Reader")
    attest(folder, "reproduced", "Second Reader")
    assert attest(folder, "verified", "Second Reader").read_text().count('"reproduced"') == 1  # it is not lowered
    assert ranks(tmp_path) == {"a": (1, 1)}
    put(tmp_path, "a", 0.95, attested=False)  # its author changes it
    assert ranks(tmp_path) == {"a": None}
    [section] = load_sections(tmp_path)
    assert section.rows[0].evidence.level == "self_reported"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"level": "best"}, "level: Input should be"),
        ({"by": "Somebody Else"}, "is not what its file name says"),
        (
            {"nonce": {"value": "1", "source": "nonces.json", "time": "2026-11-01T00:00:00Z"}},
            "a spot check has a nonce",
        ),
        ({"level": "spot_checked", "nonce": {"value": "1"}}, r"nonce\.source: Field required"),
        ({"extra": 1}, "extra: unknown key"),
    ],
)
def test_a_wrong_attestation_stops_the_board(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = attest(put(tmp_path, "a", attested=False), "verified")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((CheckFailed, DataError), match=says) as error:
        load_sections(tmp_path)
    assert str(path) == error.value.where


def test_the_share_of_repaired_units_is_a_column_that_is_blank_where_an_entry_does_not_say_it(tmp_path: Path) -> None:
    cohort = {"subjects": 24, "left_out": []}
    put(tmp_path, "a", 0.61)
    put(tmp_path, "b", 0.62, cohort={**cohort, "repaired": 0.1234})
    put(tmp_path, "c", 0.63, cohort={**cohort, "repaired": 0.0})
    [section] = load_sections(tmp_path)
    column = columns()["repaired"]
    shown = {row.id: (column.value(row), column.text(row)) for row in section.methods}
    assert shown == {"a": (None, ""), "b": (0.1234, "12 %"), "c": (0.0, "0 %")}
    assert {column.text(row) for row in section.confound_only} == {""}
    build_leaderboards(tmp_path)
    assert "12 %" not in (tmp_path / "stress_predict" / "README.md").read_text()
