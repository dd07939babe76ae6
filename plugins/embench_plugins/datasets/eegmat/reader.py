"""eegmat (Zyma et al. 2019): EEG at rest and during serial subtraction, 36 subjects.

Reads `Subject00_1.edf` (three minutes of rest), `Subject00_2.edf` (one minute of subtraction) and so on. These are EDF+
files of 19 electrodes of the 10-20 system at 500 Hz against linked ears, with older names (T3, T4, T5 and T6 are T7,
T8, P7 and P8), and one lead of an ECG. The channel `EEG A2-A1`, between the ears, is not on the scalp and is excluded.
The authors filtered the EEG, .5 to 45 Hz with a notch at 50 Hz, and cleaned it by independent components.

The label is mental load, not an emotion. The task is always second and in its own file, so all differences between the
files, such as drowsiness or a shifting cap, predict it. The headers state the same start for all files, midnight of the
first of January. The time in the session is thus unknown (`start_s`), its position is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.channels import Channels, Track
from embench_plugins.datasets.formats.recordings import open_recording

PEOPLE = tuple(f"Subject{number:02d}" for number in range(36))
INFO = "subject-info.csv"
CLASSES = ("rest", "subtraction")
"""Classes of the files `Subject00_1.edf` and `Subject00_2.edf`."""

RATE = 500.0
ELECTRODES = {
    "Fp1": "EEG Fp1", "Fp2": "EEG Fp2", "F3": "EEG F3", "F4": "EEG F4", "F7": "EEG F7", "F8": "EEG F8",
    "T7": "EEG T3", "T8": "EEG T4", "C3": "EEG C3", "C4": "EEG C4", "P7": "EEG T5", "P8": "EEG T6", "P3": "EEG P3",
    "P4": "EEG P4", "O1": "EEG O1", "O2": "EEG O2", "Fz": "EEG Fz", "Cz": "EEG Cz", "Pz": "EEG Pz",
}  # fmt: skip
"""Today's name of an electrode -> its label in the files, in the files' order."""
EARS = "EEG A2-A1"
HEART = "ECG ECG"
OBTAIN = "embench data fetch eegmat, or get the release from physionet.org/content/eegmat; pass the folder of its files"
EXPECTED = "Subject00_1.edf and Subject00_2.edf to Subject35_2.edf"
AGAIN = "the file is damaged or not the release's: copy it again"
_FILE = re.compile(r"(Subject\d\d)_([12])\.edf")


class Eegmat(Dataset):
    """Reader of eegmat. A recording is a file: `Subject00_1` at rest, `Subject00_2` during subtraction."""

    card = Card(
        name="eegmat",
        title="EEG during mental arithmetic tasks, 36 people",
        citation="Zyma et al., Electroencephalograms during Mental Arithmetic Task Performance, Data 4(1):14, 2019",
        doi="10.3390/data4010014",
        licence="ODC-By 1.0",
        obtain=OBTAIN,
        modalities={
            "eeg": ModalityCard(tuple(ELECTRODES), RATE, "uV", applied=(0.5, 45.0)),
            "ecg": ModalityCard(("ecg",), RATE, "mV", applied=(0.5, 45.0)),
        },
        default_modalities=("eeg",),
        targets=(Target("task", "binary", LabelRule("value", positive=(1,), negative=(0,)), label="task"),),
        mains_hz=50.0,
        longest_s=200.0,  # the longest of 72 files lasts 188 s
        labels_public="yes",
        fixed_order=True,
        baseline=None,  # rest is a recording of its own, not a part of each
        downloads=(
            # PhysioNet publishes digests of the files in it, and none of the archive.
            Download(
                "https://physionet.org/static/published-projects/eegmat/eeg-during-mental-arithmetic-tasks-1.0.0.zip",
                "eeg-during-mental-arithmetic-tasks-1.0.0.zip",
                sha256=None,
            ),
        ),
        verified_on_real={
            "by": "tests of this reader, on all 36 subjects",
            "date": "2026-11-26",
            "fingerprint": "sha256 of subject-info.csv 09c5951145d9f6a170ed7e0195740601"
            "0ff549127ccf96ad7a2ead9fb0e018de",
        },
    )

    def subjects(self) -> list[str]:
        """Return the release's subjects with a file."""
        found = sorted({subject for subject, _ in self._files})
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if the release's table states them. Some files' headers state another sex."""
        return self._info.get(subject, {})

    def files(self, subject: str) -> list[Path]:
        """Return the subject's two files."""
        return [self._files[key] for key in self._select_keys(subject)]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the recording at rest, then the one during subtraction."""
        for key in self._select_keys(subject):
            signals = _make_signals(self._files[key], self.card)
            yield Recording(
                id=self._files[key].stem,
                subject=subject,
                stimulus="session",
                session="session",
                duration_s=signals["eeg"].duration_s,
                group=subject,
                start_s=None,
                order=key[1],
                signals=signals,
                labels={"task": Label("condition", np.array([float(key[1])]), classes=CLASSES)},
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, and on what is missing or odd in each subject's files."""
        return files.collect_findings(self.subjects(), PEOPLE, self._folder, self._list_findings)

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        keys = self._select_keys(subject)
        if len(keys) < len(CLASSES):
            (_, kind) = keys[0]
            what = f"{subject} has the file of {CLASSES[kind]} only: no score within this subject"
            yield Finding("warning", str(self._files[keys[0]]), what)
        for key in keys:
            try:
                signals = _make_signals(self._files[key], self.card)
            except DataError as error:
                yield Finding("error", error.where or subject, error.what)
                continue
            if "ecg" not in signals:
                yield Finding("note", str(self._files[key]), f"there is no channel {HEART}, so no ecg")

    @cached_property
    def _folder(self) -> Path:
        """Folder of the files: the root, or a folder inside it, as after unpacking an archive."""
        return files.find_data_folder(self.root, "Subject*_[12].edf")

    @cached_property
    def _files(self) -> dict[tuple[str, int], Path]:
        """(subject, class: 0 at rest, 1 during subtraction) -> file."""
        named = [(_FILE.fullmatch(path.name), path) for path in sorted(self._folder.glob("*.edf"))]
        return {
            (match[1], int(match[2]) - 1): path
            for match, path in named
            if match and match[1] in PEOPLE and path.is_file()
        }

    def _select_keys(self, subject: str) -> list[tuple[str, int]]:
        files.check_subject(
            subject, {person for person, _ in self._files}, self._folder, expected=EXPECTED, hint=OBTAIN
        )
        return sorted(key for key in self._files if key[0] == subject)

    @cached_property
    def _info(self) -> dict[str, dict[str, str]]:
        return files.read_subject_info(self._folder / INFO, ("Subject", "Age", "Gender"))


def _make_signals(path: Path, card: Card) -> dict[str, Signal]:
    """Return the EEG of all electrodes, and the ECG if there is one."""
    with open_recording(path) as channels:
        tracks = {track.name: track for track in channels(Channels(channels=ELECTRODES))}
        if missing := [label for label in ELECTRODES.values() if label not in tracks]:
            raise DataError(
                f"no channel {', '.join(missing[:5])}, but {', '.join(list(tracks)[:12])}",
                where=str(path), expected=f"the channels {', '.join(ELECTRODES.values())}", hint=AGAIN,
            )  # fmt: skip
        found = {"eeg": [tracks[label] for label in ELECTRODES.values()]}
        if HEART in tracks:
            found["ecg"] = [tracks[HEART]]
        return {modality: _make_signal(path, card.modalities[modality], chosen) for modality, chosen in found.items()}


def _make_signal(path: Path, card: ModalityCard, tracks: list[Track]) -> Signal:
    """Return channels as a signal. Raises DataError if they are empty or differ in rate, unit or length."""
    if not tracks[0].samples:
        raise DataError("there is no sample in it", where=str(path), expected=EXPECTED, hint=AGAIN)
    for track in tracks:
        if (track.rate, track.unit, track.samples) != (card.rate, card.unit, tracks[0].samples):
            raise DataError(
                f"channel {track.name} has {track.samples} samples of {track.rate:g} Hz in {track.unit}",
                where=str(path),
                expected=f"{tracks[0].samples} samples of {card.rate:g} Hz in {card.unit}",
                hint=AGAIN,
            )
    data = np.stack([track.read(0, track.samples) for track in tracks])
    with np.errstate(over="ignore"):
        return Signal(data.astype(np.float32), card.rate, card.channels, card.unit)
