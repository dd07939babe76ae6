"""Quiroz, Geangu and Yong (2018): 44 subjects walk 250 m three times, after a sad, a neutral and a happy induction.

Reads `walking_data/mo_ew2_accdata_21_10_139-1336.csv` and so on (a subject's three walks, one sample on each line:
study, emotion, acceleration and rotation of a smart watch, heart rate of a chest strap) and `user_study_encoding.csv`
(the study, the order of the inductions, and start and end of each walk). Only `verify` reads `PANAS`.

There are three studies, each with its own subjects: a movie before each walk (`mo`), music before it (`mu`), or music
while walking (`mw`). Neutral is always second; half of the subjects were sad first (SNH), half happy first (HNS). The
stimulus of a recording is its study and position, such as `movie_1`. Subjects of one study thus meet the same stimuli
with opposite labels, and scores matched by stimulus compare them at the same positions.

Samples have no times. The authors cut the walks at the first sample of the seconds in the table, so a walk's rate is
its number of samples over these seconds. Time 0 is the start of the first walk. Rotation, in degrees per second, is not
read, as embench has no modality for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files

WALKS = "walking_data"
TABLE = "user_study_encoding.csv"
MOODS = (Path("PANAS", "PANAS_mo_mu.csv"), Path("PANAS", "PANAS_mw.csv"))
PEOPLE = tuple(f"EW{number}" for number in range(2, 51) if number not in (11, 18, 21, 32, 46))
"""Subjects with walks; six more (EW1, EW11, EW18, EW21, EW32, EW46) answered only the questionnaire."""

STUDIES = {"mo": "movie", "mu": "music", "mw": "music_walking"}
"""Abbreviation of a study in file names and tables -> its name. In a file, its code is its position here."""
CLASSES = ("sad", "neutral", "happy")
"""Classes of the emotions -1, 0 and 1 in a file."""
ORDERS = {"SNH": (0, 1, 2), "HNS": (2, 1, 0)}
COLUMNS = ("PARTICIPANT ID", "CONDITION", "START W", "END W", "START W.1", "END W.1", "START W.2", "END W.2")
"""Columns of the table that are read. The table repeats the last names; pandas numbers the copies."""

RATE = 24.975
"""Typical rate in Hz; those of all 132 walks are 24.97 to 24.99."""
RATE_OFF = 0.01
MS2_G = 1 / 9.80665
CLOCKS_APART_S = 600.0
OBTAIN = "embench data fetch quiroz2018, or get the repository juancq/emotion-recognition-walking-acc of GitHub"
EXPECTED = f"{WALKS}/mo_ew2_accdata_21_10_139-1336.csv and so on, beside {TABLE}"
AGAIN = "the file is damaged or not the release's: copy it again"
_FILE = re.compile(r"(m[ouw])_(ew\d{1,3})_accdata_(\d{1,2})_(\d{1,2})_\d+-\d+\.csv", re.IGNORECASE)
_CONDITION = re.compile(r"(m[ouw])-(SNH|HNS)", re.IGNORECASE)
_TIME = re.compile(r"([01]?\d|2[0-3])\.([0-5]\d)\.([0-5]\d)")


class Person(NamedTuple):
    """A row of the table: a subject's study, the classes of the three walks in order, and (3, 2) start and end of the
    walks, in seconds of the day."""

    study: str
    order: tuple[int, ...]
    spans: np.ndarray


class Walks(NamedTuple):
    """The file of a subject's walks, and what its name states: subject, study, day and month."""

    path: Path
    subject: str
    study: str
    day: int
    month: int


class Quiroz2018(Dataset):
    """Reader of the walks. A recording is a subject's walk, `EW2_1` to `EW2_3`."""

    card = Card(
        name="quiroz2018",
        title="Walking after inductions of happiness and sadness, 44 people",
        citation="Quiroz, Geangu and Yong, Emotion Recognition Using Smart Watch Sensor Data: Mixed-Design Study, "
        "JMIR Mental Health 5(3):e10153, 2018",
        doi="10.2196/10153",
        licence="MIT",
        obtain=OBTAIN,
        modalities={
            "acc": ModalityCard(("x", "y", "z"), RATE, "g"),
            "hr": ModalityCard(("hr",), RATE, "bpm"),
        },
        default_modalities=("acc",),
        targets=(
            # Neutral is always the second walk, so its position identifies it: it has no label.
            Target("happy", "binary", LabelRule("value", positive=(2,), negative=(0,)), label="induction"),
        ),
        mains_hz=50.0,
        longest_s=300.0,  # the longest of 132 walks lasts 269 s
        labels_public="yes",
        fixed_order=False,  # two orders, each of half of the subjects
        baseline=None,
        downloads=(
            # An archive that the site packs when asked for: its bytes may change while its files do not.
            Download(
                "https://github.com/juancq/emotion-recognition-walking-acc/archive/refs/heads/master.zip",
                "emotion-recognition-walking-acc-master.zip",
                sha256=None,
            ),
        ),
        verified_on_real={
            "by": "tests of this reader, on all 44 subjects with walks",
            "date": "2026-11-30",
            "fingerprint": "sha256 of user_study_encoding.csv e88961db95640c753b32e5a756a7657f"
            "24e370ab1561a951f08e9410e870fef7",
        },
    )

    def subjects(self) -> list[str]:
        """Return the subjects with a file of walks, by number."""
        found = sorted({file.subject for file in self._files}, key=_parse_number)
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex, age band and study."""
        return {**self._info.get(subject, {}), "study": STUDIES[self._file(subject).study]}

    def files(self, subject: str) -> list[Path]:
        """Return one subject's walks and the table of all subjects."""
        return [path for path in (self._file(subject).path, self._base / TABLE) if path.is_file()]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's three walks, in order."""
        person = self._person(subject)
        for order, rows in enumerate(_read_walks(self._file(subject), person)):
            start, stop = person.spans[order]
            yield Recording(
                id=f"{subject}_{order + 1}",
                subject=subject,
                stimulus=f"{STUDIES[person.study]}_{order + 1}",
                session="session",
                duration_s=float(stop - start),
                group=subject,
                start_s=float(start - person.spans[0, 0]),
                order=order,
                signals=_make_signals(rows, len(rows) / (stop - start), self.card),
                labels={"induction": Label("condition", np.array([float(person.order[order])]), classes=CLASSES)},
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, on what is odd in each subject's files, and on conflicts of
        questionnaire and table."""
        found = self.subjects()
        findings = files.collect_findings(found, PEOPLE, self._base, self._list_findings)
        if only := sorted(set(self._moods) - {*found, *PEOPLE}, key=_parse_number):
            what = f"answered the questionnaire, but have no walk in the release: {', '.join(only)}"
            findings.append(Finding("note", str(self._base / MOODS[0].parent), what))
        return findings

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        file, person = self._file(subject), self._person(subject)
        walks, where = _read_walks(file, person), str(file.path)
        lost = sum(int((~(rows[:, 8] > 0)).sum()) for rows in walks)
        if lost == sum(map(len, walks)):
            yield Finding("warning", where, "the heart rate is 0 throughout: the strap did not record, so no hr")
        elif lost:
            yield Finding("warning", where, f"{lost} samples of hr are missing")
        if missing := int((~np.isfinite(np.concatenate(walks)[:, 2:5])).any(axis=1).sum()):
            yield Finding("warning", where, f"{missing} samples of acc are missing")
        if subject not in self._moods:
            yield Finding("note", str(self._base / MOODS[0].parent), f"{subject} is not in the questionnaire")
            return
        stated, sent = self._moods[subject]
        written = f"{person.study.capitalize()}-{_name_order(person.order)}"
        if stated.lower() != written.lower():
            what = f"{subject} has the condition {stated} in the questionnaire, {written} in {TABLE} and the walks"
            yield Finding("warning", str(self._base / MOODS[0].parent), what)
        if (ahead_s := _compare_clocks(file, person, sent)) and abs(ahead_s) > CLOCKS_APART_S:
            what = f"the watch's clock is {ahead_s / 3600:.1f} h ahead of the questionnaire's"
            yield Finding("note", where, what)

    @cached_property
    def _base(self) -> Path:
        """Folder with the table: the root, or a folder inside it, as after unpacking an archive."""
        return files.find_data_folder(self.root, WALKS)

    @cached_property
    def _files(self) -> list[Walks]:
        """The files of walks, by name."""
        paths = sorted((self._base / WALKS).glob("*.csv"))
        named = [(path, match) for path in paths if (match := _FILE.fullmatch(path.name))]
        return [Walks(path, m[2].upper(), m[1].lower(), int(m[3]), int(m[4])) for path, m in named]

    def _file(self, subject: str) -> Walks:
        """Return the subject's file. Raises DataError for an unknown subject, or if there are two."""
        where = self._base / WALKS
        files.check_subject(subject, self.subjects(), where, expected=EXPECTED, hint=OBTAIN)
        file, *more = (file for file in self._files if file.subject == subject)
        if more:
            what = f"two files of {subject}: {file.path.name} and {more[0].path.name}"
            raise DataError(what, where=str(where), expected="one file of each subject", hint=OBTAIN)
        return file

    def _person(self, subject: str) -> Person:
        """Return the subject's row of the table. Raises DataError if it is missing or unreadable."""
        path = self._base / TABLE
        expected = "a row a subject: Mo-SNH or the like, then start and end of three walks, such as 13.16.29"
        row = self._table[self._table[COLUMNS[0]].astype(str).str.strip().str.upper() == subject]
        if len(row) != 1:
            raise DataError(f"{subject} has {len(row)} rows", where=str(path), expected=expected, hint=AGAIN)
        _, condition, *cells = (str(cell).strip() for cell in row.iloc[0])
        match, times = _CONDITION.fullmatch(condition), [_TIME.fullmatch(cell) for cell in cells]
        seconds = np.array([np.nan if t is None else int(t[1]) * 3600 + int(t[2]) * 60 + int(t[3]) for t in times])
        if match is None or not (np.diff(seconds) > 0).all():
            what = f"the row of {subject} is {', '.join((condition, *cells))}"
            raise DataError(what, where=str(path), expected=f"{expected}, each later than the one before", hint=AGAIN)
        return Person(match[1].lower(), ORDERS[match[2].upper()], seconds.reshape(3, 2))

    @cached_property
    def _table(self) -> pd.DataFrame:
        return files.read_text_table(
            self._base / TABLE, COLUMNS, expected=f"the columns {', '.join(COLUMNS)}", hint=AGAIN
        )

    @cached_property
    def _info(self) -> dict[str, dict[str, str]]:
        return files.read_subject_info(self._base / TABLE, (COLUMNS[0], "AGE", "SEX"))

    @cached_property
    def _moods(self) -> dict[str, tuple[str, str]]:
        """Subject -> (condition in the questionnaire, time of sending it); empty without the questionnaire."""
        moods = {}
        for path in (self._base / name for name in MOODS):
            if path.is_file():
                columns = ("Timestamp", "ID", "Condition")
                read = files.read_text_table(path, columns, expected="the answers to the questionnaire", hint=AGAIN)
                for sent, name, condition in read.dropna().astype(str).itertuples(index=False):
                    moods[name.strip().upper()] = condition.strip(), sent.strip()
        return moods


def _parse_number(subject: str) -> int:
    return int(re.sub(r"\D", "", subject) or 0)


def _name_order(order: tuple[int, ...]) -> str:
    return next(letters for letters, classes in ORDERS.items() if classes == order)


def _compare_clocks(file: Walks, person: Person, sent: str) -> float | None:
    """Return the seconds by which the watch's clock is ahead of the questionnaire's: the end of the last walk minus the
    time at which the answers were sent, within two minutes after it. None if the questionnaire has no time.

    A file's name has the day before the month and no year; the questionnaire has the month first.
    """
    try:
        when = datetime.strptime(sent, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
        midnight = when.replace(month=file.month, day=file.day, hour=0, minute=0, second=0)
    except ValueError:
        return None
    return (midnight - when).total_seconds() + float(person.spans[-1, -1])


def _read_walks(file: Walks, person: Person) -> list[np.ndarray]:
    """Return the rows (n, 9) of each walk in a file.

    Raises:
        DataError: it cannot be read, or its study, emotions or number of samples contradict the table.
    """
    path = file.path
    text = e4.read_text(path, hint=OBTAIN)
    data = e4.parse_rows(path, text, skip=int(text.startswith("#")))
    if data.shape[1] != 9:
        raise DataError(f"{data.shape[1]} columns", where=str(path), expected="9 columns", hint=AGAIN)
    codes = {name: float(code) for code, name in enumerate(STUDIES)}
    if {codes[file.study], codes[person.study], *data[:, 0].tolist()} != {codes[file.study]}:
        what = f"the name of the file, its first column and the table ({person.study}) are of several studies"
        raise DataError(what, where=str(path), expected="one study", hint=AGAIN)
    walks = np.split(data, np.flatnonzero(np.diff(data[:, 1])) + 1)
    emotions = [float(rows[0, 1]) for rows in walks]
    if emotions != [code - 1.0 for code in person.order]:
        listed = ", ".join(f"{code:g}" for code in emotions)
        what = f"the emotions are {listed}, the table says {_name_order(person.order)}"
        raise DataError(what, where=str(path), expected="three walks in the order of the table", hint=AGAIN)
    for number, (rows, (start, stop)) in enumerate(zip(walks, person.spans, strict=True), 1):
        if abs(len(rows) / (stop - start) - RATE) > RATE_OFF * RATE:
            what = f"walk {number} has {len(rows)} samples in {stop - start:.0f} s"
            raise DataError(what, where=str(path), expected=f"about {RATE} samples a second", hint=AGAIN)
    return walks


def _make_signals(rows: np.ndarray, rate: float, card: Card) -> dict[str, Signal]:
    """Return the signals of a walk's rows (n, 9), without heart rate if the strap did not record."""
    values = {"acc": files.to_float32(MS2_G * rows[:, 2:5].T)}
    pulse = np.where(rows[:, 8] > 0, rows[:, 8], np.nan)
    if np.isfinite(pulse).any():
        values["hr"] = files.to_float32(pulse[None])
    return {m: Signal(data, rate, card.modalities[m].channels, card.modalities[m].unit) for m, data in values.items()}
