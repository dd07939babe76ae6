"""Checkpoints of other code: what they become, what is refused, and runs that start from them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from embench import registry
from embench.engine import network
from embench.engine.stage import Part
from embench.errors import DataError, UsageError
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.leaderboard.rows import describe_differences
from embench.planning.plan import make
from embench.planning.request import Request
from embench.records import record
from embench.records.manifest import Manifest
from embench.runs.pretrain import convert
from embench.runs.run import run
from embench_plugins.conversions import wer_ssl as converter
from embench_plugins.datasets.wesad.synthetic import synthesize

from ..tiny import wer_ssl
from ..tiny.running import Bench
from ..tiny.world import make_subjects, write

MODALITIES = ("eda", "ppg", "temp")
OUTPUTS = OutputSpec((Target("stress", "binary", LabelRule(), ""),))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A converted checkpoint of the layout, and its tensors."""
    folder = tmp_path_factory.mktemp("wer")
    state = wer_ssl.checkpoint(folder / "best_model.pth")
    return convert(folder / "best_model.pth", folder / "out"), state


def paper_model():
    parts = {m: Part("tcn", "", registry.load_plugin("encoder", "tcn").recipes["paper"]) for m in MODALITIES}
    fusion = Part("shared_tf", "", registry.load_plugin("fusion", "shared_tf").recipes["paper"])
    specs = {m: InputSpec(m, (1, 240), (m,), 4.0) for m in MODALITIES}
    return network.build_fusion(parts, fusion, specs, OUTPUTS)


def test_the_tokens_are_those_of_the_published_forward_pass(converted):
    made, state = converted
    model = paper_model()
    for part in (*(f"encoders.{m}" for m in MODALITIES), "fusion"):
        network.start_from(model, made.folder / "weights.safetensors", part)
    learned = {name for name in model.state_dict() if network.is_transferred(name) and ".fill." not in name}
    assert learned == set(load_file(made.folder / "weights.safetensors"))  # nothing is left as it was drawn
    signals = [torch.randn(5, 1, 240, generator=torch.Generator().manual_seed(n)).double() for n in range(3)]
    batch = Batch(
        dict(zip(MODALITIES, signals, strict=True)), dict.fromkeys(MODALITIES),
        {m: torch.arange(5) for m in MODALITIES}, 5,
    )  # fmt: skip
    model.double().eval()
    with torch.no_grad():
        mixed = model.fusion.mix(*model.encode(batch))
    for m, expected in zip(MODALITIES, wer_ssl.forward(state, signals), strict=True):
        torch.testing.assert_close(mixed[m].x, expected, atol=1e-9, rtol=0)


def test_the_manifest_says_where_they_come_from_and_what_they_saw(converted, monkeypatch, tmp_path):
    made, _ = converted
    manifest = record.read_sealed(made.folder / "manifest.yaml")
    source = manifest["converted"]
    assert source["entry"] == "state_dict_fusion"
    assert (manifest["seen"], manifest["scope"], manifest["modalities"]) == ([], "model", list(MODALITIES))
    assert made.use == f"--pretrained {made.folder}"
    # A public file is known by its digest; here that of ours stands in for one.
    monkeypatch.setitem(converter.PUBLIC, source["sha256"], "case")
    again = convert(made.folder.parent / "best_model.pth", tmp_path / "again")
    (seen,) = again.manifest["seen"]
    assert (seen["dataset"], seen["labels"], seen["subjects"]) == ("PRESAGE", "none", None)
    assert len(converter.PUBLIC) == 3


def wu2023(made, tmp_path, *settings):
    return Request(
        "wesad", ("tcn",), "shared_tf", modalities="eda,ppg,temp", targets="stress", protocol="wu2023-last",
        recipe="paper", seeds="0", device="cpu", workers=1, data_root=tmp_path, runs=tmp_path / "runs",
        pretrained=str(made.folder), settings=("fusion.epochs=1", *settings),
    )  # fmt: skip


@pytest.mark.slow
def test_runs_start_from_them_frozen_and_fine_tuned(converted, monkeypatch, tmp_path, embench):
    unknown, _ = converted
    synthesize(tmp_path / "wesad", subjects=2, seed=0, effect=1.0, length_s=300.0)
    assert make(wu2023(unknown, tmp_path)).overlap == "unknown"
    monkeypatch.setitem(converter.PUBLIC, unknown.manifest["converted"]["sha256"], "wesad_kemocon")
    made = convert(unknown.folder.parent / "best_model.pth", tmp_path / "known")
    before = load_file(made.folder / "weights.safetensors")
    for settings in (("encoder.adapt=frozen", "fusion.adapt=frozen"), ()):
        done = run(wu2023(made, tmp_path, *settings))
        assert done.manifest["pretraining_overlap"] == "none"
        assert [seen["dataset"] for seen in done.manifest["pretraining"]] == ["PRESAGE"]
        assert "of WER-SSL (wesad_kemocon), trained on PRESAGE, no labels" in str(
            describe_differences(Manifest.model_validate(done.manifest))
        )
        after = load_file(min((done.folder / "weights").iterdir()))
        assert all(torch.equal(before[name], after[name]) for name in before) is bool(settings)
    page = embench("report", done.folder, "--out", tmp_path / "page.html")
    assert page.code == 0, page.err
    assert "trained on PRESAGE, no labels" in (tmp_path / "page.html").read_text()
    assert embench("audit", done.folder, "--data-root", tmp_path).code == 0


def test_any_state_dict_becomes_safetensors(tmp_path, embench):
    state = {"module.a.weight": torch.randn(2, 3), "module.b": torch.arange(4)}
    state["module.tied"] = state["module.a.weight"]
    torch.save({"model": state, "epoch": 3}, tmp_path / "x.pt")
    done = embench("weights", "convert", tmp_path / "x.pt", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "trained on: unknown" in done.out
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {
        name.removeprefix("module."): value.tolist() for name, value in state.items()
    }
    bench = Bench(write(tmp_path, make_subjects(2)), tmp_path / "runs")
    with pytest.raises(UsageError, match="an encoder reads through its setting"):
        bench.run("Pool", modalities="eda", pretrained=str(tmp_path / "out"))


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Evil(), "objects of other code: builtins.getattr, pathlib.Path"),
        ({"a": {"w": torch.zeros(1)}, "ema": {"w": torch.zeros(1)}}, "several: a, ema"),
        ({"epoch": 3}, "has none"),
        ([torch.zeros(1)], "has none"),
        (b"no archive", "not a checkpoint"),
    ],
)
def test_what_is_no_state_dict_is_refused_and_no_code_of_it_is_run(content, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "x.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(DataError) as refused:
        convert(file, tmp_path / "out")
    assert text in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"x.pt"}
    with pytest.raises(DataError):
        convert(tmp_path / "nowhere.pt", tmp_path / "out")


def test_a_layout_without_one_of_its_tensors_is_named(tmp_path):
    state = wer_ssl.checkpoint(tmp_path / "x.pth")
    del state["model_fusion.layernorm_3.bias"]
    torch.save({"state_dict_fusion": state}, tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"without model_fusion\.layernorm_3\.bias"):
        convert(tmp_path / "x.pth", tmp_path / "out")


@pytest.mark.slow
def test_videomae_as_its_authors_store_it(tmp_path):
    """One layer of the paper's width: what transformers loads computes the same as when the names are its own."""
    from embench_plugins import torchvision_shim

    torchvision_shim.settle()
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    sizes = {"num_hidden_layers": 1, "decoder_num_hidden_layers": 1, "use_mean_pooling": False}
    theirs = VideoMAEForPreTraining(VideoMAEConfig(**sizes)).eval()
    for p in theirs.parameters():
        p.data += 0.02 * torch.randn_like(p)
    theirs.save_pretrained(tmp_path / "saved")
    torch.save({"model": _as_the_authors_do(load_file(tmp_path / "saved" / "model.safetensors"))}, tmp_path / "x.pth")
    made = convert(tmp_path / "x.pth", tmp_path / "out")
    assert made.use == f"--set encoder.build.weights={tmp_path / 'out'}"
    again = VideoMAEForPreTraining.from_pretrained(tmp_path / "out", use_safetensors=True)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in theirs.state_dict().items())
    assert again.config.decoder_num_attention_heads == theirs.config.decoder_num_attention_heads
    videomae = registry.load_plugin("encoder", "videomae")
    recipe = videomae.recipes["paper"].replace(build={"layers": 1, "weights": str(tmp_path / "out")})
    assert videomae(recipe).build(InputSpec("video", (16, 3, 224, 224), (), 4.0, torch.uint8)).folder == made.folder
    # As the hub has it: transformers' names in a pickle, with the config beside it.
    torch.save(load_file(tmp_path / "saved" / "model.safetensors"), tmp_path / "saved" / "pytorch_model.bin")
    convert(tmp_path / "saved" / "pytorch_model.bin", tmp_path / "hub")
    assert (tmp_path / "hub" / "model.safetensors").read_bytes()
    (tmp_path / "saved" / "config.json").unlink()
    with pytest.raises(DataError, match=r"config\.json beside them"):
        convert(tmp_path / "saved" / "pytorch_model.bin", tmp_path / "none")


def _as_the_authors_do(state):
    names = (
        ("videomae.embeddings.patch_embeddings.projection", "encoder.patch_embed.proj"),
        ("videomae.encoder.layer", "encoder.blocks"), ("videomae.layernorm", "encoder.norm"),
        ("decoder.decoder_layers", "decoder.blocks"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
        ("attention.output.dense", "attn.proj"), ("attention.attention", "attn"), ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
    )  # fmt: skip
    found = {}
    for name, value in state.items():
        for ours, other in names:
            name = name.replace(ours, other)
        found[name] = value
    for name in [name for name in found if name.endswith("attn.query.weight")]:
        at = name.removesuffix("query.weight")
        found[f"{at}qkv.weight"] = torch.cat([found.pop(f"{at}{part}.weight") for part in ("query", "key", "value")])
    return found
