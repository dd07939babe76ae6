"""Losses of values: what they compute, their gradients, that each is learned, and the batches of whole recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from embench.engine import network
from embench.engine.feed import Data, FeatureFeed, split_by_recording
from embench.engine.loop import fit
from embench.engine.network import fit_scale
from embench.engine.stage import Folder
from embench.interfaces.agreement import concordance
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import OutputSpec, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised, concordance_loss

from ..sample import sample
from .test_values import Linear, Vectors

LOSSES = ("mse", "mae", "ccc_batch", "ccc_recording")
ROWS, RECORDINGS = 96, 6
OUTPUTS = OutputSpec((Target("arousal", "value", LabelRule(), "a"),))


def rows(seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Predictions, labels, weights and groups (20,) in float64; the labels of the last group do not vary."""
    rng = np.random.default_rng(seed)
    group = np.repeat([3, 0, 1], [8, 7, 5])
    y = rng.normal(size=20)
    y[group == 1] = 0.5
    parts = (y + rng.normal(size=20), y, rng.uniform(0.5, 1, 20))
    return *(torch.from_numpy(part) for part in parts), torch.from_numpy(group)


def test_the_loss_by_group_is_one_less_the_mean_concordance() -> None:
    predicted, y, _, group = rows()
    expected = 1 - np.nan_to_num(concordance(predicted.numpy(), y.numpy(), group.numpy(), 4)).sum() / 3
    assert float(concordance_loss(predicted, y, torch.ones(20), group)) == pytest.approx(expected, abs=1e-7)
    twice = [torch.cat([part, part[:8]]) for part in (predicted, y, torch.ones(20), group)]
    weighted = torch.ones(20, dtype=torch.float64)
    weighted[:8] = 2
    found = concordance_loss(predicted, y, weighted, group)
    torch.testing.assert_close(found, concordance_loss(*twice))  # a weight of 2 is a row that comes twice


def test_rows_without_a_label_do_not_count() -> None:
    predicted, y, weight, group = rows()
    weight[:9] = 0
    few = concordance_loss(predicted[9:], y[9:], weight[9:], group[9:])
    torch.testing.assert_close(concordance_loss(predicted, y, weight, group), few)


def test_gradients_agree_with_finite_differences() -> None:
    predicted, y, weight, group = rows()
    predicted.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: concordance_loss(p, y, weight, group), (predicted,))


def test_nothing_to_compare_has_a_loss_and_a_gradient_that_are_finite() -> None:
    for labels in ([0.3], [0.3, 0.3, 0.3]):
        y = torch.tensor(labels)
        predicted = torch.zeros_like(y, requires_grad=True)
        loss = concordance_loss(predicted, y, torch.ones_like(y), torch.zeros(len(y), dtype=torch.int64))
        loss.backward()
        assert loss.item() == 1
        assert torch.isfinite(predicted.grad).all()


def trained(folder: Path, loss: str, unit: float = 1.0) -> tuple[list[float], np.ndarray]:
    """The training loss of each epoch, and the answers in the labels' unit: labels are a line in the first feature."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    y = unit * (7 + x[:, :1] + 0.1 * rng.normal(size=(ROWS, 1)))
    y[::7] = np.nan
    recording = np.repeat(np.arange(RECORDINGS), ROWS // RECORDINGS) if loss == "ccc_recording" else None
    feed = FeatureFeed(torch.from_numpy(x), np.ones(ROWS, bool), "cpu")
    data = Data({"eda": feed}, ROWS, "cpu", torch.from_numpy(y).float(), torch.ones(ROWS), recording)
    torch.manual_seed(0)
    net = Model({"eda": Vectors()}, {"eda": TokenSpec(1, 3)}, head=Linear(3, 1), scale=network.make_scale(OUTPUTS))
    fit_scale(net, OUTPUTS, y, np.ones(ROWS))
    module = Supervised(net, OutputSpec(OUTPUTS.targets, loss=loss))
    recipe = Recipe(lr=6e-2, epochs=20, batch=16, loss=loss)
    (folder / "fit").mkdir(parents=True)
    state = fit(module, module, data, np.arange(ROWS), np.arange(0), recipe, Folder(folder, "fit"), 7)
    with torch.no_grad():
        answers = net.eval()(data.batch(np.arange(ROWS))).logits[:, 0].double().numpy() / unit
    assert np.corrcoef(answers, x[:, 0])[0, 1] > 0.9
    return [row["loss"] for row in state.history], answers


@pytest.mark.parametrize("loss", sample(LOSSES, "mse", "ccc_recording"))
def test_training_lowers_each_loss_whatever_the_labels_unit(tmp_path, loss: str) -> None:
    history, answers = trained(tmp_path / "one", loss)
    assert history[-1] < 0.5 * history[0]
    np.testing.assert_allclose(trained(tmp_path / "other", loss, unit=1e-6)[1], answers, atol=2e-2)


def test_each_loss_is_that_of_standard_scores() -> None:
    rng = np.random.default_rng(1)
    x, y, recording = rng.normal(size=(12, 3)), 100 + 20 * rng.normal(size=12), np.repeat([4, 9], 6)
    feed = FeatureFeed(torch.from_numpy(x).float(), np.ones(12, bool), "cpu")
    labels = torch.from_numpy(y).float()[:, None]
    batch = Data({"eda": feed}, 12, "cpu", labels, torch.ones(12), recording).batch(np.arange(12))
    net = Model({"eda": Vectors()}, {"eda": TokenSpec(1, 3)}, head=Linear(3, 1), scale=network.make_scale(OUTPUTS))
    fit_scale(net, OUTPUTS, y[:, None], np.ones(12))
    predicted = net(batch).logits[:, 0].detach().double().numpy()
    away = (predicted - y) / y.std()
    expected = {
        "mse": (away**2).mean(),
        "mae": np.abs(away).mean(),
        "ccc_batch": 1 - concordance(predicted, y, np.zeros(12, int), 1)[0],
        "ccc_recording": 1 - concordance(predicted, y, np.repeat([0, 1], 6), 2).mean(),
    }
    for loss, value in expected.items():
        found, _ = Supervised(net, OutputSpec(OUTPUTS.targets, loss=loss))(batch)
        assert found.item() == pytest.approx(value, abs=1e-5), loss


def test_a_loss_by_recording_needs_recordings() -> None:
    feed = FeatureFeed(torch.zeros(4, 3), np.ones(4, bool), "cpu")
    data = Data({"eda": feed}, 4, "cpu", torch.zeros(4, 1), torch.ones(4))
    net = Model({"eda": Vectors()}, {"eda": TokenSpec(1, 3)}, head=Linear(3, 1))
    module = Supervised(net, OutputSpec(OUTPUTS.targets, loss="ccc_recording"))
    with pytest.raises(ValueError, match="which recordings"):
        module(data.batch(np.arange(4)))


def test_batches_hold_whole_recordings() -> None:
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(9), rng.integers(1, 12, 9))
    order = rng.permutation(len(recording))[:40]
    present = np.ones((len(recording), 1), bool)
    parts = split_by_recording(order, recording, present, 10)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(order))
    held = [set(recording[part].tolist()) for part in parts]
    assert sum(map(len, held)) == len(set(recording[order].tolist())), "a recording is in one batch"
    assert all(len(part) >= 10 for part in parts[:-1])
    assert recording[order[0]] in held[0]
    again = split_by_recording(np.random.default_rng(1).permutation(order), recording, present, 10)
    assert [set(recording[part].tolist()) for part in again] != held, "another epoch has other batches"


def test_no_batch_has_one_row() -> None:
    recording = np.array([0, 0, 0, 1])
    parts = split_by_recording(np.arange(4), recording, np.ones((4, 1), bool), 3)
    assert [len(part) for part in parts] == [4]


def test_the_default_loss_is_not_written_down() -> None:
    assert "loss" not in Recipe().to_mapping()
    assert Recipe.from_mapping(Recipe(loss="mae").to_mapping()) == Recipe(loss="mae")
