"""A run's `embeddings.npz`: the last hidden layer of every predicted unit, for probes and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.files import read_arrays, saving, write_whole

EMBEDDINGS_FILE = "embeddings.npz"
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class Embeddings:
    """One row for each target, seed and unit that was predicted: `target`, `fold`, `seed`, `unit` (n,) and `x` (n, H)
    float32, a unit's rows averaged. Networks narrower than the widest are filled up with zeros."""

    target: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    unit: np.ndarray
    x: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: np.ndarray) -> Embeddings:
        """The rows at `index`, positions (m,) or a boolean mask (n,)."""
        return Embeddings(self.target[index], self.fold[index], self.seed[index], self.unit[index], self.x[index])

    @classmethod
    def concatenate(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """All rows in the order of `parts`."""
        widest = max(part.x.shape[1] for part in parts)
        x = [np.pad(part.x, ((0, 0), (0, widest - part.x.shape[1]))) for part in parts]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in EMBEDDING_COLUMNS if name != "x"
        }
        return cls(x=np.concatenate(x), **columns)


EMBEDDING_COLUMNS = ("target", "fold", "seed", "unit", "x")


def write_embeddings(run_folder: Path, embeddings: Embeddings) -> None:
    """Raises MachineError where the disk is full or read-only."""
    columns: dict[str, Any] = {name: getattr(embeddings, name) for name in EMBEDDING_COLUMNS}

    def put(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)

    path = Path(run_folder) / EMBEDDINGS_FILE
    with saving("the embeddings", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, put)


def read_embeddings(run_folder: Path) -> Embeddings | None:
    """The embeddings of a run; None where it has none (an estimator on features, an entry of a board, a run made before
    they were kept).

    Raises:
        DataError: the file is damaged.
    """
    path = Path(run_folder) / EMBEDDINGS_FILE
    if not path.is_file():
        return None
    arrays = read_arrays(path, _MOST_BYTES)
    if missing := [name for name in EMBEDDING_COLUMNS if name not in arrays]:
        raise DataError(f"the embeddings lack {', '.join(missing)}", where=str(path))
    return Embeddings(**{name: arrays[name] for name in EMBEDDING_COLUMNS})
