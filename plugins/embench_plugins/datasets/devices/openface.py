"""What OpenFace saw in a video (Baltrusaitis et al. 2016, 2018): action units and gaze, a table with a row a frame.

Read are the tables of its versions 0 to 2 (programs FeatureExtraction and FaceLandmarkVidMulti), as `.csv` or `.txt`,
with or without spaces before the names. Of their columns these are taken, in the order of `CHANNELS`: intensities (0 to
5) and presences (0 or 1) of 17 action units, and, where the program was asked for gaze, 8 values of it (two unit
vectors, two angles in radians). Version 1 has no angles: they follow from the vectors as version 2 computes them.
Version 0 has 14 intensities and 5 presences. Presence of AU28, which has no intensity, landmarks and pose are not read.

A frame in which no face was found, or one with little confidence, is lost: its values are NaN.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.devices.clips import Track, frame_rate, in_order
from embench_plugins.datasets.formats import files

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
ACTION_UNITS = (*(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in UNITS))
VECTORS = tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz")
GAZE = (*VECTORS, "gaze_angle_x", "gaze_angle_y")
CHANNELS = (*ACTION_UNITS, *GAZE)
NAME, UNIT = "OpenFace", "a.u."

LEAST_CONFIDENCE = 0.5
"""A frame counts where `success` is 1 and `confidence` at least this."""

_VERSION_0 = (
    *(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 9, 10, 12, 14, 15, 17, 20, 25, 26)),
    *(f"AU{n:02d}_c" for n in (4, 12, 15, 23, 45)),
)
_FRAME = ("frame", "confidence", "success")
_EXPECTED = "a table of OpenFace with the columns frame, timestamp, confidence, success, AU01_r .., AU01_c .."
_HINT = "run OpenFace 2 again (FeatureExtraction -f CLIP -aus -gaze), or take the file away"


def channels(names: Collection[str], path: Path) -> tuple[str, ...]:
    """Which of `CHANNELS` a table with these columns has, in their order.

    Raises:
        DataError: columns that its version always writes are missing.
    """
    told = {name for name in names if name.startswith("AU") and name.endswith(("_r", "_c"))} - {"AU28_c"}
    units = _VERSION_0 if told == set(_VERSION_0) else ACTION_UNITS
    gaze = VECTORS if any(name in names for name in VECTORS) else ()
    if missing := [name for name in (*_FRAME, *units, *gaze) if name not in names]:
        more = f" and {len(missing) - 3} others" if len(missing) > 3 else ""
        what = f"no column {', '.join(missing[:3])}{more}"
        raise DataError(what, where=str(path), expected=_EXPECTED, hint=_HINT)
    return (*units, *(GAZE if gaze else ()))


def read(path: Path, fps: float | None = None) -> Track:
    """A table of OpenFace. Where it follows several faces, the one that is seen in most frames is taken.

    Args:
        fps: frames a second of its video, for a table whose timestamps tell none; None where they are unknown.

    Raises:
        DataError: it is no such table, a column is missing, a frame that counts holds no numbers, or nothing tells how
            many frames a second there are.
    """
    table = files.text_table(path, expected=_EXPECTED, hint=_HINT)
    names = channels(table.columns, path)
    table = table if "timestamp" in table.columns else table.assign(timestamp=np.nan)
    frames = files.numbers(table[[*_FRAME, "timestamp"]], path, expected=_EXPECTED, hint=_HINT)
    good = (frames["success"] == 1) & (frames["confidence"] >= LEAST_CONFIDENCE) & frames["frame"].notna()
    if "face_id" in table.columns and good.any():
        face = table["face_id"]
        kept = face == face[good].value_counts().index[0]
        table, frames, good = table[kept], frames[kept], good[kept]
    stored = [name for name in names if name in table.columns]
    seen = files.numbers(table.loc[good, stored], path, expected=_EXPECTED, hint=_HINT)
    values = np.full((len(frames), len(names)), np.nan, np.float32)
    values[good.to_numpy()] = _with_angles(seen, names)[list(names)].to_numpy(np.float32)
    frame, seconds = frames["frame"].to_numpy(), frames["timestamp"].to_numpy()
    rate = frame_rate(frame, seconds)
    if rate is None:
        there = (x[np.isfinite(x)] for x in (frame, seconds))
        counted, length_s = (float(np.ptp(x)) if x.size else 0.0 for x in there)
        if fps is None or counted == 0:
            raise DataError(
                f"{counted:g} frames in {length_s:g} s by the columns frame and timestamp",
                where=str(path),
                expected="a table of OpenFace with timestamps in s, or the video beside it, which has a frame rate",
                hint=_HINT,
            )
        rate, seconds = fps, (frame - min(np.nanmin(frame), 1)) / fps  # frames count from 1, in some versions from 0
    return in_order(Track(rate, seconds, values, names))


def _with_angles(seen: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """With the angles of gaze, where vectors are there and version 1 wrote no angles: those of their mean."""
    if set(names) <= set(seen.columns):
        return seen
    x, y, z = (seen[f"gaze_0_{axis}"] + seen[f"gaze_1_{axis}"] for axis in "xyz")
    return seen.assign(gaze_angle_x=np.arctan2(x, -z), gaze_angle_y=np.arctan2(y, -z))
