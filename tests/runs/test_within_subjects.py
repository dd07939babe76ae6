"""Protocols that split each subject alone: a fold trains and tests one subject, in a run, its record and an audit."""

import pytest
import yaml

from embench.errors import CheckFailed
from embench.records import record
from embench.report.latex import methods
from embench.runs.external import score

from ..audits.planting import audit_run
from ..tiny.running import Bench
from ..tiny.world import RULES, make_subjects, plugin, sharing_stimuli, write
from .test_outside import put, rows_of

UNITS = {"rating": 2.0, "continuous_s": 10.0, "condition_s": 10.0, "last_s": 6.0}


@pytest.fixture(scope="module")
def within(tmp_path_factory):
    """Three subjects with four recordings, of whose last 6 s each third is tested by a fold."""
    root = tmp_path_factory.mktemp("within")
    split = {"by": "segment", "folds": 3, "deal": "in_order", "within": "subject"}
    alone = {
        "split": split,
        "leaks": True,
        "validation": {"fraction": 0.0, "at_least": 0},
        "primary_metric": "accuracy",
    }
    (root / "within.yaml").write_text(yaml.safe_dump({**RULES, **alone, "unit": UNITS}))
    return Bench(write(root / "data", sharing_stimuli(make_subjects(3))), root / "runs"), str(root / "within.yaml")


@pytest.fixture(scope="module")
def done(within):
    bench, protocol = within
    return bench.run("Moments", fusion="logreg", modalities="ecg", protocol=protocol)


def test_each_fold_scores_one_subject_who_was_trained_on(done):
    folds = record.read_record(done.folder).folds
    roles = {(row["fold"], row["role"]): row["subject"] for row in folds}
    assert len(folds) == len(roles) == 2 * 9
    assert all(roles[str(k), "train"] == roles[str(k), "test"] == f"p0{k // 3}" for k in range(9))
    leaks = done.manifest["protocol"]["leaks_by"]
    assert leaks["split.by"] == {"subjects": [3, 3], "recordings": [12, 12]}
    model = done.predictions.take(done.predictions["method"] == "model")
    assert len(model) == 3 * 4 * 3
    assert 0 <= done.scores["scores"]["arousal"]["accuracy"]["mean"] <= 1


def test_what_differs_between_subjects_is_no_control(done):
    reasons = {name: of["arousal"].get("undefined", "") for name, of in done.scores["confound_only"].items()}
    assert reasons["session_position"]["id"].startswith("one_subject")
    assert reasons["study_drift"]["id"].startswith("one_subject")
    assert not reasons["elapsed_time"]
    # Seconds around a test unit have its label, so that the clock knows it.
    assert done.scores["confound_only"]["elapsed_time"]["arousal"]["accuracy"]["mean"] >= 0.5
    crossed = done.scores["scores"]["arousal"]["auroc_crossed"]["undefined"]
    assert (crossed["id"], crossed["comparisons"], crossed["subjects"]) == ("few_comparisons", 0, 0)


def test_an_audit_notes_that_subjects_are_trained_on(done):
    audited = audit_run(done.folder)
    assert [finding.what for _, finding in audited.findings if finding.severity == "severe"] == []
    assert any("3 subjects are in both training and test" in finding.what for _, finding in audited.findings)


def test_the_methods_section_says_how_subjects_were_split(done):
    text = methods.methods_section([record.read_record(done.folder)])
    assert "the units of each subject were split by themselves: segments of recordings were assigned to folds" in text
    assert "in their order" in text


def test_a_submission_may_deal_each_subject_in_its_own_way_but_mix_nobody(within, done, tmp_path):
    bench, protocol = within
    rows = sorted(rows_of(done.folder / "predictions.csv.gz"), key=lambda row: row["unit"])
    about = {"protocol": protocol, "data_root": bench.data}
    own = [{**row, "fold": 2 * int(row["subject"][1:]) + i % 2} for i, row in enumerate(rows)]
    made = score(put(tmp_path / "own.csv", own), plugin("Tiny"), **about, out=tmp_path / "own")
    assert made.manifest["submission"]["folds"] == {"0": {"id": "own_folds"}}
    mixed = [{**row, "fold": i % 2} for i, row in enumerate(rows)]
    with pytest.raises(CheckFailed, match="3 subjects share fold 0 of a split within subjects"):
        score(put(tmp_path / "mixed.csv", mixed), plugin("Tiny"), **about)
