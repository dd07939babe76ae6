"""A writer of XDF files with a time stamp at each sample, as LabRecorder writes them, for tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

TYPES = {"float32": "<f4", "double64": "<f8", "int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}


class XdfStream(NamedTuple):
    """A stream: `rows` (n, channels) of numbers or texts at `stamps` in s (n,). A rate of 0 is that of markers."""

    name: str
    rate: float
    stamps: Sequence[float] | np.ndarray
    rows: Sequence[Sequence[str]] | np.ndarray
    channels: Sequence[tuple[str, str]] = (("EDA", "microsiemens"),)
    form: str = "float32"


def write_streams(path: Path, *streams: XdfStream) -> None:
    """Writes a file of these streams."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    parts = [b"XDF:", chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')]
    for number, one in enumerate(streams, 1):
        listed = "".join(f"<channel><label>{c}</label><unit>{u}</unit></channel>" for c, u in one.channels)
        text = (
            f'<?xml version="1.0"?><info><name>{one.name}</name><type>x</type><channel_count>{len(one.channels)}'
            f"</channel_count><nominal_srate>{one.rate:g}</nominal_srate><channel_format>{one.form}</channel_format>"
            f"<source_id>lab</source_id><desc><channels>{listed}</channels></desc></info>"
        )
        parts.append(chunk(2, struct.pack("<I", number) + text.encode()))
        rows = list(map(_values, one.rows, [one.form] * len(one.rows)))
        samples = [b"\x08" + struct.pack("<d", at) + row for at, row in zip(one.stamps, rows, strict=True)]
        for first in range(0, len(samples), 64):
            some = samples[first : first + 64]
            head = struct.pack("<I", number) + b"\x04" + struct.pack("<I", len(some))
            parts.append(chunk(3, head + b"".join(some)))
        parts.append(chunk(6, struct.pack("<I", number) + b'<?xml version="1.0"?><info></info>'))
    path.write_bytes(b"".join(parts))


def _values(row: Sequence[str] | np.ndarray, form: str) -> bytes:
    if form != "string":
        return np.asarray(row, TYPES[form]).tobytes()
    texts = [str(text).encode() for text in row]
    return b"".join(b"\x04" + struct.pack("<I", len(text)) + text for text in texts)
