"""Stores classes that a user gives from Python, as in a notebook, for worker processes, which read them by name."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import PRIVATE, make_folder, write_text, write_whole
from embench.registry.contents import PYTHON, content_of
from embench.registry.objects import keep_object, object_file, written

LONGEST_NAME = 48
"""Characters of an object's name, which ids and tables hold."""

_TITLE = re.compile(r"[^\W\d_][\w-]*")


def give(kind: str, cls: type[Any], *, text: str, source: str | None = None) -> str:
    """The name of a class that a user gives as a plugin of a kind; it is stored for worker processes.

    Args:
        text: what it is, for the record: the `repr` of what the user gave. `source`: its code, where it is known.

    Raises:
        UsageError: it cannot be stored, or holds a network that exists already. MachineError: the cache cannot be
            written.
    """
    content = content_of(cls)
    title = re.sub(r"[^\w-]", "_", cls.__name__)
    name = written(content.digest, title if title[:1].isidentifier() else "Given")
    about: dict[str, Any] = {"kind": kind, "repr": text, "source": source, "files": list(content.files)}
    about |= {"place": _place(cls), "python": PYTHON, "installed": content.installed}
    _store(content.digest, cls, about, content.loose)
    keep_object(name, cls)
    return name


def _place(cls: type[Any]) -> str | None:
    """File and line at which a class begins, or the function that makes its networks; None where they are unknown."""
    source = getattr(cls, "make", cls)
    try:
        return f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}"
    except (OSError, TypeError):
        return None


def checked_name(name: str) -> str:
    """A name that a user gives to an object. Raises UsageError where it can't stand in ids and tables."""
    if not _TITLE.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"`{name}` is not a valid name",
            where="name=",
            expected=f"at most {LONGEST_NAME} letters, digits, `_` and `-`, with a letter first",
        )
    return name


def _store(digest: str, cls: type[Any], about: dict[str, Any], loose: Sequence[str]) -> None:
    path = object_file(digest, ".json")
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if hashlib.sha256(path.with_suffix(".pkl").read_bytes()).hexdigest() == known["sha256"]:
            if {**known, **about} != known:  # the same code stands elsewhere now
                write_text(path, json.dumps({**known, **about}, indent=1) + "\n")
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
        raise MachineError(f"cannot store the object: {error.strerror}", where=str(path)) from error


def _pickled(cls: type[Any], loose: Sequence[str]) -> bytes:
    import cloudpickle

    with _by_value(loose):
        try:
            return bytes(cloudpickle.dumps(cls, protocol=5))
        except Exception as error:
            raise UsageError(
                f"cannot store {cls.__name__} for worker processes: {error}",
                hint="create parts that cannot be stored inside the functions that need them",
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
