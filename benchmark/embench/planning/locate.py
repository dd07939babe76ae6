"""The way from a dataset's name to its reader and its prepared store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embench import registry
from embench.errors import DataError
from embench.interfaces.dataset import Dataset
from embench.locations import data_folder
from embench.protocols import Protocol
from embench.store import Store, cache_root, fingerprint, prepare


def open_dataset(name: str, given: Path | None) -> Dataset:
    """The reader on the dataset's folder.

    Raises:
        DataError: there is no such folder; the error says where it was looked for and how the data are obtained.
    """
    entry = registry.find("dataset", name)
    reader, folder = registry.load("dataset", name), data_folder(entry, given)
    if not folder.is_dir():
        generated = reader.synthesize.__qualname__ != Dataset.synthesize.__qualname__
        instead = f"; to try without them: embench data synthesize {folder.name} --out {folder}" if generated else ""
        raise DataError(
            f"no data of {reader.card.title} here",
            where=str(folder),
            expected=f"the folder {folder.name} as its holder received it, "
            "in --data-root, $EMBENCH_DATA or the default place",
            hint=reader.card.obtain + instead,
        )
    dataset: Dataset = reader(folder)
    return dataset


def prepared(
    name: str,
    given: Path | None,
    protocol: Protocol,
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Store:
    """The prepared store of a dataset under a protocol's rules; made now, or found."""
    return prepare(
        open_dataset(name, given),
        registry.find("dataset", name).full_name,
        registry.code_identity("dataset", name),
        rate_hz=protocol.rate_hz,
        rules=protocol.preprocess,
        cache=cache_root(),
        workers=workers,
        progress=progress,
    )


def raw_digest(name: str, given: Path | None) -> bytes:
    """The digest of a dataset's raw files that keys the HMAC of labels which are not public.

    Raises:
        DataError: the files are missing or cannot be read.
    """
    return fingerprint.raw_digest(open_dataset(name, given), cache_root())


def share_files(one: str, other: str, given: Path | None) -> bool:
    """Whether two names mean one dataset, or folders that hold a file of the same contents: a corpus may hold another
    dataset's recordings."""
    names = {registry.find("dataset", name).full_name for name in (one, other)}
    if len(names) == 1:
        return True
    held = [fingerprint.contents(open_dataset(name, given), cache_root()) for name in sorted(names)]
    return bool(held[0] & held[1])
