"""Files of an Empatica E4 wristband: one csv a signal, and the presses of its button.

Row 1 of a signal's file is its start, in unix seconds or as a date in UTC (`2013-02-24 12:23:49`), row 2 its rate in
Hz, then come the samples; `ACC.csv` has three columns, in 1/64 g, and repeats start and rate in each. `tags.csv` holds
the time of one press a line, written like a start. `HR.csv` begins ten seconds late. `IBI.csv`, which nothing here
reads, has the start in its first row, then seconds since the start and the interval that ends there.
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
from embench_plugins.datasets.formats.files import as_float32

FILES = {"ppg": "BVP.csv", "eda": "EDA.csv", "temp": "TEMP.csv", "acc": "ACC.csv"}
OPTIONAL = ("acc",)
"""Some copies leave the large accelerometer files out."""
CARDS = {
    "ppg": ModalityCard(("bvp",), 64.0, "a.u."),
    "eda": ModalityCard(("eda",), 4.0, "uS"),
    "temp": ModalityCard(("temp",), 4.0, "degC"),
    "acc": ModalityCard(("x", "y", "z"), 32.0, "g"),
}
RATES = {1.0, *(card.rate for card in CARDS.values())}
"""Of all signals' files, `HR.csv` among them."""

COUNT_G = 1 / 64
"""The wristband counts acceleration in 1/64 g."""

TOLERANCE_S = 30.0
"""Files of one session start and end within a few seconds of each other; a larger gap means a damaged file."""

ODD_FIRST = 1e6
"""A first sample that is so many times as large as the others is no sample but a header."""

_EARLIEST = 1e8
"""Unix seconds before which no wristband recorded: smaller numbers in a first row are samples."""

_NUMBERS = "a csv file of numbers"
_AGAIN = "the file is damaged: copy it again from the release"


class Session(NamedTuple):
    """Signals cut to the segment that they share, its start in unix seconds, and the seconds cut off each at the
    end."""

    signals: dict[str, Signal]
    start: float
    cut: dict[str, float]

    @property
    def duration_s(self) -> float:
        """Length of the shared segment in s."""
        return min(signal.duration_s for signal in self.signals.values())


def session(paths: Mapping[str, Path], *, hint: str, most: Mapping[str, int] | None = None) -> Session:
    """What one wristband recorded in one session.

    Args:
        paths: modality, of `CARDS` -> its file.
        hint: how the files are obtained, for errors.
        most: samples of a modality that are its own, where later ones are known to be none.

    Raises:
        DataError: a file is missing, is no such file, or is of another session than the others.
    """
    read: dict[str, tuple[float, np.ndarray]] = {}
    for modality, path in paths.items():
        begin, data = samples(path, CARDS[modality], hint=hint)
        read[modality] = begin, data[:, : (most or {}).get(modality)]
    begins = {modality: begin for modality, (begin, _) in read.items()}
    ends = {modality: begin + data.shape[1] / CARDS[modality].rate for modality, (begin, data) in read.items()}
    start, stop = max(begins.values()), min(ends.values())
    # A file cut short, or put here from another session, shows as a gap that no wristband leaves.
    gaps = {m: (begins[m] - min(begins.values()), max(ends.values()) - ends[m]) for m in read}
    for modality, (late, early) in gaps.items():
        if max(late, early) > TOLERANCE_S:
            raise DataError(
                f"begins {late:.0f} s after and ends {early:.0f} s before the person's other files",
                where=str(paths[modality]),
                expected=f"files of one session, which begin and end within {TOLERANCE_S:.0f} s of each other",
                hint="the file is truncated or belongs to another session: copy the person's folder again",
            )
    signals = {}
    for modality, (begin, data) in read.items():
        card = CARDS[modality]
        first = round((start - begin) * card.rate)
        data = data[:, first : first + int((stop - start) * card.rate)]
        if not data.size:
            raise _no_e4(paths[modality], card)
        signals[modality] = Signal(data, card.rate, card.channels, card.unit)
    return Session(signals, start, {modality: end - stop for modality, end in ends.items()})


def is_session(folder: Path) -> bool:
    """Whether a folder has any file of a signal."""
    return any((folder / name).is_file() for name in FILES.values())


def in_folder(
    folder: Path, *, hint: str, without: Collection[str] = (), most: Mapping[str, int] | None = None
) -> Session:
    """The session in a folder, of all signals but those `without`; see `session`."""
    paths = {modality: folder / name for modality, name in FILES.items() if modality not in without}
    there = {modality: path for modality, path in paths.items() if modality not in OPTIONAL or path.is_file()}
    return session(there, hint=hint, most=most)


def look(where: str, recorded: Session) -> Iterator[Finding]:
    """What is missing or odd in a session."""
    if "acc" not in recorded.signals:
        yield Finding("note", where, "there is no ACC.csv, so no acc")
    if max(recorded.cut.values()) > 0:
        longest = max(recorded.cut, key=lambda modality: recorded.cut[modality])
        what = f"signals differ in length: up to {recorded.cut[longest]:.1f} s cut off ({longest})"
        yield Finding("note", where, what)
    for modality, signal in recorded.signals.items():
        if lost := int((~np.isfinite(signal.data)).any(axis=0).sum()):
            yield Finding("warning", where, f"{lost} samples of {modality} are missing")


def samples(path: Path, card: ModalityCard, *, hint: str) -> tuple[float, np.ndarray]:
    """One signal's file: its start in unix seconds and its samples (channels, n) in the card's unit, float32.

    Raises:
        DataError: the file is missing, a line is malformed, or it has another rate or number of columns than the card.
    """
    text = with_points(content(path, hint=hint))
    head = text.split("\n", 2)
    if len(head) < 3:
        raise _no_e4(path, card)
    starts = [moment(cell, path, 1) for cell in head[0].split(",")]
    if not _are_numbers(head[1]):
        raise _malformed(path, 2, head[1])
    rates = {float(cell) for cell in head[1].split(",")}
    data = numbers(path, text, skip=2)
    if data.shape[1] != len(card.channels):
        raise DataError(f"{data.shape[1]} columns", where=str(path), expected=f"{len(card.channels)}", hint=hint)
    if len(rates) == 1 and (rate := min(rates)) != card.rate:
        what = f"line 2: {rate:g} samples a second"
        hint = f"{hint}; if the file was resampled, describe it as `files` with its own rate"
        raise DataError(what, where=str(path), expected=f"{card.rate:g}, as an Empatica E4 records", hint=hint)
    if rates != {card.rate} or len(set(starts)) > 1:
        raise _no_e4(path, card)
    refuse_header(data, path, 3)
    return starts[0], as_signal(data, card.unit)


def is_export(path: Path) -> bool:
    """Whether a file begins as one of a signal does: with a time, then a rate, alike in all columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = with_points(f"{file.readline(200).strip()}\n{file.readline(200).strip()}\n").split("\n")[:2]
    times, rates = ([cell.strip() for cell in line.split(",")] for line in head)
    alike = len(set(times)) == len(set(rates)) == 1 and len(times) == len(rates) in (1, len(CARDS["acc"].channels))
    if not alike or not _are_numbers(rates[0]) or float(rates[0]) not in RATES:
        return False
    try:
        return moment(times[0], path, 1) > _EARLIEST
    except DataError:
        return False


def export(path: Path) -> tuple[float, np.ndarray]:
    """The rate in Hz and the samples (n, columns) of any signal's file, as it holds them.

    Raises:
        DataError: a line is malformed, or the rate is none.
    """
    text = with_points(content(path, hint=_AGAIN))
    head = text.split("\n", 2)
    if len(head) < 3 or not 0 < (rate := float(head[1].split(",")[0])) <= 1e6:
        raise DataError("no rate and no samples", where=str(path), expected="a time, a rate, then samples", hint=_AGAIN)
    data = numbers(path, text, skip=2)
    refuse_header(data, path, 3)
    return rate, data


def presses(path: Path) -> np.ndarray:
    """(n,) unix seconds at which the button was pressed, in the file's order; none where there is no file, or an empty
    one. Raises DataError that names the line that holds no time."""
    if not path.is_file() or not path.stat().st_size:
        return np.empty(0)
    rows = content(path, hint=_AGAIN).split("\n")
    return np.array([moment(row, path, line) for line, row in enumerate(rows, start=1)])


def as_signal(data: np.ndarray, unit: str) -> np.ndarray:
    """Rows of a file (n, channels) as (channels, n) float32 in the card's unit; what is no number is NaN."""
    return as_float32(data.T * (COUNT_G if unit == "g" else 1.0))


def content(path: Path, *, hint: str) -> str:
    """A text with line feeds alone, without empty lines at its end. Raises DataError where it is missing, empty, or has
    an empty line in between."""
    if not path.is_file():
        raise DataError("the file is missing", where=str(path), expected=_NUMBERS, hint=hint)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        text = file.read().rstrip()
    if not text:
        raise DataError("the file is empty", where=str(path), expected=_NUMBERS, hint=_AGAIN)
    if text.startswith("\n") or "\n\n" in text:
        raise _malformed(path, text.split("\n").index("") + 1, "")
    return text


def with_points(text: str) -> str:
    """A signal's text with points in its numbers and commas between its columns, where a spreadsheet has written commas
    and semicolons; any other text as it is."""
    head = text.split("\n", 2)[:2]
    # In one column, `1709298305,000000` and `4,000000` are a start and a rate.
    decimal = all(re.fullmatch(r"\d+,\d+", line.strip()) and len(set(line.strip().split(","))) > 1 for line in head)
    return text.replace(",", ".").replace(";", ",") if ";" in head[0] or decimal else text


def numbers(path: Path, text: str, *, skip: int = 0) -> np.ndarray:
    """The lines of a file, whose `content` is known, as (n, columns) float64, but for the first `skip`.

    Raises:
        DataError: one holds something else, or another number of columns than the first; it names the line.
    """
    try:
        return np.loadtxt(io.StringIO(text), delimiter=",", comments=None, ndmin=2, skiprows=skip)
    except ValueError:
        rows = text.split("\n")
        columns = rows[skip].count(",")
        wrong = [at for at in range(skip, len(rows)) if rows[at].count(",") != columns or not _are_numbers(rows[at])]
        at = wrong[0] if wrong else skip
        raise _malformed(path, at + 1, rows[at]) from None


def odd_first(samples: np.ndarray) -> float | None:
    """The size of samples (n,) in the median, if the first is a million times as large as the others; else None."""
    sizes = np.abs(samples)
    known = sizes[1:][np.isfinite(sizes[1:])]
    others = float(np.median(known)) if len(known) else np.inf
    return others if np.inf > sizes[0] > ODD_FIRST * max(others, 0.01) else None


def refuse_header(data: np.ndarray, path: Path, line: int) -> None:
    """Raises DataError where the first of some samples (n, channels) is a million times as large as the others: it is
    then the start or another header, and all samples are taken for later ones than they are."""
    if (others := odd_first(data[:, 0])) is not None:
        raise DataError(
            f"line {line}: the first sample is {data[0, 0]:.15g}, the others are {others:g} in the median: "
            "this is a header",
            where=str(path),
            expected="samples from this line on",
            hint=_AGAIN,
        )


def moment(text: str, path: Path, line: int) -> float:
    """Unix seconds of a time that a file writes as such or as a date in UTC."""
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


def _malformed(path: Path, line: int, row: str) -> DataError:
    what = f"line {line}: not readable as numbers: `{row[:40]}`"
    return DataError(what, where=str(path), expected=_NUMBERS, hint=_AGAIN)


def _no_e4(path: Path, card: ModalityCard) -> DataError:
    return DataError(
        "this is no Empatica E4 file, or one without samples",
        where=str(path),
        expected=f"row 1 the start in unix seconds or as a date, row 2 the rate ({card.rate:g} Hz), then samples",
        hint="copy the file again from the release",
    )
