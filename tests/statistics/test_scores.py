"""scores.json as a whole: what stands in it, how folds and seeds are averaged, and what is undefined."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from embench import registry
from embench.errors import DataError, PluginError
from embench.interfaces.agreement import concordance
from embench.interfaces.metric import Metric
from embench.interfaces.units import LabelRule, Target, Units
from embench.protocols import Design, load_protocol
from embench.reasons import Reason
from embench.records.predictions import Labels, Predictions
from embench.statistics import estimates
from embench.statistics.estimates import estimate
from embench.statistics.intervals import (
    Estimate,
    jackknife_error,
    leave_one_out,
    training_overlap,
    with_add_one_interval,
)
from embench.statistics.joined import join
from embench.statistics.scores import compute_scores
from embench.testing import require

PROTOCOL = load_protocol("subject-independent-v4")
LENGTHS = {f"s{p:02d}": 3000.0 + 5 * p for p in range(12)}
MakeRun = Callable[..., Any]


def scored(run: Any, target: Target, *, design: Design = "free", **changed: Any) -> dict[str, Any]:
    arguments = {"groups": run.groups, "unit_length_s": 10.0, **changed}
    return compute_scores(run.predictions, run.labels, targets=[target], protocol=PROTOCOL, design=design, **arguments)


def test_everything_is_there_and_is_json(make_run: MakeRun, binary: Target) -> None:
    out = scored(make_run(), binary)
    assert json.loads(json.dumps(out.content, allow_nan=False)) == out
    assert out["primary_metrics"] == {"stress": "auroc_within"}
    metrics = {"auroc_within", "auroc_within_stimulus", "auroc_crossed", "auroc_crossed_time"}
    metrics |= {"auroc", "balanced_accuracy", "f1_weighted", "f1_macro", "accuracy", "mcc", "brier", "ece"}
    assert metrics <= set(out["scores"]["stress"])
    assert set(out["confound_only"]) == {"majority", "elapsed_time"}
    number = out["scores"]["stress"]["auroc"]
    assert number["low"] < number["mean"] < number["high"]
    assert len([row for row in out["folds"] if row["method"] == "model"]) == 2 * 4


def test_the_same_every_time_whatever_the_order_of_rows(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    order = np.random.default_rng(0).permutation(len(run.predictions))
    shuffled = replace(run, predictions=run.predictions.take(order))
    assert json.dumps(scored(run, binary).content) == json.dumps(scored(shuffled, binary).content)


def by_hand(run: Any, method: str = "model") -> tuple[dict[tuple[int, int], Any], np.ndarray]:
    labels = dict(zip(run.labels["unit"], run.labels["label"], strict=True))
    y = np.array([labels[unit] for unit in run.predictions["unit"]])
    chosen = run.predictions["method"] == method
    keys = {(s, f) for s, f in zip(run.predictions["seed"], run.predictions["fold"], strict=True)}
    rows = {
        key: np.flatnonzero(chosen & (run.predictions["seed"] == key[0]) & (run.predictions["fold"] == key[1]))
        for key in keys
    }
    return rows, y


def test_ordinary_metrics_are_means_over_seeds_then_folds_never_pooled(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    rows, y = by_hand(run)
    values = {k: roc_auc_score(y[r], run.predictions["score"][r]) for k, r in rows.items()}
    folds = [np.mean([values[seed, fold] for seed in (0, 1)]) for fold in range(4)]
    spread = [np.std([values[seed, fold] for fold in range(4)], ddof=1) for seed in (0, 1)]
    number = scored(run, binary)["scores"]["stress"]["auroc"]
    assert number["mean"] == pytest.approx(np.mean(folds))
    assert number["std"] == pytest.approx(np.mean(spread))


def test_headline_averages_a_subjects_seeds_first(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    _, y = by_hand(run)
    p = run.predictions
    subjects = []
    for subject in run.groups:
        mine = [
            np.flatnonzero((p["method"] == "model") & (p["seed"] == s) & (p["subject"] == subject)) for s in range(2)
        ]
        subjects.append(np.mean([roc_auc_score(y[rows], p["score"][rows]) for rows in mine]))
    number = scored(run, binary)["scores"]["stress"]["auroc_within"]
    assert number["mean"] == pytest.approx(np.mean(subjects))
    assert number["std"] == pytest.approx(np.std(subjects, ddof=1))
    assert number["subjects"] == 12


def test_where_the_order_is_fixed_no_clock_can_win_the_headline(make_run: MakeRun, binary: Target) -> None:
    run = make_run(methods=("model", "majority", "elapsed_time"), strength=2.0)
    clock = run.predictions["method"] == "elapsed_time"
    score_ = np.where(clock, run.predictions["start_s"] / 1000, run.predictions["score"])
    run.predictions = Predictions({**run.predictions.columns, "score": score_})
    out = scored(run, binary, design="fixed_order", sessions=LENGTHS)
    assert out["primary_metrics"] == {"stress": "auroc_crossed_matched"}
    of_clock = out["confound_only"]["elapsed_time"]["stress"]["auroc_crossed_matched"]
    assert (of_clock["mean"], of_clock["low"], of_clock["high"]) == (0.5, 0.5, 0.5)
    assert of_clock["comparisons"] >= 200


@pytest.mark.parametrize("method", ["model", "elapsed_time"])
def test_scores_like_auroc_have_the_interval_of_one_more_at_chance(
    make_run: MakeRun, binary: Target, method: str
) -> None:
    run = make_run(strength=4.0)
    out = scored(run, binary)
    numbers = out["scores"]["stress"] if method == "model" else out["confound_only"][method]["stress"]
    joined = join(run.predictions, run.labels, binary, run.groups, 10.0)[method]
    jackknife = leave_one_out(joined.tested_subjects(), run.groups)
    for name in ("auroc", "auroc_within", "balanced_accuracy", "ece"):
        plain, _ = estimate(name, joined, binary, jackknife)
        assert isinstance(plain, Estimate)
        told = with_add_one_interval(plain) if name.startswith("auroc") else plain
        assert (numbers[name]["mean"], numbers[name]["low"], numbers[name]["high"]) == pytest.approx(
            (plain.mean, told.low, told.high)
        )
        assert (numbers[name]["low"] != pytest.approx(plain.low)) == name.startswith("auroc")


def test_a_constant_is_at_chance_by_construction(make_run: MakeRun, binary: Target) -> None:
    out = scored(make_run(strength=0.0), binary)
    constant = out["confound_only"]["majority"]["stress"]["auroc_within"]
    assert (constant["mean"], constant["low"], constant["high"]) == (0.5, 0.5, 0.5)


def test_folds_of_the_same_subjects_and_other_stimuli_train_each_other_as_one(
    make_run: MakeRun, binary: Target
) -> None:
    run = make_run()
    joined = join(run.predictions, run.labels, binary, run.groups, 10.0)["model"]
    halves = {}
    for seed, folds in joined.seeds.items():
        early = {2 * fold: units.take(units.start_s < 100) for fold, units in folds.items()}
        late = {2 * fold + 1: units.take(units.start_s >= 100) for fold, units in folds.items()}
        halves[seed] = early | late
    jackknife = leave_one_out(joined.tested_subjects(), run.groups)
    trained = joined.trained(jackknife)
    assert trained.shape == (2, 12, 12)
    assert (trained.mean(2) == 0.75).all()  # three of four folds of three subjects
    assert (replace(joined, seeds=halves).trained(jackknife) == trained).all()
    pairs = leave_one_out(joined.tested_subjects(), {name: name[:2] for name in run.groups})
    assert not joined.trained(pairs).any()  # s0 and s1 are groups of subjects of every fold


def test_scores_of_folds_allow_for_subjects_who_train_each_other(make_run: MakeRun, binary: Target) -> None:
    """Accuracy, with as many units of each subject: what a subject adds in a seed is their own share that is right."""
    run = make_run()
    rows, y = by_hand(run)
    seeds = []
    for seed in range(2):
        mine = np.concatenate([r for (of, _), r in rows.items() if of == seed])
        right = run.predictions["decision"][mine] == y[mine]
        seeds.append([right[run.predictions["subject"][mine] == f"s{p:02d}"].mean() for p in range(12)])
    joined = join(run.predictions, run.labels, binary, run.groups, 10.0)["model"]
    jackknife = leave_one_out(joined.tested_subjects(), run.groups)
    shared = training_overlap(np.array(seeds) / 12, joined.trained(jackknife))
    found, _ = estimate("accuracy", joined, binary, jackknife)
    assert isinstance(found, Estimate)
    own = jackknife_error(found.without)[0]
    assert shared is not None
    assert shared > 2 * own**2  # it counts up to there
    shared = 2 * own**2
    assert found.shared == pytest.approx(shared)
    half = stats.t.ppf(0.975, 11) * np.hypot(own, np.sqrt(shared))
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_where_subjects_share_stimuli_the_score_inside_subjects_covers_other_stimuli(make_run: MakeRun) -> None:
    """By hand: the score is computed anew without each stimulus. The variance of one partition counts twice."""
    target = Target("stress", "value", LabelRule(), "stress")
    run, metric = make_run(units=12, seeds=1, strength=1.0), "ccc"
    alone = scored(run, target)["scores"]["stress"][metric]
    out = scored(run, target, design="shared_stimuli")
    assert out["primary_metrics"] == {"stress": "concordance_crossed"}
    both = out["scores"]["stress"][metric]
    without = []
    for stimulus in sorted(set(run.predictions["stimulus"])):
        kept = run.predictions.take(run.predictions["stimulus"] != stimulus)
        without.append(scored(replace(run, predictions=kept), target)["scores"]["stress"][metric]["mean"])
    own = (alone["high"] - alone["mean"]) / stats.t.ppf(0.975, alone["subjects"] - 1)
    error = np.hypot(own, 2**0.5 * jackknife_error(np.array(without))[0])
    assert (both["mean"], both["over"]) == (alone["mean"], "subjects_and_stimuli")
    assert both["high"] - both["mean"] == pytest.approx(stats.t.ppf(0.975, 11) * error)


def test_a_label_of_the_subject_alone_leaves_the_headline_undefined(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    subject = np.unique(run.labels["subject"], return_inverse=True)[1]
    run.labels = Labels({**run.labels.columns, "label": subject % 2})
    out = scored(run, binary)
    assert out["scores"]["stress"]["auroc_within"] == {"undefined": {"id": "no_subject_with_both_classes"}}
    assert 0 < out["scores"]["stress"]["auroc"]["mean"] < 1


def test_folds_and_subjects_of_one_class_are_left_out_counted_and_said(make_run: MakeRun, binary: Target) -> None:
    run = make_run(seeds=1)
    in_fold = set(run.predictions["subject"][run.predictions["fold"] == 2])
    label = np.where(np.isin(run.labels["subject"], list(in_fold)), 0, run.labels["label"])
    run.labels = Labels({**run.labels.columns, "label": label})
    out = scored(run, binary)
    numbers = out["scores"]["stress"]
    assert numbers["auroc"]["left_out"] == [{"id": "folds_left_out", "n": 1, "of": 4, "why": [{"id": "one_class"}]}]
    assert numbers["auroc_within"]["left_out"] == [
        {"id": "subjects_left_out", "n": len(in_fold), "of": 12, "why": {"id": "one_class"}}
    ]
    assert numbers["auroc_within"]["subjects"] == 12 - len(in_fold)
    [row] = [r for r in out["folds"] if r["method"] == "model" and r["fold"] == 2]
    assert row["auroc"] is None
    assert row["accuracy"] is not None


def test_units_without_a_label_are_dropped(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    keep = np.arange(len(run.labels)) % 3 > 0
    blank = np.where(keep, run.labels["label"], np.nan)
    missing = Labels({n: c[keep] for n, c in run.labels.columns.items()})
    assert scored(run, binary) != scored(replace(run, labels=missing), binary)
    as_nan = replace(run, labels=Labels({**run.labels.columns, "label": blank}))
    assert scored(as_nan, binary) == scored(replace(run, labels=missing), binary)


def test_labels_of_one_seed_hold_for_it_alone(make_run: MakeRun, binary: Target) -> None:
    run = make_run(seeds=2, strength=3.0)
    columns = run.labels.columns
    both = {n: np.concatenate([c, c]) for n, c in columns.items()}
    both["seed"] = np.repeat([0, 1], len(run.labels))
    both["label"] = np.concatenate([columns["label"], 1 - columns["label"]])  # upside down in seed 1
    out = scored(replace(run, labels=Labels(both)), binary)
    by_seed = {s: [r["auroc"] for r in out["folds"] if r["seed"] == s and r["method"] == "model"] for s in (0, 1)}
    assert np.mean(by_seed[0]) > 0.8
    assert np.mean(by_seed[1]) < 0.2


def test_no_labelled_unit_is_said(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    run.labels = Labels({**run.labels.columns, "label": np.full(len(run.labels), np.nan)})
    out = scored(run, binary)
    assert out["scores"]["stress"] == {"auroc_within": {"undefined": {"id": "no_predicted_label"}}}


def test_several_classes(make_run: MakeRun) -> None:
    target = Target("emotion", "classes", LabelRule(), "emotion", n=3)
    out = scored(make_run(classes=3, target="emotion", strength=2.0), target)
    numbers = out["scores"]["emotion"]
    assert numbers["auroc_within"]["mean"] > 0.7
    assert numbers["auroc_crossed"]["mean"] > 0.7
    assert out["confound_only"]["majority"]["emotion"]["auroc_within"]["mean"] == 0.5


def test_one_label_between_whole_numbers_leaves_no_fold_with_a_score_of_ratings(make_run: MakeRun) -> None:
    """Folds without such a label would make a mean over some folds of what all are asked for."""
    target, run = Target("stress", "value", LabelRule(), "stress"), make_run(strength=3.0)
    ratings = scored(run, target)["scores"]["stress"]
    assert ratings["kappa_quadratic"]["low"] < ratings["kappa_quadratic"]["mean"]
    run.labels["label"][0] = 0.5
    between = scored(run, target)["scores"]["stress"]
    for name in ("kappa_quadratic", "mae_macro"):
        assert between[name] == {"undefined": {"id": "labels_not_integers"}}
    assert "mean" in between["ccc_pooled"]


def test_values_are_ranked_by_concordance_inside_subjects(make_run: MakeRun) -> None:
    target = Target("stress", "value", LabelRule(), "stress")
    run = make_run(strength=3.0)
    out = scored(run, target)
    assert out["primary_metrics"] == {"stress": "concordance_within"}
    assert set(out["scores"]["stress"]) == {
        "ccc", "ccc_pooled", "ccc_within_recording", "kappa_quadratic", "mae", "mae_macro", "pearson_within", "rmse",
        "concordance_crossed", "concordance_crossed_matched", "concordance_within",
    }  # fmt: skip
    ccc, rmse = out["scores"]["stress"]["ccc"], out["scores"]["stress"]["rmse"]
    assert (ccc["over"], ccc["subjects"], rmse["over"]) == ("subjects", 12, "folds")
    assert 0.5 < ccc["low"] < ccc["mean"] < ccc["high"]
    _, y = by_hand(run)
    p, subjects = run.predictions, []
    for subject in run.groups:
        mine = [
            np.flatnonzero((p["method"] == "model") & (p["seed"] == s) & (p["subject"] == subject)) for s in range(2)
        ]
        each = [concordance(p["score"][rows], y[rows], np.zeros(len(rows), int), 1)[0] for rows in mine]
        subjects.append(np.mean(each))
    assert ccc["mean"] == pytest.approx(np.mean(subjects))
    assert out["confound_only"]["majority"]["stress"]["ccc"]["mean"] == 0


def test_subjects_whose_values_do_not_vary_are_left_out_and_said(make_run: MakeRun) -> None:
    run = make_run()
    labels = {**run.labels.columns}
    alike = np.isin(labels["subject"], ["s00", "s05"])
    labels["label"] = np.where(alike, 1.0, labels["label"])
    run.labels = Labels(labels)
    ccc = scored(run, Target("stress", "value", LabelRule(), "stress"))["scores"]["stress"]["ccc"]
    assert ccc["subjects"] == 10
    assert ccc["left_out"] == [{"id": "subjects_left_out", "n": 2, "of": 12, "why": {"id": "constant_labels"}}]
    labels["label"] = np.ones(len(labels["label"]))
    run.labels = Labels(labels)
    ccc = scored(run, Target("stress", "value", LabelRule(), "stress"))["scores"]["stress"]["ccc"]
    assert ccc == {"undefined": {"id": "no_varying_subject"}}


def test_few_subjects_are_not_estimable(make_run: MakeRun, binary: Target) -> None:
    out = scored(make_run(n_subjects=8), binary, design="fixed_order", sessions=LENGTHS)
    assert out["scores"]["stress"]["auroc_crossed_time"]["undefined"]["id"] == "few_comparisons"
    assert out["scores"]["stress"]["auroc_crossed_matched"]["undefined"]["id"] == "few_matched_comparisons"
    assert out["scores"]["stress"]["auroc_within"]["subjects"] == 8


def test_a_control_that_knows_who_is_tested_is_shown(make_run: MakeRun, binary: Target) -> None:
    out = scored(make_run(methods=("model", "majority", "study_drift"), strength=2.0), binary)
    assert out["confound_only"]["study_drift"]["stress"]["auroc_within"]["mean"] > 0


def test_controls_that_do_not_apply_say_why(make_run: MakeRun, binary: Target) -> None:
    run = make_run(methods=("model", "majority", "movement"))
    gone = (run.predictions["method"] == "movement") & (run.predictions["fold"] == 1)
    run.predictions = run.predictions.take(~gone)
    reasons = {"stress": {"stimulus_mean": Reason.make("one_stimulus")}}
    out = scored(run, binary, not_applicable=reasons)
    assert out["confound_only"]["stimulus_mean"] == {"stress": {"undefined": {"id": "one_stimulus"}}}
    assert out["confound_only"]["movement"]["stress"]["undefined"]["id"] == "part_predicted"


def test_leaving_one_out_has_intervals(make_run: MakeRun, binary: Target) -> None:
    run = make_run(seeds=1)
    fold = np.unique(run.predictions["subject"], return_inverse=True)[1]
    run.predictions = Predictions({**run.predictions.columns, "fold": fold})
    numbers = scored(run, binary)["scores"]["stress"]
    assert numbers["accuracy"]["high"] - numbers["accuracy"]["low"] > 0.03
    # Every fold is a subject, so that both say the same of the same mean, one by t and one by the jackknife.
    assert numbers["auroc"]["mean"] == pytest.approx(numbers["auroc_within"]["mean"])
    assert numbers["auroc"]["low"] == pytest.approx(numbers["auroc_within"]["low"])
    assert "undefined" in numbers["auroc_crossed"]


def test_groups_widen_the_interval_of_subjects_who_are_alike(make_run: MakeRun, binary: Target) -> None:
    run = make_run(n_subjects=12, strength=0.5)
    out = scored(run, binary)["scores"]["stress"]["auroc_within"]
    groups = {subject: f"g{k // 6}" for k, subject in enumerate(run.groups)}
    grouped = scored(run, binary, groups=groups)["scores"]["stress"]["auroc_within"]
    assert grouped["mean"] == out["mean"]
    assert grouped["high"] - grouped["low"] != pytest.approx(out["high"] - out["low"])


def test_a_seed_with_few_comparisons_does_not_stop_the_score_of_the_others(make_run: MakeRun, binary: Target) -> None:
    """All seeds together have the 200 pairs that a score within stimuli needs, and one of them does not."""
    out = scored(make_run(n_subjects=20, units=10, seeds=3), binary, design="shared_stimuli")
    number = out["scores"]["stress"]["auroc_within_stimulus"]
    assert number["low"] < number["mean"] < number["high"]


def test_faulty_predictions_are_refused(make_run: MakeRun, binary: Target) -> None:
    run = make_run()
    twice = Predictions.concatenate([run.predictions, run.predictions.take(np.arange(3))])
    with pytest.raises(DataError, match="more than once"):
        scored(replace(run, predictions=twice), binary)
    nan = Predictions({**run.predictions.columns, "score": np.full(len(run.predictions), np.nan)})
    with pytest.raises(DataError, match="not finite"):
        scored(replace(run, predictions=nan), binary)
    with pytest.raises(DataError, match="without a group: s00"):
        scored(run, binary, groups={p: p for p in run.groups if p != "s00"})


def test_a_metric_that_raises_is_named(make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty(registry.load_plugin("metric", "accuracy")):
        def __call__(self, units: Units) -> float:
            raise ZeroDivisionError("oh")

    kinds: dict[str, type[Metric]] = {"accuracy": Faulty}
    monkeypatch.setattr(registry, "list_plugins", lambda _: list(kinds))
    monkeypatch.setattr(registry, "load_plugin", lambda _, name: kinds[name])
    with pytest.raises(PluginError, match="embench_plugins/accuracy raised ZeroDivisionError: oh"):
        scored(make_run(), binary)


@pytest.mark.parametrize(
    ("value", "samples", "fault"),
    [
        (1.2, None, "gave 1.2"),
        (-0.5, None, "gave -0.5"),
        (float("nan"), None, "gave nan"),
        (float("inf"), None, "gave inf"),
        (np.array([0.5, 0.5]), None, "gave ndarray"),
        (None, None, "gave NoneType"),
        (0.5, lambda n: np.full(n, 7.0), "gave 7"),
        (0.5, lambda n: np.full((n, 2), 0.5), "gave scores of shape"),
        (0.5, lambda _: 0.5, "gave scores of shape ()"),
    ],
)
def test_a_metric_keeps_its_range_and_its_shape(
    make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch, value: Any, samples: Any, fault: str
) -> None:
    class Faulty(registry.load_plugin("metric", "accuracy")):
        def __call__(self, units: Units) -> float:
            return value

        def resample(self, units: Units, subjects: np.ndarray, counts: np.ndarray) -> np.ndarray:
            return samples(len(counts))

    load = registry.load_plugin
    monkeypatch.setattr(registry, "list_plugins", lambda _: ["accuracy"])
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: Faulty if name == "accuracy" else load(kind, name))
    with pytest.raises(PluginError, match="embench_plugins/accuracy") as error:
        scored(make_run(), binary)
    assert fault in error.value.what
    assert error.value.exit_code == 4


def test_a_plain_metric_scores_each_distinct_sample_once() -> None:
    class Plain(registry.load_plugin("metric", "brier")):
        resample = Metric.resample
        calls = 0

        def __call__(self, units: Units) -> Any:
            self.calls += 1
            return super().__call__(units)

    units = require.units("binary", subjects=4)
    subjects = np.array(["p02", "p00", "p01", "p03"])
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [2, 0, 1, 1], [0, 3, 0, 1]])
    plain, summed = Plain(), registry.load_plugin("metric", "brier")()
    assert plain.resample(units, subjects, counts) == pytest.approx(
        summed.resample(units, subjects, counts), nan_ok=True
    )
    assert plain.calls == 3  # the empty one is not scored


def test_a_slow_plain_metric_is_named_and_changes_no_score(
    make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(registry.load_plugin("metric", "brier")):
        resample = Metric.resample

    run, load = make_run(), registry.load_plugin
    before = scored(run, binary)
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: Plain if name == "brier" else load(kind, name))
    monkeypatch.setattr(estimates, "SLOW_S", 0.0)
    with pytest.warns(UserWarning, match="define `resample`") as warned:
        after = scored(run, binary)
    (text,) = [str(warning.message) for warning in warned]
    assert text.startswith("the metric embench_plugins/brier took ")
    plain, summed = (out["scores"]["stress"].pop("brier") for out in (after, before))
    assert {**plain, "left_out": 0} == pytest.approx({**summed, "left_out": 0})
    assert after["scores"] == before["scores"]
    assert set(after) == set(before)


@pytest.mark.parametrize("fault", ["import", "init"])
def test_a_metric_of_another_package_that_cannot_be_loaded_is_undefined(
    make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    class Foreign(registry.load_plugin("metric", "accuracy")):
        def __init__(self) -> None:
            raise RuntimeError("no licence")

    names, load, find = registry.list_plugins, registry.load_plugin, registry.find

    def loaded(kind: str, name: str) -> Any:
        if name != "foreign":
            return load(kind, name)
        if fault == "import":
            raise PluginError("foreign can't be used", where="/home/ada/foreign.py")
        return Foreign

    other = replace(find("metric", "accuracy"), name="foreign", package="other_plugins")
    monkeypatch.setattr(registry, "list_plugins", lambda kind: ["foreign", *names(kind)])
    monkeypatch.setattr(registry, "load_plugin", loaded)
    monkeypatch.setattr(registry, "find", lambda kind, name: other if name == "foreign" else find(kind, name))
    with pytest.warns(UserWarning, match="other_plugins/foreign is left out: "):
        out = scored(make_run(), binary)
    assert out["scores"]["stress"]["foreign"] == {
        "undefined": {"id": "metric_not_loaded", "metric": "other_plugins/foreign"}
    }
    assert "auroc" in out["scores"]["stress"]


def test_a_metric_of_another_package_that_fails_is_undefined(
    make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign(registry.load_plugin("metric", "accuracy")):
        def __call__(self, units: Units) -> float:
            return 88.5

    names, load, find = registry.list_plugins, registry.load_plugin, registry.find
    other = replace(find("metric", "accuracy"), name="foreign", package="other_plugins")
    monkeypatch.setattr(registry, "list_plugins", lambda kind: ["foreign", *names(kind)])
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: Foreign if name == "foreign" else load(kind, name))
    monkeypatch.setattr(registry, "find", lambda kind, name: other if name == "foreign" else find(kind, name))
    with pytest.warns(UserWarning, match=r"other_plugins/foreign is left out: .* gave 88.5"):
        out = scored(make_run(), binary)
    assert out["scores"]["stress"]["foreign"] == {
        "undefined": {"id": "metric_fails", "metric": "other_plugins/foreign"}
    }
    assert "auroc" in out["scores"]["stress"]


def test_a_bundled_metric_that_cannot_be_loaded_is_a_fault(
    make_run: MakeRun, binary: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: str) -> None:
        raise PluginError("accuracy can't be used")

    monkeypatch.setattr(registry, "load_plugin", broken)
    with pytest.raises(PluginError, match="can't be used"):
        scored(make_run(), binary)
