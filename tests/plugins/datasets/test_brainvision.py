"""BrainVision files: pauses, headers in Latin-1, sections that look like channels."""

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.recordings import open_recording, read_markers

RATE, COUNTS = 250, np.arange(2500)
MORE = ["[Coordinates]", "Ch1=1,-90,-72", "Ch2=1,90,72"]


def write(path, marks, unit="mS", encoding="utf-8"):
    """Ten seconds of a ramp in two channels, of 0.1 uV and 0.1 of another unit."""
    common = ["[Common Infos]", "DataFile=a.eeg"]
    header = ["Brain Vision Data Exchange Header File Version 1.0", *common, "MarkerFile=a.vmrk", "DataFormat=BINARY",
              "DataOrientation=MULTIPLEXED", "NumberOfChannels=2", f"SamplingInterval={1e6 / RATE:g}",
              "[Binary Infos]", "BinaryFormat=INT_16", "[Channel Infos]", "Ch1=Fz,,0.1,\u00b5V", f"Ch2=EDA,,0.1,{unit}",
              *MORE]  # fmt: skip
    listed = [f"Mk{k}={mark}" for k, mark in enumerate(marks, 1)]
    texts = ["Brain Vision Data Exchange Marker File, Version 1.0", *common, "[Marker Infos]", *listed]
    path.write_bytes("\r\n".join([*header, ""]).encode(encoding))
    path.with_suffix(".vmrk").write_bytes("\r\n".join([*texts, ""]).encode(encoding))
    path.with_suffix(".eeg").write_bytes(np.stack([COUNTS, COUNTS], 1).astype("<i2").tobytes())


def read(path):
    with open_recording(path) as found:
        return {t.name: (t.unit, t.read(0, t.samples)) for t in found(Channels(channels={"": ""}))}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize(("unit", "known"), [("\u00b5S", "uS"), ("mV", "mV"), ("S", "S"), ("C", "degC")])
def test_numbers_are_in_the_unit_of_the_header(tmp_path, encoding, unit, known):
    write(tmp_path / "a.vhdr", [], unit, encoding)
    found = read(tmp_path / "a.vhdr")
    assert {name: own[0] for name, own in found.items()} == {"Fz": "uV", "EDA": known}
    for _, values in found.values():
        np.testing.assert_allclose(values, COUNTS / 10, rtol=1e-6)


def segment(position, second):
    return f"New Segment,,{position},1,0,2024030113{5 + int(second) // 60:02d}{second % 60:09.6f}".replace(".", "")


def test_a_pause_is_lost_samples_and_markers_move_with_it(tmp_path):
    marks = [segment(1, 0.0), "Stimulus,S 11,251,1,0", segment(1001, 34.0), "Stimulus,S 12,1251,1,0"]
    write(tmp_path / "a.vhdr", marks)
    _, values = read(tmp_path / "a.vhdr")["Fz"]
    assert np.isnan(values).sum() == 30 * RATE
    np.testing.assert_allclose(values[np.isfinite(values)], COUNTS / 10, rtol=1e-6)
    stimuli = [(at, text) for at, text in read_markers(tmp_path / "a.vhdr") if "Stimulus" in text]
    assert stimuli == [(pytest.approx(1.0), "Stimulus/S 11"), (pytest.approx(35.0), "Stimulus/S 12")]
    assert values[35 * RATE] == pytest.approx(125.0)


@pytest.mark.parametrize("second", [4.0, 3.0])
def test_segments_without_a_pause_are_one(tmp_path, second):
    write(
        tmp_path / "a.vhdr",
        [segment(1, 0.0), segment(1001, second), "New Segment,,1501,1,0,0", "Stimulus,S 1,1501,1,0"],
    )
    assert len(read(tmp_path / "a.vhdr")["Fz"][1]) == len(COUNTS)
    assert [at for at, text in read_markers(tmp_path / "a.vhdr") if "Stimulus" in text] == [pytest.approx(6.0)]


def test_a_pause_longer_than_the_recording_is_refused(tmp_path):
    write(tmp_path / "a.vhdr", [segment(1, 0.0), "New Segment,,1001,1,0,20240302130500000000"])
    with pytest.raises(DataError, match="it was paused for 86396 s at 4 s"):
        read(tmp_path / "a.vhdr")
