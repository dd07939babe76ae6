"""Recordings in the BIDS form `*_physio.tsv.gz` whose rows have a time."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError

AGAIN = "copy the file again from the release"


def timed_rows(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Unix times in s (n,) and values (n,) of a file with one column of values and one of times. Raises DataError where
    it is no such file."""
    wanted = f"two columns without a header: {column} and Unix time in s"
    try:
        read = pd.read_csv(path, sep="\t", header=None, compression="gzip", low_memory=False)
    except (OSError, EOFError, ValueError, zlib.error, pd.errors.ParserError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=wanted, hint=AGAIN) from error
    if read.shape[1] != 2:
        raise DataError(f"{read.shape[1]} columns", where=str(path), expected=wanted, hint=AGAIN)
    values, times = (pd.to_numeric(read[k], "coerce").to_numpy(np.float64) for k in (0, 1))
    known = np.isfinite(times)
    if not known.any() or not 1e9 < np.median(times[known]) < 3e9:
        raise DataError("its second column holds no Unix times", where=str(path), expected=wanted, hint=AGAIN)
    values, times = values[known], times[known]
    if (np.diff(times) == 0).mean() > 0.5:
        raise DataError("most rows share their time with another", where=str(path), expected=wanted, hint=AGAIN)
    return times, values
