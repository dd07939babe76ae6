"""`mae`: the loss of transformers, tubes, and what the encoder may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from embench.interfaces.tokens import Batch, InputSpec, TokenSpec
from embench.nn import Model
from embench_plugins import torchvision_shim
from embench_plugins.encoders.videomae import MEAN, STD, DropPath, VideoMae
from embench_plugins.pretrainers.mae import Mae, Objective, draw_hidden_places

SPEC = InputSpec("video", (4, 3, 32, 32), ("red", "green", "blue"), 1.0, torch.uint8)
DECODER = {"decoder_hidden_size": 32, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
DECODER |= {"decoder_intermediate_size": 128}


@pytest.fixture(autouse=True, scope="module")
def transformers_can_be_imported() -> None:
    torchvision_shim.settle()


def clips(rows: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def batch(x: torch.Tensor, mask: torch.Tensor | None = None) -> Batch:
    return Batch({"video": x}, {"video": mask}, {"video": torch.arange(len(x))}, len(x))


def objective(weights: str = "random", decoder: dict[str, Any] | None = None, **build: Any) -> Objective:
    torch.manual_seed(0)
    encoder = VideoMae(VideoMae.recipes["small"].replace(build={"weights": weights, **build}))
    model = Model({"video": encoder.build(SPEC)}, {"video": TokenSpec(32, 64)})
    task = Mae(Mae.recipes["small"].replace(build=decoder or {})).objective(model, {"video": SPEC}, None)
    assert isinstance(task, Objective)
    assert task.model is model
    return task


def standardised(x: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(part, dtype=torch.float64).view(3, 1, 1) for part in (MEAN, STD))
    return ((x.double() / 255 - mean) / std).float()


def theirs(**changes: Any) -> Any:
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    sizes = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 256, "use_mean_pooling": False}
    return VideoMAEForPreTraining(VideoMAEConfig(**{**sizes, **DECODER, **changes})).eval()


def mask_of_seed(rows: int, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return draw_hidden_places(rows, 2, 16, 0.9, torch.device("cpu"), tubes=True)


@pytest.mark.parametrize("norm_pix", [True, False])
def test_the_loss_is_that_of_transformers(norm_pix: bool) -> None:
    task, x = objective(decoder={"norm_pix": norm_pix}).eval(), clips()
    reference = theirs(norm_pix_loss=norm_pix)
    reference.load_state_dict(task.mae.state_dict())
    hidden = mask_of_seed(3)
    torch.manual_seed(1)
    with torch.no_grad():
        loss, figures = task(batch(x))
        expected = reference(standardised(x), bool_masked_pos=hidden).loss
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(figures["mse"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(figures["hidden"]) == pytest.approx(14 / 16)


def test_the_loss_from_a_saved_folder(tmp_path: Path) -> None:
    """Encoder and decoder go on from where the checkpoint stands."""
    torch.manual_seed(3)
    reference = theirs()
    for p in reference.parameters():
        p.data += 0.05 * torch.randn_like(p)
    reference.save_pretrained(tmp_path)
    task, x = objective(str(tmp_path)).eval(), clips()
    hidden = mask_of_seed(3)
    torch.manual_seed(1)
    with torch.no_grad():
        loss, _ = task(batch(x))
        expected = reference(standardised(x), bool_masked_pos=hidden).loss
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.slow
def test_the_papers_loss_is_that_of_transformers_own_default() -> None:
    """`VideoMAEConfig()`: ViT-B and a decoder of 4 layers of 384; 176 of 196 places are hidden, 1408 of 1568 tokens.
    Two of ViT-B's layers, which are all alike, tell."""
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    spec = InputSpec("video", (16, 3, 224, 224), ("red", "green", "blue"), 4.0, torch.uint8)
    torch.manual_seed(0)
    recipe = VideoMae.recipes["paper"].replace(build={"weights": "random", "layers": 2})
    model = Model({"video": VideoMae(recipe).build(spec)}, {"video": TokenSpec(1568, 768)})
    task = Mae(Mae.recipes["paper"]).objective(model, {"video": spec}, None).eval()
    assert isinstance(task, Objective)
    reference = VideoMAEForPreTraining(VideoMAEConfig(num_hidden_layers=2, use_mean_pooling=False)).eval()
    reference.load_state_dict(task.mae.state_dict())
    x = torch.randint(0, 256, (1, 16, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    hidden = draw_hidden_places(1, 8, 196, 0.9, torch.device("cpu"), tubes=True)
    assert hidden.sum() == 1408
    torch.manual_seed(1)
    with torch.no_grad():
        loss, figures = task(batch(x))
        expected = reference(standardised(x), bool_masked_pos=hidden).loss
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(figures["hidden"]) == pytest.approx(1408 / 1568)


def test_the_loss_by_hand() -> None:
    """Each hidden cube of 2 x 8 x 8 pixels, less its mean, by its SD (of n - 1), a colour at a time; squared error."""
    task, x = objective().eval(), clips(1)
    outputs: list[torch.Tensor] = []
    task.mae.decoder.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.logits))
    hidden = mask_of_seed(1)[0]
    torch.manual_seed(1)
    with torch.no_grad():
        loss, _ = task(batch(x))
    errors = []
    for prediction, token in zip(outputs[0][0], torch.nonzero(hidden).flatten().tolist(), strict=True):
        time, place = divmod(token, 16)
        row, column = divmod(place, 4)
        cube = x[0, 2 * time : 2 * time + 2, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].double()
        cube = cube.permute(0, 2, 3, 1).reshape(-1, 3)  # time, row, column; colour
        target = (cube - cube.mean(0)) / cube.std(0)
        errors.append((prediction.double() - target.flatten()).square().mean())
    assert float(loss) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)


def test_tubes_are_the_same_at_every_time_and_hide_176_of_196_places() -> None:
    torch.manual_seed(0)
    hidden = draw_hidden_places(400, 8, 196, 0.9, torch.device("cpu"), tubes=True).reshape(400, 8, 196)
    assert (hidden.sum(2) == 176).all()
    assert (hidden == hidden[:, :1]).all()
    often = hidden[:, 0].float().mean(0)  # each place about equally often, SD .015 of 400 rows
    assert ((often - 176 / 196).abs() < 0.075).all()
    rows = {tuple(row.tolist()) for row in hidden[:, 0]}
    assert len(rows) == 400


def test_places_that_are_no_tubes_differ_between_steps() -> None:
    torch.manual_seed(0)
    hidden = draw_hidden_places(3, 8, 196, 0.9, torch.device("cpu"), tubes=False).reshape(3, 8, 196)
    assert (hidden.sum(2) == 176).all()
    assert len({tuple(step.tolist()) for step in hidden.flatten(0, 1)}) == 24


def test_what_a_step_hides_are_tubes_anew_for_each_clip_and_step() -> None:
    task = objective().train()
    seen: list[torch.Tensor] = []
    task.mae.register_forward_pre_hook(
        lambda _module, _inputs, named: seen.append(named["bool_masked_pos"]), with_kwargs=True
    )
    for _ in range(2):
        task(batch(clips(8)))
    for hidden in (each.reshape(8, 2, 16) for each in seen):
        assert hidden.dtype == torch.bool
        assert (hidden[:, 0] == hidden[:, 1]).all()
        assert (hidden[:, 0].sum(1) == 14).all()  # int(.9 x 16)
        assert len({tuple(row.tolist()) for row in hidden[:, 0]}) > 4
    assert (seen[0] != seen[1]).any()


def test_tokens_follow_time_then_rows_then_columns() -> None:
    """The order in which tubes are laid out is the encoder's: a bright cube moves one token's embedding."""
    embed = objective().encoder.videomae.embeddings
    dark = torch.zeros(1, 4, 3, 32, 32)
    bright = dark.clone()
    bright[0, 2:4, :, 8:16, 24:32] = 1.0  # second cube in time, second row, fourth column
    changed = (embed(bright, None) != embed(dark, None)).any(2)[0]
    assert torch.nonzero(changed).flatten().tolist() == [16 + 4 + 3]


def test_hidden_pixels_cannot_be_seen() -> None:
    task, x = objective().eval(), clips(2)
    hidden = mask_of_seed(2).reshape(2, 2, 4, 4)
    pixel = hidden.repeat_interleave(2, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)[:, :, None]
    outputs: list[torch.Tensor] = []
    task.mae.decoder.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.logits))
    for other in (x, torch.where(pixel, clips(2, seed=8), x)):
        torch.manual_seed(1)
        task(batch(other))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_the_encoder_is_the_models_own() -> None:
    task = objective()
    assert task.mae.videomae is task.model.encoders["video"].videomae
    before = [p.clone() for p in task.model.parameters()]
    optimiser = torch.optim.AdamW(task.parameters(), 1e-2)
    task.train()(batch(clips(4)))[0].backward()
    optimiser.step()
    assert all((one != two).any() for one, two in zip(before, task.model.parameters(), strict=True))


def test_gradients_reach_every_parameter() -> None:
    task = objective().train()
    task(batch(clips(4)))[0].backward()
    assert [name for name, p in task.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_no_path_is_dropped() -> None:
    task = objective(drop_path=0.5)
    assert {part.share for part in task.modules() if isinstance(part, DropPath)} == {0.0}


def test_clips_that_lack_a_frame_are_left_out() -> None:
    task, x = objective().eval(), clips(4)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2, 3] = False
    losses = []
    for inputs in (batch(x, mask), batch(x[[0, 1, 3]])):
        torch.manual_seed(1)
        with torch.no_grad():
            losses.append(float(task(inputs)[0]))
    assert losses[0] == pytest.approx(losses[1])


def test_a_batch_of_which_every_clip_lacks_a_frame_teaches_nothing() -> None:
    task = objective().train()
    loss, figures = task(batch(clips(2), torch.tensor([[True, True, True, False]] * 2)))
    loss.backward()
    assert float(loss.detach()) == float(figures["mse"]) == 0.0
    assert all(p.grad is None for p in task.parameters())


@pytest.mark.slow
def test_what_repeats_is_learned() -> None:
    """Stripes that differ from clip to clip in their tilt and phase: what hides them is told from what is seen. A guess
    of nothing has a loss of 1, the variance of standardised pixels."""
    task = objective().train()
    optimiser = torch.optim.AdamW(task.parameters(), 3e-3)
    along = torch.arange(32) / 8
    for _ in range(150):
        phase = torch.rand(16, 1, 1) * 6.28
        wave = torch.sin(6.28 * along[None, None] + phase).expand(16, 32, 32)
        x = (127 + 100 * wave).to(torch.uint8)[:, None, None].expand(16, 4, 3, 32, 32)
        loss, _ = task(batch(x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5


def test_what_it_needs() -> None:
    assert Mae.needs_encoder == {"masked_clips"} <= VideoMae.offers
    assert Mae.needs_input == {"clips"}
    assert VideoMae(VideoMae.recipes["small"]).reads == "clips"
    assert (Mae.scope, Mae.labels) == ("encoder", "none")
    assert Mae.recipes["paper"].build["ratio"] == 0.9
