"""BIDS datasets as own data: what mne-bids reads against the numbers that were written, and physiology beside it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.own.reader import Own

from .damages.own_bids import NAMES, RATE, breathing, breaths, edf, study


def vision(path: Path, data: np.ndarray) -> None:
    """BrainVision's three files."""
    path = path.with_suffix(".vhdr")
    data.T.astype("<f4").tofile(path.with_suffix(".eeg"))
    channels = "\n".join(f"Ch{i}={name},,1,µV" for i, name in enumerate(NAMES, 1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels=3\nSamplingInterval={1e6 / RATE:g}\n\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n"
        f"[Channel Infos]\n{channels}\n",
        "utf-8",
    )
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\n\n[Marker Infos]\nMk1=New Segment,,1,1,0\n",
        "utf-8",
    )


@pytest.mark.parametrize(("write", "step"), [(edf, 400 / 65535), (vision, 1e-4)])
def test_a_task_is_read_through_mne_bids(tmp_path, write, step):
    pytest.importorskip("mne_bids", reason="mne-bids is not installed: pip install mne-bids")
    written = study(tmp_path, write)
    reader = Own(tmp_path)
    assert reader.subjects() == ["01", "02"]
    assert dict(reader.subject_info("02")) == {"sex": "m"}
    (recording,) = reader.recordings("01")
    assert recording.id == "participant-01_task-films"
    np.testing.assert_allclose(recording.signals["eeg"].data, written["01"][:2], atol=step)
    np.testing.assert_allclose(recording.signals["ecg"].data, written["01"][2:] / 1000, atol=step / 1000)
    # The respiration began a second before the EEG.
    np.testing.assert_array_equal(recording.signals["resp"].data[0], np.arange(11, 201))
    label = recording.labels["film"]
    expected = [0.0 if 2 <= t < 10 else 1.0 if 10 <= t < 20 else np.nan for t in label.times]
    np.testing.assert_array_equal(label.values, expected)
    names = {path.name for path in reader.files("01")}
    assert {f"sub-01_task-films_{end}" for end in ("events.tsv", "channels.tsv", "eeg.json", "physio.tsv.gz")} <= names
    assert {finding.severity for finding in reader.verify()} == {"note"}


def test_a_damaged_file_is_named(tmp_path):
    pytest.importorskip("mne_bids", reason="mne-bids is not installed: pip install mne-bids")
    study(tmp_path)
    path = tmp_path / "sub-01" / "eeg" / "sub-01_task-films_eeg.edf"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="mne-bids cannot read it") as caught:
        list(Own(tmp_path).recordings("01"))
    assert caught.value.where == str(path)


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mne_bids", None)
    study(tmp_path)
    with pytest.raises(DataError, match="needs mne-bids") as caught:
        list(Own(tmp_path).recordings("01"))
    assert caught.value.hint == "pip install mne-bids"


@pytest.mark.parametrize(("start_s", "expected"), [(0, [1, 2, 3]), (-1, [11, 12, 13]), (0.2, [np.nan, np.nan, 1])])
def test_physiology_begins_with_the_eeg(tmp_path, start_s, expected):
    breathing(tmp_path)
    breaths(tmp_path / "sub-01" / "eeg" / "sub-01_task-films", start_s)
    (recording,) = Own(tmp_path).recordings("01")
    signal = recording.signals["resp"]
    np.testing.assert_array_equal(signal.data[0, :3], expected)
    assert signal.rate == 10
