"""The files of an entry: what is shared lies once, what was altered is not read, and what tells labels is not there."""

from __future__ import annotations

import copy
import gzip
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench.errors import CheckFailed, DataError
from embench.files import MOST_BYTES
from embench.interfaces.units import Target
from embench.leaderboard import build_leaderboards, publish_runs
from embench.leaderboard.entries import export_entry
from embench.leaderboard.verify import recompute
from embench.leaderboard.withheld import compare_label_hash, find_revealing_part, redact_scores
from embench.planning.tuning import Choice, Search, Tuning, read_tuning
from embench.protocols import load_protocol
from embench.records.findings import SEVERITIES
from embench.records.predictions import MODEL, Predictions
from embench.records.record import (
    TUNING_FILE,
    Record,
    as_yaml,
    join_predictions,
    read_manifest,
    read_numbers,
    read_record,
    read_shared_numbers,
    share_numbers,
    split_predictions,
    write_numbers,
    write_record,
)
from embench.records.scores import Scores
from embench.statistics.scores import compute_scores

from ..records.test_record import RUN

RULES = [{"name": "stress", "kind": "binary", "label": "stress", "n": 2, "rule": {}}]


def run_of(made: Any, target: Target, public: str = "yes", name: str = "20f1ab", **changed: Any) -> Record:
    run = copy.deepcopy(RUN) | {"id": name, **changed}
    run["card"] |= {"labels_public": public, "label_rules": RULES}
    scores = compute_scores(
        made.predictions, made.labels, targets=[target], protocol=load_protocol("subject-independent-v4"),
        design="free", groups=made.groups, unit_length_s=10.0,
    )  # fmt: skip
    folds = [
        {"subject": p, "group": g, "fold": "0", "role": "test", "seed": "0", "reason": ""}
        for p, g in made.groups.items()
    ]
    return Record(run, made.predictions, made.labels, folds, scores)


@pytest.fixture
def public(make_run: Callable[..., Any], binary: Target) -> Record:
    return run_of(make_run(), binary)


@pytest.fixture
def private(make_run: Callable[..., Any], binary: Target) -> Record:
    return run_of(make_run(), binary, "no")


def published(root: Path, record: Record) -> Path:
    folder = root / "runs" / "stress_predict" / record.run["id"]
    write_record(folder, record)
    return export_entry(folder, root / "boards", key=lambda _: b"digest")


@pytest.mark.parametrize("labels", ["yes", "no"])
def test_choices_go_along_with_a_tuned_run_without_scores_where_labels_are_not_public(
    tmp_path: Path, make_run: Callable[..., Any], binary: Target, labels: str
) -> None:
    """Scores of the few validation subjects of a fold, of many trials, are equations about their labels."""
    of = {"seed": 0, "fold": 0, "target": "arousal", "subjects": ("s01",), "score": "auroc_within"}
    choice = Choice(**of, scores=(0.5, 0.75), chosen=1)
    tuning = Tuning(of="method", search=Search(space=("fusion.build.C=1,2",), trials=2), choices=(choice,))
    run = run_of(make_run(), binary, labels, config={**RUN["config"], "tuned": tuning.summary})
    folder = tmp_path / "runs" / "stress_predict" / run.run["id"]
    folder.mkdir(parents=True)
    (folder / TUNING_FILE).write_text(tuning.text())
    made = published(tmp_path, run)
    copied = read_tuning(made / TUNING_FILE)
    assert copied.choices[0].scores == (choice.scores if labels == "yes" else ())
    assert copied.summary == read_manifest(made).config["tuned"]
    if labels == "no":
        facts = read_manifest(made), read_record(made).scores, None
        assert find_revealing_part(made, *facts) == ""
        (made / TUNING_FILE).write_text(tuning.text())
        assert "scores of validation subjects" in find_revealing_part(made, *facts)


def in_order(predictions: Predictions) -> dict[str, list[Any]]:
    order = np.lexsort([predictions[name] for name in ("seed", "unit", "target", "method")])
    return {name: column[order].tolist() for name, column in predictions.columns.items()}


@pytest.mark.parametrize("classes", [2, 3])
def test_predictions_come_back_to_the_bit(tmp_path: Path, make_run: Callable[..., Any], classes: int) -> None:
    made = make_run(classes=classes)
    of_control = (made.predictions["method"] == "elapsed_time") & (made.predictions["subject"] == "s03")
    some = made.predictions.take(~of_control)  # a control need not answer every unit
    rows, model, confound_only = split_predictions(some)
    write_numbers(tmp_path / "model.npz", model)
    name = share_numbers(tmp_path, "confound_only", confound_only)
    again = join_predictions(
        rows,
        read_numbers(tmp_path / "model.npz"),
        read_shared_numbers(tmp_path, "confound_only", name),
        tmp_path,
    )
    np.testing.assert_equal(in_order(again), in_order(some))


def test_predictions_of_which_float32_is_not_exact_are_kept_whole(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    made = make_run()
    columns = {**made.predictions.columns, "score": made.predictions["score"] + 123456789.0}
    rows, model, confound_only = split_predictions(Predictions(columns))
    again = join_predictions(rows, model, confound_only, tmp_path)
    assert in_order(again)["score"] == in_order(Predictions(columns))["score"]


def test_a_control_that_answers_more_than_the_model_is_refused(make_run: Callable[..., Any]) -> None:
    p = make_run().predictions
    with pytest.raises(DataError, match="twice, or one that the model does not"):
        split_predictions(p.take((p["method"] != MODEL) | (p["subject"] != "s00")))
    with pytest.raises(DataError, match="predicts a unit twice"):
        split_predictions(Predictions.concatenate([p, p.take(p["method"] == MODEL)]))


def test_what_entries_have_in_common_lies_once(tmp_path: Path, public: Record) -> None:
    one = published(tmp_path, public)
    shared = one.parents[1] / "shared"
    before = {path.name: path.stat().st_mtime_ns for path in shared.iterdir()}
    other = published(tmp_path, replace(public, run={**public.run, "id": "another"}))
    assert {path.name: path.stat().st_mtime_ns for path in shared.iterdir()} == before
    assert len(before) == 5
    smaller = public.predictions.take(public.predictions["subject"] != "s00")
    third = published(tmp_path, replace(public, predictions=smaller, run={**public.run, "id": "fewer"}))
    assert len(list(shared.iterdir())) == 7  # its rows and its confound-only models lie beside those of the others
    assert [len(read_record(e).predictions) for e in (one, other, third)] == [1440, 1440, 1320]
    shutil.rmtree(third)
    build_leaderboards(tmp_path / "boards")
    assert {path.name for path in shared.iterdir()} == before.keys()


def test_the_whole_document_of_scores_is_computed_again_from_an_entry(tmp_path: Path, public: Record) -> None:
    kept = replace(public, scores=Scores({**public.scores, "absent": {"stress": 2}}))
    assert recompute(read_record(published(tmp_path, kept))) == kept.scores


@pytest.mark.parametrize("kind", ["rows", "labels", "folds", "confound_only", "confound_only_scores"])
def test_a_shared_file_that_was_altered_or_is_missing_is_named(tmp_path: Path, public: Record, kind: str) -> None:
    folder = published(tmp_path, public)
    [path] = (folder.parents[1] / "shared").glob(f"{kind}-*")
    whole = path.read_bytes()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"s03", b"s04", 1)))
    elif path.suffix == ".json":
        path.write_bytes(whole.replace(b"0.5", b"0.9", 1))
    else:
        numbers = read_numbers(path)
        numbers["elapsed_time/score"] = 1 - numbers["elapsed_time/score"]
        write_numbers(path, numbers)
    for content, text in ((None, "was altered"), (whole[: len(whole) // 2], "cannot be read|was altered")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=text) as error:
            read_record(folder)
        assert error.value.where == str(path)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        read_record(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", "pickle", "shape", None])
def test_predictions_that_cannot_be_read_are_named(tmp_path: Path, public: Record, content: Any) -> None:
    path = published(tmp_path, public) / "predictions.npz"
    if content is None:
        path.unlink()
    elif content == "pickle":
        np.savez(path, score=np.array([{}], dtype=object))
    elif content == "shape":
        np.savez(path, score=np.zeros((3, 4), np.uint8))
    else:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_record(path.parent)
    assert error.value.where == str(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, public: Record) -> None:
    folder = published(tmp_path, public)
    for path in (folder / "predictions.npz", *(folder.parents[1] / "shared").iterdir()):
        whole = path.rename(tmp_path / "whole")
        os.mkfifo(path)
        with pytest.raises(DataError, match="not a regular file") as error:
            read_record(folder)
        assert error.value.where == str(path)
        path.unlink()
        whole.rename(path)


def test_a_file_that_unpacks_to_far_more_than_a_board_has_is_not_unpacked(tmp_path: Path, public: Record) -> None:
    folder, zeros = published(tmp_path, public), bytes(MOST_BYTES + 1)
    with zipfile.ZipFile(folder / "predictions.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("score.npy", zeros)
    with pytest.raises(DataError, match="too long"):
        read_numbers(folder / "predictions.npz")
    (rows,) = (folder.parents[1] / "shared").glob("rows-*")
    rows.write_bytes(gzip.compress(zeros, 1))
    with pytest.raises(DataError, match="too long") as error:
        read_record(folder)
    assert error.value.where == str(rows)


def test_predictions_of_other_rows_do_not_fit(tmp_path: Path, public: Record) -> None:
    folder = published(tmp_path, public)
    numbers = read_numbers(folder / "predictions.npz")
    write_numbers(folder / "predictions.npz", {name: values[1:] for name, values in numbers.items()})
    with pytest.raises(DataError, match="do not fit the rows"):
        read_record(folder)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "0" * 31, 5])
def test_an_entry_names_shared_files_by_digests_alone(tmp_path: Path, public: Record, name: Any) -> None:
    folder = published(tmp_path, public)
    run = yaml.safe_load((folder / "run.yaml").read_text())
    run["entry"]["labels"] = name
    (folder / "run.yaml").write_text(as_yaml(run))
    with pytest.raises(DataError, match=r"entry\.labels"):
        read_record(folder)


def test_an_entry_of_a_later_version_asks_for_a_later_embench(tmp_path: Path, public: Record) -> None:
    folder = published(tmp_path, public)
    run = yaml.safe_load((folder / "run.yaml").read_text())
    run["entry"]["version"] = 3
    (folder / "run.yaml").write_text(as_yaml(run))
    with pytest.raises(DataError, match="version 3") as error:
        read_record(folder)
    assert error.value.hint == "update embench"


def test_a_public_entry_without_its_labels_stops_the_board(tmp_path: Path, public: Record) -> None:
    folder = published(tmp_path, public)
    run = yaml.safe_load((folder / "run.yaml").read_text())
    del run["entry"]["labels"]
    (folder / "run.yaml").write_text(as_yaml(run))
    with pytest.raises(CheckFailed, match="labels are public, but the entry does not contain them"):
        build_leaderboards(tmp_path / "boards")


@pytest.mark.parametrize("card", ["no", "unknown"])
def test_an_entry_whose_labels_are_not_public_holds_nothing_that_tells_them(
    tmp_path: Path, make_run: Callable[..., Any], binary: Target, card: str
) -> None:
    record = run_of(make_run(), binary, card)
    audit = {"version": 11, "run": "20f1ab", "counts": {"severe": 0, "warning": 1, "note": 0}}
    evidence = {"target": "stress", "ece": 0.91, "low": 0.9, "expected_by_chance": 0.0, "s03": 0.91}
    finding = {"check": "calibration", "severity": "warning", "id": "miscalibrated", "evidence": evidence}
    folder = tmp_path / "runs" / "stress_predict" / "20f1ab"
    write_record(folder, record)
    (folder / "audit.json").write_text(json.dumps({**audit, "findings": [finding], "measured": {"x": 0.1234567}}))
    made = export_entry(folder, tmp_path / "boards", key=lambda _: b"digest")
    assert {path.name for path in made.iterdir()} == {"run.yaml", "scores.json", "labels.hmac", "audit.json"}
    shared = list((tmp_path / "boards" / "stress_predict" / "shared").iterdir())
    assert {path.name.split("-")[0] for path in shared} == {"folds", "confound_only_scores"}
    texts = [path.read_text() for path in (*made.iterdir(), *shared) if path.suffix in (".json", ".yaml")]
    assert not any("s03" in text or "1234567" in text for text in texts)
    again = read_record(made)
    assert again.labels is None
    assert len(again.predictions) == 0
    assert again.scores == redact_scores(record.scores) == redact_scores(again.scores)
    primary_metric = again.scores["scores"]["stress"]["auroc_within"]
    assert primary_metric["mean"] == round(record.scores["scores"]["stress"]["auroc_within"]["mean"], 3)
    assert "folds" not in again.scores
    assert (
        "undefined" in again.scores["confound_only"]["majority"]["stress"]
    )  # whose decisions everybody can draw again
    assert set(again.scores["confound_only"]["elapsed_time"]["stress"]) == {"auroc_within"}
    build_leaderboards(tmp_path / "boards")
    assert f"{primary_metric['mean']:.2f} (" in (tmp_path / "boards" / "stress_predict" / "README.md").read_text()


@pytest.mark.parametrize("kind", ["file", "folds", "digits", "audit", "old"])
def test_an_entry_that_tells_labels_stops_the_board(tmp_path: Path, private: Record, kind: str) -> None:
    folder = published(tmp_path, private)
    build_leaderboards(tmp_path / "boards")
    scores = json.loads((folder / "scores.json").read_text())
    if kind == "file":
        (folder / "predictions.npz").write_bytes(b"")
    elif kind == "folds":
        (folder / "scores.json").write_text(json.dumps({**scores, "folds": [{"method": "model", "stress": 0.5}]}))
    elif kind == "digits":
        scores["scores"]["stress"]["brier"]["mean"] += 1e-9
        (folder / "scores.json").write_text(json.dumps(scores))
    elif kind == "audit":
        audit = {
            "version": 11,
            "counts": dict.fromkeys(SEVERITIES, 0),
            "findings": [],
            "measured": {"subject": {"proportion_explained": 0.123456}},
        }
        (folder / "audit.json").write_text(json.dumps(audit))
    else:
        shutil.rmtree(folder)
        write_record(folder, private)
    with pytest.raises(CheckFailed, match="not public, and the entry contains"):
        build_leaderboards(tmp_path / "boards")


def test_a_holder_of_the_data_can_tell_whether_labels_are_the_same(tmp_path: Path, private: Record) -> None:
    path, labels = published(tmp_path, private) / "labels.hmac", private.labels
    assert labels is not None
    others = replace(labels, columns={**labels.columns, "label": 1 - labels["label"]})
    assert compare_label_hash(path, labels, b"digest") == "same"
    assert compare_label_hash(path, others, b"digest") == "other labels"
    assert compare_label_hash(path, labels, b"another") == "other files"
    path.write_text("5" * 64)
    with pytest.raises(DataError, match="withheld labels cannot be read"):
        compare_label_hash(path, labels, b"digest")


def test_folds_of_few_labels_that_are_not_public_are_refused_with_the_reason(
    tmp_path: Path, make_run: Callable[..., Any], binary: Target
) -> None:
    record = run_of(make_run(n_subjects=12, units=16, folds=12), binary, "no")
    folder = tmp_path / "runs" / "stress_predict" / "20f1ab"
    write_record(folder, record)
    entries, refused = publish_runs([folder], tmp_path / "boards", lambda _: b"digest")
    assert entries == []
    [reason] = refused[folder]
    assert "tests 16 labelled units of stress" in reason
    assert "use a protocol with larger folds" in reason
    assert not (tmp_path / "boards").exists()
