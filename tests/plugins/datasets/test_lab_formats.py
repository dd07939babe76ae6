"""AcqKnowledge, XDF and BrainVision files: channels, units, rates, markers, and what is wrong with damaged ones.

The AcqKnowledge file is one of bioread's own (MIT, see `tests/labs/bioread-LICENSE.txt`).
"""

import gzip
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.labs import folders

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.recordings import list_files, open_recording, read_markers
from embench_plugins.datasets.own.study import find_study

ANY = Channels(channels={"": ""})
LABS = Path(folders.__file__).parent


def tracks(path):
    with open_recording(path) as found:
        return {track.name: (track.rate, track.samples, track.unit, track.read(0, 5)) for track in found(ANY)}


@pytest.fixture
def acq(tmp_path):
    for name in ("S01.acq", "S02.acq", "S03.acq"):
        (tmp_path / name).write_bytes(gzip.decompress((LABS / "r42_test.acq.gz").read_bytes()))
    return tmp_path


def test_acqknowledge(acq):
    found = tracks(acq / "S01.acq")
    rate, samples, unit, first = found["EDA (0 - 35 Hz)"]
    assert (rate, samples, unit) == (1000.0, 7901, "uS")
    assert first[0] == pytest.approx(-0.93231201)
    assert found["ECG (.05 - 150 Hz)"][2] == "mV"
    assert read_markers(acq / "S01.acq") == [(0.0, "Segment 1"), (pytest.approx(3.881), "Segment 2")]
    (kind,) = find_study(acq).kinds
    assert set(kind.signals) == {"ecg", "emg", "eda"}
    assert kind.facts["participant"] == ["S01", "S02", "S03"]


def test_streams_that_begin_apart_have_one_clock(tmp_path):
    path, ramp = tmp_path / "a.xdf", np.arange(100, dtype="<f4")[:, None]
    signals = [("box", "Physio", 10.0, [("EDA", "microsiemens")], ramp), ("cap", "EEG", 50.0, [("EDA", "uV")], ramp)]
    folders.write_xdf(path, signals, [("task", [("go", 3.0)])], origin=100.0)
    found = tracks(path)
    assert {name: (rate, unit) for name, (rate, _, unit, _) in found.items()} == {
        "box/EDA": (10.0, "uS"), "cap/EDA": (50.0, "uV"),
    }  # fmt: skip
    np.testing.assert_array_equal(found["cap/EDA"][3], ramp[:5, 0])
    assert read_markers(path) == [(pytest.approx(3.0), "go")]


def test_brainvision_says_its_units_and_names_its_files(tmp_path):
    root = folders.brainvision(tmp_path / "lab", 1)
    path = root / "eeg" / "emofilm_0001.vhdr"
    found = tracks(path)
    counts = np.fromfile(path.with_suffix(".eeg"), "<i2").reshape(-1, 9)
    np.testing.assert_allclose(found["Fp1"][3], 0.1 * counts[:5, 0], rtol=1e-6)
    np.testing.assert_allclose(found["EDA"][3], 0.001 * counts[:5, 8], rtol=1e-6)
    assert (found["Fp1"][2], found["EDA"][2]) == ("uV", "uS")
    assert [file.suffix for file in list_files(path)] == [".vhdr", ".eeg", ".vmrk"]
    path.with_suffix(".eeg").unlink()
    with pytest.raises(DataError, match=r"emofilm_0001\.eeg is missing, which its header names"):
        tracks(path)


@pytest.mark.parametrize(("suffix", "package"), [(".acq", "bioread"), (".xdf", "pyxdf"), (".vhdr", "mne")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, suffix, package):
    path = tmp_path / f"a{suffix}"
    path.write_text("")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError) as caught:
        tracks(path)
    assert caught.value.hint == f"pip install {package}"


@pytest.mark.parametrize("suffix", [".acq", ".xdf", ".vhdr"])
@pytest.mark.parametrize("content", [b"", b"no such file", bytes(range(256)) * 8])
def test_a_damaged_file_is_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        tracks(path)
    assert caught.value.where == str(path)
    assert str(tmp_path) not in caught.value.what


def test_an_acqknowledge_file_that_is_cut_is_refused(acq):
    path = acq / "S01.acq"
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(DataError):
        tracks(path)
    shutil.copy(acq / "S02.acq", path)
    assert len(tracks(path)) == 4
