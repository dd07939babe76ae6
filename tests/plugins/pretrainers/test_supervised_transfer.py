"""`supervised_transfer`: the loss of a labelled stage on another dataset's labels, whatever their kind."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from embench.interfaces.tokens import Batch, InputSpec, OutputSpec, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Head, Model, ValueScale
from embench_plugins.encoders.cnn_tf import CnnTf
from embench_plugins.pretrainers.supervised_transfer import SupervisedTransfer

TARGETS = (
    Target("valence", "binary", LabelRule(), ""),
    Target("state", "classes", LabelRule(), "", 3),
    Target("level", "value", LabelRule(), ""),
)
SPEC = InputSpec("eda", (1, 320), ("eda",), 32.0)


def made(outputs: OutputSpec) -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = CnnTf(CnnTf.recipes["small"])
    scale = ValueScale(outputs.size)
    scale.std[-1], scale.mean[-1] = 2.0, 5.0
    module = encoder.build(SPEC)
    model = Model({"eda": module}, {"eda": TokenSpec(320, 32, True)}, head=Head(32, outputs.size), scale=scale)
    task = SupervisedTransfer(SupervisedTransfer.recipes["small"]).objective(model, {"eda": SPEC}, outputs)
    assert task.model is model
    return task.eval()


def batch() -> Batch:
    x = torch.randn(4, 1, 320, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, math.nan], [1.0, math.nan, 7.0], [math.nan, 1.0, 5.0]])
    return Batch({"eda": x}, {"eda": None}, {"eda": torch.arange(4)}, 4, y, torch.tensor([1.0, 0.5, 0.5, 1.0]))


def test_loss_is_the_sum_over_targets_of_labelled_rows_weighed_by_unit_and_class() -> None:
    weights = ((0.5, 2.0), None, None)
    task = made(OutputSpec(TARGETS, weights))
    loss, figures = task(batch())
    logits = task.model(batch()).logits.detach()
    whole = batch()
    binary = functional.binary_cross_entropy_with_logits(logits[:3, 0], whole.y[:3, 0], reduction="none")
    w = torch.tensor([1.0 * 2.0, 0.5 * 0.5, 0.5 * 2.0])
    classes = functional.cross_entropy(logits[[0, 1, 3], 1:4], torch.tensor([2, 0, 1]), reduction="none")
    v = torch.tensor([1.0, 0.5, 1.0])
    value = ((logits[[0, 2, 3], 4] - torch.tensor([4.0, 7.0, 5.0])) / 2.0) ** 2
    by_hand = (binary * w).sum() / w.sum() + (classes * v).sum() / v.sum() + (value * v).sum() / v.sum()
    torch.testing.assert_close(loss.detach(), by_hand)
    assert figures == {}


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.kind)
def test_gradients_reach_encoder_and_head(target: Target) -> None:
    task = made(OutputSpec((target,)))
    column = TARGETS.index(target)
    whole = batch()
    task(Batch(whole.x, whole.mask, whole.rows, 4, whole.y[:, column : column + 1], whole.weight))[0].backward()
    assert [n for n, p in task.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_recipes() -> None:
    """AdamW at 5e-4 x 8 / 256 for ten epochs, one of them to warm up, all open in the paper; nothing is frozen."""
    paper = SupervisedTransfer.recipes["paper"]
    assert (paper.optimiser, paper.epochs, paper.warmup, paper.batch) == ("adamw", 10, 1, 8)
    assert paper.lr == pytest.approx(1.5625e-5)
    assert {"lr", "epochs", "batch", "schedule"} <= set(paper.assumed)
    assert paper.adapt == "full"
    assert (SupervisedTransfer.scope, SupervisedTransfer.labels) == ("encoder", "source")
    with pytest.raises(ValueError, match="no targets"):
        SupervisedTransfer(paper).objective(None, {}, None)
