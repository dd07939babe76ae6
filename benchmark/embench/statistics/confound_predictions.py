"""Published predictions of models of confounds, which take most of a first run on a dataset.

They depend on a dataset's labels and folds alone, not on the method. The file `confounds/<dataset>.npz` of a dataset's
package holds those of the first seeds, under a version of their own: they stay the same when code changes. `python -m
bench.confound_predictions` makes such a file, and `--check` refits a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

MODELS_VERSION = 1
"""Version of the models. Another version requires new published predictions."""


def published_file(dataset: str) -> Traversable | None:
    """Return the file of a dataset's published predictions, by its full name; None where its package has none."""
    package, _, name = dataset.partition("/")
    try:
        path = resources.files(package) / "confounds" / f"{name.replace('/', '-')}.npz"
    except (ModuleNotFoundError, TypeError, ValueError):
        return None
    return path if path.is_file() else None


def has_predictions(dataset: str, key: str) -> bool:
    """Return True if predictions are published under this key."""
    path = published_file(dataset)
    if path is None:
        return False
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        return key in tables.files


def published_predictions(dataset: str, key: str, names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Return the out-of-fold predictions (n, K) of each model published under this key; None if there are none. Raises
    ValueError if the number of models differs: a change of the models needs a new version."""
    path = published_file(dataset)
    if path is None:
        return None
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        if key not in tables.files:
            return None
        table = tables[key].astype(np.float64)
    return dict(zip(names, np.moveaxis(table, 1, 0), strict=True))


def pack_predictions(predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return predictions (n, K) of M models as published files hold them, float32 (n, M, K)."""
    return np.stack(list(predictions.values()), 1).astype(np.float32)
