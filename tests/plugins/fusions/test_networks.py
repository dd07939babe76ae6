"""What every fusion that is a network promises: absent modalities, rows on their own, gradients, learning."""

from __future__ import annotations

import pytest
import torch

from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import PRESETS
from embench.interfaces.tokens import Batch, InputSpec, Tokens, TokenSpec
from embench.nn import Model
from embench_plugins.encoders.handcrafted import Handcrafted
from embench_plugins.fusions.concat import Concat
from embench_plugins.fusions.cross_attn import CrossAttn
from embench_plugins.fusions.late import Late, Single

from .networks import SAMPLES, batch, fusion, outputs_of, whole

NETWORKS = [Late, CrossAttn, Concat]
THREE = ("ppg", "eda", "temp")
PRESENT = {"ppg": [0, 2, 3, 5], "eda": [0, 1, 2, 3, 4, 5], "temp": [1, 2, 4, 5]}


def rows(n: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {m: torch.randn(n, 1, SAMPLES, generator=generator) for m in THREE}


@pytest.mark.parametrize("cls", NETWORKS)
@pytest.mark.parametrize("outputs", [1, 2])
def test_shapes(cls: type[Fusion], outputs: int) -> None:
    output = whole(cls, THREE, outputs)(batch(rows()))
    assert output.logits.shape == (6, outputs)
    assert output.hidden.ndim == 2


@pytest.mark.parametrize("cls", NETWORKS)
def test_values_of_an_absent_modality_change_no_output_and_no_gradient(cls: type[Fusion]) -> None:
    """The stored values of rows where a modality is absent become noise: bit for bit the same."""
    results = []
    for noisy in (False, True):
        x = rows()
        if noisy:
            for m, there in PRESENT.items():
                gone = [i for i in range(6) if i not in there]
                x[m][gone] = 1e6 * torch.randn(len(gone), 1, SAMPLES)
        model = whole(cls, THREE)
        logits = model(batch(x, PRESENT)).logits
        logits.square().sum().backward()
        results.append((logits.detach(), [p.grad for p in model.parameters() if p.grad is not None]))
    (before, gradients), (after, others) = results
    assert torch.equal(before, after)
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


@pytest.mark.parametrize("cls", NETWORKS)
def test_gradients_reach_every_parameter(cls: type[Fusion]) -> None:
    """Over a batch where each modality is absent somewhere, the tokens that stand in for it too."""
    model = whole(cls, THREE).train()
    present = {**PRESENT, "eda": [0, 1, 2, 3]}
    model(batch(rows(), present)).logits.square().sum().backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert [name for name, p in trained if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_row_does_not_depend_on_the_others(cls: type[Fusion]) -> None:
    model, x = whole(cls, THREE).eval(), rows()
    together = model(batch(x, PRESENT)).logits
    for i in range(6):
        own = {m: [0] if i in PRESENT[m] else [] for m in THREE}
        alone = model(batch({m: v[i : i + 1] for m, v in x.items()}, own)).logits
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_modality_that_nobody_has(cls: type[Fusion]) -> None:
    output = whole(cls, THREE)(batch(rows(), {"temp": []}))
    assert torch.isfinite(output.logits).all()


@pytest.mark.parametrize("cls", [CrossAttn, Concat])
def test_padded_samples_change_nothing(cls: type[Fusion]) -> None:
    model, x = whole(cls, THREE).eval(), rows()
    mask = torch.ones(6, SAMPLES, dtype=torch.bool)
    mask[2, 23:] = False
    other = {m: v.masked_fill(~mask[:, None], 99.0) for m, v in x.items()}
    masks = dict.fromkeys(THREE, mask)
    before, after = (model(batch(values, masks=masks)).logits for values in (x, other))
    torch.testing.assert_close(before, after)


def descent(model: Model, data: Batch, y: torch.Tensor, steps: int) -> list[float]:
    """Losses of a few steps on one batch."""
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(data).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("cls", [CrossAttn, Concat])
@pytest.mark.parametrize(
    "modalities",
    [pytest.param(("eda",), marks=pytest.mark.slow), ("ppg", "eda"), pytest.param(THREE, marks=pytest.mark.slow)],
)
def test_short_training_lowers_the_loss(cls: type[Fusion], modalities: tuple[str, ...]) -> None:
    """The class is the sign of the eda's level."""
    x, y = rows(32), (torch.arange(32) % 2).float()[:, None]
    x["eda"] += 2 * y[..., None] - 1
    losses = descent(whole(cls, modalities).train(), batch({m: x[m] for m in modalities}), y, steps=20)
    assert losses[-1] < 0.8 * losses[0]


def test_late_learns_from_hidden_layers_and_leaves_them_alone() -> None:
    model = whole(Late, THREE).train()
    before = {name: value.clone() for name, value in model.encoders.state_dict().items()}
    y = (torch.arange(32) % 2).float()[:, None]
    hidden = {m: torch.randn(32, 1, 6) + (y[..., None] if m == "eda" else 0) for m in THREE}
    for m in THREE:
        model.encoders[m].forward = lambda _x, _mask, m=m: Tokens(hidden[m])  # type: ignore[method-assign]
    losses = descent(model, batch(rows(32)), y, steps=20)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.encoders.state_dict().items())


@pytest.mark.parametrize("cls", [*NETWORKS, Single])
def test_a_recipe_for_every_preset(cls: type[Fusion]) -> None:
    assert set(cls.recipes) == set(PRESETS)


def test_late_has_the_papers_parameters_and_recipe() -> None:
    """(64 + 64) -> 64 -> 32 -> 1."""
    late = fusion(Late, "paper")
    network = late.build({m: TokenSpec(1, 64, head=64) for m in ("eeg", "ecg")}, outputs_of())
    count = sum(p.numel() for p in network.layers.parameters()) + sum(p.numel() for p in network.head.parameters())
    assert count == (128 * 64 + 64) + (64 * 32 + 32) + (32 + 1) == 10_369
    recipe = late.recipe
    assert (recipe.lr, recipe.every, recipe.factor, recipe.epochs) == (1e-5, 20, 0.65, 52)
    assert Late.inputs == "hidden"


def test_concat_reads_summaries_side_by_side() -> None:
    network = fusion(Concat).build({"ecg": TokenSpec(5, 3, True), "eda": TokenSpec(7, 4)}, outputs_of(2))
    assert sum(p.numel() for p in network.head.parameters()) == 2 * 7 + (7 * 2 + 2)


def test_single_takes_one_modality_and_builds_nothing() -> None:
    assert (Single.inputs, Single.arity) == ("unimodal", (1, 1))
    with pytest.raises(NotImplementedError, match="own head"):
        fusion(Single).build({"ecg": TokenSpec(1, 1)}, outputs_of())


@pytest.mark.parametrize("cls", [CrossAttn, Concat])
def test_features_can_be_fused_too(cls: type[Fusion]) -> None:
    """`handcrafted` gives one token without a summary."""
    maker = Handcrafted(Handcrafted.recipes["small"])
    encoders = {m: maker.build(InputSpec(m, (24,), (m,))) for m in ("ppg", "eda")}
    specs = {m: TokenSpec(1, 64) for m in encoders}
    model = Model(encoders, specs, fusion(cls).build(specs, outputs_of())).train()
    y = (torch.arange(32) % 2).float()[:, None]
    x = {m: torch.randn(32, 24) + y for m in encoders}
    x["eda"][:, 3] = torch.nan
    losses = descent(model, batch(x, {"ppg": list(range(20)), "eda": list(range(32))}), y, steps=12)
    assert losses[-1] < 0.8 * losses[0]
