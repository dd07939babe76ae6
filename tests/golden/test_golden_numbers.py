"""A plugin's numbers on fixed input may only change together with its revision in `registry.yaml`.

Where this fails and the change is meant: raise the plugin's `revision` (caches and stage ids of installed packages hang
on it; for the engine `ENGINE_REVISION` in `engine/stage.py`), then write the new numbers with

    python -m tests.golden.test_golden_numbers
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embench import registry
from embench.engine.feed import Data, FeatureFeed
from embench.engine.loop import fit
from embench.engine.network import token_spec
from embench.engine.stage import ENGINE_REVISION, Folder
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Head, Model, Supervised

from ..extras import FOUNDATION

FILE = Path(__file__).with_name("numbers.json")
OUTPUTS = OutputSpec((Target("arousal", "binary", LabelRule(), "arousal"),))
RATE, SECONDS = 32, 4


def wave(rows: int, channels: int = 1) -> np.ndarray:
    """(rows, channels, T) sums of slow waves: no generator that a library may change."""
    t = np.arange(RATE * SECONDS) / RATE
    index = 1 + np.arange(rows * channels).reshape(rows, channels, 1)
    return (np.sin(2 * np.pi * (0.5 + 0.1 * index) * t) + 0.3 * np.cos(index + 7 * t)).astype(np.float32)


def signals(*modalities: str, rows: int = 6) -> tuple[Batch, dict[str, InputSpec]]:
    x = {m: torch.from_numpy(wave(rows)) * (1 + i) for i, m in enumerate(modalities)}
    specs = {m: InputSpec(m, (1, RATE * SECONDS), (m,), RATE) for m in modalities}
    y = torch.tensor([[float(i % 2)] for i in range(rows)])
    return Batch(x, dict.fromkeys(x), {m: torch.arange(rows) for m in x}, rows, y, torch.ones(rows)), specs


def clips(plugin: Encoder, rows: int = 4) -> tuple[Batch, dict[str, InputSpec]]:
    """Stripes that wander, as an encoder of clips asks for them."""
    rate, size = plugin.recipe.prepare["frames_hz"], plugin.recipe.prepare["size"]
    shape = (round(SECONDS * rate), 3, size, size)
    grid = np.indices((rows, *shape))
    values = (7 * grid[0] + 31 * grid[1] + 50 * grid[2] + (3 + grid[0]) * grid[3] + 5 * grid[4]) % 256
    spec = InputSpec("video", shape, ("red", "green", "blue"), rate, torch.uint8)
    x = {"video": torch.from_numpy(values.astype(np.uint8))}
    return Batch(x, {"video": None}, {"video": torch.arange(rows)}, rows), {"video": spec}


def figures(*arrays: Any) -> list[float]:
    """Four digits of mean and spread: what differs more is another result, not another machine's rounding."""
    values = [np.asarray(a.detach() if isinstance(a, torch.Tensor) else a, np.float64) for a in arrays]
    return [float(f"{part:.4g}") for v in values for part in (np.nanmean(v), np.nanmean(np.abs(v)), np.nanstd(v))]


def encoder(name: str) -> list[float]:
    kind = registry.load_plugin("encoder", name)
    plugin = kind(kind.recipes["small"])
    if plugin.reads == "features":
        long = np.tile(wave(1, 1)[0], 30)
        spans = np.array([[0.0, 60.0], [30.0, 90.0]])
        read = [m for m in ("ppg", "eda", "eeg") if m in plugin.accepts]
        return figures(*(plugin.features(Signal(long, RATE, (m,), "uS", modality=m), spans) for m in read))
    m = "video" if plugin.reads == "clips" else "ppg"
    batch, specs = clips(plugin) if m == "video" else signals(m)
    torch.manual_seed(0)
    with torch.no_grad():
        tokens = plugin.build(specs[m]).eval()(batch.x[m], None)
    return figures(tokens.x, tokens.pool())


def model(name: str) -> Model:
    _, specs = signals("ppg", "eda")
    torch.manual_seed(0)
    kind = registry.load_plugin("encoder", "cnn_tf")
    plugin = kind(kind.recipes["small"])
    encoders = {m: plugin.build(spec) for m, spec in specs.items()}
    tokens = {m: token_spec(e, specs[m], 8) for m, e in encoders.items()}
    fusion = registry.load_plugin("fusion", name)
    return Model(encoders, tokens, fusion(fusion.recipes["small"]).build(tokens, OUTPUTS))


def fusion(name: str) -> list[float]:
    kind = registry.load_plugin("fusion", name)
    batch, _ = signals("ppg", "eda")
    if issubclass(kind, Estimator):
        X = np.stack([wave(40)[:, 0, k] for k in (3, 20, 50, 90)], 1)
        y = (X[:, 0] + X[:, 1] > np.median(X[:, 0] + X[:, 1])).astype(float)
        found = []
        for target, labels in (("binary", y), ("value", X[:, 0] + X[:, 1] ** 2)):
            if target in kind.kinds:
                fitted = kind(kind.recipes["small"], 0, target)
                fitted.fit(X, labels, np.arange(40) // 4, np.ones(40))
                found.append(fitted.score(X))
        return figures(*found)
    if kind.inputs == "unimodal":
        return []
    if kind.inputs == "hidden":
        return []  # a fusion of vectors: covered by the hand-computed tests of its layers
    with torch.no_grad():
        return figures(model(name).eval()(batch).logits)


def pretrainer(name: str) -> list[float]:
    kind = registry.load_plugin("pretrainer", name)
    if kind.scope == "model":
        (batch, specs), whole = signals("ppg", "eda"), model("shared_tf")
    else:
        m = "video" if "clips" in kind.needs_input else "ppg"
        encoder_kind = registry.load_plugin("encoder", "videomae" if m == "video" else "cnn_tf")
        plugin = encoder_kind(encoder_kind.recipes["small"])
        batch, specs = clips(plugin) if m == "video" else signals(m)
        torch.manual_seed(0)
        module = plugin.build(specs[m])
        tokens = {m: token_spec(module, specs[m])}
        whole = Model({m: module}, tokens, head=Head(tokens[m].dim, 1) if kind.labels == "source" else None)
    outputs = OUTPUTS if kind.labels == "source" else None
    objective = kind(kind.recipes["small"]).objective(whole, specs, outputs)
    torch.manual_seed(1)
    loss, _ = objective.eval()(batch)
    return figures(loss)


def engine(folder: Path) -> list[float]:
    """The loss curve of a small fit: what `ENGINE_REVISION` stands for."""
    torch.manual_seed(0)
    x = torch.from_numpy(wave(32)[:, 0, ::16].copy())
    head = Head(x.shape[1], 1)

    class Vectors(torch.nn.Module):
        def forward(self, batch: Batch) -> Any:
            from embench.interfaces.tokens import Tokens

            return head(Tokens(batch.x["ppg"][:, None]))

    net: Any = Vectors()
    net.head = head
    y = (x[:, :1] > 0).float()
    data = Data({"ppg": FeatureFeed(x, np.ones(32, bool), "cpu")}, 32, "cpu", y, torch.ones(32))
    module = Supervised(net, OUTPUTS)
    schedule: dict[str, Any] = {"optimiser": "adamw", "lr": 1e-2, "schedule": "cosine", "warmup": 1, "epochs": 4}
    recipe = Recipe(**schedule, batch=8, clip=1.0, selection="early_stop")
    (folder / "golden").mkdir(exist_ok=True)
    state = fit(module, module, data, np.arange(24), np.arange(24, 32), recipe, Folder(folder, "golden"), 7)
    return figures([row["loss"] for row in state.history], [row["val_loss"] for row in state.history])


MAKERS = {"encoder": encoder, "fusion": fusion, "pretrainer": pretrainer}
CASES = [
    (kind, entry.name, entry.revision)
    for kind in MAKERS
    for entry in registry.entries(kind)
    if entry.package == registry.BUNDLED and entry.name not in FOUNDATION
]


def check(now: list[float], key: str, revision: int) -> None:
    known = json.loads(FILE.read_text())[key]
    if revision == known["revision"]:
        assert now == pytest.approx(known["numbers"], rel=2e-3, abs=2e-4), f"{key} changed: raise its revision"


@pytest.mark.parametrize(("kind", "name", "revision"), CASES)
def test_a_plugins_numbers_change_with_its_revision_only(kind: str, name: str, revision: int) -> None:
    check(MAKERS[kind](name), f"{kind} {name}", revision)


def test_the_engines_numbers_change_with_its_revision_only(tmp_path: Path) -> None:
    check(engine(tmp_path), "engine", ENGINE_REVISION)


if __name__ == "__main__":
    import tempfile

    found = {f"{k} {n}": {"revision": r, "numbers": MAKERS[k](n)} for k, n, r in CASES}
    with tempfile.TemporaryDirectory() as place:
        found["engine"] = {"revision": ENGINE_REVISION, "numbers": engine(Path(place))}
    FILE.write_text(json.dumps(found, indent=1) + "\n")
