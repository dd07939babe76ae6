"""`mantis`: what mantis-tsfm computes, channel by channel, from random weights and from folders of twins."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from embench.engine.assemble import assemble
from embench.engine.rows import StoreSource, build_grid
from embench.errors import DataError, UsageError
from embench.interfaces.tokens import InputSpec, TokenSpec
from embench.testing.require import targets
from embench_plugins.encoders.mantis import VALUES, Mantis

from ...tiny.running import Bench
from ...tiny.world import few_folds, make_subjects, write

pytest.importorskip("mantis", reason="mantis-tsfm is not installed: pip install '.[foundation]'")

SPEC = InputSpec("eda", (2, 1280), ("left", "right"), 128.0)
KEYS = Path(__file__).with_name("mantis_keys.txt")
MODELS = {"v1": "MantisV1", "v2": "MantisV2"}


def upstream(model: str, **options: Any) -> Any:
    import mantis.architecture

    return getattr(mantis.architecture, MODELS[model])(device="cpu", **options)


def encoder(**build: Any) -> Mantis:
    return Mantis(Mantis.recipes["small"].replace(build=build))


def network(seed: int = 0, spec: InputSpec = SPEC, **build: Any) -> Any:
    torch.manual_seed(seed)
    return encoder(**build).build(spec).eval()


def windows(rows: int = 3, channels: int = 2, length: int = 1280, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, channels, length, generator=torch.Generator().manual_seed(seed)).cumsum(-1) / 10


def by_hand(net: Any, x: torch.Tensor) -> torch.Tensor:
    """As their readme does it: each channel alone, at 512 values, and then side by side. (B, C, T) -> (B, C, D)"""
    with torch.no_grad():
        resized = functional.interpolate(x, size=512, mode="linear", align_corners=False)
        return torch.stack([net(resized[:, [c]]) for c in range(x.shape[1])], dim=1)


def filled(net: Any) -> Any:
    """Weights that no generator of random numbers decides; buffers stay."""
    for k, (name, value) in enumerate(sorted(net.state_dict().items())):
        if name in dict(net.named_parameters()):
            with torch.no_grad():
                wave = 0.02 * torch.sin(k * torch.arange(value.numel(), dtype=torch.float64))
                value.copy_(wave.reshape(value.shape))
    return net


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("layer", "token"), [(2, "combined"), (-1, "cls_token"), (0, "mean_token")])
def test_tokens_are_those_of_a_call_by_hand(model: str, layer: int, token: str) -> None:
    built, x = network(model=model, layer=layer, token=token), windows()
    theirs = upstream(model, return_transf_layer=layer, output_token=token).eval()
    theirs.load_state_dict(built.net.state_dict(), strict=False)
    with torch.no_grad():
        tokens = built(x)
    assert tokens.x.shape == (3, 2, 512 if token == "combined" else 256)
    assert tokens.mask is tokens.summary is None
    torch.testing.assert_close(tokens.x, by_hand(theirs, x), atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = write(tmp_path_factory.mktemp("six"), make_subjects(6))
    return Bench(root, root / "runs", protocol=few_folds(root))


def test_a_run_hands_over_its_channels_in_order_z_scored_by_subject(bench: Bench) -> None:
    """From the stored signal to the tokens, against numpy and a call by hand."""
    plan = bench.plan("mantis", modalities="eda", settings=("encoder.view.length_s=4.0", "encoder.view.step_s=4.0"))
    stage = next(s for s in plan.graph.stages.values() if s.kind == "unimodal")
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    grid = build_grid(stage.params.modalities, None, *(stage.task[f"all_{k}"] for k in ("recording", "start", "stop")))
    data, specs = assemble(source, stage.params.modalities, grid, "cpu")
    store, spec = source.store, specs["eda"]
    assert spec.channels == ("left", "right")
    built = Mantis(stage.params.modalities["eda"].recipe).build(spec).eval()
    theirs = upstream("v1", return_transf_layer=0, output_token="combined").eval()
    theirs.load_state_dict(built.net.state_dict(), strict=False)

    row = 1
    entry = store.recordings[int(grid.recording[row])]
    own = [store.signal(e.id, "eda").data for e in store.recordings if e.subject == entry.subject]
    whole = np.concatenate(own, axis=1).astype(np.float64)
    rate = store.modalities["eda"].rate
    first = round(float(grid.start[row]) * rate)
    cut = store.signal(entry.id, "eda").data[:, first : first + round(4.0 * rate)]
    scored = (cut - whole.mean(1, keepdims=True)) / whole.std(1, keepdims=True)
    x, mask = data.feeds["eda"].batch_rows(np.array([row]))
    np.testing.assert_allclose(x[0].numpy(), scored, atol=1e-5)
    with torch.no_grad():
        tokens = built(x, mask).x
    torch.testing.assert_close(tokens, by_hand(theirs, x), atol=1e-6, rtol=1e-6)


def test_the_unit_decides_what_comes_out_so_that_it_is_always_the_same() -> None:
    """The network standardises series, but not the means and spreads of its patches."""
    built, x = network(), windows()
    with torch.no_grad():
        assert (built(x).x - built(1e6 * x).x).abs().max() > 0.1
    assert not Mantis.keeps_unit


def test_what_was_not_recorded_changes_nothing() -> None:
    built, x = network(), windows()
    mask = torch.ones(3, 1280, dtype=torch.bool)
    mask[1, 900:] = False
    noisy = torch.where(mask[:, None], x, torch.randn(x.shape))
    with torch.no_grad():
        torch.testing.assert_close(built(x, mask).x, built(noisy, mask).x)


@pytest.mark.parametrize("model", MODELS)
def test_a_saved_twin_is_read_as_its_own_loader_reads_it(model: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    upstream(model, transf_depth=2, transf_mlp_dim=128).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"config.json", "model.safetensors"}
    built, x = network(model=model, layer=-1, weights=str(tmp_path)), windows()
    theirs = upstream(model, output_token="combined").from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(built(x).x, by_hand(theirs, x), atol=1e-6, rtol=1e-6)
    assert [path.name for path in encoder(model=model, weights=str(tmp_path)).assets()] == [
        "config.json", "model.safetensors",
    ]  # fmt: skip


def test_older_files_of_weights_have_older_names(tmp_path: Path) -> None:
    from mantis.architecture import Mantis8M

    torch.manual_seed(4)
    old = Mantis8M(device="cpu", transf_depth=1).eval()
    old.save_pretrained(tmp_path)
    built, x = network(layer=-1, token="cls_token", weights=str(tmp_path)), windows()
    with torch.no_grad():
        torch.testing.assert_close(built(x).x, by_hand(old, x), atol=1e-6, rtol=1e-6)


def test_weights_of_the_other_version_are_refused(tmp_path: Path) -> None:
    upstream("v2", transf_depth=1).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="these weights are of another network"):
        network(weights=str(tmp_path), layer=0)


@pytest.mark.parametrize("build", [{"layer": 6}, {"layer": -2}, {"model": "v3"}, {"token": "cls"}])
def test_networks_that_there_are_not_are_refused(build: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="there is no"):
        network(**build)


def test_the_papers_recipe_waits_for_weights_and_names_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="none are named") as refused:
        Mantis(Mantis.recipes["paper"]).assets()
    assert "paris-noah/MantisPlus@COMMIT" in str(refused.value.expected)


def test_the_head_is_theirs_for_all_channels() -> None:
    head = encoder().head(TokenSpec(2, 512), targets("binary"))
    sizes = [tuple(p.shape) for p in head.parameters()]
    assert sizes == [(1024,), (1024,), (1, 1024), (1,)]
    tokens = network()(windows(rows=8))
    assert head(tokens).logits.shape == (8, 1)


GOLDEN = {
    "v1": ([0.000232, -0.088631, -0.047879, 0.03295, 0.013564, 0.556064, 0.093041, 0.056762], 0.477652),
    "v2": ([0.003291, -0.027416, 0.031112, -0.014184, 0.00329, -0.005934, 0.008677, -0.006808], 0.033618),
}
"""Every 64th value, and the mean of all absolute ones, under mantis-tsfm 1.1.0 with weights that are `filled`."""


@pytest.mark.parametrize("model", MODELS)
def test_filled_weights_give_the_same_numbers_under_any_version(model: str) -> None:
    built = network(model=model, layer=-1, spec=InputSpec("ecg", (1, VALUES), ("ecg",), 51.2))
    filled(built.net)
    wave = torch.sin(0.037 * torch.arange(VALUES, dtype=torch.float64)).float()[None, None]
    with torch.no_grad():
        found = built(wave).x[0, 0]
    some, mean = GOLDEN[model]
    torch.testing.assert_close(found[::64], torch.tensor(some), atol=1e-4, rtol=1e-4)
    assert found.abs().mean().item() == pytest.approx(mean, abs=1e-4)


def test_names_and_shapes_of_weights_are_those_of_the_files() -> None:
    """A layer with another name fails here before somebody downloads weights for nothing."""
    lines = [
        f"{model} {name} {tuple(value.shape)}"
        for model in MODELS
        for name, value in sorted(upstream(model).state_dict().items())
    ]
    known, *listed = KEYS.read_text().splitlines()
    assert listed == lines, f"written under {known}, here mantis-tsfm {version('mantis-tsfm')}"


@pytest.mark.slow
@pytest.mark.parametrize("adapt", ["frozen", "ridge", "full"])
def test_a_random_one_is_run_whole_however_it_is_adapted(bench: Bench, adapt: str) -> None:
    settings = (f"encoder.adapt={adapt}", "encoder.epochs=2", "encoder.view.length_s=4.0", "encoder.view.step_s=4.0")
    done = bench.run("mantis", modalities="eda", settings=settings, dev=True)
    assert done.manifest["pretraining_overlap"] == "none"
    assert "weights" not in done.manifest
    assert done.manifest["config"]["parts"]["encoder[eda]"]["libraries"] == {"mantis-tsfm": version("mantis-tsfm")}
    assert np.isfinite(done.predictions["score"]).all()
