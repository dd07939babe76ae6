"""Stress-Predict (Iqbal et al. 2022): one hour with a wristband, three stress tasks between rests.

Reads the release as it comes: raw Empatica E4 files below `Raw_data/S01` and so on (row 1 the start in unix seconds,
row 2 the rate in Hz, then the samples) and the label of every second in one csv below `Processed_data`.

Clocks. Labels are joined by unix second, on the clock of the signals' own start rows: their changes lie on the
wristband's button presses to the second. The csv's heart rate column, not used here, runs one second ahead of `HR.csv`,
which itself follows the beats in the signals by about 40 s, so neither says anything about the labels' clock.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, Download, Finding
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.files import not_this
from embench_plugins.datasets.stress_predict.layout import LABELS

OPTIONAL = ("acc",)  # some copies leave the large accelerometer files out
CLASSES = ("rest", "stress")

OBTAIN = "get the repository italha-d/Stress-Predict-Dataset of GitHub; pass its folder, the one that holds Raw_data"
EXPECTED = "Raw_data/S01/BVP.csv and so on, beside Processed_data"


class _Labels(NamedTuple):
    """The label csv as arrays over rows (n,): participant number, unix second, 0 or 1."""

    participant: np.ndarray
    second: np.ndarray
    value: np.ndarray


class StressPredict(Dataset):
    """The reader. One recording a subject, its time 0 where all signals have begun; signals are cut to the segment that
    they share (they differ by a few seconds at the end), so that every second of a recording has every modality."""

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
            # `majority`, a tie having no label, over `unanimous`: it scores the transitions too instead of leaving the
            # hardest 109 of 7,928 ten-second units out, and it is what agrees with figures measured elsewhere (42,524
            # crossed-time quadruples in one partition of five folds: 40,101 +- 3,853 over partitions here, against
            # 34,594 +- 3,493 with `unanimous`).
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
        """Subjects with a folder of E4 files, also those without labels."""
        folders = [path for path in (self._base / "Raw_data").glob("S*") if re.fullmatch(r"S\d+", path.name)]
        found = sorted(
            folder.name for folder in folders if any((folder / name).is_file() for name in e4.FILES.values())
        )
        if not found:
            raise not_this(self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)
        return found

    def files(self, subject: str) -> list[Path]:
        """One subject's signals and the label csv, which is all subjects'."""
        folder = self._folder(subject)
        signals = [folder / name for name in e4.FILES.values()]
        return [path for path in signals if path.is_file()] + [self._labels]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The subject's one session, with the labels that lie in it."""
        session = self._session(subject)
        duration = session.duration_s
        label = self._label(subject, session.start, duration)
        yield Recording(
            id=subject,
            subject=subject,
            stimulus="session",
            session="session",
            duration_s=duration,
            group=subject,
            start_s=0.0,
            order=0,
            signals=session.signals,
            labels={} if label is None else {"stress": label},
        )

    def verify(self) -> list[Finding]:
        """What is missing or odd in each subject's files, and whether label changes lie on the button presses."""
        findings: list[Finding] = []
        for subject in self.subjects():
            try:
                findings += self._look(subject)
            except DataError as error:
                findings.append(Finding("error", error.where or subject, error.what))
        return findings

    @cached_property
    def _base(self) -> Path:
        """The folder that holds Raw_data: the one given, or one inside it, as an archive unpacks."""
        inside = sorted(self.root.glob("*/Raw_data")) if self.root.is_dir() else []
        return inside[0].parent if inside and not (self.root / "Raw_data").is_dir() else self.root

    @property
    def _labels(self) -> Path:
        return self._base / LABELS

    def _folder(self, subject: str) -> Path:
        if subject not in self.subjects():
            raise DataError(f"there is no person {subject}", where=str(self._base / "Raw_data"))
        return self._base / "Raw_data" / subject

    def _session(self, subject: str) -> e4.Session:
        folder = self._folder(subject)
        paths = {modality: folder / name for modality, name in e4.FILES.items()}
        there = {m: path for m, path in paths.items() if m not in OPTIONAL or path.is_file()}
        return e4.session(there, hint=OBTAIN)

    @cached_property
    def _table(self) -> _Labels:
        return _Labels(*_label_columns(self._labels, ("Participant", "Time(sec)", "Label")).T)

    def _label(self, subject: str, start: float, duration_s: float) -> Label | None:
        """The labelled seconds of a recording: the value at time t holds for [t, t + 1)."""
        table, where = self._table, str(self._labels)
        mine = table.participant == int(subject[1:])
        if not mine.any():
            return None
        order = np.argsort(table.second[mine], kind="stable")
        times, values = table.second[mine][order] - start, table.value[mine][order]
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
                hint="the person's folder and the label csv must be of one release",
            )
        return Label("condition", values[inside], times[inside], CLASSES)

    def _look(self, subject: str) -> Iterator[Finding]:
        signals, start, cut = session = self._session(subject)
        where = str(self._folder(subject))
        if "acc" not in signals:
            yield Finding("note", where, "there is no ACC.csv, so no acc")
        if max(cut.values()) > 0:
            longest = max(cut, key=lambda modality: cut[modality])
            yield Finding("note", where, f"signals differ in length: up to {cut[longest]:.1f} s cut off ({longest})")
        for modality, signal in signals.items():
            if lost := int((~np.isfinite(signal.data)).any(axis=0).sum()):
                yield Finding("warning", where, f"{lost} samples of {modality} are missing")
        duration = session.duration_s
        label = self._label(subject, start, duration)
        if label is None or label.times is None:
            yield Finding("warning", where, "signals without labels: never scored")
            return
        if unlabelled := int(duration) - len(label.times):
            yield Finding("note", where, f"{unlabelled} s have no label")
        rates = _label_columns(self._labels, ("Participant", "HR"))
        if empty := int(np.isnan(rates[rates[:, 0] == int(subject[1:]), 1]).sum()):
            yield Finding("note", where, f"{empty} labelled seconds have no heart rate in the label csv")
        presses = e4.presses(self._folder(subject) / f"tags_{subject}.csv") - start
        changes = label.times[1:][np.diff(label.values) != 0]
        if far := [f"{t:.0f}" for t in changes if not (np.abs(presses - t) <= 2).any()]:
            yield Finding("warning", where, f"no button press within 2 s of label changes at {', '.join(far)} s")


def _numbers(path: Path, **options: Any) -> np.ndarray:
    """A csv of numbers as float64 (rows, columns); DataError names the file where it is no such thing."""
    expected, hint = "a csv file of numbers", "the file is damaged: copy it again from the release"
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), expected=expected, hint=OBTAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy's "no data", which is an error here
            table = np.loadtxt(path, delimiter=",", ndmin=2, **options)
    except ValueError as error:
        raise DataError(f"not readable as numbers: {error}", where=str(path), expected=expected, hint=hint) from error
    if table.size == 0:
        raise DataError("the file is empty", where=str(path), expected=expected, hint=hint)
    return np.asarray(table, np.float64)


def _label_columns(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The named columns of the label csv (rows, names); an empty heart rate is NaN."""
    if not path.is_file():
        raise DataError("the label file is missing", where=str(path), expected="labels of every second", hint=OBTAIN)
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        header = [name.strip() for name in lines.readline().split(",")]
    if missing := [name for name in names if name not in header]:
        raise DataError(
            f"the label csv has no column {', '.join(missing)}",
            where=str(path),
            expected="columns Participant, HR, respr, Time(sec), Label",
            hint=OBTAIN,
        )
    columns = tuple(header.index(name) for name in names)
    blanks = {header.index("HR"): lambda cell: float(cell or "nan")} if "HR" in names else None
    return _numbers(path, skiprows=1, usecols=columns, converters=blanks)
