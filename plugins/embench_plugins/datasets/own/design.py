"""The design of a study, from tables and markers beside its recordings: stimuli, their times and their ratings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own import exports, tables
from embench_plugins.datasets.own.clock import UNIX_S, Clock
from embench_plugins.datasets.own.description import quote_yaml
from embench_plugins.datasets.own.found import Kind, find_template, is_time
from embench_plugins.datasets.own.layout import merge_stars

STARTS = "start|started|starts|onset|begin|begins|begun|from|beginn|anfang|von|開始|inicio|debut|début"
ENDS = "end|ended|ends|stop|stopped|offset|to|until|ende|bis|終了|fin"
DURATIONS = "duration|length|lasts|dauer|länge|長さ|duracion|duree|durée"
_UNITS = r"(?:[_ .]?(?:\(?(?:s|sec|secs|seconds|ms|time|zeit)\)?))?"
_MOST_STIMULI = 60
_SOME = 200
_ROWS = 20
"""A table with at least so many rows per participant follows participants through time."""
_TECHNICAL = re.compile(
    r".+\.(\w+Time|\w+Delay|\w+Error|RT|rt|ACC|CRESP|Cycle|Sample|started|stopped|t|ran|status)( date| in s)?"
    r"|(.+\.)?this\w+|Session(Date|Time|StartDateTimeUtc)|date|exp(Start|Name|Version)|frameRate|psychopyVersion|OS"
    r"|T?Time( in s)?|Uncertainty( 2)?|Duration( in s)?|Req(Time|Dur)|Pair Index|(Event|Stim) Type"
)
"""Columns on the run of an experiment, which are not ratings."""


class Timing(NamedTuple):
    """The columns of a table with the start, and the end or duration, of stretches of time."""

    start: str
    end: str | None
    duration: str | None

    @property
    def columns(self) -> set[str]:
        """The names of these columns."""
        return {name for name in self if name}


@dataclass
class Sheet:
    """A table, or all tables with the same columns, and the meaning of its columns.

    Args:
        name: its path below the folder, with names in braces if each participant or recording has its own table.
        rows: the cells as texts; facts in the path are columns such as `{participant}`.
        keys: name in braces -> the column with its values.
        stimulus: the column of stimuli, if there is one.
        wide: in a table with one row per participant, name of a column with `{stimulus}` in it -> the stimuli.
        unplaced: why the times of an experiment's log are not used.
        sheet: the sheet of an Excel file with several.
    """

    name: str
    rows: pd.DataFrame
    keys: dict[str, str] = field(default_factory=dict)
    timing: Timing | None = None
    stimulus: str | None = None
    wide: dict[str, list[str]] = field(default_factory=dict)
    unplaced: str = ""
    sheet: str | None = None

    @property
    def place(self) -> dict[str, str]:
        """The keys of `dataset.yaml` with the path and sheet of the table."""
        return {"table": quote_yaml(self.name), **({"sheet": quote_yaml(self.sheet)} if self.sheet else {})}

    @property
    def participant(self) -> pd.Series | None:
        """The participant of each row; None if the table does not contain it."""
        column = "{participant}" if "{participant}" in self.rows else self.keys.get("participant")
        return simplify_cells(self.rows[column]) if column else None

    @property
    def has_one_row_each(self) -> bool:
        """True if each participant has one row."""
        people = self.participant
        return people is not None and not people.duplicated().any()

    @property
    def plain(self) -> list[str]:
        """The columns that are not keys, times or the stimulus."""
        used = {*self.keys.values(), *(self.timing.columns if self.timing else ()), self.stimulus}
        return [str(c) for c in self.rows.columns if c not in used and not str(c).startswith("{")]


def find_sheets(root: Path, found: Sequence[tuple[Path, pd.DataFrame]], known: Sequence[Kind]) -> list[Sheet]:
    """Return the tables beside recordings. Tables with the same columns, one per participant or recording, are
    joined."""
    people = {tables.simplify_value(value) for kind in known for value in kind.facts["participant"]}
    groups: dict[tuple[int, str, str, frozenset[str], str | None], list[tuple[Path, pd.DataFrame]]] = {}
    for path, rows in found:
        depth, log = len(path.relative_to(root).parts), exports.find_program(rows)
        kept_rows, why = _clear_log(log, rows, known) if log else (rows, "")
        group_key = (depth, path.suffix, why, frozenset(kept_rows.columns), rows.attrs.get("sheet"))
        groups.setdefault(group_key, []).append((path, kept_rows))
    sheets = []
    for (_, _, why, _, sheet), group in groups.items():
        paths = [path for path, _ in group]
        text, facts = find_template(root, paths) if len(paths) > 1 else ("", {})
        participants = [value.removeprefix("sub-") for value in facts.get("participant", [])]
        if participants and np.mean([tables.simplify_value(value) in people for value in participants]) >= 0.5:
            parts = [
                rows.assign(**{f"{{{name}}}": values[k] for name, values in facts.items()})
                for k, (_, rows) in enumerate(group)
            ]
            rows = pd.concat(parts, ignore_index=True)
            if len(set(participants)) == len(participants):  # what recordings do not have, such as a date, says no more
                shared = set.intersection(*(set(kind.facts) for kind in known))
                for name in set(facts) - shared:
                    text = text.replace(f"{{{name}}}", "*")
                text = merge_stars(text)
            people_of = rows["{participant}"].map(tables.simplify_value)
            redundant = [c for c in rows if c[0] != "{" and (rows[c].map(tables.simplify_value) == people_of).all()]
            sheets.append(Sheet(text, rows.drop(columns=redundant), unplaced=why, sheet=sheet))
        else:
            sheets += [
                Sheet(path.relative_to(root).as_posix(), rows, unplaced=why, sheet=sheet) for path, rows in group
            ]
    return sheets


def simplify_cells(cells: pd.Series) -> pd.Series:
    """Return cells in the form in which keys are compared."""
    return cells.map({cell: tables.simplify_value(cell) for cell in cells.unique()})


def _find_shown(rows: pd.DataFrame) -> list[str]:
    """Return the two columns of dates at which a log's stimuli begin and end; empty if there are none. Of several
    pairs, take the one that recurs and lasts longest; or a pair within it that lasts over half as long, as a video
    within its trial."""
    pairs: list[tuple[float, pd.Series, pd.Series, list[str]]] = []
    for column in (str(c) for c in rows.columns if str(c).endswith(" date")):
        stem, _, word = column.removesuffix(" date").rpartition(".")
        pair = [column, f"{stem}.{exports.PAIRS.get(word)} date"]
        if pair[1] in rows:
            begins, ends = (pd.to_datetime(rows[name], errors="coerce", utc=True, format="ISO8601") for name in pair)
            pairs.append(((ends - begins).dt.total_seconds().median(), begins, ends, pair))
    pairs = [each for each in pairs if each[1].count() > 1] or pairs  # others are instructions
    pairs.sort(key=lambda each: -each[0])
    best = pairs[:1]
    for length, begins, ends, pair in pairs[1:]:
        best_length, first, last, _ = best[0]
        complete = begins.notna() & ends.notna()
        if length > best_length / 2 and ((begins >= first) & (ends <= last))[complete].mean() > 0.9:
            best = [(length, begins, ends, pair)]
    return best[0][3] if best else []


def _clear_log(log: str, rows: pd.DataFrame, known: Sequence[Kind]) -> tuple[pd.DataFrame, str]:
    """Return a log without technical columns and without dates other than those of stimuli. Also return why its dates
    cannot be used, empty if they can."""
    shown = _find_shown(rows)
    why = ""
    if not any(kind.begins for kind in known):
        why = "the recordings do not say when they began"
    elif log == "PsychoPy" and "expStart" not in rows:
        why = "its `date` is when the dialog opened, not when the experiment began"
    elif not any(str(c).endswith(" date") for c in rows.columns):
        why = "it does not say when the experiment began"
    elif not shown:
        why = "it does not say when what was shown ended"
    kept = [] if why else shown
    lists = set(rows["Running"]) if "Running" in rows else set()  # which E-Prime numbers
    plain = [c for c in rows.columns if c in kept or not (c in lists or _TECHNICAL.fullmatch(str(c)))]
    return rows[plain], f"a log of {log} whose times are not used: {why}" if why else ""


def find_timing(rows: pd.DataFrame, keys: Mapping[str, str]) -> Timing | None:
    """Return the columns of stretches of time, found by names in several languages, or by cells that are dates."""

    def named(words: str) -> str | None:
        form = re.compile(rf"(?:.*[_ .-])?(?:{words}){_UNITS}|(?:{words})[_ .-].*", re.IGNORECASE)
        exact = re.compile(rf"(?:{words}){_UNITS}", re.IGNORECASE)
        free = [str(c) for c in rows.columns if c not in keys.values() and are_times(rows[c])]
        return next((c for c in free if exact.fullmatch(c)), next((c for c in free if form.fullmatch(c)), None))

    start, end, duration = named(STARTS), named(ENDS), named(DURATIONS)
    if start and (end or duration) and start != end:
        return Timing(start, end, None if end else duration)
    dated = [str(c) for c in rows.columns if c not in keys.values() and are_times(rows[c], dates_only=True)]
    for first, second in pairwise(dated):
        if _rises(rows, first, second):
            return Timing(first, second, None)
    return None


def find_moment_column(sheet: Sheet) -> str | None:
    """Return the column with the time of each row, if a table follows each participant through time; else None."""
    people = sheet.participant
    if people is None or sheet.timing or len(people) < _ROWS * people.nunique():
        return None
    for column in sheet.plain:
        numbers = sheet.rows[column].map(tables.parse_number)
        if is_time(column) and numbers.notna().all() and _numbers_rise(people, sheet.rows[column]):
            return column
    return None


def are_times(column: pd.Series, *, dates_only: bool = False) -> bool:
    """Return True if at least 90 % of the first cells are times."""
    cells = [cell for cell in column.head(_SOME) if cell.lower() not in tables.MISSING]
    if not cells or (dates_only and all(math.isfinite(tables.parse_number(cell)) for cell in cells)):
        return False
    return sum(_parse_second(cell) is not None for cell in cells) >= 0.9 * len(cells)


def _parse_second(cell: str, clock: Clock = Clock(start=0.0)) -> float | None:  # noqa: B008 (frozen)
    """Return a cell as seconds; None if it is not a time."""
    try:
        value = clock.parse_seconds(cell, Path(), 0, "")
    except DataError:
        return None
    return value if math.isfinite(value) else None


def _rises(rows: pd.DataFrame, first: str, second: str) -> bool:
    """Return True if in nearly all rows the second time is later than the first."""
    pairs = [
        (_parse_second(a), _parse_second(b))
        for a, b in zip(rows[first].head(_SOME), rows[second].head(_SOME), strict=True)
    ]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return bool(known) and sum(b > a for a, b in known) >= 0.95 * len(known)


def find_stimulus_column(sheet: Sheet, known: Sequence[str] = ()) -> str | None:
    """Return the column of stimuli: its values recur over participants, and rarely within one participant.

    Args:
        known: stimuli in names of files or markers; a column with these is preferred.
    """
    people, best = sheet.participant, (0.0, 0.0, "")
    names = {tables.simplify_value(name) for name in known}
    for column in sheet.plain:
        if sheet.rows[column].nunique() > 2 * _MOST_STIMULI:
            continue
        cells = simplify_cells(sheet.rows[column])
        filled = ~cells.isin(tables.MISSING)
        values = set(cells[filled])
        if not 2 <= len(values) <= _MOST_STIMULI or filled.mean() < 0.3:
            continue
        share = len(values & names) / len(values)
        if share >= 0.8:
            best = max(best, (2.0, share, column))
            continue
        if people is None or people.nunique() < 2 or sheet.timing is None:
            continue
        spread = pd.Series(people[filled].to_numpy()).groupby(cells[filled].to_numpy()).nunique()
        repeats = filled.sum() / max(len({*zip(people[filled], cells[filled], strict=True)}), 1)
        if all(math.isfinite(tables.parse_number(value)) for value in values) and (
            repeats > 1.05 or spread.median() < 0.8 * people.nunique() or _numbers_rise(people[filled], cells[filled])
        ):
            continue  # ratings, or numbers of trials
        if spread.median() >= max(2, 0.3 * people.nunique()) and repeats <= 1.5:
            best = max(best, (1.0, float(len(values)), column))
    return best[2] or None


def _numbers_rise(people: pd.Series, cells: pd.Series) -> bool:
    """Return True if numbers increase over the rows of each participant."""
    numbers = cells.map(tables.parse_number)
    return all(own.is_monotonic_increasing for _, own in numbers.groupby(people))


def find_wide_columns(sheet: Sheet, known: Sequence[str], placeholder: str = "stimulus") -> dict[str, list[str]]:
    """Return the columns that exist once per stimulus, as name -> stimuli. In the name, `{stimulus}` (or another
    `placeholder`) replaces the stimulus. Stimuli are those in `known`, else those with a column of starts."""
    groups: dict[str, list[str]] = {}
    for column in map(str, sheet.rows.columns):
        for before, name, after in _split_name(column):
            if name:
                groups.setdefault(f"{before}{{{placeholder}}}{after}", []).append(name)
    names = set(known)
    timed = [c for c in groups if re.search(rf"(?i)(^|[_ .-])({STARTS})$|^({STARTS})[_ .-]", c)]
    if not names and timed:
        longest: list[str] = max((groups[c] for c in timed), key=len)
        names = set(longest)
    chosen = {column: [name for name in group if name in names] for column, group in groups.items()}
    return {column: group for column, group in chosen.items() if len(group) >= 2}


def _split_name(column: str) -> Iterator[tuple[str, str, str]]:
    """Yield ways to split a column's name into the text before a stimulus, the stimulus, and the text after it."""
    for found in re.finditer(r"[_ .-]+", column):
        yield "", column[: found.start()], column[found.start() :]
        yield column[: found.end()], column[found.end() :], ""
    if numbered := re.fullmatch(r"(.*[^\W\d_])(\d+)", column):
        yield numbered[1], numbered[2], ""


class Marks(NamedTuple):
    """Markers in files: text of the marker at which a stimulus begins -> stimulus, and the marker at which it ends."""

    begins: dict[str, str]
    until: str | None


def find_stimulus_marks(kind: Kind, known: Sequence[str]) -> Marks | None:
    """Return the markers that name stimuli; None if none recur in most files.

    Args:
        known: values in tables, which help to find the stimulus in a marker's text.
    """
    lists = [marks for marks in kind.markers.values() if marks]
    if len(lists) < max(2, len(kind.paths) // 2):
        return None
    counts = [Counter(text for _, text in marks) for marks in lists]
    everywhere = [text for text in set().union(*counts) if sum(text in c for c in counts) >= 0.5 * len(counts)]
    single = sorted(text for text in everywhere if np.median([c[text] for c in counts if c[text]]) == 1)
    split = {text: _split(text, [tables.simplify_value(name) for name in known]) for text in single}
    stems = Counter(stem for stem, _ in split.values())
    shared = max(stems, key=lambda stem: (stems[stem], len(stem)), default="")
    begins = {text: name for text, (stem, name) in split.items() if stem == shared}
    if len(begins) < 2:
        return None
    shown = np.median([sum(text in begins for _, text in marks) for marks in lists])
    ends = [t for t in everywhere if t not in begins and np.median([c[t] for c in counts]) == shown]
    until = max(ends, key=lambda t: ("end" in t.lower() or "stop" in t.lower(), t), default=None)
    return Marks(begins, until)


def _split(text: str, known: Sequence[str]) -> tuple[str, str]:
    """Return a marker's text as the text before the stimulus, and the stimulus: a known name, or the last word."""
    end = max((name for name in known if text.casefold().endswith(name)), key=len, default="")
    if not end:
        end = re.split(r"[^A-Za-z0-9]", text)[-1]
    return text[: len(text) - len(end)], text[len(text) - len(end) :]


def find_shift(sheet: Sheet, starts: Mapping[str, tuple[float, float]]) -> float | None:
    """Return the hours between UTC and the time zone of a table; 0 for UTC, None if unknown.

    Args:
        starts: participant -> the recording's start in unix seconds and its length in s.
    """
    people, timing = sheet.participant, sheet.timing
    if people is None or timing is None or are_times(sheet.rows[timing.start]) is False:
        return None
    cells = [(p, c) for p, c in zip(people, sheet.rows[timing.start], strict=True) if p in starts][:_SOME]
    if not cells or not starts or all(abs(tables.parse_number(c)) < UNIX_S for _, c in cells):
        return None

    def find_share_inside(hours: float) -> float:
        zone = timezone(timedelta(hours=hours))
        at = [(_parse_second(c, Clock(zone, *starts[p])), starts[p][1]) for p, c in cells]
        return float(np.mean([s is not None and -1 <= s <= length for s, length in at]))

    offsets = sorted((0.25 * k for k in range(-48, 57)), key=lambda h: (abs(h), h % 1 != 0))
    shares = {hours: find_share_inside(hours) for hours in (h for h in offsets if h % 1 == 0)}
    if max(shares.values()) < 0.9:
        shares = {hours: find_share_inside(hours) for hours in offsets}
    best_shift = max(shares, key=lambda h: (shares[h], -abs(h)))
    return best_shift if shares[best_shift] >= 0.5 else None


def count_rows_per_recording(sheet: Sheet, keys: Mapping[str, str]) -> pd.Series:
    """Count the rows of each recording in a table. The index has the facts in the path and the values of the keys."""
    path_columns = [c for c in sheet.rows if str(c).startswith("{") and str(c) in sheet.name]
    columns = [simplify_cells(sheet.rows[c]) for c in dict.fromkeys([*path_columns, *keys.values()])]
    there = ~pd.concat([tables.is_blank(column) for column in columns], axis=1).any(axis=1)
    return pd.Series(1, index=sheet.rows.index)[there].groupby([column[there] for column in columns]).sum()


def find_order(sheet: Sheet) -> list[tuple[str, ...]]:
    """Return each participant's sequence of stimuli, by their start times, else by the order of rows."""
    people, column = sheet.participant, sheet.stimulus
    if people is None or column is None:
        return []
    rows = sheet.rows.assign(_who=people)
    rows = rows[~tables.is_blank(rows[column])]
    if sheet.timing:
        rows = rows.assign(_at=[_parse_second(cell) or 0.0 for cell in rows[sheet.timing.start]]).sort_values(
            "_at", kind="stable"
        )
    return [tuple(own[column]) for _, own in rows.groupby("_who", sort=True)]


def measure_lengths(sheet: Sheet) -> list[float]:
    """Return the length of each stretch of time in a table, in s."""
    if sheet.timing is None:
        return []
    start, end, duration = sheet.timing
    if duration:
        return [s for cell in sheet.rows[duration] if (s := _parse_second(cell)) is not None]
    pairs = ((_parse_second(a), _parse_second(b)) for a, b in zip(sheet.rows[start], sheet.rows[str(end)], strict=True))
    return [b - a for a, b in pairs if a is not None and b is not None]
