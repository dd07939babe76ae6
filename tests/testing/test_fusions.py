"""Faults of fusions, estimators and pretrainers are found and told."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from embench.errors import CheckFailed, UsageError
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Tokens
from embench.nn import FillAbsent, Head
from embench.testing import check_estimator, check_fusion, check_pretrainer

RECIPES = {preset: Recipe() for preset in ("paper", "small", "quick")}


class Mean(nn.Module):
    """Modalities brought to one width, and their mean."""

    fills = True

    def __init__(self, tokens, outputs):
        super().__init__()
        self.fill = FillAbsent(tokens)
        self.lines = nn.ModuleDict({m: nn.Linear(s.dim, 8) for m, s in tokens.items()})
        self.head = Head(8, outputs.size)

    def forward(self, tokens, present):
        filled = self.fill(tokens, present) if self.fills else tokens
        pooled = torch.stack([self.lines[m](self.pool(t)) for m, t in filled.items()], 1)
        return self.head(Tokens(pooled))

    def pool(self, tokens):
        return tokens.pool()


class Good(Fusion):
    recipes: ClassVar = RECIPES
    network: ClassVar = Mean

    def build(self, tokens, outputs):
        return self.network(tokens, outputs)


class NoFill(Mean):
    fills = False


class ReadsMasked(Mean):
    def pool(self, tokens):
        return tokens.x.mean(1)


class Headless(Mean):
    def __init__(self, tokens, outputs):
        super().__init__(tokens, outputs)
        self.readout = self.head
        del self.head

    def forward(self, tokens, present):
        self.__dict__["head"] = None
        raise AssertionError


class LooksAtBatch(Mean):
    def forward(self, tokens, present):
        output = super().forward(tokens, present)
        return output._replace(logits=output.logits - output.logits.mean(0))


def test_good_ones_pass():
    check_fusion(Good)

    class OneWidth(Good):
        def build(self, tokens, outputs):
            if len({s.dim for s in tokens.values()}) > 1:
                raise UsageError("one width only")
            return Mean(tokens, outputs)

    class Hidden(Good):
        inputs: ClassVar = "hidden"
        arity: ClassVar = (2, None)

    check_fusion(OneWidth)
    check_fusion(Hidden)


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (NoFill, "masked tokens or absent modalities"),
        (ReadsMasked, "masked tokens or absent modalities"),
        (Headless, "the network has no `.head`"),
        (LooksAtBatch, "the output of a row depends on the other rows"),
    ],
)
def test_faults_of_fusions(network, fault):
    class Faulty(Good):
        pass

    Faulty.network = network
    with pytest.raises(CheckFailed, match=fault):
        check_fusion(Faulty)


class Centroid(Estimator):
    """The distance to the mean of the negative rows, squashed."""

    recipes: ClassVar = RECIPES

    def fit(self, X, y, subjects, weight, val=None):
        X = np.nan_to_num(X)
        self.axis = X[y == 1].mean(0) - X[y == 0].mean(0)
        self.middle = X.mean(0)

    def score(self, X):
        return 1 / (1 + np.exp(-((np.nan_to_num(X) - self.middle) @ self.axis)))


class Backwards(Centroid):
    def score(self, X):
        return 1 - super().score(X)


class Logits(Centroid):
    def score(self, X):
        return 10 * super().score(X) - 5


class Ranks(Centroid):
    def score(self, X):
        return super().score(X).argsort().argsort() / max(1, len(X))


class Spoils(Centroid):
    def fit(self, X, y, subjects, weight, val=None):
        super().fit(X, y, subjects, weight)
        X[np.isnan(X)] = 0


def test_estimators():
    check_estimator(Centroid)
    check_fusion(Centroid)
    faults = [
        (Backwards, "the positive class scores"),
        (Logits, "scores range from"),
        (Ranks, "the score of a row depends on the other rows"),
        (Spoils, "changed the inputs"),
    ]
    for cls, fault in faults:
        with pytest.raises(CheckFailed, match=fault):
            check_estimator(cls)


class Centroids(Estimator):
    """How near each class's mean is, or the mean of the nearest rows."""

    recipes: ClassVar = RECIPES
    kinds: ClassVar = frozenset({"classes", "value"})

    def fit(self, X, y, subjects, weight, val=None):
        self.rows, self.y = np.nan_to_num(X), y

    def score(self, X):
        gaps = ((np.nan_to_num(X)[:, None] - self.rows[None]) ** 2).sum(2)
        near = np.exp(-(gaps - gaps.min(1, keepdims=True)))
        if self.kind == "value":
            return near @ self.y / near.sum(1)
        share = np.stack([near[:, self.y == k].sum(1) for k in range(self.classes)], 1)
        return share / share.sum(1, keepdims=True)


class Narrow(Centroids):
    """Only the classes that it met."""

    def score(self, X):
        share = super().score(X)
        return share[:, [k for k in range(self.classes) if (self.y == k).any()]] if self.kind == "classes" else share


class Unscaled(Centroids):
    def score(self, X):
        return super().score(X) / 2


class Upside(Centroids):
    kinds: ClassVar = frozenset({"value"})

    def score(self, X):
        return -super().score(X)


def test_estimators_of_classes_and_values():
    check_estimator(Centroids)
    faults = [(Narrow, "scores have shape"), (Unscaled, "do not sum to 1"), (Upside, "the values correlate")]
    for cls, fault in faults:
        with pytest.raises(CheckFailed, match=fault):
            check_estimator(cls)


class Rebuild(nn.Module):
    """Tells each sample from its own token."""

    def __init__(self, model, inputs):
        super().__init__()
        self.model = model
        self.lines = nn.ModuleDict({m: nn.Linear(model.specs[m].dim, s.shape[0]) for m, s in inputs.items()})

    def weigh(self, error, mask):
        return (error * mask[:, None]).sum() / mask.sum()

    def forward(self, batch):
        losses = []
        for m, line in self.lines.items():
            x, mask = batch.x[m], batch.mask[m]
            guess = line(self.model.encoders[m](x, mask).x).transpose(1, 2)
            losses.append(self.weigh((guess - x).square(), mask))
        loss = torch.stack(losses).mean()
        return loss, {"error": loss.detach()}


class GoodTask(Pretrainer):
    recipes: ClassVar = RECIPES
    task: ClassVar = Rebuild

    def objective(self, model, inputs, outputs):
        return self.task(model, inputs)


class CountsPadding(Rebuild):
    def weigh(self, error, mask):
        return error.mean()


class Detached(Rebuild):
    def forward(self, batch):
        loss, figures = super().forward(batch)
        return loss.detach(), figures


class BareLoss(Rebuild):
    def forward(self, batch):
        return super().forward(batch)[0]


def test_pretrainers():
    check_pretrainer(GoodTask)

    class WholeModel(GoodTask):
        scope: ClassVar = "model"

    check_pretrainer(WholeModel)
    for task, fault in (
        (CountsPadding, "depends on masked samples"),
        (Detached, "no gradient"),
        (BareLoss, "loss and figures"),
    ):

        class Faulty(GoodTask):
            pass

        Faulty.task = task
        with pytest.raises(CheckFailed, match=fault):
            check_pretrainer(Faulty)
