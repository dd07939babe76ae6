"""Find a dataset by name: its reader and its prepared store."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from embench import data, registry
from embench.data import data_folder, describe_root_fault
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets, label_rules
from embench.data.pseudonyms import Pseudonymous
from embench.errors import DataError, UsageError
from embench.files import aside, cached, cached_call, check_folder_files, digest, saving, temporary
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.raters import fuse_labels
from embench.interfaces.recording import Label, Recording
from embench.protocols import Protocol
from embench.registry import Entry
from embench.registry.fragments import DATA_FOLDER, refuse_file
from embench.store import RecordingEntry, Store, cache_root, fingerprint, prepare
from embench.store.fingerprint import synthetic as mark_of
from embench.store.prepare import reader_faults
from embench.system import ProgressCallback

# From a dataset's name to its reader and its prepared store.

OWN, CORPUS = "own", "corpus"
"""Datasets whose folder may lie anywhere: own recordings with labels, and a corpus without."""
DESCRIPTION = "dataset.yaml"
"""File in a folder of own recordings or of a corpus that describes its content."""
_MOST_BYTES = 1 << 20


def is_folder(name: str) -> bool:
    """Return True if a dataset's name is the path of a folder of recordings, not a name in the registry."""
    if name.startswith(("/", "./", "../", "~")):
        return ".py:" not in name
    return (Path(name) / DESCRIPTION).is_file() and ("/" in name or name not in registry.list_plugins("dataset"))


_NAMED: ContextVar[tuple[str, str] | None] = ContextVar("named", default=None)
"""Full name of own recordings, as in records, and the folder that the user named for it."""


@contextmanager
def data_at(dataset: str | None, data_root: Path | None, recorded: Iterable[str]) -> Iterator[None]:
    """Let the name of a user's own recordings in records stand for the folder `dataset`, inside this context.

    Args:
        dataset: name or folder of the data; None: names in records are looked up below `data_root`.
        recorded: full names of the records' datasets.

    Raises:
        UsageError: a record is of another dataset. DataError: the folder does not exist.
    """
    if dataset is None:
        yield
        return
    found = checked_dataset(dataset, data_root, recorded)
    token = _NAMED.set((found, dataset) if is_folder(dataset) else None)
    try:
        yield
    finally:
        _NAMED.reset(token)


def checked_dataset(dataset: str, data_root: Path | None, recorded: Iterable[str]) -> str:
    """Return the full name of a dataset that a user named. Raises UsageError if a record has another name."""
    found = find_source(dataset, data_root).full_name
    if other := next((name for name in recorded if name != found), None):
        raise UsageError(f"the record is of {other}, not of {found}", where=f"--dataset {dataset}")
    return found


@dataclass(frozen=True)
class Source:
    """A dataset that a user or a record names: its reader and the folder of its data. The folder need not exist until
    data are read.

    Args:
        name: the requested name or path.
        entry: the registry entry of the reader.
        is_path: True if `name` is a path, whose folder may have another name than the dataset.
    """

    name: str
    data_root: Path | None
    entry: Entry = field(compare=False)
    folder: Path
    is_path: bool

    @cached_property
    def reader(self) -> Dataset:
        """Reader on the folder. A user's own recordings have pseudonyms, unless they are synthetic.

        Raises:
            DataError: the folder does not exist; the message says where it was expected and how the data are obtained.
        """
        dataset = self.owners_reader()
        own_folder = self.entry.full_name in {f"{registry.BUNDLED}/{reader}" for reader in (OWN, CORPUS)}
        return Pseudonymous(dataset) if own_folder and fingerprint.synthetic(self.folder) is None else dataset

    def owners_reader(self) -> Dataset:
        """Return the reader with the original names of own recordings, for the owner only. Raises as `reader` does."""
        kind = registry.load_plugin("dataset", self.entry.full_name)
        if not self.folder.is_dir():
            if is_folder(self.name):
                raise DataError(
                    "the folder does not exist",
                    where=str(self.folder),
                    expected="a folder with recordings and dataset.yaml",
                    hint=f"{kind.card.obtain}",
                )
            raise _make_no_data_error(self.entry, kind.card, self.folder, self.data_root)
        check_folder_files(self.folder)
        with reader_faults(self.entry.full_name, str(self.folder)):
            dataset: Dataset = kind(self.folder)
        if self._is_own:
            _check_name(dataset, is_path=self.is_path)
        return dataset

    @property
    def pseudonymous(self) -> Pseudonymous | None:
        """Reader of a user's own recordings under pseudonyms; None if names are public or synthetic."""
        return self.reader if isinstance(self.reader, Pseudonymous) else None

    @cached_property
    def card(self) -> Card:
        """Dataset card, read from the folder if it exists or holds a user's own recordings; else that of the reader's
        class."""
        if self._is_own or self.folder.is_dir():
            return self.reader.card
        card: Card = registry.load_plugin("dataset", self.entry.full_name).card
        return card

    @property
    def full_name(self) -> str:
        """Full name of the dataset, independent of its folder: for own recordings `own/NAME`."""
        return f"{OWN}/{self.reader.card.name}" if self._is_own else self.entry.full_name

    @property
    def _is_own(self) -> bool:
        return self.entry.full_name == f"{registry.BUNDLED}/{OWN}"

    def prepared(self, protocol: Protocol, workers: int = 1, progress: ProgressCallback | None = None) -> Store:
        """Return the store prepared by a protocol's rules. For own recordings, the DataError names faulty files."""
        scratch, reader = _SCRATCH.get(), self.reader
        make = partial(
            prepare,
            reader,
            self.full_name,
            registry.code_identity("dataset", self.entry.full_name),
            rate_hz=protocol.rate_hz,
            rules=protocol.preprocess,
            cache=cache_root(),
            workers=workers,
            progress=progress,
            scratch=scratch,
        )
        try:
            return cached_call(("prepared", reader, protocol.rate_hz, protocol.preprocess, scratch), make)
        except DataError as error:
            if not is_folder(self.name):
                raise
            faults = [finding for finding in reader.verify() if finding.severity == "error"]
            if not faults:  # the fault does not belong to a recording
                raise
            listed = "; ".join(f"{Path(fault.where).name}: {fault.what}" for fault in faults[:3])
            raise DataError(
                f"{len(faults)} faults: {listed}{' ..' if len(faults) > 3 else ''}",
                where=str(reader.root),
                hint=f"to list all faults and exclude the faulty parts: embench data verify {self.name} "
                "--exclude-faulty",
            ) from error

    def cohort(self, protocol: Protocol, targets: str | None = None, modalities: Sequence[str] = ()) -> Cohort:
        """Return the cohort for `targets` (None: the card's defaults) and `modalities` (empty: all). Raises as
        `prepared` and `build_cohort` do."""
        store, card = self.prepared(protocol), card_for_protocol(protocol, self.card)
        return build_cohort(store, card, choose_targets(card, targets), list(modalities or store.modalities), protocol)

    @cached
    def raw_digest(self) -> bytes:
        """Return the digest of the raw files, which is the secret HMAC key of withheld labels.

        Raises:
            DataError: the files are missing or cannot be read.
        """
        return fingerprint.raw_digest(self.reader, cache_root())

    def files_digest(self, card: Card) -> str:
        """Return a digest of the raw files and the card's label rules, to compare data without the reader's code. It
        does not reveal the HMAC key of withheld labels. Raises as `raw_digest` does."""
        return digest(["files", self.raw_digest().hex(), label_rules(card)])

    def shares_files(self, other: Source) -> bool:
        """Return True if both datasets lie in one folder, or have any file in common."""
        return self.same_folder(other) or bool(self.file_marks() & other.file_marks())

    def same_folder(self, other: Source) -> bool:
        """Return True if the data of both lie in one folder."""
        return self.folder.resolve() == other.folder.resolve()

    def same_data(self, other: Source) -> bool:
        """Return True if both have the same reader and folder. Equal names do not suffice, since folders may share
        one."""
        return self.entry.full_name == other.entry.full_name and self.same_folder(other)

    def find_shared_subjects(self, other: Source) -> list[str]:
        """Return the subjects with a file that is also in `other`; all subjects if both datasets are one folder."""
        subjects = list(self.reader.subjects())
        if self.same_folder(other):
            return subjects
        theirs = fingerprint.file_hashes(other.reader, cache_root())
        return [who for who in subjects if fingerprint.file_hashes(self.reader, cache_root(), [who]) & theirs]

    @cached
    def file_marks(self) -> set[str]:
        """Return a mark of 16 hex digits per file, to compare files. Their hashes are secret keys of withheld
        labels."""
        found = fingerprint.file_hashes(self.reader, cache_root())
        return {hashlib.sha256(text.encode()).hexdigest()[:16] for text in found}


def find_source(name: str, data_root: Path | None) -> Source:
    """Return the dataset with this registry name or folder path. Any other name, as `own/NAME` in records, stands for
    own recordings: in the folder given to `data_at`, or in the folder with this name below the data root."""
    named = _NAMED.get()
    return _find_source(name, named[1] if named and named[0] == name else name, data_root)


def make_raw_digest_getter(data_root: Path | None) -> Callable[[str], bytes]:
    """Return a function from a dataset's name to its `Source.raw_digest`, the key of the HMAC of withheld labels."""
    return lambda name: find_source(name, data_root).raw_digest()


@cached
def _find_source(requested: str, name: str, data_root: Path | None) -> Source:
    return Source(requested, data_root, *_locate(name, data_root), is_path=is_folder(name))


def _locate(name: str, data_root: Path | None) -> tuple[Entry, Path]:
    """Return the registry entry of the reader, and the data folder, for the name or path of a dataset."""
    if is_folder(name):
        refuse_file(DATA_FOLDER, name)
        folder = Path(name).expanduser()
        return registry.find("dataset", _choose_reader(folder)), folder
    own = re.fullmatch(rf"({OWN}/)?([\w-]+)", name)
    if own and own[2] not in registry.list_plugins("dataset"):
        folder = data.default_data_root(data_root) / own[2]
        if (folder / "dataset.yaml").is_file():
            return registry.find("dataset", _choose_reader(folder)), folder
        if own[1]:
            raise DataError(
                f"no data of {own[2]} found",
                where=str(folder),
                expected="the folder with dataset.yaml, under that name in --data-root or $EMBENCH_DATA",
                hint="name its parent folder with --data-root PARENT, or the folder itself, as in --dataset ./FOLDER",
            )
    entry = registry.find("dataset", OWN if name == f"{OWN}/{OWN}" else name)
    return entry, data_folder(entry, data_root)


def _choose_reader(folder: Path) -> str:
    """Return the name of a folder's reader: `corpus` if its `dataset.yaml` has no labels, else `own`. If the
    description cannot be read, it is `own`, whose reader reports the fault."""
    path = folder / DESCRIPTION
    if not path.is_file():
        return OWN
    try:
        top = yaml.compose(path.read_text("utf-8-sig"), yaml.SafeLoader) if path.stat().st_size < _MOST_BYTES else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return OWN
    keys = [key.value for key, _ in top.value] if isinstance(top, yaml.MappingNode) else []
    return OWN if not keys or any(key in ("labels", "targets") for key in keys) else CORPUS


def find_recording_folders(data_root: Path | None) -> list[Path]:
    """Return the folders of the user's own recordings below the data root."""
    root = data.default_data_root(data_root)
    known = registry.list_plugins("dataset")
    return sorted(p.parent for p in root.glob("*/dataset.yaml") if p.parent.name not in known) if root.is_dir() else []


def make_first_description(folder: Path) -> str:
    """Return the text of a first `dataset.yaml` for a user's own recordings. Its first comments explain the guesses.

    Raises:
        UsageError: there is a description already, which is never changed. DataError: the folder holds a pipe.
    """
    path = folder / "dataset.yaml"
    if path.exists() or path.is_symlink():
        raise UsageError(
            "the folder already contains a dataset.yaml, which was not changed",
            where=str(path),
            hint="to start again, move this file away first",
        )
    check_folder_files(folder)
    return registry.describer(OWN)(folder)


def write_description(folder: Path, text: str) -> Path:
    """Write `text` into a new `dataset.yaml`; return its path. Raises MachineError if the file exists or that fails."""
    path = folder / "dataset.yaml"
    with saving("it", path), path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return path


def _make_no_data_error(entry: Entry, card: Card, folder: Path, data_root: Path | None) -> DataError:
    """Return the error for a missing dataset folder: its expected place, and how to get the data."""
    at = f" --data-root {data_root}" if data_root else ""
    get = f"download the data: embench data fetch {folder.name}{at}" if card.downloads else card.obtain
    if registry.has_synthesizer(entry.full_name):
        get += f"; to try embench with synthetic data: embench data synthesize {folder.name} --out {folder}"
    if wrong := describe_root_fault(data_root):
        return DataError(
            f"no data of {card.title}: {wrong}",
            where=str(folder),
            expected="the folder that contains the folders of all datasets",
            hint="correct the path" if "parent folder" in wrong else f"correct the path; {get.replace(at, '')}",
        )
    return DataError(
        f"no data of {card.title} found",
        where=str(folder),
        expected=f"the folder {folder.name}, unchanged from its source, in the folder PARENT of --data-root PARENT, in "
        "$EMBENCH_DATA or in the default folder",
        hint=get,
    )


def _check_name(dataset: Dataset, *, is_path: bool) -> None:
    """Raise DataError if own recordings have another dataset's name, or not their folder's (unless `is_path`)."""
    name, where = dataset.card.name, str(dataset.root / "dataset.yaml")
    if name in registry.list_plugins("dataset") and name != OWN:
        raise DataError(f"`name: {name}` is the name of another dataset", where=where, expected="a name of your own")
    if not is_path and name != dataset.root.name:
        raise DataError(
            f"`name: {name}` differs from the name of its folder, {dataset.root.name}",
            where=where,
            expected="the same name, so that records can find the data",
            hint="rename one of them, or name the folder by its path, as in --dataset ./FOLDER",
        )


_SCRATCH: ContextVar[Path | None] = ContextVar("scratch", default=None)


@contextmanager
def without_preparing() -> Iterator[None]:
    """Let `prepared` return a temporary store of zeros for unprepared data, inside this context; plans need no more."""
    with TemporaryDirectory(prefix="embench-", ignore_cleanup_errors=True) as folder:
        token = _SCRATCH.set(Path(folder))
        try:
            yield
        finally:
            _SCRATCH.reset(token)


# Synthetic data in a dataset's format, written to a chosen folder.


def write_synthetic(
    dataset: str,
    out: Path,
    *,
    subjects: int,
    seed: int = 0,
    effect: float = 1.0,
    length_s: float | None = None,
    videos: bool = False,
    exist_ok: bool = False,
) -> bool:
    """Write synthetic data to `out`, which must be empty or missing; return True if anything was written.

    Args:
        effect: dependence of signals on labels, from 0 (none) to 1.
        length_s: length of the longest recording; None: a short default.
        videos: True to write videos of faces, too.
        exist_ok: True to accept existing data in `out` that were made with the same settings.

    Raises:
        UsageError: unknown dataset or generator, `out` holds something else, or the generator takes no `length_s` or
            `videos`.
    """
    entry = registry.find("dataset", dataset)
    write = registry.synthesizer(entry.full_name)
    known, more = inspect.signature(write).parameters, dict[str, Any]()
    if length_s is not None:
        more["length_s"] = length_s
        if "length_s" not in known:
            raise UsageError(f"the synthesizer of {entry.name} has a fixed duration", where="--length-s")
    if videos:
        more["videos"] = True
        if "videos" not in known:
            raise UsageError(
                f"{entry.name} has no face videos, or its synthesizer does not write them", where="--videos"
            )
    settings = {"subjects": subjects, "seed": seed, "effect": effect, **more}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        earlier = mark_of(out) if out.is_dir() else None
        if exist_ok and earlier is not None and _is_made_so(earlier, entry.name, settings):
            return False
        held = "contains other synthetic data" if exist_ok and earlier is not None else "is not empty"
        raise UsageError(f"{out} {held}", where="--out", hint="use a new folder")
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary(aside(out)) as whole:  # so that incomplete data are never used
        write(whole, **settings)
        if out.exists():
            out.rmdir()
        whole.rename(out)
    return True


def _is_made_so(mark: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> bool:
    """Return True if the `mark` in a folder agrees with this dataset and these settings; missing keys agree."""
    wanted = {"dataset": name.partition("/")[0], **settings}
    return all(mark.get(key, value) == value for key, value in wanted.items())


# A dataset's recordings without samples, to know a study's design before preparation.


@dataclass(frozen=True)
class HeaderStore(Store):
    """A store without samples, with labels in memory. `table`: label name -> recording -> label."""

    table: Mapping[str, Mapping[str, Label]] = field(default_factory=dict)

    def labels(self) -> dict[str, dict[str, Label]]:
        """Return {label name: {recording id: Label}}, raw."""
        return {name: dict(labels) for name, labels in self.table.items()}


def strip_samples(recording: Recording) -> Recording:
    """Return the recording without its samples."""
    return replace(recording, signals={}, video=None)


def make_header_store(dataset: Dataset, name: str, recordings: Iterable[Recording]) -> HeaderStore:
    """Return a store of a dataset's recordings without samples. `name`: the full registry name."""
    entries, labels_by_recording = [], {}
    for r in recordings:
        start_s, order = None if r.start_s is None else float(r.start_s), None if r.order is None else int(r.order)
        about = (r.id, r.subject, r.stimulus, r.session, r.group, start_s, order, float(r.duration_s))
        entries.append(RecordingEntry(*about, spans={}))
        labels_by_recording[r.id] = r.labels
    table: dict[str, dict[str, Label]] = {}
    for recording, labels in fuse_labels(labels_by_recording, dataset.card.raters).items():
        for label_name, label in labels.items():
            table.setdefault(label_name, {})[recording] = label
    kinds = {label_name: label.kind for label_name, by_id in sorted(table.items()) for label in by_id.values()}
    subjects = {entry.subject: dict[str, str]() for entry in entries}
    return HeaderStore(
        dataset.root, "", name, 0.0, False, None, tuple(entries), {}, (), subjects, kinds, dataset.root, table
    )
