"""Submissions, which are predictions of third-party code: the file's lines, checked one by one."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from embench.errors import DataError, UsageError
from embench.files import read_bytes, reading, unzipped
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Given
from embench.records.predictions import MODEL, UNPREDICTED
from embench.texts import has_control

REQUIRED_COLUMNS = ("subject", "recording", "unit", "target")
OPTIONAL_COLUMNS = ("method", "seed", "fold", "decision", "given")

NO_FOLD = -1
"""The fold of a row that names none."""

MOST_SEEDS = 50
"""A file holds no more: each seed is scored as a partition of its own."""

_MOST_WHOLE = 2**31
_MOST_FAULTS = 1000
"""Number of faulty lines after which reading stops."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class SubmittedRow(NamedTuple):
    """A line of a file of predictions. `scores`: one number, or one a class; `fold` is `NO_FOLD` and `decision` None
    where the line has none; `given`: what test subjects gave, as `--given` says it, empty where the line does not."""

    line: int
    subject: str
    recording: str
    unit: str
    target: str
    seed: int
    fold: int
    scores: tuple[float, ...]
    decision: float | None
    given: str = ""


def read_submission(path: Path, card: Card) -> tuple[list[SubmittedRow], str]:
    """The rows of a CSV file, gzipped or not, and the SHA-256 of its text. Columns that are not known are not read; of
    several methods in a run's own file the model is.

    Raises:
        DataError: it can't be read, lacks a column, or a line does not hold what its column says; lines are named.
    """
    text = _text(path)
    lines = _lines(text, path)
    head = [name.strip() for name in next(lines, (1, []))[1]]
    classes = sorted((n for n in head if re.fullmatch(r"score_[0-9]{1,3}", n)), key=lambda n: int(n[6:]))
    missing = [name for name in REQUIRED_COLUMNS if name not in head]
    if not {"score", "score_0"} & set(head):
        missing.append("score")
    if missing or len(set(head)) < len(head):
        twice = [name for name, count in Counter(head).items() if count > 1]
        raise DataError(
            f"the file lacks the column {', '.join(missing)}" if missing else f"{', '.join(twice)} stands there twice",
            where=f"{path}, line 1",
            expected=f"{', '.join(REQUIRED_COLUMNS)} and score (several classes: score_0, score_1, ..); optional: "
            f"{', '.join(OPTIONAL_COLUMNS[1:])}",
        )
    kinds = {t.name: t for t in card.targets}
    faults, rows, first = Faults(path), [], dict[tuple[object, ...], int]()
    for line, cells in lines:
        if len(cells) != len(head):
            faults.add("lines have another number of fields than the first", line)
            continue
        row = dict(zip(head, map(str.strip, cells), strict=True))
        if row.get("method") == UNPREDICTED:  # a record's, which has them from what is not there
            continue
        target = kinds.get(row["target"])
        if target is None:
            expected = f"targets of {card.name}: {', '.join(kinds)}"
            faults.add(f"rows are of a target that {card.name} does not have", line, row["target"], expected)
            continue
        parsed = _row(row, line, target, classes, faults)
        method = row.get("method", MODEL)
        key = (method, parsed and parsed.seed, parsed and parsed.given, row["target"], row["unit"])
        if parsed and (before := first.setdefault(key, line)) != line:
            faults.add("rows repeat a unit of the same seed", line, f"{row['unit']}, which is also in line {before}")
        rows.append((method, parsed))
    faults.check()
    methods = list(dict.fromkeys(method for method, _ in rows))
    if not rows:
        raise DataError("the file contains no prediction", where=str(path))
    if len(methods) > 1 and MODEL not in methods:
        raise DataError(
            f"the file contains {len(methods)} methods: {', '.join(methods[:5])}",
            where=f"{path}, column method",
            expected="one method a file",
        )
    wanted = MODEL if MODEL in methods else methods[0]
    kept = [row for method, row in rows if method == wanted and row is not None]
    if len(seeds := {row.seed for row in kept}) > MOST_SEEDS:
        raise DataError(
            f"the file contains {len(seeds)} seeds", where=f"{path}, column seed", expected=f"at most {MOST_SEEDS}"
        )
    return kept, hashlib.sha256(text.encode()).hexdigest()


class Faults:
    """Faults of a file with their lines: the first kind of fault is reported, with all of its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, list[tuple[int, str]]] = {}
        self.expected: dict[str, str | None] = {}

    def add(self, what: str, line: int, example: str = "", expected: str | None = None) -> None:
        """Notes a fault of kind `what` in a line, with the text there and the expected one."""
        self.found.setdefault(what, []).append((line, example))
        self.expected.setdefault(what, expected)
        if len(self.found[what]) >= _MOST_FAULTS:
            self.check()

    def check(self, hint: str | None = None) -> None:
        """Raises DataError where there was any."""
        for what, places in self.found.items():
            lines = ", ".join(str(line) for line, _ in places[:5])
            more = f" and {len(places) - 5} more" if len(places) > 5 else ""
            example = f", such as {places[0][1]}" if places[0][1] else ""
            raise DataError(
                f"{what}{example}",
                where=f"{self.path}, line{'s' if len(places) > 1 else ''} {lines}{more}",
                expected=self.expected[what],
                hint=hint,
            )


def _text(path: Path) -> str:
    with reading(path, missing="there is no such file", expected="CSV, gzipped or not"):
        content = read_bytes(Path(path))
        text = (unzipped(content, path) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    if has_control(text.replace("\r\n", "\n")):
        raise DataError("a text has control characters", where=str(path), expected="plain text")
    return text


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers, from 1 on, and fields; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}", where=str(path)) from error


def _row(
    row: Mapping[str, str], line: int, target: Target, classes: Sequence[str], faults: Faults
) -> SubmittedRow | None:
    """The line as a row; None where it is faulty."""
    several, has_classes = target.traits.several, target.traits.has_classes
    if several and tuple(classes) != target.columns:
        expected = ", ".join(target.columns)
        faults.add(f"rows are of {target.name}, which has {target.n} classes", line, expected=expected)
        return None
    if "score" not in row and not several:
        faults.add(f"the predictions of {target.name} must be in a column `score`", line, expected="score")
        return None
    scores = tuple(number for name in target.columns if (number := _number(row.get(name, ""))) is not None)
    if len(scores) < len(target.columns):
        example = row.get(target.columns[0], "")
        faults.add("scores are not finite numbers", line, example, "one for each row; leave other rows out")
        return None
    if has_classes and (min(scores) < 0 or max(scores) > 1):
        expected = "from 0 to 1; decision values become probabilities by 1 / (1 + exp(-value)), which keeps their order"
        faults.add("scores are not probabilities", line, f"{max(scores, key=abs):g}", expected)
        return None
    if several and abs(sum(scores) - 1) > 0.01:
        faults.add("class probabilities of a row do not sum to 1", line, f"{sum(scores):g}")
        return None
    whole = {}
    for name, default in (("seed", 0), ("fold", NO_FOLD)):
        text = row.get(name, "")
        number = _whole(text) if text else default
        if number is None:
            faults.add(f"values of {name} are not whole numbers from 0 to {_MOST_WHOLE - 1:,}", line, text)
            return None
        whole[name] = number
    decision = _number(row["decision"]) if row.get("decision") else None
    if row.get("decision") and (decision is None or (has_classes and decision not in range(target.n))):
        faults.add("decisions are not classes", line, row["decision"], f"0 to {target.n - 1}")
        return None
    if decision is not None and not has_classes and not math.isclose(decision, scores[0], rel_tol=1e-5, abs_tol=1e-5):
        faults.add("decisions differ from the values", line, row["decision"], "the value again, or no `decision`")
        return None
    if (given := _given(row.get("given", ""))) is None:
        faults.add(
            "values of `given` are not an amount of calibration data", line, row["given"], "0, 5, unlabelled:5, session"
        )
        return None
    subject, recording, unit, name = (sys.intern(row[name]) for name in REQUIRED_COLUMNS)  # they stand there often
    return SubmittedRow(line, subject, recording, unit, name, whole["seed"], whole["fold"], scores, decision, given)


@lru_cache
def _given(text: str) -> str | None:
    """A text of `given` in one spelling; None where it is nothing that can be."""
    try:
        return Given.read(text).text if text else ""
    except UsageError:
        return None


@lru_cache
def _whole(text: str) -> int | None:
    number = _number(text)
    return None if number is None or number < 0 or number % 1 or number >= _MOST_WHOLE else int(number)


def _number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan  # float() takes "1_0" and other scripts' digits
    return value if math.isfinite(value) else None
