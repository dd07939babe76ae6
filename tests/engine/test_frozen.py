"""What was pretrained and is frozen stays as it is, dropout and statistics of batches included; the rest learns."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from embench.engine.fits import _freeze_parts
from embench.engine.stage import Common, FusionParams, Part, SourceSpec
from embench.engine.work import run_stage
from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised

OUTPUTS = OutputSpec((Target("t", "binary", LabelRule(), "t"),))
ENCODERS, FUSION = "encoder.adapt=frozen", "fusion.adapt=frozen"


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.line, self.norm, self.dropout = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, x, mask=None):
        return Tokens(self.dropout(self.norm(self.line(x)))[:, None])


class Fusion(nn.Module):
    """Something learned and random outside of `.head`, and inside."""

    def __init__(self):
        super().__init__()
        self.scale, self.dropout = nn.Parameter(torch.ones(4)), nn.Dropout(0.5)
        self.head = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))

    def forward(self, tokens, present):
        x = self.dropout(tokens["eda"].pool() * self.scale)
        return Output(self.head(x), x)


def made(encoder, fusion):
    torch.manual_seed(0)
    model = Model({"eda": Encoder()}, {"eda": TokenSpec(1, 4)}, Fusion())
    common = Common(1, {}, "cpu", 1, 0, None, SourceSpec("store", 1.0, 1.0, "none"))
    eda, fused = (
        Part(name, "", Recipe(adapt="frozen" if frozen else "full"))
        for name, frozen in (("encoder", encoder), ("fusion", fusion))
    )
    params = FusionParams(common, modalities={"eda": eda}, recipe=fused.recipe, fusion=fused, inputs="tokens")
    parts = _freeze_parts(model, params)
    return model, Supervised(model, OUTPUTS, parts)


def batch():
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0)) + 5
    y = (torch.arange(16) % 2).float()[:, None]
    return Batch({"eda": x}, {"eda": None}, {"eda": torch.arange(16)}, 16, y, torch.ones(16))


@pytest.mark.parametrize(("encoder", "fusion"), [(False, False), (True, False), (False, True), (True, True)])
def test_frozen_parts_stay_in_eval_mode_and_the_rest_trains(encoder, fusion):
    model, module = made(encoder, fusion)
    module.train()
    running = {name: p.clone() for name, p in model.named_buffers()}
    module(batch())[0].backward()
    learns = {name for name, p in model.named_parameters() if p.grad is not None}
    moved = {name for name, p in model.named_buffers() if not torch.equal(p, running[name])}
    for prefix, stays in (("encoders.eda.", encoder), ("fusion.scale", fusion), ("fusion.head.", False)):
        own = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
        assert own
        assert own.isdisjoint(learns) if stays else own <= learns
        assert any(name.startswith(prefix) for name in moved) != (stays or prefix == "fusion.scale")
    one, other = (model(batch()).hidden for _ in range(2))
    assert torch.equal(one, other) == (encoder and fusion)  # no dropout before the head
    module.eval()
    assert not any(part.training for part in module.modules())


@pytest.fixture(scope="module")
def fitted(shared):
    """Weights of one fold: pretrained, and fitted with what was asked to be frozen."""

    def weights(*settings):
        options = {"fusion": "shared_tf", "modalities": "ecg,eda", "pretrainers": ("signal_transform",)}
        plan = shared.plan("Pool", settings=settings, **options)
        stage = next(stage for stage in plan.graph.stages.values() if stage.kind == "fusion")
        before = plan.graph.stages[stage.inputs["pretrained"]]
        for one in (before, stage):
            run_stage(one, shared.runs / "stages")
        return [load_file(shared.runs / "stages" / one.id / "weights.safetensors") for one in (before, stage)]

    return weights


EITHER = [pytest.param((one,), marks=pytest.mark.slow) for one in (ENCODERS, FUSION)]


@pytest.mark.parametrize("settings", [(), *EITHER, (ENCODERS, FUSION)])
def test_a_stage_keeps_what_is_frozen_from_pretraining(fitted, settings):
    before, after = fitted(*settings)
    assert before.keys() == after.keys()
    same = {name for name in before if torch.equal(before[name], after[name])}
    encoders = {name for name in before if name.startswith("encoders.")}
    head = {name for name in before if name.startswith("fusion.head.")}
    rest = {name for name in before if name.startswith("fusion.") and ".fill." not in name} - head
    assert (encoders <= same) == (ENCODERS in settings)
    assert (rest <= same) == (FUSION in settings)
    assert not any(name.endswith("weight") for name in head & same)


def test_all_ways_to_go_on_share_one_pretraining(shared):
    options = {"fusion": "shared_tf", "modalities": "ecg,eda", "pretrainers": ("signal_transform",)}
    plans = [shared.plan("Pool", settings=s, **options) for s in ((), (ENCODERS,), (ENCODERS, FUSION))]
    pretrained, fused = (
        [{id_ for id_, stage in plan.graph.stages.items() if stage.kind == kind} for plan in plans]
        for kind in ("pretrain", "fusion")
    )
    assert pretrained[0] == pretrained[1] == pretrained[2]
    assert not fused[0] & fused[1] | fused[1] & fused[2]


@pytest.mark.parametrize("pretrainers", [(), ("masked_value",)])
def test_a_fusion_that_nothing_pretrains_cannot_be_frozen(shared, pretrainers):
    with pytest.raises(UsageError, match="it is not pretrained"):
        shared.plan("Pool", fusion="shared_tf", pretrainers=pretrainers, settings=(FUSION,))


def test_the_old_spelling_is_the_same_run(shared):
    options = {"fusion": "shared_tf", "modalities": "ecg,eda", "pretrainers": ("signal_transform",)}
    old, new = ("encoder.frozen=true", "fusion.frozen=true"), (ENCODERS, FUSION)
    assert shared.plan("Pool", settings=old, **options).id == shared.plan("Pool", settings=new, **options).id
    thawed = shared.plan("Pool", settings=(*new, "encoder.frozen=false"), **options)
    assert {part.recipe.adapt for part in thawed.method.encoders.values()} == {"full"}


@pytest.mark.parametrize("setting", ["fusion.adapt=ridge", "pretrainer.adapt=frozen", "encoder.frozen=maybe"])
def test_what_a_part_cannot_be_is_refused(shared, setting):
    with pytest.raises(UsageError, match=r"does not support|is not a setting"):
        shared.plan("Pool", fusion="shared_tf", pretrainers=("signal_transform",), settings=(setting,))
