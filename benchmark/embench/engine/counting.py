"""Size of a fitted estimator: the numbers that it keeps, and the operations of one prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def size_of(estimator: object) -> tuple[int | None, int | None]:
    """(parameters, floating-point operations of one row's prediction) of scikit-learn's models inside an estimator.

    Parameters are the floating-point numbers that the fitted models keep, and of a tree one number a node: a threshold
    or a prediction. Operations are a multiplication and an addition for each of these numbers, one more for each of a
    support vector's (the distance to it), and of a tree the comparisons on its longest path and one addition. Both None
    where nothing fitted by scikit-learn is found.
    """
    parameters = operations = 0
    for model in _models(estimator):
        trees = list(_trees(model))
        if trees:
            parameters += sum(nodes for nodes, _ in trees)
            operations += sum(depth + 1 for _, depth in trees)
        else:
            own = sum(array.size for array in _numbers(model))
            support = getattr(model, "support_vectors_", np.empty(0)).size
            parameters, operations = parameters + own, operations + 2 * own + support
    return (parameters, operations) if parameters else (None, None)


def _models(holder: object) -> Iterator[BaseEstimator]:
    """The models that an object holds, at any depth, each once; a forest's parts are counted with it."""
    from sklearn.base import BaseEstimator  # networks do without it

    waiting, seen = [holder], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, list | tuple):
            waiting += found
        elif isinstance(found, BaseEstimator) or found is holder:
            if isinstance(found, BaseEstimator):
                yield found
            if not any(True for _ in _trees(found)):
                waiting += vars(found).values()


def _trees(model: object) -> Iterator[tuple[int, int]]:
    """(nodes, depth) of each tree of a model made of trees."""
    for rounds in getattr(model, "_predictors", ()):  # gradient boosting on histograms; there is no public way
        for tree in rounds:
            yield len(tree.nodes), int(tree.get_max_depth())
    several: Any = getattr(model, "estimators_", ())
    for tree in np.ravel(np.array([t for t in several if hasattr(t, "tree_")], dtype=object)):
        yield int(tree.tree_.node_count), int(tree.tree_.max_depth)
    if hasattr(model, "tree_"):
        yield int(model.tree_.node_count), int(model.tree_.max_depth)


def _numbers(model: BaseEstimator) -> Iterator[np.ndarray]:
    """The arrays of floating-point numbers among a model's public attributes."""
    for name, value in vars(model).items():
        for array in value if isinstance(value, list) else (value,):
            if not name.startswith("_") and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                yield array
