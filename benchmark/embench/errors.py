"""Exceptions of embench: each has an exit code and a next step for the user."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple


class EmbenchError(Exception):
    """Base class of all errors that embench raises on purpose; a user can act on each.

    Args:
        what: what is wrong, in one sentence.
        where: the file, field, plugin or option with the fault.
        expected: what should have been there.
        hint: what to do next, ideally a command.

    >>> print(DataError("no recordings", where="data/wesad", hint="embench data fetch wesad"))
    no recordings
      where: data/wesad
      what to do: embench data fetch wesad
    """

    exit_code = 70
    label = "internal error"

    def __init__(self, what: str, *, where: str | None = None, expected: str | None = None, hint: str | None = None):
        self.what, self.where, self.expected, self.hint = what, where, expected, hint
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:  # survives the trip back from a worker process
        return partial(type(self), self.what, where=self.where, expected=self.expected, hint=self.hint), ()


class CheckFailed(EmbenchError):
    """A check (conformance, guard, audit) found a fault."""

    exit_code = 1
    label = "check failed"


class UsageError(EmbenchError):
    """The arguments are wrong, unknown, or do not fit together."""

    exit_code = 2
    label = "wrong arguments"


class DataError(EmbenchError):
    """Data are missing, damaged, or not of the expected kind."""

    exit_code = 3
    label = "data"


class PluginError(EmbenchError):
    """A plugin raised, or broke its interface; `where` names it and its package."""

    exit_code = 4
    label = "plugin"


class MachineError(EmbenchError):
    """A fault of disk, memory, device or a worker process."""

    exit_code = 5
    label = "machine"


class OutOfMemory(MachineError):
    """Memory of the machine or a GPU is exhausted, possibly by other processes."""


class WorkerKilled(MachineError):
    """A worker process was killed, by the system or a user."""


class Unfinished(EmbenchError):
    """Some parts of a job failed. The message names the missing results; finished parts are kept."""

    exit_code = 6
    label = "finished with failures"


class Fault(NamedTuple):
    """A fault of one field of a file, named like `split.by`; without a name if the whole file is at fault."""

    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.field}: {self.what}" if self.field else self.what


def list_faults(error: Any) -> list[Fault]:
    """Return the faults in a `pydantic.ValidationError`. Pydantic is not imported here, since every command imports
    this module."""
    return [
        Fault(".".join(map(str, fault["loc"])), "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"])
        for fault in error.errors()
    ]


def describe_faults(what: str, found: Sequence[Fault]) -> str:
    """Return a sentence that names all faults of a file (`what`), without repetitions."""
    return f"{what} breaks the schema: {'; '.join(dict.fromkeys(map(str, found)))}"
