"""`masked_value`: where it hides, what it compares, what it leaves alone."""

from __future__ import annotations

import math

import pytest
import torch

from embench.interfaces.tokens import Batch, InputSpec, TokenSpec
from embench.nn import Model
from embench_plugins.encoders.cnn_tf import CnnTf
from embench_plugins.pretrainers.masked_value import MaskedValue, Objective, draw_spans

EEG = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")


def batch(x: torch.Tensor, mask: torch.Tensor | None = None, modality: str = "ecg") -> Batch:
    return Batch({modality: x}, {modality: mask}, {modality: torch.arange(len(x))}, len(x))


def objective(preset: str = "small", modality: str = "ecg", channels: tuple[str, ...] = ("left",)) -> Objective:
    torch.manual_seed(0)
    rate = 128 if preset == "paper" else 32
    encoder = CnnTf(CnnTf.recipes[preset])
    spec = InputSpec(modality, (len(channels), 10 * rate), channels, rate)
    dim = encoder.recipe.build["widths"][-1]
    model = Model({modality: encoder.build(spec)}, {modality: TokenSpec(10 * rate, dim, True)})
    task = MaskedValue(MaskedValue.recipes[preset]).objective(model, {modality: spec}, None)
    assert isinstance(task, Objective)
    assert task.model is model
    return task


def runs(hidden: torch.Tensor) -> list[int]:
    """Lengths of the runs of True in a row."""
    edges = torch.diff(torch.nn.functional.pad(hidden.int(), (1, 1)))
    return (torch.nonzero(edges == -1) - torch.nonzero(edges == 1)).flatten().tolist()


def test_ten_spans_of_twenty_cover_fifteen_percent_of_ten_seconds() -> None:
    """.15 x 1280 / 20 = 9.6, so ten stretches: 200 samples, 15.6 %."""
    torch.manual_seed(0)
    hidden = draw_spans(torch.ones(500, 1280, dtype=torch.bool), 0.15, 20)
    assert (hidden.sum(1) == 200).all()
    assert all(length % 20 == 0 for row in hidden for length in runs(row))  # stretches may touch, never overlap


def test_an_exact_share_asks_for_no_extra_span() -> None:
    hidden = draw_spans(torch.ones(4, 400, dtype=torch.bool), 0.15, 20)  # .15 x 400 / 20 = 3
    assert (hidden.sum(1) == 60).all()


def test_every_sample_is_hidden_about_equally_often() -> None:
    """Placements are uniform: 3 stretches of 2 in 20 samples. All C(17, 3) choices of slots are equally likely, so the
    inner samples are hidden with probability near 6 / 20, and the first sample exactly C(16, 2) / C(17, 3) = 3 / 17."""
    torch.manual_seed(0)
    often = draw_spans(torch.ones(40_000, 20, dtype=torch.bool), 0.3, 2).float().mean(0)
    assert often[0] == pytest.approx(3 / 17, abs=0.01)
    assert often[-1] == pytest.approx(3 / 17, abs=0.01)
    assert float(often[2:-2].min()) > 0.27
    assert float(often[2:-2].max()) < 0.36


@pytest.mark.parametrize(("ratio", "span"), [(0.15, 20), (0.3, 20), (0.5, 16)])
def test_the_stated_share_is_hidden_in_whole_spans_whatever_a_row_holds(ratio: float, span: int) -> None:
    """Rows of every length: the share of valid samples that is hidden lies from `ratio` up to one span above it (as the
    last span is drawn whole), by whole spans; over many rows of 1280 their mean is what rounding up gives, exactly."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    lengths = torch.randint(400, 1281, (400, 1), generator=generator)
    valid = torch.arange(1280) < lengths
    count = draw_spans(valid, ratio, span).sum(1, keepdim=True)
    assert (count % span == 0).all()
    assert (count >= ratio * lengths - 1e-3 * span).all()
    assert (count < ratio * lengths + span).all()
    share = draw_spans(torch.ones(100, 1280, dtype=torch.bool), ratio, span).float().mean()
    assert float(share) == pytest.approx(math.ceil(ratio * 1280 / span) * span / 1280)


def test_every_choice_of_slots_is_drawn_equally_often() -> None:
    """Two spans of 3 in 10 samples are 2 of 6 slots, 15 placements: each comes 1 time in 15 (chi-squared with 14
    degrees of freedom over 30,000 rows; 36.1 is exceeded by chance once in 1000)."""
    torch.manual_seed(0)
    hidden = draw_spans(torch.ones(30_000, 10, dtype=torch.bool), 0.6, 3)
    placements, often = torch.unique(hidden, dim=0, return_counts=True)
    # Spans that touch may be told in one way only, so all placements differ.
    assert len(placements) == 15
    assert float(((often - 2000) ** 2 / 2000).sum()) < 36.1


def test_loss_does_not_hang_on_what_is_said_of_samples_that_were_shown() -> None:
    """Only hidden positions have a gradient: the predictor's answers elsewhere change nothing, in all channels."""
    task = objective("small", "eeg", EEG).eval()
    outputs: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        output.retain_grad()
        outputs.append(output)
        return output

    fed: list[torch.Tensor] = []
    task.predictors["eeg"].register_forward_hook(keep)
    task.model.encoders["eeg"].register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0]))
    task(batch(torch.randn(3, 14, 320).abs() + 1.0, modality="eeg"))[0].backward()
    hidden = (fed[0] == 0).all(1)
    moved = outputs[0].grad
    assert moved is not None
    assert hidden.any()
    assert bool((moved[~hidden] == 0).all())
    assert bool((moved[hidden] != 0).all())


def test_only_valid_samples_are_hidden() -> None:
    valid = torch.ones(3, 320, dtype=torch.bool)
    valid[0, :160] = False  # padded on the left
    valid[1, 100:] = False  # on the right
    valid[2] = False
    hidden = draw_spans(valid, 0.15, 16)
    assert not (hidden & ~valid).any()
    assert hidden.sum(1).tolist() == [32, 16, 0]  # ceil(160 x .15 / 16) = 2, ceil(100 x .15 / 16) = 1


def test_a_stretch_longer_than_the_row_is_not_drawn() -> None:
    valid = torch.zeros(1, 50, dtype=torch.bool)
    valid[:, :10] = True
    assert not draw_spans(valid, 0.15, 20).any()


def test_predictor_has_the_papers_sizes() -> None:
    """256 -> 128 -> the ten channels that the encoder reads, on tokens without the CLS vector."""
    task = objective("paper", "eeg", EEG)
    count = sum(p.numel() for p in task.predictors["eeg"].parameters())
    assert count == (256 * 128 + 128) + (128 * 10 + 10)
    assert sum(p.numel() for p in objective("paper").predictors.parameters()) == (256 * 128 + 128) + (128 + 1)


def test_loss_is_the_mean_over_hidden_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    task = objective().eval()
    hidden = torch.zeros(2, 320, dtype=torch.bool)
    hidden[0, 10:26] = hidden[1, 100:132] = True
    monkeypatch.setattr("embench_plugins.pretrainers.masked_value.draw_spans", lambda *_: hidden)
    x = torch.randn(2, 1, 320)
    loss, figures = task(batch(x))
    seen = x.masked_fill(hidden[:, None], 0.0)
    outputs = task.predictors["ecg"](task.model.encoders["ecg"](seen).x)[..., 0]
    by_hand = ((outputs - x[:, 0]) ** 2)[hidden].sum() / (16 + 32)
    torch.testing.assert_close(loss, by_hand)
    assert float(figures["mse"]) == pytest.approx(float(by_hand.detach()))
    assert float(figures["masked"]) == pytest.approx(48 / 640)


def test_hidden_values_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing hidden values changes the target and nothing that the network says."""
    task = objective().eval()
    hidden = torch.zeros(1, 320, dtype=torch.bool)
    hidden[0, 50:66] = True
    monkeypatch.setattr("embench_plugins.pretrainers.masked_value.draw_spans", lambda *_: hidden)
    outputs: list[torch.Tensor] = []
    task.predictors["ecg"].register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    x = torch.randn(1, 1, 320)
    task(batch(x))
    task(batch(torch.where(hidden[:, None], 50.0, x)))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_channels_share_the_hidden_stretches() -> None:
    task = objective("small", "eeg", EEG).eval()
    fed: list[torch.Tensor] = []
    task.model.encoders["eeg"].register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0]))
    task(batch(torch.randn(3, 14, 320).abs() + 1.0, modality="eeg"))
    gone = fed[0] == 0
    assert gone.any()
    assert (gone == gone[:, :1]).all()


def test_padded_samples_do_not_count() -> None:
    task = objective().eval()
    mask = torch.ones(2, 320, dtype=torch.bool)
    mask[:, 200:] = False
    x = torch.randn(2, 1, 320)
    other = x.masked_fill(~mask[:, None], 9.0)
    losses = []
    for values in (x, other):
        torch.manual_seed(1)
        losses.append(task(batch(values, mask))[0])
    torch.testing.assert_close(losses[0], losses[1])


def test_gradients_reach_every_parameter() -> None:
    task = objective().train()
    task(batch(torch.randn(4, 1, 320)))[0].backward()
    missing = [name for name, p in task.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


@pytest.mark.slow
def test_a_slow_wave_is_learned() -> None:
    """Neighbours tell what a hidden stretch of a sine holds: the loss falls well below its variance, .5."""
    task = objective()
    optimiser = torch.optim.AdamW(task.parameters(), 3e-3)
    time = torch.arange(320) / 32
    for _ in range(60):
        phase = torch.rand(16, 1, 1) * 6.28
        loss, _ = task(batch(torch.sin(2 * torch.pi * 0.5 * time + phase)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.25


def test_what_it_needs() -> None:
    assert MaskedValue.needs_encoder == {"token_per_sample"} <= CnnTf.offers
    assert MaskedValue.scope == "encoder"
    assert MaskedValue.labels == "none"
