"""Damaged BIDS datasets as own data."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embench_plugins.datasets.own.reader import Own
from embench_plugins.datasets.own.synthetic import write_edf

from .. import edit
from ..damage import Copy, Table, nothing, refused

NAMES = ("Fz", "Cz", "ECG")
RATE, SECONDS = 100, 20
TEXT = """\
{name: study, title: A study, citation: ours, licence: CC0, mains_hz: 50, longest_s: 60, fixed_order: false,
 labels_public: yes, participants: {table: participants.tsv, id: participant_id, info: {sex: sex}},
 recordings: [{bids: films, signals: {
  eeg: {channels: [Fz, Cz]},
  ecg: {channels: {ecg: ECG}},
  resp: {channels: {resp: respiratory}, unit: a.u.}}}],
 labels: {film: {table: "sub-{participant}/eeg/sub-{participant}_task-{task}_events.tsv", start: onset,
  duration: duration, column: trial_type, classes: [calm, fear]}},
 targets: {film: {label: film, kind: binary, positive: [fear], negative: [calm]}}}
"""


def edf(path: Path, data: np.ndarray) -> None:
    write_edf(path.with_suffix(".edf"), NAMES, RATE, data)


def study(root: Path, write: Callable[[Path, np.ndarray], object] = edf) -> dict[str, np.ndarray]:
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
        write(Path(f"{start}_eeg"), data)
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


def breathing(root: Path) -> None:
    """Physiology alone, which needs no further package."""
    study(root, lambda *_: None)
    lines = [line for line in TEXT.splitlines() if not line.startswith(("  eeg", "  ecg"))]
    (root / "dataset.yaml").write_text("\n".join(lines))


SIDECAR, BREATHS = (f"sub-01/eeg/sub-01_task-films_physio{end}" for end in (".json", ".tsv.gz"))

DAMAGES: Table = {
    Copy("own BIDS", Own, "01", breathing): [
        refused(SIDECAR, edit.remove, "no sidecar", expected=None, hint=None),
        refused(SIDECAR, edit.write('{"Columns": ["respiratory"]}'), "no sidecar", expected=None, hint=None),
        refused(SIDECAR, edit.replace("-1.0", "-99.0"), "ends before the EEG begins", at=BREATHS, expected=None,
                hint=None),
        refused(BREATHS, edit.write(b"no gzip"), "not readable", hint=None),
        refused("dataset.yaml", edit.replace("resp: respiratory", "resp: breathing"), "no channel `breathing` of resp",
                expected="respiratory", hint=None),
        nothing("dataset.yaml", edit.replace("bids: films", "bids: film"), "no recording of task `film`",
                at="dataset.yaml", hint=None),
    ],
}  # fmt: skip
