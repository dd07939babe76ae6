"""Preparation of rows of features for methods that need every value, on one scale: the StressID code's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes IterativeImputer importable)
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FACES = frozenset({"face_au", "video"})


def preparing(build: Mapping[str, Any], modalities: tuple[str, ...], seed: int) -> Pipeline:
    """Imputing, standardising, and principal components where faces stand beside other signals, to be fitted.

    Args:
        build: a recipe's `impute`, `iterative` (each value from the others of its row) or `median`, and `pca`, the
            share of variance that the components keep, None for no components.
    """
    steps: list[Any] = [
        IterativeImputer(random_state=seed, keep_empty_features=True)
        if build["impute"] == "iterative"
        else SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
    ]
    faces = FACES & set(modalities)
    if build["pca"] is not None and faces and faces < set(modalities):
        steps.append(PCA(float(build["pca"]), svd_solver="full"))
    return make_pipeline(*steps)
