"""Writes a first `dataset.yaml` from what is found in a folder, with a comment wherever a person has to decide."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.found import Kind, all_files, keys_of, kinds, other_tables
from embench_plugins.datasets.own.legacy import LEGACY, converted

_INFO = ("sex", "gender", "age", "handedness", "site")
_GROUPS = ("group", "dyad", "pair", "site", "couple", "family")
_STARTS = ("start", "onset", "begin", "from", "start_s", "begins", "start_time")
_ENDS = ("end", "stop", "offset", "to", "end_s", "ends", "end_time")
_DURATIONS = ("duration", "duration_s", "length")
_MOST_CLASSES, _MOST_LABELS = 8, 12


def draft(folder: Path) -> str:
    """The text of a first `dataset.yaml`.

    Raises:
        DataError: there is no folder, or nothing in it that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), expected="a folder of recordings")
    if (folder / LEGACY).is_file():
        return converted(folder)
    files = all_files(folder)
    bids = (folder / "dataset_description.json").is_file() and any(folder.glob("sub-*"))
    found = [] if bids else kinds(folder, files)
    if not found and not bids:
        raise DataError(
            "no recordings are found",
            where=str(folder),
            expected="EDF, BDF, WFDB or CSV files with one path for each recording, Empatica E4 exports, or BIDS",
            hint="name columns by what they are (EDA, ECG, ..), or write dataset.yaml by hand: its page has examples",
        )
    labels, people, targets = list[str](), list[str](), list[str]()
    if bids:
        sources, labels, targets = _bids(folder)
        people = ["participants:", "  table: participants.tsv", "  id: participant_id"]
        people = people if (folder / "participants.tsv").is_file() else []
    else:
        sources = [line for kind in found for line in _source(kind, alone=len(found) == 1)]
        told: set[str] = set()
        for path, rows in other_tables(files, found):
            keys = keys_of(rows, found)
            if not keys:
                continue
            name = path.relative_to(folder).as_posix()
            if not rows[keys["participant"]].duplicated().any():  # a row a participant, and numbers that are no keys
                keys = {"participant": keys["participant"]}
                people = people or _people(name, rows, keys["participant"])
            own, rules = _labels(name, rows, keys, len(labels))
            labels, targets = labels + own, targets + rules
            told |= set(keys)  # a clip or film, which has ratings, is no label itself
        own, rules = _by_file(found, told)
        labels, targets = labels + own, targets + rules
    longest = max((kind.longest_s for kind in found), default=0.0)
    rated = all(kind.worn or kind.time or kind.rates for kind in found) and not bids
    subjects = {value for kind in found for value in kind.facts["participant"]}
    return "\n".join([
        *_head(folder, len(subjects), longest if rated else None), *people, "", "recordings:", *sources, "",
        *(["labels:", *labels] if labels else _NO_LABELS), "",
        *(["targets:", *targets] if targets else _NO_TARGETS), "",
    ])  # fmt: skip


_NO_LABELS = (
    "labels:  # no table with the participants' labels was found; write where they are, for example:",
    "  # mood: {table: ratings.csv, keys: {participant: COLUMN}, column: COLUMN, scale: [1, 9]}",
    "  # stage: {table: stages.csv, keys: {participant: COLUMN}, start: COLUMN, end: COLUMN, column: COLUMN,",
    "  #         classes: [rest, stress]}",
    "  mood: TODO",
)
_NO_TARGETS = (
    "targets:  # what is to be predicted of a label, for example {label: mood, kind: binary, cut: 5}",
    "  mood: TODO",
)


def _head(folder: Path, subjects: int, longest: float | None) -> list[str]:
    name = re.sub(r"[^\w-]+", "_", folder.resolve().name).strip("_-")[:60] or "study"
    length = f"{math.ceil(longest)}" if longest else "TODO"
    return [
        "# What these recordings are. Lines with TODO are to be filled in; all others are to be checked.",
        f"# Then: embench data verify {_quoted_path(folder)}",
        f"name: {name}",
        "title: TODO  # what the study was about",
        "citation: TODO  # what to cite, or `unpublished`",
        "licence: TODO  # under which others may use the data, or `not shared`",
        "mains_hz: TODO  # of the power line where it was recorded: 50, or 60 in America and parts of Asia",
        f"longest_s: {length}  # seconds of the longest recording, rounded up",
        "fixed_order: TODO  # true, if all subjects had the tasks in one order, so that a clock can tell the label",
        "labels_public: no  # yes, if the licence allows to publish labels",
        f"# {subjects} participants" if subjects else "",
    ]


def _quoted_path(folder: Path) -> str:
    text = folder.as_posix()
    text = text if text.startswith(("/", "./", "../", "~")) else f"./{text}"
    return f"'{text}'" if " " in text else text


def _source(kind: Kind, *, alone: bool) -> list[str]:
    """One entry of `recordings`."""
    lines = [f'  - {"e4" if kind.worn else "files"}: "{kind.template}"  # {_count(kind)}']
    others = [name for name in kind.facts if name != "participant"]
    if others:
        lines.append(f'    stimulus: "{{{others[-1]}}}"  # what was shown or done, called alike for all subjects')
    if not alone:
        lines.append("    # labels: [LABEL]  # those that these recordings have, where not all have all of them")
    if kind.worn:
        return [*lines, f"    signals: [{', '.join(kind.signals)}]"]
    lines.append("    signals:")
    for m, channels in kind.signals.items():
        same = all(k == v for k, v in channels.items())
        named = ", ".join(_text(k) if same else f"{_text(k)}: {_text(v)}" for k, v in channels.items())
        lines += [f"      {m}:", f"        channels: {f'[{named}]' if same else f'{{{named}}}'}"]
        if kind.time:
            lines.append(f"        time: {_text(kind.time)}")
            lines += [f"        time_unit: {kind.time_unit}"] if kind.time_unit != "s" else []
        elif m in kind.rates:
            lines.append(f"        # {kind.rates[m]:g} Hz in {kind.units.get(m) or 'no stated unit'}, by the file")
        else:
            lines.append("        rate: TODO  # samples a second")
        unit = kind.units.get(m)
        if m not in kind.rates:
            lines.append(f"        unit: {unit}  # a guess")
        elif m not in ("eeg", "ecg", "emg", "eog"):
            lines.append(f"        unit: {_text(unit) if unit else 'TODO'}")
    if kind.others:
        lines.append(f"    # not used: {', '.join(kind.others[:12])}{' ..' if len(kind.others) > 12 else ''}")
    return lines


def _count(kind: Kind) -> str:
    values = ", ".join(f"{len(set(values))} {name}" for name, values in kind.facts.items())
    return f"{len(kind.paths)} {'folders' if kind.worn else 'files'}; {values}"


def _text(value: str) -> str:
    """A text as YAML, in quotes where that is needed."""
    return value if re.fullmatch(r"[A-Za-z0-9][\w./-]*", value) else json.dumps(value, ensure_ascii=False)


def _people(name: str, rows: pd.DataFrame, column: str) -> list[str]:
    lines = ["participants:", f"  table: {_text(name)}", f"  id: {_text(column)}"]
    known = {str(c).lower(): str(c) for c in rows.columns}
    if info := {word: known[word] for word in _INFO if word in known}:
        lines.append(f"  info: {{{', '.join(f'{k}: {_text(v)}' for k, v in info.items())}}}")
    groups = [known[word] for word in _GROUPS if word in known]
    hint = f"{_text(groups[0])}  # " if groups else "COLUMN  # "
    lines.append(f"  # group: {hint}those recorded together (dyads, sites), who are never divided between folds")
    return lines


def _labels(name: str, rows: pd.DataFrame, keys: Mapping[str, str], already: int) -> tuple[list[str], list[str]]:
    """Labels and targets of a table's columns."""
    by_word = {re.sub(r"\W", "_", str(c).lower()): str(c) for c in rows.columns if c not in keys.values()}
    start, end, duration = (
        next((by_word[word] for word in words if word in by_word), None) for words in (_STARTS, _ENDS, _DURATIONS)
    )
    last = f"end: {_text(end)}" if end else f"duration: {_text(duration)}" if duration else None
    timed = ""
    if start and last:
        absolute = not 0 <= tables.number(rows[start].iloc[0]) < 3e8
        timed = f", start: {_text(start)}, {last}" + (", clock: absolute" if absolute else "")
    keyed = ", ".join(f"{k}: {_text(v)}" for k, v in keys.items())
    labels, targets = list[str](), list[str]()
    for column in rows.columns:
        if column in (*keys.values(), start, end, duration) or already + len(labels) >= _MOST_LABELS:
            continue
        cells = [cell for cell in rows[column] if cell.lower() not in tables.MISSING]
        values, word = [tables.number(cell) for cell in cells], re.sub(r"\W+", "_", str(column)).strip("_")
        numeric = bool(values) and all(map(math.isfinite, values))
        classes = sorted(set(cells))
        if not word or word[0] == "_" or word.lower() in (*_INFO, *_GROUPS) or len(classes) < 2:
            continue
        where = f"table: {_text(name)}, keys: {{{keyed}}}, column: {_text(str(column))}"
        where += timed
        if numeric and len(classes) > 2:
            low, high = min(values), max(values)
            labels.append(f"  {word}: {{{where}, scale: [{low:g}, {high:g}]}}  # least and greatest value found")
            targets += _target(word, f"kind: binary, cut: {(low + high) / 2:g}", "above the cut it is positive")
        elif len(classes) <= _MOST_CLASSES:
            labels.append(f"  {word}: {{{where}, classes: [{', '.join(map(_text, classes))}]}}")
            targets += _of_classes(word, classes)
    return labels, targets


def _by_file(found: Sequence[Kind], told: Collection[str]) -> tuple[list[str], list[str]]:
    """Labels and targets by words in the names of files that only few have."""
    labels, targets = list[str](), list[str]()
    for kind in found:
        for name, values in kind.facts.items():
            classes = sorted(set(values))
            if (
                name not in ("participant", *told)
                and 2 <= len(classes) <= _MOST_CLASSES
                and not any(map(str.isdigit, classes))
            ):
                labels.append(
                    f"  {name}: {{file: {name}, classes: [{', '.join(map(_text, classes))}]}}  # by file name"
                )
                targets += _of_classes(name, classes)
    return labels, targets


def _of_classes(word: str, classes: Sequence[str]) -> list[str]:
    if len(classes) == 2:
        rule = f"kind: binary, positive: [{_text(classes[1])}], negative: [{_text(classes[0])}]"
        return _target(word, rule, "which one is positive?")
    return _target(word, "kind: classes", "or binary, with lists of `positive` and `negative` classes")


def _target(word: str, rule: str, comment: str) -> list[str]:
    return [f"  {word}: {{label: {word}, {rule}}}  # {comment}"]


def _bids(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Recordings, labels and targets of a BIDS dataset, by the names of its files and the events of the first."""
    named = [p.name for p in sorted(folder.glob("sub-*/**/*_eeg.*"))[:5000]]
    tasks = sorted({m[1] for name in named if (m := re.search(r"_task-([A-Za-z0-9]+)_", name))})
    lines = []
    for task in tasks or ["TODO"]:
        lines += [
            f"  - bids: {task}",
            "    signals:",
            "      eeg:",
            f"        channels: [{', '.join(_electrodes(folder)) or 'TODO'}]",
        ]
    events = next(iter(sorted(folder.glob("sub-*/**/*_events.tsv"))), None)
    if events is None:
        return lines, [], []
    rows = tables.rows(events)
    column = "trial_type" if "trial_type" in rows else str(rows.columns[-1])
    classes = sorted({cell for cell in rows[column] if cell.lower() not in tables.MISSING})[:_MOST_CLASSES]
    path = events.relative_to(folder).as_posix()
    for entity, name in (("sub", "participant"), ("ses", "session"), ("task", "task"), ("run", "run")):
        path = re.sub(rf"(?<![a-z]){entity}-[A-Za-z0-9]+", f"{entity}-{{{name}}}", path)
    label = [
        "  event:",
        f'    table: "{path}"',
        "    start: onset",
        "    duration: duration",
        f"    column: {_text(column)}",
        f"    classes: [{', '.join(map(_text, classes))}]  # of the first recording; choose",
    ]
    return lines, label, _of_classes("event", classes)


def _electrodes(folder: Path) -> list[str]:
    for path in sorted(folder.glob("sub-*/**/*_channels.tsv")):
        rows = tables.rows(path)
        if {"name", "type"} <= set(rows.columns):
            return [_text(name) for name, kind in zip(rows["name"], rows["type"], strict=True) if kind.upper() == "EEG"]
    return []
