"""`videomae`: what transformers computes, from random weights and from folders; masks, flips, dropped paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from embench.engine.loop import parameter_groups
from embench.errors import DataError, UsageError
from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench_plugins import torchvision_shim
from embench_plugins.encoders.videomae import MEAN, STD, DropPath, Network, VideoMae

SPEC = InputSpec("video", (4, 3, 32, 32), ("red", "green", "blue"), 1.0, torch.uint8)
PAPER_SPEC = InputSpec("video", (16, 3, 224, 224), ("red", "green", "blue"), 4.0, torch.uint8)
RECIPE = VideoMae.recipes["small"]
OUTPUTS = OutputSpec((Target("arousal", "binary", LabelRule(), "arousal"),))


@pytest.fixture(autouse=True, scope="module")
def transformers_can_be_imported() -> None:
    torchvision_shim.settle()


def clips(rows: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def encoder(**build: Any) -> VideoMae:
    return VideoMae(RECIPE.replace(build=build))


def network(seed: int = 0, **build: Any) -> Network:
    torch.manual_seed(seed)
    built = encoder(**build).build(SPEC)
    assert isinstance(built, Network)
    return built.eval()


def standardised(x: torch.Tensor) -> torch.Tensor:
    """Pixels as VideoMAE's own processor gives them, written out."""
    mean, std = (torch.tensor(part, dtype=torch.float64).view(3, 1, 1) for part in (MEAN, STD))
    return ((x.double() / 255 - mean) / std).float()


def config(**changes: Any) -> Any:
    from transformers import VideoMAEConfig

    sizes = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 256, "use_mean_pooling": False}
    decoder = {"decoder_hidden_size": 32, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    return VideoMAEConfig(**{**sizes, **decoder, "decoder_intermediate_size": 128, **changes})


def saved(kind: str, folder: Path, **changes: Any) -> Any:
    """A network of transformers, far from where it starts, and saved."""
    import transformers

    torch.manual_seed(5)
    model = getattr(transformers, kind)(config(**changes)).eval()
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    model.save_pretrained(folder)
    return model


@pytest.mark.slow
def test_tokens_are_those_of_transformers() -> None:
    from transformers import VideoMAEModel

    built, x = network(), clips()
    theirs = VideoMAEModel(config()).eval()
    theirs.load_state_dict(built.videomae.state_dict())
    with torch.no_grad():
        tokens, expected = built(x), theirs(standardised(x)).last_hidden_state
    assert tokens.x.shape == (3, 2 * 4 * 4, 64)
    assert tokens.mask is tokens.summary is None
    torch.testing.assert_close(tokens.x, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["VideoMAEModel", "VideoMAEForPreTraining", "VideoMAEForVideoClassification"])
def test_tokens_from_a_saved_folder(kind: str, tmp_path: Path) -> None:
    theirs = saved(kind, tmp_path)
    built, x = network(weights=str(tmp_path)), clips()
    base = theirs if kind == "VideoMAEModel" else theirs.videomae
    with torch.no_grad():
        torch.testing.assert_close(built(x).x, base(standardised(x)).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_papers_network_is_transformers_own_default() -> None:
    """`VideoMAEConfig()` is the ViT-B of VideoMAE's authors: 16 frames of 224 pixels, 1568 tokens. Its last
    LayerNorm would stand in the classifier with `use_mean_pooling`. Two of its layers, which are all alike, tell."""
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    paper = VideoMae.recipes["paper"]
    assert paper.build["layers"] == VideoMAEConfig().num_hidden_layers
    built = VideoMae(paper.replace(build={"weights": "random", "layers": 2})).build(PAPER_SPEC).eval()
    assert isinstance(built, Network)
    theirs = VideoMAEModel(VideoMAEConfig(num_hidden_layers=2, use_mean_pooling=False)).eval()
    theirs.load_state_dict(built.videomae.state_dict())
    x = torch.randint(0, 256, (1, 16, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens, expected = built(x).x, theirs(standardised(x)).last_hidden_state
    assert tokens.shape == (1, 1568, 768)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_transformers() -> None:
    """In training, where nothing is turned round and no path dropped."""
    from transformers import VideoMAEModel

    built, x = network(flip=False).train(), clips()
    theirs = VideoMAEModel(config()).train()
    theirs.load_state_dict(built.videomae.state_dict())
    way = torch.randn(3, 32, 64)
    (built(x).x * way).sum().backward()
    (theirs(standardised(x)).last_hidden_state * way).sum().backward()
    for (name, ours), other in zip(built.videomae.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad, atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_with_its_head_it_is_transformers_classifier(tmp_path: Path) -> None:
    """Mean over tokens, LayerNorm, linear: the same answer as a network that VideoMAE's authors fine-tuned."""
    theirs = saved("VideoMAEForVideoClassification", tmp_path, use_mean_pooling=True, num_labels=1)
    chosen = encoder(weights=str(tmp_path))
    built, head = chosen.build(SPEC).eval(), chosen.head(TokenSpec(32, 64), OUTPUTS)
    assert isinstance(head, nn.Module)
    head.load_state_dict(
        {
            "norm.weight": theirs.fc_norm.weight,
            "norm.bias": theirs.fc_norm.bias,
            "linear.weight": theirs.classifier.weight,
            "linear.bias": theirs.classifier.bias,
        }
    )
    x = clips()
    with torch.no_grad():
        torch.testing.assert_close(head(built(x)).logits, theirs(standardised(x)).logits, atol=1e-5, rtol=1e-5)


def test_names_of_the_published_weights(tmp_path: Path) -> None:
    """The files on the hub are older than transformers' present names: `q_bias` is `query.bias` now."""
    theirs = saved("VideoMAEForPreTraining", tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    for new, old in (("query.bias", "q_bias"), ("value.bias", "v_bias")):
        state = {name.replace(f"attention.{new}", f"attention.{old}"): value for name, value in state.items()}
    assert any(name.endswith("q_bias") for name in state)
    save_file(state, file, {"format": "pt"})
    x = clips()
    with torch.no_grad():
        expected = theirs.videomae(standardised(x)).last_hidden_state
        torch.testing.assert_close(network(weights=str(tmp_path))(x).x, expected, atol=1e-5, rtol=1e-5)


def test_half_precision_weights_are_computed_with_in_full(tmp_path: Path) -> None:
    theirs = saved("VideoMAEModel", tmp_path).half()
    theirs.save_pretrained(tmp_path)
    assert {p.dtype for p in network(weights=str(tmp_path)).parameters()} == {torch.float32}


@pytest.mark.slow
def test_the_papers_network_has_86_million_parameters() -> None:
    """Cubes 768 (3 x 2 x 16 x 16) + 768; a layer 4 x 768^2 + 3 x 768 (keys have no bias), 2 x 768 x 3072 + 3072 + 768,
    two norms of 2 x 768; a last norm: the ViT-B that the paper rounds to 87 M."""
    cubes, norm = 768 * 1536 + 768, 2 * 768
    layer = 4 * 768**2 + 3 * 768 + 2 * 768 * 3072 + 3072 + 768 + 2 * norm
    with torch.device("meta"):
        built = VideoMae(VideoMae.recipes["paper"].replace(build={"weights": "random"})).build(PAPER_SPEC)
    assert sum(p.numel() for p in built.parameters()) == cubes + 12 * layer + norm == 86_227_200
    assert isinstance(built, Network)
    assert built.videomae.embeddings.num_patches == 8 * 14 * 14 == 1568


def test_the_papers_clips() -> None:
    paper = VideoMae.recipes["paper"]
    assert paper.view is not None
    assert paper.view.length_s == 4.0
    assert paper.view.length_s * paper.prepare["frames_hz"] == 16
    assert (paper.prepare["size"], paper.prepare["crop"]) == (224, "large")


def test_frames_are_standardised_once() -> None:
    built = network()
    grey = torch.full((1, 4, 3, 32, 32), 128, dtype=torch.uint8)
    pixels = built.pixels(grey, None)
    for colour in range(3):
        assert pixels[0, :, colour].unique().tolist() == pytest.approx(
            [(128 / 255 - MEAN[colour]) / STD[colour]], abs=1e-6
        )


def test_frames_that_were_not_seen_change_nothing() -> None:
    built, x = network(), clips()
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2:] = False  # the second cube in time
    mask[2, 0] = False  # half of the first
    other = torch.where(mask[:, :, None, None, None], x, clips(seed=9))
    with torch.no_grad():
        one, two = built(x, mask), built(other, mask)
    torch.testing.assert_close(one.x, two.x)
    assert one.mask is not None
    assert one.mask.reshape(3, 2, 16).all(2).tolist() == [[True, True], [True, False], [True, True]]
    torch.testing.assert_close(one.pool()[1], one.x[1, :16].mean(0))
    with torch.no_grad():
        torch.testing.assert_close(one.x[0], built(x).x[0], atol=1e-5, rtol=1e-5)


def test_rows_do_not_see_each_other() -> None:
    built, x = network(), clips(4)
    with torch.no_grad():
        together, back = built(x).x, built(x.flip(0)).x.flip(0)
        alone = torch.cat([built(x[i : i + 1]).x for i in range(4)])
    torch.testing.assert_close(together, back, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_order_of_frames_counts() -> None:
    built, x = network(), clips()
    with torch.no_grad():
        assert (built(x).pool() - built(x.flip(1)).pool()).abs().max() > 1e-4


def test_gradients_reach_every_parameter() -> None:
    built = network().train()
    tokens = built(clips(8)).x
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert [name for name, p in built.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_half_of_the_clips_are_turned_in_training_only() -> None:
    built = network()
    seen: list[torch.Tensor] = []
    built.videomae.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = clips(1).expand(200, -1, -1, -1, -1)
    pixels, mirrored = built.pixels(x[:1], None), built.pixels(x[:1].flip(-1), None)
    with torch.no_grad():
        built.train()(x)
        built.eval()(x)
    turned = (seen[0] == mirrored).flatten(1).all(1)
    assert ((seen[0] == pixels).flatten(1).all(1) ^ turned).all()
    assert 70 < turned.sum() < 130
    assert (seen[1] == pixels).all()


def test_dropped_paths_grow_with_depth_and_keep_the_mean() -> None:
    built = network(layers=3, drop_path=0.2)
    shares = [part.share for part in built.modules() if isinstance(part, DropPath)]
    assert shares == pytest.approx([0.0, 0.0, 0.1, 0.1, 0.2, 0.2])
    dropped = DropPath(0.2)
    out = dropped(torch.ones(20_000, 2))
    assert out.unique().tolist() == pytest.approx([0.0, 1.25])
    assert (out[:, 0] == out[:, 1]).all()
    assert float(out.mean()) == pytest.approx(1.0, abs=0.02)
    assert (dropped.eval()(out) == out).all()


def test_a_dropped_branch_leaves_what_passes_it_by() -> None:
    built = network(drop_path=0.0).train()
    layer = built.videomae.encoder.layer[0]
    layer.attention.output.dropout.share = layer.output.dropout.share = 1 - 1e-9  # always
    x = torch.randn(2, 5, 64)
    torch.testing.assert_close(layer(x), x)


def test_the_learning_rate_decays_towards_the_input() -> None:
    """.75 for the last layer, .75^2 before it, .75^3 for the cubes; 1 for what comes after the layers."""
    built = network()
    groups = parameter_groups(RECIPE.replace(layer_decay=0.75), built)
    share = {p: group["share"] for group in groups for p in group["params"]}
    assert share.keys() == set(built.parameters())
    assert {share[p] for p in built.videomae.encoder.layer[1].parameters()} == {0.75}
    assert {share[p] for p in built.videomae.encoder.layer[0].parameters()} == {0.75**2}
    assert {share[p] for p in built.videomae.embeddings.parameters()} == {0.75**3}
    assert {share[p] for p in built.videomae.layernorm.parameters()} == {1.0}
    assert VideoMae.recipes["paper"].layer_decay == 0.75


def test_random_weights_are_told(recwarn: pytest.WarningsRecorder, tmp_path: Path) -> None:
    assert encoder().assets() == ()
    assert "random weights" in str(recwarn.pop(UserWarning).message)
    saved("VideoMAEModel", tmp_path)
    assert [path.name for path in encoder(weights=str(tmp_path)).assets()] == ["config.json", "model.safetensors"]
    assert not recwarn.list


def test_the_papers_recipe_stops_until_weights_are_named() -> None:
    paper = VideoMae(VideoMae.recipes["paper"])
    for request in (paper.assets, lambda: paper.build(PAPER_SPEC)):
        with pytest.raises(UsageError, match="starts from Kinetics-400, and no weights are named") as refused:
            request()
    for part in ("model.safetensors", "MCG-NJU/videomae-base@dc740ceda42f", "--set encoder.build.weights=MCG-NJU"):
        assert part in str(refused.value)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    saved("VideoMAEModel", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    for request in (lambda: encoder(weights=str(tmp_path)).assets(), lambda: network(weights=str(tmp_path))):
        with pytest.raises(DataError, match=r"only pytorch_model\.bin"):
            request()
    with pytest.raises(UsageError, match="not a safetensors file"):
        encoder(weights=str(tmp_path / "pytorch_model.bin")).assets()


def test_broken_or_foreign_weights_are_refused(tmp_path: Path) -> None:
    saved("VideoMAEModel", tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({"encoder.layer.0.output.dense.bias": torch.zeros(64)}, file, {"format": "pt"})
    with pytest.raises(DataError, match="lack"):
        network(weights=str(tmp_path))
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read"):
        encoder(weights=str(tmp_path)).assets()


def test_a_file_alone_is_refused(tmp_path: Path) -> None:
    """Even in a folder that has other weights: those were not asked for."""
    saved("VideoMAEModel", tmp_path)
    other = tmp_path / "other.safetensors"
    other.write_bytes((tmp_path / "model.safetensors").read_bytes())
    for request in (lambda: encoder(weights=str(other)).assets(), lambda: network(weights=str(other))):
        with pytest.raises(UsageError, match=r"config\.json"):
            request()


@pytest.mark.parametrize("name", ["MCG-NJU/videomae-base", "MCG-NJU/videomae-base@main", "nowhere/at/all", "rnadom"])
def test_names_that_can_move_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no such weights") as error:
        encoder(weights=name).assets()
    assert "OWNER/NAME@COMMIT" in str(error.value)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    saved("VideoMAEModel", tmp_path, num_hidden_layers=3)
    with pytest.raises(UsageError, match="num_hidden_layers 3"):
        network(weights=str(tmp_path))


def test_frames_that_make_no_cubes_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be cut"):
        VideoMae(RECIPE).build(InputSpec("video", (3, 3, 32, 32), (), 1.0, torch.uint8))
