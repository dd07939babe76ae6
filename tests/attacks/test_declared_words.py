"""What an entry is compared with follows from its files: no word of run.yaml takes it out of a comparison."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.cli import main
from embench.interfaces.metric import Undefined
from embench.leaderboard import load_sections
from embench.leaderboard.entries import UNCONFIRMED
from embench.leaderboard.pull_request import check_entry, select_failures
from embench.leaderboard.verify_data import find_board_differences
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record, share_text

from ..leaderboard.made_up import number, put
from ..leaderboard.test_confirmed import TABLES
from ..leaderboard.test_verify import edit, honest, publish, published, record

__all__ = ["honest", "published", "record"]

Change = Callable[[Any], object]
NEW = "cnn_tf-single-1111111111"


def config(**changed: Any) -> Change:
    return lambda run: run["config"].update(changed)


WORDS: dict[str, tuple[Change, str]] = {
    "all subjects": (config(label_subjects="all"), "config.label_subjects"),
    "no subject": (config(label_subjects=0), "config.label_subjects"),
    "all labels": (config(label_fraction=1.0), "config.label_fraction"),
    "no label": (config(label_fraction=0.0), "config.label_fraction"),
    "trained on nothing": (config(train_dataset=""), "config.train_dataset"),
    "trained on itself": (config(train_dataset="acme/own"), "config.train_dataset"),
    "trained on a bare name": (config(train_dataset="wearable_stress"), "config.train_dataset"),
    "a target twice": (lambda run: run.update(targets=["stress", "stress"]), "targets"),
    "another dataset in the configuration": (config(dataset="acme/other"), "config.dataset"),
    "other targets in the configuration": (config(targets=["arousal"]), "config.targets"),
    "few labels that nobody asked for": (
        config(label_subjects=2, request={"label_subjects": None, "settings": []}),
        "config.label_subjects",
    ),
    "another dataset that nobody asked for": (
        config(train_dataset="acme/other", request={"train_dataset": None, "settings": []}),
        "config.train_dataset",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word_that_no_run_writes_is_refused(published: Path, name: str) -> None:
    change, field = WORDS[name]
    edit(published / "run.yaml", change)
    found = "; ".join(check.reason for check in select_failures(check_entry(published)))
    assert f"run.yaml: {field}: " in found


def turned(record: Record) -> Record:
    """With the labels that fit the method, where it is right in any case."""
    known = record.labels
    assert known is not None
    new = np.where(np.arange(len(known["label"])) < 20, 1 - known["label"], known["label"])
    return replace(record, labels=Labels({**known.columns, "label": new, "raw": new}))


def saying(record: Record, **words: Any) -> Record:
    run = copy.deepcopy(record.run) | {"id": NEW}
    run["config"] |= words
    return replace(record, run=run)


def test_labels_are_compared_whatever_a_method_is_said_to_be_trained_on(
    published: Path, record: Record, tmp_path: Path
) -> None:
    forged = publish(tmp_path, saying(turned(record), train_dataset="acme/other"))
    found = find_board_differences(forged, [published])
    assert not isinstance(found, Undefined)
    assert "labels" in {wrong.partition(":")[0] for wrong in found}


def weaker(record: Record) -> Record:
    p = record.predictions
    score = np.where(p["method"] == MODEL, p["score"], 0.5)
    return replace(record, predictions=Predictions({**p.columns, "score": score}))


def test_an_entry_whose_models_are_compared_with_nobody_is_listed(
    published: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = published.parents[2]
    shutil.copytree(boards, tmp_path / "earlier")
    forger = saying(weaker(record), label_subjects=2)
    forger.run["method"]["pretrainers"] = ["embench_plugins/masked_value"]
    forged = publish(tmp_path, forger)
    assert isinstance(find_board_differences(forged, [published]), Undefined)
    capsys.readouterr()
    line = ["leaderboard", "verify", str(boards), "--previous", str(tmp_path / "earlier")]
    main([*line, "--json"])
    made = {(check["entry"], check["check"]): check["status"] for check in json.loads(capsys.readouterr().out)}
    assert made["/".join(forged.parts[-3:]), "alike"] == "not possible"
    main(line)
    assert "compared with no other entry" in " ".join(capsys.readouterr().out.split())


def tables(root: Path, confound_only: str) -> dict[str, Any]:
    scores = {"elapsed_time": {"stress": {"auroc_crossed_matched": number(0.5, 0.0)}}}
    name = share_text(root / "stress_predict" / "shared", "confound_only_scores", json.dumps(scores))
    return {**TABLES, "confound_only": confound_only * 32, "confound_only_scores": name}


def test_an_entry_that_nobody_confirms_sets_no_model_of_its_leaderboard(tmp_path: Path) -> None:
    a, b = (put(tmp_path, name, entry=tables(tmp_path, "4")) for name in ("b", "c"))
    alone = put(tmp_path, "a", entry=tables(tmp_path, "5"))  # the first by id
    [section] = load_sections(tmp_path)
    assert next(row for row in section.rows if row.id == alone.name).marks == (UNCONFIRMED,)
    assert {row.id for row in section.rows if not row.is_method} == {a.name}
    shutil.rmtree(a)
    shutil.rmtree(b)
    [section] = load_sections(tmp_path)
    assert not [row for row in section.rows if not row.is_method]
