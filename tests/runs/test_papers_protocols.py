"""What only papers' protocols do: ratings of segments, cuts that the training part decides, subjects chosen, recordings
z-scored one by one, and the epoch that the test labels pick."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from embench.engine.assemble import assemble
from embench.engine.fits import load_labelled_data
from embench.engine.rows import StoreSource, build_grid
from embench.engine.stage import Folder
from embench.errors import DataError, UsageError
from embench.planning.graph import stage_folder
from embench.records.predictions import Labels, Predictions
from embench.runs.run import run

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import RULES, make_subjects, sharing_stimuli, write

MEAN = {"aggregate": "value", "cut": "training_mean", "ties": "low"}
SEGMENTS = {"rating": 4, "continuous_s": 4, "condition_s": 4}


@pytest.fixture
def rules(tmp_path) -> Any:
    """`rules(leaks=True)`: the path of a protocol with some fields changed."""

    def made(**changes: Any) -> str:
        path = tmp_path / f"{len(list(tmp_path.glob('*.yaml')))}.yaml"
        path.write_text(yaml.safe_dump({**RULES, **changes}))
        return str(path)

    return made


def cuts(result, target="arousal"):
    return {(row["seed"], row["fold"]): row["cut"] for row in result.scores["cuts"] if row["target"] == target}


@pytest.mark.parametrize("by", sample(["group", "segment"], "segment"))
def test_a_cut_is_the_mean_of_the_ratings_of_the_training_part(shared, rules, by):
    leaks = by == "segment"
    protocol = rules(leaks=leaks, split={"by": by, "folds": 2}, unit=SEGMENTS, labels={"tiny": {"arousal": MEAN}})
    plan = shared.plan("Pool", modalities="ecg", protocol=protocol, seeds="0,1")
    result = run(plan.request)
    labels = Labels.read(result.folder / "labels.csv.gz")
    model = Predictions.read(result.folder / "predictions.csv.gz")
    model = model.take(model["method"] == "model")
    rating = {unit.recording: plan.fit.raw["arousal"][i] for i, unit in enumerate(plan.fit.units)}
    keep = {plan.fit.units[i].id for i in plan.fit.positions}
    known = cuts(result)
    assert len(set(known.values())) > 1  # folds differ
    for seed, folds in plan.folds.items():
        for fold in folds:
            learned = {id_.rpartition(":")[0] for id_ in fold.train if id_ in keep}
            assert known[seed, fold.index] == pytest.approx(np.mean([rating[r] for r in learned]), abs=1e-12)
    at = {(seed, unit): fold for seed, unit, fold in zip(model["seed"], model["unit"], model["fold"], strict=True)}
    assert set(zip(labels["seed"], labels["unit"], strict=True)) >= set(at)
    for seed, unit, recording, label in zip(
        labels["seed"], labels["unit"], labels["recording"], labels["label"], strict=True
    ):
        if (seed, unit) in at:
            assert label == (rating[recording] > known[seed, at[seed, unit]])
    for stage in plan.graph.stages.values():
        if stage.kind != "predict":
            cut = known[stage.description["seed"], stage.description["fold"]]
            ids = [plan.fit.store.recordings[r].id for r in stage.task["recording"]]
            np.testing.assert_array_equal(stage.task["y"][:, 0], [rating[r] > cut for r in ids])


def test_test_labels_have_no_say_in_the_cut(tmp_path, rules):
    all_subjects = make_subjects(6)
    one = Bench(write(tmp_path / "one", all_subjects), tmp_path / "runs")
    protocol = rules(labels={"tiny": {"arousal": MEAN}})
    plan = one.plan("Pool", protocol=protocol, modalities="ecg")
    tested = {unit.partition("-")[0] for unit in plan.folds[0][0].test}
    for name in tested:
        for row in all_subjects[name]:
            row["ratings"]["arousal"] = 9.0
    other = Bench(write(tmp_path / "other", all_subjects), tmp_path / "runs").plan(
        "Pool", protocol=protocol, modalities="ecg"
    )
    (before,) = [a for a in plan.graph.predictions if a.fold == 0]
    (after,) = [a for a in other.graph.predictions if a.fold == 0]
    (target,) = plan.fit.targets
    assert plan.fit.rule(target, before.train) == other.fit.rule(target, after.train)
    assert plan.fit.rule(target, plan.fit.positions) != other.fit.rule(target, other.fit.positions)


def test_controls_and_headline_use_the_same_labels(shared, rules):
    result = shared.run(
        "Pool",
        modalities="ecg",
        protocol=rules(unit=SEGMENTS, labels={"tiny": {"arousal": MEAN}}, primary_metric="f1_macro"),
    )
    assert result.scores["primary_metrics"] == {"arousal": "f1_macro"}
    assert 0 <= result.scores["scores"]["arousal"]["f1_macro"]["mean"] <= 1
    assert 0 <= result.scores["confound_only"]["majority"]["arousal"]["f1_macro"]["mean"] <= 1
    assert result.manifest["card"]["label_rules"][0]["rule"]["cut"] == "training_mean"


def test_a_fitted_cut_does_not_travel_to_another_dataset(tmp_path, rules):
    write(tmp_path, make_subjects(6))
    write(tmp_path, make_subjects(6), dataset="Other", seed=1)
    bench = Bench(tmp_path, tmp_path / "runs")
    protocol = rules(labels={"tiny": {"arousal": MEAN}})
    with pytest.raises(UsageError, match="from training labels of the same dataset") as error:
        bench.plan(
            "Pool", modalities="ecg", protocol=protocol, train_dataset=bench.request().dataset.replace("Tiny", "Other")
        )
    assert "--train-dataset" in str(error.value.where)


def test_edges_make_several_classes(shared, rules):
    labels = {"tiny": {"level": {"label": "arousal", "aggregate": "value", "edges": [3.1, 7.005], "ties": "low"}}}
    plan = shared.plan("Pool", modalities="ecg", protocol=rules(labels=labels), targets=None)
    (target,) = plan.fit.targets
    assert (target.name, target.kind, target.n) == ("level", "classes", 3)
    raw, label = plan.fit.raw["level"], plan.fit.label["level"]
    there = np.isfinite(raw)
    np.testing.assert_array_equal(label[there], (raw[there] > 3.1).astype(float) + (raw[there] > 7.005))
    assert set(label[there]) == {0.0, 1.0, 2.0}


def test_only_the_protocols_subjects_take_part(shared, rules):
    plan = shared.plan("Pool", modalities="ecg", protocol=rules(people={"tiny": ["p00", "p02", "p03", "p05"]}))
    assert plan.test.subjects == ["p00", "p02", "p03", "p05"]
    why = {row["subject"]: row["reason"] for row in plan.test.excluded}
    assert why == dict.fromkeys(("p01", "p04"), "not among the protocol's subjects")
    assert {unit.subject for unit in plan.fit.roster} == set(plan.test.subjects)


def test_pretraining_under_a_split_by_segments_sees_no_test_sample(shared, rules):
    for by in ("segment", "recording"):
        protocol = rules(leaks=True, split={"by": by, "folds": 3}, unit=SEGMENTS)
        settings = ("encoder.view.length_s=2", "encoder.view.step_s=2")
        plan = shared.plan(
            "Pool", protocol=protocol, modalities="ecg", pretrainers=("masked_value",), settings=settings
        )
        span = {u.id: (u.recording, u.start, u.stop) for u in plan.fit.units}
        for fold in plan.folds[0]:
            (stage,) = [
                s for s in plan.graph.stages.values() if s.kind == "pretrain" and s.description["fold"] == fold.index
            ]
            seen = [
                (plan.fit.store.recordings[r].id, a, b)
                for r, a, b in zip(stage.task["recording"], stage.task["start"], stage.task["stop"], strict=True)
            ]
            for r, a, b in (span[id_] for id_ in fold.test):
                assert not [s for s in seen if s[0] == r and s[1] < b and a < s[2]]
            sensed = {recording for recording, _, _ in seen}
            trained = [span[id_] for id_ in fold.train if span[id_][0] in sensed]
            learned = sum(b - a for _, a, b in trained)
            rows_learned = sum(b - a for (_, a, b), role in zip(seen, stage.task["role"], strict=True) if role == 0)
            assert rows_learned == pytest.approx(learned)


def test_recordings_are_z_scored_one_by_one(shared, rules):
    plan = shared.plan(("Whole",), fusion="single", modalities="ecg", protocol=rules(normalise="recording_unlabelled"))
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    modalities = stage.params.modalities
    grid = build_grid(modalities, None, *(stage.task[name] for name in ("recording", "start", "stop")))
    data, _ = assemble(source, modalities, grid, "cpu")
    for row in np.flatnonzero(data.feeds["ecg"].present):
        x, mask = data.feeds["ecg"].batch_rows(np.array([row]))
        values = x[0, 0] if mask is None else x[0, 0][mask[0]]
        assert float(values.mean()) == pytest.approx(0, abs=1e-3)
        assert float(values.std(unbiased=False)) == pytest.approx(1, abs=1e-3)


def test_features_are_computed_of_z_scored_recordings_and_left_as_they_are(shared, rules):
    protocol = rules(normalise="recording_unlabelled")
    result = shared.run("Moments", fusion="logreg", modalities="eda", protocol=protocol)
    assert result.manifest["target_access"] == "unlabelled"
    plan = shared.plan("Moments", fusion="logreg", modalities="eda", protocol=protocol)
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind == "estimator"]
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    grid = build_grid(stage.params.modalities, None, *(stage.task[n] for n in ("recording", "start", "stop")))
    data, _ = assemble(source, stage.params.modalities, grid, "cpu")
    feed = data.feeds["eda"]
    # Mean 0 and SD 1 of both channels: what `Moments` says of a recording that was z-scored before.
    np.testing.assert_allclose(
        feed.array.numpy()[feed.present], np.tile([0, 0, 1, 1], (feed.present.sum(), 1)), atol=0.02
    )


def test_a_modality_that_keeps_its_level_is_scaled_by_the_training_units_alone(shared, rules):
    plan = shared.plan("Pool", fusion="single", modalities="ecg", protocol=rules(normalise="recording_unlabelled"))
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    common = stage.params.common
    common = replace(common, source=replace(common.source, keep_level=("ecg",)))
    stage = replace(stage, params=replace(stage.params, common=common))
    _, specs, *_ = load_labelled_data(stage)
    store, task = plan.fit.store, stage.task
    learned = [store.recordings[r].id for r, role in zip(task["recording"], task["role"], strict=True) if role == 0]
    samples = np.concatenate([store.signal(r, "ecg").data for r in learned], 1)
    fitted = specs["ecg"].fitted
    np.testing.assert_allclose(fitted["mean"], samples.mean(1), rtol=1e-5)
    np.testing.assert_allclose(fitted["std"], samples.std(1), rtol=1e-5)
    # Whoever predicts with the fitted model scales by these, too.
    source = StoreSource.from_spec(common.source, stage.places, task)
    grid = build_grid(stage.params.modalities, None, *(task[f"all_{n}"] for n in ("recording", "start", "stop")))
    data, _ = assemble(source, stage.params.modalities, grid, "cpu", specs=specs)
    raw = store.signal(store.recordings[grid.recording[-1]].id, "ecg")
    x, _ = data.feeds["ecg"].batch_rows(np.array([len(grid) - 1]))
    length = x.shape[-1]
    first = round((grid.stop[-1] - store.recordings[grid.recording[-1]].spans["ecg"].t0) * raw.rate) - length
    by_hand = (raw.data[:, first : first + length] - fitted["mean"][:, None]) / fitted["std"][:, None]
    np.testing.assert_allclose(x[0].numpy(), by_hand, atol=1e-4)


def test_facial_values_keep_their_level_where_recordings_are_z_scored(shared, rules):
    for normalise, kept in (("recording_unlabelled", ("face_au",)), ("subject_unlabelled", ())):
        plan = shared.plan("Pool", fusion="single", modalities="ecg", protocol=rules(normalise=normalise))
        assert {s.params.common.source.keep_level for s in plan.graph.stages.values()} == {kept}


@pytest.mark.parametrize("fusion", sample(["single", "concat"], "single"))
def test_the_epoch_that_scores_best_on_the_test_labels_is_picked(shared, rules, fusion):
    protocol = rules(leaks=True, select="peak_on_test", primary_metric="accuracy")
    modalities = "ecg" if fusion == "single" else "ecg,eda"
    plan = shared.plan(
        "Pool",
        fusion=fusion,
        protocol=protocol,
        modalities=modalities,
        settings=("encoder.epochs=3",) if fusion == "single" else ("fusion.epochs=3",),
    )
    result = run(plan.request)
    picked = {(row["target"], row["fold"]): row for row in result.scores["picked_epochs"]}
    labels = Labels.read(result.folder / "labels.csv.gz")
    label = dict(zip(labels["unit"], labels["label"], strict=True))
    model = Predictions.read(result.folder / "predictions.csv.gz")
    model = model.take(model["method"] == "model")
    score = dict(zip(model["unit"], model["score"], strict=True))
    assert plan.graph.predictions
    for prediction in plan.graph.predictions:
        with np.load(Folder(stage_folder(shared.runs), prediction.stage).file("predictions.npz")) as arrays:
            every, last = arrays["epochs"][:, :, 0], arrays["score"][:, 0]
        ids = [plan.test.units[i].id for i in prediction.units]
        y = np.array([label[id_] for id_ in ids])
        there = np.isfinite(last)
        right = [((table[there] >= 0.5) == y[there]).mean() for table in every]
        row = picked["arousal", prediction.fold]
        assert (row["epoch"], row["of"]) == (int(np.argmax(right)), 3)
        np.testing.assert_array_equal(every[-1], last)  # what the recipe keeps is the last epoch
        chosen = every[row["epoch"]][there]
        np.testing.assert_allclose([score[i] for i, t in zip(ids, there, strict=True) if t], chosen, rtol=1e-7)
    assert result.manifest["protocol"]["leaks_by"] == {"select": {}}


def test_without_the_leak_no_epoch_is_kept(shared, rules):
    plan = shared.plan("Pool", modalities="ecg", protocol=rules(primary_metric="accuracy"))
    assert not [s for s in plan.graph.stages.values() if "every_epoch" in s.params.plain()]


def test_what_leaks_is_said_in_numbers(shared, rules):
    protocol = rules(leaks=True, split={"by": "segment", "folds": 3}, unit=SEGMENTS)
    plan = shared.plan("Pool", modalities="ecg", protocol=protocol)
    text = plan.describe()["leaks_by"]["split.by"]
    assert re.search(r": 6 of 6 subjects and 1\d of 24 recordings$", text)
    assert shared.plan("Pool", modalities="ecg", protocol=rules()).describe()["leaks_by"] == {}


@pytest.mark.slow
def test_an_epoch_is_picked_where_the_headline_compares_subjects(tmp_path, rules):
    bench = Bench(write(tmp_path / "films", sharing_stimuli(make_subjects(6))), tmp_path / "runs")
    protocol = rules(leaks=True, select="peak_on_test", primary_metric="by_design")
    result = bench.run("Pool", modalities="ecg", protocol=protocol)
    assert result.scores["primary_metrics"] == {"arousal": "auroc_crossed"}
    assert [row["fold"] for row in result.scores["picked_epochs"]] == [0, 1, 2]


@pytest.mark.parametrize("by", sample(["group", "recording", "segment"], "segment"))
def test_a_papers_record_holds_intervals(shared, rules, by):
    """However its split leaks, and in several seeds: of the primary metric and of every control."""
    own = {"split": {"by": by, "folds": 2}, "leaks": by != "group", "unit": SEGMENTS, "primary_metric": "f1_macro"}
    result = shared.run("Moments", fusion="logreg", modalities="ecg", protocol=rules(**own), seeds="0,1")
    numbers = [result.scores["scores"]["arousal"][name] for name in ("f1_macro", "auroc_within", "auroc")]
    numbers += [result.scores["confound_only"][name]["arousal"]["f1_macro"] for name in ("majority", "prior")]
    assert all(number["low"] <= number["mean"] <= number["high"] for number in numbers)


def test_where_no_unit_fits_the_message_says_how_long_recordings_must_be(shared, rules):
    units = {"rating": 30.0, "continuous_s": 30.0, "condition_s": 30.0}
    with pytest.raises(DataError, match=r"too short for a unit of 30 s: the longest recording lasts 12\.0 s") as error:
        shared.plan("Pool", modalities="ecg", protocol=rules(unit=units))
    assert "at least 30 s" in str(error.value.expected)
