"""Value targets: networks learn them in standard scores of the training labels and answer in the labels' own unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from embench.engine import network
from embench.engine.feed import Data, FeatureFeed
from embench.engine.loop import fit
from embench.engine.network import fit_scale
from embench.engine.stage import Folder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised

TARGETS = (
    Target("aroused", "binary", LabelRule(), "a"),
    Target("arousal", "value", LabelRule(), "a"),
    Target("state", "classes", LabelRule(), "s", n=3),
)
OUTPUTS = OutputSpec(TARGETS)
ROWS = 64


class Vectors(nn.Module):
    def forward(self, x, mask=None):
        return Tokens(x[:, None], None)


class Linear(nn.Linear):
    def forward(self, tokens):
        return Output(super().forward(tokens.pool()), tokens.pool())


def model(outputs: OutputSpec = OUTPUTS) -> Model:
    torch.manual_seed(0)
    spec = {"eda": TokenSpec(1, 3)}
    return Model({"eda": Vectors()}, spec, head=Linear(3, outputs.size), scale=network.make_scale(outputs))


def rows() -> tuple[torch.Tensor, np.ndarray]:
    """Features (n, 3) and labels (n, 3): the value is a line in the first feature, with gaps."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 0] + 0.1 * rng.normal(size=ROWS), rng.integers(0, 3, ROWS)], 1)
    y[::5, 1] = np.nan
    return torch.from_numpy(x), y


def fitted(folder: Path, unit: float, level: float) -> tuple[Model, Data]:
    x, y = rows()
    y[:, 1] = level + unit * y[:, 1]
    data = Data(
        {"eda": FeatureFeed(x, np.ones(ROWS, bool), "cpu")}, ROWS, "cpu", torch.from_numpy(y).float(), torch.ones(ROWS)
    )
    net, train = model(), np.arange(48)
    fit_scale(net, OUTPUTS, y[train], np.ones(48))
    module = Supervised(net, OUTPUTS)
    recipe = Recipe(optimiser="adam", lr=3e-2, epochs=30, batch=16)
    (folder / "fit").mkdir(parents=True)
    fit(module, module, data, train, np.arange(48, ROWS), recipe, Folder(folder, "fit"), 7)
    return net, data


def test_the_labels_unit_does_not_change_what_is_learnt(tmp_path):
    """Values in volts or in microvolts above a thousand: the same network, answers in the labels' unit."""
    predictions = []
    for unit, level in ((1.0, 0.0), (250.0, 1000.0), (1e-8, 0.0)):
        net, data = fitted(tmp_path / str(unit), unit, level)
        with torch.no_grad():
            logits = net.eval()(data.batch(np.arange(ROWS))).logits.double().numpy()
        predictions.append(np.concatenate([logits[:, :1], (logits[:, 1:2] - level) / unit, logits[:, 2:]], 1))
    np.testing.assert_allclose(predictions[1], predictions[0], atol=2e-3)
    np.testing.assert_allclose(predictions[2], predictions[0], atol=2e-3)
    x, _ = rows()
    np.testing.assert_allclose(predictions[0][:, 1], x[:, 0], atol=0.3)


def test_mean_and_sd_of_the_training_labels_that_there_are():
    _, y = rows()
    weight = np.linspace(0.5, 1.5, ROWS)
    net = model()
    fit_scale(net, OUTPUTS, y, weight)
    known = np.isfinite(y[:, 1])
    mean = np.average(y[known, 1], weights=weight[known])
    std = np.average((y[known, 1] - mean) ** 2, weights=weight[known]) ** 0.5
    np.testing.assert_allclose(net.scale.mean, [0, mean, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(net.scale.std, [1, std, 1, 1, 1], rtol=1e-6)


def test_labels_that_are_missing_or_all_alike_leave_the_scale_alone():
    _, y = rows()
    for values, mean in ((np.full(ROWS, np.nan), 0.0), (np.full(ROWS, 0.1), 0.1)):
        y[:, 1] = values
        net = model()
        fit_scale(net, OUTPUTS, y, np.ones(ROWS))
        np.testing.assert_allclose(net.scale.mean, [0, mean, 0, 0, 0], rtol=1e-6)
        np.testing.assert_array_equal(net.scale.std, np.ones(5))


def test_the_scale_travels_with_the_weights(tmp_path):
    net, data = fitted(tmp_path, 250.0, 1000.0)
    (tmp_path / "saved").mkdir()
    network.save(Folder(tmp_path, "saved"), net, {})
    other = model()
    other.load_state_dict(load_file(tmp_path / "saved" / "weights.safetensors"))
    batch = data.batch(np.arange(8))
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(batch).logits, net.eval()(batch).logits)
    assert other.scale.mean[1] > 900


def test_networks_without_values_have_no_scale():
    net = model(OutputSpec((TARGETS[0], TARGETS[2])))
    assert net.scale is None
    assert not [name for name in net.state_dict() if "scale" in name]
