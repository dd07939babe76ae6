"""Plugins and modalities by name, of all packages together."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import pickle
import re
import warnings
from collections.abc import Set as AbstractSet
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.errors import MachineError, PluginError, UsageError
from embench.files import cache_root
from embench.registry.fragments import (
    BROKEN_PACKAGE,
    BUNDLED,
    MODALITY,
    PLUGIN_KINDS,
    Entry,
    ModalityDefinition,
    Package,
    Question,
    folders,
    packages,
    refuse_file,
)
from embench.system import others_can_write
from embench.vocabulary import did_you_mean, find_synonyms

if TYPE_CHECKING:
    from embench.interfaces.dataset import Card


# Plugins passed from Python as classes, as in a notebook: named by their behaviour, and read by workers.
#
# Their names, `object:DIGEST:TITLE`, are valid in the process that received the class, and in its workers, not on a
# command line or in a file. The process itself uses the class. Workers read it from the user's cache, where
# `embench.python.records` stores it. So does a later process that rebuilds the plan of a finished run: see
# `embench.registry.contents`.

_OBJECT = "object:"
_OBJECT_NAME = re.compile(r"object:(?P<digest>[0-9a-f]{20}):(?!\d)[\w-]+")
_GIVEN: dict[str, type[Any]] = {}
"""Name -> class that was passed from Python in this process."""


def is_object(name: str) -> bool:
    """Return True if `name` is the name of a class passed from Python, in this or an earlier process."""
    return name.startswith(_OBJECT)


def make_object_name(digest: str, title: str) -> str:
    """Return the name of an object, from the digest of its behaviour."""
    return f"{_OBJECT}{digest}:{title}"


def display_name(name: str) -> str:
    """Return a plugin's name for readers: for a class passed from Python, without the digest."""
    return name.rpartition(":")[2] if is_object(name) else name


def register_object(name: str, cls: type[Any]) -> None:
    """Register a class that was passed from Python under its name, for this process."""
    _GIVEN[name] = cls


def make_object_entry(kind: str, name: str) -> Entry:
    """Return the entry of a class that was passed from Python.

    Raises:
        UsageError: the class was not passed to this process.
    """
    found = _OBJECT_NAME.fullmatch(name)
    worker = multiprocessing.parent_process() is not None  # workers get its names from their parent process
    if found is None or not (name in _GIVEN or worker):
        raise UsageError(
            f"{kind} {name} is an object of another Python process, so its name cannot be used here",
            expected="the name of a plugin, or ./file.py:Class",
            hint="pass the object itself, from Python: embench.run(...)",
        )
    about = object_facts(name)
    line = str(about["repr"]).partition("\n")[0][:200]
    return Entry(kind, name, "", found["digest"], name, 1, line, get_object_file(found["digest"], ".pkl"))


def load_object_class(entry: Entry) -> type[Any]:
    """Return the class of an entry that was passed from Python. Raises MachineError if its stored file is damaged or
    others can write it, and any error from loading the class."""
    if entry.target not in _GIVEN:
        _GIVEN[entry.target] = load_stored_class(entry.target)
    return _GIVEN[entry.target]


def has_object(name: str) -> bool:
    """Return True if this process has the class of this name."""
    return name in _GIVEN


def load_stored_class(name: str) -> type[Any]:
    """Load the class of this name from the cache; for errors see `load_object_class`."""
    path = get_object_file(name.split(":")[1], ".pkl")
    _check_own(path)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != object_facts(name)["sha256"]:
        raise MachineError("the stored object is damaged", where=str(path), hint="delete the object and rerun")
    found: type[Any] = pickle.loads(data)  # noqa: S301  the user's own, checked above
    return found


def object_facts(name: str) -> dict[str, Any]:
    """Return the stored facts on an object: `repr`, `source` (None if unknown), `files` with its code, and `place`
    (file and line, None if unknown). Raises MachineError if the object is not stored on this machine."""
    path = get_object_file(name.split(":")[1], ".json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise MachineError(
            "the cache no longer contains the object", where=str(path), hint="rerun from Python with the object"
        ) from error


def get_object_file(digest: str, suffix: str) -> Path:
    """Return the path of a stored object's file: suffix `.pkl` for the object, `.json` for the facts on it."""
    return cache_root() / "objects" / f"{digest}{suffix}"


def _check_own(path: Path) -> None:
    """Refuse a file that another user could have written, since loading it runs code."""
    for place in (path, path.parent):
        if others_can_write(place):
            raise MachineError(
                "other users can write to the folder of stored objects, so embench does not read it",
                where=str(place),
                expected="a private folder with permissions 0700",
                hint="set EMBENCH_CACHE to a private folder",
            )


# Entries by name, of all packages, and the rules for name clashes.

_FILE = re.compile(r"(?P<path>.+\.py):(?P<cls>[A-Za-z_]\w*)")


@lru_cache(maxsize=1)
def installed() -> dict[str, Package]:
    """Return package name -> package, read once per process."""
    return {package.name: package for package in packages()}


def refresh() -> None:
    """Clear caches, after a package was installed."""
    importlib.invalidate_caches()
    installed.cache_clear()
    _list_sorted.cache_clear()
    _warn_once.cache_clear()


def find_shipped_files(pattern: str) -> list[Path]:
    """Return the files that packages have beside their `registry.yaml`, by a pattern such as `claims/*/*.yaml`."""
    return [path for name in installed() for folder in folders(name) for path in sorted(folder.glob(pattern))]


def entries(kind: str | None = None) -> list[Entry]:
    """Return all entries, including broken ones, sorted by kind and name; only entries of `kind` if it is set.

    The last entries are unusable modalities (kind `modality`) and unreadable packages (kind `package`).

    Raises:
        UsageError: unknown kind.
    """
    if kind not in (None, MODALITY):
        _check_kind(kind)
    return list(_list_sorted(kind))


@cache
def _list_sorted(kind: str | None) -> tuple[Entry, ...]:
    order = (*PLUGIN_KINDS, MODALITY, BROKEN_PACKAGE)
    found = [e for package in installed().values() for e in package.entries if kind in (None, e.kind)]
    return tuple(sorted(found, key=lambda e: (order.index(e.kind), e.name, e.package != BUNDLED, e.package)))


def list_plugins(kind: str) -> list[str]:
    """Return the names accepted for plugins of this kind: bare names, and `package/name` if a bare name is ambiguous.

    >>> "auroc_within" in list_plugins("metric")
    True
    """
    return sorted(written_name(entry) for entry in entries(kind) if not entry.broken)


def written_name(entry: Entry) -> str:
    """Return the name to write for an entry: its bare name if unambiguous, else `package/name`."""
    same = [e for e in entries(entry.kind) if e.name == entry.name and not e.broken]
    bare = len(same) == 1 or entry.package == BUNDLED
    return entry.name if bare else entry.full_name


def sites(dataset: str) -> dict[str, tuple[str, ...]]:
    """Return modality -> places of its sensors, from the `registry.yaml` of a dataset with this full name: one place
    for all channels, or one for each. Empty if not declared.

    >>> sites("embench_plugins/wesad")["ppg"]
    ('wrist',)
    """
    entry = _find_dataset(dataset)
    return dict(entry.sites) if entry else {}


def find_questions(dataset: str) -> dict[str, Question]:
    """Return target -> its question, from the `registry.yaml` of a dataset with this full name; undeclared targets are
    missing.

    >>> find_questions("embench_plugins/wesad")["stress"].labels
    'task'
    """
    entry = _find_dataset(dataset)
    return dict(entry.asks) if entry else {}


def find_releases(dataset: str) -> dict[str, str]:
    """Return digest of raw files -> source of the subjects, for the releases that a dataset's `registry.yaml` lists."""
    entry = _find_dataset(dataset)
    return dict(entry.releases) if entry else {}


def _find_dataset(full_name: str) -> Entry | None:
    return next((entry for entry in entries("dataset") if entry.full_name == full_name), None)


def find(kind: str, name: str) -> Entry:
    """Return the entry that `name` means: a bare name, `package/name` or `./file.py:Class`; or an object of this
    process.

    Raises:
        UsageError: the name is unknown (the nearest names are suggested), or two third-party packages offer it.
        PluginError: its entry is broken.

    >>> find("metric", "auroc").target
    'embench_plugins.metrics:Auroc'
    """
    _check_kind(kind)
    if match := _FILE.fullmatch(name):
        refuse_file(kind, name)
        return _make_file_entry(kind, Path(match["path"]), match["cls"])
    if is_object(name):
        return make_object_entry(kind, name)
    entry = _choose(kind, name)
    if entry.broken:
        raise PluginError(f"{kind} `{entry.name}` of {entry.home} is broken: {entry.broken}", where=str(entry.source))
    return entry


def _choose(kind: str, name: str) -> Entry:
    """Return the entry of an installed package that `name` means; for the errors see `find`."""
    package, _, rest = name.partition("/")
    if rest and package in installed():
        candidates = [e for e in entries(kind) if (e.package, e.name) == (package, rest)]
        unreadable = [e for e in installed()[package].entries if e.kind == BROKEN_PACKAGE]
        if not candidates and unreadable:
            problem = f"package {package} is broken: {unreadable[0].broken}"
            raise PluginError(problem, where=str(unreadable[0].source))
    else:
        candidates = [e for e in entries(kind) if e.name == name]
        candidates = [e for e in candidates if not e.broken] or candidates
    if not candidates:
        raise _make_unknown_error(kind, name)
    first, *others = candidates
    if others and first.package != BUNDLED:
        both = " and ".join(f"{e.full_name} ({e.home})" for e in candidates)
        raise UsageError(f"{kind} `{name}` exists in {len(candidates)} packages: {both}", hint="use the full name")
    if others:
        also = ", ".join(f"{e.full_name} ({e.home})" for e in others)
        _warn_once(f"{kind} `{name}` means {first.full_name} ({first.home}); other packages also have it: {also}")
    return first


@lru_cache
def _warn_once(text: str) -> None:
    """Warn once per process, since a command looks up a name repeatedly."""
    warnings.warn(text, stacklevel=4)


def _make_unknown_error(kind: str, name: str) -> UsageError:
    known = list_plugins(kind)
    hint = did_you_mean(name, [*known, *(e.full_name for e in entries(kind) if "/" in name)])
    elsewhere = [e for e in entries() if e.name in (name, *find_synonyms(name)) and e.kind in PLUGIN_KINDS]
    if elsewhere and kind not in {e.kind for e in elsewhere}:
        own, other = elsewhere[0].name, elsewhere[0].kind
        hint = f"`{own}` is {'an' if other[0] in 'eo' else 'a'} {other}"
        if {kind, other} == {"encoder", "fusion"}:  # `concat` joins any number of modalities
            encoder, fusion = ("handcrafted", own) if other == "fusion" else (own, "concat")
            hint += f": --encoder {encoder} --fusion {fusion}"
    unreadable = [f"{e.package} ({e.broken})" for e in entries() if e.kind == BROKEN_PACKAGE]
    if unreadable:
        hint = "; ".join([*([hint] if hint else []), f"broken packages were not searched: {', '.join(unreadable)}"])
    expected = f"one of {', '.join(known)}, package/name or ./file.py:Class" if known else "./file.py:Class"
    return UsageError(f"no {kind} has the name `{name}`", expected=expected, hint=hint or f"embench list {kind}")


def _make_file_entry(kind: str, path: Path, cls: str) -> Entry:
    """Return the entry of a class in a file. Raises UsageError if the file does not exist."""
    path = path.expanduser()
    if not path.is_file():
        raise UsageError(f"the file {path} does not exist", where=f"{kind} {path}:{cls}", expected="./file.py:Class")
    inside = os.path.relpath(path)  # one text per file, however it was written
    text = path.resolve().as_posix() if inside.startswith("..") else f"./{Path(inside).as_posix()}"
    return Entry(
        kind=kind,
        name=f"{text}:{cls}",
        package="",
        version=hashlib.sha256(path.read_bytes()).hexdigest()[:8],  # an edited file is another plugin
        target=f"{text}:{cls}",
        revision=1,
        summary=f"{cls} from {text}",
        source=path.resolve(),
    )


def _check_kind(kind: str) -> None:
    if kind not in PLUGIN_KINDS:
        kinds = (*PLUGIN_KINDS, MODALITY)
        raise UsageError(
            f"`{kind}` is not a kind of plugin",
            expected=f"one of {', '.join(kinds)}",
            hint=did_you_mean(kind, kinds),
        )


# All modalities, and the names by which encoders know them.


def modalities() -> list[ModalityDefinition]:
    """Return all modalities, the bundled ones first; a modality that two packages define occurs twice."""
    return [modality for package in installed().values() for modality in package.modalities]


def find_modality(name: str, where: str = "") -> ModalityDefinition:
    """Return the modality of this name.

    Args:
        where: what uses the name, for errors.

    Raises:
        PluginError: no installed package defines it, or two define it differently.

    >>> find_modality("eda").package
    'embench_plugins'
    """
    same = [modality for modality in modalities() if modality.name == name]
    if not same:
        raise _make_undefined_error(name, where)
    first = same[0]
    for other in same[1:]:
        if fields := first.difference(other.definition()):
            raise PluginError(
                f"{first.home} and {other.home} define modality `{name}` differently: {', '.join(fields)}",
                where=where,
                expected="one definition of a modality",
                hint=f"uninstall one of the packages; the definitions are in {first.source} and {other.source}",
            )
    return first


def added_modalities(card: Card, where: str) -> dict[str, ModalityDefinition]:
    """Return name -> definition of the modalities on a dataset's card that are not bundled ones.

    Raises:
        PluginError: one is not defined, or the card has it in another unit than its definition.
    """
    found = {name: find_modality(name, f"{where}, its dataset card") for name in card.modalities}
    for name, modality in found.items():
        unit = card.modalities[name].unit
        if modality.unit is not None and unit != modality.unit:
            raise PluginError(
                f"the dataset card has {name} in {unit}",
                where=f"{where}, its dataset card",
                expected=f"{modality.unit}, because {modality.home} defines {name} in this measurement unit",
            )
    return {name: modality for name, modality in found.items() if modality.package != BUNDLED}


def known_as(accepts: AbstractSet[str], modality: str) -> str | None:
    """Return the name of a run's modality for an encoder that `accepts` these names; None if it cannot read the
    modality. Channels in brackets are ignored. A modality that is not accepted may have a substitute in `read_as`.

    >>> known_as({"ecg", "eda"}, "ecg[left]+eda"), known_as({"ecg"}, "eda")
    ('ecg+eda', None)
    """
    from embench.interfaces.recording import split_modality

    names = [_find_known_part(accepts, part) for part in split_modality(modality)]
    return None if None in names else "+".join(name for name in names if name is not None)


def _find_known_part(accepts: AbstractSet[str], name: str) -> str | None:
    """Return the name under which an encoder that accepts these names reads a single modality; None if it cannot."""
    from embench.interfaces.encoder import ANY_SIGNAL

    if name in accepts or (accepts >= ANY_SIGNAL and name != "video"):
        return name
    read_as = find_modality(name).read_as
    return read_as if read_as in accepts else None


def _make_undefined_error(name: str, where: str) -> PluginError:
    known = list(dict.fromkeys(modality.name for modality in modalities()))
    broken = [e for e in entries() if e.broken and (e.kind == BROKEN_PACKAGE or (e.kind, e.name) == (MODALITY, name))]
    hint = did_you_mean(name, known) or "define it under `modality` in the registry.yaml of a package"
    for entry in broken:
        hint = f"{hint}; {entry.package} is broken: {entry.broken}"
    return PluginError(
        f"no installed package defines the modality `{name}`",
        where=where,
        expected=f"one of {', '.join(known)}",
        hint=f"{hint}; embench list modality",
    )
