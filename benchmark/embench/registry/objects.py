"""Plugins that a user gave from Python as classes, as in a notebook: named by their behaviour, and read by workers.

Their names, `object:DIGEST:TITLE`, mean something in the process that was given the class, and in its workers: a
command line or a file cannot name one. The process itself uses the class as it is; workers, which have not seen the
notebook, read it from the user's own cache, where `embench.python.records` stores it. So does a later process that
makes the plan of a finished run again: see `embench.registry.recall`.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import re
from pathlib import Path
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import cache_root
from embench.registry.fragments import Entry
from embench.system import others_can_write

_OBJECT = "object:"
_NAME = re.compile(r"object:(?P<digest>[0-9a-f]{20}):(?!\d)[\w-]+")
_GIVEN: dict[str, type[Any]] = {}
"""Name -> the class that this process was given."""


def is_object(name: str) -> bool:
    """True if a name is that of an object, of any process."""
    return name.startswith(_OBJECT)


def written(digest: str, title: str) -> str:
    """The name of an object, by the digest of its behaviour."""
    return f"{_OBJECT}{digest}:{title}"


def shown_name(name: str) -> str:
    """The name of a plugin for readers: that of an object without its digest."""
    return name.rpartition(":")[2] if is_object(name) else name


def keep_object(name: str, cls: type[Any]) -> None:
    """Lets this process use a class that it was given, under its name."""
    _GIVEN[name] = cls


def object_entry(kind: str, name: str) -> Entry:
    """The entry of a class that was given from Python.

    Raises:
        UsageError: this process was not given it.
    """
    found = _NAME.fullmatch(name)
    worker = multiprocessing.parent_process() is not None  # which gets its names from the process that it works for
    if found is None or not (name in _GIVEN or worker):
        raise UsageError(
            f"{kind} {name} is an object of another Python process, so its name cannot be used here",
            expected="the name of a plugin, or ./file.py:Class",
            hint="pass the object itself, from Python: embench.run(...)",
        )
    about = object_facts(name)
    line = str(about["repr"]).partition("\n")[0][:200]
    return Entry(kind, name, "", found["digest"], name, 1, line, object_file(found["digest"], ".pkl"))


def object_class(entry: Entry) -> type[Any]:
    """The class of such an entry. Raises MachineError where the stored file is damaged or somebody else's; what
    loading it raises."""
    if entry.target not in _GIVEN:
        _GIVEN[entry.target] = stored_class(entry.target)
    return _GIVEN[entry.target]


def has_object(name: str) -> bool:
    """True if this process was given the class of this name."""
    return name in _GIVEN


def stored_class(name: str) -> type[Any]:
    """The class of this name that the cache holds; see `object_class`."""
    path = object_file(name.split(":")[1], ".pkl")
    _check_own(path)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != object_facts(name)["sha256"]:
        raise MachineError("the stored object is damaged", where=str(path), hint="delete the object and rerun")
    found: type[Any] = pickle.loads(data)  # noqa: S301  the user's own, checked above
    return found


def object_facts(name: str) -> dict[str, Any]:
    """`repr`, `source` (or None), `files` and `place` (or None) of an object: what it is, the files in which its code
    stands, and file and line at which it begins. Raises MachineError where it is not stored here."""
    path = object_file(name.split(":")[1], ".json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise MachineError(
            "the cache no longer contains the object", where=str(path), hint="rerun from Python with the object"
        ) from error


def object_file(digest: str, suffix: str) -> Path:
    """The file that an object is stored in: `.pkl`, or `.json` with the facts."""
    return cache_root() / "objects" / f"{digest}{suffix}"


def _check_own(path: Path) -> None:
    """Refuses a file that somebody else could have written: loading it runs code."""
    for place in (path, path.parent):
        if others_can_write(place):
            raise MachineError(
                "other users can write to the folder of stored objects, so embench does not read it",
                where=str(place),
                expected="a private folder with permissions 0700",
                hint="set EMBENCH_CACHE to a private folder",
            )
