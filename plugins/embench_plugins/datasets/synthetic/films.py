"""Synthetic videos of a face, and OpenFace's tables of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from embench_plugins.datasets.devices.faces import GAZE, UNITS
from embench_plugins.datasets.synthetic.body import draw_smooth_noise

# A synthetic face. Planted is the expression: `smile` (corners of the mouth up or down) and `brow` (raised or lowered).
# Blinks, gaze, head movement, an opening mouth, changing light, the subject's appearance and the room are independent
# of it. Every frame is standardised in each colour and then lit, so that its brightness and contrast carry no
# information.

WIDTH, HEIGHT = 96, 72
OWN = 0.4
"""Standard deviation of the expression at rest between subjects; between trials it is 1. Subjects differ more in
appearance than in expression."""

_SHIFT = 4  # bits of a coordinate's fraction in OpenCV's drawing functions
_ONE = 1 << _SHIFT


@dataclass(frozen=True)
class Performance:
    """The movements of a face in each frame (T,): `smile` and `brow` in SD, `jaw` 0 (closed) to 1, `lid` 0 (closed) to
    1 (open), `gaze` (T, 2) and `head` (T, 2) relative to the face's size, `turn` in radians, `light` (T, 2): mean and
    contrast of the picture."""

    smile: np.ndarray
    brow: np.ndarray
    jaw: np.ndarray
    lid: np.ndarray
    gaze: np.ndarray
    head: np.ndarray
    turn: np.ndarray
    light: np.ndarray

    @staticmethod
    def draw(smile: np.ndarray, brow: np.ndarray, rate: float, rng: np.random.Generator) -> Performance:
        """Return a performance with the expressions `smile` (T,) and `brow` (T,), plus quick random changes."""
        count = len(smile)

        def noise(tau_s: float) -> np.ndarray:
            return draw_smooth_noise(rng, count, rate, tau_s)

        return Performance(
            smile=smile + 0.3 * noise(1.0),
            brow=brow + 0.3 * noise(1.0),
            jaw=np.clip(0.6 * noise(0.3) - 0.3, 0, 1),
            lid=1.0 - _draw_blinks(count, rate, rng),
            gaze=0.03 * np.stack([noise(0.8), noise(0.8)], axis=1),
            head=0.04 * np.stack([noise(3.0), noise(3.0)], axis=1),
            turn=0.05 * noise(3.0),
            light=np.stack([118 + 6 * (rng.standard_normal() + noise(20.0)), 42 + 2 * noise(20.0)], axis=1),
        )


@dataclass(frozen=True)
class Face:
    """One subject's appearance, position in the picture, and the room."""

    skin: np.ndarray  # (3,) RGB
    hair: np.ndarray  # (3,)
    room: np.ndarray  # (HEIGHT, WIDTH, 3)
    size: float  # half the face's height, in pixels
    shape: float  # width over height
    centre: np.ndarray  # (2,)
    eyes: np.ndarray  # (2,): distance from the middle line, size
    mouth: float  # half the width
    nose: float  # length

    @staticmethod
    def draw(rng: np.random.Generator) -> Face:
        """Draw one subject's face and room from `rng`; sizes and positions are in pixels."""
        import cv2  # the light installation has none: only videos need it

        skin = np.array([214.0, 172.0, 142.0]) * rng.uniform(0.72, 1.08) + rng.normal(0, 6, 3)
        blurred = cv2.resize(rng.normal(rng.uniform(70, 150), 25, (4, 5, 3)), (WIDTH, HEIGHT))
        return Face(
            skin=skin,
            hair=np.array([60.0, 42.0, 30.0]) * rng.uniform(0.4, 2.0),
            room=np.clip(blurred, 0, 255).astype(np.uint8),
            size=rng.uniform(25, 28),
            shape=rng.uniform(0.72, 0.8),
            centre=np.array([WIDTH / 2 + rng.uniform(-6, 6), HEIGHT / 2 + rng.uniform(0, 3)]),
            eyes=np.array([rng.uniform(0.31, 0.35), rng.uniform(0.13, 0.16)]),
            mouth=rng.uniform(0.26, 0.32),
            nose=rng.uniform(0.26, 0.34),
        )

    def draw_picture(self, performance: Performance, frame: int) -> np.ndarray:
        """Return one frame of a performance as (HEIGHT, WIDTH, 3) uint8, RGB."""
        import cv2  # the light installation has none: only videos need it

        image, skin, hair = self.room.copy(), self.skin, self.hair
        turn, size = float(performance.turn[frame]), self.size
        (cx, cy), cos, sin = self.centre + size * performance.head[frame], np.cos(turn), np.sin(turn)

        def place(x: float, y: float) -> tuple[int, int]:
            """Return OpenCV's coordinates of a position right and down from the face's centre, in units of `size`."""
            return int(_ONE * (cx + size * (cos * x - sin * y))), int(_ONE * (cy + size * (sin * x + cos * y)))

        def oval(x: float, y: float, wide: float, high: float, colour: np.ndarray) -> None:
            axes = int(_ONE * wide * size), int(_ONE * max(high, 0.02) * size)
            cv2.ellipse(image, place(x, y), axes, np.degrees(turn), 0, 360, colour.tolist(), -1, cv2.LINE_AA, _SHIFT)

        def line(points: list[tuple[float, float]], colour: np.ndarray, width: int) -> None:
            path = np.array([place(*point) for point in points])
            cv2.polylines(image, [path], False, colour.tolist(), width, cv2.LINE_AA, _SHIFT)

        oval(0, -0.1, self.shape + 0.1, 1.05, hair)
        oval(0, 1.35, 0.9, 0.45, 0.5 * hair + 40)  # shoulders
        oval(0, 0.85, 0.3, 0.4, 0.85 * skin)  # neck
        oval(0, 0.05, self.shape, 0.95, skin)
        oval(0, -0.42, 0.8 * self.shape, 0.42, 1.04 * skin)  # forehead
        smile, brow = np.tanh(performance.smile[frame] / 2), np.tanh(performance.brow[frame] / 2)
        (apart, eye), lid, (gx, gy) = self.eyes, performance.lid[frame], performance.gaze[frame]
        height = -0.40 - 0.13 * brow
        for side in (-1, 1):
            oval(side * 0.42, 0.22, 0.16, 0.14, 1.07 * skin)  # cheek
            oval(side * apart, -0.16, 1.5 * eye, 1.25 * eye, 0.72 * skin)  # hollow of the eye
            oval(side * apart, -0.15, 1.2 * eye, 0.75 * eye * lid, 0.6 * skin + 90)
            oval(side * apart + gx, -0.15 + gy, 0.55 * eye, 0.6 * eye * lid, 0.14 * skin)
            bow = [(0.15, height + 0.05 - 0.05 * brow), (apart, height - 0.03), (apart + 0.18, height + 0.03)]
            line([(side * x, y) for x, y in bow], 0.6 * hair, 2)
        line([(0, -0.1), (0, self.nose - 0.1)], 1.1 * skin, 3)
        line([(-0.09, self.nose - 0.06), (0, self.nose), (0.09, self.nose - 0.06)], 0.6 * skin, 1)
        across, opened = np.linspace(-1, 1, 7), 0.10 * performance.jaw[frame]
        middle, wide, bend = 0.56 + 0.07 * smile, self.mouth * (1 + 0.15 * smile), -0.26 * smile
        upper = list(zip(across * wide, middle - opened + bend * across**2, strict=True))
        lower = list(zip(across * wide, middle + opened + 0.05 + (bend - 0.05) * across**2, strict=True))
        lips = np.array([place(*point) for point in upper + lower[::-1]])
        cv2.fillPoly(image, [lips], (np.array([0.62, 0.36, 0.36]) * skin).tolist(), cv2.LINE_AA, _SHIFT)
        line(upper, 0.35 * skin, 1)
        return _light(image, *performance.light[frame])


def _light(image: np.ndarray, mean: float, contrast: float) -> np.ndarray:
    """Return a picture with the mean `mean` and the standard deviation `contrast` in every colour."""
    import cv2

    means, stds = (moment[:, 0] for moment in cv2.meanStdDev(image))
    table = (np.arange(256)[:, None] - means) / np.maximum(stds, 1) * contrast + mean
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None])


def _draw_blinks(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Return (count,) 1 where the eyes are closed, else 0: for a sixth of a second, about every three seconds."""
    train = (rng.random(count) < 1 / (3 * rate)).astype(float)
    closed = np.convolve(train, np.ones(max(round(rate / 6), 1)))[:count]
    return np.minimum(closed, 1.0)


# Files of a synthetic face: a video, and the table that OpenFace 2 would have made of it.
#
# Intensities of action units follow the face in the video. AU12, AU06 and (inversely) AU15 follow the smile, AU01,
# AU02, AU05 and (inversely) AU04 the brow, AU25 and AU26 the jaw, AU45 the lids. The others are random.

FPS = Fraction(25, 2)
QUICK = {"preset": "superfast"}
KINDS = {".mov": ("libx264", QUICK), ".mp4": ("libx264", QUICK), ".avi": ("mpeg4", {"b": "400k"})}
"""Ending of a name -> codec and its options. H.264 has B-frames; .avi files hold Xvid video."""

EXACT = {"flags": "+bitexact", "threads": "1"}

_POSE = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
_NAMES = (
    "frame", "face_id", "timestamp", "confidence", "success", *GAZE, *_POSE,
    *(f"AU{n:02d}_r" for n in UNITS), *(f"AU{n:02d}_c" for n in sorted((*UNITS, 28))),
)  # fmt: skip
_FORMATS = ["%d", "%d", "%.3f", "%.2f", "%d", *["%.6f"] * 6, *["%.3f"] * 2, *["%.1f"] * 3, *["%.3f"] * 3]


def list_times(seconds: float) -> np.ndarray:
    """Return the times (T,) in s of the frames of a video of this length."""
    return np.arange(round(seconds * FPS)) / float(FPS)


def write_film(path: Path, face: Face, performance: Performance, *, header_fps: Fraction = FPS) -> None:
    """Write a performance as a video at `FPS`; `header_fps` is the rate in the file's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    codec, options = KINDS[path.suffix]
    with av.open(str(unfinished), "w", container_options={"fflags": "+bitexact"}) as container:
        stream = cast("av.VideoStream", container.add_stream(codec, rate=header_fps, options=EXACT | options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if path.suffix == ".avi":
            stream.codec_context.codec_tag = "XVID"
        for frame in range(len(performance.smile)):
            picture = av.VideoFrame.from_ndarray(face.draw_picture(performance, frame), format="rgb24")
            picture.pts, picture.time_base = frame, 1 / header_fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    unfinished.rename(path)


def write_table(
    path: Path, performance: Performance, rng: np.random.Generator, *, header_fps: Fraction = FPS, spaced: bool = False
) -> None:
    """Write OpenFace's table of a video. In one table of three, the face is lost for half a second.

    Args:
        header_fps: frame rate in the video's header, which OpenFace uses.
        spaced: True for a space before each column name, as in older versions.
    """
    count = len(performance.smile)
    units = {n: _make_intensity(0.7 * draw_smooth_noise(rng, count, float(FPS), 2.0) - 1.5) for n in UNITS}
    units |= {
        12: _make_intensity(performance.smile),
        6: _make_intensity(performance.smile - 0.5),
        15: _make_intensity(-performance.smile - 0.5),
    }
    units |= {n: _make_intensity(performance.brow - threshold) for n, threshold in ((1, 0.0), (2, 0.3), (5, 1.0))}
    units |= {
        4: _make_intensity(-performance.brow - 0.3),
        25: 4 * performance.jaw,
        26: 3 * performance.jaw,
        45: 4 * (1 - performance.lid),
    }
    strong = np.stack([units[n] for n in UNITS], axis=1)
    strong = np.clip(strong + 0.15 * rng.standard_normal(strong.shape), 0, 5)
    present = np.insert(strong + 0.3 * rng.standard_normal(strong.shape) > 1, UNITS.index(45), False, axis=1)
    angles = 4 * performance.gaze
    eyes = [np.column_stack([np.sin(angles[:, 0] + inward), np.sin(angles[:, 1])]) for inward in (0.04, -0.04)]
    gaze = [np.column_stack([eye, -np.sqrt(1 - (eye**2).sum(axis=1))]) for eye in eyes]
    pose = np.column_stack([300 * performance.head, np.full(count, 450.0), np.zeros((count, 2)), performance.turn])
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


def draw_courses(
    trial: np.void, trials: np.ndarray, seconds: np.ndarray, onset_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return `smile` and `brow` (T,) of a face in one trial, at `seconds` (T,). Within seconds after `onset_s`, the
    expression changes from the mean of all trials to that of the trial."""
    begun = 1 - np.exp(-np.maximum(seconds - onset_s, 0) / 2)
    rest = {name: float(trials[name].mean()) for name in ("smile", "brow")}
    smile, brow = (mean + (float(trial[name]) - mean) * begun for name, mean in rest.items())
    return smile, brow


def _make_intensity(x: np.ndarray) -> np.ndarray:
    """Return an intensity from 0 to 5 that rises with an expression `x` in standard deviations."""
    return 5 / (1 + np.exp(1 - x))
