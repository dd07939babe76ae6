"""Arrays that take long to make and follow from prepared data: made once, then read from the folder of these data, and
gone with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.files import aside, digest, make_folder, read_arrays, temporary
from embench.store.store import Store
from embench.system import locked


def kept(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `make` gives, without objects; from the store's folder, where it was made before for this `key`.

    The file is only a cache: where it is missing or damaged, or cannot be written, the array is made.

    Args:
        key: plain values that name all that decides the array beside the prepared data, versions of code included.
    """
    path = _path(store, key)
    with suppress(OSError, DataError, KeyError):
        return read_arrays(path)["array"]
    array = make()
    with suppress(OSError):
        make_folder(path.parent, store.mode)
        with temporary(aside(path)) as whole:
            np.savez(whole, array=array, allow_pickle=False)
            whole.replace(path)
    return array


def kept_by_one(store: Store, key: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """`kept`, where one process makes what others that want the same wait for."""
    path = _path(store, key)
    with ExitStack() as held:
        with suppress(OSError):
            make_folder(path.parent, store.mode)
            held.enter_context(locked(path.with_suffix(".lock")))
        return kept(store, key, make)


def was_kept(store: Store, key: object) -> bool:
    """True if there is a file of the array with this `key`."""
    return _path(store, key).exists()


def _path(store: Store, key: object) -> Path:
    return store.path / "kept" / f"{digest(key)}.npz"
