"""A writer of EDF+ and BDF+ files field by field, since the libraries write none that begin within a second or have
gaps, odd headers or triggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

START = datetime.fromisoformat("2024-03-01 13:05")
"""A header states no time zone."""
NOTES = 60
"""Samples of annotations in a record."""


def write_edf_plus(
    path: Path,
    signals: Mapping[str, np.ndarray],
    *,
    rate: int = 32,
    unit: str | Mapping[str, str] = "uS",
    limits: tuple[float, float] = (-100.0, 100.0),
    start: datetime = START,
    times: Sequence[float] | None = None,
    annotations: Sequence[tuple[float, str]] = (),
    kind: str = "+C",
    counts: Sequence[str] = (),
) -> None:
    """Writes records of a second.

    Args:
        signals: name -> values in the unit, of `counts` digital numbers.
        times: seconds from the header's start at which records begin; those of annotations count from there, too.
    """
    width = 3 if path.suffix == ".bdf" else 2
    top = 2 ** (8 * width - 1) - 1
    records = len(next(iter(signals.values()))) // rate
    times = range(records) if times is None else times
    names = [*signals, "BDF Annotations" if width == 3 else "EDF Annotations"]
    units = [unit if isinstance(unit, str) else unit.get(name, "uS") for name in signals] + [""]
    whole = [name in counts for name in signals] + [True]
    low = [str(-top - 1) if plain else f"{limits[0]:g}" for plain in whole]
    high = [str(top) if plain else f"{limits[1]:g}" for plain in whole]
    sizes = [rate] * len(signals) + [NOTES]
    columns = [
        (16, names), (80, [""] * len(names)), (8, units), (8, low), (8, high),
        (8, [str(-top - 1)] * len(names)), (8, [str(top)] * len(names)), (80, [""] * len(names)),
        (8, [str(size) for size in sizes]), (32, [""] * len(names)),
    ]  # fmt: skip
    version = b"\xffBIOSEMI" if width == 3 else b"0       "
    fixed = f"{'X X X X':80}{'Startdate X X X X':80}{start:%d.%m.%y%H.%M.%S}{256 * (len(names) + 1):<8}"
    fixed += f"{('BDF' if width == 3 else 'EDF') + kind if kind else '':44}{records:<8}{'1':8}{len(names):<4}"
    fields = "".join(f"{text:{size}}"[:size] for size, texts in columns for text in texts)
    waiting, blocks = list(annotations), [version + fixed.encode() + fields.encode("latin1")]
    for k in range(records):
        for (name, values), plain in zip(signals.items(), whole, strict=False):
            own = np.asarray(values, np.float64)[k * rate : (k + 1) * rate]
            scaled = own if plain else (own - limits[0]) / (limits[1] - limits[0]) * (2 * top + 1) - top - 1
            assert np.all(np.abs(scaled) <= top + 1), name
            digits = np.round(scaled).astype("<i4")
            blocks.append(digits.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
        text = f"+{times[k]:.7f}".rstrip("0").rstrip(".").encode() + b"\x14\x14\0"
        while waiting and len(text) + len(waiting[0][1]) < width * NOTES - 24:
            onset, said = waiting.pop(0)
            text += f"{onset:+.7f}".rstrip("0").rstrip(".").encode() + b"\x14" + said.encode() + b"\x14\0"
        blocks.append(text.ljust(width * NOTES, b"\0"))
    assert not waiting, "more annotations than records have space for"
    path.write_bytes(b"".join(blocks))
