"""A synthetic subject in front of a camera, whose mouth and brow carry what is planted.

What is planted is the expression alone: `smile` (corners of the mouth up or down) and `brow` (raised or lowered). Eyes
that blink and look about, a head that moves, a mouth that opens, light that drifts, the subject's looks and the room
are drawn independently of it. Every frame is standardised in each colour and then given the light of the moment,
so that brightness and contrast of a picture tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embench_plugins.datasets.synthetic.body import smooth_noise

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
            return smooth_noise(rng, count, rate, tau_s)

        return Performance(
            smile=smile + 0.3 * noise(1.0),
            brow=brow + 0.3 * noise(1.0),
            jaw=np.clip(0.6 * noise(0.3) - 0.3, 0, 1),
            lid=1.0 - _blinks(count, rate, rng),
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

    def picture(self, done: Performance, at: int) -> np.ndarray:
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
        return _lit(image, *done.light[at])


def _lit(image: np.ndarray, mean: float, contrast: float) -> np.ndarray:
    """A picture whose every colour has this mean and standard deviation."""
    import cv2

    means, stds = (moment[:, 0] for moment in cv2.meanStdDev(image))
    table = (np.arange(256)[:, None] - means) / np.maximum(stds, 1) * contrast + mean
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None])


def _blinks(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """(count,) 0 to 1: closed for a sixth of a second, every three seconds or so."""
    train = (rng.random(count) < 1 / (3 * rate)).astype(float)
    closed = np.convolve(train, np.ones(max(round(rate / 6), 1)))[:count]
    return np.minimum(closed, 1.0)
