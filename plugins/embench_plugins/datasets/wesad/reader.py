"""WESAD (Schmidt et al. 2018): baseline, stress, amusement and meditation, with a wristband and a chest belt.

Reads `S2/S2.pkl` and so on, in which the release has both devices on one clock: `label`, a code for each chest sample,
and `signal`, with `chest` (700 Hz) and `wrist` (64, 32 and 4 Hz). The variants `wesad` (wrist) and `wesad/chest` each
read one device. The devices' own files (`S2_respiban.txt`, `S2_E4_Data.zip`) are not needed.

Questionnaires: `S2_quest.csv` holds a row for each condition, in the order of its row ORDER. Its times count from the
start of the belt's own file, of which the pickle is a part, so only `label` gives the times of conditions. Answers are
assigned to the stretches of `label` in order of time, the first meditation's to its first stretch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.pickles import load_pickle
from embench_plugins.datasets.formats.ratings import make_binary_targets, make_scale_targets

# The questionnaires of WESAD's subjects after each condition: `SX_quest.csv`, whose rows have different lengths.

CONDITIONS = ("baseline", "stress", "amusement", "meditation")
NAMES = {"base": 0, "tsst": 1, "fun": 2, "medi1": 3, "medi2": 3}
"""Name of a condition in the file, in lower case without spaces -> position in `CONDITIONS`."""
READING = ("bread", "fread", "sread")  # reading before, after amusement, after stress, without questionnaires
SAM = (1.0, 9.0)
EXPECTED_REPORT = (
    "rows of cells parted by `;`: # Subj, # ORDER, # START, # END, five # PANAS, # STAI and # DIM, one # SSSQ"
)
HINT = "copy the subject's folder again from the release, or take the file away: then there is no valence and arousal"


class Report(NamedTuple):
    """Answers about one condition, given by its position in `CONDITIONS`; NaN for a question that was not answered.
    `start_s` and `stop_s` count from the start of the belt's own file, not from the pickle's; NaN if unreadable."""

    condition: int
    start_s: float
    stop_s: float
    valence: float
    arousal: float
    panas: tuple[float, ...] = ()
    stai: tuple[float, ...] = ()
    sssq: tuple[float, ...] = ()

    def list_faults(self) -> Iterator[str]:
        """Yield a sentence for each questionnaire with too few or too many answers, or answers off its scale."""
        counts = {"PANAS": (24, 26), "STAI": (6,), "SSSQ": (6,) if self.condition == 1 else (0,)}
        tops = {"PANAS": 5, "STAI": 4, "SSSQ": 5}
        if not self.start_s < self.stop_s:
            yield f"{CONDITIONS[self.condition]}: START and END are not minutes and seconds, or not in order"
        for name, answers in (("PANAS", self.panas), ("STAI", self.stai), ("SSSQ", self.sssq)):
            where = f"{name} after {CONDITIONS[self.condition]}"
            if len(answers) not in counts[name]:
                yield f"{where}: {len(answers)} answers, not {' or '.join(map(str, counts[name]))}"
            if any(not 1 <= answer <= tops[name] for answer in answers):
                yield f"{where}: not answered, or with values outside 1 to {tops[name]}"


def read_reports(path: Path, subject: str) -> list[Report]:
    """Return the reports of a subject in order of time.

    Raises:
        DataError: the file is not such a file, is another subject's, or lacks a row of valence and arousal.
    """
    rows = _read_rows(path)
    named = "".join(rows.get("subj", [[subject]])[0][:1])
    if named != subject:
        raise _report_error(path, f"row # Subj names {named[:20] or 'nobody'}, not {subject}")
    if "order" not in rows:
        raise _report_error(path, "there is no row # ORDER")
    columns = [(column, name.lower().replace(" ", "")) for column, name in enumerate(rows["order"][0]) if name]
    if unknown := [name for _, name in columns if name not in NAMES and name not in READING]:
        raise _report_error(path, f"row # ORDER names `{unknown[0][:20]}`")
    real = [(column, NAMES[name]) for column, name in columns if name in NAMES]
    ratings = rows.get("dim", [])
    if len(ratings) != len(real):
        raise _report_error(path, f"{len(ratings)} rows # DIM for {len(real)} conditions")
    reports = []
    for number, (column, condition) in enumerate(real):
        valence, arousal = _parse_numbers([*ratings[number], "", ""][:2], path, "# DIM")
        if any(value < SAM[0] or value > SAM[1] for value in (valence, arousal)):
            raise _report_error(path, f"row # DIM {number + 1} has {valence:g} and {arousal:g}, not 1 to 9")
        reports.append(
            Report(
                condition,
                _read_time(rows, "start", column),
                _read_time(rows, "end", column),
                valence,
                arousal,
                panas=_read_answers(rows, "panas", number, path),
                stai=_read_answers(rows, "stai", number, path),
                sssq=_read_answers(rows, "sssq", 0, path) if condition == 1 else (),
            )
        )
    return reports


def parse_seconds(text: str) -> float:
    """Return a time of the file in s. It has minutes, a point, and two-digit seconds without a trailing zero: `50.3` is
    50 min 30 s.

    Raises:
        ValueError: it is not such a time.
    """
    minutes, _, rest = text.partition(".")
    part = int((rest or "0").ljust(2, "0"))
    if len(rest) > 2 or not 0 <= part < 60:
        raise ValueError(f"`{text}` is not a time in minutes and seconds")
    return 60.0 * int(minutes) + part


def _report_error(path: Path, what: str) -> DataError:
    return DataError(what, where=str(path), expected=EXPECTED_REPORT, hint=HINT)


def _read_rows(path: Path) -> dict[str, list[list[str]]]:
    """Return first cell of a row, in lower case without `#` -> the other cells of each such row."""
    rows: dict[str, list[list[str]]] = {}
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise _report_error(path, f"not readable: {error}") from error
    for line in text.splitlines():
        first, *cells = (cell.strip().strip('"') for cell in line.split(";"))
        if name := first.lstrip("# ").lower():
            rows.setdefault(name, []).append(cells)
    return rows


def _parse_numbers(cells: list[str], path: Path, what: str) -> list[float]:
    try:
        return [float(cell) if cell else math.nan for cell in cells]
    except ValueError as error:
        raise _report_error(path, f"row {what} has a cell that is not a number: {error}"[:120]) from error


def _read_answers(rows: dict[str, list[list[str]]], name: str, number: int, path: Path) -> tuple[float, ...]:
    """Return the answers in a questionnaire's row, without the empty cells at its end."""
    named_rows = rows.get(name, [])
    cells = list(named_rows[number]) if number < len(named_rows) else []
    while cells and not cells[-1]:
        cells.pop()
    return tuple(_parse_numbers(cells, path, f"# {name.upper()}"))


def _read_time(rows: dict[str, list[list[str]]], name: str, column: int) -> float:
    cells = rows.get(name, [[]])[0]
    try:
        return parse_seconds(cells[column])
    except (IndexError, ValueError):
        return math.nan  # these times are only checked, so an unreadable one is reported by `verify`


# The reader.

PEOPLE = tuple(f"S{number}" for number in range(2, 18) if number != 12)
LABEL_RATE = 700
CLASS_OF_CODE = np.array([np.nan, 0, 1, 2, 3, np.nan, np.nan, np.nan])
"""Class of each code 0 to 7: codes 1 to 4 are the conditions, 0 is between them, 5 to 7 are to be ignored."""
TOLERANCE_S = 1.0
TOLERANCE_QUEST_S = 30.0
KEYS: Mapping[str, Mapping[str, str]] = {
    "wrist": {"ppg": "BVP", "eda": "EDA", "temp": "TEMP", "acc": "ACC"},
    "chest": {"ecg": "ECG", "eda": "EDA", "emg": "EMG", "resp": "Resp", "temp": "Temp", "acc": "ACC"},
}

URL = "https://uni-siegen.sciebo.de/s/HGdUkoNlW1Ub0Gx/download"
OBTAIN = (
    f"embench data fetch wesad, or get the archive (about 2.5 GB) from {URL} and unpack it; "
    "the one that UCI serves (id 465) has a link only"
)
EXPECTED = "S2/S2.pkl to S17/S17.pkl, here or in a folder WESAD"
CONTENT = "a dict of `subject`, `label` (a code for each chest sample) and `signal`, with `chest` and `wrist`"
AGAIN = "the file is damaged or not the release's: copy the subject's folder again"


class _Session(NamedTuple):
    """One device's part of a pickle: its signals, the condition's `codes` (N,) at 700 Hz, and findings for `verify`."""

    signals: dict[str, Signal]
    codes: np.ndarray
    duration_s: float
    remarks: list[Finding]


class Wesad(Dataset):
    """Reader of the wristband. A recording is a subject's whole session; its time 0 is the pickle's first sample."""

    device: ClassVar = "wrist"
    card = Card(
        name="wesad",
        title="WESAD, wristband",
        citation="Schmidt et al., Introducing WESAD, a Multimodal Dataset for Wearable Stress and Affect Detection, "
        "ICMI 2018",
        doi="10.1145/3242969.3242985",
        licence="scientific, non-commercial use, with citation",
        obtain=OBTAIN,
        modalities=e4.CARDS,
        default_modalities=("ppg", "eda", "temp"),
        targets=(
            # `majority` ignores seconds without a code. A unit at a condition's edge thus gets its label, which is
            # right: codes begin and end about 10 s inside the condition.
            Target("stress", "binary", LabelRule("majority", positive=(1,), negative=(0, 2)), label="condition"),
            Target("condition3", "classes", LabelRule("majority", classes=(0, 1, 2)), label="condition", n=3),
            Target("condition4", "classes", LabelRule("majority"), label="condition", n=4),
            # 5 is the middle of the scale, neither high nor low. Subjects often choose it, also after the stress test
            # (4 of 15, valence), so ties have no label.
            *make_binary_targets(("valence", "arousal"), LabelRule("mean", cut=5.0, ties="drop"), (1, 9)),
            *make_scale_targets(("valence", "arousal"), LabelRule("mean"), (1, 9)),
        ),
        default_targets=("stress",),
        mains_hz=50.0,
        longest_s=7200.0,  # the longest of the release, S6, lasts 7,071 s
        labels_public="no",  # the terms say nothing of passing parts on
        # The baseline comes first for all subjects, and there are only two orders: time predicts most labels.
        fixed_order=True,
        # Rest has no fixed time: the baseline begins when the devices are on, minutes into the file.
        baseline=None,
        downloads=(Download(URL, "WESAD.zip", sha256=None),),
    )

    def subjects(self) -> list[str]:
        """Return the release's subjects whose pickle exists."""
        folders = self._folders()
        found = [person for person in PEOPLE if _find_pickle(folders.get(person)) is not None]
        if not found:
            raise self._no_subjects_error(folders)
        return found

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex, age band and handedness from `SX_readme.txt`; empty if the file is missing."""
        path = self._file(subject, "_readme.txt")
        text = path.read_text("utf-8-sig", errors="replace") if path.is_file() else ""
        lines = {
            name.strip().lower(): value.strip().lower() for name, value in re.findall(r"(?m)^([^:\n]+):(.*)$", text)
        }
        info = {"sex": lines.get("gender", ""), "handedness": lines.get("dominant hand", "")}
        if re.fullmatch(r"\d{2}", age := lines.get("age", "")):
            info["age_band"] = f"{age[0]}0-{age[0]}9"
        return {name: value for name, value in info.items() if value}

    def files(self, subject: str) -> list[Path]:
        """Return the subject's pickle and questionnaires."""
        return [path for path in (self._file(subject, ".pkl"), self._file(subject, "_quest.csv")) if path.is_file()]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's one session. Reading the longest pickle takes about 1 GB of memory for a while."""
        session = self._session(subject)
        condition = _find_conditions(session.codes, session.duration_s)
        labels = {"condition": Label("condition", condition, np.arange(len(condition), dtype=np.float64), CONDITIONS)}
        labels |= _spread_ratings(condition, self._reports(subject))
        yield files.make_session_recording(subject, session.duration_s, session.signals, labels)

    def verify(self) -> list[Finding]:
        """Return findings on missing and unknown subjects, and on missing or unusual parts of each subject's files."""
        folders, found = self._folders(), self.subjects()
        others = [name for name in folders if name not in PEOPLE]
        unread = [name for name in PEOPLE if name in folders and name not in found]
        findings = [Finding("warning", str(folders[one]), f"{one} is not of the release: left out") for one in others]
        findings += [Finding("warning", str(folders[one]), f"there is no {one}.pkl: left out") for one in unread]
        if missing := [person for person in PEOPLE if person not in folders]:
            findings.append(Finding("note", str(self.root), f"not here: {', '.join(missing)}"))
        return findings + files.collect_findings(found, found, self.root, self._list_findings)

    def _folders(self) -> dict[str, Path]:
        """Return subject -> its folder, such as `S2`, in the root. If the root has none, they are searched in a folder
        `WESAD` inside it, and so on downwards."""
        parents = [self.root] if self.root.is_dir() else []
        while parents:
            inside = [path for folder in parents for path in sorted(folder.iterdir()) if path.is_dir()]
            if found := {path.name: path for path in inside if re.fullmatch(r"S[1-9]\d?", path.name)}:
                return found
            parents = [path for path in inside if path.name.lower() == "wesad"]
        return {}

    def _no_subjects_error(self, folders: Mapping[str, Path]) -> DataError:
        """Return the error for a folder without subjects, with the likely reason."""
        hint = OBTAIN
        if folders:
            what = f"the folders {', '.join(list(folders)[:3])} have no pickle of their subject (S2/S2.pkl)"
            hint = "the devices' own files don't contain the conditions: copy the pickles of the release too"
        elif table := _find_merged_table(self.root):
            what = f"{table} is a re-upload in one table, with other codes and without rates, not the release"
        elif (self.root / "WESAD.txt").is_file():
            what = "this is UCI's archive, which has a link to the dataset and no data"
        else:
            return files.missing_dataset_error(self.root, "WESAD", expected=EXPECTED, hint=OBTAIN)
        return DataError(what, where=str(self.root), expected=EXPECTED, hint=hint)

    def _file(self, subject: str, ending: str) -> Path:
        files.check_subject(subject, self.subjects(), self.root, expected=EXPECTED, hint=OBTAIN)
        return self._folders()[subject] / f"{subject}{ending}"

    def _reports(self, subject: str) -> list[Report]:
        path = self._file(subject, "_quest.csv")
        return read_reports(path, subject) if path.is_file() else []

    def _session(self, subject: str) -> _Session:
        """Return one device's part of a subject's pickle. Raises DataError if the pickle is not as released."""
        path = self._file(subject, ".pkl")
        content = _lower_keys(load_pickle(path, expected=CONTENT, hint=AGAIN), path, "the pickle")
        if "subject" in content and _describe_text(content["subject"]).removeprefix("S") != subject[1:]:
            raise _session_error(
                path, f"its `subject` is {_describe_text(content['subject'])}", f"{subject}, as the file is named"
            )
        if missing := {"label", "signal"} - set(content):
            raise _session_error(
                path, f"there is no {' and no '.join(sorted(missing))} in it, but {', '.join(content)}", CONTENT
            )
        devices = _lower_keys(content.pop("signal"), path, "`signal`")
        if self.device not in devices:
            what = f"there is no {self.device} in it, but {', '.join(devices)}: somebody wrote it again in parts"
            raise _session_error(path, what, CONTENT)
        codes, remarks = _check_codes(content["label"], path), list[Finding]()
        chest = _lower_keys(devices["chest"], path, "`chest`") if "chest" in devices else {}
        if not chest:
            what = "there is no chest in it, so the codes' rate is checked against the wristband only"
            remarks.append(Finding("note", str(path), what))
        lengths = {key: len(value) for key, value in chest.items() if isinstance(value, np.ndarray) and value.ndim}
        if other := {key: count for key, count in lengths.items() if count != len(codes)}:
            key = next(iter(other))
            what = f"`label` has {len(codes)} values and chest {key} {other[key]} samples"
            raise _session_error(path, what, "a code for each chest sample, at 700 Hz, as released")
        arrays = _lower_keys(devices.pop(self.device), path, f"`{self.device}`")
        content, devices, chest = {}, {}, {}  # free the other device's arrays, up to 300 MB
        signals: dict[str, Signal] = {}
        for modality, key in KEYS[self.device].items():
            where = f"{self.device} {key}"
            signal = self._signal(arrays.pop(key.lower(), None), modality, path, where)
            if signal is None:
                remarks.append(Finding("warning", str(path), f"no {where}, so no {modality}"))
                continue
            signals[modality] = signal
            if abs(signal.duration_s - len(codes) / LABEL_RATE) > TOLERANCE_S:
                what = f"{where} lasts {signal.duration_s:.0f} s, `label` {len(codes) / LABEL_RATE:.0f} s"
                raise _session_error(path, what, f"{signal.rate:g} and {LABEL_RATE} values a second, of one session")
            if lost := int((~np.isfinite(signal.data)).any(axis=0).sum()):
                remarks.append(Finding("warning", str(path), f"{lost} samples of {where} are missing"))
        if not signals:
            raise _session_error(path, f"there is nothing of the {self.device} in it", CONTENT)
        remarks += _note_odd_units(str(path), signals)
        duration = min([len(codes) / LABEL_RATE, *(signal.duration_s for signal in signals.values())])
        if not 1 <= duration <= self.card.longest_s:
            raise _session_error(path, f"the session lasts {duration:.0f} s", f"up to {self.card.longest_s:.0f} s")
        return _Session(signals, codes, duration, remarks)

    def _signal(self, values: Any, modality: str, path: Path, where: str) -> Signal | None:
        """Return an array of the pickle (n, channels) as a signal; None if it is missing, or nothing was recorded."""
        if values is None:
            return None
        card = self.card.modalities[modality]
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
            raise _session_error(
                path, f"{where} is not an array of numbers", f"an array (samples, {len(card.channels)})"
            )
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != len(card.channels):
            raise _session_error(path, f"{where} has shape {values.shape}", f"(samples, {len(card.channels)})")
        data = files.to_float32(values.T)
        if self.device == "wrist" and modality == "acc":
            data *= np.float32(e4.COUNT_G)  # the belt's is in g already
        if not np.nan_to_num(data).any():
            return None
        return Signal(data, card.rate, card.channels, card.unit)

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        where, session = str(self._file(subject, ".pkl")), self._session(subject)
        yield from session.remarks
        condition = _find_conditions(session.codes, session.duration_s)
        stretches = _find_stretches(condition)
        if missing := [name for index, name in enumerate(CONDITIONS) if not (condition == index).any()]:
            yield Finding("warning", where, f"no second of it is {' or '.join(missing)}")
        if not self._file(subject, "_readme.txt").is_file():
            yield Finding("note", where, "there is no readme beside it, so nothing is known of the subject")
        quest = str(self._file(subject, "_quest.csv"))
        if not Path(quest).is_file():
            yield Finding("note", quest, "the file is missing, so no valence and no arousal")
            return
        reports = self._reports(subject)
        for report in reports:
            yield from (Finding("warning", quest, what) for what in report.list_faults())
        if [index for index, _ in stretches] != [report.condition for report in reports]:
            played = ", ".join(CONDITIONS[index] for index, _ in stretches)
            yield Finding("warning", quest, f"its order is not that of the conditions in the pickle: {played}")
            return
        ahead = np.array([report.start_s - seconds[0] for report, (_, seconds) in zip(reports, stretches, strict=True)])
        if len(ahead) and np.isfinite(ahead).all():
            yield Finding("note", quest, f"its times run {np.median(ahead):.0f} s ahead of the pickle's")
            if np.ptp(ahead) > TOLERANCE_QUEST_S:
                what = "its conditions begin at other distances from each other than the pickle's"
                yield Finding("warning", quest, what)


class WesadChest(Wesad):
    """Reader of the chest belt, for the same sessions and subjects as `Wesad`."""

    device: ClassVar = "chest"
    card = replace(
        Wesad.card,
        name="wesad/chest",
        title="WESAD, chest belt",
        modalities={
            "ecg": ModalityCard(("ecg",), 700.0, "mV"),
            "eda": ModalityCard(("eda",), 700.0, "uS"),
            "emg": ModalityCard(("emg",), 700.0, "mV"),
            "resp": ModalityCard(("resp",), 700.0, "%"),
            "temp": ModalityCard(("temp",), 700.0, "degC"),
            "acc": ModalityCard(("x", "y", "z"), 700.0, "g"),
        },
        default_modalities=("ecg", "eda", "resp"),
    )


def _session_error(path: Path, what: str, expected: str) -> DataError:
    return DataError(what, where=str(path), expected=expected, hint=AGAIN)


def _find_pickle(folder: Path | None) -> Path | None:
    path = folder / f"{folder.name}.pkl" if folder else None
    return path if path and path.is_file() else None


def _find_merged_table(root: Path) -> str | None:
    """Return the name of a CSV file with all signals and labels, as in unofficial copies; None without it."""
    for path in sorted(root.glob("*.csv")) if root.is_dir() else []:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            if {"label", "EDA", "TEMP"} <= {name.strip() for name in lines.readline(1000).split(",")}:
                return path.name
    return None


def _describe_text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _lower_keys(value: Any, path: Path, what: str) -> dict[str, Any]:
    """Return a dict with lowercase keys: the release spells the belt's `Temp` and the wristband's `TEMP`."""
    if not isinstance(value, dict):
        raise _session_error(path, f"{what} is not a dict, but {type(value).__name__}", CONTENT)
    return {_describe_text(key).lower(): item for key, item in value.items()}


def _check_codes(values: Any, path: Path) -> np.ndarray:
    """Return (N,) int8, 0 to 7; whole numbers that are stored as floats are fine."""
    expected = "whole numbers 0 to 7, one for each chest sample"
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "iuf"
        or values.size != max(values.shape, default=0)
    ):
        raise _session_error(path, "`label` is not a row of numbers", expected)
    values = values.reshape(-1)
    odd = values[~np.isin(values, np.arange(len(CLASS_OF_CODE)))][:1]
    if odd.size:
        raise _session_error(path, f"`label` contains {odd[0]}", expected)
    return values.astype(np.int8)


def _find_conditions(codes: np.ndarray, duration_s: float) -> np.ndarray:
    """Return the class (seconds,) of each whole second. It is NaN if the code is of no condition or changes."""
    seconds = min(int(duration_s), len(codes) // LABEL_RATE)
    rows = codes[: seconds * LABEL_RATE].reshape(seconds, LABEL_RATE)
    return np.where((rows == rows[:, :1]).all(axis=1), CLASS_OF_CODE[rows[:, 0]], np.nan)


def _find_stretches(condition: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return (condition, its seconds) of each stretch, in order of time. A gap does not end a stretch."""
    seconds = np.flatnonzero(np.isfinite(condition))
    parts = np.split(seconds, np.flatnonzero(np.diff(condition[seconds])) + 1) if len(seconds) else []
    return [(int(condition[part[0]]), part) for part in parts]


def _spread_ratings(condition: np.ndarray, reports: list[Report]) -> dict[str, Label]:
    """Return valence and arousal for every second of the conditions that the subject rated.

    A condition with another number of reports than of stretches has no ratings, as they cannot be assigned.
    """
    if not reports:
        return {}
    values = np.full((2, len(condition)), np.nan)
    stretches = _find_stretches(condition)
    for index in range(len(CONDITIONS)):
        occurrences = [seconds for other, seconds in stretches if other == index]
        own_reports = [report for report in reports if report.condition == index]
        if len(occurrences) == len(own_reports):
            for seconds, report in zip(occurrences, own_reports, strict=True):
                values[:, seconds] = np.array([[report.valence], [report.arousal]])
    times = np.arange(len(condition), dtype=np.float64)
    return {name: Label("continuous", row, times) for name, row in zip(("valence", "arousal"), values, strict=True)}


def _note_odd_units(where: str, signals: Mapping[str, Signal]) -> Iterator[Finding]:
    """Yield a finding if the size of gravity in the acceleration shows another measurement unit."""
    sizes = np.linalg.norm(signals["acc"].data, axis=0) if "acc" in signals else np.empty(0)
    sizes = sizes[np.isfinite(sizes)]
    if len(sizes) and not 0.5 < (size := float(np.median(sizes))) < 2:
        what = f"acceleration is {size:.3g} g in the median, where gravity alone is 1 g: another unit?"
        yield Finding("warning", where, what)
