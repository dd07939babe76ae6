"""Damaged files of an EmbracePlus in a corpus."""

from collections.abc import Callable
from pathlib import Path

import fastavro
import numpy as np

from embench_plugins.datasets.own.reader import Corpus

from .. import edit
from ..corpus_files import describe
from ..damage import Copy, Edit, Table, refused

FILE = "1-1-S07_1700000000.avro"
START = 1_700_000_000_000_000
COUNTS = np.arange(-64, 576, dtype=np.int64)


def _record(name: str, **fields: object) -> dict:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


def schema(**sensors) -> dict:
    """The maker's, as far as it is read; `sensors` that are None are left out."""
    numbers, counts = ({"type": "array", "items": kind} for kind in ("float", "int"))
    begin = {"timestampStart": "long", "samplingFrequency": "float"}
    ranges = _record("ImuParams", **dict.fromkeys(("physicalMin", "physicalMax", "digitalMin", "digitalMax"), "int"))
    known = {"accelerometer": _record("Accelerometer", **begin, imuParams=ranges, **dict.fromkeys("xyz", counts))}
    known |= {name: _record(name.title(), **begin, values=numbers) for name in ("bvp", "eda", "temperature")}
    raw = _record("RawData", **{name: kind for name, kind in (known | sensors).items() if kind})
    return {**_record("Session", deviceSn="string", rawData=raw), "namespace": "empatica.format.avro"}


def session() -> dict:
    """Ten seconds of each sensor."""
    rng = np.random.default_rng(0)
    series = {name: rng.normal(size=round(rate * 10)).astype(np.float32).tolist()
              for name, rate in (("bvp", 64), ("eda", 4), ("temperature", 1))}  # fmt: skip
    raw = {
        name: {"timestampStart": START, "samplingFrequency": len(values) / 10, "values": values}
        for name, values in series.items()
    }
    raw["accelerometer"] = {
        "timestampStart": START + 15_625, "samplingFrequency": 64.0,
        "imuParams": {"physicalMin": -16, "physicalMax": 16, "digitalMin": -32768, "digitalMax": 32767},
        "x": COUNTS.tolist(), "y": (2 * COUNTS).tolist(), "z": (-COUNTS).tolist(),
    }  # fmt: skip
    return {"deviceSn": "3YK3L151ZX", "rawData": raw}


def write(path, content, **sensors) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, schema(**sensors), [content], codec="deflate")


def described(folder):
    signals = {
        "ppg": {"channels": {"ppg": "bvp"}, "unit": "a.u."},
        "eda": {"channels": ["eda"], "unit": "uS"},
        "temp": {"channels": {"temp": "temperature"}, "unit": "degC"},
        "acc": {"channels": {axis: f"accelerometer_{axis}" for axis in "xyz"}, "unit": "g"},
    }
    return describe(folder, {"files": "1-1-{participant}_{start}.avro", "signals": signals})


def whole(root: Path) -> None:
    write(root / FILE, session())
    described(root)


def changed(change: Callable[[dict], object], **sensors) -> Edit:
    """Another session in the file, and another schema of some sensors."""

    def edit(path: Path) -> None:
        content = session()
        change(content["rawData"])
        write(path, content, **sensors)

    return edit


def recorded_nothing(raw: dict) -> None:
    raw["eda"] |= {"values": [], "samplingFrequency": 0.0}


def late(raw: dict) -> None:
    raw["eda"]["timestampStart"] += 90_000_000


NO_RAW_FILE = "no `temperature` in it, so this is not a raw file of an EmbracePlus"

DAMAGES: Table = {
    Copy("corpus of EmbracePlus", Corpus, "S07", whole): [
        refused(FILE, changed(recorded_nothing), "has no channel `eda`", at="dataset.yaml"),
        refused(FILE, changed(lambda raw: raw.pop("temperature"), temperature=None), NO_RAW_FILE),
        refused(FILE, changed(late), "eda begins 90.0 s after another sensor"),
        refused(FILE, edit.content(lambda before: before[1:]), "not an Avro file"),
        refused(FILE, edit.cut(0), "not an Avro file"),
        *(refused(FILE, edit.cut(upto), "not readable as an Avro file") for upto in (200, -9)),
    ],
}
