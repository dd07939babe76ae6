"""Numbers with marks of thousands or decimal commas in columns of tables."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

_SPACES = "\u0020\u00a0\u202f\u2009"
_SPACE = f"[{_SPACES}'\u2019]"
_LIKELY = re.compile(rf"[+-]?[\d.,'\u2019{_SPACES}]+([eE][+-]?\d+)?")
_FORMS = (
    (rf"[+-]?(\d{{1,3}}({_SPACE}\d{{3}})+|\d+)([.,]\d+)?", _SPACE),
    (r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", ","),
    (r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", r"\."),
)
"""How all cells of a column look, and its mark of thousands."""
_COMMA = r"[+-]?\d*,?\d+([eE][+-]?\d+)?"


def plain(column: pd.Series) -> pd.Series:
    """A column of texts as numbers, where all of its cells are numbers with marks; others stay as they are. One whose
    marks may be of thousands or of decimals stays, too."""
    if column.dtype != object:
        return column
    held = column[column.notna()]
    if held.empty or not _LIKELY.fullmatch(str(held.iloc[0]).strip()):
        return column
    texts = held.astype(str).str.strip()
    if unclear(texts) is not None:
        return column
    if texts.str.fullmatch(_COMMA).all():
        made = texts.str.replace(",", ".", regex=False)
    else:
        mark = next((mark for form, mark in _FORMS if texts.str.fullmatch(form).all()), None)
        if mark is None:
            return column
        made = texts.str.replace(mark, "", regex=True).str.replace(",", ".", regex=False)
    return pd.to_numeric(made).reindex(column.index).astype(np.float64)


def unclear(texts: pd.Series) -> tuple[str, str] | None:
    """Two cells such as `1,002` and `815` of a column whose marks may stand before thousands or before decimals, None
    of other columns."""
    for mark in ",.":
        marked = texts[texts.str.contains(mark, regex=False)]
        if marked.empty or not marked.str.fullmatch(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+").all():
            continue
        whole = texts[texts.str.fullmatch(r"[+-]?[1-9]\d\d")]
        twice = marked.str.count(re.escape(mark)).max() > 1
        if not whole.empty and not twice:
            return str(marked.iloc[0]), str(whole.iloc[0])
    return None


def may_be_thousands(values: np.ndarray) -> bool:
    """True if numbers could be of a table with marks of thousands that were read as decimals: all that are not whole
    have three decimals and are from 1 to 1000, beside whole ones from 100 on."""
    size = np.abs(values)
    if not ((size >= 100) & (size < 1000)).any():
        return False
    is_whole = size == np.floor(size)
    split = size[~is_whole & np.isfinite(size)]
    if not split.size or split.min() < 1 or split.max() >= 1000 or not (is_whole & (size >= 100) & (size < 1000)).any():
        return False
    return bool(np.abs(split * 1000 - np.round(split * 1000)).max() < 1e-3)
