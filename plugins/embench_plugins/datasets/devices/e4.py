"""Files of an Empatica E4 wristband: one csv for each signal, and the presses of its button.

Row 1 of a signal's file is its start, in unix seconds or as a date in UTC (`2013-02-24 12:23:49`). Row 2 is its rate in
Hz; samples follow. `ACC.csv` has three columns, in 1/64 g, and repeats start and rate in each. `tags.csv` holds one
press on each line, written like a start. `HR.csv` begins ten seconds late. `IBI.csv`, which is not read here, has the
start in its first row, then seconds since the start and the interval that ends there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Finding, ModalityCard
from embench.interfaces.recording import Signal
from embench_plugins.datasets.formats.files import to_float32

FILES = {"ppg": "BVP.csv", "eda": "EDA.csv", "temp": "TEMP.csv", "acc": "ACC.csv"}
OPTIONAL = ("acc",)
"""Modalities that a session may lack: some copies leave out the large accelerometer files."""
CARDS = {
    "ppg": ModalityCard(("bvp",), 64.0, "a.u."),
    "eda": ModalityCard(("eda",), 4.0, "uS"),
    "temp": ModalityCard(("temp",), 4.0, "degC"),
    "acc": ModalityCard(("x", "y", "z"), 32.0, "g"),
}
RATES = {1.0, *(card.rate for card in CARDS.values())}
"""Sampling rates in Hz that files of signals may have; `HR.csv` has 1."""

COUNT_G = 1 / 64
"""The wristband counts acceleration in 1/64 g."""

TOLERANCE_S = 30.0
"""Files of one session start and end within a few seconds of each other; a larger gap means a damaged file."""

ODD_FIRST = 1e6
"""A first sample is taken for a header if it is more than this many times the median of the others."""

_EARLIEST = 1e8
"""The earliest possible start of a recording, in unix seconds: smaller numbers in a first row are samples."""

_NUMBERS = "a csv file of numbers"
_AGAIN = "the file is damaged: copy it again from the release"


class Session(NamedTuple):
    """Signals cut to the segment that all of them cover, its start in unix seconds, and the seconds that were cut off
    the end of each signal."""

    signals: dict[str, Signal]
    start: float
    cut: dict[str, float]

    @property
    def duration_s(self) -> float:
        """Length of the segment in s."""
        return min(signal.duration_s for signal in self.signals.values())


def read_session(paths: Mapping[str, Path], *, hint: str, most: Mapping[str, int] | None = None) -> Session:
    """Return the signals that one wristband recorded in one session.

    Args:
        paths: modality of `CARDS` -> its file.
        hint: how to obtain the files, for errors.
        most: modality -> number of samples to read, if later ones are known to be wrong.

    Raises:
        DataError: a file is missing, is not an E4 file, or is of another session than the others.
    """
    read: dict[str, tuple[float, np.ndarray]] = {}
    for modality, path in paths.items():
        begin, data = read_signal(path, CARDS[modality], hint=hint)
        read[modality] = begin, data[:, : (most or {}).get(modality)]
    begins = {modality: begin for modality, (begin, _) in read.items()}
    ends = {modality: begin + data.shape[1] / CARDS[modality].rate for modality, (begin, data) in read.items()}
    start, stop = max(begins.values()), min(ends.values())
    # A truncated file, or one of another session, leaves a larger gap than a wristband does.
    gaps = {m: (begins[m] - min(begins.values()), max(ends.values()) - ends[m]) for m in read}
    for modality, (late, early) in gaps.items():
        if max(late, early) > TOLERANCE_S:
            raise DataError(
                f"begins {late:.0f} s after and ends {early:.0f} s before the subject's other files",
                where=str(paths[modality]),
                expected=f"files of one session, which begin and end within {TOLERANCE_S:.0f} s of each other",
                hint="the file is truncated or belongs to another session: copy the subject's folder again",
            )
    signals = {}
    for modality, (begin, data) in read.items():
        card = CARDS[modality]
        first = round((start - begin) * card.rate)
        data = data[:, first : first + int((stop - start) * card.rate)]
        if not data.size:
            raise _not_e4_error(paths[modality], card)
        signals[modality] = Signal(data, card.rate, card.channels, card.unit)
    return Session(signals, start, {modality: end - stop for modality, end in ends.items()})


def has_signal_files(folder: Path) -> bool:
    """Return True if a folder contains the file of at least one signal."""
    return any((folder / name).is_file() for name in FILES.values())


def read_folder(
    folder: Path, *, hint: str, without: Collection[str] = (), most: Mapping[str, int] | None = None
) -> Session:
    """Return the session in a folder, with all signals except those in `without`; see `read_session`."""
    paths = {modality: folder / name for modality, name in FILES.items() if modality not in without}
    existing = {modality: path for modality, path in paths.items() if modality not in OPTIONAL or path.is_file()}
    return read_session(existing, hint=hint, most=most)


def list_findings(where: str, recorded: Session) -> Iterator[Finding]:
    """Yield findings on what is missing or odd in a session."""
    if "acc" not in recorded.signals:
        yield Finding("note", where, "there is no ACC.csv, so no acc")
    if max(recorded.cut.values()) > 0:
        longest = max(recorded.cut, key=lambda modality: recorded.cut[modality])
        what = f"signals differ in length: up to {recorded.cut[longest]:.1f} s cut off ({longest})"
        yield Finding("note", where, what)
    for modality, signal in recorded.signals.items():
        if lost := int((~np.isfinite(signal.data)).any(axis=0).sum()):
            yield Finding("warning", where, f"{lost} samples of {modality} are missing")


def read_signal(path: Path, card: ModalityCard, *, hint: str) -> tuple[float, np.ndarray]:
    """Return a signal's start in unix seconds and its samples (channels, n), float32, in the card's unit.

    Raises:
        DataError: the file is missing, a line is malformed, or rate or number of columns differ from the card.
    """
    text = normalise_decimals(read_text(path, hint=hint))
    head = text.split("\n", 2)
    if len(head) < 3:
        raise _not_e4_error(path, card)
    starts = [parse_time(cell, path, 1) for cell in head[0].split(",")]
    if not _are_numbers(head[1]):
        raise _malformed_error(path, 2, head[1])
    rates = {float(cell) for cell in head[1].split(",")}
    data = parse_rows(path, text, skip=2)
    if data.shape[1] != len(card.channels):
        raise DataError(f"{data.shape[1]} columns", where=str(path), expected=f"{len(card.channels)}", hint=hint)
    if len(rates) == 1 and (rate := min(rates)) != card.rate:
        what = f"line 2: {rate:g} samples a second"
        hint = f"{hint}; if the file was resampled, describe it as `files` with its own rate"
        raise DataError(what, where=str(path), expected=f"{card.rate:g}, as an Empatica E4 records", hint=hint)
    if rates != {card.rate} or len(set(starts)) > 1:
        raise _not_e4_error(path, card)
    refuse_header(data, path, 3)
    return starts[0], scale_samples(data, card.unit)


def is_signal_file(path: Path) -> bool:
    """Return True if a file begins with a time, then a rate of `RATES`, each the same in all columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = normalise_decimals(f"{file.readline(200).strip()}\n{file.readline(200).strip()}\n").split("\n")[:2]
    times, rates = ([cell.strip() for cell in line.split(",")] for line in head)
    uniform = len(set(times)) == len(set(rates)) == 1 and len(times) == len(rates) in (1, len(CARDS["acc"].channels))
    if not uniform or not _are_numbers(rates[0]) or float(rates[0]) not in RATES:
        return False
    try:
        return parse_time(times[0], path, 1) > _EARLIEST
    except DataError:
        return False


def read_any_signal(path: Path) -> tuple[float, np.ndarray]:
    """Return the rate in Hz and the samples (n, columns) of any signal's file, unscaled.

    Raises:
        DataError: a line is malformed, or the rate is not a valid one.
    """
    text = normalise_decimals(read_text(path, hint=_AGAIN))
    head = text.split("\n", 2)
    if len(head) < 3 or not 0 < (rate := float(head[1].split(",")[0])) <= 1e6:
        raise DataError("no rate and no samples", where=str(path), expected="a time, a rate, then samples", hint=_AGAIN)
    data = parse_rows(path, text, skip=2)
    refuse_header(data, path, 3)
    return rate, data


def read_presses(path: Path) -> np.ndarray:
    """Return (n,) unix seconds at which the button was pressed, in the file's order; empty if the file is missing or
    empty. Raises DataError, which names a line that is not a time."""
    if not path.is_file() or not path.stat().st_size:
        return np.empty(0)
    rows = read_text(path, hint=_AGAIN).split("\n")
    return np.array([parse_time(row, path, line) for line, row in enumerate(rows, start=1)])


def scale_samples(data: np.ndarray, unit: str) -> np.ndarray:
    """Return rows of a file (n, channels) as (channels, n) float32 in the card's unit, NaN for non-finite values."""
    return to_float32(data.T * (COUNT_G if unit == "g" else 1.0))


def read_text(path: Path, *, hint: str) -> str:
    """Return the text of a file with line feeds only, without empty lines at its end. Raises DataError if the file is
    missing or empty, or an empty line is inside."""
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), expected=_NUMBERS, hint=hint)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        text = file.read().rstrip()
    if not text:
        raise DataError("the file is empty", where=str(path), expected=_NUMBERS, hint=_AGAIN)
    if text.startswith("\n") or "\n\n" in text:
        raise _malformed_error(path, text.split("\n").index("") + 1, "")
    return text


def normalise_decimals(text: str) -> str:
    """Return a signal's text with points in numbers and commas between columns. Spreadsheets may have written commas
    and semicolons instead; any other text is unchanged."""
    head = text.split("\n", 2)[:2]
    # In one column, `1709298305,000000` and `4,000000` are a start and a rate.
    decimal = all(re.fullmatch(r"\d+,\d+", line.strip()) and len(set(line.strip().split(","))) > 1 for line in head)
    return text.replace(",", ".").replace(";", ",") if ";" in head[0] or decimal else text


def parse_rows(path: Path, text: str, *, skip: int = 0) -> np.ndarray:
    """Return the lines of a text, apart from the first `skip`, as (n, columns) float64.

    Raises:
        DataError: a line is not numbers, or has another number of columns than the first; the error names the line.
    """
    try:
        return np.loadtxt(io.StringIO(text), delimiter=",", comments=None, ndmin=2, skiprows=skip)
    except ValueError:
        rows = text.split("\n")
        columns = rows[skip].count(",")
        wrong = [k for k in range(skip, len(rows)) if rows[k].count(",") != columns or not _are_numbers(rows[k])]
        first = wrong[0] if wrong else skip
        raise _malformed_error(path, first + 1, rows[first]) from None


def find_odd_first(samples: np.ndarray) -> float | None:
    """Return the median size of the samples (n,) if the first one is a million times as large; else None."""
    sizes = np.abs(samples)
    known = sizes[1:][np.isfinite(sizes[1:])]
    others = float(np.median(known)) if len(known) else np.inf
    return others if np.inf > sizes[0] > ODD_FIRST * max(others, 0.01) else None


def refuse_header(data: np.ndarray, path: Path, line: int) -> None:
    """Raise DataError if the first sample of `data` (n, channels) is a header, see `ODD_FIRST`."""
    if (others := find_odd_first(data[:, 0])) is not None:
        raise DataError(
            f"line {line}: the first sample is {data[0, 0]:.15g}, the others are {others:g} in the median: "
            "this is a header",
            where=str(path),
            expected="samples from this line on",
            hint=_AGAIN,
        )


def parse_time(text: str, path: Path, line: int) -> float:
    """Return the unix seconds of a time that a file states in unix seconds or as a date in UTC."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
            seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = np.nan
    if not 0 < seconds < 1e11:
        raise DataError(
            f"line {line}: not readable as a time: `{text[:40]}`",
            where=str(path),
            expected="unix seconds, or a date in UTC such as 2013-02-24 12:23:49",
            hint=_AGAIN,
        )
    return seconds


def _are_numbers(row: str) -> bool:
    try:
        return bool([float(cell) for cell in row.split(",")]) and "_" not in row  # Python reads 1_000
    except ValueError:
        return False


def _malformed_error(path: Path, line: int, row: str) -> DataError:
    what = f"line {line}: not readable as numbers: `{row[:40]}`"
    return DataError(what, where=str(path), expected=_NUMBERS, hint=_AGAIN)


def _not_e4_error(path: Path, card: ModalityCard) -> DataError:
    return DataError(
        "this is not an Empatica E4 file, or it has no samples",
        where=str(path),
        expected=f"row 1 the start in unix seconds or as a date, row 2 the rate ({card.rate:g} Hz), then samples",
        hint="copy the file again from the release",
    )
