"""`split.by: group+stimulus`: neither the tested subjects nor the stimuli that they are tested at are trained on."""

import re
from collections import Counter

import numpy as np
import pytest
import yaml

from embench.errors import CheckFailed, UsageError
from embench.protocols import load_protocol, prove
from embench.records.predictions import Labels

from ..tiny.running import Bench
from ..tiny.world import RULES, make_subjects, of_all_kinds, plugin, sharing_stimuli, write

CROSSED = "subject-stimulus-independent-v4"


@pytest.fixture
def films(tmp_path):
    """Six subjects who see the same films."""
    return Bench(write(tmp_path / "films", sharing_stimuli(make_subjects(6))), tmp_path / "runs")


@pytest.fixture
def crossed(tmp_path):
    """Two parts of the subjects, two of the stimuli."""
    path = tmp_path / "crossed.yaml"
    path.write_text(yaml.safe_dump({**RULES, "split": {"by": "group+stimulus", "folds": 2}}))
    return str(path)


def of(cohort, index):
    """Subjects and stimuli of the units at `index`."""
    return {u.subject for u in cohort.select_units(index)}, {u.stimulus for u in cohort.select_units(index)}


def read_by(stage, cohort):
    """Subjects and stimuli of the recordings that a stage works on."""
    entries = [cohort.store.recordings[r] for r in stage.task["recording"].tolist()]
    return {e.subject for e in entries}, {e.stimulus for e in entries}


@pytest.mark.parametrize(("dataset", "made"), [("Tiny", make_subjects), ("Kinds", of_all_kinds)])
def test_no_stage_of_a_fold_learns_from_its_subjects_or_stimuli(tmp_path, crossed, dataset, made):
    bench = Bench(write(tmp_path, sharing_stimuli(made(8)), dataset=dataset), tmp_path / "runs", dataset)
    plan = bench.plan("Pool", modalities="ecg", protocol=crossed, pretrainers=("masked_value",))
    cohort = plan.test
    predictions = {prediction.fold: prediction for prediction in plan.graph.predictions}
    assert len(predictions) == 4
    tested = Counter(i for prediction in predictions.values() for i in prediction.units)
    assert tested == Counter(cohort.positions)
    for stage in plan.graph.stages.values():
        if stage.kind == "predict":
            continue
        theirs, shown = of(cohort, predictions[stage.description["fold"]].units)
        learned, seen = read_by(stage, cohort)
        assert stage.kind in ("pretrain", "unimodal")
        assert learned
        assert not learned & theirs
        assert not seen & shown


def test_the_guard_finds_a_stimulus_on_both_sides(films, crossed):
    plan = films.plan("Pool", modalities="ecg", protocol=crossed)
    units = plan.test.select_units(plan.test.eligible)
    prove(plan.protocol, plan.dataset, units, plan.folds[0])
    first, *rest = plan.folds[0]
    left_out = {u.id for u in units} - {*first.train, *first.val, *first.test}
    trained = {u.subject for u in units if u.id in first.train}
    theirs = [u.id for u in units if u.subject in trained and u.id in left_out]
    assert theirs  # subjects who are trained on, at stimuli that are tested
    leaking = type(first)(0, (*first.train, theirs[0]), first.val, first.test)
    with pytest.raises(CheckFailed, match="1 stimuli are in both train and test of fold 0"):
        prove(plan.protocol, plan.dataset, units, [leaking, *rest])


def test_a_run_scores_inside_folds_and_says_why_a_control_does_not_apply(films, crossed):
    result = films.run("Moments", fusion="logreg", modalities="ecg", protocol=crossed)
    model = result.predictions.take(result.predictions["method"] == "model")
    assert set(model["fold"]) == {0, 1, 2, 3}
    undefined = result.scores["confound_only"]["stimulus_mean"]["arousal"]["undefined"]
    assert undefined["id"] == "untrained_stimuli"
    # A subject's units of two folds have answers of two models, which are not compared: by hand, from the record.
    known = Labels.read(result.folder / "labels.csv.gz")
    labels = dict(zip(known["unit"], known["label"], strict=True))
    by_subject: dict[str, list[float]] = {}
    for subject, fold in sorted(set(zip(model["subject"], model["fold"], strict=True))):
        own = model.take((model["subject"] == subject) & (model["fold"] == fold))
        y = np.array([labels[u] for u in own["unit"]])
        pairs = np.subtract.outer(own["score"][y == 1], own["score"][y == 0])
        if pairs.size:
            by_subject.setdefault(subject, []).append(float((pairs > 0).mean() + (pairs == 0).mean() / 2))
    expected = np.mean([np.mean(values) for values in by_subject.values()])
    assert result.scores["scores"]["arousal"]["auroc_within"]["mean"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dataset", "changes", "text"),
    [
        ("Session", {"seconds": 24.0}, "all subjects had the tasks in one order"),
        ("Tiny", {"stimulus": "session"}, "the dataset has only one stimulus, session"),
        ("Tiny", {}, "no two subjects share a stimulus"),
    ],
)
def test_stimuli_that_cannot_be_kept_apart_are_refused_with_the_reason(tmp_path, dataset, changes, text):
    bench = Bench(write(tmp_path, make_subjects(8, **changes), dataset=dataset), tmp_path / "runs", dataset)
    target = "stress" if dataset == "Session" else "arousal"
    with pytest.raises(UsageError, match=text) as error:
        bench.plan("Pool", modalities="ecg", protocol=CROSSED, targets=target)
    assert error.value.where == f"--protocol {CROSSED}"


def test_training_on_another_dataset_splits_nothing(tmp_path):
    write(tmp_path, make_subjects(6))
    write(tmp_path, make_subjects(5), dataset="Other", seed=5)
    bench = Bench(tmp_path, tmp_path / "runs")
    for protocol in (CROSSED, "segment-random-legacy"):
        text = re.escape(f"{protocol} splits one dataset by {load_protocol(protocol).split.by}")
        with pytest.raises(UsageError, match=text):
            bench.plan("Pool", modalities="ecg", protocol=protocol, train_dataset=plugin("Other"))


def test_pretraining_of_a_fold_still_reads_whole_recordings_of_other_subjects(shared):
    """Only where stimuli are kept apart is it held to the fold's own units."""
    plan = shared.plan("Pool", modalities="ecg", pretrainers=("masked_value",))
    stage = next(s for s in plan.graph.stages.values() if s.kind == "pretrain")
    entries = plan.test.store.recordings
    for r, start, stop in zip(*(stage.task[n].tolist() for n in ("recording", "start", "stop")), strict=True):
        assert (start, stop) == (0.0, entries[r].duration_s)
