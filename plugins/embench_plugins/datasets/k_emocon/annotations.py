"""The annotations of K-EmoCon: a table a subject and annotator, with a row every 5 s of the debate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.formats import files

WINDOW_S = 5.0
DIMENSIONS = ("arousal", "valence")
EMOTIONS = ("cheerful", "happy", "angry", "nervous", "sad")
SCALE = dict.fromkeys(DIMENSIONS, (1, 5)) | dict.fromkeys(EMOTIONS, (1, 4))
MARKS = (
    "boredom", "confusion", "delight", "concentration", "frustration", "surprise", "none_1", "confrustion", "contempt",
    "dejection", "disgust", "eureka", "pride", "sorrow", "none_2",
)  # fmt: skip
"""States of the Baker-Rodrigo-Ocumpaugh monitoring protocol that could be marked: seven common ones and eight others,
with one for none of them in each group (Park et al. 2020)."""
AGAIN = "the file is damaged or not the release's: unpack its archive again"


def read_annotation(
    path: Path, duration_s: float, findings: list[Finding]
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """One annotator's file: where windows begin (n,), in s, in order; the ratings in them, NaN where there is none; and
    how many windows end after the debate does, which are excluded.

    Column `seconds` is the end of a window, counted from the debate's start. Values off their scale are excluded. Marks
    are 1 where there is an x and 0 where the cell is empty.

    Raises:
        DataError: the file is no such table.
    """
    expected = "a row every 5 s with the columns seconds, arousal and valence"
    table = files.text_table(path, expected=expected, hint=AGAIN)
    if missing := [name for name in ("seconds", *DIMENSIONS) if name not in table.columns]:
        raise DataError(f"no column {', '.join(missing)}", where=str(path), expected=expected, hint=AGAIN)
    named = [name for name in ("seconds", *SCALE) if name in table.columns]
    read = files.numbers(table[named], path, expected=expected, hint=AGAIN).sort_values("seconds", kind="stable")
    if again := int(read["seconds"].duplicated().sum()):
        findings.append(Finding("warning", str(path), f"{again} windows have several rows: the first is read"))
        read = read.drop_duplicates("seconds")
    ends = read["seconds"].to_numpy()
    if len(ends) > 1 and np.median(np.diff(ends)) != WINDOW_S:
        apart = f"rows are {np.median(np.diff(ends)):g} s apart"
        raise DataError(apart, where=str(path), expected=expected, hint=AGAIN)
    late = ends > duration_s + 1e-6
    inside = (ends >= WINDOW_S) & ~late
    if early := int((ends < WINDOW_S).sum()):
        what = f"{early} rows begin before the debate: `seconds` should be a window's end"
        findings.append(Finding("warning", str(path), what))
    if not inside.any():
        findings.append(Finding("warning", str(path), "no row lies in the debate"))
    ratings = {}
    for name in named[1:]:
        values, (low, high) = read[name].to_numpy(copy=True)[inside], SCALE[name]
        if odd := int(((values < low) | (values > high)).sum()):
            findings.append(Finding("warning", str(path), f"{odd} values of {name} off {low} to {high} are left out"))
        ratings[name] = np.where((values >= low) & (values <= high), values, np.nan)
    for name in set(MARKS).intersection(table.columns):
        cells = table.loc[read.index, name].astype(str).str.strip().str.lower()
        ratings[name] = (cells == "x").to_numpy(np.float64)[inside]
    return ends[inside] - WINDOW_S, ratings, int(late.sum())
