"""Dataset `acq_films`: subjects watch films and rate them; BIOPAC AcqKnowledge records, an experiment script asks.

Reads what the lab has, as it is:

- `acq/P01.txt` and so on, the text that AcqKnowledge exports with its header: the name of the recording,
  `N msec/sample`, `N channels`, two lines (label, unit) for each channel, a line with the columns, a line with the
  numbers of samples, then the samples, time first. A digital channel, `Marker`, is above 2.5 V while a film runs.
- `trials.csv` of the experiment script, a row a trial: `participant`, `trial` from 1, `film`, `arousal` and `valence`
  from 1 to 9.

The films are found by the marker alone, since the clock of the script is another one than that of the recording; the
n-th film of the recording is the n-th trial of the table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target

RATE = 250.0
CHANNELS = {"ecg": ("ECG100C", "mV"), "eda": ("EDA100C", "microsiemens")}
"""Modality -> the label and unit of its channel in the header."""
UNITS = {"mV": "mV", "microsiemens": "uS"}
MARKER, ON_V = "Marker", 2.5
COLUMNS = ("participant", "trial", "film", "arousal", "valence")
SCALES = ("arousal", "valence")


class Text(NamedTuple):
    """An exported recording: rate in Hz, and label -> samples (n,)."""

    rate: float
    channels: dict[str, np.ndarray]


class AcqFilms(Dataset):
    """A recording for each film that a subject saw."""

    card = Card(
        name="acq_films",
        title="Films, recorded with AcqKnowledge",
        citation="the study's own",
        doi="",
        licence="that of the study",
        obtain="a folder with acq/P01.txt and so on, and trials.csv; embench data synthesize writes one",
        modalities={m: ModalityCard((m,), RATE, UNITS[unit]) for m, (_, unit) in CHANNELS.items()},
        default_modalities=("ecg", "eda"),
        targets=tuple(
            Target(scale, "binary", LabelRule("value", cut=5.0, ties="low"), label=scale, scale=(1, 9))
            for scale in SCALES
        ),
        mains_hz=50.0,
        longest_s=600.0,
        labels_public="no",
        fixed_order=False,  # the script shuffles the films for each subject
    )

    def subjects(self) -> list[str]:
        """The subjects with an exported recording."""
        found = sorted(path.stem for path in (self.root / "acq").glob("P*.txt"))
        if not found:
            raise DataError(
                "no recording is here",
                where=str(self.root),
                expected="acq/P01.txt and so on",
                hint="export each recording from AcqKnowledge as text, with its header",
            )
        return found

    def files(self, subject: str) -> list[Path]:
        """The recording and the table, which is all subjects'."""
        return [self.root / "acq" / f"{subject}.txt", self.root / "trials.csv"]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The films in the order in which the subject saw them."""
        path = self.files(subject)[0]
        text, rows = read_text(path), self._trials.get(subject, [])
        on = np.diff((text.channels[MARKER] > ON_V).astype(int), prepend=0, append=0)
        films = list(zip(np.flatnonzero(on == 1), np.flatnonzero(on == -1), strict=True))
        if len(films) != len(rows):
            raise DataError(
                f"the marker shows {len(films)} films, and trials.csv has {len(rows)} trials of {subject}",
                where=str(path),
                expected="a film for each trial",
                hint="remove a trial that was broken off from the table, or a stray marker from the recording",
            )
        for order, ((start, stop), row) in enumerate(zip(films, rows, strict=True)):
            yield Recording(
                id=f"{subject}_{row['film']}",
                subject=subject,
                stimulus=row["film"],
                session="films",
                duration_s=(stop - start) / text.rate,
                group=subject,
                start_s=start / text.rate,
                order=order,
                signals={
                    m: Signal(text.channels[label][None, start:stop], text.rate, (m,), UNITS[unit])
                    for m, (label, unit) in CHANNELS.items()
                },
                labels={s: Label("rating", np.array([float(row[s])])) for s in SCALES if row[s].strip()},
            )

    def verify(self) -> list[Finding]:
        """Recordings that cannot be read, and trials without a rating or a recording."""
        findings = [
            Finding("warning", str(self.root / "trials.csv"), f"{subject} has trials and no recording")
            for subject in sorted(set(self._trials) - set(self.subjects()))
        ]
        for subject in self.subjects():
            try:
                rated = {recording.id: recording.labels for recording in self.recordings(subject)}
            except DataError as error:
                findings.append(Finding("error", error.where or subject, error.what))
            else:
                findings += [Finding("warning", r, "a rating is missing") for r in rated if len(rated[r]) < len(SCALES)]
        return findings

    @cached_property
    def _trials(self) -> dict[str, list[dict[str, str]]]:
        path = self.root / "trials.csv"
        if not path.is_file():
            raise DataError("the table of trials is missing", where=str(path), expected=f"columns {', '.join(COLUMNS)}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
                raise DataError(f"no column {missing[0]}", where=str(path), expected=f"columns {', '.join(COLUMNS)}")
            rows = list(table)
        trials: dict[str, list[dict[str, str]]] = {}
        for line, row in enumerate(rows, start=2):
            try:
                int(row["trial"]), *(float(row[scale]) for scale in SCALES if row[scale].strip())
            except (AttributeError, ValueError) as error:
                raise DataError(f"line {line} is no trial: {row}", where=str(path), expected="numbers") from error
            trials.setdefault(row["participant"], []).append(row)
        return {subject: sorted(mine, key=lambda row: int(row["trial"])) for subject, mine in trials.items()}


def read_text(path: Path) -> Text:
    """The channels of a text file that AcqKnowledge exported with its header. Raises DataError where it is none."""
    expected = "the text that AcqKnowledge exports, with its header"
    try:
        with path.open(encoding="utf-8-sig") as lines:
            lines.readline()  # the name of the recording
            interval, many = lines.readline().split(), lines.readline().split()
            if interval[1:] != ["msec/sample"] or many[1:] != ["channels"]:
                raise ValueError("its second and third line are not `N msec/sample` and `N channels`")
            header = [(lines.readline().strip(), lines.readline().strip()) for _ in range(int(many[0]))]
            lines.readline(), lines.readline()  # columns, and their numbers of samples
            samples = np.loadtxt(lines, np.float32, delimiter=",", ndmin=2, usecols=range(1, len(header) + 1))
        rate, channels = 1000 / float(interval[0]), dict(zip((label for label, _ in header), samples.T, strict=True))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), expected=expected) from error
    for label, unit in (*CHANNELS.values(), (MARKER, "Volts")):
        if (label, unit) not in header:
            found = ", ".join(f"{name} in {its}" for name, its in header)
            raise DataError(f"no channel {label} in {unit}; it has {found}", where=str(path), expected=expected)
    return Text(rate, channels)
