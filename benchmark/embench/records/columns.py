"""Columns of a table with many rows: texts, of which most stand there again and again, are kept once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np


@dataclass(frozen=True)
class TextColumn:
    """A column of texts: `names` (k,) in order, each once, and the position of each row's among them, `code` (n,)."""

    names: np.ndarray
    code: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[Iterable[str]]) -> TextColumn:
        """The texts of all parts, one after the other.

        >>> TextColumn.of([["b", "a"], ["b"]]).code
        array([1, 0, 1], dtype=int32)
        """
        seen: defaultdict[str, int] = defaultdict(count().__next__)
        codes = [np.fromiter(map(seen.__getitem__, part), np.int32) for part in parts]
        return cls._sorted(np.array(list(seen), np.str_), np.concatenate([*codes, np.array([], np.int32)]))

    @classmethod
    def same(cls, text: str, rows: int) -> TextColumn:
        """A column with the same text in all rows."""
        return cls(np.array([text]), np.zeros(rows, np.int32))

    @classmethod
    def concatenate(cls, parts: Sequence[TextColumn]) -> TextColumn:
        """The rows of all parts."""
        named = cls.of(part.names.tolist() for part in parts)
        ends = np.cumsum([len(part.names) for part in parts])
        places = np.split(named.code, ends[:-1])
        return cls(named.names, np.concatenate([at[part.code] for at, part in zip(places, parts, strict=True)]))

    @classmethod
    def _sorted(cls, names: np.ndarray, code: np.ndarray) -> TextColumn:
        order = np.argsort(names)
        place = np.empty(len(names), np.int32)
        place[order] = np.arange(len(names))
        return cls(names[order], place[code])

    def used(self) -> TextColumn:
        """The column without names that no row has."""
        used = np.bincount(self.code, minlength=len(self.names)) > 0
        return TextColumn(self.names[used], (np.cumsum(used, dtype=np.int32) - 1)[self.code])

    def take(self, index: np.ndarray | slice) -> TextColumn:
        """The rows at `index`."""
        return TextColumn(self.names, self.code[index])

    def __len__(self) -> int:
        return len(self.code)

    def array(self) -> np.ndarray:
        """(n,) the texts."""
        return np.asarray(self.names[self.code])


class Columns(Mapping[str, np.ndarray]):
    """Columns (n,) by name; those of texts are made when they are asked for."""

    def __init__(self, stored: Mapping[str, TextColumn | np.ndarray]) -> None:
        self.stored = dict(stored)

    def __getitem__(self, name: str) -> np.ndarray:
        column = self.stored[name]
        return column.array() if isinstance(column, TextColumn) else column

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.stored.values()), ()))

    def take(self, index: np.ndarray | slice) -> Columns:
        """The rows at `index`: positions (m,), a mask (n,) or a slice."""
        return Columns({n: c.take(index) if isinstance(c, TextColumn) else c[index] for n, c in self.stored.items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        """All rows in the order of `parts`; a column of numbers that a part does not have is NaN there."""
        joined: dict[str, TextColumn | np.ndarray] = {}
        for name in max((part.stored for part in parts), key=len):
            columns = [part.stored.get(name, np.full(part.rows, np.nan)) for part in parts]
            texts = [column for column in columns if isinstance(column, TextColumn)]
            numbers = [column for column in columns if not isinstance(column, TextColumn)]
            joined[name] = TextColumn.concatenate(texts) if texts else np.concatenate(numbers)
        return cls(joined)
