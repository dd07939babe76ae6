"""Exceptions of embench: each has an exit code and a next step for the user."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self


class EmbenchError(Exception):
    """Base class of all errors that embench raises on purpose; a user can act on each.

    Args:
        what: what is wrong, in one sentence.
        where: the file, field, plugin or option with the fault.
        expected: what should have been there.
        hint: what to do next, ideally a command.
        faults: the errors that this one joins, see `Refusals`.

    >>> print(DataError("no recordings", where="data/wesad", hint="embench data fetch wesad"))
    no recordings
      where: data/wesad
      what to do: embench data fetch wesad
    """

    exit_code = 70
    label = "internal error"

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        faults: Sequence[EmbenchError] = (),
    ):
        self.what, self.where, self.expected, self.hint = what, where, expected, hint
        self.faults = tuple(faults)
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.faults:
            lines = [f"{len(self.faults)} faults"]
            lines += [f"  {k}. " + str(fault).replace("\n", "\n   ") for k, fault in enumerate(self.faults, 1)]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:  # survives the trip back from a worker process
        named = {name: getattr(self, name) for name in ("where", "expected", "hint", "faults")}
        return partial(type(self), self.what, **named), ()


class CheckFailed(EmbenchError):
    """A check (conformance, guard, audit) found a fault."""

    exit_code = 1
    label = "check failed"


class UsageError(EmbenchError):
    """The arguments are wrong, unknown, or do not fit together."""

    exit_code = 2
    label = "wrong arguments"


class Refusals:
    """Wrong arguments, collected to be raised together. Each is raised inside the context.

    >>> refusals = Refusals()
    >>> with refusals:
    ...     raise UsageError("deap has no modality `ecg`")
    >>> with refusals:
    ...     raise UsageError("fusion late takes at least 2 modalities, but the run has 1: ecg", where="--fusion")
    >>> refusals.raise_all()
    Traceback (most recent call last):
    embench.errors.UsageError: 2 faults
      1. deap has no modality `ecg`
      2. fusion late takes at least 2 modalities, but the run has 1: ecg
         where: --fusion
      what to do: correct all of them; for what fits: embench list --matrix
    """

    def __init__(self) -> None:
        self.found: list[EmbenchError] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> bool:
        if not isinstance(error, UsageError):
            return False
        self.found += error.faults or [error]
        return True

    def raise_all(self) -> None:
        """Raise the only error, or a UsageError that joins all different ones. Return if there is none."""
        faults = list({str(error): error for error in self.found}.values())
        if len(faults) == 1:
            raise faults[0]
        if faults:
            what = "; ".join(error.what for error in faults)
            raise UsageError(what, hint="correct all of them; for what fits: embench list --matrix", faults=faults)


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
