"""The first `dataset.yaml` of a folder, with a comment wherever a person has to decide."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from embench_plugins.datasets.own.description import quote_yaml
from embench_plugins.datasets.own.found import Kind
from embench_plugins.datasets.own.signals import TABLES
from embench_plugins.datasets.own.study import SESSIONS, Study, describe_study, find_study

_NO_LABELS = (
    "labels:  # no table with the participants' labels was found; write where they are, for example:",
    "  # mood: {table: ratings.csv, keys: {participant: COLUMN}, column: COLUMN, scale: [1, 9]}",
    "  # stage: {table: stages.csv, keys: {participant: COLUMN}, start: COLUMN, end: COLUMN, column: COLUMN,",
    "  #         classes: [rest, stress]}",
    "  mood: TODO",
)
_NO_TARGETS = (
    "targets:  # what is to be predicted of a label, for example {label: mood, kind: value}",
    "  mood: TODO",
)
_COLUMN = 120


def write_draft(folder: Path) -> str:
    """Return the text of a first `dataset.yaml`. It begins with comments that describe the findings in sentences.

    Raises:
        DataError: the folder does not exist, or nothing in it can be read.
    """
    study = find_study(Path(folder))
    return "\n".join([
        *_write_head(study), *_write_people(study), "", "recordings:",
        *(line for kind in study.kinds for line in _write_source(kind, study)), "",
        *(["labels:", *_write_labels(study)] if study.labels else _NO_LABELS), "",
        *(["targets:", *_write_targets(study)] if study.targets else _NO_TARGETS), "",
    ])  # fmt: skip


def _write_targets(study: Study) -> Iterator[str]:
    """Yield a line for each target; further possible targets are comments."""
    for name, ((rule, why), *others) in study.targets.items():
        yield f"  {name}: {{label: {name}, {rule}}}  # {why}"
        yield from (f"  # {name}_high: {{label: {name}, {rule}}}  # {why}" for rule, why in others)


def _write_head(study: Study) -> list[str]:
    """Return the lines before the recordings: comments on the findings, and facts on the dataset."""
    name = re.sub(r"[^\w-]+", "_", study.folder.resolve().name).strip("_-")[:60] or "study"
    known = all(part.is_e4 or part.time or part.rates for kind in study.kinds for part in (kind, *kind.parts))
    longest = max((kind.longest_s for kind in study.kinds), default=0.0)
    length = f"{math.ceil(longest)}  # seconds of the longest recording, rounded up" if known and longest else None
    if study.cut and study.trial_s:
        length = f"{math.ceil(study.trial_s)}  # seconds of the longest trial, rounded up"
    order = "TODO  # true, if all subjects had the tasks in one order, so that a clock can tell the label"
    if study.fixed_order is not None:
        comment = "all saw them in one order" if study.fixed_order else f"{study.orders} orders were found"
        order = f"{str(study.fixed_order).lower()}  # {comment}"
    return [
        "# What these recordings are. Lines with TODO are to be filled in; all others are to be checked.",
        *(f"# {line}" for sentence in describe_study(study) for line in textwrap.wrap(sentence, _COLUMN - 2)),
        f"# Then: embench data verify {_quote_path(study.folder)}",
        f"name: {name}",
        "title: TODO  # what the study was about",
        "citation: TODO  # what to cite, or `unpublished`",
        "licence: TODO  # under which others may use the data, or `not shared`",
        "mains_hz: TODO  # of the power line where it was recorded: 50, or 60 in America and parts of Asia",
        f"longest_s: {length or 'TODO  # seconds of the longest recording, rounded up'}",
        *([f"timezone: {study.zone}  # a guess: by UTC, the times of the tables are not those of the recordings"]
          if study.zone else []),
        f"fixed_order: {order}",
        "labels_public: no  # yes, if the licence allows to publish labels",
    ]  # fmt: skip


def _quote_path(folder: Path) -> str:
    text = folder.as_posix()
    text = text if text.startswith(("/", "./", "../", "~")) else f"./{text}"
    return f"'{text}'" if " " in text else text


def _write_people(study: Study) -> list[str]:
    sheet = study.participants
    if sheet is None:
        return []
    lines = ["", "participants:", *(f"  {key}: {value}" for key, value in sheet.place.items())]
    lines += [f"  id: {quote_yaml(sheet.keys['participant'])}"]
    if study.info:
        lines.append(f"  info: {{{', '.join(f'{k}: {quote_yaml(v)}' for k, v in study.info.items())}}}")
    hint = f"{quote_yaml(study.groups[0])}  # " if study.groups else "COLUMN  # "
    return [*lines, f"  # group: {hint}those recorded together (dyads, sites), who are never divided between folds"]


def _write_source(kind: Kind, study: Study) -> list[str]:
    """Return the lines of one entry of `recordings`."""
    count = ", ".join(f"{len(set(values))} {name}" for name, values in kind.facts.items())
    what = "folders" if kind.is_e4 else "files"
    form = "bids" if kind.bids else "e4" if kind.is_e4 else "files"
    lines = [f"  - {form}: {_quote(kind.bids or kind.template)}  # {len(kind.paths)} {what}; {count}"]
    if kind.parts:
        lines = [f"  -  # {len(kind.paths)} recordings; {count}; files of their own for {', '.join(kind.modalities)}"]
    others = [name for name in kind.facts if name not in ("participant", *SESSIONS)]
    sessions = [name for name in kind.facts if name in SESSIONS]
    if sessions:
        lines.append(f'    session: "{{{sessions[0]}}}"')
    label_names = {entry.fields.get("file") for entry in study.labels.values()}
    if label_names & set(others) and not study.cut:
        others = [name for name in others if name not in label_names]
        lines.append(
            "    # order: COLUMN of a table, or a name in braces: the position in the session, where it is known"
        )
    if others and not study.cut and len(set(kind.facts["participant"])) < len(kind.paths):
        lines.append(f'    stimulus: "{{{others[-1]}}}"  # what was shown or done, called alike for all subjects')
    lines += _write_trials(kind, study)
    if len(study.kinds) > 1 and (labels := study.list_labels(kind)) != list(study.labels):
        lines.append(f"    labels: [{', '.join(labels)}]  # those that these recordings have")
    if kind.is_e4:
        return [*lines, f"    signals: [{', '.join(kind.signals)}]"]
    return [*lines, *_write_signals(kind)]


def _write_trials(kind: Kind, study: Study) -> list[str]:
    """Return the lines that cut recordings into trials, by markers or by a table."""
    if study.marks and kind.markers:
        lines = ["    trials:  # parts of each file, by its markers", "      markers:"]
        names = study.names
        for text, stimulus in study.marks.begins.items():
            comment = f"  # {names[stimulus]}" if stimulus in names else ""
            lines.append(f"        {_quote(text)}: {_quote(stimulus)}{comment}")
        until = study.marks.until
        return [*lines, f"      until: {_quote(until)}" if until else "      lasts_s: TODO  # seconds that each lasts"]
    sheet = study.program
    if sheet is None:
        return []
    keyed = "".join(f", {k}: {quote_yaml(v)}" for k, v in sheet.keys.items() if k != "stimulus")[2:]
    lines = ["    trials:  # parts of each recording, by a table"]
    lines += [f"      {key}: {value}" for key, value in sheet.place.items()]
    lines += [f"      keys: {{{keyed}}}"] if keyed else []
    if sheet.timing and sheet.stimulus:
        start, end, duration = sheet.timing
        lines += [
            f"      start: {quote_yaml(start)}",
            f"      {'end' if end else 'duration'}: {quote_yaml(str(end or duration))}",
        ]
        return [*lines, f"      stimulus: {quote_yaml(sheet.stimulus)}"]
    start, end = study.wide_times
    return [*lines, f"      start: {_quote(start)}", f"      end: {_quote(end)}"]


def _write_signals(whole: Kind) -> list[str]:
    lines = [f"    # files do not name their columns: {'; '.join(whole.unnamed)}"] if whole.unnamed else []
    lines.append("    signals:")
    if whole.unnamed:
        example = "such as acc: {channels: {x: 3, y: 4, z: 5}, rate: 32, unit: g}"
        return [*lines, f"      TODO: {{channels: [TODO], rate: TODO, unit: TODO}}  # {example}"]
    for kind in (whole, *whole.parts):
        lines += _write_channels(kind, by_file=bool(whole.parts))
    others = [name for kind in (whole, *whole.parts) for name in kind.others if name not in kind.conditions]
    if others:
        lines.append(f"    # not used: {', '.join(others[:12])}{' ..' if len(others) > 12 else ''}")
    return lines


def _write_channels(kind: Kind, *, by_file: bool) -> list[str]:
    """Return the lines with the channels of each modality in files of one kind."""
    lines = []
    for m, channels in kind.signals.items():
        same = all(k == v for k, v in channels.items())
        named = ", ".join(quote_yaml(k) if same else f"{quote_yaml(k)}: {quote_yaml(v)}" for k, v in channels.items())
        lines.append(f"      {m}:")
        lines += [f"        file: {_quote(kind.template)}"] if by_file else []
        lines += [f"        channels: {f'[{named}]' if same else f'{{{named}}}'}"]
        unit, voltage = kind.units.get(m), m in ("eeg", "ecg", "emg", "eog")
        if kind.time:
            lines.append(f"        time: {quote_yaml(kind.time)}")
            lines += [f"        time_unit: {kind.time_unit}"] if kind.time_unit != "s" else []
        elif m in kind.rates:
            inside = "no stated unit" if unit in (None, "TODO") else unit
            stated = f"{kind.rates[m]:g} Hz in {inside}, " if kind.rates[m] else ""
            lines.append(f"        # {stated}by the file")
        else:
            lines.append("        rate: TODO  # samples a second")
        if not voltage or m not in kind.rates or kind.paths[0].suffix.lower() in TABLES:
            lines.append(f"        unit: {quote_yaml(unit) if unit else 'TODO'}")
    return lines


def _write_labels(study: Study) -> list[str]:
    """Return an entry for each label, over several lines if it is long."""
    lines = []
    for name, entry in study.labels.items():
        where = ", ".join(f"{key}: {value}" for key, value in entry.fields.items())
        comment = f"  # {entry.comment}" if entry.comment else ""
        if len(where) + len(name) < _COLUMN - 10:
            lines.append(f"  {name}: {{{where}}}{comment}")
        else:
            lines += [f"  {name}:{comment}", *(f"    {key}: {value}" for key, value in entry.fields.items())]
    return lines


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
