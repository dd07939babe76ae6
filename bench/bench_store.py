"""Cutting a batch of windows out of prepared data: held in memory, streamed from disk, and as one writes it first."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from embench.engine.feed import ResidentFeed, StreamedFeed, resident
from embench.engine.rows import anchor_rows, slide
from embench.interfaces.units import View
from embench.store import Span

CHANNELS, RATE, LENGTH_S, RECORDINGS, RECORDING_S = 14, 128, 10.0, 80, 120
BATCH, BATCHES = 64, 101


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    samples = RECORDING_S * RATE
    spans = [Span(r * samples, samples, 0.0) for r in range(RECORDINGS)]
    each = np.arange(RECORDINGS)
    grid = slide(LENGTH_S, LENGTH_S / 2, each, np.zeros(RECORDINGS), np.full(RECORDINGS, float(RECORDING_S)))
    view = View("window", LENGTH_S, LENGTH_S / 2)
    rows = anchor_rows(grid, view, LENGTH_S, RATE, spans)
    mean = rng.normal(size=(RECORDINGS, CHANNELS)).astype(np.float32)
    gain = rng.uniform(0.5, 2.0, (RECORDINGS, CHANNELS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eeg.npy"
        np.save(path, rng.standard_normal((RECORDINGS * samples, CHANNELS), dtype=np.float32))
        array = np.load(path, mmap_mode="r").T  # time first on disk, as a store keeps it
        streamed = StreamedFeed(rows, "cpu", array, mean, gain, grid.recording)
        packed, _ = resident(array, [(s.offset, s.samples) for s in spans], mean, gain, 0, "cpu")
        held = ResidentFeed(rows, "cpu", packed)

        def naive(index: np.ndarray) -> torch.Tensor:
            cut = []
            for i in index:
                r, start = grid.recording[i], rows.start[i]
                window = array[:, start : start + rows.length]
                cut.append((window - mean[r][:, None]) * gain[r][:, None])
            return torch.from_numpy(np.stack(cut))

        ways: dict[str, Callable[[np.ndarray], torch.Tensor]] = {
            "numpy, a row at a time": naive,
            "streamed": lambda index: streamed.batch_rows(index)[0],
            "in memory": lambda index: held.batch_rows(index)[0],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        index = rng.integers(0, len(grid), BATCH)
        first, *others = (way(index) for way in ways.values())
        if not all(torch.equal(first, other) for other in others):
            raise SystemExit("the ways of cutting windows do not give equal numbers")
        for _ in range(BATCHES):
            index = rng.integers(0, len(grid), BATCH)
            for name, way in ways.items():
                began = time.perf_counter()
                way(index)
                times[name].append(time.perf_counter() - began)
    base = statistics.median(times["numpy, a row at a time"])
    lines = []
    for name, seconds in times.items():
        median = statistics.median(seconds)
        lines.append([name, f"{1e3 * median:.2f} ms", f"{base / median:.1f} x as fast"])
    size = f"{BATCH} windows of {CHANNELS} x {rows.length}"
    print(f"Cutting {size} from {4e-6 * array.size:.0f} MB, cpu, one thread, median of {BATCHES}; equal numbers")
    print(tabulate(lines, ["", "a batch", "against numpy"]), "\n")


if __name__ == "__main__":
    main()
