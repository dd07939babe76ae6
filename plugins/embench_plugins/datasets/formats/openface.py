"""What OpenFace 2 saw in a video (Baltrusaitis et al. 2018): action units and gaze, a CSV file with a row a frame.

Read are the tables of its programs FeatureExtraction and FaceLandmarkVidMulti. Of their columns 42 are taken, in the
order of `CHANNELS`: intensities (0 to 5) and presences (0 or 1) of 17 action units and 8 values of gaze (two unit
vectors, two angles in radians). Presence of AU28, which has no intensity, landmarks and pose are not read. Names may
have spaces before them, as older versions wrote them.

A frame in which no face was found, or one with little confidence, is lost: its values are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import ModalityCard
from embench.interfaces.recording import Signal
from embench_plugins.datasets.formats import files

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
GAZE = (*(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"), "gaze_angle_x", "gaze_angle_y")
CHANNELS = (*(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in UNITS), *GAZE)
CARD = ModalityCard(CHANNELS, math.nan, "a.u.")
"""As a modality of a dataset; its rate is that of each video."""

LEAST_CONFIDENCE = 0.5
"""A frame counts where `success` is 1 and `confidence` at least this."""

BOXES = ".boxes.csv"
"""What the name of a table of face boxes, which may lie beside a clip, ends in."""

_FRAME = ("frame", "timestamp", "confidence", "success")
_EXPECTED = (
    f"a table of OpenFace 2 with the columns {', '.join(_FRAME)}, AU01_r .. AU45_r, AU01_c .. AU45_c, gaze_0_x .."
)
_HINT = "run OpenFace 2 again (FeatureExtraction -f CLIP -aus -gaze), or take the file away"
_STAMP_S = 0.001  # what timestamps are rounded to


@dataclass(frozen=True, slots=True)
class Track:
    """A face through a video: `seconds` (n,) from the file's first frame, in order, and `values` (n, 42), NaN in frames
    without it; `rate` is frames a second."""

    rate: float
    seconds: np.ndarray
    values: np.ndarray

    @property
    def duration_s(self) -> float:
        """Length in s: up to the end of the last frame."""
        return float(self.seconds[-1]) + 1 / self.rate

    @property
    def lost(self) -> float:
        """Share of frames without a face."""
        return float(np.isnan(self.values).any(axis=1).mean())


def tables(root: Path) -> list[Path]:
    """The CSV files below a folder that may be OpenFace's: boxes of faces and hidden files are not among them."""
    return sorted(
        path
        for path in root.rglob("*.csv")
        if not path.name.endswith(BOXES) and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def read(path: Path) -> Track:
    """A table of OpenFace. Where it follows several faces, the one that is seen in most frames is taken.

    Raises:
        DataError: it is no such table, a column is missing, a frame that counts holds no numbers, or time stands still.
    """
    table = files.text_table(path, expected=_EXPECTED, hint=_HINT)
    if missing := [name for name in (*_FRAME, *CHANNELS) if name not in table.columns]:
        more = f" and {len(missing) - 3} others" if len(missing) > 3 else ""
        raise DataError(
            f"no column {', '.join(missing[:3])}{more}", where=str(path), expected=_EXPECTED, hint=_HINT
        )  # fmt: skip
    frames = files.numbers(table[list(_FRAME)], path, expected=_EXPECTED, hint=_HINT)
    good = (frames["success"] == 1) & (frames["confidence"] >= LEAST_CONFIDENCE) & frames["timestamp"].notna()
    if "face_id" in table.columns and good.any():
        face = table["face_id"]
        kept = face == face[good].value_counts().index[0]
        table, frames, good = table[kept], frames[kept], good[kept]
    seen = files.numbers(table.loc[good, list(CHANNELS)], path, expected=_EXPECTED, hint=_HINT)
    values = np.full((len(frames), len(CHANNELS)), np.nan, np.float32)
    values[good.to_numpy()] = seen.to_numpy(np.float32)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    rate = _rate(frames["frame"].to_numpy(), frames["timestamp"].to_numpy(), path)
    seconds = frames["timestamp"].to_numpy()
    order = np.argsort(seconds, kind="stable")[: int(np.isfinite(seconds).sum())]
    return Track(rate, seconds[order], values[order])


def on_clock(track: Track, span: tuple[float, float]) -> Signal | None:
    """A face on a recording's clock; None where it is in no frame of the recording.

    Args:
        span: seconds of the video, from its first frame, at which the recording begins and ends.

    Returns:
        (42, n) at the video's own rate, each row at the nearest point; NaN where there is no frame or none that counts.
    """
    start, stop = span
    count = max(int((stop - start) * track.rate + 1e-6), 0)
    # Frames lie at whole multiples of the frame's length in the file: all are shifted by the same number of points.
    points = np.rint(track.seconds * track.rate).astype(np.int64) + math.floor(0.5 - start * track.rate)
    inside = (points >= 0) & (points < count)
    data = np.full((len(CHANNELS), count), np.nan, np.float32)
    data[:, points[inside]] = track.values[inside].T
    return Signal(data, track.rate, CHANNELS, CARD.unit) if np.isfinite(data).any() else None


def _rate(frame: np.ndarray, seconds: np.ndarray, path: Path) -> float:
    """Frames a second: the roundest number that the rounded timestamps allow."""
    known = np.isfinite(frame) & np.isfinite(seconds)
    frame, seconds = frame[known], seconds[known]
    frames, length_s = (np.ptp(x) if x.size else 0.0 for x in (frame, seconds))
    if not (frames > 0 and length_s > 0 and 1 <= frames / length_s <= 1000):
        what = f"{frames:g} frames in {length_s:g} s by the columns frame and timestamp"
        raise DataError(what, where=str(path), expected=_EXPECTED, hint=_HINT)
    rate = frames / length_s
    rounded = (round(rate, digits) for digits in range(4))
    return float(next((r for r in rounded if abs(r - rate) <= rate * _STAMP_S / length_s), rate))
