"""Offsets of each subject's rows in the arrays of a store that several workers write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_FAILED = -1


class Places:
    """The rows at which the next subject begins in each modality's array. They are known once all subjects before have
    been read, whoever reads them."""

    def __init__(self, primitives: Any, modalities: Iterable[str]) -> None:
        self._modalities = tuple(modalities)
        self._changed = primitives.Condition()
        self._next = primitives.Array("q", [0] * (len(self._modalities) + 1), lock=False)  # the last one: whose turn

    def of(self, subject: int, *, wait: bool = False) -> dict[str, int] | None:
        """Offset of a subject's rows, None where it is not known yet; who waits gets None where a subject failed."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._next[-1] in (subject, _FAILED))
            known = self._next[-1] == subject
            return dict(zip(self._modalities, self._next, strict=False)) if known else None

    def end(self, subject: int, rows: Mapping[str, int]) -> None:
        """Sets the number of rows of the subject whose turn it is."""
        with self._changed:
            if self._next[-1] != subject:
                return  # another subject has failed
            for i, modality in enumerate(self._modalities):
                self._next[i] += rows.get(modality, 0)
            self._next[-1] = subject + 1
            self._changed.notify_all()

    def fail(self) -> None:
        """Releases waiting subjects, since there will be no store."""
        with self._changed:
            self._next[-1] = _FAILED
            self._changed.notify_all()
