"""The recordings in a folder: groups of files, the meaning of the parts of their names, and their contents."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import Channels, parse_unit
from embench_plugins.datasets.formats.recordings import open_recording, read_markers
from embench_plugins.datasets.own import exports, tables
from embench_plugins.datasets.own.clock import UNIX_S, UNIX_UNITS
from embench_plugins.datasets.own.description import DATASET
from embench_plugins.datasets.own.layout import TIME_UNITS, OwnChannels, Template, compile_part, merge_stars
from embench_plugins.datasets.own.signals import TABLES, find_first_time
from embench_plugins.datasets.own.tables import EVERY, SPREADSHEET, list_sheets

WAVES = (".edf", ".bdf", ".hea", ".vhdr", ".xdf", ".acq")
ELECTRODES = re.compile(r"(?i)(eeg[ _])?(fp|af|f|fc|ft|c|cp|t|tp|p|po|o|i)(z|[1-9]|10)([ _.-](ref|le|avg|a[12]))?\.*")
SIGNALS = {
    "temp": (r"temp\w*|skt|skin.?temp\w*|haut.?temp\w*", "degC"),
    "eda": (r"eda|gsr|skin|skin.?cond\w*|scl?|electrodermal\w*|haut.?leit\w*|leit(wert|fähigkeit)", "uS"),
    "ppg": (r"ppg|bvp|pulse(?!.?rate)|pleth\w*|puls|pulswelle|blut.?volumen\w*", "a.u."),
    "ecg": (r"ecg|ekg", "mV"),
    "resp": (r"resp(?!ons)\w*|rsp|breath\w*|atem\w*|atmung", "a.u."),
    "emg": (r"emg\w*", "uV"),
    "eog": (r"eog\w*|[hv]eog", "uV"),
    "hr": (r"hr|heart(.?rate)?|pulse.?rate|puls.?rate|herz.?(rate|frequenz)", "bpm"),
    "acc": (r"a?[xyz]|(acc|beschl)\w*?[ _.]?[xyz]", "g"),
}
"""Modality -> pattern of the names of its columns, and its usual measurement unit."""
TIMES = (
    r"[\w ]*timestamp|record\.timestamp|time\w*|t|seconds?|s|sec|ms|date\w*|unix\w*|utc"
    r"|(uhr|mess)?zeit(stempel|punkt)?|datum( |_|/)?(uhr)?(zeit)?|sekunden?|tijd|heure|hora|tempo|時刻|時間"
)
_MARKERS = re.compile(r"(?i)(event|marker|marke|trigger|stim|status|button|taste)s?([_ .-]?\w+)?")
"""Columns beside signals whose numbers mark moments, not stretches of time."""
_DATE = re.compile(r"(?<!\d)((19|20)\d\d([-_.]?)[01]\d\3[0-3]\d|[0-3]\d([-_.])[01]\d\4(19|20)\d\d)(?!\d)")
"""A date in the name of a file or folder."""
_FOREIGN = re.compile(r"(?i)k?ohms?|no[ _]units")
"""Measurement units of columns that are not signals although they are named like one."""
_SUBJECT = re.compile(
    r"(?i)(p|s|sub|subj|subject|sbj|vp|vpn|vl|pp|pt|id|tn|participant|proband|teilnehmer|user|被験者|参加者)[-_ ]?\d+"
)
_OTHER = re.compile(
    r"(?i)(ses|session|sitzung|day|tag|run|trial|clip|film|video|movie|block|task|visit|cond|condition)[-_ ]?\w{0,3}"
    r"|(19|20)\d\d[-_.]?\d\d[-_.]?\d\d([T_-]?\d{4,6})?|before|after|pre|post"
)
_RATINGS = re.compile(
    r"(?i)([a-z]+[_ .-])?(arousal|valence|dominance|erregung|valenz|rating|liking|stress|sam)([_ .-]\w+)?"
)
"""Columns with ratings, not with ids of participants or clips."""
_PEOPLE = re.compile(
    r"(?i)(participant|subject|subj|sub|person|proband|teilnehmer|user|vpn?|code|p?id)([_ .-]?(id|nr|no|code))?"
)
"""Columns with ids of participants."""
_SEPARATORS = {ord(mark): chr(0xE000 + k) for k, mark in enumerate("_-. ")}
"""Separators between the words of a name -> the private characters that replace them in names that are not split."""
_RESTORED = {ord(replacement): chr(mark) for mark, replacement in _SEPARATORS.items()}
_WORDS = re.compile(r"[^_\-. ]+")
_MOST_FILES = 20_000
_MOST_LOOKED_AT = 400
_SIDECARS = ("channels", "electrodes", "scans", "coordsystem")
_SIGNAL_ROWS = 30
_MOST_HELD, _LEAST_HELD = 8, 20
"""A column of conditions has at most so many values, and each lasts at least so many rows on average."""


@dataclass
class Kind:
    """Files, or E4 folders, of one kind: their path template, the facts in their names, and their channels.

    Args:
        facts: name in braces -> its text in each of `paths`.
        is_e4: True for folders of E4 exports.
        signals: modality -> channel -> its name in the files; `units` and `rates` (Hz) are by modality.
        time: the column of times, None if there is none, with the unit of its numbers.
        others: names of channels and columns that are not signals.
        bids: the task, for files of a BIDS dataset.
        markers: file -> seconds and texts of its markers.
        begins: file -> its start in unix seconds and its length in s, if the file contains its start.
        conditions: column beside the signals -> its values, which last for stretches of rows, over all files.
        unnamed: a description of each column, for files without names of columns.
        parts: other files of the same recordings, with other modalities.
    """

    template: str
    paths: list[Path]
    facts: dict[str, list[str]]
    is_e4: bool = False
    signals: dict[str, dict[str, str]] = field(default_factory=dict)
    units: dict[str, str | None] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    time: str | None = None
    time_unit: str = "s"
    longest_s: float = 0.0
    others: list[str] = field(default_factory=list)
    bids: str | None = None
    markers: dict[Path, list[tuple[float, str]]] = field(default_factory=dict)
    begins: dict[Path, tuple[float, float]] = field(default_factory=dict)
    conditions: dict[str, list[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    parts: list[Kind] = field(default_factory=list)

    @property
    def modalities(self) -> list[str]:
        """The modalities of these files and of `parts`."""
        return [m for each in (self, *self.parts) for m in each.signals]

    @property
    def ids(self) -> list[str]:
        """The id of each recording: the texts of the names in braces, joined by slashes."""
        names = Template(self.template).names if self.template else tuple(self.facts)
        return ["/".join(self.facts[name][k] for name in names) for k in range(len(self.paths))]


def list_files(root: Path) -> list[Path]:
    """Return at most `_MOST_FILES` files below a folder, without hidden files, linked folders and files of embench."""
    found: list[Path] = []
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        own = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
        found += [path for path in own if path.name not in (DATASET, "EMBENCH_SYNTHETIC.json")]
        if len(found) > _MOST_FILES:
            break
    return found[:_MOST_FILES]


def find_kinds(root: Path, files: Sequence[Path]) -> list[Kind]:
    """Return the recordings among some files: E4 exports, then files with signals."""
    names = set(e4.FILES.values())
    by_folder: dict[Path, set[str]] = defaultdict(set)
    for path in files:
        by_folder[path.parent].add(path.name)
    headers = {path: _read_shared_header(path) for path in files if path.suffix.lower() in (*WAVES, *TABLES)}
    known_names = _find_known_names([path for path, header in headers.items() if header is None])
    e4_folders = {
        folder for folder, inside in by_folder.items() if len(names & inside) > 1
        and e4.is_signal_file(folder / next(name for name in e4.FILES.values() if name in inside))
    }  # fmt: skip
    if root in e4_folders:
        raise DataError(
            "the folder of the study is itself the export of an E4 wristband, so that nothing names the participant",
            where=str(root),
            expected="a folder with one folder for each export, such as study/P01/BVP.csv",
            hint="move the files of the export into a folder with the name of the participant",
        )
    kinds = [_find_e4(root, group, known_names) for group in _group_paths(root, sorted(e4_folders), known_names)]
    groups: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path, header in headers.items():
        if path.parent not in e4_folders and header is not None:
            groups[path.suffix.lower(), header].append(path)
    for group in groups.values():
        described = (_describe_files(root, paths, known_names) for paths in _group_paths(root, group, known_names))
        kinds += [kind for kind in described if kind]
    return kinds


def merge_kinds(root: Path, found: Sequence[Kind]) -> tuple[list[Kind], list[tuple[Kind, str]]]:
    """Join kinds of files that belong to the same recordings: the further files become the `parts` of a kind. Return
    the joined kinds, and the kinds that `dataset.yaml` cannot describe beside them, with the reason."""
    joined, separate = list[Kind](), list[tuple[Kind, str]]()
    for kind in sorted(found, key=lambda kind: -len(kind.paths)):
        for other in joined:
            _adapt_template(root, kind, other)
        same = next((other for other in joined if set(kind.ids) & set(other.ids)), None)
        if same is None:
            joined.append(kind)
        elif shared := sorted(set(kind.modalities) & set(same.modalities)):
            separate.append((kind, f"{', '.join(shared)} of these recordings is in {same.bids or same.template} too"))
        elif kind.is_e4 or same.is_e4 or kind.bids or same.bids or set(kind.facts) != set(same.facts):
            separate.append((kind, f"a recording cannot be joined from these and {same.bids or same.template}"))
        else:
            same.parts.append(kind)
            same.longest_s = max(same.longest_s, kind.longest_s)
            same.markers |= {path: marks for path, marks in kind.markers.items() if marks} if not same.markers else {}
    return sorted(joined, key=found.index), separate


def find_people_column(path: Path) -> tuple[str, list[str]] | None:
    """Return the column of participants in a table and their ids; None for no such column or only one participant."""
    with contextlib.suppress(DataError):
        for name in (name for name in tables.find_dialect(path).names if _PEOPLE.fullmatch(name)):
            people = [str(value) for value in tables.read_columns(path, [name], str(path))[name].dropna().unique()]
            if len(people) > 1:
                return name, people
    return None


def _adapt_template(root: Path, kind: Kind, other: Kind) -> None:
    """Take over the folders of another kind's template, if the files of `kind` share one name and lie in such
    folders."""
    inside, _, name = other.template.rpartition("/")
    if kind.is_e4 or other.is_e4 or not inside or len({path.name for path in kind.paths}) > 1 or "{" in name:
        return
    read = dict(Template(f"{inside}/{kind.paths[0].name}").matches(root))
    if set(kind.paths) <= set(read):
        kind.template = f"{inside}/{kind.paths[0].name}"
        kind.facts = {name: [read[path][name] for path in kind.paths] for name in other.facts}


def find_other_tables(files: Sequence[Path], used: Sequence[Kind]) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Yield tables without signals: labels, stretches of time, or participants."""
    taken = {path for kind in used for path in kind.paths} | {
        p for k in used if k.is_e4 for f in k.paths for p in f.iterdir()
    }
    for path in files:
        sidecar = any(kind.bids for kind in used) and path.stem.rpartition("_")[2] in _SIDECARS
        table = path.suffix.lower() in TABLES or (
            path.suffix.lower() == exports.SUFFIX and exports.find_log_program(path)[0]
        )
        if table and path not in taken and not sidecar and path.stat().st_size < 1 << 22:
            for rows in _read_tables(path):
                if rows.shape[1] > 1:
                    yield path, rows


def _read_tables(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table. The sheets of an Excel file are one table if their columns are equal, else several,
    whose `attrs` have the name of the sheet."""
    names: Sequence[str | None] = [None]
    with contextlib.suppress(DataError):
        if path.suffix.lower() == SPREADSHEET and len(several := list_sheets(path)) > 1:
            names = several
            with contextlib.suppress(DataError):
                tables.read_rows(path, tables.Reading(0, EVERY))
                names = [EVERY]
    for name in names:
        with contextlib.suppress(DataError):
            rows = tables.read_rows(path, tables.Reading(0, name))
            rows.attrs["sheet"] = name
            yield rows


def find_template(
    root: Path, paths: Sequence[Path], *, stars: bool = True, known: Mapping[str, bool] | None = None
) -> tuple[str, dict[str, list[str]]]:
    """Return the template of paths of one depth, with names in braces for the parts that differ, and the values of each
    name. One of the names is `participant`. With `stars`, a part that only depends on the participant, such as a date,
    becomes a star.

    Args:
        known: names that contain separators and are not split -> True if they are ids of participants.
    """
    if len(paths) == 1:
        return _find_one_template(paths[0].relative_to(root), folder=paths[0].is_dir())
    rows = [path.relative_to(root).parts for path in paths]
    text, facts = _join_parts(rows, stars, known or {})
    if _finds_facts(text, rows, facts):
        return text, facts
    shapes = {name: {_WORDS.sub("*", value) for value in values} for name, values in facts.items()}
    formed = text
    for name, shape in shapes.items():
        if len(shape) == 1 and shape != {"*"}:
            formed = formed.replace(f"{{{name}}}", f"{{{name}:{shape.pop()}}}", 1)
    return (formed, facts) if _finds_facts(formed, rows, facts) else _join_parts(rows, stars, {})


def _find_one_template(path: Path, *, folder: bool) -> tuple[str, dict[str, list[str]]]:
    """Return the template of a single path: `{participant}` is the part that looks most like an id, else the last."""
    name, suffix = (path.name, "") if folder else (path.stem, path.suffix)
    parts = [*path.parts[:-1], name]
    who = max(range(len(parts)), key=lambda k: (max(_score_names([parts[k]]), 0), k == len(parts) - 1, -k))
    named = ["{participant}" if k == who else part for k, part in enumerate(parts)]
    return f"{'/'.join(named)}{suffix}", {"participant": [parts[who]]}


def _finds_facts(text: str, rows: Sequence[Sequence[str]], facts: Mapping[str, Sequence[str]]) -> bool:
    """Return True if a template, matched with the paths (given as their parts), finds exactly these facts."""
    for k, row in enumerate(rows):
        read: dict[str, str] = {}
        for part, name in zip(text.split("/"), row, strict=True):
            if (found := compile_part(part, read).fullmatch(name)) is None:
                return False
            read |= found.groupdict()
        if read != {name: values[k] for name, values in facts.items()}:
            return False
    return True


def _join_parts(
    rows: Sequence[Sequence[str]], stars: bool, known: Mapping[str, bool]
) -> tuple[str, dict[str, list[str]]]:
    """Return a template of paths, given as their parts, and the values of its names in braces."""
    parts: list[list[str | int]] = []
    differing: list[list[str]] = []
    for column in zip(*rows, strict=True):
        pieces = [re.split(r"([_\-. ]+)", _protect_names(part, list(known))) for part in column]
        if len({tuple(piece[1::2]) for piece in pieces}) > 1:  # cannot be taken apart
            pieces = [[Path(part).stem, Path(part).suffix] for part in column]
        parts.append([])
        for tokens in ([token.translate(_RESTORED) for token in each] for each in zip(*pieces, strict=True)):
            if len(set(tokens)) == 1:
                parts[-1].append(tokens[0])
            else:
                if tokens not in differing:
                    differing.append(tokens)
                parts[-1].append(differing.index(tokens))
    named = _name_pieces(differing, {name for name, is_person in known.items() if is_person}, stars=stars)
    text = "/".join("".join(p if isinstance(p, str) else named[p][0] for p in part) for part in parts)
    return merge_stars(text), {name: values for _, name, values in named if name}


def _name_pieces(
    differing: Sequence[Sequence[str]], people_known: set[str], *, stars: bool
) -> list[tuple[str, str, list[str]]]:
    """Return the text in the template, the name in braces and the values of each piece that differs between paths."""
    if not differing:
        return []
    are_known = [bool(people_known) and people_known.issuperset(tokens) for tokens in differing]
    best = max(range(len(differing)), key=lambda k: (are_known[k], _score_names(differing[k]), -k))
    people = differing[best]
    pieces, names = list[tuple[str, str, list[str]]](), {"participant"}
    for k, tokens in enumerate(differing):
        pairs = set(zip(people, tokens, strict=True))
        if k == best:
            pieces.append(("{participant}", "participant", list(tokens)))
        elif (
            stars
            and len(pairs) == len(set(people))
            and (
                len(set(tokens)) > len(set(people)) // 2 or (len(people) == len(set(people)) and _are_numbered(tokens))
            )
        ):
            pieces.append(("*", "", []))
        else:
            prefix = _find_prefix(tokens)
            word = re.sub(r"\W", "", prefix).lower()
            dates = all(map(_DATE.fullmatch, tokens)) and "session" not in names
            word = word if word.isascii() and word not in names else ""
            name = "session" if dates else word or f"part{len(names)}"
            names.add(name)
            prefix = prefix if name == word else ""
            pieces.append((f"{prefix}{{{name}}}", name, [token[len(prefix) :] for token in tokens]))
    return pieces


def _find_prefix(tokens: Sequence[str]) -> str:
    """Return the letters that all texts begin with, if numbers or single letters follow; else an empty text."""
    alike = next((i for i, letters in enumerate(zip(*tokens, strict=False)) if len(set(letters)) > 1), 0)
    if any(len(_WORDS.findall(token)) > 1 for token in tokens):
        return ""
    found = re.sub(r"\d+$", "", tokens[0][:alike])
    rest = [token[len(found) :] for token in tokens]
    return found if _are_numbered(rest) or (len(found) > 2 and all(len(text) == 1 for text in rest)) else ""


def _are_numbered(tokens: Sequence[str]) -> bool:
    return all(re.match(r"\d", token) for token in tokens)


def _score_names(values: Sequence[str]) -> int:
    """Return a score that is higher the more the values look like ids of participants."""
    share = np.mean([bool(_SUBJECT.fullmatch(value)) for value in values])
    other = np.mean([bool(_OTHER.fullmatch(value)) for value in values])
    number = np.mean([bool(re.fullmatch(r"[A-Za-z]{1,4}[-_ ]?\d+\w{0,2}|\d{2,}", value)) for value in values])
    return 2 * int(share >= 0.8) + int(number >= 0.8) - 3 * int(other >= 0.8)


def list_spellings(kind: Kind, name: str) -> list[tuple[str, list[str]]]:
    """Return ways to write the values of a name in braces, each with its template: unchanged, with the letters before
    the braces, and without letters that all values begin with."""
    values = kind.facts[name]
    before = re.search(rf"([^\W\d_]+)\{{{name}\}}", kind.template)
    letters = _find_letters(values)
    found = [(kind.template, values)]
    if before:
        outside = kind.template.replace(f"{before[1]}{{{name}}}", f"{{{name}}}")
        found.append((outside, [before[1] + value for value in values]))
    if letters:
        inside = kind.template.replace(f"{{{name}}}", f"{letters}{{{name}}}")
        found.append((inside, [value.removeprefix(letters) for value in values]))
    return found


def _find_letters(values: Sequence[str]) -> str:
    """Return the letters that all values begin with, if only numbers follow; else an empty text."""
    shared = re.match(r"[^\W\d_]+", values[0]) if values else None
    return shared[0] if shared and all(re.fullmatch(rf"{re.escape(shared[0])}\d+", v) for v in values) else ""


def _find_known_names(tables_: Sequence[Path]) -> dict[str, bool]:
    """Return names with separators, such as `A_01`, in tables without signals -> True for ids; longest first."""
    is_id: dict[str, bool] = {}
    for path in tables_:
        if path.stat().st_size < 1 << 22:
            with contextlib.suppress(DataError):
                rows = tables.read_rows(path)
                for column in map(str, rows.columns):
                    names = [cell for cell in rows[column].unique() if len(_WORDS.findall(cell)) > 1]
                    is_id |= dict.fromkeys(names, _PEOPLE.fullmatch(column) is not None)
    return dict(sorted(is_id.items(), key=lambda item: -len(item[0])))


def _protect_names(text: str, known: Sequence[str]) -> str:
    """Replace the separators inside dates and known names, so that these are not split."""
    text = _DATE.sub(lambda found: found[0].translate(_SEPARATORS), text)
    for name in known:
        if name in text:
            whole = name.translate(_SEPARATORS)
            text = re.sub(rf"(?<![^_\-. ]){re.escape(name)}(?![^_\-. ])", whole, text)
    return text


def _group_paths(root: Path, paths: Sequence[Path], known: Mapping[str, bool]) -> list[list[Path]]:
    """Return groups of paths with the same depth and the same separators in their names."""
    groups: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path in paths:
        *above, name = path.relative_to(root).parts
        groups[len(above), _WORDS.sub("#", _protect_names(name, list(known)))].append(path)
    return list(groups.values())


def _read_shared_header(path: Path) -> tuple[str, ...] | None:
    """Return the names of columns, which files of one kind share; None for a table without signals."""
    if path.suffix.lower() in WAVES:
        return ()
    try:
        form = tables.find_dialect(path)
        rows = tables.read_columns(path, form.names, str(path)) if path.stat().st_size < 1 << 20 else None
    except DataError:
        return None
    numeric = rows is None or any(pd.api.types.is_numeric_dtype(rows[name]) for name in form.names)
    if not numeric or (rows is not None and len(rows) < _SIGNAL_ROWS):
        return None
    bare = form.names == tuple(str(i) for i in range(1, len(form.names) + 1))
    if any(find_modality(name) for name in form.names):
        return form.names
    by_file = _find_modality_by_file(path, form.names)
    return (*form.names, by_file) if by_file else form.names if bare else None


def _find_modality_by_file(path: Path, names: Sequence[str]) -> str | None:
    """Return the modality in the file's name, if the table has only one column besides time."""
    others = [name for name in names if not is_time(name)]
    named = [m for word in _WORDS.findall(path.stem) if (m := find_modality(word)) and len(word) > 1]
    return named[-1] if named and len(others) == 1 else None


def is_time(name: str) -> bool:
    """Return True if a column's name is usual for times.

    >>> is_time("Uhrzeit"), is_time("time [ms]"), is_time("Reaktionszeit")
    (True, True, False)
    """
    return re.fullmatch(TIMES, re.split(r"[(\[]", name.lower())[0].strip()) is not None


def find_modality(name: str) -> str | None:
    """Return the modality that a channel's name stands for; None if the name does not tell.

    >>> find_modality("EEG Fp1"), find_modality("Skin Conductance"), find_modality("comment")
    ('eeg', 'eda', None)
    """
    plain = name.strip().lower().removeprefix("record.")  # as FitCSVTool calls what a watch records
    if ELECTRODES.fullmatch(plain):
        return "eeg"
    for modality, (pattern, _) in SIGNALS.items():
        if re.fullmatch(rf"({pattern})([ _(\[].*)?|(ecg|eog|emg|resp|temp)[ _-].*", plain) and re.match(pattern, plain):
            return modality
    return None


def _find_e4(root: Path, folders: list[Path], known: Mapping[str, bool]) -> Kind:
    """Return E4 folders as recordings, with the start and length of each."""
    text, facts = find_template(root, folders, known=known)
    kind = Kind(text, folders, facts, is_e4=True)
    kind.signals = {m: {} for m, name in e4.FILES.items() if any((f / name).is_file() for f in folders)}
    for folder in folders:
        for m, name in e4.FILES.items():
            if (folder / name).is_file():
                with (folder / name).open("rb") as file:
                    samples = sum(1 for _ in file) - 2
                length = samples / e4.CARDS[m].rate
                kind.longest_s = max(kind.longest_s, length)
                with contextlib.suppress(DataError), (folder / name).open(encoding="utf-8-sig") as file:
                    kind.begins[folder] = (e4.parse_time(re.split("[,;]", file.readline(200))[0], folder, 1), length)
    return kind


def _describe_files(root: Path, paths: list[Path], known: Mapping[str, bool]) -> Kind | None:
    """Return files with signals and their channels; None if they cannot be read."""
    text, facts = find_template(root, paths, known=known)
    if sum(1 for _ in Template(text).matches(root)) < len(paths):
        return None
    kind = Kind(text, paths, facts)
    try:
        (_add_waves if paths[0].suffix.lower() in WAVES else _add_columns)(kind)
    except (DataError, OSError):
        return None
    return kind if kind.signals else None


def _add_waves(kind: Kind) -> None:
    """Add the channels, markers and length of EDF, BDF, WFDB, BrainVision, XDF or AcqKnowledge files."""
    for path in kind.paths[:_MOST_LOOKED_AT]:
        with open_recording(path) as tracks_of:
            tracks = tracks_of(Channels(channels={"": ""}))
        kind.longest_s = max([kind.longest_s, *(track.duration_s for track in tracks)])
        with contextlib.suppress(DataError):
            kind.markers[path] = read_markers(path)
        if path == kind.paths[0]:
            for track in tracks:
                m = find_modality(track.name)
                if m is None:
                    kind.others.append(track.name)
                elif math.isclose(kind.rates.setdefault(m, track.rate), track.rate):
                    kind.signals.setdefault(m, {})[_choose_name(m, track.name)] = track.name
                    kind.units[m] = track.unit


def _add_columns(kind: Kind) -> None:
    """Add the columns of tables with signals, and the start and length of each file."""
    path = kind.paths[0]
    form = tables.find_dialect(path)
    table = tables.read_columns(path, form.names, str(path))
    kind.time, kind.time_unit = _find_time(path, form, table)
    by_file = _find_modality_by_file(path, form.names)
    bare = not form.headed and not form.before.names
    for name in form.names:
        m, stated = (None if is_time(name) else find_modality(name) or by_file), _find_unit(form, name)
        standard = _choose_name(m, name) if m and m != by_file else m or ""
        if name == kind.time:
            continue
        if m and standard not in kind.signals.get(m, {}) and not _FOREIGN.fullmatch(stated or ""):
            kind.signals.setdefault(m, {})[standard] = name
            kind.units[m] = stated or (SIGNALS[m][1] if m in SIGNALS else "uV")
            kind.rates |= {m: form.before.rate} if form.before.rate and not kind.time else {}
            continue
        if values := _find_held_values(table[name], name):
            kind.conditions[name] = values
        if not (form.before.names and name.isdigit()):
            kind.others.append(name)
    if not kind.signals and bare and len(form.names) == 1:
        kind.signals, kind.units = {"eda": {"eda": "1"}}, {"eda": "TODO"}
    elif not kind.signals and bare:
        kind.signals = {"TODO": {}}
        kind.unnamed = [f"{name}: {_describe_content(table[name])}" for name in form.names]
    for path in kind.paths[:_MOST_LOOKED_AT]:
        start, length = _find_stretch(path, kind)
        kind.longest_s = max(kind.longest_s, length)
        if start > UNIX_S:
            kind.begins[path] = (start, length)
        if kind.conditions and path != kind.paths[0]:
            _add_conditions(kind, tables.read_columns(path, list(kind.conditions), str(path)))


def _find_time(path: Path, form: tables.Dialect, table: pd.DataFrame) -> tuple[str | None, str]:
    """Return the column with the time of each row, by its name or its dates, and the unit of its numbers."""
    rising = [name for name in form.names if (is_time(name) or is_dated(table[name])) and _rises(table[name])]
    rising.sort(key=lambda name: not is_dated(table[name]))  # dates say when the file began
    for name in rising:
        unit = _find_time_unit(table[name], _find_unit(form, name), name)
        with contextlib.suppress(DataError):
            find_first_time(path, OwnChannels(channels={"": name}, time=name, time_unit=unit), UTC)
            return name, unit
    return None, "s"


def _rises(column: pd.Series) -> bool:
    """Return True if times never decrease."""
    if not pd.api.types.is_numeric_dtype(column):
        return bool(column.notna().all())
    at = column.to_numpy(float)
    return len(at) > 1 and bool(np.isfinite(at).all() and (np.diff(at) >= 0).all() and at[-1] > at[0])


def _find_time_unit(column: pd.Series, stated: str | None, name: str) -> Any:
    """Return the unit of a column of times: `s`, `ms` or another of `TIME_UNITS`."""
    if not pd.api.types.is_numeric_dtype(column) or len(column) < 2:
        return "s"
    if column.iloc[0] > UNIX_S:
        found = next((unit for most, unit, _ in UNIX_UNITS if column.iloc[0] < most), "ns")
        return found if found in TIME_UNITS else "s"
    if stated in TIME_UNITS:
        return stated
    step = float(np.median(np.diff(column.to_numpy(float))))
    return "ms" if step >= 2 or "ms" in re.split(r"[(\[]", name.lower())[0] else "s"  # a step of 2 s or more is rare


def _find_held_values(column: pd.Series, name: str) -> list[str]:
    """Return the values of a column of conditions, which last over stretches of rows; empty for other columns."""
    values = column.dropna().unique()
    changes = int((column != column.shift()).sum())
    held = 2 <= len(values) <= _MOST_HELD and changes * _LEAST_HELD <= len(column)
    return sorted(map(str, values)) if held and not _MARKERS.fullmatch(name.strip()) else []


def _add_conditions(kind: Kind, table: pd.DataFrame) -> None:
    """Add the values in another file to the columns of conditions. Drop columns that now have too many values."""
    for name in list(kind.conditions):
        known = sorted({*kind.conditions[name], *map(str, table[name].dropna().unique())})
        kind.conditions |= {name: known}
        if len(known) > _MOST_HELD:
            del kind.conditions[name]


def _describe_content(column: pd.Series) -> str:
    """Return a short description of a column without a name: its values or their range."""
    values = column.dropna().unique()
    if len(values) <= 3:
        return "or ".join(f"{value} " for value in sorted(values)).strip() or "nothing"
    if not pd.api.types.is_numeric_dtype(column):
        return f"{values[0]}, .."
    return f"{column.min():.4g} to {column.max():.4g}"


def _find_unit(form: tables.Dialect, name: str) -> str | None:
    """Return the measurement unit of a column, from the lines before the rows or its name; `TODO` if unknown."""
    if name in form.units:
        return parse_unit(form.units[name].replace("\ufffd", "u")) or "TODO"  # a micro sign that is not in UTF-8
    stated = re.search(r"[\[(]([^\])]+)[\])]\s*$", name)
    return parse_unit(stated[1]) if stated else None


def is_dated(column: pd.Series) -> bool:
    """Return True if the first cell of a column is a date with a time, or a unix time."""
    first = column.iloc[0]
    if isinstance(first, str):
        return bool(re.match(r"\d{4}[-/]\d\d[-/]\d\d[T ]\d", first))
    return bool(pd.api.types.is_numeric_dtype(column) and np.isfinite(first) and UNIX_S < first < 3e15)


def _find_stretch(path: Path, kind: Kind) -> tuple[float, float]:
    """Return the first time in a table and its length, both in s; without times and rate, the number of rows as
    length."""
    if kind.time is None:
        with path.open("rb") as file:
            return 0.0, sum(1 for _ in file) / next(iter(kind.rates.values()), 1.0)
    column = tables.read_columns(path, [kind.time], str(path))[kind.time]
    if pd.api.types.is_numeric_dtype(column):
        times = column.to_numpy(float) * TIME_UNITS[kind.time_unit]
    else:
        times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601").astype("int64").to_numpy() / 1e9
    return float(times[0]), float(times[-1] - times[0]) + (float(np.median(np.diff(times))) if len(times) > 1 else 0.0)


def _choose_name(modality: str, name: str) -> str:
    """Return the name of a channel in `dataset.yaml`."""
    if modality == "eeg":
        return re.sub(r"(?i)^eeg[ _]|[ _.-](ref|le|avg|a[12])$|\.+$", "", name.strip())
    name = name.removeprefix("record.")
    if modality == "acc":
        return name.strip()[-1].lower()
    return modality if re.fullmatch(r"[\w ]+([\[(].*)?", name) else re.sub(r"\W+", "_", name).strip("_").lower()


def find_keys(rows: pd.DataFrame, found: Sequence[Kind]) -> dict[str, str]:
    """Return name in braces -> the column of a table with its values, and adapt the templates to the spelling in these
    columns. Empty if no column has the participants."""
    keys: dict[str, str] = {}
    columns = [str(c) for c in rows.columns if not _RATINGS.fullmatch(str(c))]
    for kind in found:
        for name in ("participant", *(name for name in kind.facts if name != "participant")):
            needed, best = 0.5 if name == "participant" else 0.9, (0.0, 0, "", kind.template, kind.facts[name])
            for column in columns:
                cells = [cell.removeprefix("sub-" if kind.bids else "") for cell in rows[column].unique()]
                for k, (template, values) in enumerate(list_spellings(kind, name)):
                    known = {
                        tables.simplify_value(cell) for cell in tables.strip_letters(cells, values[0])
                    } - tables.MISSING
                    if column in keys.values() or len(known) < 0.5 * len(set(values)):
                        continue
                    share = float(np.mean([tables.simplify_value(value) in known for value in set(values)]))
                    best = max(best, (share, -k, column, template, values), key=lambda each: each[:2])
            if name not in keys and best[0] >= needed:
                for part in kind.parts:
                    spellings = [spelling for spelling in list_spellings(part, name) if set(spelling[1]) & set(best[4])]
                    part.template, part.facts[name] = spellings[0] if spellings else (part.template, part.facts[name])
                keys[name], kind.template, kind.facts[name] = best[2:]
    return keys if "participant" in keys else {}
