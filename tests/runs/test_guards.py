"""Guards: a leaking protocol is refused, nobody finds what they must not see, and test subjects change no training."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from embench import registry
from embench.engine.fits import load_labelled_data
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.errors import PluginError

from ..tiny.running import Bench
from ..tiny.world import RULES, make_subjects, plugin, write


@pytest.mark.parametrize("by", ["recording", "segment"])
def test_a_protocol_that_leaks_while_it_says_it_does_not(bench, embench, tmp_path, by):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**RULES, "split": {"by": by, "folds": 3}}))
    done = embench(*bench.line("--modalities", "ecg", "--protocol", path))
    assert done.code == 1
    assert "subjects are in both" in done.err
    assert re.search(r"of fold \d: p0\d, p0\d", done.err)
    assert not (bench.runs / "stages").exists()
    path.write_text(yaml.safe_dump({**RULES, "split": {"by": by, "folds": 3}, "leaks": True}))
    assert bench.plan(modalities="ecg", protocol=str(path)).protocol.leaks


def findings(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def secrets():
    """What nobody may find: ids, stimuli and subjects as texts, ratings and session times as numbers."""
    all_subjects = [row for name in sorted(make_subjects(6)) for row in make_subjects(6)[name]]
    texts = {row[key] for row in all_subjects for key in ("id", "stimulus", "group")}
    numbers = {v for row in all_subjects for v in row["ratings"].values()} | {row["start_s"] for row in all_subjects}
    return texts, numbers


def leaked(texts, secret):
    return {s for s in secret for t in texts if s == t or (len(s) > 2 and s in t)}


def test_the_search_finds_what_is_hidden_anywhere():
    """So that finding nothing means something."""
    reach = vars(sys.modules[registry.load_plugin("encoder", plugin("Pool")).__module__])["reach"]
    label, text = np.arange(5.0), "p03-v1"

    class Holder:
        pass

    holder = Holder()
    holder.inside = {"deep": [(lambda: label), torch.from_numpy(label)[1:3], np.frombuffer(label)[2:], {"k": text}]}
    found = reach(holder)
    assert sum(thing is label for thing in found) == 1
    assert any(thing is text for thing in found)
    assert any(isinstance(thing, torch.Tensor) and thing.shape == (5,) for thing in found)


def test_an_observer_finds_no_test_label(bench, monkeypatch, tmp_path, secrets):
    monkeypatch.setenv("FINDINGS", str(tmp_path / "found.jsonl"))
    bench.run("Pool", modalities="ecg", observers=(plugin("Curious"),))
    lines = findings(tmp_path / "found.jsonl")
    assert {line["hook"] for line in lines} == {
        "run_started", "stage_started", "epoch_ended", "stage_ended", "run_ended",
    }  # fmt: skip
    texts, numbers = secrets
    ratings = {number for number in numbers if number < 10}
    for line in lines:
        assert not line["arrays"]
        assert not leaked(line["texts"], {t for t in texts if "-" in t})  # no recording, so no unit
        assert not ratings & set(line["numbers"])
        if line["hook"] != "run_ended":  # scores tell whom they leave out
            assert not leaked(line["texts"], texts)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_encoder_finds_nothing_but_the_signal(bench, monkeypatch, tmp_path, secrets, streamed):
    monkeypatch.setenv("FINDINGS", str(tmp_path / "found.jsonl"))
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # so that streams are made, not found
    plan = bench.plan("Searching", modalities="ecg,eda", fusion="concat")
    fit = next(s for s in plan.graph.stages.values() if s.kind == "fusion")
    predict = next(s for s in plan.graph.stages.values() if s.inputs.get("fitted") == fit.id)
    if streamed:
        for stage in (fit, predict):
            stage.places["memory_bytes"] = 0
    (tmp_path / "found.jsonl").unlink(missing_ok=True)
    for stage in (fit, predict):
        run_stage(stage, bench.runs)
    lines = findings(tmp_path / "found.jsonl")
    assert {line["hook"] for line in lines} == {"stream", "fit_stats", "build", "forward"}
    texts, numbers = secrets
    for line in lines:
        assert not leaked(line["texts"], texts | {"arousal", "valence"}), line["hook"]
        assert not numbers & set(line["numbers"])
        assert not line["memory"]  # a slice of the store's map would lead to the store
        shapes = line["arrays"]
        if line["hook"] == "forward":
            # The rows and their mask, nothing as long as the batch, and no larger memory behind them.
            assert all(len(shape) in (2, 3) for shape in shapes), shapes
            assert not any(line["beyond"])
        if line["hook"] == "build":
            assert all(shape in ([1], [2]) for shape in shapes), shapes  # its own statistics, one a channel


def test_an_encoder_of_features_finds_nothing_but_the_signal(bench, monkeypatch, tmp_path, secrets):
    monkeypatch.setenv("FINDINGS", str(tmp_path / "found.jsonl"))
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    bench.run("SearchingMoments", modalities="ecg,eda", fusion="logreg")
    lines = findings(tmp_path / "found.jsonl")
    assert {line["hook"] for line in lines} == {"features"}
    texts, numbers = secrets
    for line in lines:
        assert not leaked(line["texts"], texts | {"arousal", "valence"})
        assert not numbers & set(line["numbers"])
        assert not line["memory"]
        assert sorted(len(shape) for shape in line["arrays"]) == [2, 2]  # samples and spans
    assert all(line["numbers"] for line in lines)


def test_an_answer_that_depends_on_the_batch_is_refused_with_the_units(bench, embench):
    done = embench(*bench.line("--modalities", "ecg", "--target", "arousal", encoder="BatchBound"))
    assert done.code == 4
    assert "depends on the other units in its batch" in done.err
    assert "BatchBound" in done.err
    error = done.err.rpartition("\nplugin: ")[2]
    named = [word for word in error.replace(",", " ").split() if word.startswith("p0")]
    assert len(named) == 3
    assert all(word.partition(":")[2].startswith("0-") for word in named)
    assert not (bench.runs / "Tiny").exists()


def train_data(stage):
    data, specs, train, val, _ = load_labelled_data(stage)
    batch = data.batch(np.concatenate([train, val]))
    return batch, specs, train, val


def tensors(plan, subject):
    """All that the fits see in which a subject is tested."""
    out = {}
    for prediction in plan.graph.predictions:
        if any(plan.test.units[i].subject == subject for i in prediction.units):
            fitted = plan.graph.stages[plan.graph.stages[prediction.stage].inputs["fitted"]]
            for stage in [fitted, *(plan.graph.stages[i] for i in fitted.inputs.values())]:
                if stage.kind != "pretrain":
                    out[stage.kind, *stage.params.modalities] = train_data(stage)
    return out


@pytest.mark.parametrize(
    ("encoder", "fusion"), [("Pool", "late"), ("Searching", "concat"), ("Moments", "logreg"), ("Whole", "concat")]
)
def test_changing_a_test_subject_leaves_training_bit_for_bit(tmp_path, monkeypatch, encoder, fusion):
    monkeypatch.setenv("FINDINGS", str(tmp_path / "found.jsonl"))
    all_subjects = make_subjects(5)
    all_subjects["p02"][0]["lost"] = {"ecg": 1.5}
    plans = []
    for name, seed in (("before", 0), ("after", 1)):
        data = write(tmp_path / name, all_subjects)
        write(data, {"p04": all_subjects["p04"]}, seed=seed)
        plans.append(Bench(data, tmp_path / "runs").plan(encoder, fusion=fusion))
    assert plans[0].test.store.key != plans[1].test.store.key
    before, after = (tensors(plan, "p04") for plan in plans)
    assert before.keys() == after.keys()
    for key, (one, specs, *rows) in before.items():
        other, same_specs, *same_rows = after[key]
        assert [r.tolist() for r in rows] == [r.tolist() for r in same_rows]
        assert torch.equal(one.y, other.y)
        assert torch.equal(one.weight, other.weight)
        for m in one.x:
            np.testing.assert_array_equal(one.x[m].numpy(), other.x[m].numpy())  # NaN equals NaN
            assert torch.equal(one.rows[m], other.rows[m])
            assert (one.mask[m] is None) == (other.mask[m] is None)
            if one.mask[m] is not None:
                assert torch.equal(one.mask[m], other.mask[m])
            for name, value in specs[m].stats.items():
                np.testing.assert_array_equal(value, same_specs[m].stats[name])


def test_a_stage_holds_the_labels_of_its_own_training_and_validation_units_only(shared):
    plan = shared.plan("Pool", fusion="late", targets="arousal,valence")
    for prediction in plan.graph.predictions:
        predict = plan.graph.stages[prediction.stage]
        assert "y" not in predict.task
        tested = {plan.test.units[i].recording for i in prediction.units}
        fitted = plan.graph.stages[predict.inputs["fitted"]]
        for stage in (fitted, *(plan.graph.stages[i] for i in fitted.inputs.values())):
            assert len(stage.task["y"]) == len(stage.task["recording"])
            seen = {plan.fit.store.recordings[r].id for r in stage.task["recording"]}
            assert not seen & tested
            subjects = {plan.fit.store.recordings[r].subject for r in stage.task["recording"]}
            assert not subjects & {plan.test.units[i].subject for i in prediction.units}


def test_pretraining_sees_no_test_subject(shared):
    plan = shared.plan("Pool", modalities="ecg", pretrainers=("masked_value",))
    for prediction in plan.graph.predictions:
        tested = {plan.test.units[i].subject for i in prediction.units}
        fitted = plan.graph.stages[plan.graph.stages[prediction.stage].inputs["fitted"]]
        (pretrain,) = (plan.graph.stages[i] for i in fitted.inputs.values())
        assert "y" not in pretrain.task
        assert not tested & {plan.fit.store.recordings[r].subject for r in pretrain.task["recording"]}


def test_predictions_do_not_depend_on_the_order_in_which_units_come(shared, tmp_path):
    """Units come shuffled by the stage's seed; another order gives the same answers to float precision."""
    plan = shared.plan("Pool", modalities="ecg")
    stage = next(s for s in plan.graph.stages.values() if s.kind == "predict")
    fitted = plan.graph.stages[stage.inputs["fitted"]]
    scores = []
    for seed in (0, 1):
        same = replace(stage, params=replace(stage.params, common=replace(stage.params.common, seed=seed)))
        for s in (fitted, same):
            run_stage(s, tmp_path)
        with np.load(Folder(tmp_path, same.id).file("predictions.npz")) as arrays:
            scores.append(arrays["score"])
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_a_fault_of_a_plugin_is_said_with_its_place(bench, embench):
    done = embench(*bench.line("--modalities", "ecg", encoder="Raising"))
    assert done.code == 4
    assert "Raising" in done.err
    assert "ZeroDivisionError: a fault of the plugin" in done.err
    assert "plugins.py:" in done.err
    assert "Traceback" not in done.err
    traces = [path.read_text() for path in (bench.runs / "stages").glob("*/error.txt")]
    assert traces
    assert all("a fault of the plugin" in trace for trace in traces)


def test_a_network_that_diverges_is_said(bench):
    with pytest.raises(PluginError, match=r"training loss became|not finite"):
        bench.run("Diverging", modalities="ecg")
