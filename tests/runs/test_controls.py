"""The confound-only models of a dataset without a method: those of a run's record, and of data without signals."""

import pytest

from embench.data.cohort import choose_targets
from embench.data.find import find_source
from embench.errors import DataError
from embench.planning.request import Request
from embench.protocols import load_protocol
from embench.runs.external import describe_confound_only
from embench.statistics.confound_only import CONFOUND_ONLY, PROTOCOL_PHASE

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, of_all_kinds, plugin, sharing_stimuli, write


def alone(root, dataset, targets, seeds, protocol=Request.protocol, progress=None):
    rules, card = load_protocol(protocol), find_source(plugin(dataset), root).card
    store = find_source(plugin(dataset), root).prepared(rules)
    return describe_confound_only(store, card, choose_targets(card, targets), rules, seeds, progress)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "subjects", "targets"),
    [
        ("Tiny", sharing_stimuli(make_subjects(8)), "arousal,valence"),
        ("Kinds", of_all_kinds(6), "arousal,arousal_value,state"),
    ],
)
def test_numbers_are_those_of_a_runs_record(dataset, subjects, targets, tmp_path):
    root = write(tmp_path, subjects, dataset)
    bench = Bench(root, tmp_path / "runs", dataset, few_folds(tmp_path, 3))
    method = {"encoder": "Moments", "fusion": "logreg", "modalities": "ecg,eda", "seeds": "0,1"}
    kinds = [targets] if dataset == "Tiny" else targets.split(",")  # one estimator does not predict all kinds
    found = alone(root, dataset, targets, (0, 1), bench.protocol)
    assert {*CONFOUND_ONLY, PROTOCOL_PHASE} <= set(found["confound_only"])
    for some in kinds:
        fusion = {"fusion": "boosting"} if some.endswith("value") else {}
        scores = bench.run(**{**method, **fusion}, targets=some).scores
        for target in some.split(","):
            assert found["primary_metrics"][target] == scores["primary_metrics"][target]
            recorded = {name: by_target[target] for name, by_target in scores["confound_only"].items()}
            assert {name: by_target[target] for name, by_target in found["confound_only"].items()} == recorded
            assert any("mean" in number for number in recorded["prior"].values())


def test_data_without_any_signal_have_the_same_controls(tmp_path):
    subjects = sharing_stimuli(make_subjects(10))
    bare = {name: [{**row, "modalities": ()} for row in rows] for name, rows in subjects.items()}
    found = [
        alone(write(tmp_path / name, content), "Tiny", "arousal", (0,), few_folds(tmp_path, 2))
        for name, content in (("whole", subjects), ("bare", bare))
    ]
    assert found[0]["subjects"] == {"arousal": 10}
    assert found[0]["confound_only"] == found[1]["confound_only"]


def test_the_best_control_is_what_is_to_be_beaten(tmp_path):
    root = write(tmp_path, of_all_kinds(8), "Kinds")
    told = []
    rules = few_folds(tmp_path, 2)
    found = alone(root, "Kinds", "arousal,arousal_value", (0,), rules, progress=lambda *step: told.append(step))
    assert [step[:2] for step in told] == [(k, 4) for k in range(1, 5)]
    for target, metric, best in (("arousal", "auroc_within", max), ("arousal_value", "rmse", min)):
        means = {
            name: by_target[target][metric]["mean"]
            for name, by_target in found["confound_only"].items()
            if "mean" in by_target[target].get(metric, {}) and name != "study_drift"
        }
        assert found["best"][target][metric]["mean"] == best(means.values())
        assert means[found["best"][target][metric]["control"]] == best(means.values())


def test_subjects_without_a_label_are_left_out_and_named(tmp_path):
    subjects = make_subjects(6)
    for row in subjects["p02"]:
        row["ratings"] = {}
    found = alone(write(tmp_path, subjects), "Tiny", "arousal", (0,))
    assert found["subjects"] == {"arousal": 5}
    assert found["left_out"] == {"arousal": [{"subject": "p02", "reason": "no label of any target"}]}
    for rows in subjects.values():
        for row in rows:
            row["ratings"] = {"arousal": float("nan")}
    with pytest.raises(DataError, match="no subject has a label"):
        alone(write(tmp_path / "none", subjects), "Tiny", "arousal", (0,))
