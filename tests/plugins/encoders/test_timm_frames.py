"""`timm_frames`: what timm computes of every frame, and frames that were not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from embench.errors import DataError, UsageError
from embench.interfaces.tokens import InputSpec
from embench_plugins import torchvision_shim
from embench_plugins.encoders.timm_frames import Network, TimmFrames

from ...sample import sample

SPEC = InputSpec("video", (4, 3, 48, 48), ("red", "green", "blue"), 1.0, torch.uint8)
NAME = "test_efficientnet"


def clips(rows: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 4, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def encoder(**build: Any) -> TimmFrames:
    return TimmFrames(TimmFrames.recipes["small"].replace(build={"model": NAME, **build}))


def network(seed: int = 0, **build: Any) -> Network:
    torch.manual_seed(seed)
    built = encoder(**build).build(SPEC)
    assert isinstance(built, Network)
    return built.eval()


def timm_model(name: str = NAME, **options: Any) -> Any:
    torchvision_shim.settle()
    import timm

    return timm.create_model(name, **options).eval()


def as_timm_reads(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Pixels by the mean and SD that timm names for a network."""
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    mean, std = (torch.tensor(config[key], dtype=torch.float64).view(3, 1, 1) for key in ("mean", "std"))
    return ((x.double() / 255 - mean) / std).float()


@pytest.mark.parametrize("name", sample([NAME, "test_convnext", "resnet10t"], NAME))
def test_tokens_are_timms_features_of_each_frame(name: str) -> None:
    built, x = network(model=name), clips()
    reference = timm_model(name, num_classes=0)
    reference.load_state_dict(built.model.state_dict())
    with torch.no_grad():
        tokens = built(x)
        expected = torch.stack([reference(as_timm_reads(reference, clip)) for clip in x])
    assert tokens.x.shape == (3, 4, reference.num_features if name != NAME else 256)
    torch.testing.assert_close(tokens.x, expected, atol=1e-5, rtol=1e-5)
    assert tokens.mask is None
    torch.testing.assert_close(tokens.pool(), expected.mean(1), atol=1e-5, rtol=1e-5)


def test_weights_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    """A whole network's weights, classifier and all, of which the classifier is left."""
    torch.manual_seed(7)
    whole = timm_model(num_classes=10)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    x = clips()
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(as_timm_reads(whole, x[0])), pre_logits=True)
        for place in (tmp_path / "model.safetensors", tmp_path):
            torch.testing.assert_close(network(weights=str(place))(x).x[0], expected, atol=1e-5, rtol=1e-5)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_file(timm_model("test_convnext").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="another network"):
        network(weights=str(tmp_path))
    other = tmp_path / "weights.pth"
    torch.save({}, other)
    with pytest.raises(UsageError, match="not a safetensors file"):
        encoder(weights=str(other)).assets()
    with pytest.raises(UsageError, match="no such weights"):
        encoder(weights="timm/resnet18.a1_in1k").assets()


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="no network `resnet19`"):
        network(model="resnet19")


def test_networks_of_one_size_are_made_for_the_frames() -> None:
    with torch.no_grad():
        assert network(model="test_vit")(clips()).x.shape == (3, 4, 64)


@pytest.mark.parametrize("training", [False, True])
def test_frames_that_were_not_seen_change_nothing(training: bool) -> None:
    """Not even a batch norm in training."""
    x = clips()
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2:] = False
    other = torch.where(mask[:, :, None, None, None], x, clips(seed=9))
    predictions = []
    for values in (x, other):
        built = network().train(training)
        torch.manual_seed(1)
        predictions.append((built(values, mask), built.state_dict()))
    (one, state), (two, again) = predictions
    torch.testing.assert_close(one.x, two.x)
    assert one.mask is mask
    torch.testing.assert_close(one.pool()[1], one.x[1, :2].mean(0))
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_rows_do_not_see_each_other() -> None:
    built, x = network(), clips(4)
    with torch.no_grad():
        together = built(x).x
        torch.testing.assert_close(together, built(x.flip(0)).x.flip(0), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[2:3], built(x[2:3]).x, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    built = network().train()
    tokens = built(clips(8)).x
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert [name for name, p in built.named_parameters() if p.grad is None] == []


def test_random_weights_are_told(recwarn: pytest.WarningsRecorder) -> None:
    assert encoder().assets() == ()
    assert "random weights" in str(recwarn.pop(UserWarning).message)
