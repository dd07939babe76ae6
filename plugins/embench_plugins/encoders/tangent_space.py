"""Encoder `tangent_space`: the covariance of EEG channels as a vector, by its matrix logarithm.

Barachant et al. 2012 (`barachant2012`), section III: covariance matrices lie on a curved surface, and classifiers work
on its tangent space at a reference matrix. Their reference is the geometric mean of the training trials. Features here
are computed once for all folds, so nothing is fitted: the reference is the identity, which makes the features the
logarithm (the log-Euclidean form of Arsigny et al. 2006, doi 10.1002/mrm.20965). If a protocol then z-scores each
subject's features, the subject's log-Euclidean mean becomes the reference, as is usual for transfer between subjects.

Not followed: their band of 8 to 30 Hz, which is that of imagined movement. Here the protocol's filter decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import take_recorded
from embench_plugins.encoders.handcrafted import Handcrafted, check_modality, make_recipes


class TangentSpace(Handcrafted):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token.

    Prepare keys: `shrinkage`, from 0 to 1: the weight of the channels' mean variance, added to the diagonal. Without it
    channels that depend on each other, as under an average reference, have no logarithm. It is fixed, since an
    estimated one would depend on the length of a span.
    """

    accepts: ClassVar = frozenset({"eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes(shrinkage=0.01)

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, C (C + 1) / 2) float32: the upper triangle, row by row, of the logarithm of each span's
        covariance. Values off the diagonal are multiplied by the square root of 2, so that distances of vectors equal
        those of matrices.

        NaN where samples were lost, and for constant channels.
        """
        x, where = take_recorded(signal, spans, {})
        shrinkage = float(self.recipe.prepare["shrinkage"])
        values = where.rows(x, lambda rows: compute_log_covariance(rows, shrinkage), len(x) * (len(x) + 1) // 2)
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return (F,) names in the order of a feature row. Raises UsageError for a modality without features."""
        check_modality("tangent_space", modality, self.accepts)
        pairs = zip(*(np.array(channels)[side] for side in np.triu_indices(len(channels))), strict=True)
        return tuple(f"{a}_log_variance" if a == b else f"{a}-{b}_log_covariance" for a, b in pairs)


def compute_log_covariance(rows: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return (k, C (C + 1) / 2) features of `rows` (k, C, length), see `TangentSpace.features`.

    >>> compute_log_covariance(np.array([[[-1.0, 1.0, 0.0, 0.0], [0.0, 0.0, -3.0, 3.0]]]), shrinkage=0.0).round(3)
    array([[-0.405,  0.   ,  1.792]])
    """
    channels, length = rows.shape[1:]
    centred = rows - rows.mean(-1, keepdims=True)
    covariance = centred @ centred.swapaxes(1, 2) / (length - 1)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    level = variance.mean(1)[:, None, None] * np.eye(channels)
    values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * level)
    log = vectors * np.log(np.where(values > 0, values, np.nan))[:, None] @ vectors.swapaxes(1, 2)
    first, second = np.triu_indices(channels)
    flat = np.ptp(rows, axis=-1) == 0
    scaled = log[:, first, second] * np.where(first == second, 1.0, np.sqrt(2.0))
    return np.where(flat[:, first] | flat[:, second], np.nan, scaled)
