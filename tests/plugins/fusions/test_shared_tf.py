"""`shared_tf` against the paper's published code, and what its mixing promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from embench.interfaces.tokens import Batch, InputSpec, Tokens, TokenSpec
from embench.nn import Model
from embench_plugins.encoders.tcn import Tcn
from embench_plugins.fusions.shared_tf import Network, SharedTf

from .networks import fusion, outputs_of

THREE = ("eda", "ppg", "temp")
LENGTH = 120


def specs(*modalities: str, length: int = LENGTH) -> dict[str, TokenSpec]:
    return {m: TokenSpec(length, 16) for m in modalities or THREE}


def network(preset: str = "paper", outputs: int = 1, modalities: tuple[str, ...] = THREE, **build: object) -> Network:
    torch.manual_seed(0)
    built = fusion(SharedTf, preset, **build).build(specs(*modalities), outputs_of(outputs))
    assert isinstance(built, Network)
    return built


def tokens(rows: int = 4, length: int = LENGTH, modalities: tuple[str, ...] = THREE) -> dict[str, Tokens]:
    generator = torch.Generator().manual_seed(1)
    return {m: Tokens(torch.rand(rows, length, 16, generator=generator)) for m in modalities}


def all_present(rows: int = 4, modalities: tuple[str, ...] = THREE) -> dict[str, Tensor]:
    return {m: torch.ones(rows, dtype=torch.bool) for m in modalities}


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_the_codes_parameters() -> None:
    """Three `tcn` with the shared encoder have 121,472, the head with two outputs 49,794. Only the three learned tokens
    for absent modalities are ours."""
    built = network(outputs=2)
    enter = 3 * ((16 * 128 + 128) + 2 * 128)
    layer = 4 * (128 * 128 + 128) + (128 * 128 + 128) + (128 * 128 + 128) + 2 * (2 * 128)
    assert 3 * 4864 + enter + layer == 121_472
    assert parameters(built.project, built.norm, built.layers) == enter + layer
    assert parameters(built.head) == (384 * 128 + 128) + 2 * 128 + (128 * 2 + 2) == 49_794
    assert parameters(built) == enter + layer + 49_794 + 3 * 16


def test_the_codes_recipe() -> None:
    recipe = SharedTf.recipes["paper"]
    assert (recipe.optimiser, recipe.lr, recipe.momentum, recipe.weight_decay) == ("sgd", 1e-4, 0.9, 5e-7)
    assert (recipe.epochs, recipe.batch, recipe.schedule, recipe.selection) == (20, 128, "constant", "last")
    assert (recipe.class_weight, recipe.assumed) == ("none", ())
    for name in ("case", "k_emocon"):
        assert (recipe.apply_dataset(name).lr, recipe.apply_dataset(name).epochs, recipe.apply_dataset(name).batch) == (
            1e-3,
            64,
            64,
        )


def torchs_own(built: Network) -> nn.TransformerEncoderLayer:
    """The layer of the published code, with the same weights."""
    layer, (ours,) = nn.TransformerEncoderLayer(128, 4, 128, 0.2, batch_first=True), built.layers
    attention = ours.attention
    state = {
        "self_attn.in_proj_weight": torch.cat([attention.query.weight, attention.key_value.weight]),
        "self_attn.in_proj_bias": torch.cat([attention.query.bias, attention.key_value.bias]),
        "self_attn.out_proj.weight": attention.out.weight, "self_attn.out_proj.bias": attention.out.bias,
        "linear1.weight": ours.ffn[0].weight, "linear1.bias": ours.ffn[0].bias,
        "linear2.weight": ours.ffn[3].weight, "linear2.bias": ours.ffn[3].bias,
        "norm1.weight": ours.norms[0].weight, "norm1.bias": ours.norms[0].bias,
        "norm2.weight": ours.norms[1].weight, "norm2.bias": ours.norms[1].bias,
    }  # fmt: skip
    layer.load_state_dict(state)
    return layer


def test_it_computes_what_the_code_computes() -> None:
    """Projected, times the root of 128, normalised, one after the other along time, torch's own layer, split, averaged,
    side by side, classified."""
    built = network(outputs=2)
    for p in built.parameters():
        nn.init.normal_(p, 0.1, 0.3)
    built.train()(tokens(), all_present())  # so that the head's running statistics are not those of the start
    built.eval()
    inputs, layer = tokens(), torchs_own(built).eval()
    entered = [built.norm[m](built.project[m](t.x) * math.sqrt(128)) for m, t in inputs.items()]
    mixed = layer(torch.cat(entered, 1))
    by_hand = torch.cat([part.mean(1) for part in mixed.split(LENGTH, 1)], 1)
    hidden = torch.relu(built.head.norm(built.head.first(by_hand)))
    output = built(inputs, all_present())
    torch.testing.assert_close(output.hidden, hidden, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.logits, built.head.last(hidden), atol=1e-4, rtol=1e-4)
    assert output.tokens is not None
    torch.testing.assert_close(output.tokens, mixed, atol=1e-4, rtol=1e-4)


def test_it_starts_as_torchs_layer_starts() -> None:
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(128, 4, 128, 0.2)
    ours = torchs_own(network())
    for name, p in theirs.state_dict().items():
        other = ours.state_dict()[name]
        assert float(other.abs().max()) == pytest.approx(float(p.abs().max()), rel=0.01 if p.ndim == 2 else 0.1), name
        assert float(other.std()) == pytest.approx(float(p.std()), rel=0.02 if p.ndim == 2 else 0.2), name


def test_order_and_owner_of_tokens_are_not_marked() -> None:
    """Without positions, shuffling a stream's tokens in time changes no answer."""
    built, inputs = network().eval(), tokens()
    order = torch.randperm(LENGTH)
    shuffled = {**inputs, "ppg": Tokens(inputs["ppg"].x[:, order])}
    before, after = built(inputs, all_present()).logits, built(shuffled, all_present()).logits
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_every_modality_sees_every_other() -> None:
    built, inputs = network().eval(), tokens()
    for changed in THREE:
        other = {**inputs, changed: Tokens(inputs[changed].x.flip(2))}
        before, after = built.mix(inputs, all_present()), built.mix(other, all_present())
        assert all((before[m].x - after[m].x).abs().max() > 1e-4 for m in THREE)


@pytest.mark.parametrize("training", [False, True])
def test_absent_modalities_change_nothing_and_are_not_read(training: bool) -> None:
    """Without dropout, mixing is the same in training: each row alone, and whatever stands where nothing is there."""
    built = network(dropout=0.0).train(training)
    inputs, present = tokens(), all_present()
    present["ppg"][1] = present["temp"][1] = present["eda"][3] = False
    inputs = {
        m: Tokens(t.x * present[m][:, None, None], present[m][:, None].repeat(1, LENGTH)) for m, t in inputs.items()
    }
    noisy = {m: t._replace(x=torch.where(present[m][:, None, None], t.x, 50.0)) for m, t in inputs.items()}
    before, after = built.mix(inputs, present), built.mix(noisy, present)
    for m in THREE:
        torch.testing.assert_close(before[m].pool(), after[m].pool())
        assert torch.isfinite(before[m].x).all()
        for row in range(4):
            alone = built.mix(
                {n: Tokens(t.x[row : row + 1], t.mask[row : row + 1]) for n, t in inputs.items() if t.mask is not None},
                {n: p[row : row + 1] for n, p in present.items()},
            )
            torch.testing.assert_close(alone[m].pool()[0], before[m].pool()[row], atol=1e-5, rtol=1e-5)


def test_what_is_not_absent_is_answered_as_if_nobody_were() -> None:
    built, inputs, present = network().eval(), tokens(), all_present()
    whole = built(inputs, present).logits
    present["ppg"][1] = False
    masked = {m: Tokens(t.x, present[m][:, None].repeat(1, LENGTH)) for m, t in inputs.items()}
    some = built(masked, present).logits
    torch.testing.assert_close(some[[0, 2, 3]], whole[[0, 2, 3]], atol=1e-5, rtol=1e-5)
    assert (some[1] - whole[1]).abs() > 1e-5


def test_a_modality_that_nobody_has() -> None:
    built, inputs, present = network("small").train(), tokens(), all_present()
    present["temp"][:] = False
    inputs["temp"] = Tokens(torch.zeros(4, LENGTH, 16), torch.zeros(4, LENGTH, dtype=torch.bool))
    output = built(inputs, present)
    output.logits.square().sum().backward()
    assert torch.isfinite(output.logits).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in built.parameters())


def test_fewer_tokens_are_means_of_neighbours() -> None:
    """120 tokens of `tcn` become 30 of 4 samples, a second each, before they are projected."""
    short, whole = network(tokens=30).eval(), network().eval()
    inputs = tokens()
    means = {m: Tokens(t.x.unflatten(1, (30, 4)).mean(2)) for m, t in inputs.items()}
    mixed = short.mix(inputs, all_present())
    assert {t.x.shape for t in mixed.values()} == {(4, 30, 128)}
    for m, t in whole.mix(means, all_present()).items():
        torch.testing.assert_close(mixed[m].x, t.x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", ["paper", "small"])
@pytest.mark.parametrize("modalities", [("eda",), THREE, (*THREE, "ecg")])
def test_gradients_reach_every_parameter(preset: str, modalities: tuple[str, ...]) -> None:
    built = network(preset, modalities=modalities).train()
    present = all_present(8, modalities)
    if len(modalities) > 1:
        for row, m in enumerate(modalities):
            present[m][row] = False
    output = built(tokens(8, modalities=modalities), present)
    output.logits.square().sum().backward()
    missing = [name for name, p in built.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == (["fill.token.eda"] if len(modalities) == 1 else [])


def test_streams_of_other_lengths_and_widths() -> None:
    torch.manual_seed(0)
    inputs = {"eda": Tokens(torch.rand(3, 240, 16)), "eeg": Tokens(torch.rand(3, 144, 64), None, torch.rand(3, 64))}
    own = {"eda": TokenSpec(240, 16), "eeg": TokenSpec(144, 64, True)}
    built = fusion(SharedTf, "paper").build(own, outputs_of()).eval()
    present = all_present(3, ("eda", "eeg"))
    output = built(inputs, present)
    assert output.tokens.shape == (3, 384, 128)
    other = {**inputs, "eeg": inputs["eeg"]._replace(summary=torch.rand(3, 64))}
    assert torch.equal(built(other, present).logits, output.logits)  # tokens are mixed; a summary is not one


@pytest.mark.slow
def test_short_training_of_the_whole_model_lowers_the_loss() -> None:
    """The class is whether a minute of eda rises; ppg and temp are noise."""
    torch.manual_seed(0)
    maker = Tcn(Tcn.recipes["small"])
    encoders = {m: maker.build(InputSpec(m, (1, 80), (m,), 4.0)) for m in THREE}
    own = specs(length=80)
    model = Model(encoders, own, fusion(SharedTf, "small").build(own, outputs_of())).train()
    y = (torch.arange(32) % 2).float()[:, None]
    x = {m: torch.randn(32, 1, 80) for m in THREE}
    x["eda"] = 0.3 * x["eda"] + (2 * y - 1)[..., None] * torch.linspace(-1, 1, 80)
    batch = Batch(x, dict.fromkeys(THREE), {m: torch.arange(32) for m in THREE}, 32)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = nn.functional.binary_cross_entropy_with_logits(model(batch).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_attention_within_each_modality_sees_no_other() -> None:
    """The same weights: a modality alone gives what it gives beside others."""
    apart, rows = network(across=False).eval(), tokens()
    changed = {**rows, "eda": Tokens(rows["eda"].x + 1)}
    one, other = (apart.mix(given, all_present()) for given in (rows, changed))
    assert torch.equal(one["ppg"].x, other["ppg"].x)
    assert not torch.allclose(one["eda"].x, other["eda"].x)
    together = network().eval()
    together.load_state_dict(apart.state_dict())
    assert not torch.allclose(together.mix(rows, all_present())["ppg"].x, one["ppg"].x)
