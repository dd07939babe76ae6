"""Ridge regression of scores and labels on blocks of confounds, fitted on other subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from embench.files import digest
from embench.statistics.nuisance_models import Parts

PENALTY = 100.0
"""Penalty on the diagonal of Z'Z. It is fixed: the penalty that predicts the scores best would adjust too little."""

Adjustment = tuple[tuple[str, ...], float]
"""Names of the adjacent blocks of confounds that are regressed out, and the penalty of the ridge regression."""


@dataclass(frozen=True)
class ConfoundBlocks:
    """Confound columns of the units in one seed, in named blocks, which are regressed out of scores and labels.

    Args:
        blocks: name of a block -> (n, k) columns.
        parts: for each fold, the positions of its training units and of the units that it predicts."""

    blocks: Mapping[str, np.ndarray]
    parts: Parts

    @cached_property
    def _products(self) -> list[np.ndarray]:
        """Z'Z over the training units of each fold, where Z are the columns of all blocks."""
        blocks = list(self.blocks.values())
        trains = np.zeros((len(blocks[0]), len(self.parts)), bool)
        for fold, (train, _) in enumerate(self.parts):
            trains[train, fold] = True
        patterns, pattern = np.unique(trains, axis=0, return_inverse=True)
        pattern = pattern.reshape(-1)  # numpy 2.0 gives it two dimensions
        alike = (np.hstack([block[pattern == k] for block in blocks]) for k in range(len(patterns)))
        products = [rows.T @ rows for rows in alike]  # of units that train the same folds
        whole = sum(products[1:], products[0])
        return [whole - sum(compress(products, ~trained)) for trained in patterns.T]

    @cached_property
    def _factors(self) -> dict[Adjustment, list[Any]]:
        """Adjustment -> the Cholesky factor of Z'Z and the penalty in each fold, as far as they were needed."""
        return {}

    @cached_property
    def _residual_labels(self) -> dict[tuple[str, tuple[Adjustment, ...]], list[np.ndarray]]:
        """(Digest of labels, adjustments) -> the residuals of the labels, as far as they were needed."""
        return {}

    def _slice(self, names: Sequence[str]) -> slice:
        """Return the columns from the first to the last of these blocks."""
        ends = np.cumsum([0, *(block.shape[1] for block in self.blocks.values())]).tolist()
        positions = [list(self.blocks).index(name) for name in names]
        return slice(ends[min(positions)], ends[max(positions) + 1])

    def _factorise(self, adjustment: Adjustment) -> list[Any]:
        if adjustment not in self._factors:
            names, penalty = adjustment
            used = self._slice(names)
            ridge = penalty * np.eye(used.stop - used.start)
            self._factors[adjustment] = [cho_factor(product[used, used] + ridge) for product in self._products]
        return self._factors[adjustment]

    def residuals(self, values: np.ndarray, names: Sequence[str], penalty: float = PENALTY) -> np.ndarray:
        """Return (n, m) the residuals of `values` (n, m) after ridge regression on the blocks `names`, which must be
        adjacent. NaN for units that no fold tests."""
        return self.residuals_by(values, [(tuple(names), penalty)])[0]

    def residuals_by(self, values: np.ndarray, adjustments: Sequence[Adjustment]) -> list[np.ndarray]:
        """Return the `residuals` of `values` (n, m) by each adjustment. All of them read the columns, which are large,
        at once."""
        width, blocks = values.shape[1], list(self.blocks.values())
        of_folds = np.zeros((len(values), len(self.parts) * width))  # side by side
        for fold, (train, _) in enumerate(self.parts):
            of_folds[train, fold * width : (fold + 1) * width] = values[train]
        products = np.vstack([block.T @ of_folds for block in blocks])
        weights = np.zeros((len(products), len(adjustments), len(self.parts), width))
        for i, adjustment in enumerate(adjustments):
            used = self._slice(adjustment[0])
            for fold, factor in enumerate(self._factorise(adjustment)):
                of_fold = products[used, fold * width : (fold + 1) * width]
                weights[used, i, fold] = cho_solve(factor, of_fold, check_finite=False)
        ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
        split = np.split(weights.reshape(len(weights), -1), ends)
        fitted = sum(block @ part for block, part in zip(blocks, split, strict=True))
        fitted = np.asarray(fitted).reshape(len(values), len(adjustments), len(self.parts), width)
        out = np.full((len(adjustments), *values.shape), np.nan)
        for fold, (_, test) in enumerate(self.parts):
            out[:, test] = values[test] - fitted[test, :, fold].swapaxes(0, 1)
        return list(out)

    def label_residuals(self, labels: np.ndarray, adjustments: Sequence[Adjustment]) -> list[np.ndarray]:
        """Return the result of `residuals_by` for labels (n, m), which is computed once for all methods."""
        key = digest(labels), tuple(adjustments)
        if key not in self._residual_labels:
            self._residual_labels[key] = self.residuals_by(labels, adjustments)
        return self._residual_labels[key]
