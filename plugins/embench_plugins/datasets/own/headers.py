"""The first lines of tables of text: separators, titles above the names of columns, and tables without names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

SEPARATORS = "\t;,"
_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*|\d\d?:\d\d(:\d\d)?([.,]\d+)?")
_DECIMAL = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?")
_NAMED = re.compile(r"([^\W\d_]*)[ _-]?\d+")
_NOTHING = frozenset({"", "na", "n/a", "nan", "null", "none"})


def separator_of(lines: Sequence[str]) -> str:
    """The mark that splits most lines into equally many cells, by default a comma."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines if line.strip()]
    best = (0, ",")
    for mark in SEPARATORS:
        counts = Counter(n for line in bare if (n := line.count(mark)))
        most = counts.most_common(1)[0][1] if counts else 0
        best = max(best, (most, mark), key=lambda each: each[0])
    return best[1]


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line, without quotes and spaces around them."""
    whole = re.sub(r'"[^"]*"', lambda found: found[0].replace(separator, "\0"), line)
    return [cell.strip().strip('"').strip().replace("\0", separator) for cell in whole.split(separator)]


def title_lines(lines: Sequence[str], separator: str) -> int:
    """How many lines stand above the line of names: those with another number of cells than the rows have, or of which
    one alone is filled."""
    split = [cells_of(line, separator) for line in lines]
    filled = [len(row) for row in split if any(row)]
    later = filled[len(filled) // 3 :]
    if not later:
        return 0
    width = Counter(later).most_common(1)[0][0]
    if width == 1:
        used = [k for k, row in enumerate(split) if any(row)][:3]
        kinds = [not is_number(split[k][0]) for k in used]
        return used[1] if kinds == [True, True, False] and later.count(1) == len(later) else 0
    first = next((k for k, row in enumerate(split) if _fits(row, width, split)), 0)
    if sum(map(bool, split[first])) > 1 and len(split[first]) == width:
        return first
    lines_ = [k for k, row in enumerate(split) if any(row)]
    return next((k for k, below in pairwise(lines_) if k > first and _above(split[k], split[below], width)), first)


def _above(row: Sequence[str], below: Sequence[str], width: int) -> bool:
    """True if a line of texts stands above one with numbers, and both have as many cells as the rows."""
    texts = [cell for cell in row if cell]
    named = len(texts) > 1 and not any(is_number(cell) or cell.lower() in _NOTHING for cell in texts)
    return named and len(row) == len(below) == width and any(map(is_number, below))


def _fits(row: Sequence[str], width: int, split: Sequence[Sequence[str]]) -> bool:
    """True if a line may be one of names: with as many cells as the rows, without the empty ones at their end."""
    used, longest = sum(map(bool, row)), max((i for i, cell in enumerate(row, 1) if cell), default=0)
    if len(row) == width:
        return used > 1 or (width == 2 and used > 0)
    filled = (i for other in split if len(other) == width for i, cell in enumerate(other, 1) if cell)
    return used > 1 and longest >= max(filled, default=0)


def has_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """True if a line holds names of columns rather than values. A row has a date above dates, texts of which most are
    those of their columns, or without texts decimals above such; a text above numbers is a name."""
    if all(is_number(cell) for cell in first):
        return False
    dates, decimals, texts, alike = False, False, 0, 0
    for k, cell in enumerate(first):
        column = [row[k] for row in below if k < len(row) and row[k].lower() not in _NOTHING]
        if not column or cell.lower() in _NOTHING:
            continue
        numbers = all(map(is_number, column)) or all(map(_DATE.fullmatch, column))
        if numbers and not is_number(cell) and not _DATE.fullmatch(cell):
            return True
        if numbers:
            dates |= bool(_DATE.fullmatch(cell))
            decimals |= bool(_DECIMAL.fullmatch(cell)) and any(map(_DECIMAL.fullmatch, column))
        else:
            own = _NAMED.fullmatch(cell)
            like = [found[1] for other in column if (found := _NAMED.fullmatch(other))]
            same = own is not None and own[1] != "" and len(like) == len(column) and set(like) == {own[1]}
            texts, alike = texts + 1, alike + (cell in column or same)
    return not (dates or 0 < texts <= 2 * alike or (decimals and not texts))


def is_number(text: str) -> bool:
    """True of a finite number with a point or a comma."""
    try:
        return "_" not in text and math.isfinite(float(text.replace(",", ".")))
    except ValueError:
        return False


def column_of(there: Sequence[str], name: str, others: Sequence[str] = ()) -> str:
    """The column that is called so, or whose other name that is; or the one at this position, from 1 on, where none is
    called by a number."""
    if name not in there and name in others:
        return there[others.index(name)]
    if name in there or not re.fullmatch(r"[1-9]\d{0,3}", name):
        return name
    if any(other.isdigit() and int(other) != k for k, other in enumerate(there, 1)):
        return name
    return there[int(name) - 1] if int(name) <= len(there) else name
