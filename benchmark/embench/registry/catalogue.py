"""Entries by name: those of all packages together, and the rules where two of them clash."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import warnings
from functools import cache, lru_cache
from pathlib import Path

from embench.errors import PluginError, UsageError
from embench.registry.fragments import BROKEN_PACKAGE, BUNDLED, PLUGIN_KINDS, Entry, Package, folders, packages
from embench.registry.modality import MODALITY
from embench.registry.naming import did_you_mean, our_words
from embench.registry.objects import is_object, object_entry
from embench.registry.question import Question
from embench.registry.trust import refuse_file

_FILE = re.compile(r"(?P<path>.+\.py):(?P<cls>[A-Za-z_]\w*)")


@lru_cache(maxsize=1)
def installed() -> dict[str, Package]:
    """Package name -> package, read once a process."""
    return {package.name: package for package in packages()}


def refresh() -> None:
    """Clears caches, for a process in which a package was installed since."""
    importlib.invalidate_caches()
    installed.cache_clear()
    _in_order.cache_clear()
    _warn_once.cache_clear()


def shipped(pattern: str) -> list[Path]:
    """Files that packages have next to their `registry.yaml`, by a pattern such as `claims/*/*.yaml`."""
    return [path for name in installed() for folder in folders(name) for path in sorted(folder.glob(pattern))]


def entries(kind: str | None = None) -> list[Entry]:
    """All entries, broken ones too, by kind and name; those of one kind if `kind` is set.

    Modalities that can't be used are entries of kind `modality`, packages that can't be read at all of kind `package`;
    these come last.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in (None, MODALITY):
        _check_kind(kind)
    return list(_in_order(kind))


@cache
def _in_order(kind: str | None) -> tuple[Entry, ...]:
    order = (*PLUGIN_KINDS, MODALITY, BROKEN_PACKAGE)
    found = [e for package in installed().values() for e in package.entries if kind in (None, e.kind)]
    return tuple(sorted(found, key=lambda e: (order.index(e.kind), e.name, e.package != BUNDLED, e.package)))


def names(kind: str) -> list[str]:
    """Names accepted for plugins of this kind: bare names, and `package/name` where a bare name is ambiguous.

    >>> "auroc_within" in names("metric")
    True
    """
    return sorted(written_name(entry) for entry in entries(kind) if not entry.broken)


def written_name(entry: Entry) -> str:
    """The name to write for an entry: its bare name if that means this entry, else `package/name`."""
    same = [e for e in entries(entry.kind) if e.name == entry.name and not e.broken]
    bare = len(same) == 1 or entry.package == BUNDLED
    return entry.name if bare else entry.full_name


def sites(dataset: str) -> dict[str, tuple[str, ...]]:
    """Modality -> places of its sensors, by the `registry.yaml` of a dataset with this full name, one for all of its
    channels or one each; empty where it has none.

    >>> sites("embench_plugins/wesad")["ppg"]
    ('wrist',)
    """
    entry = _dataset(dataset)
    return dict(entry.sites) if entry else {}


def questions_of(dataset: str) -> dict[str, Question]:
    """Target -> its question, by the `registry.yaml` of a dataset with this full name; without targets that it omits.

    >>> questions_of("embench_plugins/wesad")["stress"].labels
    'task'
    """
    entry = _dataset(dataset)
    return dict(entry.asks) if entry else {}


def releases_of(dataset: str) -> dict[str, str]:
    """Digest of raw files -> whose recordings they are, as the `registry.yaml` of a dataset by this full name says of
    its releases."""
    entry = _dataset(dataset)
    return dict(entry.releases) if entry else {}


def _dataset(full_name: str) -> Entry | None:
    return next((entry for entry in entries("dataset") if entry.full_name == full_name), None)


def find(kind: str, name: str) -> Entry:
    """The entry that `name` means: a bare name, `package/name` or `./file.py:Class`; or an object that
    this process has.

    Raises:
        UsageError: there is none (the nearest names are offered), or two third-party packages offer it.
        PluginError: its entry is broken.

    >>> find("metric", "auroc").target
    'embench_plugins.metrics.auroc:Auroc'
    """
    _check_kind(kind)
    if match := _FILE.fullmatch(name):
        refuse_file(kind, name)
        return _from_file(kind, Path(match["path"]), match["cls"])
    if is_object(name):
        return object_entry(kind, name)
    entry = _choose(kind, name)
    if entry.broken:
        raise PluginError(f"{kind} `{entry.name}` of {entry.home} is broken: {entry.broken}", where=str(entry.source))
    return entry


def _choose(kind: str, name: str) -> Entry:
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
        raise _unknown(kind, name)
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
    """Warns once a process: a command looks a name up in many places."""
    warnings.warn(text, stacklevel=4)


def _unknown(kind: str, name: str) -> UsageError:
    known = names(kind)
    hint = did_you_mean(name, [*known, *(e.full_name for e in entries(kind) if "/" in name)])
    elsewhere = [e for e in entries() if e.name in (name, *our_words(name)) and e.kind in PLUGIN_KINDS]
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


def _from_file(kind: str, path: Path, cls: str) -> Entry:
    path = path.expanduser()
    if not path.is_file():
        raise UsageError(f"the file {path} does not exist", where=f"{kind} {path}:{cls}", expected="./file.py:Class")
    inside = os.path.relpath(path)  # the same text for the same file, however it was written
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
