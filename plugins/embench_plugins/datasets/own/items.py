"""The recordings of a folder, found by the paths in its `dataset.yaml` or by the rules of BIDS."""

from __future__ import annotations

import difflib
import gzip
import io
import json
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import (
    POTENTIALS,
    VOLTS,
    Track,
    cut_part,
    find_card_unit,
    find_factor,
    parse_unit,
)
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.description import HINT, Written
from embench_plugins.datasets.own.found import Kind, find_modality
from embench_plugins.datasets.own.layout import ENTITIES, OwnChannels, Source, Unlabelled, compile_part
from embench_plugins.datasets.own.signals import Read, find_moments, keep_in_memory, make_signal
from embench_plugins.datasets.own.unpacked import most_unpacked

# A task of a BIDS dataset: EEG and what was recorded with it, through mne-bids, and physiology beside it.
#
# EEG files are EDF, BDF, BrainVision or EEGLAB, as BIDS has them. Physiology is `*_physio.tsv.gz` with its sidecar,
# which needs no further package.

EXTENSIONS = (".edf", ".bdf", ".vhdr", ".set")
_NAME = re.compile(
    r"sub-(?P<participant>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?_task-(?P<task>[A-Za-z0-9]+)"
    r"(_acq-[A-Za-z0-9]+)?(_run-(?P<run>[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9]+)*_(eeg|physio)\.[\w.]+"
)
_SI = {**{name: 1 / volts for name, volts in VOLTS.items()}, "S": 1.0, "mS": 1e3, "uS": 1e6}
"""Unit -> factor that converts values of mne, which are in volt or siemens."""
_VOLTAGES = ("eeg", "ecg", "emg", "eog", "bio")


def find_bids(root: Path, task: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the recordings of a BIDS task with the facts in their file names: the EEG file, or the physiology file
    without EEG."""
    seen: set[tuple[str, ...]] = set()
    for form in (f"sub-*/**/sub-*_task-{task}_*_eeg.*", f"sub-*/**/sub-*_task-{task}_eeg.*",
                 f"sub-*/**/sub-*_task-{task}_*physio.tsv.gz"):  # fmt: skip
        for path in sorted(root.glob(form)):
            name = _NAME.fullmatch(path.name)
            suffix = ".tsv.gz" if path.name.endswith(".tsv.gz") else path.suffix.lower()
            if name is None or not path.is_file() or suffix not in (*EXTENSIONS, ".tsv.gz"):
                continue
            facts = {entity: name[entity] for entity in ENTITIES if name[entity]}
            key = tuple(facts.values())
            if key not in seen:
                seen.add(key)
                yield path, facts


def list_bids_files(path: Path) -> list[Path]:
    """Return all files of a recording: its data, its physiology and its sidecars."""
    start = re.sub(r"_(recording-[A-Za-z0-9]+_)?(eeg|physio)\..*", "_", path.name)
    return sorted(p for p in path.parent.parent.glob(f"*/{start}*") if p.is_file())


def read_bids(root: Path, path: Path, channels: Mapping[str, OwnChannels], where: str) -> Read:
    """Open one recording of a BIDS dataset.

    Args:
        path: as `find_bids` gave it.
        channels: modality -> its channels in the description.
        where: file and line of the description, for errors.

    Raises:
        DataError: mne-bids is not installed, a file cannot be read, or no file has a channel.
    """
    raw = None if path.name.endswith(".tsv.gz") else _open_raw(root, path)
    physio = [
        table
        for file in list_bids_files(path)
        if file.name.endswith("_physio.tsv.gz")
        for table in [_read_physio(file)]
    ]
    signals = {}
    for m, layout in channels.items():
        names = list(layout.channels.values())
        complete = [table for table in physio if set(names) <= set(table)]
        if raw is not None and set(names) <= set(raw.ch_names):
            data, rate = raw.get_data(picks=names) * _scale_raw(raw, layout, m, names, where), float(raw.info["sfreq"])
        elif complete:
            tracks = [complete[0][name] for name in names]
            data = np.stack([t.read(0, t.samples) * find_factor(path, m, layout, t, where) for t in tracks])
            rate = tracks[0].rate
        else:
            available = [*(raw.ch_names if raw is not None else []), *(name for table in physio for name in table)]
            missing = next(name for name in names if name not in available) if set(names) - set(available) else names[0]
            raise DataError(
                f"{path.name} has no channel `{missing}` of {m}, or not with the others in one file",
                where=where,
                expected=f"channels among {', '.join(map(str, available[:40]))}",
            )
        signals[m] = make_signal(list(data), rate, m, layout)
    return keep_in_memory(signals)


def _open_raw(root: Path, path: Path) -> Any:
    try:
        import mne
        import mne_bids
    except ImportError as error:
        hint = "pip install mne-bids"
        raise DataError("EEG of a BIDS dataset needs mne-bids", where=str(path), hint=hint) from error
    try:
        with warnings.catch_warnings(), mne.utils.use_log_level("error"):
            warnings.simplefilter("ignore")
            place = mne_bids.get_bids_path_from_fname(path, check=False)
            return mne_bids.read_raw_bids(place.update(root=root), verbose="error")
    except Exception as error:  # mne and its readers raise whatever a damaged file makes them
        what = " ".join(str(error).split())[:300]
        raise DataError(
            f"mne-bids cannot read it: {what}", where=str(path), expected="a file as the BIDS standard has it",
            hint="bids-validator says what is wrong with a BIDS dataset",
        ) from error  # fmt: skip


def _scale_raw(raw: Any, own: OwnChannels, modality: str, wanted: list[str], where: str) -> float:
    """Return the factor that converts mne's values, in volt, siemens or the file's unit, to the modality's unit."""
    kinds = dict(zip(wanted, raw.get_channel_types(picks=wanted), strict=True))
    if modality in POTENTIALS:
        if other := [name for name, kind in kinds.items() if kind not in _VOLTAGES]:
            raise DataError(
                f"`{other[0]}` is of type {kinds[other[0]]}, whose unit nobody knows, and {modality} is a voltage",
                where=where,
                expected=f"a type in channels.tsv among {', '.join(_VOLTAGES)}",
            )
        return _SI[POTENTIALS[modality]]
    unit = find_card_unit(modality, own.unit)
    return _SI[unit] if set(kinds.values()) == {"gsr"} and unit in _SI else 1.0


def _read_physio(path: Path) -> dict[str, Track]:
    """Return the columns of a physiology file from the first EEG sample on, in the units of its sidecar."""
    sidecar = path.with_name(path.name.replace(".tsv.gz", ".json"))
    try:
        about = json.loads(sidecar.read_text("utf-8-sig"))
        names, rate = [str(name) for name in about["Columns"]], float(about["SamplingFrequency"])
        start = float(about["StartTime"])
        if not (0 < rate <= 1e6 and abs(start) < 1e6 and len(set(names)) == len(names)):
            raise ValueError(f"a rate of {rate:g} Hz from {start:g} s on")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"no sidecar with Columns, SamplingFrequency and StartTime: {error}", where=str(sidecar)
        ) from error
    try:
        most = most_unpacked(path.stat().st_size)
        with gzip.open(path) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise DataError(f"it unpacks to over {most / 1e9:.2g} GB", where=str(path))
        table = pd.read_csv(io.BytesIO(content), sep="\t", header=None, na_values=["n/a"], dtype=np.float64)
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected="numbers between tabs, in gzip") from error
    if table.shape[1] != len(names) or table.empty:
        raise DataError(f"{table.shape[1]} columns", where=str(path), expected=f"{', '.join(names)}, by its sidecar")
    values = table.to_numpy(np.float64).T
    if values.itemsize * len(names) * start * rate > most:
        raise DataError(f"it begins long after the EEG: StartTime is {start:g} s", where=str(sidecar))
    if start > 0:
        values = np.concatenate([np.full((len(names), round(start * rate)), np.nan), values], 1)
    values = values[:, max(0, round(-start * rate)) :]
    if not values.shape[1]:
        raise DataError(f"it ends before the EEG begins: StartTime is {start:g} s", where=str(path))
    stated = {name: own.get("Units") for name in names if isinstance(own := about.get(name), dict)}
    units = [parse_unit(str(stated.get(name) or "")) for name in names]
    return {
        name: Track(name, rate, len(own), unit, partial(cut_part, own))
        for name, own, unit in zip(names, values, units, strict=True)
    }


def find_bids_kinds(folder: Path) -> list[Kind]:
    """Return the tasks of a BIDS dataset for `data new`, with their subjects, and channels from the sidecars."""
    names = [p.name for p in sorted(folder.glob("sub-*/**/*_task-*"))[:20_000]]
    tasks = sorted({m[1] for name in names if (m := re.search(r"_task-([A-Za-z0-9]+)_", name))})
    return [kind for task in tasks if (kind := _describe_task(folder, task)) is not None]


def _describe_task(folder: Path, task: str) -> Kind | None:
    """Return a task of a BIDS dataset, with channels from its sidecars; None if no subject has it."""
    found = list(find_bids(folder, task))
    if not found:  # signals are elsewhere: what lies beside them says who there is
        sidecars = [(p, _SIDE.match(p.name)) for p in sorted(folder.glob(f"sub-*/**/sub-*_task-{task}_*"))]
        found = [(path, {"participant": who}) for who, path in {n[1]: p for p, n in reversed(sidecars) if n}.items()]
        found.sort(key=lambda each: each[0])
    if not found:
        return None
    entities = [name for name in ENTITIES if name != "task" and all(name in facts for _, facts in found)]
    facts = {name: [path_facts[name] for _, path_facts in found] for name in entities}
    kind = Kind(
        "", [path for path, _ in found], {n: v for n, v in facts.items() if n == "participant" or len(set(v)) > 1}
    )
    kind.bids = task
    first = found[0][0]
    for file in sorted(first.parent.parent.glob(f"*/{first.name.rpartition('_')[0]}_*")):
        if file.name.endswith("_channels.tsv"):
            rows = tables.read_rows(file)
            named = [(str(row["name"]), _TYPES.get(str(row["type"]).upper())) for _, row in rows.iterrows()]
            for name, modality in named:
                if modality:
                    kind.signals.setdefault(modality, {})[name] = name
                    kind.rates[modality], kind.units[modality] = 0.0, None
        elif file.name.endswith("_physio.tsv.gz"):
            tracks = _read_physio(file)
            kind.longest_s = max([kind.longest_s, *(track.duration_s for track in tracks.values())])
            for name, track in tracks.items():
                as_volts = name == "cardiac" and track.unit in VOLTS
                modality = "ecg" if as_volts else _COLUMNS.get(name) or find_modality(name)
                if modality:
                    kind.signals.setdefault(modality, {})[modality] = name
                    kind.rates[modality], kind.units[modality] = track.rate, track.unit
    return kind


_SIDE = re.compile(r"sub-([A-Za-z0-9]+)_task-[A-Za-z0-9]+")
_TYPES = {"EEG": "eeg", "ECG": "ecg", "EMG": "emg", "EOG": "eog", "HEOG": "eog", "VEOG": "eog", "GSR": "eda"}
"""Types of `channels.tsv` -> modalities."""
_COLUMNS = {"cardiac": "ppg", "respiratory": "resp"}
"""Columns of physiology, as BIDS calls them -> modalities."""


# The recordings of a folder, by the paths that its `dataset.yaml` describes.

_MOST_FILES = 100_000
_SLOW, _MOST_HZ = ("eda", "temp", "resp", "hr"), 2100.0
"""Modalities that hardly any device samples at over 2100 Hz."""
_TABLES = {".csv", ".txt", ".tsv"}


@dataclass(frozen=True)
class Item:
    """A recording, or several if its trials are cut out. `facts` are the texts in its path by name in braces; `paths`
    are its files by modality, for an E4 the folder; `faulty` are excluded modalities. The id joins the facts. For
    recordings without labels, possibly of several collections, it is the path of the first file."""

    id: str
    source: int
    facts: Mapping[str, str]
    paths: dict[str, Path] = field(default_factory=dict)
    faulty: frozenset[str] = frozenset()


class Heard:
    """Collector of findings on the signals in the files of a recording."""

    def __init__(self, item: Item) -> None:
        self._item, self._odd, self._lost = item, list[Finding](), dict[str, int]()

    def add(self, modality: str, signal: Signal) -> None:
        """Add a signal, or the next piece of it."""
        if modality in _SLOW and signal.rate > _MOST_HZ and modality not in self._lost:
            self._odd.append(
                self._warning(modality, f"{modality} at {signal.rate:g} Hz: is `time_unit` or `rate` right?")
            )
        for row in () if modality in self._lost else signal.data:
            if (code := _find_code(row)) is not None:
                value, count = code
                what = f"{modality}: {count} samples are {value:g}, far from all others"
                self._odd.append(
                    self._warning(modality, f"{what}: if lost samples are so written, add `missing: [{value:g}]`")
                )
            if (others := e4.find_odd_first(row)) is not None:
                what = f"the first sample is {abs(row[0]):g}, the others are {others:g} in the median"
                self._odd.append(self._warning(modality, f"{modality}: {what}: a header, perhaps"))
        lost = int((~np.isfinite(signal.data)).any(axis=0).sum())
        self._lost[modality] = self._lost.get(modality, 0) + lost

    def findings(self, modalities: Sequence[str], *, few: bool) -> list[Finding]:
        """Return the findings on all signals, and on `modalities` that are absent. With `few`, also on lost samples."""
        absent = [self._warning(m, f"no {m} in it") for m in modalities if m not in self._lost]
        lost = [self._warning(m, f"{n} samples of {m} are lost") for m, n in self._lost.items() if n and few]
        return self._odd + absent + lost

    def _warning(self, modality: str, what: str) -> Finding:
        return Finding("warning", str(self._item.paths.get(modality) or next(iter(self._item.paths.values()))), what)


def _find_code(row: np.ndarray) -> tuple[float, int] | None:
    """Find a value that recurs in runs, far off all others. Return it and its count, else None."""
    there = row[np.isfinite(row)]
    for value in (there.min(), there.max()) if there.size else ():
        is_code = there == value
        rest, count = there[~is_code], int(is_code.sum())
        if rest.size < 10 or count < 5 or not (is_code[1:] & is_code[:-1]).any():
            continue
        if min(abs(value - rest.min()), abs(value - rest.max())) > 2 * float(np.ptp(rest)):
            return float(value), count
    return None


def find_items(root: Path, description: Unlabelled, written: Written) -> Mapping[str, list[Item]]:
    """Return subject -> recordings, sorted by their ids, without excluded subjects.

    Raises:
        DataError: no file matches, or a match is ambiguous; the error names the line.
    """
    people: dict[str, list[Item]] = {}
    sources: dict[str, int] = {}
    spelled: dict[str, str] = {}
    excluded = set(description.participants.exclude)
    for i, source in enumerate(description.recordings):
        for item in _find_source(root, i, source, written, by_path=not description.targets):
            subject = item.facts["participant"]
            spelling = spelled.setdefault(tables.simplify_value(subject), subject)
            if spelling != subject and description.targets:
                what = f"`{spelling}` and `{subject}` are written differently: one subject or two?"
                raise DataError(what, where=written.where("recordings", i), expected="one way to write each")
            if sources.setdefault(item.id, i) != i:
                what = f"recording {item.id} is in two of the `recordings`"
                raise DataError(what, where=written.where("recordings", i), expected="each in one of them")
            people.setdefault(subject, []).append(item)
    if unknown := sorted(excluded - set(people)):
        near = difflib.get_close_matches(unknown[0], people, 1)
        raise DataError(
            f"`exclude`: there is no participant `{unknown[0]}`" + (f"; did you mean {near[0]}?" if near else ""),
            where=written.where("participants", "exclude"),
            expected=f"some of {list_some(sorted(people))}",
        )
    sorted_items = {s: sorted(items, key=lambda item: item.id) for s, items in people.items() if s not in excluded}
    usable = {s: list(_drop_faulty(description, items)) for s, items in sorted_items.items()}
    ids = {item.id for items in people.values() for item in items}
    for i, fault in enumerate(description.faulty):
        if re.sub(r"@\d+$", "", fault.recording) not in ids and fault.recording not in ids:
            near = difflib.get_close_matches(fault.recording, ids, 1)
            raise DataError(
                f"`faulty`: there is no recording `{fault.recording}`" + (f"; did you mean {near[0]}?" if near else ""),
                where=written.where("faulty", i),
                expected=f"some of {list_some(sorted(ids))}",
            )
    nonempty = {s: items for s, items in usable.items() if items}
    if not nonempty:
        what = "`faulty` and `exclude` leave no recording"
        raise DataError(what, where=written.where("faulty"), expected="recordings", hint="remove some of these entries")
    return nonempty


def find_unmatched(root: Path, description: Unlabelled, people: Mapping[str, Sequence[Item]]) -> Iterator[Finding]:
    """Yield findings on files that `dataset.yaml` nearly matches, and on tables of participants without recordings."""
    templates = [t for source in description.recordings for m in source.modalities if (t := source.find_template(m))]
    used_paths = {path for template in templates for path, _ in template.matches(root)}
    suffixes = {Path(template.text).suffix.lower() for template in templates if "." in template.text} - _TABLES
    table_templates = [spec.table for spec in description.labels.values()] + [
        s.trials.table for s in description.recordings if s.trials
    ]
    known_subjects = {tables.simplify_value(subject) for subject in people} | set(
        map(tables.simplify_value, description.participants.exclude)
    )
    for template in {template.text: template for template in table_templates if template}.values():
        for path, facts in template.matches(root):
            used_paths.add(path)
            if "participant" in facts and tables.simplify_value(facts["participant"]) not in known_subjects:
                yield Finding("warning", str(path), f"no recordings of {facts['participant']}")
    files = [path for path in sorted(root.rglob("*"))[:_MOST_FILES] if path not in used_paths and path.is_file()]
    patterns = [
        [re.compile(compile_part(part, {}).pattern, re.IGNORECASE | re.DOTALL) for part in template.text.split("/")]
        for template in templates
    ]
    for path in files:
        names = path.relative_to(root).parts
        if any(len(pattern) == len(names) and all(map(re.Pattern.fullmatch, pattern, names)) for pattern in patterns):
            yield Finding("warning", str(path), "matches `files` of dataset.yaml but for capitals, and is not read")
    if extra := [path.relative_to(root).as_posix() for path in files if path.suffix.lower() in suffixes]:
        yield Finding("warning", str(root / extra[0]), f"matches no `files` of dataset.yaml: {list_some(extra)}")


def _drop_faulty(description: Unlabelled, items: Sequence[Item]) -> Iterator[Item]:
    """Yield the recordings that are not excluded as faulty, each without its faulty modalities."""
    for item in items:
        own = [fault for fault in description.faulty if fault.recording == item.id]
        lost = frozenset(fault.modality for fault in own if fault.modality)
        if not any(fault.modality is None for fault in own):
            paths = {m: path for m, path in item.paths.items() if m not in lost}
            if paths:
                yield replace(item, paths=paths, faulty=lost)


def _find_source(root: Path, i: int, source: Source, written: Written, *, by_path: bool) -> list[Item]:
    """Return the recordings of one source. Files with the same text for each name in braces belong together."""
    found: dict[tuple[str, ...], Item] = {}
    if source.bids:
        for path, facts in find_bids(root, source.bids):
            values = tuple(facts.values())
            id_ = path.relative_to(root).as_posix() if by_path else "_".join(f"{k}-{v}" for k, v in facts.items())
            found[values] = Item(id_, i, facts, {"": path})
    for m in () if source.bids else source.modalities:
        template = source.find_template(m)
        for path, facts in template.matches(root) if template else ():
            if path.is_dir() != bool(source.e4) or path == written.path:
                continue
            values = tuple(facts[name] for name in source.names)
            id_ = path.relative_to(root).as_posix() if by_path else "/".join(values)
            item = found.setdefault(values, Item(id_, i, facts))
            if m in item.paths:
                what = f"recording {item.id} has two files of {m}: {item.paths[m].name} and {path.name}"
                hint = "put names in braces in the place of stars"
                raise DataError(what, where=written.where("recordings", i), expected="one", hint=hint)
            item.paths[m] = path
    if source.bids and not found:
        raise DataError(
            f"there is no recording of task `{source.bids}`",
            where=written.where("recordings", i, "bids"),
            expected=f"sub-XX/eeg/sub-XX_task-{source.bids}_eeg.edf (or .bdf, .vhdr, .set), or _physio.tsv.gz",
        )
    if not found:
        texts = [t.text for m in source.modalities if (t := source.find_template(m))]
        raise DataError(
            f"no {'folder' if source.e4 else 'file'} matches `{texts[0]}`",
            where=written.where("recordings", i, "e4" if source.e4 else "files"),
            expected=_list_instead(root, texts[0], written),
            hint=HINT,
        )
    return list(found.values())


def _list_instead(root: Path, text: str, written: Written) -> str:
    """Return what an error expects for a pattern without matches: existing paths in the folder, most similar first."""
    places = (path for form in ("*", "*/*", "*/*/*") for path in root.glob(form))
    names = sorted(p.relative_to(root).as_posix() for p in places if p.is_file() and p != written.path)
    near = difflib.get_close_matches(re.sub(r"[{}]", "", text), names[:2000], 3, 0.3) or names[:3]
    return f"a path of what is here, such as {', '.join(near)}" if near else "files, of which there are none"


def find_first_moment(item: Item) -> float:
    """Return the time at which all of a wristband's files have begun, in unix seconds, by their first lines alone."""
    paths = {m: folder / e4.FILES[m] for m, folder in item.paths.items() if (folder / e4.FILES[m]).is_file()}
    return max(find_moments(paths).values(), default=0.0)


def list_some(values: Sequence[str] | Sequence[int]) -> str:
    """Return the first five as a text, and the number of further ones."""
    return ", ".join(map(str, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
