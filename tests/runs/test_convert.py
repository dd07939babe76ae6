"""Checkpoints of other code: what they become, what is refused, and runs that start from them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from embench import registry
from embench.engine import network
from embench.engine.specs import Part
from embench.errors import DataError, UsageError
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.planning.request import Request
from embench.records import record
from embench.runs.convert import convert
from embench.runs.run import run
from embench_plugins.conversions import wer_ssl as converter
from embench_plugins.datasets.synthetic.wesad import synthesize

from ..tiny import wer_ssl

MODALITIES = ("eda", "ppg", "temp")
OUTPUTS = OutputSpec((Target("stress", "binary", LabelRule(), ""),))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A converted checkpoint of the layout, and its tensors."""
    folder = tmp_path_factory.mktemp("wer")
    state = wer_ssl.checkpoint(folder / "best_model.pth")
    return convert(folder / "best_model.pth", folder / "out"), state


def paper_model():
    parts = {m: Part("tcn", "", registry.load("encoder", "tcn").recipes["paper"]) for m in MODALITIES}
    fusion = Part("shared_tf", "", registry.load("fusion", "shared_tf").recipes["paper"])
    specs = {m: InputSpec(m, (1, 240), (m,), 4.0) for m in MODALITIES}
    return network.build_fusion(parts, fusion, specs, OUTPUTS)


def test_the_tokens_are_those_of_the_published_forward_pass(converted):
    made, state = converted
    model = paper_model()
    for part in (*(f"encoders.{m}" for m in MODALITIES), "fusion"):
        network.start_from(model, made.folder / "weights.safetensors", part)
    learned = {name for name in model.state_dict() if network.is_kept(name) and ".fill." not in name}
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
    assert (seen["dataset"], seen["labels"], seen["people"]) == ("PRESAGE", "none", None)
    assert len(converter.PUBLIC) == 3


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_runs_start_from_them_frozen_and_fine_tuned(known, converted, monkeypatch, tmp_path, embench):
    made, _ = converted
    synthesize(tmp_path / "wesad", subjects=2, seed=0, effect=1.0)
    if known:
        monkeypatch.setitem(converter.PUBLIC, made.manifest["converted"]["sha256"], "wesad_kemocon")
        made = convert(made.folder.parent / "best_model.pth", tmp_path / "known")
    before = load_file(made.folder / "weights.safetensors")
    line = [
        "run", "--protocol", "wu2023-last", "--recipe", "paper", "--encoder", "tcn", "--fusion", "shared_tf",
        "--dataset", "wesad", "--modalities", "eda,ppg,temp", "--target", "stress", "--seeds", "0", "--device", "cpu",
        "--workers", "1", "--data-root", tmp_path, "--runs", tmp_path / "runs", "--pretrained", made.folder,
        "--set", "fusion.epochs=1", "--json",
    ]  # fmt: skip
    for frozen in (True, False):
        settings = ["--set", "encoder.frozen=true", "--set", "fusion.frozen=true"] if frozen else []
        done = embench(*line, *settings)
        assert done.code == 0, done.err
        folder = Path(json.loads(done.out)["folder"])
        manifest = record.read_record(folder).run
        assert manifest["pretrain_overlap"] == ("none" if known else "unknown")
        assert [seen["dataset"] for seen in manifest["pretraining"]] == (["PRESAGE"] if known else [])
        assert manifest["started_from"]["manifest"]["converted"]["layout"].startswith("WER-SSL")
        after = load_file(min((folder / "weights").iterdir()))
        assert all(torch.equal(before[name], after[name]) for name in before) is frozen
        if frozen:
            page = embench("report", folder, "--out", tmp_path / "page.html")
            assert page.code == 0, page.err
            words = "trained on PRESAGE, no labels" if known else "trained on unknown data"
            assert words in (tmp_path / "page.html").read_text()
            assert embench("audit", folder, "--data-root", tmp_path).code == 0


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
    request = Request("wesad", ("tcn",), modalities="eda", pretrained=str(tmp_path / "out"), data_root=tmp_path)
    synthesize(tmp_path / "wesad", subjects=2, seed=0, effect=1.0)
    with pytest.raises(UsageError, match="an encoder reads by itself"):
        run(request)


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
        (b"no archive", "no checkpoint"),
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
