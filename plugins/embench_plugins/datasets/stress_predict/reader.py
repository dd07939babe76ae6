"""Stress-Predict (Iqbal et al. 2022): one hour with a wristband, three stress tasks between rests.

Reads the release as it comes: raw Empatica E4 files below `Raw_data/S01` and so on, and the label of every second in
one csv below `Processed_data`.

Labels are joined by unix second, on the clock of the signals' start rows: label changes agree with the wristband's
button presses to the second. The csv's heart rate column, not used here, is one second ahead of `HR.csv`, which itself
lags the beats in the signals by about 40 s, so neither tells about the labels' clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, Download, Finding
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files

LABELS = Path("Processed_data", "Improved_All_Combined_hr_rsp_binary.csv")
CLASSES = ("rest", "stress")

OBTAIN = "get the repository italha-d/Stress-Predict-Dataset of GitHub; pass its folder, the one that holds Raw_data"
EXPECTED = "Raw_data/S01/BVP.csv and so on, beside Processed_data"


class StressPredict(Dataset):
    """Reader of Stress-Predict. A recording is a subject's session. Its time 0 is where all signals have begun. Signals
    are cut to the segment that all of them cover, so that every second of a recording has every modality."""

    card = Card(
        name="stress_predict",
        title="Stress-Predict Dataset",
        citation="Iqbal et al., Stress Monitoring Using Wearable Sensors: A Pilot Study and Stress-Predict Dataset, "
        "Sensors 22(21):8135, 2022",
        doi="10.3390/s22218135",
        licence="MIT",
        obtain=OBTAIN,
        modalities=e4.CARDS,
        default_modalities=("ppg", "eda", "temp"),
        targets=(
            # `majority` (a tie has no label) instead of `unanimous`: it scores the transitions too, the hardest 109 of
            # 7,928 ten-second units. It also agrees better with published figures: 42,524 matched comparisons in one
            # partition of five folds, here 40,101 +- 3,853 over partitions, and 34,594 +- 3,493 with `unanimous`.
            Target("stress", "binary", LabelRule("majority", positive=(1,), negative=(0,)), label="stress"),
        ),
        mains_hz=50.0,
        longest_s=3600.0,  # the nominal session; the longest of S01 to S25 is 3,575 s
        labels_public="yes",
        fixed_order=True,
        baseline=Baseline(0.0, 300.0, in_unit=True),  # the first task starts after 561 s at the earliest: rest units
        default_targets=("stress",),
        downloads=(
            # An archive that the site packs when asked for: its bytes may change while its files do not.
            Download(
                "https://github.com/italha-d/Stress-Predict-Dataset/archive/refs/heads/main.zip",
                "Stress-Predict-Dataset-main.zip",
                sha256=None,
            ),
        ),
        verified_on_real={
            "by": "tests of this reader, on the whole release: S01 to S35",
            "date": "2026-11-21",
            "fingerprint": "sha256 of the label csv 0b43f3e948058c5d0738dfeecb7aa418ff7ac9ab16b56fb960e0cb7068358f4d",
        },
    )

    def subjects(self) -> list[str]:
        """Return the subjects with a folder of E4 files, including those without labels."""
        folders = [path for path in (self._base / "Raw_data").glob("S*") if re.fullmatch(r"S\d+", path.name)]
        found = sorted(folder.name for folder in folders if e4.has_signal_files(folder))
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def files(self, subject: str) -> list[Path]:
        """Return one subject's signals and the label csv of all subjects."""
        folder = self._folder(subject)
        signals = [folder / name for name in e4.FILES.values()]
        return [path for path in signals if path.is_file()] + [self._labels]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's one session, with its labels."""
        session = e4.read_folder(self._folder(subject), hint=OBTAIN)
        label = self._label(subject, session)
        labels = {} if label is None else {"stress": label}
        yield files.make_session_recording(subject, session.duration_s, session.signals, labels)

    def verify(self) -> list[Finding]:
        """Return findings on each subject's files, and on label changes without a button press."""
        people = self.subjects()
        return files.collect_findings(people, people, self._base, self._list_findings)

    @cached_property
    def _base(self) -> Path:
        """Folder with Raw_data: the root, or a folder inside it, as after unpacking an archive."""
        return files.find_data_folder(self.root, "Raw_data")

    @property
    def _labels(self) -> Path:
        return self._base / LABELS

    def _folder(self, subject: str) -> Path:
        where = self._base / "Raw_data"
        return where / files.check_subject(subject, self.subjects(), where, hint=OBTAIN)

    @cached_property
    def _table(self) -> pd.DataFrame:
        """The rows of the label csv, in order of time."""
        table = self._read_columns("Participant", "Time(sec)", "Label")
        if table.isna().any(axis=None):
            raise DataError("a cell is empty", where=str(self._labels), expected="a label each second", hint=OBTAIN)
        return table.sort_values("Time(sec)", kind="stable")

    def _read_columns(self, *names: str) -> pd.DataFrame:
        """Return some columns of the label csv; an empty heart rate is NaN."""
        hint = f"the file is damaged, or not the release's: {OBTAIN}"
        return files.read_table(
            self._labels, names, expected="columns Participant, HR, respr, Time(sec), Label", hint=hint
        )

    def _label(self, subject: str, session: e4.Session) -> Label | None:
        """Return the label of each labelled second: its value at time t applies to [t, t + 1). None without labels."""
        where, start, duration_s = str(self._labels), session.start, session.duration_s
        rows = self._table[self._table["Participant"] == int(subject[1:])]
        if rows.empty:
            return None
        times, values = rows["Time(sec)"].to_numpy() - start, rows["Label"].to_numpy()
        if (np.diff(times) <= 0).any():
            raise DataError(f"{subject} has two labels for one second", where=where, expected="one row a second")
        if not np.isin(values, (0.0, 1.0)).all():
            raise DataError(f"{subject} has labels other than 0 and 1", where=where, expected="0 or 1")
        inside = (times >= 0) & (times < duration_s)
        if not inside.any():
            raise DataError(
                f"the labels of {subject} and its signals are of different times",
                where=where,
                expected=f"unix seconds from {start:.0f} to {start + duration_s:.0f}",
                hint="the subject's folder and the label csv must be of one release",
            )
        return Label("condition", values[inside], times[inside], CLASSES)

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        folder = self._folder(subject)
        session, where = e4.read_folder(folder, hint=OBTAIN), str(folder)
        yield from e4.list_findings(where, session)
        label = self._label(subject, session)
        if label is None or label.times is None:
            yield Finding("warning", where, "signals without labels: never scored")
            return
        if unlabelled := int(session.duration_s) - len(label.times):
            yield Finding("note", where, f"{unlabelled} s have no label")
        rates = self._read_columns("Participant", "HR")
        if empty := int(rates["HR"][rates["Participant"] == int(subject[1:])].isna().sum()):
            yield Finding("note", where, f"{empty} labelled seconds have no heart rate in the label csv")
        presses = e4.read_presses(folder / f"tags_{subject}.csv") - session.start
        changes = label.times[1:][np.diff(label.values) != 0]
        if far := [f"{t:.0f}" for t in changes if not (np.abs(presses - t) <= 2).any()]:
            yield Finding("warning", where, f"no button press within 2 s of label changes at {', '.join(far)} s")
