"""Frames of videos next to a plain PyAV loop that does the same, and peak memory with a long film.

`python -m bench.speed.video FILMS CACHE` stores the frames of films, for its memory to be looked at.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from bench.speed import data
from bench.speed.measure import Row, Setting, command, faster, part, timed, turns
from embench.interfaces.dataset import Dataset, ModalityCard
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, Recording, Video
from embench.store import Store, clips, prepare

FPS, WIDTH, HEIGHT = 25, 320, 240
HZ, SIZE, CLIP = 4, 96, 16


class Films(Dataset):
    """Every file in a folder is a recording of its own subject."""

    card = data.card("films", "video", ModalityCard(VIDEO_CHANNELS, float(FPS), "pixel"), 3600.0)

    def subjects(self) -> list[str]:
        return sorted(path.stem for path in self.root.iterdir())

    def files(self, subject: str) -> list[Path]:
        return [self.root / f"{subject}.mp4"]

    def recordings(self, subject: str) -> Iterator[Recording]:
        path = self.root / f"{subject}.mp4"
        with av.open(str(path)) as container:
            seconds = container.duration / av.time_base
        video = Video(path, float(FPS), (0.0, seconds))
        place = (subject, subject, "v", "s", seconds, subject, None, None)
        yield Recording(*place, video=video, labels=data.RATING)


class Reader(Encoder):
    """Reads frames and builds nothing."""

    accepts = frozenset({"video"})
    recipes = {}  # noqa: RUF012

    def build(self, spec: Any) -> Any:
        raise NotImplementedError


def film(path: Path, seconds: int, width: int, height: int) -> None:
    """A drifting pattern, with noise that takes the codec something to keep."""
    rng = np.random.default_rng(0)
    room = cv2.GaussianBlur(rng.integers(0, 256, (height, 2 * width, 3)).astype(np.uint8), (0, 0), 3)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(seconds * FPS):
            picture = np.ascontiguousarray(np.roll(room, k, 1)[:, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def plain(folder: Path, out: Path) -> int:
    """Reads videos without embench: every frame is decoded, those that are due are cut and kept."""
    count = 0
    for path in sorted(folder.iterdir()):
        rows, due = [], 0.0
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                if float(frame.time or 0) + 1e-6 >= due:
                    picture = frame.to_ndarray(format="rgb24")
                    left = (WIDTH - HEIGHT) // 2
                    square = cv2.resize(picture[:, left : left + HEIGHT], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                    rows.append(square.transpose(2, 0, 1))
                    due += 1 / HZ
        np.save(out / path.stem, np.stack(rows))
        count += len(rows)
    return count


def stored(folder: Path, cache: Path) -> Store:
    return prepare(Films(folder), "bench/films", "1", rate_hz=128.0, cache=cache)


def ours(store: Store, crop: str, workers: int, cache: Path) -> int:
    shutil.rmtree(cache / "derived", ignore_errors=True)
    options = {"frames_hz": HZ, "size": SIZE, "crop": crop}
    return len(clips(store, "video", Reader(Recipe(prepare=options)), workers=workers).array)


def rows(setting: Setting) -> list[Row]:
    return [*_speed(setting), *_memory(setting)]


def _speed(setting: Setting) -> list[Row]:
    cv2.setNumThreads(1)
    n_films, seconds = setting.size((4, 60), (2, 5))
    root, cache, out = (setting.work / name for name in ("films", "film-cache", "out"))
    root.mkdir()
    out.mkdir()
    for number in range(n_films):
        film(root / f"p{number}.mp4", seconds, WIDTH, HEIGHT)
    store, counts = stored(root, cache), set[int]()
    ways = {
        "loop": timed(lambda: counts.add(plain(root, out))),
        "one": timed(lambda: counts.add(ours(store, "none", 1, cache))),
        "two": timed(lambda: counts.add(ours(store, "none", 2, cache))),
        "faces": timed(lambda: counts.add(ours(store, "large", 1, cache))),
    }
    times = turns(ways, setting.size(2, 1))
    (count,) = counts  # all ways give as many frames
    what = f"frames for clips, {HZ} a second of {SIZE} pixels, from {n_films} films of {seconds} s, {WIDTH} x {HEIGHT}"
    per: dict[str, Any] = {"scale": 1e3 * CLIP / count, "unit": "ms a clip"}
    return [
        faster(what, times["one"], times["loop"], "a plain PyAV loop", **per),
        faster("the same, two workers", times["two"], times["one"], "one worker", **per),
        faster("the same, looking for faces", times["faces"], times["one"], "not looking", **per),
    ]


def _memory(setting: Setting) -> list[Row]:
    """Storing the frames of one film, with a look for faces."""
    peak, lengths = {}, setting.size((1, 5), (0.1, 0.2))
    for minutes in lengths:
        folder = setting.work / f"film-{minutes}"
        folder.mkdir()
        film(folder / "p.mp4", round(60 * minutes), WIDTH // 2, HEIGHT // 2)
        way = command("-m", "bench.speed.video", folder, setting.work / f"frames-{minutes}")
        peak[minutes] = way().memory
    few, many = lengths
    what = f"peak memory of storing the frames of a film of {many:g} min"
    return [part(what, peak[many], peak[few], "MB", f"{few:g} min", "of the smaller")]


def main() -> None:
    cache = Path(sys.argv[2])
    ours(stored(Path(sys.argv[1]), cache), "large", 1, cache)


if __name__ == "__main__":
    main()
