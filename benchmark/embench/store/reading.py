"""Calls into a reader, its failures distinguished from ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from embench.errors import DataError, EmbenchError, PluginError
from embench.interfaces.dataset import Dataset
from embench.interfaces.recording import Recording
from embench.system import lacking


@contextlib.contextmanager
def reader_faults(name: str, where: str) -> Iterator[None]:
    """Turns exceptions of a reader into errors of the right kind: DataError for files that cannot be read, PluginError
    for anything else."""
    try:
        yield
    except (EmbenchError, MemoryError):
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(error.filename or where)) from error
    except Exception as error:
        what = f"the reader failed: {type(error).__name__}: {error}"
        raise lacking(error) or PluginError(what, where=f"{name}, {where}") from error


def recordings(dataset: Dataset, name: str, subject: str) -> Iterator[Recording]:
    """The reader's recordings of one subject. Raises DataError or PluginError."""
    with reader_faults(name, f"subject {subject}"):
        iterator = iter(dataset.recordings(subject))
    while True:
        with reader_faults(name, f"subject {subject}"):
            recording = next(iterator, None)
        if recording is None:
            return
        yield recording
