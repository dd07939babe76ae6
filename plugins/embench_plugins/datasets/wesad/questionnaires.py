"""The questionnaires that WESAD's subjects filled in after each condition: the ragged `SX_quest.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from embench.errors import DataError

CONDITIONS = ("baseline", "stress", "amusement", "meditation")
NAMES = {"base": 0, "tsst": 1, "fun": 2, "medi1": 3, "medi2": 3}
"""The file's names of the conditions, in small letters without spaces."""
READING = ("bread", "fread", "sread")  # reading before, after amusement, after stress: nobody was asked about it
SAM = (1.0, 9.0)
EXPECTED = "rows of cells parted by `;`: # Subj, # ORDER, # START, # END, five # PANAS, # STAI and # DIM, one # SSSQ"
HINT = "copy the person's folder again from the release, or take the file away: then there is no valence and arousal"


class Report(NamedTuple):
    """Answers to one condition, by its place in `CONDITIONS`; NaN is a question that was not answered. `start_s` and
    `stop_s` count from the start of the belt's own file, which is not the pickle's; NaN where they can't be read."""

    condition: int
    start_s: float
    stop_s: float
    valence: float
    arousal: float
    panas: tuple[float, ...] = ()
    stai: tuple[float, ...] = ()
    sssq: tuple[float, ...] = ()

    def odd(self) -> Iterator[str]:
        """Answers that are too few, too many or off their scale."""
        counts = {"PANAS": (24, 26), "STAI": (6,), "SSSQ": (6,) if self.condition == 1 else (0,)}
        tops = {"PANAS": 5, "STAI": 4, "SSSQ": 5}
        if not self.start_s < self.stop_s:
            yield f"{CONDITIONS[self.condition]}: START and END are no minutes and seconds, or not in order"
        for name, answers in (("PANAS", self.panas), ("STAI", self.stai), ("SSSQ", self.sssq)):
            where = f"{name} after {CONDITIONS[self.condition]}"
            if len(answers) not in counts[name]:
                yield f"{where}: {len(answers)} answers, not {' or '.join(map(str, counts[name]))}"
            if any(not 1 <= answer <= tops[name] for answer in answers):
                yield f"{where}: not answered, or with values outside 1 to {tops[name]}"


def read_reports(path: Path, subject: str) -> list[Report]:
    """The reports of a subject in order of time.

    Raises:
        DataError: the file is no such file, another subject's, or a row of valence and arousal is missing.
    """
    rows = _rows(path)
    named = "".join(rows.get("subj", [[subject]])[0][:1])
    if named != subject:
        raise _bad(path, f"row # Subj names {named[:20] or 'nobody'}, not {subject}")
    if "order" not in rows:
        raise _bad(path, "there is no row # ORDER")
    columns = [(at, name.lower().replace(" ", "")) for at, name in enumerate(rows["order"][0]) if name]
    if unknown := [name for _, name in columns if name not in NAMES and name not in READING]:
        raise _bad(path, f"row # ORDER names `{unknown[0][:20]}`")
    real = [(at, NAMES[name]) for at, name in columns if name in NAMES]
    given = rows.get("dim", [])
    if len(given) != len(real):
        raise _bad(path, f"{len(given)} rows # DIM for {len(real)} conditions")
    reports = []
    for number, (at, condition) in enumerate(real):
        valence, arousal = _numbers([*given[number], "", ""][:2], path, "# DIM")
        if any(value < SAM[0] or value > SAM[1] for value in (valence, arousal)):
            raise _bad(path, f"row # DIM {number + 1} holds {valence:g} and {arousal:g}, not 1 to 9")
        reports.append(
            Report(
                condition,
                _time(rows, "start", at),
                _time(rows, "end", at),
                valence,
                arousal,
                panas=_answers(rows, "panas", number, path),
                stai=_answers(rows, "stai", number, path),
                sssq=_answers(rows, "sssq", 0, path) if condition == 1 else (),
            )
        )
    return reports


def seconds(text: str) -> float:
    """A time of the file: minutes, a point, seconds of two digits without a zero at their end. 50.3 is 50 min 30 s.

    Raises:
        ValueError: it is no such time.
    """
    minutes, _, rest = text.partition(".")
    part = int((rest or "0").ljust(2, "0"))
    if len(rest) > 2 or not 0 <= part < 60:
        raise ValueError(f"`{text}` is no time in minutes and seconds")
    return 60.0 * int(minutes) + part


def _bad(path: Path, what: str) -> DataError:
    return DataError(what, where=str(path), expected=EXPECTED, hint=HINT)


def _rows(path: Path) -> dict[str, list[list[str]]]:
    """The cells after the first one of each row, by what the first names, in small letters."""
    rows: dict[str, list[list[str]]] = {}
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise _bad(path, f"not readable: {error}") from error
    for line in text.splitlines():
        first, *cells = (cell.strip().strip('"') for cell in line.split(";"))
        if name := first.lstrip("# ").lower():
            rows.setdefault(name, []).append(cells)
    return rows


def _numbers(cells: list[str], path: Path, what: str) -> list[float]:
    try:
        return [float(cell) if cell else math.nan for cell in cells]
    except ValueError as error:
        raise _bad(path, f"row {what} holds something that is no number: {error}"[:120]) from error


def _answers(rows: dict[str, list[list[str]]], name: str, number: int, path: Path) -> tuple[float, ...]:
    """The answers of a questionnaire's row; rows are as long as the file's longest, so empty cells at the end go."""
    given = rows.get(name, [])
    cells = list(given[number]) if number < len(given) else []
    while cells and not cells[-1]:
        cells.pop()
    return tuple(_numbers(cells, path, f"# {name.upper()}"))


def _time(rows: dict[str, list[list[str]]], name: str, at: int) -> float:
    cells = rows.get(name, [[]])[0]
    try:
        return seconds(cells[at])
    except (IndexError, ValueError):
        return math.nan  # nothing is read by these times, so a slip in one costs a remark and not the subject
