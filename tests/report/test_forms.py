"""Forms of others: the REFORMS checklist, Croissant metadata, and the Hugging Face Hub's files of results."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench import registry
from embench.cli import main
from embench.errors import CheckFailed, UsageError
from embench.leaderboard import leaderboard_sections
from embench.records.record import Record, read_record
from embench.report import forms

from ..leaderboard.made_up import put

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "leaderboards" / "stress_predict"
NETWORK = next(BOARD.glob("subject-independent-v2/cnn_tf-single-*"))
TO_WRITE = "*To be written by the authors:* "
OWN = ("corpus", "own")
"""Recordings of a user, which have no public source."""
DATASETS = [e.full_name for e in registry.entries("dataset") if e.package == registry.BUNDLED and e.name not in OWN]


@pytest.fixture(scope="module")
def published() -> Record:
    return read_record(NETWORK)


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """Two rows, one of them under the protocol of `NETWORK`, and one under another that leaks."""
    put(tmp_path / "boards", "a-aaaaaaaaaa", 0.61)
    put(tmp_path / "boards", "b-bbbbbbbbbb", 0.58, not_cleared=("elapsed_time",), protocol="subject-independent-v2")
    put(tmp_path / "boards", "c-cccccccccc", 0.9, leaks=True)
    return tmp_path / "boards"


def items(text: str) -> dict[str, str]:
    """Number of an item -> its answer."""
    return dict(re.findall(r"^- \*\*(\d[a-g])\. .+?\.\*\* (.+)$", text, re.MULTILINE))


def test_no_item_of_the_checklist_is_blank(published: Record) -> None:
    text = forms.reforms_checklist(NETWORK, published)
    answers = items(text)
    assert len(answers) == 32
    assert text.count("\n## ") == 8
    assert [sum(key[0] == str(k) for key in answers) for k in range(1, 9)] == [3, 5, 7, 3, 6, 3, 3, 2]
    for answer in answers.values():
        assert len(answer.removeprefix(TO_WRITE)) > 20
    assert not re.search(r"None|nan|\{|\}|  ", text)


def test_the_checklist_says_what_the_record_says(published: Record) -> None:
    answers = items(forms.reforms_checklist(NETWORK, published))
    score = published.scores.score("stress", published.scores.headlines["stress"])
    assert f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]" in answers["7b"]
    assert "https://doi.org/10.3390/s22218135" in answers["2a"]
    assert "embench run --dataset stress_predict --encoder cnn_tf" in answers["2e"]
    assert "34 subjects scored, one subject excluded" in answers["3e"]
    counts = [int(n) for n in re.findall(r" (\d+) \(\d+\.\d %\)", answers["3e"])]
    assert sum(counts) == int(re.findall(r"(\d+) labelled units", answers["3e"])[0])
    assert "S01 (no label of any target)" in answers["4a"]
    assert "resampled to 128 Hz" in answers["4c"]
    assert "five folds; seeds 0, 1 and 2" in answers["5c"]
    assert "time since the start 0.500 by construction" in answers["5f"]
    assert "Findings of the audit" in answers["6a"]
    assert all(answers[key].startswith(TO_WRITE) for key in ("1b", "1c", "3b", "3c", "3g", "5b", "8b"))


def test_the_checklist_of_an_adjusted_score_names_models_without_a_signal_and_answers() -> None:
    entry = BOARD / "subject-independent-v3" / "handcrafted-svm-5c30c425e7"
    answers = items(forms.reforms_checklist(entry, read_record(entry)))
    assert "movement during the scored segment 0.599 [0.524, 0.669]; " in answers["5f"]
    assert "stress, given time and movement within 10 min: yes (partial r 0.09 (0.02 to 0.15))" in answers["5f"]
    assert "stress, given the phase of the protocol, inferred from movement" in answers["5f"]
    assert "paired difference" not in answers["5f"] + answers["7c"]


def test_a_submission_leaves_the_method_to_its_authors(published: Record, tmp_path: Path) -> None:
    nothing = {"encoders": {}, "fusion": None, "pretrainers": [], "modalities": [], "outside": "mine"}
    config = {name: value for name, value in published.run["config"].items() if name not in ("request", "parts")}
    of = replace(published, run={**published.run, "method": nothing, "config": config})
    answers = items(forms.reforms_checklist(tmp_path, of))
    assert len(answers) == 32
    assert all(TO_WRITE in answers[key] for key in ("2b", "2e", "4c", "5a", "5e", "6a"))
    assert "has not been audited" in answers["6a"]


def test_a_dataset_without_a_doi_is_cited_by_its_card_alone(published: Record, tmp_path: Path) -> None:
    run = {**published.run, "dataset": {**published.run["dataset"], "name": "embench_plugins/corpus"}}
    answer = items(forms.reforms_checklist(tmp_path, replace(published, run=run)))["2a"]
    assert answer.startswith(f"{registry.load('dataset', 'corpus').card.citation}. Licence: ")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_croissant_metadata(name: str) -> None:
    text = forms.dataset_croissant(name)
    about = json.loads(text)
    card = registry.load("dataset", name).card
    assert (about["@type"], about["license"]) == ("sc:Dataset", card.licence)
    assert about["conformsTo"] == ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
    assert len(about["distribution"]) == max(1, len(card.downloads))
    assert all(target.label in about["rai:dataAnnotationProtocol"] for target in card.targets)
    assert text == forms.dataset_croissant(name)


@pytest.mark.parametrize("name", OWN)
def test_own_recordings_have_none(name: str) -> None:
    with pytest.raises(UsageError, match="no source that others could get it from"):
        forms.dataset_croissant(name)


def test_a_board_is_described_with_its_table(boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "croissant.json"
    assert main(["export", "--board", str(boards / "stress_predict"), "--croissant", "--out", str(out)]) == 0
    about, table = json.loads(out.read_text()), tmp_path / "stress_predict.csv"
    [file] = about["distribution"]
    assert file["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    rows = list(csv.DictReader(table.open()))
    assert [field["name"] for field in about["recordSet"][0]["field"]] == list(rows[0])
    types = {field["name"]: field["dataType"] for field in about["recordSet"][0]["field"]}
    assert (types["score"], types["method"], types["subjects"]) == ("sc:Float", "sc:Text", "sc:Integer")
    capsys.readouterr()
    show = ["leaderboard", "show", "stress_predict", "--boards", str(boards), "--all", "--format", "csv"]
    assert main(show) == 0
    assert capsys.readouterr().out == table.read_text()


@pytest.mark.slow
def test_mlcroissant_takes_them(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    for name in DATASETS:
        path = tmp_path / "dataset.json"
        path.write_text(forms.dataset_croissant(name))
        assert not mlcroissant.Dataset(jsonld=path).metadata.ctx.issues.errors
    out = tmp_path / "board.json"
    assert main(["export", "--board", str(BOARD), "--croissant", "--out", str(out)]) == 0
    dataset = mlcroissant.Dataset(jsonld=out)
    assert not dataset.metadata.ctx.issues.errors
    assert next(iter(dataset.records("rows")))["rows/dataset"] in (b"stress_predict", "stress_predict")


DOCUMENTED = {"dataset", "value", "verifyToken", "date", "source", "evaluation_framework", "notes"}
"""Fields of a result at https://huggingface.co/docs/hub/eval-results."""


def test_results_and_benchmark_of_the_hub_name_the_same_tasks(published: Record, boards: Path) -> None:
    [result] = yaml.safe_load(forms.hub_results([published], "lab/stress"))
    assert set(result) <= DOCUMENTED
    assert result["dataset"] == {"id": "lab/stress", "task_id": "stress-subject-independent-v2"}
    score = published.scores.score("stress", published.scores.headlines["stress"])
    assert result["value"] == pytest.approx(score.mean, abs=1e-6)
    assert "95 % interval" in result["notes"]
    benchmark = yaml.safe_load(forms.hub_benchmark("Stress-Predict", leaderboard_sections(boards), "lab/stress"))
    assert list(benchmark) == ["name", "description", "evaluation_framework", "tasks"]
    assert benchmark["evaluation_framework"] == result["evaluation_framework"] == "embench"
    tasks = [task["id"] for task in benchmark["tasks"]]
    assert result["dataset"]["task_id"] in tasks
    assert len(set(tasks)) == len(tasks)
    assert not [task for task in tasks if "legacy" in task]
    assert all(set(task) == {"id", "config", "split"} for task in benchmark["tasks"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dev": True}, "validation subjects"),
        ({"dataset": {"name": "amigos", "fingerprint": "f", "synthetic": {"seed": 0}}}, "synthetic"),
        ({"protocol": {"name": "p", "version": 1, "hash": "h", "leaks": True}}, "leaks"),
    ],
)
def test_what_is_no_result_is_refused_by_the_hub(published: Record, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckFailed, match=reason):
        forms.hub_results([replace(published, run={**published.run, **change})], "lab/stress")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "nothing to export is named"),
        ([str(NETWORK), "--dataset", "wesad", "--croissant"], "one at a time"),
        (["--dataset", "wesad", "--latex"], "no finished run of wesad found"),
        (["--board", str(BOARD), "--reforms"], "--reforms cannot export a leaderboard"),
        ([str(NETWORK), "--croissant", "--latex"], "--croissant cannot be combined with other outputs"),
        ([str(NETWORK), "--hub", "stress"], "names no dataset of the Hub"),
        (["--dataset", "wesat", "--croissant"], "wesad"),
    ],
)
def test_mistakes_say_what_goes_together(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *words]) == 2
    assert error in capsys.readouterr().err


def test_a_board_that_is_not_there_is_named_whatever_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(NETWORK, tmp_path / "some" / "of my" / "runs")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--board", "nowhere", "--croissant"]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err
    (tmp_path / "boards" / "nowhere").mkdir(parents=True)
    assert main(["export", "--board", "boards/nowhere", "--croissant"]) == 2
    assert "no leaderboard has the dataset `nowhere`" in capsys.readouterr().err


def test_commands_print_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(NETWORK), "--reforms"]) == 0
    assert len(items(capsys.readouterr().out)) == 32
    assert main(["export", str(NETWORK), "--croissant"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "stress_predict"
    assert main(["export", str(NETWORK), "--hub", "lab/stress"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)[0]["value"] > 0
    with pytest.raises(UsageError):
        forms.hub_results([], "lab")
