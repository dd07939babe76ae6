"""Tokens of frozen encoders are computed once, and training on them is training on what the encoders read."""

import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from embench import registry
from embench.engine.work import run_stage

from ..tiny.world import plugin

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
    network = sys.modules[registry.load("encoder", plugin("Pool")).__module__].PoolNetwork
    forward = network.forward

    def counting(self, x, mask=None):
        counted["other" if torch.is_grad_enabled() else "told"] += len(x)
        return forward(self, x, mask)

    monkeypatch.setattr(network, "forward", counting)
    return counted


@pytest.mark.parametrize(("kind", "options"), [
    ("unimodal", {"modalities": "ecg"}),
    ("fusion", {"modalities": "ecg,eda", "fusion": "concat"}),
    ("fusion", {"modalities": "ecg,eda", "fusion": "cross_attn"}),
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
