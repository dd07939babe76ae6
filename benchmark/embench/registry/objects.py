"""Plugins that a user gives from Python as classes, as in a notebook: named by what they do, and stored for workers.

Their names, `object:DIGEST:TITLE`, mean something only in the process that was given the class, and in its workers: a
command line, a file or a record cannot name one. The process itself uses the class as it is; workers, which have not
seen the notebook, read it from the user's own cache.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import PRIVATE, cache_root, make_folder, write_text, write_whole
from embench.registry.fragments import Entry
from embench.system import others_can_write

_OBJECT = "object:"
_NAME = re.compile(r"object:(?P<digest>[0-9a-f]{20}):[A-Za-z_]\w*")
_GIVEN: dict[str, type[Any]] = {}
"""Name -> the class that this process was given."""


def is_object(name: str) -> bool:
    """Whether a name is that of an object, whoever has it."""
    return name.startswith(_OBJECT)


def give(kind: str, cls: type[Any], *, text: str, source: str | None = None) -> str:
    """The name of a class that a user gives as a plugin of a kind; it is stored for worker processes.

    Args:
        text: what it is, for the record: the `repr` of what the user gave. `source`: its code, where it is known.

    Raises:
        UsageError: it cannot be stored, or holds a network that exists already. MachineError: the cache cannot be
            written.
    """
    from embench.registry.contents import content_of  # needs numpy

    content = content_of(cls)
    title = re.sub(r"\W", "_", cls.__name__)
    name = f"{_OBJECT}{content.digest}:{title if title[:1].isidentifier() else 'Given'}"
    about = {"kind": kind, "repr": text, "source": source, "files": content.files}
    _store(content.digest, cls, about, content.loose)
    _GIVEN[name] = cls
    return name


def object_entry(kind: str, name: str) -> Entry:
    """The entry of a class that was given from Python.

    Raises:
        UsageError: this process was not given it.
    """
    found = _NAME.fullmatch(name)
    worker = multiprocessing.parent_process() is not None  # which gets its names from the process that it works for
    if found is None or not (name in _GIVEN or worker):
        raise UsageError(
            f"{kind} {name} is an object of the Python process that made it, and cannot be named elsewhere",
            expected="the name of a plugin, or ./file.py:Class",
            hint="give the object itself, from Python: embench.run(...)",
        )
    about = object_facts(name)
    line = str(about["repr"]).partition("\n")[0][:200]
    return Entry(kind, name, "", found["digest"], name, 1, line, _file(found["digest"], ".pkl"))


def object_class(entry: Entry) -> type[Any]:
    """The class of such an entry. Raises MachineError where the stored file is damaged or somebody else's; what
    loading it raises."""
    if entry.target in _GIVEN:
        return _GIVEN[entry.target]
    _check_own(entry.source)
    data = entry.source.read_bytes()
    if hashlib.sha256(data).hexdigest() != object_facts(entry.target)["sha256"]:
        raise MachineError("the stored object is damaged", where=str(entry.source), hint="remove it and run again")
    _GIVEN[entry.target] = found = pickle.loads(data)  # noqa: S301  the user's own, checked above
    return found


def object_facts(name: str) -> dict[str, Any]:
    """`repr`, `source` (or None) and `files` of an object: what it is, and the files in which its code stands. Raises
    MachineError where it is not stored here."""
    path = _file(name.split(":")[1], ".json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise MachineError(
            "the object is not in the cache any more", where=str(path), hint="run from Python again, with the object"
        ) from error


def _store(digest: str, cls: type[Any], about: dict[str, Any], loose: Sequence[str]) -> None:
    path = _file(digest, ".json")
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if hashlib.sha256(path.with_suffix(".pkl").read_bytes()).hexdigest() == known["sha256"]:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is stored now
    data = _pickled(cls, loose)
    text = json.dumps({**about, "sha256": hashlib.sha256(data).hexdigest()}, indent=1)
    try:
        make_folder(path.parent, PRIVATE)
        write_whole(path.with_suffix(".pkl"), lambda whole: whole.write_bytes(data))
        write_text(path, text + "\n")
    except OSError as error:
        raise MachineError(f"the object cannot be stored: {error.strerror}", where=str(path)) from error


def _pickled(cls: type[Any], loose: Sequence[str]) -> bytes:
    import cloudpickle

    with _by_value(loose):
        try:
            return bytes(cloudpickle.dumps(cls, protocol=5))
        except Exception as error:
            raise UsageError(
                f"{cls.__name__} cannot be stored for worker processes: {error}",
                hint="make what cannot be stored inside the functions that need it",
            ) from error


@contextmanager
def _by_value(loose: Sequence[str]) -> Iterator[None]:
    """Stores loose modules with the object, as they are in memory: their files may have changed since."""
    import cloudpickle

    ours = [m for m in loose if m in sys.modules and m not in cloudpickle.list_registry_pickle_by_value()]
    for name in ours:
        cloudpickle.register_pickle_by_value(sys.modules[name])
    try:
        yield
    finally:
        for name in ours:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])


def _file(digest: str, suffix: str) -> Path:
    return cache_root() / "objects" / f"{digest}{suffix}"


def _check_own(path: Path) -> None:
    """Refuses a file that somebody else could have written: loading it runs code."""
    for place in (path, path.parent):
        if others_can_write(place):
            raise MachineError(
                "others can write the folder of stored objects, so it is not read",
                where=str(place),
                expected="a folder of your own, with permissions 0700",
                hint="point EMBENCH_CACHE at a folder of your own",
            )
