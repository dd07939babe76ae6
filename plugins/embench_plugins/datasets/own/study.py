"""The study that a folder of recordings seems to contain: participants, stimuli, their order, and labels.

Files and columns that the study does not use are listed with the reason.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.description import quote_yaml
from embench_plugins.datasets.own.design import (
    Marks,
    Sheet,
    Timing,
    are_times,
    count_rows_per_recording,
    find_moment_column,
    find_order,
    find_sheets,
    find_shift,
    find_stimulus_column,
    find_stimulus_marks,
    find_timing,
    find_wide_columns,
    measure_lengths,
)
from embench_plugins.datasets.own.found import (
    Kind,
    find_keys,
    find_kinds,
    find_modality,
    find_other_tables,
    find_people_column,
    is_time,
    list_files,
    list_spellings,
    merge_kinds,
)
from embench_plugins.datasets.own.items import find_bids_kinds
from embench_plugins.datasets.own.labels import Span, make_marked_spans
from embench_plugins.datasets.own.layout import Template

# The files of a folder that `data new` does not use, with the reasons.

_SIDECARS = (".vmrk", ".eeg", ".dat", ".json", ".fdt")
_COMPUTED = {"IBI.csv": "beats that the wristband found", "HR.csv": "heart rate that the wristband found"}
_TEXTS = (".md", ".pdf", ".docx", ".doc", ".rtf", ".odt", ".html", ".py", ".r", ".m", ".sps")
_ARCHIVES = (".zip", ".gz", ".7z", ".tar", ".rar")
_MEDIA = (".mp4", ".avi", ".mov", ".wav", ".mp3", ".png", ".jpg", ".jpeg")
_MOST_GROUPS, _MOST_NAMES, _MOST_NAMED = 12, 4, 6
_MOST_TABLES = 400


def list_unused_files(
    root: Path, files: Sequence[Path], used: Sequence[Kind], names: Iterable[str], why: Mapping[str, str]
) -> list[str]:
    """Return the unused files as `name (reason)`; files with the same reason share an entry.

    Args:
        used: the recordings that are used.
        names: templates of the tables that are used.
        why: template of a file -> the reason why it is not used; other files get a reason by their names and contents.
    """
    pieces = [part for kind in used for part in (kind, *kind.parts)]
    taken = {path for kind in pieces for path in kind.paths}
    taken |= {folder / name for kind in pieces if kind.is_e4 for folder in kind.paths for name in e4.FILES.values()}
    for text in names:
        taken |= {path for path, _ in Template(text).matches(root)}
    reasons = {path: reason for text, reason in why.items() for path, _ in Template(text).matches(root)}
    stems = {path.with_suffix("") for path in taken}
    groups: dict[str, list[str]] = defaultdict(list)
    for path in files:
        is_sidecar = path.suffix.lower() in _SIDECARS and path.with_suffix("") in stems
        of_bids = any(kind.bids for kind in pieces) and len(path.relative_to(root).parts) > 1
        if path not in taken and not is_sidecar and not of_bids:
            groups[reasons.get(path) or _find_reason(path)].append(path.relative_to(root).as_posix())
    listed = [f"{_summarise_paths(paths)} ({reason})" for reason, paths in groups.items()]
    further = len(listed) - _MOST_GROUPS
    return listed[:_MOST_GROUPS] + ([f"and others of {further} kinds"] if further > 0 else [])


def no_recordings_error(root: Path, files: Sequence[Path]) -> DataError:
    """Return the error on a folder without recordings, which names the files that are there instead and a remedy."""
    if archives := [path for path in files if path.suffix.lower() in _ARCHIVES]:
        return DataError(
            f"no recordings are found, but {len(archives)} archives, such as {archives[0].name}",
            where=str(root),
            expected="files of signals in folders",
            hint="unpack each into a folder of its name, for example by "
            '`for f in *.zip; do unzip -d "${f%.zip}" "$f"; done`, then run `embench data new` again',
        )
    what, by_columns = "no recordings are found", defaultdict[tuple[str, ...], list[Path]](list)
    for path in [path for path in files if path.suffix.lower() in tables.SUFFIXES][:_MOST_TABLES]:
        with contextlib.suppress(DataError):
            by_columns[tuple(tables.find_dialect(path).names)].append(path)
    if by_columns:
        names, own = max(by_columns.items(), key=lambda each: len(each[1]))
        listed = ", ".join(names[:8]) + (", .." if len(names) > 8 else "")
        what += f": none of the columns of {len(own)} tables such as {own[0].relative_to(root)} ({listed}) is a signal"
    return DataError(
        what,
        where=str(root),
        expected="EDF, BDF, WFDB, BrainVision, XDF, AcqKnowledge, CSV or Parquet files with one path for each "
        "recording, Empatica E4 exports, or BIDS",
        hint="name columns by what they are (EDA, ECG, ..), or write dataset.yaml by hand: its page has examples",
    )


def all_in_one_error(path: Path, column: str, people: Sequence[str]) -> DataError:
    """Return the error on a single table with the signals of several participants."""
    command = f"for who, rows in table.groupby({column!r}): rows.to_csv(f'{{who}}.csv', index=False)"
    return DataError(
        f"{path.name} has the signals of {len(people)} participants (column {column}: {', '.join(people[:3])}, ..)",
        where=str(path),
        expected="a file for each participant",
        hint=f"divide it, for example with pandas in a new folder: {command}",
    )


def _summarise_paths(paths: Sequence[str]) -> str:
    """Return paths as a short text: files with the same name are counted, and only the first few names are listed."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[path.rpartition("/")[2]].append(path)
    texts = [f"{len(own)} files {name}" if len(own) > 1 else own[0] for name, own in found.items()]
    return _list_some(texts, _MOST_NAMES)


def _list_some(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    """Return the first `most` names as a text, with the number of further ones."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _find_reason(path: Path) -> str:
    """Return why a file is not used, by its name or by the error on reading it as a table."""
    suffix = path.suffix.lower()
    if path.name == "tags.csv":
        return "presses of the button, which name no stimulus"
    if path.name in _COMPUTED:
        return _COMPUTED[path.name]
    if suffix in _ARCHIVES:
        return "archives: unpack them, then run `embench data new` again"
    if suffix == ".xls":
        return "an old Excel file: save it as .xlsx or CSV"
    if suffix in _MEDIA:
        return "pictures, sound or video"
    if suffix in _TEXTS or path.name.lower() in ("info.txt", "readme.txt", "readme", "license"):
        return "texts"
    if suffix not in tables.SUFFIXES:
        return f"{suffix or 'no ending'}: not a format of recordings or tables that embench reads"
    try:
        rows = tables.read_rows(path)
    except DataError as error:
        return f"{error.what}: {error.hint}" if error.hint else error.what
    return "texts" if rows.shape[1] < 2 else "neither signals nor a table that names the participants"


# The study.

SESSIONS = ("ses", "session", "day", "visit", "sitzung")
_INFO = {"sex": "sex", "gender": "sex", "geschlecht": "sex", "age": "age", "alter": "age", "handedness": "handedness"}
_GROUPS = ("group", "dyad", "pair", "site", "couple", "family", "gruppe")
_COUNTS = re.compile(
    r"(?i)(trial|order|position|index|nr|no|number|nummer|block|run|item|code)[_ .]?(no|nr|num|id)?\.?"
)
_FILLED = 0.3
"""Columns of words are labels only if at least this proportion of their cells is filled."""
_EVENTS = ("value", "sample", "response_time", "HED")
"""Columns that BIDS defines for events; they are not ratings."""
_MOST_CLASSES, _MOST_LABELS = 8, 12
_QUALTRICS = re.compile(
    r"(Start|End|Recorded)Date|Status|IPAddress|Progress|Duration \(in seconds\)|Finished|ResponseId|Recipient\w+"
    r"|ExternalReference|Location(Latitude|Longitude)|DistributionChannel|UserLanguage|Q_\w+"
)
"""Columns that Qualtrics adds to the answers."""
_FEW_DOUBLED = 0.2
"""If at most this proportion of recordings has several rows, these rows are treated as mistakes."""
_SCALES = ((1, 5), (1, 7), (1, 9), (1, 10), (0, 10), (0, 100))


@dataclass
class Entry:
    """A label in `dataset.yaml`: its keys with their values as text, and a comment.

    Args:
        names: facts on a recording, such as `participant`, without which its label cannot be found.
        dated: True if its times are dates, which cannot be used for recordings without a date.
    """

    fields: dict[str, str]
    comment: str = ""
    names: tuple[str, ...] = ()
    dated: bool = False


@dataclass
class Study:
    """The findings on a folder, from which `dataset.yaml` is written.

    Args:
        program: the table with the times of stimuli; `wide_times` are its columns of starts and ends if each stimulus
            has its own columns.
        marks: the markers in the files, if they give the times of stimuli instead of a table.
        stimuli: the stimuli in order of appearance; `names` maps their codes to names.
        trial_s: length of the longest trial in seconds; 0 if unknown.
        zone: time zone of the times in tables; None for UTC.
        orders: number of orders of stimuli that were found.
        participants: the table of participants; `info` maps facts such as `sex` to its columns, and `groups` are its
            columns of groups.
        targets: label -> its possible rules, the first of which is proposed, each with a comment.
        placeholder: the name in braces that replaces the stimulus in names of columns.
        unused: path of a table -> why it is not used.
        columns: reason -> the columns that are not used as labels for this reason.
        doubts: sentences on mistakes in the data that the user must correct.
        unused_files: unused files with their reasons, as texts.
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
    targets: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    placeholder: str = "stimulus"
    unused: dict[str, str] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    unused_files: list[str] = field(default_factory=list)

    @property
    def cut(self) -> bool:
        """True if recordings are cut into trials."""
        return self.program is not None or self.marks is not None

    def list_labels(self, kind: Kind) -> list[str]:
        """Return the names of the labels that recordings of this kind can have."""
        there = {*kind.facts, *(("stimulus",) if self.cut else ())}
        absolute = {"start", "time"}
        return [
            name for name, entry in self.labels.items()
            if set(entry.names) <= there and not (absolute & set(entry.fields) and entry.dated and not kind.begins)
        ]  # fmt: skip


def find_study(folder: Path) -> Study:
    """Return the study in a folder, by its files, tables and markers.

    Raises:
        DataError: the folder does not exist, or nothing in it can be read.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), expected="a folder of recordings")
    files = list_files(folder)
    kinds = find_bids_kinds(folder) if (folder / "dataset_description.json").is_file() else []
    kinds = kinds or find_kinds(folder, files)
    most_paths = max((len(kind.paths) for kind in kinds), default=0)
    single = [kind for kind in kinds if len(kind.paths) == 1 and most_paths >= 3]  # one table of all is no recording
    kinds, spare = merge_kinds(folder, [kind for kind in kinds if kind not in single])
    spare += [(kind, "signals of another form than the other files") for kind in single if kind.time]
    if not kinds:
        raise no_recordings_error(folder, files)
    for path in (kind.paths[0] for kind in kinds if len(kind.paths) == 1 and not kind.is_e4):
        if (people := find_people_column(path)) and len(kinds) == 1:
            raise all_in_one_error(path, *people)
    beside = list(find_other_tables(files, [*kinds, *(kind for kind, _ in spare)]))
    study = Study(folder, kinds, find_sheets(folder, [(p, _drop_qualtrics_columns(rows)) for p, rows in beside], kinds))
    for sheet in study.sheets:
        if "{participant}" not in sheet.rows:
            sheet.keys = find_keys(sheet.rows, kinds)
        if sheet.has_one_row_each:  # numbers of a table of people are no keys
            sheet.keys = {k: v for k, v in sheet.keys.items() if k == "participant"}
        else:
            sheet.timing = find_timing(sheet.rows, sheet.keys)
    _find_stimuli(study)
    _find_order(study)
    study.trial_s = _find_longest(study)
    _find_zone(study)
    _find_people(study)
    _add_condition_labels(study)
    has_several = any(len(set(kind.facts["participant"])) < len(kind.paths) for kind in kinds)
    has_several = has_several or study.cut or bool(study.labels)
    for sheet in study.sheets:
        joined = not sheet.unplaced or sheet.stimulus
        if joined and not (sheet.has_one_row_each and has_several):
            _find_labels(study, sheet)
    _find_labels_by_name(study)
    for sheet in study.sheets:
        if sheet.has_one_row_each and has_several and sheet.wide:
            _find_labels(study, sheet)
    _find_shown(study)
    _find_unused(study, files, {kind.bids or kind.template: why for kind, why in spare}, several=has_several)
    return study


def _drop_qualtrics_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns that Qualtrics adds."""
    added = [str(c) for c in rows.columns if _QUALTRICS.fullmatch(str(c))]
    return rows.drop(columns=added) if {"ResponseId", "RecordedDate"} <= set(added) else rows


def _find_unused(study: Study, files: Sequence[Path], spare: Mapping[str, str], *, several: bool) -> None:
    """Store the unused files and columns of a study, with the reasons."""
    label_tables = {entry.fields.get("table") for entry in study.labels.values()}
    of_people = [sheet for sheet in study.sheets if sheet.has_one_row_each and several and not sheet.wide]
    used = [sheet.name for sheet in study.sheets
            if quote_yaml(sheet.name) in label_tables or sheet in (study.program, study.participants) or sheet.unplaced
            or (sheet.participant is None and sheet.stimulus and study.names)]  # fmt: skip
    for sheet in study.sheets:
        if sheet in of_people and (spared := [c for c in sheet.plain if c.lower() not in (*_INFO, *_GROUPS)]):
            study.columns.setdefault("known of a participant, not of a recording", []).extend(spared)
        why = "no column contains the participants' names" if sheet.participant is None else "no column that is a label"
        study.unused.setdefault(sheet.name, why)
    study.unused_files = list_unused_files(study.folder, files, study.kinds, used, {**study.unused, **spare})


def _add_condition_labels(study: Study) -> None:
    """Add a label for each column beside the signals that keeps a value over stretches of rows."""
    for kind in study.kinds if len(study.kinds) == 1 and not study.cut else ():
        for column, values in kind.conditions.items() if not kind.parts else ():
            word = re.sub(r"\W+", "_", column).strip("_")
            word = f"column{word}" if word.isdigit() else word
            fields = {"column": quote_yaml(column), "classes": f"[{', '.join(map(quote_yaml, values))}]"}
            study.labels[word] = Entry(fields, "a column beside the signals")
            study.targets[word] = [choose_rule(values)]


def _find_stimuli(study: Study) -> None:
    """Store the stimuli of recordings that contain several, by markers, a table of times, or columns of times."""
    if any(name not in ("participant", *SESSIONS) for kind in study.kinds for name in kind.facts):
        _find_wide(study)
        return  # each has its own files
    cells = [str(c) for s in study.sheets for column in s.plain for c in s.rows[column].unique()[:100]]
    study.marks = next(filter(None, (find_stimulus_marks(kind, cells) for kind in study.kinds)), None)
    study.stimuli = list(study.marks.begins.values()) if study.marks else []
    for sheet in study.sheets:
        sheet.stimulus = find_stimulus_column(sheet, study.stimuli)
    timed = [
        s for s in study.sheets if s.timing and s.stimulus and s.participant is not None and _has_ratings(s, study)
    ]
    if timed and not study.marks:
        study.program = max(timed, key=lambda sheet: len(_find_ratings(sheet)))
        shown = study.program.rows[str(study.program.stimulus)]
        study.stimuli = list(dict.fromkeys(shown[~tables.is_blank(shown)]))
    for sheet in study.sheets:
        if sheet.has_one_row_each:
            sheet.wide = find_wide_columns(sheet, study.stimuli)
            times = [c for c in sheet.wide if _names_moments(c)]
            if not study.cut and len(times) == 2:
                study.program, study.wide_times = sheet, (times[0], times[1])
                study.stimuli = sheet.wide[times[0]]
        elif study.stimuli and sheet.stimulus is None:
            sheet.stimulus = find_stimulus_column(sheet, study.stimuli)
        if sheet.participant is None and sheet.stimulus:  # a list of codes
            others = [c for c in sheet.plain if sheet.rows[c].is_unique and not _parse_numbers(sheet.rows[c])]
            study.names |= dict(zip(sheet.rows[sheet.stimulus], sheet.rows[others[0]], strict=True)) if others else {}
    _name_codes(study)


def _name_codes(study: Study) -> None:
    """Replace the codes of stimuli in markers by names from a list of codes, if the tables of ratings use the names."""
    code_names = [name for code, name in study.names.items() if code in study.stimuli]
    rated = [sheet for sheet in study.sheets if sheet.participant is not None]
    if study.marks is None or len(code_names) < 2 or any(sheet.stimulus or sheet.wide for sheet in rated):
        return
    columns = {
        id(sheet): (
            find_stimulus_column(sheet, code_names),
            find_wide_columns(sheet, code_names) if sheet.has_one_row_each else {},
        )
        for sheet in rated
    }
    if any(column or wide for column, wide in columns.values()):
        for sheet in rated:
            sheet.stimulus, sheet.wide = columns[id(sheet)]
        begins = {text: study.names.get(code, code) for text, code in study.marks.begins.items()}
        study.marks = study.marks._replace(begins=begins)
        study.stimuli = list(begins.values())


def _find_wide(study: Study) -> None:
    """Find tables with a column per stimulus whose files are named by stimulus, and adopt their spelling."""
    for kind in study.kinds if len(study.kinds) == 1 and not study.kinds[0].parts else ():
        for name in [name for name in kind.facts if name not in ("participant", *SESSIONS)]:
            ways = list_spellings(kind, name)
            for sheet in (sheet for sheet in study.sheets if sheet.has_one_row_each and "participant" in sheet.keys):
                wide, way = max(
                    ((find_wide_columns(sheet, way[1], name), way) for way in ways), key=lambda pair: len(pair[0])
                )
                if wide and study.placeholder == "stimulus":
                    sheet.wide, study.placeholder = wide, name
                    kind.template, kind.facts[name] = way


def _names_moments(column: str) -> bool:
    """Return True if a column's name, without the stimulus in braces, is usual for a start or an end."""
    plain = re.sub(r"\{\w+\}", "x", column)
    both = (pd.DataFrame({plain: ["1"], other: ["2"]}) for other in ("start", "end"))
    return any((found := find_timing(rows, {})) is not None and plain in found.columns for rows in both)


def _has_ratings(sheet: Sheet, study: Study) -> bool:
    """Return True if this or another table has ratings of the table's stimuli. Else its stretches are phases."""
    names = sorted({tables.simplify_value(cell) for cell in sheet.rows[str(sheet.stimulus)]})
    others = [other for other in study.sheets if other is not sheet and not other.timing]
    return bool(_find_ratings(sheet)) or any(
        find_stimulus_column(other, names) or find_wide_columns(other, names) for other in others
    )


def _find_ratings(sheet: Sheet) -> list[str]:
    """Return the columns of numbers that may be ratings."""
    return [c for c in sheet.plain if len(set(_parse_numbers(sheet.rows[c]))) > 2 and not _COUNTS.fullmatch(c)]


def _parse_numbers(cells: pd.Series) -> list[float]:
    """Return the numbers of a column without missing cells; empty if a cell is not a number."""
    values = [tables.parse_number(cell) for cell in cells if cell.lower() not in tables.MISSING]
    return values if all(map(math.isfinite, values)) else []


def _find_order(study: Study) -> None:
    """Store how many orders of stimuli there are, and whether all participants have the same."""
    orders: list[tuple[str, ...]] = []
    if study.marks:
        begins = study.marks.begins
        orders = [
            tuple(begins[t] for _, t in marks if t in begins) for k in study.kinds for marks in k.markers.values()
        ]
    elif study.program and study.program.stimulus:
        orders = find_order(study.program)
    elif study.program is None:
        orders = _find_orders_of_files(study)
    elif study.program:
        columns = [study.wide_times[0].replace("{stimulus}", s) for s in study.stimuli]
        orders = [tuple(row.sort_values(kind="stable").index) for _, row in study.program.rows[columns].iterrows()]
    orders = [order for order in orders if order]
    if len(orders) > 1:
        study.orders, study.fixed_order = len(set(orders)), len(set(orders)) == 1


def _find_orders_of_files(study: Study) -> list[tuple[str, ...]]:
    """Return each participant's order of stimuli by the start times of files; empty if a file lacks its start time."""
    played: dict[str, list[tuple[float, str]]] = {}
    for kind in study.kinds if len(study.kinds) == 1 else ():
        names = [name for name in kind.facts if name not in ("participant", *SESSIONS)]
        if names and all(path in kind.begins for path in kind.paths):
            for who, path, shown in zip(kind.facts["participant"], kind.paths, kind.facts[names[-1]], strict=True):
                played.setdefault(who, []).append((kind.begins[path][0], shown))
    return [tuple(shown for _, shown in sorted(own)) for own in played.values() if len(own) > 1]


def _find_longest(study: Study) -> float:
    """Return the length of the longest trial in seconds; 0 if unknown."""
    if study.marks:
        marks = study.marks
        mark_lists = [found for kind in study.kinds for found in kind.markers.values()]
        trials = [make_marked_spans(sorted(found), marks.begins, marks.until, None).spans for found in mark_lists]
        spans = [span for each in trials for span in each if isinstance(span, Span)]
        return max((span.stop - span.start for span in spans), default=0.0)
    if study.program is None:
        return 0.0
    return max(
        (length for sheet in _find_timed(study, study.program) for length in measure_lengths(sheet)), default=0.0
    )


def _find_timed(study: Study, sheet: Sheet) -> list[Sheet]:
    """Return a table with times as a list; a table with columns of times per stimulus as one table per stimulus."""
    if sheet.timing or sheet is not study.program:
        return [sheet] if sheet.timing else []
    pairs = [[column.replace("{stimulus}", s) for column in study.wide_times] for s in study.stimuli]
    return [Sheet("", sheet.rows, sheet.keys, Timing(first, last, None)) for first, last in pairs if last in sheet.rows]


def _find_zone(study: Study) -> None:
    """Store the only time zone in which the times of a table lie within the recordings."""
    starts = {
        tables.simplify_value(kind.facts["participant"][k]): kind.begins[path]
        for kind in study.kinds for k, path in enumerate(kind.paths) if path in kind.begins
    }  # fmt: skip
    for timed in (part for sheet in study.sheets for part in _find_timed(study, sheet)):
        if hours := find_shift(timed, starts):
            minutes = round(60 * abs(hours))
            study.zone = f"UTC{'+' if hours > 0 else '-'}{minutes // 60:02d}:{minutes % 60:02d}"


def _find_people(study: Study) -> None:
    """Store the table of participants with its columns of sex, age, handedness and groups."""
    for sheet in study.sheets:
        if sheet.has_one_row_each and study.participants is None and "participant" in sheet.keys:
            known = {str(c).lower(): str(c) for c in sheet.rows.columns}
            study.participants = sheet
            study.info = {_INFO[word]: column for word, column in known.items() if word in _INFO}
            study.groups = [known[word] for word in _GROUPS if word in known]


def _find_labels(study: Study, sheet: Sheet) -> None:
    """Add the columns of a table that can be labels, with their targets, and store why the other columns cannot."""
    if sheet.participant is None:
        return
    trial = sheet is study.program and not sheet.wide
    place = sheet.place
    keys = {k: v for k, v in sheet.keys.items() if k in sheet.rows or v in sheet.rows}
    if study.cut and sheet.stimulus and sheet is not study.program:
        keys = {**keys, "stimulus": sheet.stimulus}
    if keys:
        place["keys"] = f"{{{', '.join(f'{k}: {quote_yaml(v)}' for k, v in keys.items())}}}"
    if sheet.timing and not study.cut:
        start, end, duration = sheet.timing
        place |= {
            "start": quote_yaml(start),
            **({"end": quote_yaml(end)} if end else {"duration": quote_yaml(str(duration))}),
        }
    moment = None if study.cut else find_moment_column(sheet)
    if moment:
        place["time"] = quote_yaml(moment)
    if not (trial or moment or "start" in place) and not _has_one_row_each(study, sheet, keys):
        return
    columns = [*sheet.plain, *([sheet.stimulus] if sheet.stimulus and not study.cut else [])]
    rated = [c for c in sheet.wide if not _names_moments(c)]
    braces = f"{{{study.placeholder}}}"
    wide = {c.replace(braces, s) for c in sheet.wide for s in sheet.wide[c]}
    skipped = {*wide, moment, *(_EVENTS if sheet.name.endswith("_events.tsv") else ())}
    for column in [*rated, *(c for c in columns if c not in skipped and not find_modality(c))]:
        names = [column.replace(braces, s) for s in sheet.wide.get(column, [])]
        rows = sheet.rows if sheet.stimulus is None else sheet.rows[~tables.is_blank(sheet.rows[sheet.stimulus])]
        cells = pd.concat([rows[name] for name in names]) if names else rows[column]
        if why := "" if names else _reason_against_label(sheet, column, rows[column]):
            study.columns.setdefault(why, []).append(column)
            continue
        if sheet.wide and not names:
            continue  # a fact on a participant, not a rating of a stimulus
        word = re.sub(r"\W+", "_", column.replace(braces, "")).strip("_")
        fields = {"trial": quote_yaml(column)} if trial else {**place, "column": quote_yaml(column)}
        needs = () if trial else (*Template(sheet.name).names, *keys, *((study.placeholder,) if names else ()))
        _add_label(study, word, Entry(fields, names=needs, dated=_has_dates(sheet, moment)), cells)


def _has_dates(sheet: Sheet, moment: str | None) -> bool:
    """Return True if the times of a table are dates or times of day instead of seconds."""
    column = moment or (sheet.timing.start if sheet.timing else None)
    return column is not None and not _parse_numbers(sheet.rows[column])


def _has_one_row_each(study: Study, sheet: Sheet, keys: Mapping[str, str]) -> bool:
    """Return True if at most a fifth of the recordings have several rows of a table, and store these as doubts.
    Otherwise store the table as unused."""
    counts = count_rows_per_recording(sheet, keys)
    doubled = counts[counts > 1]
    if len(doubled) > _FEW_DOUBLED * len(counts):
        what = "no times or names in the paths tell them apart; a table of times, or `trials`, does"
        study.unused[sheet.name] = f"up to {counts.max()} rows for a recording: {what}"
        return False
    if len(doubled):
        first = doubled.index[0]
        example = " and ".join(map(str, first)) if isinstance(first, tuple) else str(first)
        some = f"{len(doubled)} trials have" if len(doubled) > 1 else "one trial has"
        study.doubts.append(
            f"{sheet.name}: {some} several rows (of {example}, for example): remove all but one of each."
        )
    return True


def _reason_against_label(sheet: Sheet, column: str, cells: pd.Series) -> str:
    """Return why a column is not a label; empty if it may be one."""
    if is_time(column) or (not _parse_numbers(cells) and are_times(cells)):
        return "times"
    if _is_trait(sheet, cells):
        return "known of a participant, not of a recording"
    known = cells[~tables.is_blank(cells)]
    if len(known) < _FILLED * len(cells) and not _parse_numbers(cells):
        return "hardly filled"
    return ""


def _is_trait(sheet: Sheet, cells: pd.Series) -> bool:
    """Return True if a column is constant within each participant, and participants have several rows."""
    people = sheet.participant
    if people is None or sheet.has_one_row_each or people.nunique() < 2:
        return False
    return bool((cells.groupby(people[cells.index]).nunique() <= 1).all())


def _add_label(study: Study, word: str, entry: Entry, cells: pd.Series) -> None:
    """Add a label and its targets to the study, if its cells are ratings or a few classes."""
    known = [cell for cell in cells if cell.lower() not in tables.MISSING]
    values, classes = _parse_numbers(cells), sorted(set(known))
    if not word or word.lower() in (*_INFO, *_GROUPS) or len(classes) < 2 or len(study.labels) >= _MOST_LABELS:
        return
    if _COUNTS.fullmatch(word) or word in study.labels:
        return
    if values and len(classes) > 2:
        low, high = guess_scale(values)
        found = f"{min(values):g} to {max(values):g} were found"
        entry.fields, entry.comment = {**entry.fields, "scale": f"[{low:g}, {high:g}]"}, found
        study.labels[word] = entry
        cut = (f"kind: binary, cut: {(low + high) / 2:g}", "high or low, above and below the cut")
        study.targets[word] = [("kind: value", "the number itself"), cut]
    elif len(classes) <= _MOST_CLASSES:
        entry.fields |= {"classes": f"[{', '.join(map(quote_yaml, classes))}]"}
        study.labels[word] = entry
        study.targets[word] = [choose_rule(classes)]


def _find_labels_by_name(study: Study) -> None:
    """Add labels by words in the names of files, such as `stress`, if no table has labels within participants."""
    taken = {study.placeholder, *(key for sheet in study.sheets for key in sheet.keys)}
    for kind in study.kinds:
        if study.labels and len(set(kind.facts["participant"])) == len(kind.paths):
            continue  # each participant has one, and there is a label within it
        for name, values in kind.facts.items():
            classes = sorted(set(values))
            free = name not in ("participant", *SESSIONS, *taken) and 2 <= len(classes) <= _MOST_CLASSES
            if free and not any(map(str.isdigit, classes)):
                fields = {"file": name, "classes": f"[{', '.join(map(quote_yaml, classes))}]"}
                study.labels[name] = Entry(fields, "by file name", (name,))
                study.targets[name] = [choose_rule(classes)]


def _find_shown(study: Study) -> None:
    """Add the stimulus as a label if the study has no other."""
    if study.cut and not study.labels:
        classes = sorted(study.stimuli)[:_MOST_CLASSES]
        fields = {"file": "stimulus", "classes": f"[{', '.join(map(quote_yaml, classes))}]"}
        study.labels["shown"] = Entry(fields, "what was shown is what is predicted: no ratings were found")
        study.targets["shown"] = [choose_rule(classes)]


def guess_scale(values: Sequence[float]) -> tuple[float, float]:
    """Guess the scale of ratings: the smallest usual scale that contains all values, else their range.

    >>> guess_scale([2, 8, 3]), guess_scale([0.5, 77.0])
    ((1, 9), (0, 100))
    """
    low, high = min(values), max(values)
    usual = (scale for scale in _SCALES if scale[0] <= low and high <= scale[1])
    whole = all(float(value).is_integer() for value in values)
    best = next(usual, (low, high))
    return best if whole or best[1] == 100 or best == (low, high) else (low, high)


def choose_rule(classes: Sequence[str]) -> tuple[str, str]:
    """Return the rule of a target over these classes as YAML, and the question that the user must decide."""
    if len(classes) == 2:
        rule = f"kind: binary, positive: [{quote_yaml(classes[1])}], negative: [{quote_yaml(classes[0])}]"
        return rule, "which one is positive?"
    return "kind: classes", "or binary, with lists of `positive` and `negative` classes"


def describe_study(study: Study) -> list[str]:
    """Return the findings on a folder as sentences, so that a reader can notice a wrong guess."""
    people = {value for kind in study.kinds for value in kind.facts["participant"]}
    count = sum(len(kind.paths) for kind in study.kinds)
    modalities = list(dict.fromkeys(m for kind in study.kinds for m in kind.modalities if m != "TODO"))
    sentences = [
        f"{len(people)} participants, {count} recordings ({', '.join(modalities) or 'columns without names'})."
    ]
    if study.cut:
        by = "markers in the files" if study.marks else study.program.name if study.program else ""
        named = [study.names.get(s, s) for s in study.stimuli]
        order = "in one order" if study.fixed_order else f"in {study.orders} orders"
        lasting = f", each up to {study.trial_s:g} s" if study.trial_s else ""
        sentences.append(
            f"Each holds several of {len(named)} stimuli ({_list_some(named)}){lasting}, {order}, by {by}."
        )
    else:
        names = [n for kind in study.kinds for n in kind.facts if n not in ("participant", *SESSIONS)]
        values = {v for kind in study.kinds for v in kind.facts.get(names[-1], [])} if names else set()
        sentences += [f"Each file contains one of {len(values)} stimuli, by its name."] if values else []
    rated = [
        f"{name} ({entry.fields.get('scale') or entry.fields.get('classes')})" for name, entry in study.labels.items()
    ]
    sentences.append(f"Labels: {', '.join(rated)}." if rated else "No table of labels was found.")
    if not study.cut and len({s for k in study.kinds for n, v in k.facts.items() if n != "participant" for s in v}) < 2:
        sentences.append("Nothing says that several stimuli were shown; if so, `trials` cuts recordings into them.")
    if study.zone:
        sentences.append(f"Times of tables are of {study.zone}, or they would lie outside the recordings.")
    sentences += [f"{s.name} is {s.unplaced}. If both began together, write `trials` by hand."
             for s in study.sheets if s.unplaced]  # fmt: skip
    sentences += study.doubts
    if study.unused_files:
        sentences.append(f"Not used: {'; '.join(study.unused_files)}.")
    if study.columns:
        groups = (f"{_list_some(list(dict.fromkeys(names)))} ({why})" for why, names in study.columns.items())
        sentences.append(f"Columns that are not labels: {'; '.join(groups)}.")
    return sentences
