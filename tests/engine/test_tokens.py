"""Tokens of frozen encoders are computed once, and training on them is training on what the encoders read."""

import shutil
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from embench import registry
from embench.engine import fits
from embench.engine.work import run_stage

from ..tiny.running import Bench
from ..tiny.world import few_folds, plugin, with_sources

FROZEN = "encoder.adapt=frozen"


def first(plan, kind, places=None):
    stage = next(stage for stage in plan.graph.stages.values() if stage.kind == kind)
    return replace(stage, places={**stage.places, **(places or {})})


def weights(bench, stage):
    run_stage(stage, bench.runs / "stages")
    return load_file(bench.runs / "stages" / stage.id / "weights.safetensors")


@pytest.fixture
def rows_encoded(monkeypatch):
    """How many rows went through a network in evaluation mode without gradients, and how many with any other."""
    counted = {"told": 0, "other": 0}
    network = sys.modules[registry.load_plugin("encoder", plugin("Pool")).__module__].PoolNetwork
    forward = network.forward

    def counting(self, x, mask=None):
        counted["other" if torch.is_grad_enabled() else "told"] += len(x)
        return forward(self, x, mask)

    monkeypatch.setattr(network, "forward", counting)
    return counted


@pytest.mark.parametrize(("kind", "options"), [
    ("unimodal", {"modalities": "ecg"}),
    ("fusion", {"modalities": "ecg,eda", "fusion": "concat"}),
    pytest.param("fusion", {"modalities": "ecg,eda", "fusion": "cross_attn"}, marks=pytest.mark.slow),
])  # fmt: skip
def test_training_on_tokens_is_training_on_what_encoders_read(bench, tmp_path, kind, options):
    """But for the last digits: how a product is summed depends on how many rows are multiplied at once."""
    plan = bench.plan("Pool", settings=(FROZEN,), **options)
    at_once = weights(bench, first(plan, kind))
    (bench.runs / "stages").rename(tmp_path / "before")
    each_epoch = weights(bench, first(plan, kind, {"memory_bytes": 0}))
    assert at_once.keys() == each_epoch.keys()
    for name, tensor in at_once.items():
        torch.testing.assert_close(tensor, each_epoch[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("epochs", "fusion"), [(1, "single"), (5, "single"), (5, "concat")])
def test_a_frozen_encoder_sees_a_row_once_however_many_epochs(bench, rows_encoded, epochs, fusion):
    kind, part = ("unimodal", "encoder") if fusion == "single" else ("fusion", "fusion")
    plan = bench.plan("Pool", settings=(FROZEN, f"{part}.epochs={epochs}"), modalities="ecg", fusion=fusion)
    stage = first(plan, kind)
    result = run_stage(stage, bench.runs / "stages")
    beside = 2 + 1  # two samples of zeros tell the shape of tokens, and one row the operations
    assert result["epochs"] == epochs
    assert rows_encoded == {"told": result["rows"] + result["val_rows"] + beside, "other": 0}


def told(bench, rows_encoded, **options):
    """The fitting stages of a plan, run with what they start from; how many rows each had encoded."""
    plan, found = bench.plan("Pool", modalities="ecg", **options), []
    for stage in plan.graph.stages.values():
        if stage.kind == "predict":
            continue
        before = rows_encoded["told"]
        run_stage(stage, bench.runs / "stages")
        if stage.kind == "unimodal":
            found.append(rows_encoded["told"] - before)
    return found


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Five subjects to test, five others to pretrain on, and what nobody has prepared."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    return Bench(root := with_sources(tmp_path / "outside"), root / "runs", protocol=few_folds(root))


def test_folds_seeds_and_heads_share_tokens_of_weights_that_they_share(outside, rows_encoded):
    first, *others = told(outside, rows_encoded, pretrainers=(f"masked_value:{plugin('Other')}",), settings=(FROZEN,))
    assert first > 20
    assert set(others) == {3}  # two samples of zeros, and the row whose operations are counted
    options = {"pretrainers": (f"masked_value:{plugin('Other')}",), "seeds": "0"}
    again = told(outside, rows_encoded, settings=("encoder.adapt=ridge", "encoder.lr=0.5"), **options)
    assert set(again) == {3}


def test_other_weights_have_tokens_of_their_own(outside, rows_encoded):
    """Random ones differ from stage to stage, and those of a pretraining on a fold from fold to fold."""
    for options in ({}, {"pretrainers": ("masked_value",)}):
        assert min(told(outside, rows_encoded, settings=(FROZEN,), **options)) > 10
    one, other = (
        told(outside, rows_encoded, pretrainers=(f"masked_value:{plugin('Other')}",), settings=(FROZEN, more))
        for more in ("pretrainer.lr=1e-2", "pretrainer.lr=1e-3")
    )
    assert one[0] == other[0] > 20


@pytest.mark.parametrize(
    "options",
    [pytest.param({"modalities": "ecg"}, marks=pytest.mark.slow), {"modalities": "ecg,eda", "fusion": "concat"}],
)
def test_shared_tokens_are_those_of_the_stage_alone(outside, monkeypatch, tmp_path, options):
    plan = outside.plan("Pool", pretrainers=(f"masked_value:{plugin('Other')}",), settings=(FROZEN,), **options)
    kind = "fusion" if "fusion" in options else "unimodal"
    stages = [stage for stage in plan.graph.stages.values() if stage.kind == kind]
    for id_ in stages[0].inputs.values():
        run_stage(plan.graph.stages[id_], outside.runs / "stages")
    shared = [weights(outside, stage) for stage in stages]
    monkeypatch.setattr(fits, "find_shared_tokens", lambda *_: None)
    for stage, expected in zip(stages, shared, strict=True):
        shutil.move(outside.runs / "stages" / stage.id, tmp_path / stage.id)
        for name, tensor in weights(outside, stage).items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)
