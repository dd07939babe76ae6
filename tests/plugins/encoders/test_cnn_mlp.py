"""`cnn_mlp` against the paper's shapes, counts by hand, and what every encoder promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from embench import registry
from embench.interfaces.dataset import Card
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, TokenSpec
from embench.interfaces.units import View
from embench_plugins.encoders.cnn_mlp import CONTINUOUS, CnnMlp, Network
from embench_plugins.fusions.cross_attn import CrossAttn

LONGEST, SHORTEST = 155 * 128, 51 * 128
"""AMIGOS: the short videos; the longest has 19.8k samples (the paper rounds to 19.9k)."""


def encoder(preset: str, **build: object) -> CnnMlp:
    return CnnMlp(CnnMlp.recipes[preset].replace(build=build))


def network(preset: str, modality: str, channels: int, length: int, **build: object) -> Network:
    torch.manual_seed(0)
    names = tuple(f"c{i}" for i in range(channels))
    made = encoder(preset, **build).build(InputSpec(modality, (channels, length), names, 128.0))
    assert isinstance(made, Network)
    return made.eval()


def small(**build: object) -> Network:
    return network("small", "ecg+eda", 2, 320, **build)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("modality", "channels", "length", "kernels"),
    [("ecg+eda", 2, LONGEST, (65, 33, 17)), ("ppg+eda", 2, 60 * 128, (65, 33, 17)), ("face_au", 42, 2790, (9, 5, 3))],
)
def test_paper_has_the_parameters_worked_out_by_hand(
    modality: str, channels: int, length: int, kernels: tuple[int, int, int]
) -> None:
    made = network("paper", modality, channels, length)
    a, b, c = kernels
    convolutions = (a * channels * 128 + 128) + (b * 128 * 256 + 256) + (c * 256 * 512 + 512)
    along_time = (length * 256 + 256) + (256 * 100 + 100)
    assert parameters(made.convolutions) == convolutions
    assert parameters(made.along_time) == along_time
    assert parameters(made) == convolutions + along_time


def test_paper_turns_two_channels_of_a_whole_trial_into_100_tokens() -> None:
    with torch.no_grad():
        tokens = network("paper", "ecg+eda", 2, SHORTEST)(torch.randn(1, 2, SHORTEST))
    assert tokens.x.shape == (1, 100, 512)
    assert (tokens.mask, tokens.summary) == (None, None)


def test_paper_turns_42_facial_values_into_100_tokens() -> None:
    with torch.no_grad():
        tokens = network("paper", "face_au", 42, 2790)(torch.randn(2, 42, 2790))
    assert tokens.x.shape == (2, 100, 512)
    torch.testing.assert_close(tokens.pool(), tokens.x.mean(1))


@pytest.mark.parametrize(("modality", "samples"), [("ecg+eda", 113), ("face_au", 15)])
def test_receptive_field_of_the_convolutions(modality: str, samples: int) -> None:
    """1 + 64 + 32 + 16 = 113 samples, as in `cnn_tf`; 1 + 8 + 4 + 2 = 15 frames of a face. Each keeps the length."""
    made = network("paper", modality, 2, 240)
    x = torch.randn(1, 2, 240, requires_grad=True)
    out = x
    for convolution in made.convolutions:
        out = convolution(out)  # without ReLU, which would hide samples by chance
    assert out.shape == (1, 512, 240)
    out[0, :, 120].sum().backward()
    reached = torch.nonzero(x.grad[0].abs().sum(0)).flatten()
    assert (int(reached[0]), int(reached[-1])) == (120 - samples // 2, 120 + samples // 2)


def test_the_mlp_is_shared_by_features_and_mixes_time_only() -> None:
    """A token's value of feature d hangs on feature d of the CNN at all moments, and on no other feature."""
    made = small()
    features = torch.randn(1, 32, made.along_time[0].in_features, requires_grad=True)
    made.along_time(features)[0, 7, 3].backward()
    reached = features.grad[0].abs() > 0
    assert reached[7].all()
    assert not reached[torch.arange(32) != 7].any()
    swapped = features.detach().flip(1)
    torch.testing.assert_close(made.along_time(swapped), made.along_time(features).flip(1))


@pytest.mark.parametrize(("length", "stride"), [(320, 2), (321, 2), (320, 3), (322, 4), (320, 1)])
def test_stride_passes_over_moments_of_the_first_convolution(length: int, stride: int) -> None:
    made = network("small", "ecg", 1, length, stride=stride)
    assert made.along_time[0].in_features == len(range(0, length, stride))
    assert made(torch.randn(2, 1, length)).x.shape == (2, 25, 32)


def test_padding_is_read_as_zeros() -> None:
    made = small()
    mask = torch.ones(3, 320, dtype=torch.bool)
    mask[1, :100], mask[2, 250:] = False, False
    x = torch.randn(3, 2, 320)
    noisy = torch.where(mask[:, None], x, 100 * torch.randn(3, 2, 320))
    zeros = torch.where(mask[:, None], x, 0.0)
    torch.testing.assert_close(made(noisy, mask).x, made(x, mask).x)
    torch.testing.assert_close(made(zeros).x, made(x, mask).x)
    assert made(x, mask).mask is None  # every token has read every moment


@pytest.mark.parametrize("training", [False, True])
def test_a_row_does_not_depend_on_the_others(training: bool) -> None:
    made = small(dropout=0.0).train(training)
    x = torch.randn(8, 2, 320)
    alone = torch.cat([made(row[None]).x for row in x])
    torch.testing.assert_close(made(x).x, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made(x.flip(0)).x.flip(0), alone, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    made = small().train()
    made(torch.randn(4, 2, 320)).x.square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_two_streams_meet_in_cross_attention_at_the_papers_width() -> None:
    """100 tokens of 512 values each: nothing is projected, and one network answers both targets."""
    specs = {"ecg+eda": TokenSpec(100, 512), "face_au": TokenSpec(100, 512)}
    recipe = CrossAttn.recipes["paper"].replace(build={"layers": 1})
    registry_fusion = registry.load_plugin("fusion", "cross_attn")(recipe)
    fused = registry_fusion.build(specs, _two_targets())
    assert fused.query == "ecg+eda"
    assert all(isinstance(project, torch.nn.Identity) for project in fused.project.values())
    assert recipe.targets == "joint"
    assert recipe.batch == encoder("paper").recipe.batch == 8


def _two_targets():  # type: ignore[no-untyped-def]
    from embench.testing.require import targets

    return targets("binary", "binary")


@pytest.mark.parametrize("preset", ["paper", "small", "quick"])
def test_whole_recordings_for_ratings_and_a_minute_for_what_has_units_of_ten_seconds(preset: str) -> None:
    """For every bundled dataset by its card's name, as runs ask for it."""
    recipe, continuous = CnnMlp.recipes[preset], set()
    for entry in registry.entries("dataset"):
        card: Card = registry.load_plugin("dataset", entry.name).card
        kinds = {target.rule.aggregate for target in card.targets}
        view = recipe.apply_dataset(card.name).view
        if kinds == {"value"} or not kinds:
            assert view == View("unit"), card.name
        else:
            assert view == View("context", 60.0), card.name
            continuous.add(card.name)
    assert continuous == set(CONTINUOUS)


def test_views_of_datasets_survive_being_written_down() -> None:
    for recipe in CnnMlp.recipes.values():
        read = Recipe.from_mapping(json.loads(json.dumps(recipe.to_mapping())))
        assert read == Recipe.from_mapping(recipe.to_mapping())
        for name in ("amigos", *CONTINUOUS):
            assert read.apply_dataset(name) == recipe.apply_dataset(name)
            assert Recipe.from_mapping(
                json.loads(json.dumps(recipe.apply_dataset(name).to_mapping()))
            ) == recipe.apply_dataset(name)


def test_stream_slows_physiology_and_leaves_faces() -> None:
    """A 1 Hz sine is the same sine at the recipe's rate, in both channels of a joined signal."""
    plugin = encoder("small")
    rate = float(plugin.recipe.prepare["rate_hz"])
    sine = np.sin(2 * np.pi * np.arange(128 * 60) / 128).astype(np.float32)
    joined = Signal(np.stack([sine, -sine]), 128.0, ("ppg", "eda"), "a+b", modality="ppg+eda")
    stream = plugin.stream(joined)
    assert (stream.rate, stream.data.shape, stream.modality) == (rate, (2, round(60 * rate)), "ppg+eda")
    inside = slice(round(2 * rate), -round(2 * rate))
    expected = np.sin(2 * np.pi * np.arange(stream.data.shape[1]) / rate)
    np.testing.assert_allclose(stream.data[:, inside], np.stack([expected, -expected])[:, inside], atol=2e-3)
    brain = plugin.stream(Signal(sine[None], 128.0, ("Fp1",), "uV", modality="eeg"))
    assert (brain.rate, brain.data.shape) == (32.0, (1, 60 * 32))  # alpha is at 8 to 13 Hz
    face = Signal(np.zeros((42, 180), np.float32), 18.0, tuple("ab" * 21), "", modality="face_au")
    assert plugin.stream(face) is face
    assert (encoder("paper").reads, plugin.reads) == ("signal", "stream")


def test_small_starts_with_means_of_stretches_and_paper_at_random() -> None:
    """A feature that is on in one tenth of the time lights the tokens of that tenth."""
    made = small()
    features = torch.zeros(1, 32, made.along_time[0].in_features)
    features[..., -len(features[0, 0]) // 10 :] = 10
    lit = made.along_time(features)[0, 0]
    assert lit[-1] > 5
    assert lit[:20].abs().max() < 1
    assert float(made.along_time(torch.ones_like(features)).mean().detach()) == pytest.approx(
        0.84, abs=0.1
    )  # GELU of 1
    drawn = network("paper", "ecg+eda", 2, 320).along_time[0].weight
    assert drawn.abs().max() <= 320**-0.5
    assert abs(float(drawn.mean())) < 1e-3


def test_short_training_lowers_the_loss() -> None:
    """A rhythm's rate, which no mean shows."""
    torch.manual_seed(0)
    made = network("small", "ppg", 1, 240, widths=[8, 8, 8], kernels=[9, 5, 3]).train()
    head = encoder("small").head(TokenSpec(25, 8), _two_targets())
    y = (torch.arange(32) % 2).float()
    time = torch.arange(240) / 8
    x = torch.sin(2 * torch.pi * (0.8 + 0.6 * y[:, None]) * time + 6.3 * torch.rand(32, 1))[:, None]
    optimiser = torch.optim.AdamW([*made.parameters(), *head.parameters()], 3e-3)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(made(x)).logits[:, 0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
