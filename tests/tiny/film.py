"""Video files of which every frame can be told apart: what it shows is its number, in black and white blocks."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 64, 48, 12
UNIT = Fraction(1, 1000)


def numbered(number: int) -> np.ndarray:
    """(48, 64, 3) uint8: the number's twelve bits as blocks of 16 pixels, from the upper left, row by row."""
    bits = (number >> np.arange(BITS)) & 1
    blocks = np.kron(bits.reshape(3, 4), np.ones((16, 16)))
    return np.repeat(np.uint8(40 + 170 * blocks)[..., None], 3, 2)


def read(picture: np.ndarray) -> int:
    """The number that a picture (48, 64, 3) shows, compressed or not."""
    blocks = picture.mean(2).reshape(3, 16, 4, 16).mean((1, 3))
    return int(((blocks > 125).ravel() << np.arange(BITS)).sum())


def write(
    path: Path,
    times_s: Sequence[float],
    *,
    codec: str = "libx264",
    picture: Callable[[int], np.ndarray] = numbered,
    b_frames: int = 2,
    gop: int = 12,
    pixels: str = "yuv420p",
    turned: int | None = None,
    mirrored: bool = False,
    **options: str,
) -> Path:
    """A film whose frame k is `picture(k)`, shown at `times_s[k]`, in whole milliseconds.

    Args:
        turned: degrees, against the clock, by which a player turns it.
        options: of the codec.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    first = picture(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], pixels
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.codec_context.time_base = UNIT
        if turned is not None:
            stream.set_display_rotation(turned, hflip=mirrored)
        container.start_encoding()  # so that a film without frames is a file, too
        for k, time in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), UNIT
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steady(count: int, fps: float = 25.0, start_s: float = 0.0) -> list[float]:
    """The times of frames at one rate."""
    return [start_s + k / fps for k in range(count)]


def sound(path: Path) -> Path:
    """A file with a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
