"""Whole runs of every way to go on from pretraining, and what none of them may do."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embench.engine import loop
from embench.engine.work import run_stage
from embench.errors import EmbenchError, UsageError

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, write

RIDGE, FROZEN = (f"encoder.adapt={name}" for name in ("ridge", "frozen"))


def first_stage(plan, kind="unimodal"):
    return next(stage for stage in plan.graph.stages.values() if stage.kind == kind)


def fitted(bench, plan, kind="unimodal"):
    """Result and weights of the first fitting stage of a plan, which is run with what it starts from."""
    stage = first_stage(plan, kind)
    for id_ in stage.inputs.values():
        run_stage(plan.graph.stages[id_], bench.runs / "stages")
    result = run_stage(stage, bench.runs / "stages")
    return result, load_file(bench.runs / "stages" / stage.id / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"modalities": "ecg"},
        {"modalities": "ecg", "targets": "arousal,valence"},
        {"modalities": "ecg,eda", "fusion": "late"},
        {"modalities": "ecg,eda", "fusion": "logreg"},
        {"modalities": "ecg,eda", "fusion": "vote"},
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_a_run_in_closed_form_finds_what_is_planted(bench, options):
    """The waves of aroused subjects are larger: what a random network pools of them tells."""
    result = bench.run("Pool", settings=(RIDGE,), **options)
    assert result.scores["scores"]["arousal"]["auroc_within"]["mean"] > 0.8
    assert "adapt: ridge" in (result.folder / "run.yaml").read_text()


def test_ridge_keeps_the_encoder_and_trains_no_epoch(bench):
    options = {"modalities": "ecg", "pretrainers": ("masked_value",)}
    plans = [bench.plan("Pool", settings=(way,), **options) for way in (RIDGE, FROZEN)]
    (result, weights), (_, frozen) = (fitted(bench, plan) for plan in plans)
    before = load_file(bench.runs / "stages" / first_stage(plans[0], "pretrain").id / "weights.safetensors")
    encoder = [name for name in weights if name.startswith("encoders.")]
    assert encoder
    assert all(torch.equal(weights[name], before[name]) and torch.equal(frozen[name], before[name]) for name in encoder)
    assert (result["epochs"], list(result["penalty"])) == (0, ["arousal"])
    assert result["trained"] == sum(weights[f"head.linear.{name}"].numel() for name in ("weight", "bias"))


def test_a_recipe_without_a_say_in_closed_form_changes_nothing(bench):
    """Batches, rates and epochs are of training by steps."""
    weights = [fitted(bench, bench.plan("Pool", modalities="ecg", settings=(RIDGE, more)))[1]
               for more in ("encoder.lr=1e-2", "encoder.lr=0.5")]  # fmt: skip
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_no_label_of_a_test_subject_decides_anything(bench, tmp_path):
    """The same subjects, of whom those of the first fold's test rated the contrary."""
    plan = bench.plan("Pool", modalities="ecg", settings=(RIDGE,))
    tested = {plan.test.units[i].subject for i in plan.graph.predictions[0].units}
    assert 0 < len(tested) < 6
    subjects = make_subjects(6)
    weights = []
    for turned in (False, True):
        for name in tested:
            for row in subjects[name]:
                rating = row["ratings"]["arousal"]
                row["ratings"] = {**row["ratings"], "arousal": 10 - rating if turned else rating}
        root = tmp_path / str(turned)
        signals = write(root, make_subjects(6))  # which follow the ratings
        folder = signals / "Tiny"
        for name in subjects:
            with np.load(folder / f"{name}.npz") as content:
                arrays = {key: content[key] for key in content if key != "about"}
            with np.load(write(root / "about", {name: subjects[name]}) / "Tiny" / f"{name}.npz") as content:
                np.savez(folder / f"{name}.npz", about=content["about"], **arrays)
        own = Bench(root, root / "runs", protocol=few_folds(root))
        again = own.plan("Pool", modalities="ecg", settings=(RIDGE,))
        assert {again.test.units[i].subject for i in again.graph.predictions[0].units} == tested
        weights.append(fitted(own, again)[1])
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["full", "frozen", "ridge"])
def test_every_way_is_a_whole_run_end_to_end_or_alone(bench, way):
    settings = (f"encoder.adapt={way}",)
    assert bench.run("cnn_tf", modalities="ecg", settings=settings).predictions
    if way != "ridge":
        assert bench.run("cnn_tf", modalities="ecg,eda", fusion="cross_attn", settings=settings).predictions


def test_what_was_stopped_goes_on_to_the_same_bytes(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    plan = bench.plan("cnn_tf", modalities="ecg", settings=(FROZEN, "encoder.epochs=3"))
    stage = first_stage(plan)

    def strike(event):
        if event["event"] == "epoch_ended" and event["epoch"] == 2:
            raise KeyError("stopped")

    with pytest.raises(EmbenchError, match="stopped"):
        run_stage(stage, tmp_path / "stages", strike)
    assert (tmp_path / "stages" / stage.id / "checkpoint.pt").exists()
    files = []
    for root in (tmp_path / "stages", bench.runs / "stages"):
        run_stage(stage, root)
        files.append([(root / stage.id / name).read_bytes() for name in ("weights.safetensors", "history.csv")])
    assert files[0] == files[1]


@pytest.mark.parametrize(("encoder", "settings", "options", "text"), [
    ("Pool", (RIDGE,), {"modalities": "ecg,eda", "fusion": "concat"}, "trained end to end"),
    ("Moments", (RIDGE,), {"modalities": "ecg", "fusion": "logreg"}, "no network is adapted"),
    ("Pool", (RIDGE, "encoder.loss=mae"), {"modalities": "ecg"}, "has no other loss"),
    ("cnn_tf", ("encoder.lora.rank=4",), {"modalities": "ecg"}, "nothing reads `lora`"),
    ("cnn_tf", ("encoder.adapt=lora",), {"modalities": "ecg"}, "does not support `adapt=lora`"),
    ("cnn_tf", ("encoder.adapt=lorra",), {"modalities": "ecg"}, "not valid"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_computed(bench, encoder, settings, options, text):
    with pytest.raises(UsageError, match=text):
        bench.plan(encoder, settings=settings, **options)
    assert not bench.stages()
