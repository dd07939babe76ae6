"""`cnn_tf` against the paper's own figures and against what every encoder promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench_plugins.encoders.cnn_tf import MONTAGE, CnnTf, Network

AMIGOS_EEG = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")


def spec(modality: str = "ecg", channels: tuple[str, ...] = ("left",), rate: float = 128.0) -> InputSpec:
    return InputSpec(modality, (len(channels), round(10 * rate)), channels, rate)


def encoder(preset: str, **build: object) -> CnnTf:
    return CnnTf(CnnTf.recipes[preset].replace(build=build))


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def outputs_of(n: int) -> OutputSpec:
    return OutputSpec(tuple(Target(f"t{i}", "binary", LabelRule(), f"t{i}") for i in range(n)))


def small(**build: object) -> Network:
    torch.manual_seed(0)
    network = encoder("small", **build).build(spec(rate=32.0))
    assert isinstance(network, Network)
    return network.eval()


@pytest.mark.parametrize(("channels", "expected"), [(1, 832_000), (10, 869_440)])
def test_convolutions_have_the_papers_parameters(channels: int, expected: int) -> None:
    names = ("left",) if channels == 1 else MONTAGE
    network = encoder("paper").build(spec("ecg" if channels == 1 else "eeg", names))
    by_hand = (65 * channels * 64 + 64) + (33 * 64 * 128 + 128) + (17 * 128 * 256 + 256)
    assert by_hand == expected
    assert parameters(network.convolutions) == expected


@pytest.mark.parametrize(
    ("modality", "channels", "expected"),
    [
        ("ecg", ("right", "left"), [1]),
        ("ecg", ("chest",), [0]),
        ("ppg", ("right", "left"), [0, 1]),
        ("eeg", AMIGOS_EEG, [AMIGOS_EEG.index(name) for name in MONTAGE]),
    ],
)
def test_the_papers_channels_are_read(modality: str, channels: tuple[str, ...], expected: list[int]) -> None:
    assert encoder("paper").build(spec(modality, channels)).picks.tolist() == expected


def test_transformer_and_head_have_the_papers_parameters() -> None:
    paper = encoder("paper")
    network = paper.build(spec())
    attention = 4 * (256 * 256 + 256)
    ffn = (256 * 1024 + 1024) + (1024 * 256 + 256)
    norms = 2 * (256 + 256)
    assert parameters(network.layers) == 2 * (attention + ffn + norms)
    assert network.cls.shape == (256,)
    assert parameters(network) == 832_000 + 256 + 2 * (attention + ffn + norms)
    head = paper.head(TokenSpec(1280, 256, True), outputs_of(1))
    assert parameters(head) == (256 * 64 + 64) + (64 + 1)


def test_paper_sizes_and_summary() -> None:
    network = encoder("paper").build(spec()).eval()
    tokens = network(torch.randn(2, 1, 1280))
    assert tokens.x.shape == (2, 1280, 256)
    assert tokens.mask is None
    assert tokens.summary.shape == (2, 256)
    assert tokens.pool() is tokens.summary


@pytest.mark.parametrize(("preset", "rate", "samples"), [("paper", 128.0, 113), ("small", 32.0, 29)])
def test_receptive_field(preset: str, rate: float, samples: int) -> None:
    """One output of the convolutions depends on exactly 1 + 64 + 32 + 16 = 113 input samples (.88 s; .91 at 32 Hz)."""
    network = encoder(preset).build(spec(rate=rate))
    x = torch.randn(1, 1, round(10 * rate), requires_grad=True)
    out = x
    for convolution in network.convolutions:
        out = convolution(out)  # without ReLU, which would hide samples by chance
    out[0, :, out.shape[-1] // 2].sum().backward()
    reached = torch.nonzero(x.grad[0, 0]).flatten()
    assert len(reached) == samples
    assert int(reached[-1] - reached[0]) == samples - 1
    assert int(reached[0] + reached[-1]) == 2 * (out.shape[-1] // 2)


def test_head_gives_the_layer_after_the_relu() -> None:
    head = encoder("paper").head(TokenSpec(1280, 256, True), outputs_of(2)).eval()
    summary = torch.randn(5, 256)
    output = head(Tokens(torch.zeros(5, 1280, 256), None, summary))
    expected = torch.relu(summary @ head.first.weight.T + head.first.bias)
    assert output.hidden.shape == (5, 64)
    torch.testing.assert_close(output.hidden, expected)
    torch.testing.assert_close(output.logits, expected @ head.last.weight.T + head.last.bias)
    assert head.dropout.p == 0.6


def test_eeg_montage_is_picked_in_the_papers_order() -> None:
    network = encoder("small").build(spec("eeg", AMIGOS_EEG, 32.0)).eval()
    assert [AMIGOS_EEG[i] for i in network.picks] == list(MONTAGE)
    x = torch.randn(2, 14, 320)
    elsewhere = x.clone()
    elsewhere[:, [AMIGOS_EEG.index(name) for name in ("AF3", "FC5", "FC6", "AF4")]] = torch.randn(2, 4, 320)
    torch.testing.assert_close(network(x).x, network(elsewhere).x)


def test_other_channels_are_all_read() -> None:
    assert encoder("small").build(spec("eeg", ("Fp1", "Fp2"), 32.0)).picks.tolist() == [0, 1]
    assert encoder("small").build(spec("ecg+eda", ("left", "eda"), 32.0)).picks.tolist() == [0, 1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_of_what_counts(side: str) -> None:
    network = small()
    mask = torch.ones(3, 320, dtype=torch.bool)
    padded = slice(0, 120) if side == "left" else slice(200, 320)
    mask[1, padded] = False
    x = torch.randn(3, 1, 320)
    other = x.clone()
    other[1, :, padded] = 100 * torch.randn(120)
    before, after = network(x, mask), network(other, mask)
    torch.testing.assert_close(before.x[mask], after.x[mask])
    torch.testing.assert_close(before.summary, after.summary)
    assert before.mask is mask
    whole = network(x)
    torch.testing.assert_close(before.x[0], whole.x[0], atol=1e-5, rtol=1e-5)


def test_padded_on_the_right_equals_shorter() -> None:
    """A row whose end is padding gives what the shorter row alone would give: nothing leaks through a bias."""
    network = small()
    x = torch.randn(1, 1, 320)
    mask = torch.ones(1, 320, dtype=torch.bool)
    mask[:, 200:] = False
    short, padded = network(x[..., :200]), network(x, mask)
    torch.testing.assert_close(short.x, padded.x[:, :200], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short.summary, padded.summary, atol=1e-5, rtol=1e-5)


def test_a_row_does_not_depend_on_the_others() -> None:
    network = small()
    x = torch.randn(8, 1, 320)
    alone = torch.cat([network(row[None]).summary for row in x])
    torch.testing.assert_close(network(x).summary, alone, atol=1e-5, rtol=1e-5)


def test_training_and_evaluation_agree_without_dropout() -> None:
    network = small(dropout=0.0)
    x, mask = torch.randn(4, 1, 320), torch.ones(4, 320, dtype=torch.bool)
    mask[0, 300:] = False
    with torch.no_grad():
        still = network(x, mask)
    moving = network.train()(x, mask)
    assert still.x.shape == moving.x.shape
    torch.testing.assert_close(still.x[mask], moving.x[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pos", ["sin", "learned", "none"])
def test_gradients_reach_every_parameter(pos: str) -> None:
    network = small(pos=pos).train()
    head = encoder("small").head(TokenSpec(320, 32, True), outputs_of(1))
    tokens = network(torch.randn(4, 1, 320))
    (head(tokens).logits.sum() + tokens.x.square().mean()).backward()
    for name, parameter in [*network.named_parameters(), *head.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_order_is_known_only_through_positions() -> None:
    """Without positions, and with kernels of one sample, shuffling the samples leaves the CLS vector alone."""
    x = torch.randn(2, 1, 320)
    shuffled = x[..., torch.randperm(320)]
    blind = small(pos="none", kernels=[1, 1, 1])
    torch.testing.assert_close(blind(x).summary, blind(shuffled).summary, atol=1e-5, rtol=1e-5)
    seeing = small(pos="sin", kernels=[1, 1, 1])
    assert (seeing(x).summary - seeing(shuffled).summary).abs().max() > 1e-4  # .0004 to .0019 for a hundred seeds


def test_stream_keeps_seconds() -> None:
    """A 1 Hz sine is the same sine at 32 Hz."""
    time = np.arange(128 * 60) / 128
    signal = Signal(np.sin(2 * np.pi * time)[None].astype(np.float32), 128.0, ("eda",), "uS", modality="eda")
    stream = encoder("small").stream(signal)
    assert (stream.rate, stream.data.shape, stream.modality) == (32.0, (1, 1920), "eda")
    expected = np.sin(2 * np.pi * np.arange(1920) / 32)
    np.testing.assert_allclose(stream.data[0, 64:-64], expected[64:-64], atol=1e-3)


def test_what_it_reads_follows_the_recipe() -> None:
    assert encoder("paper").reads == "signal"
    assert encoder("small").reads == encoder("quick").reads == "stream"


def test_short_training_lowers_the_loss() -> None:
    """`single` in small: the encoder and its own head learn a sign that is in the level."""
    torch.manual_seed(0)
    single = encoder("small", widths=[4, 8, 8], ffn=16)
    network, head = single.build(spec(rate=4.0)), single.head(TokenSpec(40, 8, True), outputs_of(1))
    y = (torch.arange(32) % 2).float()[:, None]
    x = torch.randn(32, 1, 40) + 2 * y[..., None] - 1
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], 3e-3)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(network(x)).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_without_layers_the_convolutions_alone_see_less_than_a_second() -> None:
    network, x = small(layers=0), torch.randn(1, 1, 320)
    assert network(x).summary is None
    assert {name.partition(".")[0] for name, _ in network.named_parameters()} == {"convolutions"}
    changed = x.clone()
    changed[..., 160] += 1
    moved = (network(changed).x - network(x).x).abs().sum(-1)[0].nonzero()[:, 0]
    assert moved.min() >= 160 - 14
    assert moved.max() <= 160 + 14


def test_facial_values_stay_at_their_rate_and_have_kernels_of_their_own() -> None:
    names = tuple(f"v{i}" for i in range(42))
    reader = encoder("small")
    signal = Signal(np.zeros((42, 180), np.float32), 18.0, names, "", modality="face_au")
    assert reader.stream(signal) is signal
    network = encoder("paper").build(InputSpec("face_au", (42, 180), names, 18.0))
    assert [c.kernel_size for c in network.convolutions] == [(9,), (5,), (3,)]
    assert network(torch.zeros(2, 42, 180)).x.shape == (2, 180, 256)
