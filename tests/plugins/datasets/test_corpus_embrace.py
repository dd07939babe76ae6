"""Raw files of an EmbracePlus, written by the library that reads them, in the layout that the maker documents."""

import fastavro
import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.corpus import Corpus

from .test_corpus import describe, only

START = 1_700_000_000_000_000
COUNTS = np.arange(-64, 576, dtype=np.int64)


def _series(values: str) -> dict:
    fields = [
        ("timestampStart", "long"),
        ("samplingFrequency", "float"),
        ("values", {"type": "array", "items": values}),
    ]
    return {"type": "record", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def _schema(**sensors) -> dict:
    ranges = ("physicalMin", "physicalMax", "digitalMin", "digitalMax")
    imu = {"type": "record", "name": "ImuParams", "fields": [{"name": name, "type": "int"} for name in ranges]}
    axis = {"type": "array", "items": "int"}
    moved = [("timestampStart", "long"), ("samplingFrequency", "float"), ("imuParams", imu)]
    moved += [(name, axis) for name in "xyz"]
    accelerometer = {"type": "record", "fields": [{"name": name, "type": kind} for name, kind in moved]}
    known = {"accelerometer": accelerometer, **{name: _series("float") for name in ("bvp", "eda", "temperature")}}
    known |= sensors
    fields = [{"name": name, "type": {**kind, "name": name.title()}} for name, kind in known.items() if kind]
    raw = {"type": "record", "name": "RawData", "fields": fields}
    return {"type": "record", "name": "Session", "namespace": "empatica.format.avro",
            "fields": [{"name": "deviceSn", "type": "string"}, {"name": "rawData", "type": raw}]}  # fmt: skip


def _content() -> dict:
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


def _write(path, content, **sensors) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, _schema(**sensors), [content], codec="deflate")


def _described(folder):
    signals = {
        "ppg": {"channels": {"ppg": "bvp"}},
        "eda": {"channels": ["eda"]},
        "temp": {"channels": {"temp": "temperature"}},
        "acc": {"channels": {axis: f"accelerometer_{axis}" for axis in "xyz"}},
    }
    return describe(folder, {"files": "*.avro", "subject": r"-(S\d+)_", "signals": signals})


@pytest.fixture
def file(tmp_path):
    _described(tmp_path)
    return tmp_path / "1-1-S07_1700000000.avro"


def test_every_sample_is_the_one_that_was_written(file):
    content = _content()
    _write(file, content)
    recording = only(file.parent)
    raw = content["rawData"]
    assert recording.subject == "S07"
    for modality, sensor in (("ppg", "bvp"), ("eda", "eda"), ("temp", "temperature")):
        signal = recording.signals[modality]
        assert signal.rate == raw[sensor]["samplingFrequency"]
        np.testing.assert_array_equal(signal.data[0], np.float32(raw[sensor]["values"]))
    gravity = np.outer([1, 2, -1], COUNTS) * 32 / 65535
    np.testing.assert_allclose(recording.signals["acc"].data, gravity, rtol=1e-6)


def test_a_sensor_that_recorded_nothing_has_no_channel(file):
    content = _content()
    content["rawData"]["eda"] |= {"values": [], "samplingFrequency": 0.0}
    _write(file, content)
    with pytest.raises(DataError, match="there is no channel `eda`") as caught:
        only(file.parent)
    assert str(file) in str(caught.value.where)


def test_another_schema_is_refused_by_the_field_that_it_lacks(file):
    content = _content()
    del content["rawData"]["temperature"]
    _write(file, content, temperature=None)
    with pytest.raises(DataError, match="no `temperature` in it, so this is no raw file of an EmbracePlus"):
        only(file.parent)


def test_sensors_that_begin_apart_are_not_laid_side_by_side(file):
    content = _content()
    content["rawData"]["eda"]["timestampStart"] += 90_000_000
    _write(file, content)
    with pytest.raises(DataError, match=r"eda begins 90\.0 s after another sensor"):
        only(file.parent)


@pytest.mark.parametrize("kept", [slice(200), slice(0), slice(1, None), slice(-9)])
def test_a_damaged_file_is_named(file, kept):
    _write(file, _content())
    file.write_bytes(file.read_bytes()[kept])
    (finding,) = [finding for finding in Corpus(file.parent).verify() if finding.severity == "error"]
    assert finding.where == str(file)


def test_flipped_bytes_are_told_or_change_samples(file):
    _write(file, _content())
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(256)
        file.write_bytes(damaged)
        for finding in Corpus(file.parent).verify():  # an unforeseen error of the library would end the test
            assert finding.severity == "note" or finding.where == str(file)
