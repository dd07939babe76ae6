"""Trust in names that decide what code runs: a user's own command, or a record that anybody may have written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from embench.errors import CheckFailed

_RECORD: ContextVar[tuple[str, str | None] | None] = ContextVar("record", default=None)
"""The record whose names are being resolved, and a folder that the user named all the same; None where a user names all
that is to be run."""

DATA_FOLDER = "folder of data"
HINT = "if you trust the author, rerun with --trust-code"


@contextmanager
def installed_only(record: str, *, trust_code: bool = False, given: str | None = None) -> Iterator[None]:
    """Resolves names among installed packages only, and never to a file or a folder, for the duration of the context.

    Args:
        record: the file that the names come from.
        trust_code: whether the user vouches for it, so that all names resolve as a user's own do.
        given: a folder that the user names, which is read.
    """
    token = _RECORD.set(None if trust_code else (record, given))
    try:
        yield
    finally:
        _RECORD.reset(token)


def refuse_file(what: str, name: str) -> None:
    """Raises CheckFailed where a record names `name`, which lies outside of packages, and nobody vouches for it."""
    record, given = _RECORD.get() or (None, None)
    if record and name != given:
        raise CheckFailed(
            f"a record names {'an' if what[0] in 'aeo' else 'a'} {what} outside the installed packages: {name}",
            where=record,
            expected="the name of an installed plugin, dataset or protocol",
            hint=HINT if what != DATA_FOLDER else f"name it yourself: --dataset {name}; {HINT}",
        )
