"""An entry that somebody edited is refused when tables are built, with the file and the field; an honest one is not."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embench.cli import main
from embench.errors import CheckFailed
from embench.files import digest, parse_yaml
from embench.interfaces.units import Target
from embench.leaderboard.entries import export_entry
from embench.leaderboard.rows import load_entry_summaries
from embench.leaderboard.verify import find_wrong_scores, verify_entries
from embench.protocols import Design, Protocol, load_protocol
from embench.records.predictions import MODEL, Predictions
from embench.records.record import PREDICTIONS_FILE, Record, as_yaml, read_numbers, write_numbers, write_record
from embench.records.scores import Scores
from embench.statistics import evaluation
from embench.statistics.scores import compute_scores

from ..records.test_record import RUN
from ..tiny import scored

PROTOCOL = load_protocol("subject-independent-v4")
RULES = [{"name": "stress", "kind": "binary", "label": "stress", "n": 2, "rule": {}}]

Edit = Callable[[Any], object]


def made_record(
    made: Any, target: Target, design: Design = "shared_stimuli", *, protocol: Protocol = PROTOCOL
) -> Record:
    """A run of a package that is not installed here, as `embench run` writes it."""
    run = copy.deepcopy(RUN) | {"id": "cnn_tf-single-0123456789", "target_access": protocol.target_access}
    run["dataset"] |= {"name": "acme/own", "files": "0" * 32}
    run["protocol"]["hash"] = protocol.hash
    run["card"] |= {"label_rules": RULES, "label_rules_hash": digest(RULES)}
    run["cohort"] |= {"design": design, "subjects": sorted(set(made.predictions["subject"].tolist()))}
    run["scoring"] = evaluation.scoring_identity()
    parts = {"encoder[ppg]": {"plugin": "embench_plugins/cnn_tf"}, "fusion": {"plugin": "embench_plugins/single"}}
    run["config"] = {"parts": parts, "preset": "small", "modalities": ["ppg"], "seeds": [0, 1]}
    scores = compute_scores(
        made.predictions, made.labels, targets=[target], protocol=protocol, design=design,
        groups=made.groups, unit_length_s=10.0,
    )  # fmt: skip
    model = made.predictions.take(made.predictions["method"] == MODEL)
    tests = sorted(set(zip(*(model[name].tolist() for name in ("seed", "fold", "subject")), strict=True)))
    folds = [
        {"subject": who, "group": who, "fold": str(fold), "role": "test", "seed": str(seed), "reason": ""}
        for seed, fold, who in tests
    ]
    asked = {"adjusted": {target.name: {"undefined": {"id": "hidden_times"}}}, "coverage": {target.name: 1.0}}
    return Record(run, made.predictions, made.labels, folds, Scores({**scores, **asked}))


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """A record, and the folder in which it was published."""
    root, record = tmp_path_factory.mktemp("honest"), made_record(scored._run(strength=0.5), scored.BINARY)
    publish(root, record)
    return record, root


@pytest.fixture
def record(honest: tuple[Record, Path]) -> Record:
    return copy.deepcopy(honest[0])


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, honest: tuple[Record, Path]) -> Path:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(honest[1], tmp_path, dirs_exist_ok=True)
    [entry] = (tmp_path / "boards").glob("*/*/*/run.yaml")
    return entry.parent


def publish(root: Path, record: Record) -> Path:
    folder = root / "runs" / record.run["id"]
    write_record(folder, record)
    return export_entry(folder, root / "boards", key=lambda _: b"digest")


def verify(folder: Path) -> None:
    verify_entries(load_entry_summaries(folder.parents[2]))


def edit(path: Path, change: Edit) -> None:
    content = parse_yaml(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
    change(content)
    path.write_text(as_yaml(content) if path.suffix == ".yaml" else json.dumps(content, indent=1) + "\n")


def test_an_honest_entry_is_verified_once(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verify(published)
    done: list[int] = []
    monkeypatch.setattr("embench.leaderboard.verify.recompute", done.append)
    verify_entries(load_entry_summaries(published.parents[2]), lambda *step: done.append(step[0]))
    assert not done  # remembered by its content, and no part of the progress


def of_stress(scores: Any) -> Any:
    return scores["scores"]["stress"]


SCORES: dict[str, tuple[Edit, str]] = {
    "mean": (lambda s: of_stress(s)["auroc_crossed"].update(mean=0.95), "scores.stress.auroc_crossed.mean"),
    "of another metric": (lambda s: of_stress(s)["auroc"].update(mean=0.95), "scores.stress.auroc.mean"),
    "low": (lambda s: of_stress(s)["auroc_crossed"].update(low=0.577), "scores.stress.auroc_crossed.low"),
    "undefined": (lambda s: of_stress(s).update(auroc={"undefined": "no"}), "scores.stress.auroc"),
    "left out": (lambda s: of_stress(s).pop("auroc"), "scores.stress.auroc: nothing"),
    "primary_metric": (lambda s: s["primary_metrics"].update(stress="auroc"), "primary_metrics.stress: auroc, but"),
    "level": (lambda s: s.update(level=0.5), "level: 0.5"),
}


@pytest.mark.parametrize("name", SCORES)
def test_edited_scores_are_refused(published: Path, name: str) -> None:
    change, place = SCORES[name]
    edit(published / "scores.json", change)
    with pytest.raises(CheckFailed) as refused:
        verify(published)
    assert f"scores.json: {place}" in str(refused.value)
    assert published.name in str(refused.value)


def test_only_scores_of_metrics_that_one_side_lacks_are_passed_over(
    make_run: Callable[..., Any], binary: Target
) -> None:
    """Not those of a primary metric that a plugin computes, nor of a bundled metric, which the record had, too."""
    record = made_record(make_run(strength=0.5), binary, design="free")
    edited, metrics = copy.deepcopy(record.scores), record.run["scoring"]["metrics"]
    assert edited["primary_metrics"] == {"stress": "auroc_within"}
    metrics["foreign"] = "of a package that is not installed here"
    of_stress(edited)["foreign"] = {"mean": 0.5}
    assert not list(find_wrong_scores(replace(record, scores=edited), record.scores))
    del metrics["brier"], of_stress(edited)["brier"]
    of_stress(edited)["auroc_within"]["mean"] = 0.95
    del metrics["auroc"], metrics["mcc"]
    of_stress(edited)["auroc"]["mean"] = 0.95
    of_stress(edited)["mcc"] = {"undefined": "no"}
    found = [difference.place for difference in find_wrong_scores(replace(record, scores=edited), record.scores)]
    names = {place.removeprefix("scores.stress.") for place in found}
    assert {"auroc_within.mean", "auroc.mean", "mcc.mean", "brier"} <= names


LAB = {"name": "lab/net", "licence": "MIT", "source": "https://example.org", "declared": True}


def two_folds() -> dict[str, Any]:
    rules: dict[str, Any] = PROTOCOL.model_dump(mode="json", exclude_none=True)
    return {**rules, "split": {**rules["split"], "folds": 2}}


STATEMENTS: dict[str, tuple[Edit, str]] = {
    "rules": (lambda r: r["protocol"].update(rules=two_folds()), "protocol.rules"),
    "hash": (lambda r: r["protocol"].update(hash="0" * 64), "protocol.rules"),
    "leaks": (lambda r: r["protocol"].update(leaks=True), "protocol.leaks or target_access"),
    "access": (lambda r: r.update(target_access="none"), "protocol.leaks or target_access"),
    "fusion": (lambda r: r["method"].update(fusion="embench_plugins/late"), "method.fusion: embench_plugins/late"),
    "encoder": (lambda r: r["method"]["encoders"].update(ppg="embench_plugins/tcn"), "method.encoders.ppg"),
    "both": (
        lambda r: (
            r["method"].update(fusion="embench_plugins/late"),
            r["config"]["parts"]["fusion"].update(plugin="embench_plugins/late"),
        ),
        "id: cnn_tf-single-0123456789 does not name the method",
    ),
    "seeds": (lambda r: r.update(seeds=[0, 1, 2]), "config.seeds"),
    "preset": (lambda r: r["recipe"].update(preset="paper"), "config.preset"),
    "design": (lambda r: r["cohort"].update(design="free"), "cohort.design: free"),
    "weights of nobody": (
        lambda r: r["config"]["parts"]["encoder[ppg]"].update(assets={"model.safetensors": "0" * 64}),
        "pretraining_overlap: none, but the weights of ppg saw unknown",
    ),
    "weights that saw": (
        lambda r: (
            r["config"]["parts"]["encoder[ppg]"].update(assets={"model.safetensors": "0" * 64}),
            r.update(weights={"ppg": {**LAB, "saw": "labelled"}}),
        ),
        "pretraining_overlap: none, but the weights of ppg saw labelled_target",
    ),
    "subject": (lambda r: r["cohort"]["subjects"].remove("s00"), "cohort: s00"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_edited_statements_are_refused(published: Path, name: str) -> None:
    change, place = STATEMENTS[name]
    edit(published / "run.yaml", change)
    with pytest.raises(CheckFailed) as refused:
        verify(published)
    assert f"run.yaml: {place}" in str(refused.value)


def test_another_design_is_refused_though_scores_follow_from_it(tmp_path: Path, record: Record) -> None:
    """Of free designs the primary metric is the score within subjects, which films learned by heart raise."""
    free = replace(record, run={**record.run, "cohort": {**record.run["cohort"], "design": "free"}})
    folder = publish(tmp_path, free)
    with pytest.raises(CheckFailed, match=r"cohort\.design: free"):
        verify(folder)


def test_predictions_moved_towards_the_labels_are_refused(published: Path) -> None:
    numbers = read_numbers(published / PREDICTIONS_FILE)
    write_numbers(published / PREDICTIONS_FILE, {**numbers, "score": np.sqrt(numbers["score"])})
    with pytest.raises(CheckFailed, match=r"scores\.json: scores\.stress"):
        verify(published)


def test_a_subject_in_another_fold_is_refused(tmp_path: Path, record: Record) -> None:
    folds = [{**row, "fold": "3"} if row["subject"] == "s00" else row for row in record.folds]
    with pytest.raises(CheckFailed, match="s00 was predicted in fold"):
        verify(publish(tmp_path, replace(record, folds=folds)))


def test_summands_by_which_rows_are_ranked_are_computed_again(published: Path) -> None:
    edit(published / "summands.json", lambda kept: next(iter(kept.values())).update(subjects=["s00"]))
    with pytest.raises(CheckFailed, match=r"summands\.json: stress"):
        verify(published)


def test_a_public_dataset_cannot_be_called_private(tmp_path: Path, record: Record) -> None:
    run = copy.deepcopy(record.run)
    run["dataset"]["name"], run["card"]["labels_public"] = "embench_plugins/stress_predict", "no"
    folder = publish(tmp_path, replace(record, run=run))
    with pytest.raises(CheckFailed, match=r"run\.yaml: card\.labels_public: no, but it follows yes"):
        verify(folder)


def test_better_predictions_that_were_scored_anew_pass(tmp_path: Path, record: Record, binary: Target) -> None:
    """Only another run can show that no method predicted them."""
    p = record.predictions
    assert record.labels is not None
    of = dict(zip(record.labels["unit"], record.labels["label"], strict=True))
    better = np.where(p["method"] == MODEL, (p["score"] + [of[u] for u in p["unit"]]) / 2, p["score"])
    moved = Predictions({**p.columns, "score": better})
    made = SimpleNamespace(predictions=moved, labels=record.labels, groups=record.groups)
    verify(publish(tmp_path, made_record(made, binary)))


def test_runs_are_published_and_verified_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    write_record(tmp_path / "runs" / "own" / record.run["id"], record)
    boards = tmp_path / "boards"
    assert main(["leaderboard", "build", "--from", str(tmp_path / "runs"), "--leaderboards", str(boards)]) == 0
    assert record.run["id"] in capsys.readouterr().out
    assert "[0123456789](" in (boards / "acme-own" / "README.md").read_text()
