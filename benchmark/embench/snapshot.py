"""A consistent view of the machine's files for a plan, or for all plans of a grid: equal reads are made once.

Outside of a snapshot nothing is remembered, so that a long session sees every file as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_answers: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("answers", default=None)


@contextmanager
def snapshot() -> Iterator[None]:
    """Caches results of `cached` functions inside the context. An inner snapshot is part of the outer one."""
    if _answers.get() is not None:
        yield
        return
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def cached(function: Callable[P, R]) -> Callable[P, R]:
    """A function that reads files, or computes from what was read, and whose result nobody changes. Calls are equal
    where their arguments are, see `cached_call`."""

    @wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        return cached_call((function, *args, *kwargs.items()), partial(function, *args, **kwargs))

    return answered


def cached_call(key: tuple[Any, ...], make: Callable[[], R]) -> R:
    """Returns the result of `make` for an equal key, cached within a snapshot. A part of a key that can't be hashed is
    equal to itself alone; an error is not remembered."""
    answers = _answers.get()
    if answers is None:
        return make()
    marks = tuple(map(_mark, key))
    if marks not in answers:
        # With the key, so that no part of it leaves its identity to another object.
        answers[marks] = (make(), key)
    result: R = answers[marks][0]
    return result


def _mark(part: object) -> object:
    try:
        hash(part)
    except TypeError:
        return _mark, id(part)  # equal to no argument
    return part
