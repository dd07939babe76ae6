"""The training loop: what it selects, and that stopping and going on changes nothing."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from embench.engine import loop
from embench.engine.feed import Data, FeatureFeed
from embench.engine.stage import Folder
from embench.errors import PluginError, UsageError
from embench.interfaces.recipe import Recipe

from ..sample import sample

N, TRAIN, VAL = 40, np.arange(30), np.arange(30, 40)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))


def data():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((N, 3)).astype(np.float32))
    return Data({"ecg": FeatureFeed(x, np.ones(N, bool), "cpu")}, N, "cpu", (x[:, :1] > 0).float(), torch.ones(N))


class Stop(Exception):
    pass


def objective(net, stop_at=None):
    """Loss of a batch; raises Stop at the training step `stop_at`."""
    step = [0]

    def loss(batch):
        if net.training:
            step[0] += 1
            if step[0] == stop_at:
                raise Stop
        logits = net.layers(batch.x["ecg"])
        right = ((logits > 0) == (batch.y > 0)).float().mean()
        return nn.functional.binary_cross_entropy_with_logits(logits, batch.y), {"accuracy": right}

    return loss


def fitted(folder, recipe, stop_at=None, seed=3):
    torch.manual_seed(seed)
    net = Net()
    state = loop.fit(net, objective(net, stop_at), data(), TRAIN, VAL, recipe, Folder(folder, "stage"), seed)
    return net, state


STOPPED = [*product(["last", "early_stop", "best_train"], ["adam", "adamw", "sgd"], [9, 17])]
EACH = [("last", "adam", 9), ("last", "sgd", 17), ("early_stop", "adamw", 9), ("best_train", "adamw", 17)]


@pytest.mark.parametrize(("selection", "optimiser", "step"), sample(STOPPED, *EACH))
def test_a_fit_that_was_stopped_goes_on_to_the_same_numbers(tmp_path, monkeypatch, selection, optimiser, step):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    recipe = Recipe(optimiser, lr=0.05, momentum=0.5, epochs=6, batch=8, schedule="cosine", warmup=2,
                    selection=selection, patience=3)  # fmt: skip
    (tmp_path / "a" / "stage").mkdir(parents=True)
    (tmp_path / "b" / "stage").mkdir(parents=True)
    whole, state = fitted(tmp_path / "a", recipe)
    with pytest.raises(Stop):
        fitted(tmp_path / "b", recipe, stop_at=step)
    torch.manual_seed(99)
    again, resumed = fitted(tmp_path / "b", recipe)
    assert resumed.history == state.history
    assert (resumed.epoch, resumed.best_epoch, resumed.best_loss) == (state.epoch, state.best_epoch, state.best_loss)
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_early_stop_keeps_the_best_epoch_and_stops(tmp_path):
    (tmp_path / "stage").mkdir()
    recipe = Recipe(lr=0.5, epochs=30, batch=8, selection="early_stop", patience=2)
    net, state = fitted(tmp_path, recipe)
    losses = [row["val_loss"] for row in state.history]
    assert state.best_epoch == int(np.argmin(losses))
    assert len(losses) == min(30, state.best_epoch + 3)
    net.eval()
    with torch.no_grad():
        loss, _ = objective(net)(data().batch(VAL))
    assert float(loss) == pytest.approx(min(losses), rel=1e-5)


def test_best_train_keeps_the_epoch_with_the_highest_training_accuracy(tmp_path):
    """The first of them, to the end of its epochs, with its weights as they were when that epoch ended."""
    for name in ("a", "b"):
        (tmp_path / name / "stage").mkdir(parents=True)
    recipe = Recipe(lr=0.5, epochs=12, batch=8, selection="best_train", patience=1)
    net, state = fitted(tmp_path / "a", recipe)
    accuracies = [row["accuracy"] for row in state.history]
    assert len(accuracies) == 12
    assert state.best_epoch == int(np.argmax(accuracies)) < 11  # else keeping the last would do as well
    shorter, _ = fitted(tmp_path / "b", replace(recipe, epochs=state.best_epoch + 1, selection="last"))
    for one, other in zip(net.state_dict().values(), shorter.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_best_train_needs_an_accuracy(tmp_path):
    (tmp_path / "stage").mkdir()
    net = Net()

    def silent(batch):
        return objective(net)(batch)[0], {}

    recipe = Recipe(epochs=2, selection="best_train")
    with pytest.raises(UsageError, match="there are only loss, val_loss"):
        loop.fit(net, silent, data(), TRAIN, VAL, recipe, Folder(tmp_path, "stage"), 0)


def test_validating_does_not_touch_training(tmp_path):
    (tmp_path / "stage").mkdir()
    recipe = Recipe(lr=0.05, epochs=3, batch=8)
    with_val, _ = fitted(tmp_path, recipe)
    torch.manual_seed(3)
    net = Net()
    loop.fit(net, objective(net), data(), TRAIN, VAL[:0], recipe, Folder(tmp_path, "stage"), 3)
    for one, other in zip(with_val.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_not_finite_is_said(tmp_path):
    (tmp_path / "stage").mkdir()
    net, folder = Net(), Folder(tmp_path, "stage")

    def bad(_):
        return net.layers[0].weight.sum() * torch.nan, {}

    with pytest.raises(PluginError, match="became nan"):
        loop.fit(net, bad, data(), TRAIN, VAL, Recipe(epochs=2), folder, 0)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(schedule="step", every=2, factor=0.5, epochs=5), [1, 1, 0.5, 0.5, 0.25]),
        (Recipe(schedule="linear", epochs=4), [1, 0.75, 0.5, 0.25]),
        (Recipe(schedule="cosine", epochs=2), [1, 0.5]),
        (Recipe(schedule="constant", warmup=2, epochs=4), [0.0005, 0.5005, 1, 1]),
    ],
)
def test_schedules(recipe, rates):
    assert [loop.rate_at(recipe, epoch) for epoch in range(len(rates))] == pytest.approx(rates)


class Layered(Net):
    """A network that names its layers, and one that comes after them."""

    def __init__(self):
        super().__init__()
        self.after = nn.Linear(1, 1)

    def layers_in_order(self):
        return [self.layers[0], self.layers[3]]


def test_a_layer_decay_slows_what_is_far_from_the_head():
    net = Layered()
    recipe = Recipe(optimiser="sgd", lr=1.0, layer_decay=0.5)
    optimiser = loop.make_optimiser(recipe, net)
    assert {p for group in optimiser.param_groups for p in group["params"]} == set(net.parameters())
    share = {p: group["share"] for group in optimiser.param_groups for p in group["params"]}
    for part, expected in ((net.after, 1.0), (net.layers[3], 0.5), (net.layers[0], 0.25)):
        assert {share[p] for p in part.parameters()} == {expected}


def test_a_layer_decay_takes_effect_in_a_fit(tmp_path):
    """One step of Adam moves every weight by about its learning rate."""
    net = Layered()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    (tmp_path / "stage").mkdir()

    def total(_):
        return sum(p.sum() for p in net.parameters()), {}

    recipe = Recipe(lr=1e-2, epochs=1, batch=len(TRAIN), layer_decay=0.5)
    loop.fit(net, total, data(), TRAIN, VAL[:0], recipe, Folder(tmp_path, "stage"), 0)
    moved = {name: float((before[name] - p.detach()).mean()) for name, p in net.named_parameters()}
    expected = {"layers.0": 2.5e-3, "layers.3": 5e-3, "after": 1e-2}
    for name, step in moved.items():
        assert step == pytest.approx(expected[name.rpartition(".")[0]], rel=1e-3)


def test_a_layer_decay_needs_layers():
    with pytest.raises(UsageError, match="no network here lists its layers"):
        loop.make_optimiser(Recipe(layer_decay=0.5), Net())


def test_without_a_layer_decay_nothing_of_it_is_written_down():
    assert "layer_decay" not in Recipe().to_mapping()
    assert Recipe.from_mapping(Recipe(layer_decay=0.75).to_mapping()) == Recipe(layer_decay=0.75)
    changed = Recipe(datasets={"deap": {"layer_decay": 0.5}})
    assert Recipe.from_mapping(changed.to_mapping()).apply_dataset("deap").layer_decay == 0.5


def test_batches_come_in_another_order_in_each_epoch(tmp_path):
    (tmp_path / "stage").mkdir()
    orders, net = [], Net()
    inner = objective(net)

    def seen(batch):
        if net.training:
            orders.append(tuple(batch.x["ecg"][:, 0].tolist()))
        return inner(batch)

    loop.fit(net, seen, data(), TRAIN, VAL, Recipe(epochs=2, batch=10), Folder(tmp_path, "stage"), 3)
    first, second = orders[:3], orders[3:]
    assert len(set(sum(first, ()))) == len(TRAIN)
    assert set(sum(first, ())) == set(sum(second, ()))
    assert first != second
