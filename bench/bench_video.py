"""Frames of videos: clips a second next to a plain PyAV loop that does the same, and peak memory with a long film."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from tabulate import tabulate

from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, Label, Recording, Video
from embench.interfaces.units import LabelRule, Target
from embench.store import Store, clips, prepare
from embench.system import peak_memory

FPS, WIDTH, HEIGHT = 25, 320, 240
FILMS, SECONDS, ROUNDS = 8, 180, 3
HZ, SIZE, CLIP = 4, 96, 16
SHORT_MIN, LONG_MIN = 1, 30


class Films(Dataset):
    """Every file in a folder is a recording of its own subject."""

    card = Card(
        name="films", title="", citation="", doi="", licence="", obtain="",
        modalities={"video": ModalityCard(VIDEO_CHANNELS, float(FPS), "pixel")}, default_modalities=("video",),
        targets=(Target("arousal", "binary", LabelRule(cut=5.0), "rating"),), mains_hz=50.0, longest_s=3600.0,
        labels_public="yes", fixed_order=False,
    )  # fmt: skip

    def subjects(self) -> list[str]:
        return sorted(path.stem for path in self.root.iterdir())

    def files(self, subject: str) -> list[Path]:
        return [self.root / f"{subject}.mp4"]

    def recordings(self, subject: str) -> Iterator[Recording]:
        path = self.root / f"{subject}.mp4"
        with av.open(str(path)) as container:
            seconds = container.duration / av.time_base
        video = Video(path, float(FPS), (0.0, seconds))
        label = {"rating": Label("rating", np.array([5.0]))}
        yield Recording(subject, subject, "v", "s", seconds, subject, None, None, video=video, labels=label)


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
    """What one would write without embench: every frame is decoded, those that are due are cut and kept."""
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
    for made in (cache / "derived").glob("*/*"):
        made.unlink()
    for made in (cache / "derived").glob("*"):
        made.rmdir()
    options = {"frames_hz": HZ, "size": SIZE, "crop": crop}
    return len(clips(store, "video", Reader(Recipe(prepare=options)), workers=workers).array)


def cpu_s() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def speed() -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root, cache, out = (Path(folder) / name for name in ("films", "cache", "out"))
        root.mkdir()
        out.mkdir()
        for number in range(FILMS):
            film(root / f"p{number}.mp4", SECONDS, WIDTH, HEIGHT)
        store = stored(root, cache)
        ways = {
            "a plain PyAV loop": lambda: plain(root, out),
            "embench, one worker": lambda: ours(store, "none", 1, cache),
            "embench, two workers": lambda: ours(store, "none", 2, cache),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        worked: dict[str, list[float]] = {name: [] for name in ways}
        counts = set()
        for _ in range(ROUNDS):
            for name, way in ways.items():
                began, before = time.perf_counter(), cpu_s()
                counts.add(way())
                taken[name].append(time.perf_counter() - began)
                worked[name].append(cpu_s() - before)
        began = time.perf_counter()
        ours(store, "large", 1, cache)
        looking = time.perf_counter() - began
    (count,) = counts
    loop = "a plain PyAV loop"
    lines = [
        [
            name,
            f"{count / CLIP / min(taken[name]):.1f}",
            f"{min(taken[loop]) / min(taken[name]):.2f} x",
            f"{min(worked[name]):.2f} s",
            f"{min(worked[loop]) / min(worked[name]):.2f} x",
        ]
        for name in ways
    ]
    lines.append(["embench, one worker, looking for faces", f"{count / CLIP / looking:.1f}", "", "", ""])
    what = (
        f"{CLIP} frames of {SIZE} pixels, {HZ} a second, from {FILMS} films of {SECONDS} s, {WIDTH} x {HEIGHT}, H.264"
    )
    print(f"Clips a second ({what}); best of {ROUNDS}")
    print(tabulate(lines, ["", "clips/s", "of the loop", "processor", "of the loop"]))
    spread = {name: f"{statistics.median(seconds) / min(seconds):.2f}" for name, seconds in taken.items()}
    print(f"median over best, which shows how quiet the machine was: {spread}\n")


def child(folder: Path) -> None:
    """Prints the process's peak memory before and after storing the frames of the films in a folder, in MB."""
    with tempfile.TemporaryDirectory() as cache:
        store = stored(folder, Path(cache))
        before = peak_memory()
        count = ours(store, "large", 1, Path(cache))
    print(before / 2**20, peak_memory() / 2**20, count)


def memory() -> None:
    rows, peaks = [], []
    for minutes in (SHORT_MIN, LONG_MIN):
        with tempfile.TemporaryDirectory() as folder:
            film(Path(folder) / "p.mp4", 60 * minutes, WIDTH // 2, HEIGHT // 2)
            line = [sys.executable, __file__, folder]
            done = subprocess.run(line, check=True, capture_output=True, text=True)  # noqa: S603  # this very script
        before, after, count = map(float, done.stdout.split())
        peaks.append(after)
        rows.append(
            [
                f"{minutes} min",
                int(count),
                f"{3 * SIZE**2 * count / 2**20:.0f} MB",
                f"{before:.0f} MB",
                f"{after:.0f} MB",
            ]
        )
    print("Memory of storing frames, with a look for faces")
    print(tabulate(rows, ["film", "frames", "stored", "before", "peak"]))
    print(f"peak with {LONG_MIN} minutes: {peaks[1] / peaks[0]:.3f} x that with {SHORT_MIN}\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(Path(sys.argv[1]))
    else:
        speed()
        memory()
