"""Recordings of Biopac's AcqKnowledge (.acq), by the package bioread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.tracks import Track, damaged, part, unreadable
from embench_plugins.datasets.formats.units import unit_of


@contextmanager
def open_acq(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens an AcqKnowledge file as a context. Raises DataError where bioread is not installed or cannot read it."""
    tracks = [
        Track(
            channel.name.strip(),
            float(channel.samples_per_second),
            len(channel.data),
            unit_of(channel.units),
            partial(part, np.asarray(channel.data, np.float64)),
        )
        for channel in _file(path).channels
    ]
    yield lambda _: tracks


def acq_markers(path: Path) -> list[tuple[float, str]]:
    """Seconds since the start and texts of the events that were marked. Raises DataError as above."""
    file = _file(path)
    rate = float(file.samples_per_second)
    places = [(int(mark.sample_index), str(mark.text).strip()) for mark in file.event_markers or []]
    # bioread reads places as unsigned: those before the start, which were cut off, are just below 2 ** 32.
    return sorted(((k - (1 << 32) if k >= 1 << 31 else k) / rate, text) for k, text in places)


@lru_cache(maxsize=1)
def _file(path: Path) -> Any:
    try:
        import bioread
    except ImportError as error:
        raise DataError("AcqKnowledge files need bioread", where=str(path), hint="pip install bioread") from error
    told: list[str] = []
    listener = logging.Handler(logging.ERROR)
    listener.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("bioread")
    log.addHandler(listener)
    try:
        file = bioread.read_file(str(path))
    except Exception as error:  # the package raises whatever a damaged file makes it
        raise unreadable(path, "bioread", error) from error
    finally:
        log.removeHandler(listener)
    # What it only logs leaves samples and markers out; a journal is not read here.
    if faults := [text for text in told if "Journal" not in text]:
        raise unreadable(path, "bioread", ValueError(faults[0]))
    if not file.channels:
        raise damaged(path, "it has no channel")
    return file
