"""`tcn` against the paper's published code and against what every encoder promises."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from embench.engine.rows import anchor_rows, anchors
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target, View
from embench_plugins.encoders.tcn import Network, Tcn

SAMPLES = 240


def encoder(preset: str = "paper", **build: object) -> Tcn:
    return Tcn(Tcn.recipes[preset].replace(build=build))


def network(channels: int = 1, **build: object) -> Network:
    torch.manual_seed(0)
    built = encoder(**build).build(InputSpec("eda", (channels, SAMPLES), ("eda",) * channels, 4.0))
    assert isinstance(built, Network)
    return built.eval()


def outputs_of(n: int) -> OutputSpec:
    return OutputSpec(tuple(Target(f"t{i}", "binary", LabelRule(), f"t{i}") for i in range(n)))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_codes_parameters() -> None:
    """Weight norm has a direction and a length of each filter; the shortcut is there where widths differ."""
    entering, staying = (16 * 1 * 6) + 16 + 16, (16 * 16 * 6) + 16 + 16
    assert parameters(network()) == (entering + staying + 16 + 16) + (staying + staying) == 4864
    assert isinstance(network().blocks[1].shortcut, nn.Identity)


def test_the_codes_recipe() -> None:
    recipe = Tcn.recipes["paper"]
    assert (recipe.optimiser, recipe.lr, recipe.momentum, recipe.weight_decay) == ("sgd", 1e-4, 0.9, 5e-7)
    assert (recipe.epochs, recipe.batch, recipe.schedule, recipe.selection) == (20, 128, "constant", "last")
    for name in ("case", "k_emocon"):
        assert (recipe.apply_dataset(name).lr, recipe.apply_dataset(name).epochs, recipe.apply_dataset(name).batch) == (
            1e-3,
            64,
            64,
        )
    assert recipe.view == View("context", 60.0)
    assert recipe.assumed == ("prepare.rate_hz", "prepare.lowpass_hz", "view.length_s")


def reference(built: Network, x: Tensor) -> Tensor:
    """The published code's forward pass, written out: weight norm as g v / |v|, padding on both sides, cut on the
    right."""
    for level, block in enumerate(built.blocks):
        dilation = 2**level
        padding = 5 * dilation
        y = x
        for convolution in block.convolutions:
            length, direction = (
                convolution.parametrizations.weight.original0,
                convolution.parametrizations.weight.original1,
            )
            weight = length * direction / direction.flatten(1).norm(dim=1)[:, None, None]
            y = nn.functional.conv1d(y, weight, convolution.bias, padding=padding, dilation=dilation)[..., :-padding]
            y = torch.relu(y)
        x = torch.relu(y + (block.shortcut(x) if level == 0 else x))
    return torch.sigmoid(x).transpose(1, 2)


def test_it_computes_what_the_code_computes() -> None:
    built, x = network(), torch.randn(3, 1, SAMPLES)
    for p in built.parameters():
        nn.init.normal_(p, 0.3, 0.5)  # far from where they start, so that no part is nearly silent
    tokens = built(x)
    assert tokens.x.shape == (3, SAMPLES, 16)
    assert tokens.mask is tokens.summary is None
    torch.testing.assert_close(tokens.x, reference(built, x), atol=1e-5, rtol=1e-5)


def test_initial_weights() -> None:
    """Drawing anew behind weight norm has no effect: convolutions start as torch starts them, the shortcut does not."""
    block = network(filters=256).blocks[0]
    inner, shortcut = block.convolutions[1].weight.detach(), block.shortcut.weight.detach()
    assert float(inner.abs().max()) == pytest.approx((256 * 6) ** -0.5, rel=0.01)  # uniform up to 1 / sqrt(inputs)
    assert float(shortcut.std()) == pytest.approx(0.01, rel=0.2)


def test_receptive_field_is_31_samples_all_past() -> None:
    """1 + 2 x 5 x 1 + 2 x 5 x 2 = 31 samples, 7.75 s."""
    built = network()
    for p in built.parameters():
        nn.init.uniform_(p, 0.01, 0.02)  # all positive: no ReLU hides a sample
    x = torch.rand(1, 1, SAMPLES).requires_grad_()
    built(x).x[0, 100].sum().backward()
    assert x.grad is not None
    reached = torch.nonzero(x.grad[0, 0]).flatten().tolist()
    assert reached == list(range(70, 101))


def test_the_future_changes_nothing() -> None:
    built, x = network(), torch.randn(2, 1, SAMPLES)
    later = torch.cat([x[..., :150], torch.randn(2, 1, SAMPLES - 150)], 2)
    before, after = built(x).x, built(later).x
    assert torch.equal(before[:, :150], after[:, :150])
    assert not torch.equal(before[:, 150:], after[:, 150:])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("padded", [slice(0, 90), slice(200, SAMPLES), slice(100, 130)])
def test_padding_changes_nothing_of_what_counts(padded: slice, training: bool) -> None:
    built = network(dropout=0.0).train(training)
    mask = torch.ones(3, SAMPLES, dtype=torch.bool)
    mask[1, padded] = False
    x = torch.randn(3, 1, SAMPLES)
    other = x.masked_fill(~mask[:, None], 77.0)
    before, after = built(x, mask), built(other, mask)
    torch.testing.assert_close(before.x[mask], after.x[mask])
    assert before.mask is mask
    torch.testing.assert_close(before.x[0], built(x).x[0], atol=1e-5, rtol=1e-5)


def test_a_recording_that_has_just_begun_equals_a_shorter_one() -> None:
    """What lies before the first sample is masked, and counts as the zeros that a causal convolution begins with."""
    built, x = network(), torch.randn(1, 1, SAMPLES)
    mask = torch.ones(1, SAMPLES, dtype=torch.bool)
    mask[:, :90] = False
    torch.testing.assert_close(built(x, mask).x[:, 90:], built(x[..., 90:]).x, atol=1e-5, rtol=1e-5)


def test_rows_and_their_order_do_not_matter() -> None:
    built, x = network(dropout=0.0).train(), torch.randn(6, 1, SAMPLES)
    together, order = built(x).x, torch.randperm(6)
    torch.testing.assert_close(together[order], built(x[order]).x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[2], built(x[2:3]).x[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_gradients_reach_every_parameter(preset: str) -> None:
    torch.manual_seed(0)
    maker = encoder(preset)
    built, head = (
        maker.build(InputSpec("ppg", (1, SAMPLES), ("bvp",), 4.0)),
        maker.head(TokenSpec(SAMPLES, 16), outputs_of(1)),
    )
    head(built(torch.randn(8, 1, SAMPLES))).logits.square().sum().backward()
    idle = {"network.fill.token.alone"}  # alone, a modality is always there
    named = [*built.named_parameters(), *head.named_parameters()]
    assert {name for name, p in named if p.grad is None or not p.grad.abs().sum() > 0} == idle


def test_weights_survive_saving() -> None:
    built, x = network(), torch.randn(2, 1, SAMPLES)
    state = {k: v.contiguous() for k, v in built.state_dict().items()}
    assert "blocks.0.convolutions.0.parametrizations.weight.original0" in state
    torch.manual_seed(9)
    other = encoder().build(InputSpec("eda", (1, SAMPLES), ("eda",), 4.0)).eval()
    assert not torch.equal(other(x).x, built(x).x)
    other.load_state_dict(load(save(state)))
    assert torch.equal(other(x).x, built(x).x)


def test_alone_it_has_the_shared_transformer_of_one_stream() -> None:
    """128 wide, with a head of 128 -> 128 -> n instead of 384 -> 128 -> n."""
    head = encoder().head(TokenSpec(SAMPLES, 16), outputs_of(2))
    layer = 4 * (128 * 128 + 128) + 2 * (128 * 128 + 128) + 2 * 256
    classifier = (128 * 128 + 128) + 2 * 128 + (128 * 2 + 2)
    assert parameters(head) == 16 + (16 * 128 + 128) + 256 + layer + classifier
    output = head.eval()(Tokens(torch.rand(3, SAMPLES, 16)))
    assert (output.logits.shape, output.hidden.shape) == ((3, 2), (3, 128))


def sine(hz: float, modality: str, rate: float = 128.0, seconds: int = 120) -> Signal:
    x = np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)[None].astype(np.float32)
    return Signal(x, rate, (modality,), "z", modality=modality)


@pytest.mark.parametrize(
    ("modality", "hz", "gain"),
    [
        ("eda", 0.2, 1.0), ("eda", 1.0, 0.5), ("eda", 1.6, 0.03),  # forwards and backwards: half at the edge, 1 Hz
        ("temp", 0.1, 1.0), ("temp", 0.5, 0.5), ("temp", 1.0, 0.01),
        ("ppg", 1.2, 1.0), ("ppg", 3.0, 0.0),  # 4 Hz hold nothing above 2 Hz
        ("ecg+eda", 1.2, 1.0),
    ],
)  # fmt: skip
def test_the_stream_is_slow_and_filtered(modality: str, hz: float, gain: float) -> None:
    stream = encoder().stream(sine(hz, modality))
    assert (stream.rate, stream.data.shape, stream.modality) == (4.0, (1, 480), modality)
    inner = stream.data[0, 80:-80]
    assert float(np.sqrt(2) * inner.std()) == pytest.approx(gain, abs=0.03)


def test_the_stream_keeps_time() -> None:
    stream = encoder().stream(sine(0.1, "temp"))
    np.testing.assert_allclose(stream.data[0, 40:-40], np.sin(2 * np.pi * 0.1 * np.arange(480) / 4)[40:-40], atol=0.01)


def test_a_minute_is_seen_up_to_the_end_of_each_ten_second_unit() -> None:
    """`context(60)`: 240 samples that end where the unit ends, whatever lies before it in the recording."""
    view = Tcn.recipes["paper"].view
    assert view is not None
    starts = np.array([0.0, 10.0, 50.0, 100.0])
    grid = anchors(view, np.zeros(4, np.int64), starts, starts + 10)
    assert np.array_equal(grid.stop, starts + 10)
    rows = anchor_rows(grid, view, 60.0, 4.0, [SimpleNamespace(offset=1000, samples=440, t0=0.0)])
    assert rows.length == SAMPLES
    assert (rows.start + rows.length - 1000).tolist() == [40, 80, 240, 440]
    shown = np.minimum(rows.high, rows.start + rows.length) - np.maximum(rows.low, rows.start)
    assert shown.tolist() == [40, 80, 240, 240]
    assert rows.present.all()


@pytest.mark.slow
def test_short_training_lowers_the_loss() -> None:
    """Alone in `small`: whether a slow wave rises or falls at the end."""
    torch.manual_seed(0)
    maker = encoder("small")
    built, head = maker.build(InputSpec("eda", (1, 40), ("eda",), 4.0)), maker.head(TokenSpec(40, 16), outputs_of(1))
    y = (torch.arange(32) % 2).float()[:, None]
    x = torch.randn(32, 1, 40) * 0.3 + (2 * y - 1)[..., None] * torch.linspace(-1, 1, 40)
    optimiser = torch.optim.AdamW([*built.parameters(), *head.parameters()], 3e-3)
    losses = []
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(head(built(x)).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
