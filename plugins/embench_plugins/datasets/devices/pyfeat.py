"""What py-feat saw in a video (Cheong et al. 2023): action units, a CSV file with a row a face and frame.

Taken are its 20 action units, AU01 to AU43, each 0 to 1: how probable it is that the face shows the unit, or, from its
classifier `svm`, whether it does. They are no intensities, as those of OpenFace are. Emotions, landmarks, pose and gaze
are not read.

Frames count from 0. py-feat writes no frame rate: it is that of the video, or else the one that `approx_time` (minutes
and seconds, rounded down) allows. Of a video that was read with `skip_frames`, the rate is that of the frames read.

A frame without a face, or one whose `FaceScore` is small, is lost: its values are NaN.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.devices.clips import RATES, Track, in_order
from embench_plugins.datasets.formats import files

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
CHANNELS = tuple(f"AU{n:02d}" for n in UNITS)
NAME, UNIT = "py-feat", "probability"

LEAST_SCORE = 0.5
"""A frame counts where `FaceScore` is at least this."""

_BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
_EXPECTED = f"a table of py-feat with the columns {', '.join(_BOX)}, AU01 .. AU43, frame"
_HINT = "run py-feat again (Detector().detect(VIDEO, data_type='video').to_csv(TABLE)), or take the file away"


def channels(names: Collection[str], path: Path) -> tuple[str, ...]:
    """The action units of a table with these columns. Raises DataError where one is missing."""
    if missing := [name for name in ("frame", "FaceScore", *CHANNELS) if name not in names]:
        raise DataError(f"no column {', '.join(missing[:3])}", where=str(path), expected=_EXPECTED, hint=_HINT)
    return CHANNELS


def read(path: Path, fps: float | None = None) -> Track:
    """A table of py-feat. Where it holds several faces, the one (`Identity`) that is seen in most frames is taken, or,
    where faces have no names, in each frame the largest.

    Args:
        fps: frames a second of its video, or None where they are unknown.

    Raises:
        DataError: it is no such table, a column is missing, a value is no number or none from 0 to 1, or nothing tells
            how many frames a second there are.
    """
    table = files.text_table(path, expected=_EXPECTED, hint=_HINT)
    names = channels(table.columns, path)
    table = _one_face(table, path)
    read = files.numbers(table[["frame", "FaceScore", *names]], path, expected=_EXPECTED, hint=_HINT)
    frame, values = read["frame"].to_numpy(), read[list(names)].to_numpy(np.float32)
    values[(read["FaceScore"] < LEAST_SCORE).to_numpy()] = np.nan
    if ((values < 0) | (values > 1)).any():
        what = f"an action unit of {np.nanmax(np.abs(values)):g}: py-feat's go from 0 to 1"
        raise DataError(what, where=str(path), expected=_EXPECTED, hint=_HINT)
    if (rate := fps or _rate(frame, table)) is None:
        raise DataError(
            "nothing tells how many frames a second there are",
            where=str(path),
            expected="the video beside it, or a column approx_time over 10 s and more",
            hint="put the video where the dataset's page says",
        )
    steps = np.diff(np.unique(frame[np.isfinite(frame)])).astype(np.int64)
    skipped = int(np.gcd.reduce(steps)) if steps.size else 1
    return in_order(Track(rate / skipped, frame / rate, values, names))


def _one_face(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """One row a frame."""
    if not table["frame"].duplicated().any():
        return table
    if "Identity" in table.columns and table["Identity"].notna().any():
        table = table[table["Identity"] == table["Identity"].value_counts().index[0]]
    sides = files.numbers(table[["FaceRectWidth", "FaceRectHeight"]], path, expected=_EXPECTED, hint=_HINT)
    largest = sides.prod(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[largest].drop_duplicates("frame").sort_index()


def _rate(frame: np.ndarray, table: pd.DataFrame) -> float | None:
    """The roundest frame rate at which every frame lies in the second that its `approx_time` names; None where there is
    no such column, it names no such rate, or the table is too short to tell."""
    if "approx_time" not in table.columns:
        return None
    told = table["approx_time"].astype(str).str.extract(r"^(\d+):(\d\d)$").astype(float)
    second = (60 * told[0] + told[1]).to_numpy()
    known = np.isfinite(second) & (frame > 0)
    if not known.any() or second[known].max() < _SHORTEST_S:
        return None
    with np.errstate(divide="ignore"):
        least = (frame[known] / (second[known] + 1)).max()  # frame / rate lies in [second, second + 1)
        most = (frame[known] / second[known]).min()
    usual = [r for r in _USUAL if least < r <= most]
    rates = [*usual, *(round(most, digits) for digits in range(3))]
    return next((float(r) for r in rates if least < r <= most and RATES[0] <= r <= RATES[1]), None)


_SHORTEST_S = 10.0
_USUAL = (25.0, 30.0, 30000 / 1001, 24.0, 24000 / 1001, 50.0, 60.0, 60000 / 1001)
