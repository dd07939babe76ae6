"""The way from a dataset's name to its reader and its prepared store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from embench import registry
from embench.callbacks import ProgressCallback
from embench.data.locations import data_folder, wrong_root
from embench.errors import DataError
from embench.interfaces.dataset import Dataset
from embench.protocols import Protocol
from embench.registry import Entry
from embench.registry.trust import refuse_file
from embench.store import Store, cache_root, fingerprint, prepare

CORPUS = "corpus"
"""The dataset whose folder may lie anywhere: a file of its own, `corpus.yaml`, says what is in it."""


def is_corpus_folder(name: str) -> bool:
    """Whether what stands for a dataset is the path of a folder to pretrain on. A name without a slash that the
    registry knows is that dataset's."""
    path = Path(name).expanduser()
    if name.startswith(("/", "./", "../", "~")):
        return ".py:" not in name
    return (path / f"{CORPUS}.yaml").is_file() and ("/" in name or name not in registry.names("dataset"))


def place(name: str, data_root: Path | None) -> tuple[Entry, Path]:
    """The dataset that a name, or the path of a corpus, stands for, and the folder of its data."""
    if is_corpus_folder(name):
        refuse_file("folder of data", name)
        return registry.find("dataset", CORPUS), Path(name).expanduser()
    entry = registry.find("dataset", name)
    return entry, data_folder(entry, data_root)


def full_name(name: str) -> str:
    """The full name of a dataset, whatever it is called here."""
    return place(name, None)[0].full_name


def open_dataset(name: str, data_root: Path | None) -> Dataset:
    """The reader on the dataset's folder.

    Raises:
        DataError: there is no such folder; the error names where it was searched for and how the data are obtained.
    """
    entry, folder = place(name, data_root)
    reader = registry.load("dataset", entry.full_name)
    if not folder.is_dir():
        if (wrong := wrong_root(data_root)) and not is_corpus_folder(name):
            raise DataError(
                f"no data of {reader.card.title}: {wrong}",
                where=str(folder),
                expected="the folder of all datasets, in --data-root, $EMBENCH_DATA or the default folder",
                hint="correct the variable, or name the folder with --data-root",
            )
        generated = registry.has_synthesizer(entry.full_name)
        instead = (
            f"; to try embench without them: embench data synthesize {folder.name} --out {folder}" if generated else ""
        )
        raise DataError(
            f"no data of {reader.card.title} here",
            where=str(folder),
            expected=f"the folder {folder.name} as its holder received it, "
            "in --data-root, $EMBENCH_DATA or the default folder",
            hint=reader.card.obtain + instead,
        )
    dataset: Dataset = reader(folder)
    return dataset


def prepared(
    name: str,
    data_root: Path | None,
    protocol: Protocol,
    workers: int = 1,
    progress: ProgressCallback | None = None,
) -> Store:
    """The prepared store of a dataset under a protocol's rules; made now, or found."""
    full = full_name(name)
    return prepare(
        open_dataset(name, data_root),
        full,
        registry.code_identity("dataset", full),
        rate_hz=protocol.rate_hz,
        rules=protocol.preprocess,
        cache=cache_root(),
        workers=workers,
        progress=progress,
    )


def raw_digest_of(name: str, data_root: Path | None) -> bytes:
    """The digest of a dataset's raw files that keys the HMAC of labels which are not public.

    Raises:
        DataError: the files are missing or cannot be read.
    """
    return fingerprint.raw_digest(open_dataset(name, data_root), cache_root())


def share_files(one: str, other: str, data_root: Path | None) -> bool:
    """Whether two names mean one dataset, variants of one, which are of the same subjects, or folders that hold a file
    of the same contents: a corpus may hold another dataset's recordings."""
    folders = {place(name, data_root)[1].resolve() for name in (one, other)}
    return len(folders) == 1 or bool(file_marks(one, data_root) & file_marks(other, data_root))


def file_marks(name: str, data_root: Path | None) -> set[str]:
    """Marks that show whether two folders hold the same file: for each, 16 hex digits made of its hash, so that the
    hash itself, which seals labels, is not disclosed."""
    found = fingerprint.contents(open_dataset(name, data_root), cache_root())
    return {hashlib.sha256(text.encode()).hexdigest()[:16] for text in found}
