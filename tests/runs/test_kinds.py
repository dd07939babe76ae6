"""Labels of every kind from a dataset's files to scores: two classes, three, values; networks and estimators."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from embench import registry
from embench.engine.stage import Folder
from embench.errors import UsageError
from embench.planning.parts import check_losses
from embench.planning.request import Request
from embench.records.predictions import Labels, Predictions

from ..tiny.running import Bench
from ..tiny.world import TIMELESS, few_folds, of_all_kinds, plugin, write

ALL = "arousal,arousal_value,state"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Subjects of whom nobody knows when they were recorded: what a clock tells takes longer than all methods."""
    root = tmp_path_factory.mktemp("kinds")
    all_subjects = {name: [{**row, **TIMELESS} for row in rows] for name, rows in of_all_kinds(12).items()}
    for row in all_subjects["p03"]:
        row["ratings"]["liking"] = None
    return Bench(write(root, all_subjects, dataset="Kinds"), root / "runs", "Kinds", few_folds(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All targets of both modalities, by the scores of today."""
    protocol = few_folds(tmp_path_factory.mktemp("whole"), 3)
    return {"modalities": "ecg,eda", "targets": ALL, "protocol": protocol}


def values_of(result, name):
    return {target: metrics[name] for target, metrics in result.scores["scores"].items() if name in metrics}


def check_record(result, units):
    """What is written: a column a class, one answer a unit, values in the labels' unit, labels by their rules."""
    p, labels = Predictions.read(result.folder / "predictions.csv.gz"), Labels.read(result.folder / "labels.csv.gz")
    model = p.take(p["method"] == "model")
    columns = np.stack([model[f"score_{k}"] for k in range(3)], 1)
    of_state = model["target"] == "state"
    np.testing.assert_allclose(columns[of_state].sum(1), 1, atol=1e-6)
    assert np.isnan(columns[~of_state]).all()
    assert np.isnan(model["score"][of_state]).all()
    np.testing.assert_array_equal(model["decision"][of_state], columns[of_state].argmax(1))
    for target in set(model["target"].tolist()):
        assert len(set(model["unit"][model["target"] == target].tolist())) == units
    made = {name: labels["label"][labels["target"] == name] for name in ("arousal", "arousal_value", "state")}
    assert set(made["arousal"]) == {0.0, 1.0}
    assert set(made["state"]) == {0.0, 1.0, 2.0}
    if "arousal_value" in set(model["target"]):
        value = model["score"][model["target"] == "arousal_value"]
        assert 1 < value.mean() < 9
        assert np.ptp(made["arousal_value"]) > 3


@pytest.mark.slow
def test_networks_of_one_target_each(kinds, whole):
    result = kinds.run("Pool", fusion="late", settings=("encoder.epochs=8",), **whole)
    classes = dict.fromkeys(("arousal", "state"), "auroc_within")
    assert result.scores["primary_metrics"] == {**classes, "arousal_value": "concordance_within"}
    assert values_of(result, "auroc_within")["arousal"]["mean"] > 0.9
    # One class can be told from the two others only, and these not from each other.
    assert 0.75 < values_of(result, "auroc_within")["state"]["mean"] < 0.97
    ordered, ccc = (values_of(result, name)["arousal_value"] for name in ("concordance_within", "ccc"))
    assert 0.7 < ordered["low"] < ordered["mean"] <= 1
    assert 0.4 < ccc["low"] < ccc["mean"] < 1
    assert values_of(result, "rmse")["arousal_value"]["mean"] < 2
    confound_only = result.scores["confound_only"]
    assert confound_only["prior"]["arousal_value"]["ccc"]["mean"] == 0
    assert confound_only["majority"]["arousal_value"] == {"undefined": {"id": "no_common_class"}}
    assert confound_only["prior"]["arousal_value"]["rmse"]["mean"] > values_of(result, "rmse")["arousal_value"]["mean"]
    assert confound_only["prior"]["state"]["auroc_within"]["mean"] == 0.5
    check_record(result, 216)


@pytest.mark.slow
def test_one_network_for_targets_of_all_kinds(kinds, whole):
    joint = ("fusion.targets=joint", "fusion.epochs=20", "fusion.batch=16")
    result = kinds.run("Pool", fusion="concat", settings=joint, **whole)
    assert values_of(result, "auroc_within")["arousal"]["mean"] > 0.7
    assert values_of(result, "ccc")["arousal_value"]["mean"] > 0.1
    check_record(result, 216)


ESTIMATORS = [("logreg", "arousal,state"), ("svm", "state"), ("boosting", ALL)]


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "targets"), ESTIMATORS)
def test_estimators(kinds, fusion, targets):
    result = kinds.run("Moments", fusion=fusion, modalities="ecg,eda", targets=targets)
    assert values_of(result, "auroc_within")["state"]["mean"] > 0.75
    assert values_of(result, "balanced_accuracy")["state"]["mean"] > 0.45
    if fusion == "boosting":
        assert values_of(result, "ccc")["arousal_value"]["mean"] > 0.9
        check_record(result, 216)


def test_the_scale_of_values_is_kept_with_the_weights_and_fitted_on_training_subjects(kinds):
    from safetensors.torch import load_file

    asked = {"modalities": "ecg", "targets": "arousal_value", "settings": ("encoder.epochs=1",)}
    plan, result = kinds.plan("Pool", **asked), kinds.run("Pool", **asked)
    weights = load_file(result.folder / "weights" / "seed0-fold0-arousal_value.safetensors")
    prediction = next(a for a in plan.graph.predictions if (a.seed, a.fold) == (0, 0))
    label = plan.test.label["arousal_value"]
    assert float(weights["scale.mean"]) == pytest.approx(label[list(prediction.train)].mean(), rel=1e-5)
    assert float(weights["scale.std"]) == pytest.approx(label[list(prediction.train)].std(), rel=1e-5)
    with np.load(Folder(kinds.runs / "stages", prediction.stage).file("predictions.npz")) as arrays:
        assert 1 < arrays["score"].mean() < 9


def test_a_run_that_names_no_target_takes_the_cards(kinds):
    assert [t.name for t in kinds.plan("Pool", modalities="ecg", targets=None).test.targets] == ["arousal"]


def test_a_plan_names_the_score_of_which_its_smallest_difference_is(kinds):
    scores = {"arousal": "AUROC", "arousal_value": "concordance", ALL: "AUROC or concordance"}
    for targets, score in scores.items():
        about = kinds.plan("Pool", modalities="ecg", targets=targets, protocol=Request.protocol).describe()
        assert about["smallest_difference_note"].startswith(f"{score}, paired over subjects")


def test_targets_of_other_units_are_refused_in_one_run(kinds):
    with pytest.raises(UsageError, match=r"arousal \(10 s\), liking \(whole recordings\)") as refused:
        kinds.plan("Pool", modalities="ecg", targets="arousal,liking")
    assert "--target arousal" in str(refused.value)


def test_a_subject_is_in_one_fold_whatever_the_targets(kinds):
    """p03 has no rating of liking, and is dealt out all the same; a state has another grid than a rating."""
    folds = []
    for targets in ("arousal", ALL, "state", "liking"):
        plan = kinds.plan("Pool", modalities="ecg", targets=targets)
        own = {u.id: u.subject for u in plan.test.units}
        folds.append([{r: {own[i] for i in getattr(f, r)} for r in ("train", "val", "test")} for f in plan.folds[0]])
    assert all(one == folds[0] for one in folds)
    assert any("p03" in fold["test"] for fold in folds[0])


def test_logreg_refuses_values_and_says_what_would_do(kinds, embench):
    done = embench(*kinds.line("--fusion", "logreg", "--target", ALL, "--modalities", "ecg", encoder="Moments"))
    assert done.code == 2
    assert "logreg cannot predict values, and arousal_value requires this" in done.err
    assert "--target arousal,state" in done.err


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        (("--target", "arousal", "--set", "encoder.loss=mae"), "arousal has two classes", "class_weight"),
        (
            ("--target", "arousal_value", "--fusion", "boosting", "--set", "fusion.loss=mae"),
            "boosting is not a network",
            "remove the setting",
        ),
        (("--target", "arousal_value", "--set", "encoder.loss=rmse"), "'rmse' is not valid", "mse"),
    ],
)
def test_a_loss_that_would_teach_nothing_is_refused(kinds, embench, options, message, remedy):
    encoder = "Moments" if "boosting" in options else "Pool"
    done = embench(*kinds.line(*options, "--modalities", "ecg", "--dry-run", encoder=encoder))
    assert done.code == 2, done.err
    assert message in " ".join(done.err.split())
    assert remedy in done.err


def test_a_loss_by_recording_is_refused_where_labels_vary_in_none(kinds):
    loss = ("encoder.loss=ccc_recording",)
    plan = kinds.plan("Pool", modalities="ecg", targets="arousal_value", settings=loss)
    flat = replace(plan.test, label={"arousal_value": np.full(len(plan.test.units), 4.0)})
    with pytest.raises(UsageError, match="arousal_value are constant within every recording") as refused:
        check_losses(plan.method, flat.targets, loss, flat)
    assert "ccc_batch" in str(refused.value)


def test_a_loss_is_part_of_the_runs_identity_but_the_default_is_not(kinds):
    about = {"modalities": "ecg", "targets": "arousal_value"}
    plain, same, other = (
        kinds.plan("Pool", **about, settings=settings)
        for settings in ((), ("encoder.loss=mse",), ("encoder.loss=ccc_batch",))
    )
    assert plain.graph.stages.keys() == same.graph.stages.keys()
    assert not plain.graph.stages.keys() & other.graph.stages.keys()


def test_folds_are_written_with_their_groups(kinds):
    result = kinds.run("Moments", fusion="logreg", modalities="ecg", targets="liking")
    with (result.folder / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["subject"] for row in rows} == {f"p{n:02d}" for n in range(12)}
    assert all(row["group"] == row["subject"] for row in rows)
    assert registry.load_plugin("dataset", plugin("Kinds")).card.default_targets == ("arousal",)
