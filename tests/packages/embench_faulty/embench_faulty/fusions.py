"""Fusions, each with one fault."""

from typing import ClassVar

import numpy as np
import torch
from sklearn.linear_model import SGDClassifier
from torch import nn

from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Tokens
from embench.nn import Head


class ReadsAbsent(Fusion):
    recipes: ClassVar = dict.fromkeys(("paper", "small", "quick"), Recipe(lr=1e-3, epochs=2))

    def build(self, tokens, outputs):
        class Mean(nn.Module):
            def __init__(self):
                super().__init__()
                self.lift = nn.ModuleDict({m: nn.Linear(spec.dim, 8) for m, spec in tokens.items()})
                self.head = Head(8, outputs.size)

            def forward(self, tokens, present):
                lifted = [lift(tokens[m].x.mean(1)) for m, lift in self.lift.items()]
                return self.head(Tokens(torch.stack(lifted, 1)))

        return Mean()


class RemembersThePreviousFit(Estimator):
    recipes: ClassVar = dict.fromkeys(("paper", "small", "quick"), Recipe())

    def fit(self, X, y, subjects, weight, val=None):
        if not hasattr(self, "model"):
            self.model = SGDClassifier(loss="log_loss", random_state=self.seed, alpha=0.01)
        for _ in range(5):
            self.model.partial_fit(np.nan_to_num(X), y, classes=[0.0, 1.0])

    def score(self, X):
        return self.model.predict_proba(np.nan_to_num(X))[:, 1]
