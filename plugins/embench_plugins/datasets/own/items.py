"""The recordings of a folder, by the paths that its `dataset.yaml` describes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.bids import find_bids
from embench_plugins.datasets.own.layout import Source, Unlabelled
from embench_plugins.datasets.own.paths import part_pattern
from embench_plugins.datasets.own.signals import moments
from embench_plugins.datasets.own.yaml import HINT, Written

_MOST_FILES = 100_000
_SLOW, _MOST_HZ = ("eda", "temp", "resp", "hr"), 2100.0
"""Modalities that hardly any device samples faster."""
_TABLES = {".csv", ".txt", ".tsv"}


@dataclass(frozen=True)
class Item:
    """A recording, or several if its trials are cut out: what is known from the path, and files by modality (an E4's
    folder under each); `faulty` are those that are left out. The id is made of what stands for names in braces; of
    recordings without labels, which may be of several collections, it is the path of the first file."""

    id: str
    source: int
    facts: Mapping[str, str]
    paths: dict[str, Path] = field(default_factory=dict)
    faulty: frozenset[str] = frozenset()


class Heard:
    """Collects oddities of the signals in the files of a recording."""

    def __init__(self, item: Item) -> None:
        self._item, self._odd, self._lost = item, list[Finding](), dict[str, int]()

    def add(self, modality: str, signal: Signal) -> None:
        """A signal, or the next piece of it."""
        if modality in _SLOW and signal.rate > _MOST_HZ and modality not in self._lost:
            self._odd.append(
                self._warning(modality, f"{modality} at {signal.rate:g} Hz: is `time_unit` or `rate` right?")
            )
        for row in () if modality in self._lost else signal.data:
            if (code := _code_of(row)) is not None:
                value, count = code
                what = f"{modality}: {count} samples are {value:g}, far from all others"
                self._odd.append(
                    self._warning(modality, f"{what}: if lost samples are so written, add `missing: [{value:g}]`")
                )
            if (others := e4.odd_first(row)) is not None:
                what = f"the first sample is {abs(row[0]):g}, the others are {others:g} in the median"
                self._odd.append(self._warning(modality, f"{modality}: {what}: a header, perhaps"))
        lost = int((~np.isfinite(signal.data)).any(axis=0).sum())
        self._lost[modality] = self._lost.get(modality, 0) + lost

    def findings(self, modalities: Sequence[str], *, few: bool) -> list[Finding]:
        """The findings on all signals: modalities that there should be, and a `few` lost samples."""
        absent = [self._warning(m, f"no {m} in it") for m in modalities if m not in self._lost]
        lost = [self._warning(m, f"{n} samples of {m} are lost") for m, n in self._lost.items() if n and few]
        return self._odd + absent + lost

    def _warning(self, modality: str, what: str) -> Finding:
        return Finding("warning", str(self._item.paths.get(modality) or next(iter(self._item.paths.values()))), what)


def _code_of(row: np.ndarray) -> tuple[float, int] | None:
    """A value that recurs in runs, far off all others, and how often; None where there is none."""
    there = row[np.isfinite(row)]
    for value in (there.min(), there.max()) if there.size else ():
        is_code = there == value
        rest, count = there[~is_code], int(is_code.sum())
        if rest.size < 10 or count < 5 or not (is_code[1:] & is_code[:-1]).any():
            continue
        if min(abs(value - rest.min()), abs(value - rest.max())) > 2 * float(np.ptp(rest)):
            return float(value), count
    return None


def find_items(root: Path, of: Unlabelled, written: Written) -> Mapping[str, list[Item]]:
    """Subject -> recordings, in the order of their ids, without subjects that are excluded.

    Raises:
        DataError: no file matches, or what matches is ambiguous; it names the line.
    """
    people: dict[str, list[Item]] = {}
    sources: dict[str, int] = {}
    spelled: dict[str, str] = {}
    excluded = set(of.participants.exclude)
    for i, source in enumerate(of.recordings):
        for item in _found(root, i, source, written, by_path=not of.targets):
            subject = item.facts["participant"]
            known = spelled.setdefault(tables.canonical(subject), subject)
            if known != subject and of.targets:
                what = f"`{known}` and `{subject}` are written differently: one subject or two?"
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
            expected=f"some of {some(sorted(people))}",
        )
    whole = {s: sorted(own, key=lambda item: item.id) for s, own in people.items() if s not in excluded}
    left = {s: list(_without_faulty(of, own)) for s, own in whole.items()}
    ids = {item.id for own in people.values() for item in own}
    for i, fault in enumerate(of.faulty):
        if re.sub(r"@\d+$", "", fault.recording) not in ids and fault.recording not in ids:
            near = difflib.get_close_matches(fault.recording, ids, 1)
            raise DataError(
                f"`faulty`: there is no recording `{fault.recording}`" + (f"; did you mean {near[0]}?" if near else ""),
                where=written.where("faulty", i),
                expected=f"some of {some(sorted(ids))}",
            )
    found = {s: own for s, own in left.items() if own}
    if not found:
        what = "`faulty` and `exclude` leave no recording"
        raise DataError(what, where=written.where("faulty"), expected="recordings", hint="remove some of these entries")
    return found


def unmatched(root: Path, of: Unlabelled, people: Mapping[str, Sequence[Item]]) -> Iterator[Finding]:
    """The files of the kinds of recordings that are none, and the tables of participants who have none."""
    own = [t for source in of.recordings for m in source.modalities if (t := source.own_template(m))]
    used = {path for template in own for path, _ in template.matches(root)}
    suffixes = {Path(template.text).suffix.lower() for template in own if "." in template.text} - _TABLES
    tables_ = [spec.table for spec in of.labels.values()] + [s.trials.table for s in of.recordings if s.trials]
    known = {tables.canonical(subject) for subject in people} | set(map(tables.canonical, of.participants.exclude))
    for template in {template.text: template for template in tables_ if template}.values():
        for path, facts in template.matches(root):
            used.add(path)
            if "participant" in facts and tables.canonical(facts["participant"]) not in known:
                yield Finding("warning", str(path), f"no recordings of {facts['participant']}")
    files = [path for path in sorted(root.rglob("*"))[:_MOST_FILES] if path not in used and path.is_file()]
    forms = [[part_pattern(part, {}).pattern for part in template.text.split("/")] for template in own]
    for path in files:
        names = path.relative_to(root).parts
        if any(len(form) == len(names) and all(map(_fits_in_any_case, form, names)) for form in forms):
            yield Finding("warning", str(path), "matches `files` of dataset.yaml but for capitals, and is not read")
    if spare := [path.relative_to(root).as_posix() for path in files if path.suffix.lower() in suffixes]:
        yield Finding("warning", str(root / spare[0]), f"matches no `files` of dataset.yaml: {some(spare)}")


def _fits_in_any_case(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL) is not None


def _without_faulty(of: Unlabelled, items: Sequence[Item]) -> Iterator[Item]:
    """The recordings that are not left out as faulty, each without its faulty modalities."""
    for item in items:
        own = [fault for fault in of.faulty if fault.recording == item.id]
        lost = frozenset(fault.modality for fault in own if fault.modality)
        if not any(fault.modality is None for fault in own):
            paths = {m: path for m, path in item.paths.items() if m not in lost}
            if paths:
                yield replace(item, paths=paths, faulty=lost)


def _found(root: Path, i: int, source: Source, written: Written, *, by_path: bool) -> list[Item]:
    """The recordings of one source: files with the same text for each name in braces belong together."""
    found: dict[tuple[str, ...], Item] = {}
    if source.bids:
        for path, facts in find_bids(root, source.bids):
            values = tuple(facts.values())
            id_ = path.relative_to(root).as_posix() if by_path else "_".join(f"{k}-{v}" for k, v in facts.items())
            found[values] = Item(id_, i, facts, {"": path})
    for m in () if source.bids else source.modalities:
        template = source.own_template(m)
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
        texts = [t.text for m in source.modalities if (t := source.own_template(m))]
        raise DataError(
            f"no {'folder' if source.e4 else 'file'} matches `{texts[0]}`",
            where=written.where("recordings", i, "e4" if source.e4 else "files"),
            expected=_instead(root, texts[0], written),
            hint=HINT,
        )
    return list(found.values())


def _instead(root: Path, text: str, written: Written) -> str:
    """The paths that lie in the folder, where a pattern matches none."""
    places = (path for form in ("*", "*/*", "*/*/*") for path in root.glob(form))
    names = sorted(p.relative_to(root).as_posix() for p in places if p.is_file() and p != written.path)
    near = difflib.get_close_matches(re.sub(r"[{}]", "", text), names[:2000], 3, 0.3) or names[:3]
    return f"a path of what is here, such as {', '.join(near)}" if near else "files, of which there are none"


def first_moment(item: Item) -> float:
    """The time at which all of a wristband's files have begun, in unix seconds, by their first lines alone."""
    paths = {m: folder / e4.FILES[m] for m, folder in item.paths.items() if (folder / e4.FILES[m]).is_file()}
    return max(moments(paths).values(), default=0.0)


def some(values: Sequence[str] | Sequence[int]) -> str:
    """The first five, and how many more there are."""
    return ", ".join(map(str, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
