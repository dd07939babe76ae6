"""Headers of EDF and BDF files, and whole EDF+ files with annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Channels(NamedTuple):
    """What a header says of each channel, a text or number each; `low` to `high` of `unit` are `least` to `most` as
    stored, and `count` is the number of samples a record."""

    names: Sequence[str]
    units: Sequence[str]
    lows: Sequence[str]
    highs: Sequence[str]
    least: int
    most: int
    counts: Sequence[int]
    filters: Sequence[str]


def header(
    channels: Channels, records: int, *, start: str, mark: bytes = b"0       ", person: str = "", recording: str = "",
    kind: str = "",
) -> bytes:  # fmt: skip
    """The header of a file of so many records of one second.

    Args:
        start: date and time, `dd.mm.yyhh.mm.ss`. `mark`: the 8 bytes that tell EDF from BDF. `kind`: what a later
            version of the format calls the file, such as `EDF+C`.
    """
    count = len(channels.names)
    columns = [
        [f"{name:<16}" for name in channels.names],
        [" " * 80] * count,
        *([f"{text:<8}" for text in texts] for texts in (channels.units, channels.lows, channels.highs)),
        [f"{channels.least:<8}"] * count,
        [f"{channels.most:<8}"] * count,
        [f"{text:<80}" for text in channels.filters],
        [f"{samples:<8}" for samples in channels.counts],
        [" " * 32] * count,
    ]
    head = f"{person:<80}{recording:<80}{start}{256 * (count + 1):<8}{kind:<44}{records:<8}{1:<8}{count:<4}"
    return mark + (head + "".join(map("".join, columns))).encode("ascii")


def write(
    path: Path, channels: Mapping[str, str], data: np.ndarray, rate: int, notes: Sequence[str], width: int, *,
    start: str, person: str, recording: str, filters: str = "", digits: int = 4,
) -> None:  # fmt: skip
    """An EDF+ file of one-second records: channels, each over the range of its own values, and one of annotations.

    Args:
        channels: names and units of the rows of `data` (C, samples).
        notes: the lists of annotations of each record, in `width` samples.
        digits: of the ends of a range, after the point.
    """
    count, records = len(data), data.shape[1] // rate
    lows, highs = ([f"{edge:.{digits}f}"[:8] for edge in edges] for edges in (data.min(1), data.max(1)))
    described = Channels(
        [*channels, "EDF Annotations"], [*channels.values(), ""], [*lows, "-1"], [*highs, "1"], -32768, 32767,
        [*[rate] * count, width], [*[filters] * count, ""],
    )  # fmt: skip
    head = header(described, records, start=start, person=person, recording=recording, kind="EDF+C")
    low, high = (np.array([float(text) for text in texts])[:, None] for texts in (lows, highs))
    digital = np.clip(np.round((data - low) / (high - low) * 65535 - 32768), -32768, 32767).astype("<i2")
    body = digital.reshape(count, records, -1).transpose(1, 0, 2).reshape(records, -1)
    texts = np.array([np.frombuffer(note.encode().ljust(2 * width, b"\0"), "<i2") for note in notes])
    path.write_bytes(head + np.concatenate([body, texts], axis=1).tobytes())
