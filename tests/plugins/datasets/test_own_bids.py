"""BIDS datasets as own data: what mne-bids reads against the numbers that were written, and physiology beside it."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.own import Own
from embench_plugins.datasets.synthetic.corpus import write_edf

NAMES = ("Fz", "Cz", "ECG")
RATE, SECONDS = 100, 20
TEXT = """\
name: study
title: A study
citation: ours
licence: CC0
mains_hz: 50
longest_s: 60
fixed_order: false
labels_public: yes
participants: {table: participants.tsv, id: participant_id, info: {sex: sex}}
recordings:
  - bids: films
    signals:
      eeg: {channels: [Fz, Cz]}
      ecg: {channels: {ecg: ECG}}
      resp: {channels: {resp: respiratory}, unit: a.u.}
labels:
  film:
    table: "sub-{participant}/eeg/sub-{participant}_task-{task}_events.tsv"
    start: onset
    duration: duration
    column: trial_type
    classes: [calm, fear]
targets:
  film: {label: film, kind: binary, positive: [fear], negative: [calm]}
"""


def study(root: Path, kind: str = "edf") -> dict[str, np.ndarray]:
    """Two subjects of a task; each one's values (3, samples) in microvolt."""
    (root / "dataset_description.json").write_text('{"Name": "films", "BIDSVersion": "1.8.0"}')
    (root / "participants.tsv").write_text("participant_id\tsex\nsub-01\tf\nsub-02\tm\n")
    (root / "dataset.yaml").write_text(TEXT)
    written = {}
    for k, subject in enumerate(("01", "02")):
        folder = root / f"sub-{subject}" / "eeg"
        folder.mkdir(parents=True)
        start = folder / f"sub-{subject}_task-films"
        data = np.round(80 * np.random.default_rng(k).uniform(-1, 1, (3, RATE * SECONDS)), 1)
        if kind == "edf":
            write_edf(Path(f"{start}_eeg.edf"), NAMES, RATE, data)
        else:
            vision(Path(f"{start}_eeg.vhdr"), data)
        Path(f"{start}_channels.tsv").write_text("name\ttype\tunits\nFz\tEEG\tuV\nCz\tEEG\tuV\nECG\tECG\tuV\n")
        about = {"TaskName": "films", "SamplingFrequency": RATE, "PowerLineFrequency": 50, "EEGReference": "Cz"}
        Path(f"{start}_eeg.json").write_text(json.dumps(about))
        rows = "0\t2\tfixation\n2\t8\tcalm\n10\t10\tfear\n15\t0\tpress\n"
        Path(f"{start}_events.tsv").write_text("onset\tduration\ttrial_type\n" + rows)
        breaths(start, start_s=-1.0)
        written[subject] = data
    return written


def breaths(start: Path, start_s: float) -> None:
    """Respiration at 10 Hz: how many tenths of a second since its first row."""
    with gzip.open(f"{start}_physio.tsv.gz", "wt") as file:
        file.writelines(f"{k}\tn/a\n" for k in range(1, 10 * SECONDS + 1))
    about = {"Columns": ["respiratory", "trigger"], "SamplingFrequency": 10, "StartTime": start_s}
    Path(f"{start}_physio.json").write_text(json.dumps(about))


def vision(path: Path, data: np.ndarray) -> None:
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


@pytest.mark.parametrize("kind", ["edf", "vhdr"])
def test_a_task_is_read_through_mne_bids(tmp_path, kind):
    pytest.importorskip("mne_bids", reason="mne-bids is not installed: pip install 'embench-affect[bids]'")
    written = study(tmp_path, kind)
    reader = Own(tmp_path)
    assert reader.subjects() == ["01", "02"]
    assert dict(reader.subject_info("02")) == {"sex": "m"}
    (recording,) = reader.recordings("01")
    assert recording.id == "participant-01_task-films"
    step = 400 / 65535 if kind == "edf" else 1e-4
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
    pytest.importorskip("mne_bids", reason="mne-bids is not installed: pip install 'embench-affect[bids]'")
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
    assert caught.value.hint == "pip install 'embench-affect[bids]'"


@pytest.fixture
def breathing(tmp_path) -> Path:
    """A BIDS dataset of physiology alone, which needs no further package."""
    study(tmp_path)
    for path in tmp_path.glob("sub-*/eeg/*_eeg.edf"):
        path.unlink()
    lines = [line for line in TEXT.splitlines() if not line.startswith(("      eeg", "      ecg"))]
    (tmp_path / "dataset.yaml").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize(("start_s", "expected"), [(0, [1, 2, 3]), (-1, [11, 12, 13]), (0.2, [np.nan, np.nan, 1])])
def test_physiology_begins_with_the_eeg(breathing, start_s, expected):
    breaths(breathing / "sub-01" / "eeg" / "sub-01_task-films", start_s)
    (recording,) = Own(breathing).recordings("01")
    signal = recording.signals["resp"]
    np.testing.assert_array_equal(signal.data[0, :3], expected)
    assert signal.rate == 10


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda start: Path(f"{start}_physio.json").unlink(), "no sidecar"),
        (lambda start: Path(f"{start}_physio.json").write_text('{"Columns": ["respiratory"]}'), "no sidecar"),
        (lambda start: Path(f"{start}_physio.tsv.gz").write_bytes(b"no gzip"), "not readable"),
        (lambda start: breaths(start, -99.0), "ends before the EEG begins"),
    ],
)
def test_damaged_physiology_is_named(breathing, spoil, what):
    start = breathing / "sub-01" / "eeg" / "sub-01_task-films"
    spoil(start)
    with pytest.raises(DataError, match=what) as caught:
        list(Own(breathing).recordings("01"))
    assert "_physio" in caught.value.where


def test_a_task_or_channel_that_is_not_there(breathing):
    text = (breathing / "dataset.yaml").read_text()
    (breathing / "dataset.yaml").write_text(text.replace("bids: films", "bids: film"))
    with pytest.raises(DataError, match="no recording of task `film`"):
        Own(breathing).subjects()
    (breathing / "dataset.yaml").write_text(text.replace("resp: respiratory", "resp: breathing"))
    with pytest.raises(DataError, match="no channel `breathing` of resp") as caught:
        list(Own(breathing).recordings("01"))
    assert "respiratory" in caught.value.expected
