"""Readers of own recordings, for a benchmark or for pretraining, without a line of Python.

They read CSV, EDF and BDF, WFDB, MATLAB files, files of Empatica's wristbands and BIDS. A file `dataset.yaml` beside
them describes participants, channels, labels and targets (see `layout`). `Own` reads recordings with labels, `Corpus`
without.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from embench.errors import CheckFailed, DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Recording
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import POTENTIALS
from embench_plugins.datasets.formats.notes import find_wfdb_notes
from embench_plugins.datasets.formats.recordings import list_files
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.clock import COLUMN, STARTS_APART_S, Clock, parse_zone
from embench_plugins.datasets.own.description import DATASET, make_card, read_description, read_yaml
from embench_plugins.datasets.own.items import (
    Heard,
    Item,
    find_first_moment,
    find_items,
    find_unmatched,
    list_bids_files,
    list_some,
    read_bids,
)
from embench_plugins.datasets.own.labels import (
    Labels,
    Marked,
    Part,
    Participants,
    Span,
    Tables,
    find_marks,
    make_marked_spans,
    make_spans,
    make_wide_spans,
    separate_trials,
    take_single,
)
from embench_plugins.datasets.own.layout import (
    PIECE_S,
    SENSED,
    Column,
    Description,
    LabelSource,
    OwnChannels,
    Source,
    Trials,
    Unlabelled,
    fill,
    read_labels,
)
from embench_plugins.datasets.own.signals import (
    RATE_TOLERANCE,
    TABLES,
    Read,
    find_file_start,
    find_start_and_order,
    keep_in_memory,
    open_signals,
    read_e4,
)

# The faults of own recordings, judged by their files alone, and the lines of a `dataset.yaml` that leave them out.

KEY = "faulty:"


class Fault(NamedTuple):
    """A recording, or a modality of it, that cannot be used, and the error."""

    recording: str
    modality: str | None
    error: DataError

    @property
    def line(self) -> str:
        """The entry of `dataset.yaml` that leaves it out."""
        where = Path(self.error.where or "").name
        why = json.dumps(f"{where}: {self.error.what}" if where else self.error.what, ensure_ascii=False)
        modality = f", modality: {self.modality}" if self.modality else ""
        return f"  - {{recording: {json.dumps(self.recording, ensure_ascii=False)}{modality}, why: {why}}}"


def find_faults(
    items: Iterable[Item],
    modalities: Callable[[Item], Sequence[str]],
    open_item: Callable[[Item, Sequence[str]], AbstractContextManager[Read]],
    trials: Callable[[Item, Read], Sequence[Span | DataError | None]],
) -> Iterator[Fault]:
    """Yield the unusable parts of recordings: modalities with unreadable files, trials outside their recording, and
    recordings without any usable part.

    Args:
        modalities: function that returns the modalities of a recording.
        open_item: function that opens some modalities of a recording.
        trials: function that returns the parts of a recording, or the error on each.
    """
    for item in items:
        names = modalities(item)
        unreadable = {m: error for m in names if (error := _try_recording(open_item, item, [m]))}
        readable = [m for m in names if m not in unreadable]
        if not readable:
            yield Fault(item.id, None, next(iter(unreadable.values())))
            continue
        yield from (Fault(item.id, m, error) for m, error in unreadable.items())
        try:
            with open_item(item, readable) as read:
                parts = trials(item, read)
        except DataError as error:
            yield Fault(item.id, None, error)
            continue
        for number, part in enumerate(parts, 1):
            if isinstance(part, DataError):
                yield Fault(f"{item.id}@{number}", None, part)


def check_share(found: Sequence[Fault], counts: Mapping[str, int]) -> None:
    """Raise CheckFailed if more than a third of the recordings, or of the recordings with one modality, would be
    excluded: then the description is probably wrong rather than the files.

    Args:
        counts: recording of a file -> number of trials that are cut from it.
    """
    lost = Counter[str | None]()
    for fault in found:
        lost[fault.modality] += 1 if fault.modality else counts.get(fault.recording, 1)
    for modality, count in lost.items():
        whole = len(counts) if modality else sum(counts.values())
        if whole > 1 and 3 * count > whole:
            error = next(fault.error for fault in found if fault.modality == modality)
            what = f"{modality} of {count}" if modality else f"{count}"
            raise CheckFailed(
                f"{what} of {whole} recordings would be left out, which is over a third; the first: {error.what}",
                where=error.where,
                expected=error.expected or "a few faulty recordings",
                hint=error.hint or "correct dataset.yaml where many recordings fail alike; exclude the others then",
            )


def _try_recording(
    open_item: Callable[[Item, Sequence[str]], AbstractContextManager[Read]], item: Item, modalities: Sequence[str]
) -> DataError | None:
    """Return the error on reading some modalities of a recording; None if there is none."""
    try:
        with open_item(item, modalities) as read:
            read.between(0.0, read.duration_s)
    except DataError as error:
        return error
    return None


def add_faults(text: str, found: Sequence[Fault]) -> str:
    """Return the text of a `dataset.yaml` with further entries for these faults, after its existing entries."""
    lines = text.rstrip("\n").split("\n")
    at = next((k for k, line in enumerate(lines) if re.match(rf"{KEY}\s*(#.*)?$", line)), None)
    if at is None:
        lines += ["", f"{KEY}  # left out: what cannot be used, judged by the files alone"]
        at = len(lines) - 1
    return "\n".join([*lines[: at + 1], *(fault.line for fault in found), *lines[at + 1 :]]) + "\n"


# The reader of labelled recordings.

LONGEST_S = 3600.0
OVERHANG_S = 1.0
"""The most seconds by which a trial may end after its files."""
_FAR_RATES = 10.0
"""Rates of one modality that differ by this factor are a warning."""


class Own(Dataset):
    """Reader of own recordings. The class's card fits any folder; an instance's card is made from its `dataset.yaml`.
    The id of a recording is made of the texts in its path for the names in braces.

    Raises:
        DataError: on construction, if the folder has no readable `dataset.yaml`.
    """

    card = Card(
        name="own",
        title="own recordings with labels",
        citation="that of the recordings",
        doi="",
        licence="that of the recordings",
        obtain=f"embench data new FOLDER writes a {DATASET} for a folder of recordings",
        modalities={m: ModalityCard((m,), math.nan, POTENTIALS.get(m, "a.u.")) for m in SENSED},
        default_modalities=("eda",),
        targets=(),
        mains_hz=50.0,
        longest_s=LONGEST_S,
        labels_public="unknown",
        fixed_order=True,
    )

    schema: type[Unlabelled] = Description

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._written = read_yaml(self.root / DATASET)
        self.description = read_description(self._written, self.schema)
        self.card = make_card(self.description)
        self._tables = Tables(self.root)
        self._starts: dict[str, dict[str, float | None]] = {}
        self._odd: dict[str, list[Finding]] = {}
        self._apart: dict[int, dict[str, float]] = {}

    def subjects(self) -> list[str]:
        """Return the subjects of all files that match the patterns, without excluded subjects."""
        return sorted(self._items)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return the columns that `info` names, of the subject's row in the table of participants."""
        return self._people.find_info(subject)

    def files(self, subject: str) -> list[Path]:
        """Return one subject's files: the description, the tables, and the signals with their accompanying files."""
        found = [self._written.path]
        if self._people.path:
            found.append(self._people.path)
        for item in self._find_items(subject):
            for m, path in item.paths.items():
                source = self._find_source(item)
                own = list_bids_files(path) if source.bids else [path / e4.FILES[m]] if source.e4 else list_files(path)
                own = [*own, *find_wfdb_notes(path)]
                found += [part for part in own if part.is_file()]
            found += self._list_tables(item)
        return sorted(set(found))

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield one subject's recordings, sorted by their ids."""
        labels = self._labels()
        for item in self._find_items(subject):
            yield from self._read(item, labels)

    def verify(self) -> list[Finding]:
        """Read everything, and return findings on unreadable files, unusual signals, and labels, rows or subjects
        without a counterpart."""
        labels, longest = self._labels(), 0.0
        findings, rates, timeless = (
            list[Finding](),
            dict[tuple[int, str], set[float]](),
            dict[tuple[str, str], list[str]](),
        )
        for item in (item for subject in self.subjects() for item in self._find_items(subject)):
            heard = Heard(item)
            try:
                for recording in self._read(item, labels):
                    longest = max(longest, recording.duration_s)
                    if recording.start_s is None and recording.order is None:
                        timeless.setdefault((recording.subject, recording.session), []).append(recording.id)
                    for m, signal in recording.signals.items():
                        rates.setdefault((item.source, m), set()).add(signal.rate)
                        heard.add(m, signal)
                findings += heard.findings(self._list_modalities(item), few=not self.description.targets)
            except DataError as error:
                findings.append(Finding("error", error.where or item.id, error.what))
            findings += self._odd.get(item.id, ())
        findings += self._check_lengths(longest, rates)
        findings += self._check_starts([id_ for ids in timeless.values() if len(ids) > 1 for id_ in ids])
        for name, ids in labels.missing.items():
            what = f"{len(ids)} recordings have no label {name}: {list_some(ids)}"
            findings.append(Finding("warning", self._written.where("labels", name), what))
        findings += labels.list_findings(self._written)
        for name, texts in labels.without_class.items():
            values = list_some([f"`{text}`" for text in sorted(texts)])
            what = f"values of {name} that are none of its classes have no label: {values}"
            findings.append(Finding("note", self._written.where("labels", name), what))
        for (name, path), lines in labels.used.items():
            if spare := sorted(
                {int(line) for line in self._tables.read_rows(path, labels.find_reading(name)).index} - lines
            ):
                what = f"{len(spare)} rows with label {name} are of no recording here: lines {list_some(spare)}"
                findings.append(Finding("warning", str(path), what))
        for name, path, columns in labels.find_unread_columns():
            what = f"columns of label {name} are of no recording here: {list_some(columns)}"
            findings.append(Finding("warning", str(path), what))
        findings += self._people.list_findings(self.subjects())
        findings += find_unmatched(self.root, self.description, self._items)
        return list(dict.fromkeys(findings))

    def label_notes(self) -> list[str]:
        """Return one sentence per label with values outside its scale, which are treated as missing. Reads the tables
        of labels, not the signals."""
        labels = self._labels()
        for item in (item for subject in self.subjects() for item in self._find_items(subject)):
            trials = self._find_source(item).trials
            for name, spec in ((o, s) for n in self._label_names(item) for o, s in self._label_sources[n].items()):
                table = trials if spec.trial else spec
                if not spec.scale or spec.classes or table is None or table.table is None:
                    continue
                keys = {fact: column for fact, column in table.keys.items() if fact in item.facts}
                known, where = table.model_copy(update={"keys": keys}), self._written.where("labels", name)
                path = self._tables.find_path(table.table, item.facts, where)
                if path is not None:
                    rows = self._tables.select_rows(path, known, item.facts, [], where)
                    labels.count_off_scale(name, rows, path)
        return list(labels.describe_off_scale().values())

    def _check_lengths(self, longest: float, rates: Mapping[tuple[int, str], set[float]]) -> list[Finding]:
        """Return the findings on the longest recording, and on signals of one source that have several rates."""
        found = []
        if 0 < 1.5 * longest < self.description.longest_s:
            what = f"the longest recording lasts {longest:.6g} s; all are padded to {self.description.longest_s:g} s"
            found.append(Finding("note", self._written.where("longest_s"), what))
        for (source, modality), own in rates.items():
            if max(own) > (1 + RATE_TOLERANCE) * min(own):
                listed = list_some([f"{rate:g}" for rate in sorted(own)])
                what = f"{modality} is recorded at several rates: {listed} Hz; all are resampled to one"
                far = max(own) > _FAR_RATES * min(own)  # other columns or units, perhaps
                found.append(Finding("warning" if far else "note", self._written.where("recordings", source), what))
        for source, seconds in self._apart.items():
            if late := [f"{id_} {s:.3g} s" for id_, s in seconds.items() if s > STARTS_APART_S]:
                what = (
                    f"the files of {len(late)} recordings begin apart and are cut to what they share: {list_some(late)}"
                )
                found.append(Finding("note", self._written.where("recordings", source), what))
        return found

    def _check_starts(self, timeless: Sequence[str]) -> list[Finding]:
        """Return the finding on recordings with an unknown start in their session, if the description has targets."""
        if not timeless or not self.description.targets:
            return []
        what = (
            f"nothing says when {len(timeless)} recordings began in their session ({list_some(timeless)}), so that "
            "results given time and movement cannot be told; what to do: add `start_s:` (seconds) to `recordings`, or "
            "name the column of dates with `time:`"
        )
        return [Finding("note", self._written.where("recordings"), what)]

    # The recordings.

    def _find_source(self, item: Item) -> Source:
        return self.description.recordings[item.source]

    def _label_names(self, item: Item) -> tuple[str, ...]:
        own = self._find_source(item).labels
        return tuple(self.description.labels) if own is None else own

    @cached_property
    def _label_sources(self) -> Mapping[str, Mapping[str, LabelSource]]:
        return read_labels(self.description.labels)

    def _find_items(self, subject: str) -> list[Item]:
        if subject not in self._items:
            raise DataError(
                f"there is no person {subject}", where=str(self.root), hint=f"embench data verify {self.root}"
            )
        return self._items[subject]

    @cached_property
    def _items(self) -> Mapping[str, list[Item]]:
        """Subject -> recordings, in the order of their ids."""
        return find_items(self.root, self.description, self._written)

    @cached_property
    def _people(self) -> Participants:
        return Participants(self.description, self._tables, self._written)

    # What they recorded.

    def _labels(self) -> Labels:
        specs = {one: spec for own in self._label_sources.values() for one, spec in own.items()}
        places = {one: self._written.where("labels", name) for name, own in self._label_sources.items() for one in own}
        return Labels(specs, self._tables, places, self._zone)

    @property
    def _zone(self) -> tzinfo:
        return parse_zone(self.description.timezone)

    def _list_tables(self, item: Item) -> list[Path]:
        source = self._find_source(item)
        named = [self.description.labels[name].table for name in self._label_names(item)]
        named += [part.table for part in (source.order, source.start_s) if isinstance(part, Column)]
        named += [source.trials.table] if source.trials and source.trials.table else []
        found = [self._tables.find_path(table, item.facts, str(self.root / DATASET)) for table in named if table]
        return [path for path in found if path is not None]

    def _read(self, item: Item, labels: Labels) -> Iterator[Recording]:
        """Yield the recordings of one item with their labels. Raises DataError at the first unusable trial."""
        source = self._find_source(item)
        with self._open_files(item, self._list_modalities(item)) as read:
            base = {key: self._read_number(item, source, key) for key in ("order", "start_s")}
            if base["start_s"] is None or base["order"] is None:
                known = self._find_known_start(item)
                if source.trials and not source.e4:  # these come one after another
                    known["order"] = None
                base = {key: known[key] if value is None else value for key, value in base.items()}
            self._odd[item.id] = list(read.odd)
            begins = [second for m, second in read.origins.items() if m != COLUMN]
            self._apart.setdefault(item.source, {})[item.id] = max(begins, default=0.0) - min(begins, default=0.0)
            read, spans_ = self._cut_trials(item, source, read)
            out = {fault.recording for fault in self.description.faulty}
            for number, span in enumerate(spans_):
                if source.trials and f"{item.id}@{number + 1}" in out:
                    continue
                if isinstance(span, DataError):
                    raise span
                yield self._make_recording(item, source, read, base, number, span, labels)

    def _find_known_start(self, item: Item) -> dict[str, float | None]:
        """Return the start and order of a recording in its session, if the files contain start times."""
        items = {
            other.id: other for other in self._find_items(item.facts["participant"]) if other.source == item.source
        }
        starts = self._starts.setdefault(item.facts["participant"], {})
        starts |= {id_: self._find_start(other) for id_, other in items.items() if id_ not in starts}
        session = self._find_session(item)
        return find_start_and_order(
            item.id, starts, [id_ for id_, o in items.items() if self._find_session(o) == session]
        )

    def _find_start(self, item: Item) -> float | None:
        """Return the unix time at which all files of a recording have begun; None if no file contains its start."""
        source = self._find_source(item)
        if source.e4:
            return find_first_moment(item)
        own = source.signals if isinstance(source.signals, Mapping) else {}
        try:
            placed = {m for m, channels in own.items() if channels.from_}
            found = [find_file_start(path, own.get(m), self._zone) for m, path in item.paths.items() if m not in placed]
        except DataError:  # reported when the recording is read
            return None
        return max((start for start in found if start is not None), default=None)

    def _cut_trials(self, item: Item, source: Source, read: Read) -> tuple[Read, Sequence[Span | DataError | None]]:
        """Return the signals of some files, and the parts of them that are recordings of their own."""
        whole = keep_in_memory(read.between(0.0, read.duration_s), read.start, read.duration_s)
        read = whole._replace(origins=read.origins)
        return read, self._find_trials(item, source, read) or [None]

    def _list_modalities(self, item: Item) -> list[str]:
        """Return the modalities of a recording without faulty ones."""
        return [m for m in self._find_source(item).modalities if m not in item.faulty]

    def _open_files(self, item: Item, wanted: Sequence[str]) -> AbstractContextManager[Read]:
        """Return the opened files of some modalities of a recording."""
        source = self._find_source(item)
        if source.e4:
            return nullcontext(read_e4(next(iter(item.paths.values())), wanted))
        channels = (
            {m: own for m, own in source.signals.items() if m in wanted} if isinstance(source.signals, Mapping) else {}
        )
        if source.bids:
            where = self._written.where("recordings", item.source, "signals")
            return nullcontext(read_bids(self.root, item.paths[""], channels, where))
        paths = {m: path for m, path in item.paths.items() if m in wanted}
        places = {m: self._written.where("recordings", item.source, "signals", m) for m in paths}
        channels = {m: own.model_copy(update={"from_": source.find_origin(own.from_)}) for m, own in channels.items()}
        return open_signals(paths, channels, places, self._zone, source.find_origin(source.from_))

    def _make_clock(self, source: Source, read: Read, origin: str | None = None) -> Clock:
        """Return the clock of a recording's tables; `origin` is the origin of seconds in a part of the description."""
        named = source.find_origin(origin) or source.find_origin(source.from_)
        return Clock(self._zone, read.start, read.duration_s, read.origins, named)

    def _read_number(self, item: Item, source: Source, key: str) -> float | None:
        """Return the order or start of a recording, from its path or a table."""
        spec, where = getattr(source, key), self._written.where("recordings", item.source, key)
        if spec is None:
            return None
        if isinstance(spec, Column):
            path = self._tables.find_path(spec.table, item.facts, where)
            rows = self._tables.select_rows(path, spec, item.facts, [spec.column], where) if path else None
            row = take_single(rows, path, item.id) if path and rows is not None else None
            if row is None:
                return None
            text, where = row[spec.column], f"{path}, line {row.name}"
        else:
            text = fill(spec, item.facts)
        if text.lower() in tables.MISSING:
            return None
        value = tables.parse_number(text)
        if not (math.isfinite(value) and value >= 0 and (key == "start_s" or value.is_integer())):
            raise DataError(f"`{key}` of {item.id} is `{text[:40]}`", where=where, expected="a number from 0 on")
        return value

    def _find_trials(self, item: Item, source: Source, read: Read) -> list[Span | DataError]:
        """Return the parts of a recording in order; for a part outside the recording, the error to raise."""
        spec, where = source.trials, self._written.where("recordings", item.source, "trials")
        if spec is None:
            return []
        path, found = self._find_spans(item, spec, read, where)
        if not found.spans:
            expected = "markers of whole trials" if spec.markers else "rows with these values"
            raise DataError(f"{path.name} has no trial of {item.id}", where=where, expected=expected)
        odd = [Finding("warning", str(path), f"{item.id}: {what}") for what in found.odd]
        self._odd.setdefault(item.id, []).extend(odd)
        return [
            span if isinstance(span, DataError) else self._check_inside(item, path, span, read.duration_s) or span
            for span in found.spans
        ]

    def _check_inside(self, item: Item, path: Path, span: Span, duration_s: float) -> DataError | None:
        """Return the error on a trial that is not inside its recording; None if it is."""
        if 0 <= span.start < span.stop <= duration_s + OVERHANG_S:
            return None
        line = f"line {span.line}: " if span.line else ""
        what = f"{line}the trial is from {span.start:g} to {span.stop:g} s of {duration_s:g} s"
        return DataError(what, where=str(path), expected=f"a part of recording {item.id}")

    def exclude_faulty(self) -> int:
        """Write entries for the faulty parts into `dataset.yaml`, judged by the files alone; return the number of
        entries.

        Raises:
            CheckFailed: over a third of the recordings would be left out: then the description is wrong, not the files.
        """
        items = [item for subject in self.subjects() for item in self._find_items(subject)]
        excluded = {fault.recording for fault in self.description.faulty}

        counts = dict.fromkeys((item.id for item in items), 1)

        def parts(item: Item, read: Read) -> Sequence[Span | DataError | None]:
            trials = self._cut_trials(item, self._find_source(item), read)[1]
            counts[item.id] = len(trials)
            return trials

        all_faults = find_faults(items, self._list_modalities, self._open_files, parts)
        new_faults = [fault for fault in all_faults if fault.recording not in excluded or fault.modality]
        check_share(new_faults, counts)
        if new_faults:
            path = self._written.path
            path.write_text(add_faults(path.read_text("utf-8"), new_faults), "utf-8", newline="\n")
        return len(new_faults)

    def _find_spans(self, item: Item, spec: Trials, read: Read, where: str) -> tuple[Path, Marked]:
        """Return the trials of a recording's files, and the file that defines the trials."""
        if spec.table is None:
            signals = self._find_source(item).signals
            channels = signals if isinstance(signals, Mapping) else {}
            path, marks = find_marks(item.paths, channels, spec, read.origins, where, self._zone)
            return path, make_marked_spans(marks, spec.markers or {}, spec.until, spec.lasts_s, path)
        file = self._tables.find_path(spec.table, item.facts, where)
        if file is None:
            raise DataError(f"there is no table of the trials of {item.id}", where=where, expected=spec.table.text)
        rows = self._tables.select_rows(file, spec, item.facts, spec.columns, where)
        nameless = list[str]()
        if spec.stimulus:
            pauses = self._find_pauses(rows, spec.stimulus)
            texts = sorted({text for text in rows[spec.stimulus][pauses] if text.lower() not in ("", "n/a")})
            if texts:
                what = f"{int(pauses.sum())} rows are passed over, since {spec.stimulus} is {list_some(texts)}"
                nameless.append(f"{what}: a stimulus of this name has to stand in the `classes` of a label")
            rows = rows[~pauses]
        for column, values in spec.where.items():
            rows = rows[rows[column].map(tables.simplify_value).isin({tables.simplify_value(v) for v in values})]
        clock = self._make_clock(self._find_source(item), read, spec.from_)
        trials = separate_trials(
            (make_wide_spans if spec.wide else make_spans)(rows, spec, file, clock), file, spec.stimulus or "stimulus"
        )
        return file, trials._replace(odd=trials.odd + nameless)

    def _find_pauses(self, rows: pd.DataFrame, stimulus: str) -> pd.Series:
        """Return True for each row of a table of trials that names no stimulus. A word that often marks missing values,
        such as `NA`, is a name if it is a class or if the row has a label."""
        labels = self.description.labels.values()
        named = {tables.simplify_value(raw) for label in labels if label.file for raw in label.classes or ()}
        rated = rows[[label.trial for label in labels if label.trial in rows.columns]]
        is_rated = (
            ~rated.apply(tables.is_blank).all(axis=1) if rated.shape[1] else pd.Series(data=False, index=rows.index)
        )
        cells = rows[stimulus]
        is_name = (cells != "") & (cells.map(tables.simplify_value).isin(named) | is_rated)
        return tables.is_blank(cells) & ~is_name

    def _make_recording(
        self, item: Item, source: Source, read: Read, base: Mapping[str, float | None], number: int, span: Span | None,
        labels: Labels,
    ) -> Recording:  # fmt: skip
        """Return a recording, or the trial `number` that `span` cuts from it, with its labels."""
        facts, offset, duration, id_ = dict(item.facts), 0.0, read.duration_s, item.id
        start, order = base["start_s"], base["order"]
        if span is not None:
            offset, duration = span.start, min(span.stop, read.duration_s) - span.start
            start = (start or 0.0) + offset
        if span is not None and source.trials is not None:
            id_, order = f"{id_}@{number + 1}", order if order is not None else number
            facts |= {"trial": str(number + 1)}
            if source.trials.stimulus or source.trials.wide or source.trials.markers:
                facts["stimulus"] = span.cells.get(source.trials.stimulus or "stimulus", "")
        elif duration < read.duration_s:
            id_ = f"{id_}@{offset:g}s"
        if duration > self.description.longest_s + 1e-6:
            raise DataError(
                f"recording {id_} lasts {duration:.6g} s, longer than `longest_s`",
                where=self._written.where("longest_s"),
                expected=f"longest_s: {math.ceil(duration)} at least",
            )
        wanted = tuple(one for name in self._label_names(item) for one in self._label_sources[name])
        cells = span.cells if span else {}
        clock, table = self._make_clock(source, read), self._find_single_table(item, source, read)
        part = Part(id_, wanted, facts, offset, duration, clock, cells, table, source)
        return Recording(
            id=id_,
            subject=facts["participant"],
            stimulus=self._fill_in(source.stimulus, facts, "stimulus", "recording"),
            session=self._find_session(item, facts),
            duration_s=duration,
            group=self._people.find_group(facts["participant"], facts),
            start_s=start,
            order=None if order is None else int(order),
            signals={m: s for m, s in read.between(offset, offset + duration).items() if np.nan_to_num(s.data).any()},
            labels=labels.read(part),
        )

    def _find_single_table(self, item: Item, source: Source, read: Read) -> tuple[Path, OwnChannels, float] | None:
        """Return the recording's table, which may contain a label in a column, and the second at which it begins."""
        for m, path in item.paths.items():
            if (
                not source.bids
                and isinstance(source.signals, Mapping)
                and not source.signals[m].file
                and path.suffix.lower() in TABLES
            ):
                return path, source.signals[m], read.origins.get(m, 0.0)
        return None

    def _session(self, item: Item) -> str:
        """Return the default name of a recording's session."""
        return "session"

    def _find_session(self, item: Item, facts: Mapping[str, str] | None = None) -> str:
        return self._fill_in(self._find_source(item).session, facts or item.facts, "session", self._session(item))

    def _fill_in(self, text: str | None, facts: Mapping[str, str], name: str, otherwise: str) -> str:
        made = fill(text, facts) if text else facts.get(name, otherwise)
        return made or otherwise


# Recordings without labels, for pretraining: a `dataset.yaml` that says nothing of labels and targets.


class Corpus(Own):
    """Reader of recordings without labels. Those over `longest_s` are cut; the ids of pieces have the second of their
    start.

    Raises:
        DataError: on construction, if the folder has no readable description, or one with labels.
    """

    card = replace(
        Own.card,
        name="corpus",
        title="a corpus of recordings without labels",
        obtain=f"put recordings and a {DATASET} without labels and targets into one folder",
        default_modalities=("eeg",),
        longest_s=PIECE_S,
        fixed_order=False,
    )
    schema = Unlabelled

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        if self.description.labels or self.description.targets:
            raise DataError(
                "these recordings have labels",
                where=self._written.where("labels"),
                expected="no `labels` and `targets` in a corpus",
                hint="name the folder by its path, as in --dataset ./FOLDER",
            )

    def _cut_trials(self, item: Item, source: Source, read: Read) -> tuple[Read, Sequence[Span | DataError | None]]:
        if source.trials:
            return super()._cut_trials(item, source, read)
        longest, whole = self.description.longest_s, read.duration_s
        count = math.ceil(whole / longest)
        # Whole seconds, so that signals at different rates begin together, and none longer than may be.
        begin = [max(math.floor(k * whole / count), math.ceil(whole - (count - k) * longest)) for k in range(count)]
        bounds = [*begin, whole]
        return read, [Span(first, last, 0, {}) for first, last in itertools.pairwise(bounds)]

    def _session(self, item: Item) -> str:
        return item.id

    def _check_lengths(self, longest: float, rates: Mapping[tuple[int, str], set[float]]) -> list[Finding]:
        by_modality: dict[str, set[float]] = {}
        for (_, m), found in rates.items():
            by_modality.setdefault(m, set()).update(found)
        said = {m: ", ".join(f"{rate:g}" for rate in sorted(found)) for m, found in by_modality.items()}
        return [Finding("note", str(self.root), f"{m} at {rate} Hz") for m, rate in said.items()]
