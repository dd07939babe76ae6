"""Files of a synthetic face: a film, and the table that OpenFace 2 would have made of it.

The table's intensities of action units follow the very face that the film shows: AU12, AU06 and, falling, AU15 the
smile, AU01, AU02, AU05 and, falling, AU04 the brow, AU25 and AU26 the jaw, AU45 the lids. The others follow nothing.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from embench_plugins.datasets.devices.openface import GAZE, UNITS
from embench_plugins.datasets.synthetic.body import smooth_noise
from embench_plugins.datasets.synthetic.face import HEIGHT, WIDTH, Face, Performance

FPS = Fraction(25, 2)
QUICK = {"preset": "superfast"}
KINDS = {".mov": ("libx264", QUICK), ".mp4": ("libx264", QUICK), ".avi": ("mpeg4", {"b": "400k"})}
"""Codec and its options by the ending of a name. H.264 comes with B-frames, what .avi holds is of Xvid's kind."""

EXACT = {"flags": "+bitexact", "threads": "1"}

_POSE = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
_NAMES = (
    "frame", "face_id", "timestamp", "confidence", "success", *GAZE, *_POSE,
    *(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in sorted((*UNITS, 28))),
)  # fmt: skip
_FORMATS = ["%d", "%d", "%.3f", "%.2f", "%d", *["%.6f"] * 6, *["%.3f"] * 2, *["%.1f"] * 3, *["%.3f"] * 3]


def times(seconds: float) -> np.ndarray:
    """(T,) seconds at which a film of this length shows a picture."""
    return np.arange(round(seconds * FPS)) / float(FPS)


def film(path: Path, face: Face, done: Performance, *, header_fps: Fraction = FPS) -> None:
    """Writes what a face does as a film at `FPS`; `header_fps` is what the file says of itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    codec, options = KINDS[path.suffix]
    with av.open(str(unfinished), "w", container_options={"fflags": "+bitexact"}) as container:
        stream = cast("av.VideoStream", container.add_stream(codec, rate=header_fps, options=EXACT | options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if path.suffix == ".avi":
            stream.codec_context.codec_tag = "XVID"
        for at in range(len(done.smile)):
            picture = av.VideoFrame.from_ndarray(face.picture(done, at), format="rgb24")
            picture.pts, picture.time_base = at, 1 / header_fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    unfinished.rename(path)


def table(
    path: Path, done: Performance, rng: np.random.Generator, *, header_fps: Fraction = FPS, spaced: bool = False
) -> None:
    """Writes what OpenFace would have seen of a film. In one of three the face is lost for half a second.

    Args:
        header_fps: what the film says of itself, which OpenFace believes.
        spaced: names have a space before them, as older versions wrote them.
    """
    count = len(done.smile)
    units = {n: _intensity(0.7 * smooth_noise(rng, count, float(FPS), 2.0) - 1.5) for n in UNITS}
    units |= {12: _intensity(done.smile), 6: _intensity(done.smile - 0.5), 15: _intensity(-done.smile - 0.5)}
    units |= {n: _intensity(done.brow - less) for n, less in ((1, 0.0), (2, 0.3), (5, 1.0))}
    units |= {4: _intensity(-done.brow - 0.3), 25: 4 * done.jaw, 26: 3 * done.jaw, 45: 4 * (1 - done.lid)}
    strong = np.stack([units[n] for n in UNITS], axis=1)
    strong = np.clip(strong + 0.15 * rng.standard_normal(strong.shape), 0, 5)
    present = np.insert(strong + 0.3 * rng.standard_normal(strong.shape) > 1, UNITS.index(45), False, axis=1)
    angles = 4 * done.gaze
    eyes = [np.column_stack([np.sin(angles[:, 0] + inward), np.sin(angles[:, 1])]) for inward in (0.04, -0.04)]
    gaze = [np.column_stack([eye, -np.sqrt(1 - (eye**2).sum(axis=1))]) for eye in eyes]
    pose = np.column_stack([300 * done.head, np.full(count, 450.0), np.zeros((count, 2)), done.turn])
    certain = np.clip(0.97 + 0.01 * rng.standard_normal(count), 0, 0.99)
    rows = np.column_stack([*gaze, angles, pose, strong, present])
    if rng.random() < 1 / 3:
        lost = rng.integers(count) + np.arange(round(FPS / 2))
        lost = lost[lost < count]
        certain[lost], rows[lost] = rng.uniform(0, 0.3, len(lost)), 0.0
    frame = np.arange(count)
    rows = np.column_stack([frame + 1, 0 * frame, frame / float(header_fps), certain, certain > 0.5, rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    comma, formats = (", " if spaced else ","), [*_FORMATS, *["%.2f"] * (2 * len(UNITS) + 1)]
    np.savetxt(path, rows, fmt=comma.join(formats), header=comma.join(_NAMES), comments="")


def courses(trial: np.void, trials: np.ndarray, seconds: np.ndarray, onset_s: float) -> tuple[np.ndarray, np.ndarray]:
    """`smile` and `brow` (T,) of a face that goes from what it shows in the mean of all trials to what it shows in one,
    within seconds after `onset_s`."""
    begun = 1 - np.exp(-np.maximum(seconds - onset_s, 0) / 2)
    rest = {name: float(trials[name].mean()) for name in ("smile", "brow")}
    smile, brow = (mean + (float(trial[name]) - mean) * begun for name, mean in rest.items())
    return smile, brow


def _intensity(x: np.ndarray) -> np.ndarray:
    """0 to 5, rising with what a face shows in standard deviations."""
    return 5 / (1 + np.exp(1 - x))
