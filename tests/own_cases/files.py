"""Writers of small studies. EDA is 1 uS at its first sample and rises by `SLOPE` a second: a moved sample is seen."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tests.plugins.datasets.own_files import describe

SLOPE = 0.1
PEOPLE = ("P01", "P02", "P03")
EDA = {"channels": {"eda": "EDA"}, "time": "time", "unit": "uS"}
WHOLE = {"files": "{participant:P##}.csv", "signals": {"eda": EDA}}
CLIPS = {"files": "{participant:P##}_clip{clip}.csv", "stimulus": "{clip}", "signals": {"eda": EDA}}
AROUSAL = {
    "table": "ratings.csv", "keys": {"participant": "participant", "clip": "clip"}, "column": "arousal",
    "scale": [1, 9],
}  # fmt: skip
HIGH = {"label": "arousal", "kind": "binary", "cut": 5}
SHOWN = {"shown": {"file": "stimulus", "classes": ["joy", "fear"]}}
JOY = {"shown": {"label": "shown", "kind": "binary", "positive": ["joy"], "negative": ["fear"]}}


def eda(seconds: float, rate: float, slope: float = SLOPE) -> np.ndarray:
    return 1 + slope * np.arange(round(seconds * rate)) / rate


def table(columns: Mapping[str, Sequence[object]], gap: str = ",", end: str = "\n") -> str:
    rows = (gap.join(map(str, row)) for row in zip(*columns.values(), strict=True))
    return end.join([gap.join(columns), *rows, ""])


def column(start: float, seconds: float, rate: float, slope: float = SLOPE, form: str = "{:.3f}") -> str:
    """A table of EDA with the time of each row, from `start` on."""
    values = eda(seconds, rate, slope)
    return table({"time": [form.format(start + k / rate) for k in range(len(values))], "EDA": np.round(values, 5)})


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def whole(root: Path, of: Callable[[str], Mapping[str, str | bytes]], **description: Any) -> None:
    """A study of a file or several of each of three people."""
    for who in PEOPLE:
        write(root, of(who))
    described = {"recordings": WHOLE, "longest_s": 100_000} | description
    describe(root, **described)


RATED = ((6, 2, 7), (3, 8, 4), (9, 1, 5))


def clips(root: Path, text: str | bytes | None = None, ratings: str | bytes | None = None, **description: Any) -> None:
    """Three films of three people, each a file, and a table of ratings."""
    text = column(0, 60, 4) if text is None else text
    suffix = Path(description.get("recordings", CLIPS)["files"]).suffix
    write(root, {f"{who}_clip{k}{suffix}": text for who in PEOPLE for k in (1, 2, 3)})
    write(root, {"ratings.csv": rated() if ratings is None else ratings})
    described = {"recordings": CLIPS, "labels": {"arousal": AROUSAL}, "targets": {"arousal": HIGH}} | description
    describe(root, **described)


def rated(gap: str = ",", end: str = "\n", changed: Mapping[tuple[int, int], object] | None = None) -> str:
    cells = [(f"P0{n}", k, (changed or {}).get((n, k), RATED[n - 1][k - 1])) for n in (1, 2, 3) for k in (1, 2, 3)]
    return table(dict(zip(("participant", "clip", "arousal"), zip(*cells, strict=True), strict=True)), gap, end)


class Wave(NamedTuple):
    """A channel of an EDF or BDF file; its range may be none."""

    label: str
    unit: str
    data: np.ndarray
    rate: int = 20
    low: float = -1.0
    high: float = 40.0


Notes = Sequence[tuple[float, str]]


def edf(waves: Sequence[Wave], notes: Notes | None = None, begins: float = 0.0, *, bdf: bool = False) -> bytes:
    """An EDF or BDF file with records of 1 s, the first at `begins` s after the header's time; EDF+ if it has notes, at
    seconds from the first sample."""
    width, most = (3, 2**23 - 1) if bdf else (2, 2**15 - 1)
    records = len(waves[0].data) // waves[0].rate
    lists = []
    for k in range(records if notes is not None else 0):
        own = [f"+{begins + at:.9g}\x14{text}\x14\0" for at, text in notes or () if k <= at < k + 1]
        lists.append("".join([f"+{begins + k:.9g}\x14\x14\0", *own]).encode())
    room = -(-max(map(len, lists), default=0) // width)
    kind = ("BDF" if bdf else "EDF") + "+C" if lists else ""
    count = len(waves) + bool(lists)
    marks = [(f"{kind[:3]} Annotations", "", -1.0, 1.0, room)] if lists else []
    heads = [*((w.label, w.unit, w.low, w.high, w.rate) for w in waves), *marks]

    def each(size: int, values: Sequence[object]) -> bytes:
        return b"".join(str(value).encode("latin1").ljust(size)[:size] for value in values)

    fixed = (b"\xffBIOSEMI" if bdf else b"0".ljust(8)) + b"X X X X".ljust(80) + b"Startdate 01-MAR-2024 X X X".ljust(80)
    fixed += b"01.03.2414.05.00" + each(8, [256 * (count + 1)]) + each(44, [kind]) + each(8, [records]) + each(8, [1])
    parts = [
        fixed + each(4, [count]),
        each(16, [h[0] for h in heads]),
        b" " * 80 * count,
        each(8, [h[1] for h in heads]),
    ]
    parts += [each(8, [f"{h[k]:g}" for h in heads]) for k in (2, 3)]
    parts += [each(8, [-most - 1] * count), each(8, [most] * count), b" " * 80 * count, each(8, [h[4] for h in heads])]
    parts.append(b" " * 32 * count)
    for k in range(records):
        for wave in waves:
            span = wave.high - wave.low
            share = (wave.data[k * wave.rate : (k + 1) * wave.rate] - wave.low) / (span or 1.0)
            digital = np.clip(np.round(share * (2 * most + 1)) - most - 1, -most - 1, most).astype("<i4")
            parts.append(digital.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
        parts += [lists[k].ljust(room * width, b"\0")] if lists else []
    return b"".join(parts)


class Stream(NamedTuple):
    """A stream of an XDF file: `kind` is int32, float32, double64, string and so on; a time for each sample; clock
    offsets (time, value)."""

    name: str
    kind: str
    rate: float
    times: Sequence[float]
    values: Sequence[Any]
    offsets: Sequence[tuple[float, float]] = ()


def xdf(streams: Sequence[Stream]) -> bytes:
    """An XDF 1.0 file in which each sample has its time."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    form = {"int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "float32": "<f4", "double64": "<f8"}
    made = [b"XDF:", chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')]
    for number, one in enumerate(streams, 1):
        labelled = f"<channel><label>{one.name}</label><unit>uS</unit></channel>" if one.rate else ""
        info = f"<name>{one.name}</name><type>{'GSR' if one.rate else 'Markers'}</type><channel_count>1</channel_count>"
        info += f"<nominal_srate>{one.rate:g}</nominal_srate><channel_format>{one.kind}</channel_format>"
        info += f"<source_id>{one.name}</source_id><desc><channels>{labelled}</channels></desc>"
        made.append(chunk(2, struct.pack("<I", number) + f'<?xml version="1.0"?><info>{info}</info>'.encode()))
    for number, one in enumerate(streams, 1):
        for at, value in one.offsets:
            made.append(chunk(4, struct.pack("<Idd", number, at, value)))
        rows = b""
        for at, value in zip(one.times, one.values, strict=True):
            text = str(value).encode()
            cell = b"\x04" + struct.pack("<I", len(text)) + text if one.kind == "string" else (
                np.asarray(value, form[one.kind]).tobytes())  # fmt: skip
            rows += b"\x08" + struct.pack("<d", at) + cell
        made.append(chunk(3, struct.pack("<IBI", number, 4, len(one.times)) + rows))
    for number, one in enumerate(streams, 1):
        text = f"<first_timestamp>{one.times[0]}</first_timestamp><last_timestamp>{one.times[-1]}</last_timestamp>"
        text += f"<sample_count>{len(one.times)}</sample_count><clock_offsets></clock_offsets>"
        made.append(chunk(6, struct.pack("<I", number) + f'<?xml version="1.0"?><info>{text}</info>'.encode()))
    return b"".join(made)
