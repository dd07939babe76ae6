"""Training on one dataset and testing on another: what they share, what is refused, what the record says."""

from dataclasses import replace

import numpy as np
import pytest

from embench.errors import UsageError

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, plugin, write


@pytest.fixture
def bench(tmp_path):
    """Four subjects to test, and five others, of whom `Shifted` says otherwise when they were aroused."""
    write(tmp_path, make_subjects(4))
    for dataset in ("Other", "Shifted"):
        write(tmp_path, make_subjects(5, seconds=14.0), dataset=dataset, seed=5 if dataset == "Other" else 6)
    return Bench(tmp_path, tmp_path / "runs")


def test_each_dataset_has_its_own_label_rule(bench):
    plan = bench.plan("Pool", modalities="ecg", train_dataset=plugin("Shifted"))
    (prediction,) = plan.graph.predictions
    (fitted,) = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    # Ratings are about 3 and 7: high by the tested dataset's cut of 5, and never by 8.
    assert set(fitted.task["y"].ravel()) == {0.0}
    tested = plan.test.label["arousal"][list(prediction.units)]
    assert set(tested) == {0.0, 1.0}
    subjects_of = {name: {u.subject for u in cohort.units} for name, cohort in (("fit", plan.fit), ("test", plan.test))}
    assert (len(subjects_of["fit"]), len(subjects_of["test"])) == (5, 4)
    assert len(prediction.units) == 16


def test_the_record_says_what_was_trained_on_and_by_which_rules(bench):
    options = {"fusion": "logreg", "modalities": "ecg", "protocol": few_folds(bench.data)}
    result = bench.run("Moments", train_dataset=plugin("Other"), **options)
    about = result.manifest["trained_on"]
    assert about["name"].endswith(":Other")
    assert about["subjects"] == 5
    assert [row["rule"]["cut"] for row in about["label_rules"]] == [5.0, 5.0]
    assert about["fingerprint"] == result.manifest["config"]["train_data"] != result.manifest["dataset"]["fingerprint"]
    assert result.manifest["cohort"]["subjects"] == ["p00", "p01", "p02", "p03"]
    undefined = result.scores["confound_only"]["elapsed_time"]["arousal"]["undefined"]
    assert undefined == {"id": "trained_on_other_dataset"}
    plain = bench.run("Moments", **options)
    assert "trained_on" not in plain.manifest
    assert plain.id != result.id


def test_what_is_left_open_is_what_both_have(bench):
    plan = bench.plan("Pool", fusion="concat", targets=None, train_dataset=plugin("Other"))
    assert plan.method.modalities == ("ecg", "eda")
    assert [t.name for t in plan.test.targets] == ["arousal", "valence"]
    shifted = bench.plan("Pool", fusion="concat", targets=None, train_dataset=plugin("Shifted"))
    assert [t.name for t in shifted.test.targets] == ["arousal"]  # valence is a value there


def test_what_only_one_has_is_refused(bench):
    with pytest.raises(UsageError, match="valence is 2 classes in tiny but a value of 0 to 1 in shifted"):
        bench.plan("Pool", modalities="ecg", targets="valence", train_dataset=plugin("Shifted"))
    write(bench.data, make_subjects(4), dataset="Session", seed=7)
    with pytest.raises(UsageError, match="session has no target `arousal`"):
        bench.plan("Pool", modalities="ecg", train_dataset=plugin("Session"))
    with pytest.raises(UsageError, match="tiny and session share no target of one kind"):
        bench.plan("Pool", modalities="ecg", targets=None, train_dataset=plugin("Session"))


def test_a_modality_that_is_missing_is_named(bench):
    all_subjects = make_subjects(5)
    for rows in all_subjects.values():
        for row in rows:
            row["modalities"] = ("eda",)
    write(bench.data, all_subjects, dataset="Other", seed=9)
    with pytest.raises(UsageError, match="other has no ecg, which Pool would be trained on"):
        bench.plan("Pool", modalities="ecg", train_dataset=plugin("Other"))


def test_copies_of_the_tested_subjects_are_found(bench):
    others = {f"q{n}": rows for n, rows in enumerate(make_subjects(4).values())}
    write(bench.data, {"p00": make_subjects(1)["p00"], **others}, "Other")
    with pytest.raises(UsageError, match="other contains subjects of the test dataset tiny"):
        bench.plan("Pool", modalities="ecg", train_dataset=plugin("Other"))
    with pytest.raises(UsageError, match="tiny contains subjects of the test dataset tiny"):
        bench.plan("Pool", modalities="ecg", train_dataset=plugin("Tiny"))


@pytest.mark.slow
def test_from_case_to_k_emocon(tmp_path):
    """Two released formats: three modalities and two targets in common, rated with a joystick from .5 to 9.5 and from 1
    to 5, by devices of other rates, which preparing makes one."""
    from embench import registry
    from embench.planning.request import Request
    from embench.runs.run import run

    for name, length_s in (("case", 400.0), ("k_emocon", 120.0)):
        registry.synthesizer(name)(tmp_path / name, subjects=6, seed=3, effect=1.0, length_s=length_s)
    request = Request(
        "k_emocon",
        encoders=("handcrafted",),
        fusion="logreg",
        seeds="0",
        recipe="quick",
        workers=1,
        data_root=tmp_path,
        runs=tmp_path / "runs",
        train_dataset="case",
        protocol=few_folds(tmp_path),
    )
    result = run(request)
    assert result.manifest["method"]["modalities"] == ["ppg", "eda", "temp"]
    assert result.manifest["targets"] == ["arousal", "valence"]
    cuts = [[row["rule"]["cut"] for row in part["label_rules"] if row["name"] == "arousal"] for part in
            (result.manifest["trained_on"], result.manifest["card"])]  # fmt: skip
    assert cuts == [[5.0], [2.5]]
    assert result.manifest["dataset"]["synthetic"]
    model = result.predictions.take(result.predictions["method"] == "model")
    assert set(model["subject"]) <= set(result.manifest["cohort"]["subjects"])
    assert np.isfinite(model["score"]).all()
    values = replace(request, targets="arousal_value", encoders=("cnn_tf",), fusion=None, modalities="eda")
    with pytest.raises(UsageError, match=r"a value of 1 to 5 in k_emocon but a value of 0\.5 to 9\.5 in case"):
        run(values)
