"""A synthetic face: a subject in front of a camera, the film of it, and OpenFace's table of that film."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from embench_plugins.datasets.devices.faces import GAZE, UNITS
from embench_plugins.datasets.synthetic.body import draw_smooth_noise

# A synthetic subject in front of a camera, whose mouth and brow carry what is planted.
#
# What is planted is the expression alone: `smile` (corners of the mouth up or down) and `brow` (raised or lowered).
# Eyes that blink and look about, a head that moves, a mouth that opens, light that drifts, the subject's looks and the
# room are drawn independently of it. Every frame is standardised in each colour and then given the light of the moment,
# so that brightness and contrast of a picture tell nothing.

WIDTH, HEIGHT = 96, 72
OWN = 0.4
"""By how much what people show at rest differs between them, in standard deviations of what trials add: a neutral face
is neither smiling nor frowning. In their looks people differ more than in anything that they do."""

_SHIFT = 4  # bits of a coordinate's fraction, as OpenCV draws
_ONE = 1 << _SHIFT


@dataclass(frozen=True)
class Performance:
    """What a face does, at the times of frames (T,): `smile` and `brow` in standard deviations, `jaw` 0 (closed) to 1,
    `lid` 0 (closed) to 1 (open), `gaze` (T, 2) and `head` (T, 2) in shares of the face's size, `turn` in radians,
    `light` (T, 2): mean and contrast of the picture."""

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
        """A face that shows `smile` (T,) and `brow` (T,), with quick changes of its own on top."""
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
    """One subject's looks, place in the picture, and the room behind."""

    skin: np.ndarray  # (3,) RGB
    hair: np.ndarray  # (3,)
    room: np.ndarray  # (HEIGHT, WIDTH, 3)
    size: float  # half the face's height, in pixels
    shape: float  # width over height
    centre: np.ndarray  # (2,)
    eyes: np.ndarray  # (2,): distance from the middle line, size
    mouth: float  # half its width
    nose: float  # its length

    @staticmethod
    def draw(rng: np.random.Generator) -> Face:
        """One subject's face and room, drawn from `rng`; sizes and places in pixels."""
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

    def draw_picture(self, done: Performance, at: int) -> np.ndarray:
        """(HEIGHT, WIDTH, 3) uint8, RGB, of moment `at`."""
        import cv2  # the light installation has none: only videos need it

        image, skin, hair = self.room.copy(), self.skin, self.hair
        turn, size = float(done.turn[at]), self.size
        (cx, cy), cos, sin = self.centre + size * done.head[at], np.cos(turn), np.sin(turn)

        def place(x: float, y: float) -> tuple[int, int]:
            """Halves of the face's height from its centre, right and down, as OpenCV counts."""
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
        smile, brow = np.tanh(done.smile[at] / 2), np.tanh(done.brow[at] / 2)
        (apart, eye), lid, (gx, gy) = self.eyes, done.lid[at], done.gaze[at]
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
        across, opened = np.linspace(-1, 1, 7), 0.10 * done.jaw[at]
        middle, wide, bend = 0.56 + 0.07 * smile, self.mouth * (1 + 0.15 * smile), -0.26 * smile
        upper = list(zip(across * wide, middle - opened + bend * across**2, strict=True))
        lower = list(zip(across * wide, middle + opened + 0.05 + (bend - 0.05) * across**2, strict=True))
        lips = np.array([place(*point) for point in upper + lower[::-1]])
        cv2.fillPoly(image, [lips], (np.array([0.62, 0.36, 0.36]) * skin).tolist(), cv2.LINE_AA, _SHIFT)
        line(upper, 0.35 * skin, 1)
        return _light(image, *done.light[at])


def _light(image: np.ndarray, mean: float, contrast: float) -> np.ndarray:
    """A picture whose every colour has this mean and standard deviation."""
    import cv2

    means, stds = (moment[:, 0] for moment in cv2.meanStdDev(image))
    table = (np.arange(256)[:, None] - means) / np.maximum(stds, 1) * contrast + mean
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None])


def _draw_blinks(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """(count,) 0 to 1: closed for a sixth of a second, every three seconds or so."""
    train = (rng.random(count) < 1 / (3 * rate)).astype(float)
    closed = np.convolve(train, np.ones(max(round(rate / 6), 1)))[:count]
    return np.minimum(closed, 1.0)


# Files of a synthetic face: a film, and the table that OpenFace 2 would have made of it.
#
# The table's intensities of action units follow the very face that the film shows: AU12, AU06 and, falling, AU15 the
# smile, AU01, AU02, AU05 and, falling, AU04 the brow, AU25 and AU26 the jaw, AU45 the lids. The others follow nothing.

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


def list_times(seconds: float) -> np.ndarray:
    """(T,) seconds at which a film of this length shows a picture."""
    return np.arange(round(seconds * FPS)) / float(FPS)


def write_film(path: Path, face: Face, done: Performance, *, header_fps: Fraction = FPS) -> None:
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
            picture = av.VideoFrame.from_ndarray(face.draw_picture(done, at), format="rgb24")
            picture.pts, picture.time_base = at, 1 / header_fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    unfinished.rename(path)


def write_table(
    path: Path, done: Performance, rng: np.random.Generator, *, header_fps: Fraction = FPS, spaced: bool = False
) -> None:
    """Writes what OpenFace would have seen of a film. In one of three the face is lost for half a second.

    Args:
        header_fps: what the film says of itself, which OpenFace believes.
        spaced: names have a space before them, as older versions wrote them.
    """
    count = len(done.smile)
    units = {n: _make_intensity(0.7 * draw_smooth_noise(rng, count, float(FPS), 2.0) - 1.5) for n in UNITS}
    units |= {
        12: _make_intensity(done.smile),
        6: _make_intensity(done.smile - 0.5),
        15: _make_intensity(-done.smile - 0.5),
    }
    units |= {n: _make_intensity(done.brow - less) for n, less in ((1, 0.0), (2, 0.3), (5, 1.0))}
    units |= {4: _make_intensity(-done.brow - 0.3), 25: 4 * done.jaw, 26: 3 * done.jaw, 45: 4 * (1 - done.lid)}
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


def draw_courses(
    trial: np.void, trials: np.ndarray, seconds: np.ndarray, onset_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """`smile` and `brow` (T,) of a face that goes from what it shows in the mean of all trials to what it shows in one,
    within seconds after `onset_s`."""
    begun = 1 - np.exp(-np.maximum(seconds - onset_s, 0) / 2)
    rest = {name: float(trials[name].mean()) for name in ("smile", "brow")}
    smile, brow = (mean + (float(trial[name]) - mean) * begun for name, mean in rest.items())
    return smile, brow


def _make_intensity(x: np.ndarray) -> np.ndarray:
    """0 to 5, rising with what a face shows in standard deviations."""
    return 5 / (1 + np.exp(1 - x))
