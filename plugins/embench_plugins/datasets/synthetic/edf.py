"""Headers of EDF and BDF files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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
