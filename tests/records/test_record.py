"""The run's folder and what of it may be published."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench.errors import CheckFailed, DataError, MachineError
from embench.interfaces.units import Target
from embench.leaderboard.entries import export_entry
from embench.protocols import load_protocol
from embench.records.manifest import SCHEMA
from embench.records.record import Record, board_name, read_manifest, read_record, write_record
from embench.statistics.scores import compute_scores

RUN: dict[str, Any] = {
    "id": "20f1ab",
    "embench_version": "0.1.0",
    "dataset": {"name": "embench_plugins/stress_predict", "fingerprint": "f" * 64, "synthetic": None},
    "protocol": {"name": "subject-independent-v4", "version": 2, "hash": "a" * 64, "leaks": False},
    "card": {"labels_public": "yes", "fixed_order": False, "label_rules_hash": "b" * 64},
    "method": {
        "encoders": {"ppg": "embench_plugins/cnn_tf"},
        "fusion": "embench_plugins/single",
        "pretrainers": [],
        "modalities": ["ppg"],
    },
    "recipe": {"preset": "small", "on_leaderboard": True, "assumed": ["batch"]},
    "targets": ["stress"],
    "seeds": [0, 1],
    "cohort": {"subjects": 12, "left_out": [], "design": "free"},
    "target_access": "unlabelled",
    "pretraining_overlap": "none",
    "dev": False,
    "cost": {"wall_seconds": 75.0, "parameters": 1200, "flops": None, "device": "cpu", "peak_memory_mb": None},
    "test_evaluations": 1,
    "methods_evaluated": 1,
    "versions": {"torch": "2.13.0"},
    "device": {"kind": "cpu"},
    "config": {"dataset": "stress_predict"},
}

RULE = {"name": "stress", "kind": "binary", "label": "stress", "n": 2, "rule": {}}


def changed(path: str, value: Any) -> dict[str, Any]:
    run = copy.deepcopy(RUN)
    *parents, last = path.split(".")
    part = run
    for name in parents:
        part = part[name]
    part[last] = value
    return run


def dumped(run: dict[str, Any]) -> str:
    """The text of its run.yaml."""
    return yaml.safe_dump({"schema": SCHEMA, **run})


@pytest.fixture
def record(make_run: Callable[..., Any], binary: Target) -> Record:
    run = make_run()
    scores = compute_scores(
        run.predictions,
        run.labels,
        targets=[binary],
        protocol=load_protocol("subject-independent-v4"),
        design="free",
        groups=run.groups,
        unit_length_s=10.0,
    )
    folds = [{"subject": p, "group": g, "fold": 0, "role": "test", "seed": 0} for p, g in run.groups.items()]
    history = [{"stage": "unimodal", "epoch": 0, "loss": 0.5}, {"stage": "fusion", "epoch": 0, "accuracy": 0.7}]
    return Record(RUN, run.predictions, run.labels, folds, scores, history)


def but(record: Record, run: dict[str, Any]) -> Record:
    return Record(run, record.predictions, record.labels, record.folds, record.scores)


def test_comes_back_as_it_was(tmp_path: Path, record: Record) -> None:
    weights = tmp_path / "run" / "weights"
    weights.mkdir(parents=True)
    write_record(tmp_path / "run", record)
    again = read_record(tmp_path / "run")
    assert again.run == record.run
    assert again.scores == record.scores
    assert again.groups == record.groups
    assert again.history[1] == {"stage": "fusion", "epoch": "0", "loss": "", "accuracy": "0.7"}
    assert again.labels is not None
    assert again.labels.lines() == record.labels.lines()  # type: ignore[union-attr]
    assert weights.exists()
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]


def test_scores_can_be_made_again_from_the_folder(tmp_path: Path, record: Record, binary: Target) -> None:
    write_record(tmp_path / "run", record)
    again = read_record(tmp_path / "run")
    assert again.labels is not None
    scores = compute_scores(
        again.predictions,
        again.labels,
        targets=[binary],
        protocol=load_protocol(again.run["protocol"]["name"]),
        design=again.run["cohort"]["design"],
        groups=again.groups,
        unit_length_s=10.0,
    )
    assert scores == again.scores


def test_written_twice_the_bytes_are_the_same(tmp_path: Path, record: Record) -> None:
    for name in ("one", "other"):
        write_record(tmp_path / name, record)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_a_folder_whose_writing_failed_is_no_record(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(tmp_path, record)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embench.records.record.write_text", full)
    with pytest.raises(MachineError, match="No space left on device"):
        write_record(tmp_path, record)
    with pytest.raises(DataError, match="missing"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "does not describe a run"),
        ("a: [", "is not YAML"),
        (dumped({k: v for k, v in RUN.items() if k != "seeds"}), "seeds: Field required"),
        (dumped(changed("card.labels_public", "perhaps")), "card.labels_public"),
        (dumped(changed("card.label_rules", [{"name": "x"}])), r"card\.label_rules\.0\.kind"),
        (dumped(changed("card.label_rules", [{**RULE, "n": "two"}])), r"card\.label_rules\.0\.n"),
        (dumped(changed("card.label_rules", [{**RULE, "rule": {"dead_band": "a-b"}}])), r"rule\.dead_band"),
        (dumped(changed("card.label_rules", [{**RULE, "rule": {"cut": [1]}}])), r"rule\.cut"),
    ],
)
def test_a_run_that_breaks_the_schema_is_refused(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(DataError, match=text) as error:
        read_manifest(tmp_path)
    assert error.value.where == str(tmp_path / "run.yaml")


def test_a_record_without_a_needed_field_is_not_written(tmp_path: Path, record: Record) -> None:
    with pytest.raises(DataError, match=r"dataset\.fingerprint"):
        write_record(tmp_path / "run", but(record, changed("dataset", {"name": "amigos", "synthetic": None})))
    assert not (tmp_path / "run").exists()


def test_an_entry_is_the_part_that_may_be_published(tmp_path: Path, record: Record) -> None:
    write_record(tmp_path / "run", record)
    entry = export_entry(tmp_path / "run", tmp_path / "boards", key=lambda _: b"digest")
    assert entry == tmp_path / "boards" / "stress_predict" / "subject-independent-v4" / "20f1ab"
    assert {p.name for p in entry.iterdir()} == {"run.yaml", "predictions.npz", "scores.json", "summands.json"}
    kinds = {p.name.split("-")[0] for p in (tmp_path / "boards" / "stress_predict" / "shared").iterdir()}
    assert kinds == {"rows", "labels", "folds", "confound_only", "confound_only_scores"}
    assert export_entry(tmp_path / "run", tmp_path / "boards", key=lambda _: b"digest") == entry  # replaces it
    assert [p.name for p in entry.parent.iterdir()] == ["20f1ab"]


def test_an_entry_names_no_place_on_the_machine_it_came_from(tmp_path: Path, record: Record) -> None:
    request = {"dataset": "stress_predict", "data_root": "/home/ada/data", "runs": "/home/ada/runs", "pretrained": None}
    write_record(tmp_path / "run", but(record, changed("config", {"dataset": "stress_predict", "request": request})))
    entry = export_entry(tmp_path / "run", tmp_path / "boards", key=lambda _: b"digest")
    assert "/home/ada" in (tmp_path / "run" / "run.yaml").read_text()
    assert "/home/ada" not in (entry / "run.yaml").read_text()
    assert read_record(entry).run["config"]["request"] == {"dataset": "stress_predict"}


def test_an_entry_holds_all_that_its_scores_come_from(tmp_path: Path, record: Record, binary: Target) -> None:
    write_record(tmp_path / "run", record)
    entry = export_entry(tmp_path / "run", tmp_path / "boards", key=lambda _: b"digest")
    published = read_record(entry)
    assert published.labels is not None
    again = compute_scores(
        published.predictions,
        published.labels,
        targets=[binary],
        protocol=load_protocol("subject-independent-v4"),
        design="free",
        groups=published.groups,
        unit_length_s=10.0,
    )
    assert again == record.scores
    assert published.scores == {name: part for name, part in record.scores.items() if name != "folds"}


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("dataset.synthetic", {"effect": 1.0}, "synthetic"),
        ("dev", True, "--dev"),
        ("recipe.preset", "quick", "quick"),
        ("recipe.on_leaderboard", False, "never enters a leaderboard"),
    ],
)
def test_what_may_not_be_published_is_refused(tmp_path: Path, record: Record, path: str, value: Any, text: str) -> None:
    write_record(tmp_path / "run", but(record, changed(path, value)))
    with pytest.raises(CheckFailed, match=text):
        export_entry(tmp_path / "run", tmp_path / "boards", key=lambda _: b"digest")
    assert not (tmp_path / "boards").exists()


def test_boards_are_named_after_datasets() -> None:
    names = ["amigos", "embench_plugins/amigos", "embench_plugins/amigos/long", "other/thing"]
    assert [board_name(name) for name in names] == ["amigos", "amigos", "amigos-long", "other-thing"]
