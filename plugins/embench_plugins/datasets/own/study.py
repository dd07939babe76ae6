"""The study that a folder of recordings seems to hold: who, what was shown in which order, and which labels exist."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.bids import bids_kinds
from embench_plugins.datasets.own.design import (
    Marks,
    Sheet,
    Timing,
    lengths_of,
    marks_of,
    moment_of,
    order_of,
    sheets_of,
    shift_of,
    stimulus_of,
    timing_of,
    wide_of,
)
from embench_plugins.datasets.own.found import TIMES, Kind, all_files, keys_of, kinds, modality_of, other_tables
from embench_plugins.datasets.own.rows import Span, marked_spans
from embench_plugins.datasets.own.yaml import as_yaml

SESSIONS = ("ses", "session", "day", "visit", "sitzung")
_INFO = {"sex": "sex", "gender": "sex", "geschlecht": "sex", "age": "age", "alter": "age", "handedness": "handedness"}
_GROUPS = ("group", "dyad", "pair", "site", "couple", "family", "gruppe")
_COUNTS = re.compile(
    r"(?i)(trial|order|position|index|nr|no|number|nummer|block|run|item|code)[_ .]?(no|nr|num|id)?\.?"
)
_EVENTS = ("value", "sample", "response_time", "HED")
"""Columns that BIDS defines for events, which are no ratings."""
_MOST_CLASSES, _MOST_LABELS = 8, 12
_SCALES = ((1, 5), (1, 7), (1, 9), (1, 10), (0, 10), (0, 100))


@dataclass
class Entry:
    """A label of the description: its keys and their values as text, and what is to be checked."""

    fields: dict[str, str]
    comment: str = ""


@dataclass
class Study:
    """The findings on a folder, and what `dataset.yaml` will say of it.

    Args:
        program: the table that says when things were shown; `wide_times` are its columns where a row has all.
        marks: in place of it, the markers in the files.
        zone: of the tables' times; None: UTC.
        orders: how many orders of stimuli were found.
    """

    folder: Path
    kinds: list[Kind]
    sheets: list[Sheet]
    program: Sheet | None = None
    wide_times: tuple[str, str] = ("", "")
    marks: Marks | None = None
    stimuli: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    trial_s: float = 0.0
    zone: str | None = None
    orders: int = 0
    fixed_order: bool | None = None
    participants: Sheet | None = None
    info: dict[str, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    labels: dict[str, Entry] = field(default_factory=dict)
    targets: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def cut(self) -> bool:
        """True if recordings are cut into trials."""
        return self.program is not None or self.marks is not None


def find_study(folder: Path) -> Study:
    """The study in a folder, by its files, tables and markers.

    Raises:
        DataError: there is no folder, or nothing in it that can be read.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), expected="a folder of recordings")
    files = all_files(folder)
    found = bids_kinds(folder) if (folder / "dataset_description.json").is_file() else []
    found = found or kinds(folder, files)
    most = max((len(kind.paths) for kind in found), default=0)
    found = [kind for kind in found if len(kind.paths) > 1 or most < 3]  # one table of all is no recording
    if not found:
        raise DataError(
            "no recordings are found",
            where=str(folder),
            expected="EDF, BDF, WFDB, BrainVision, XDF, AcqKnowledge, CSV or Parquet files with one path for each "
            "recording, Empatica E4 exports, or BIDS",
            hint="name columns by what they are (EDA, ECG, ..), or write dataset.yaml by hand: its page has examples",
        )
    study = Study(folder, found, sheets_of(folder, list(other_tables(files, found)), found))
    for sheet in study.sheets:
        if "{participant}" not in sheet.rows:
            sheet.keys = keys_of(sheet.rows, found)
        if sheet.one_each:  # numbers of a table of people are no keys
            sheet.keys = {k: v for k, v in sheet.keys.items() if k == "participant"}
        else:
            sheet.timing = timing_of(sheet.rows, sheet.keys)
    _find_stimuli(study)
    _find_order(study)
    study.trial_s = _longest(study)
    _find_zone(study)
    _find_people(study)
    several = any(len(set(kind.facts["participant"])) < len(kind.paths) for kind in found) or study.cut
    for sheet in study.sheets:
        joined = not sheet.unplaced or sheet.stimulus
        if joined and not (sheet.one_each and several):
            _find_labels(study, sheet)
    _find_labels_by_name(study)
    for sheet in study.sheets:  # what is said of a person, where nothing is of what they did
        if sheet.one_each and several and (sheet.wide or not study.labels):
            _find_labels(study, sheet)
    _find_shown(study)
    return study


def _find_stimuli(study: Study) -> None:
    """Finds the stimuli of recordings that hold several: by markers, by a table of times, or by columns of times."""
    if any(name not in ("participant", *SESSIONS) for kind in study.kinds for name in kind.facts):
        return  # each has its own files
    cells = [str(c) for s in study.sheets for column in s.plain for c in s.rows[column].unique()[:100]]
    study.marks = next(filter(None, (marks_of(kind, cells) for kind in study.kinds)), None)
    study.stimuli = list(study.marks.begins.values()) if study.marks else []
    for sheet in study.sheets:
        sheet.stimulus = stimulus_of(sheet, study.stimuli)
    timed = [s for s in study.sheets if s.timing and s.stimulus and s.participant is not None and _rated(s, study)]
    if timed and not study.marks:
        study.program = max(timed, key=lambda sheet: len(_ratings(sheet)))
        shown = study.program.rows[str(study.program.stimulus)]
        study.stimuli = list(dict.fromkeys(shown[~tables.blank(shown)]))
    for sheet in study.sheets:
        if sheet.one_each:
            sheet.wide = wide_of(sheet, study.stimuli)
            times = [c for c in sheet.wide if _moment_columns(c)]
            if not study.cut and len(times) == 2:
                study.program, study.wide_times = sheet, (times[0], times[1])
                study.stimuli = sheet.wide[times[0]]
        elif study.stimuli and sheet.stimulus is None:
            sheet.stimulus = stimulus_of(sheet, study.stimuli)
        if sheet.participant is None and sheet.stimulus:  # a list of codes
            others = [c for c in sheet.plain if sheet.rows[c].is_unique and not _numbers(sheet.rows[c])]
            study.names |= dict(zip(sheet.rows[sheet.stimulus], sheet.rows[others[0]], strict=True)) if others else {}


def _moment_columns(column: str) -> bool:
    """True if a column with a stimulus in its name is called like a start or an end."""
    plain = column.replace("{stimulus}", "x")
    both = (pd.DataFrame({plain: ["1"], other: ["2"]}) for other in ("start", "end"))
    return any((found := timing_of(rows, {})) is not None and plain in found.columns for rows in both)


def _rated(sheet: Sheet, study: Study) -> bool:
    """True if the stimuli of a table are rated, there or in another table; else its stretches are phases."""
    names = sorted({tables.canonical(cell) for cell in sheet.rows[str(sheet.stimulus)]})
    others = [other for other in study.sheets if other is not sheet and not other.timing]
    return bool(_ratings(sheet)) or any(stimulus_of(other, names) or wide_of(other, names) for other in others)


def _ratings(sheet: Sheet) -> list[str]:
    """The columns of numbers that may be ratings."""
    return [c for c in sheet.plain if len(set(_numbers(sheet.rows[c]))) > 2 and not _COUNTS.fullmatch(c)]


def _numbers(cells: pd.Series) -> list[float]:
    """The numbers of a column; none where it holds anything else."""
    values = [tables.number(cell) for cell in cells if cell.lower() not in tables.MISSING]
    return values if all(map(math.isfinite, values)) else []


def _find_order(study: Study) -> None:
    orders: list[tuple[str, ...]] = []
    if study.marks:
        begins = study.marks.begins
        orders = [
            tuple(begins[t] for _, t in marks if t in begins) for k in study.kinds for marks in k.markers.values()
        ]
    elif study.program and study.program.stimulus:
        orders = order_of(study.program)
    elif study.program:
        columns = [study.wide_times[0].replace("{stimulus}", s) for s in study.stimuli]
        orders = [tuple(row.sort_values(kind="stable").index) for _, row in study.program.rows[columns].iterrows()]
    orders = [order for order in orders if order]
    if len(orders) > 1:
        study.orders, study.fixed_order = len(set(orders)), len(set(orders)) == 1


def _longest(study: Study) -> float:
    """Seconds of the longest trial; 0 where that is not known."""
    if study.marks:
        marks = study.marks
        lists = [found for kind in study.kinds for found in kind.markers.values()]
        made = [marked_spans(sorted(found), marks.begins, marks.until, None).spans for found in lists]
        spans = [span for each in made for span in each if isinstance(span, Span)]
        return max((span.stop - span.start for span in spans), default=0.0)
    if study.program is None:
        return 0.0
    return max((length for sheet in _timed(study, study.program) for length in lengths_of(sheet)), default=0.0)


def _timed(study: Study, sheet: Sheet) -> list[Sheet]:
    """A table with times; one with columns of times for each stimulus as a table for each."""
    if sheet.timing or sheet is not study.program:
        return [sheet] if sheet.timing else []
    pairs = [[column.replace("{stimulus}", s) for column in study.wide_times] for s in study.stimuli]
    return [Sheet("", sheet.rows, sheet.keys, Timing(first, last, None)) for first, last in pairs if last in sheet.rows]


def _find_zone(study: Study) -> None:
    """The time zone of tables whose times lie in the recordings there alone."""
    starts = {
        tables.canonical(kind.facts["participant"][k]): kind.begins[path]
        for kind in study.kinds for k, path in enumerate(kind.paths) if path in kind.begins
    }  # fmt: skip
    for timed in (part for sheet in study.sheets for part in _timed(study, sheet)):
        if hours := shift_of(timed, starts):
            minutes = round(60 * abs(hours))
            study.zone = f"UTC{'+' if hours > 0 else '-'}{minutes // 60:02d}:{minutes % 60:02d}"


def _find_people(study: Study) -> None:
    """The table of participants, with what is known of them."""
    for sheet in study.sheets:
        if sheet.one_each and study.participants is None and "participant" in sheet.keys:
            known = {str(c).lower(): str(c) for c in sheet.rows.columns}
            study.participants = sheet
            study.info = {_INFO[word]: column for word, column in known.items() if word in _INFO}
            study.groups = [known[word] for word in _GROUPS if word in known]


def _find_labels(study: Study, sheet: Sheet) -> None:
    """The labels that a table's columns may be, and their targets."""
    if sheet.participant is None:
        return
    trial = sheet is study.program and not sheet.wide
    where = {"table": as_yaml(sheet.name)}
    keys = {k: v for k, v in sheet.keys.items() if k in sheet.rows or v in sheet.rows}
    if study.cut and sheet.stimulus and sheet is not study.program:
        keys = {**keys, "stimulus": sheet.stimulus}
    if keys:
        where["keys"] = f"{{{', '.join(f'{k}: {as_yaml(v)}' for k, v in keys.items())}}}"
    if sheet.timing and not study.cut:
        start, end, duration = sheet.timing
        where |= {"start": as_yaml(start), **({"end": as_yaml(end)} if end else {"duration": as_yaml(str(duration))})}
    moment = None if study.cut else moment_of(sheet)
    if moment:
        where["time"] = as_yaml(moment)
    columns = [*sheet.plain, *([sheet.stimulus] if sheet.stimulus and not study.cut else [])]
    rated = [c for c in sheet.wide if not _moment_columns(c)]
    wide = {c.replace("{stimulus}", s) for c in sheet.wide for s in sheet.wide[c]}
    skipped = {*wide, moment, *(_EVENTS if sheet.name.endswith("_events.tsv") else ())}
    for column in [*rated, *(c for c in columns if c not in skipped and not modality_of(c))]:
        names = [column.replace("{stimulus}", s) for s in sheet.wide.get(column, [])]
        rows = sheet.rows if sheet.stimulus is None else sheet.rows[~tables.blank(sheet.rows[sheet.stimulus])]
        cells = pd.concat([rows[name] for name in names]) if names else rows[column]
        if not names and (re.fullmatch(f"(?i){TIMES}", column) or _is_trait(sheet, rows[column])):
            continue
        if study.cut and not (trial or names or sheet.stimulus) and sheet.one_each:
            continue  # of a person, not of what was shown
        word = re.sub(r"\W+", "_", column.replace("{stimulus}", "")).strip("_")
        place = {"trial": as_yaml(column)} if trial else {**where, "column": as_yaml(column)}
        _add_label(study, word, place, cells)


def _is_trait(sheet: Sheet, cells: pd.Series) -> bool:
    """True if a column is the same in all rows of each participant, who has several."""
    people = sheet.participant
    if people is None or sheet.one_each or people.nunique() < 2:
        return False
    return bool((cells.groupby(people[cells.index]).nunique() <= 1).all())


def _add_label(study: Study, word: str, place: Mapping[str, str], cells: pd.Series) -> None:
    known = [cell for cell in cells if cell.lower() not in tables.MISSING]
    values, classes = _numbers(cells), sorted(set(known))
    if not word or word.lower() in (*_INFO, *_GROUPS) or len(classes) < 2 or len(study.labels) >= _MOST_LABELS:
        return
    if _COUNTS.fullmatch(word) or word in study.labels:
        return
    if values and len(classes) > 2:
        low, high = scale_of(values)
        found = f"{min(values):g} to {max(values):g} were found"
        study.labels[word] = Entry({**place, "scale": f"[{low:g}, {high:g}]"}, found)
        study.targets[word] = (f"kind: binary, cut: {(low + high) / 2:g}", "above the cut it is positive")
    elif len(classes) <= _MOST_CLASSES:
        study.labels[word] = Entry({**place, "classes": f"[{', '.join(map(as_yaml, classes))}]"})
        study.targets[word] = rule_of(classes)


def _find_labels_by_name(study: Study) -> None:
    """Labels by words in the names of files, where no table has them."""
    told = {key for sheet in study.sheets for key in sheet.keys}
    for kind in study.kinds:
        for name, values in kind.facts.items():
            classes = sorted(set(values))
            free = name not in ("participant", *SESSIONS, *told) and 2 <= len(classes) <= _MOST_CLASSES
            if free and not any(map(str.isdigit, classes)):
                fields = {"file": name, "classes": f"[{', '.join(map(as_yaml, classes))}]"}
                study.labels[name], study.targets[name] = Entry(fields, "by file name"), rule_of(classes)


def _find_shown(study: Study) -> None:
    """Takes the stimulus as a label, where there is no other."""
    if study.cut and not study.labels:
        classes = sorted(study.stimuli)[:_MOST_CLASSES]
        fields = {"file": "stimulus", "classes": f"[{', '.join(map(as_yaml, classes))}]"}
        study.labels["shown"] = Entry(fields, "what was shown is what is predicted: no ratings were found")
        study.targets["shown"] = rule_of(classes)


def scale_of(values: Sequence[float]) -> tuple[float, float]:
    """The scale that some ratings were probably given on: the smallest usual one that holds them, else their range.

    >>> scale_of([2, 8, 3]), scale_of([0.5, 77.0])
    ((1, 9), (0, 100))
    """
    low, high = min(values), max(values)
    usual = (scale for scale in _SCALES if scale[0] <= low and high <= scale[1])
    whole = all(float(value).is_integer() for value in values)
    best = next(usual, (low, high))
    return best if whole or best[1] == 100 or best == (low, high) else (low, high)


def rule_of(classes: Sequence[str]) -> tuple[str, str]:
    """The rule of a target of some classes, and what is to be decided."""
    if len(classes) == 2:
        rule = f"kind: binary, positive: [{as_yaml(classes[1])}], negative: [{as_yaml(classes[0])}]"
        return rule, "which one is positive?"
    return "kind: classes", "or binary, with lists of `positive` and `negative` classes"


def understood(study: Study) -> list[str]:
    """The findings on a folder, in sentences in which a wrong guess is seen."""
    people = {value for kind in study.kinds for value in kind.facts["participant"]}
    count = sum(len(kind.paths) for kind in study.kinds)
    modalities = list(dict.fromkeys(m for kind in study.kinds for m in kind.signals))
    said = [f"{len(people)} participants, {count} recordings ({', '.join(modalities)})."]
    if study.cut:
        by = "markers in the files" if study.marks else study.program.name if study.program else ""
        named = [study.names.get(s, s) for s in study.stimuli]
        shown = ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
        order = "in one order" if study.fixed_order else f"in {study.orders} orders"
        lasting = f", each up to {study.trial_s:g} s" if study.trial_s else ""
        said.append(f"Each holds several of {len(named)} stimuli ({shown}){lasting}, {order}, by {by}.")
    else:
        names = [n for kind in study.kinds for n in kind.facts if n not in ("participant", *SESSIONS)]
        values = {v for kind in study.kinds for v in kind.facts.get(names[-1], [])} if names else set()
        said += [f"A file holds one of {len(values)} stimuli, by its name."] if values else []
    rated = [
        f"{name} ({entry.fields.get('scale') or entry.fields.get('classes')})" for name, entry in study.labels.items()
    ]
    said.append(f"Labels: {', '.join(rated)}." if rated else "No table of labels was found.")
    if not study.cut and len({s for k in study.kinds for n, v in k.facts.items() if n != "participant" for s in v}) < 2:
        said.append("Nothing says that several stimuli were shown; if so, `trials` cuts recordings into them.")
    if study.zone:
        said.append(f"Times of tables are of {study.zone}, or they would lie outside the recordings.")
    said += [f"{s.name} is {s.unplaced}. If both began together, write `trials` by hand."
             for s in study.sheets if s.unplaced]  # fmt: skip
    unused = [sheet.name for sheet in study.sheets if sheet.participant is None and not sheet.stimulus]
    if unused:
        said.append(f"Not joined with recordings: {', '.join(unused[:5])}: no column holds the participants' names.")
    return said
