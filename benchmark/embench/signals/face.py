"""Position of the face in a video, from a file beside the video or else OpenCV's detector, and the square around it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from embench.errors import DataError
from embench.reasons import Reason
from embench.signals.video import TOLERANCE_S, frame_times

Crop = Literal["large", "tight", "none"]
CROP_MARGIN: dict[str, float] = {"large": 1.6, "tight": 1.0}
"""Side of the square, as a multiple of the longer side of the face's box. The paper (strizhkova2024) uses both crops
without stating numbers."""

_PLACE = ("x", "y", "width", "height")
_DETECTION_SIZE = 320
"""Longer side in pixels to which larger pictures are reduced before detection."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of a face in a video: `box` (n, 4) is x, y, width and height in pixels at the ascending `time_s` (n,)."""

    time_s: np.ndarray
    box: np.ndarray

    def median(self, start_s: float, stop_s: float) -> np.ndarray | None:
        """Return the median box (4,) in [start_s, stop_s); None without a box."""
        first, last = np.searchsorted(self.time_s, np.array([start_s, stop_s]) - TOLERANCE_S)
        return None if first == last else np.asarray(np.median(self.box[first:last], 0))


def read_boxes(path: Path, video: Path) -> Boxes:
    """Read the boxes of a video's faces from a CSV file with the columns `frame` (from 0) or `time_s`, `x`, `y`,
    `width` and `height`. Rows with a missing value or an empty box contain no face.

    Raises:
        DataError: the file cannot be read, or lacks these columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            clock = next((name for name in ("time_s", "frame") if name in names), None)
            if clock is None or not set(_PLACE) <= set(names):
                raise DataError(
                    Reason.make("wrong_columns", columns=", ".join(names) or "none"),
                    where=str(path),
                    expected=f"frame or time_s, {', '.join(_PLACE)}",
                )
            reader.fieldnames = names
            rows = [[float(row[name] or "nan") for name in (clock, *_PLACE)] for row in reader]
    except (OSError, UnicodeError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            Reason.make("unreadable", error=str(error)), where=str(path), expected="a CSV file of boxes"
        ) from error
    table = np.array(rows, np.float64).reshape(-1, 5)
    table = table[np.isfinite(table).all(1) & (table[:, 3:] > 0).all(1)]
    if clock == "frame":
        times = frame_times(video)
        table = table[(table[:, 0] >= 0) & (table[:, 0] < len(times))]
        table[:, 0] = times[table[:, 0].astype(np.int64)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Boxes(table[:, 0], table[:, 1:])


def find_face(picture: np.ndarray) -> np.ndarray | None:
    """Return the box (4,) of the largest face that OpenCV's frontal Haar cascade finds in an RGB picture (height,
    width, 3) (Viola and Jones 2001); None if it finds no face."""
    import cv2

    height, width = picture.shape[:2]
    shrink = min(1.0, _DETECTION_SIZE / max(height, width))
    small = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if shrink < 1:
        small = cv2.resize(small, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    found = np.asarray(_cascade().detectMultiScale(small, 1.1, 5)).reshape(-1, 4)
    if len(found) == 0:
        return None
    return np.asarray(found[np.argmax(found[:, 2] * found[:, 3])] / shrink)


@cache
def _cascade() -> Any:
    import cv2

    cv2.setNumThreads(1)  # one thread: a fixed order of sums and results, and cores belong to workers
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))


def square(box: np.ndarray | None, crop: Crop, height: int, width: int) -> tuple[int, int, int]:
    """Return left, top and side of the square to cut out of a picture. It surrounds the box, is moved inside the
    picture, and fits its shorter side. Without a box, or with `crop` "none", it is the largest central square.

    >>> square(np.array([100.0, 60.0, 50.0, 50.0]), "large", height=240, width=320)
    (85, 45, 80)
    """
    side, middle_x, middle_y = float(min(height, width)), width / 2, height / 2
    if box is not None and crop != "none":
        x, y, across, down = box.tolist()
        side, middle_x, middle_y = min(side, CROP_MARGIN[crop] * max(across, down)), x + across / 2, y + down / 2
    whole = max(1, round(side))
    left = min(max(round(middle_x - whole / 2), 0), width - whole)
    top = min(max(round(middle_y - whole / 2), 0), height - whole)
    return left, top, whole


def crop_square(picture: np.ndarray, place: tuple[int, int, int], size: int) -> np.ndarray:
    """Return (3, size, size) uint8: the square at `place` (left, top, side) of a picture (height, width, 3), resized.

    >>> crop_square(np.zeros((240, 320, 3), np.uint8), (85, 45, 80), size=32).shape
    (3, 32, 32)
    """
    import cv2

    left, top, side = place
    part = np.ascontiguousarray(picture[top : top + side, left : left + side])
    way = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(part, (size, size), interpolation=way).transpose(2, 0, 1))
