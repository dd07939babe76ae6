"""Preparing CASE subjects of real length: seconds per subject, what a second worker gains, and peak memory.

    python bench/bench_case.py [SUBJECTS]    default: 4 subjects; the release has 30

Subjects are synthesized first (40.9 minutes, eight sensors at 1000 Hz, 150 MB of text each), which is not timed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from tabulate import tabulate

N_SUBJECTS = 4
ONE_SUBJECT_MB = 2_451_584 * 8 * 4 / 2**20
"""All samples of a subject's eight sensors, as float32."""


def synthesize(root: Path, n_subjects: int) -> None:
    """Writes the subjects."""
    from embench_plugins.datasets.synthetic import case

    case.synthesize(root, n_subjects, 0, 1.0, length_s=case.REAL_S)


def watch(ended: threading.Event, found: list[int]) -> None:
    """Notes the memory of every worker, fifty times a second: not every system reports the peak of an ended one."""
    while not ended.wait(0.02):
        for worker in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                found.append(worker.memory_info().rss)


def child(root: Path, workers: int) -> None:
    """Prints the seconds of one `prepare`, processor seconds of all its processes, and the peaks of this process and of
    its largest worker in MB."""
    from embench.store import prepare
    from embench.system import peak_memory
    from embench_plugins.datasets.case import Case

    with tempfile.TemporaryDirectory(dir=root.parent) as cache:
        ended, found = threading.Event(), list[int]()
        watcher = threading.Thread(target=watch, args=(ended, found))
        watcher.start()
        begin = time.perf_counter()
        prepare(Case(root), "bench/case", "1", rate_hz=128.0, cache=Path(cache), workers=workers)
        seconds = time.perf_counter() - begin
        ended.set()
        watcher.join()
    print(seconds, sum(os.times()[:4]), peak_memory() / 2**20, max(found, default=0) / 2**20)


def measure(root: Path, workers: int) -> list[float]:
    line = [sys.executable, __file__, "--child", str(root), str(workers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)  # noqa: S603
    return [float(number) for number in done.stdout.split()]


def main(n_subjects: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "case"
        # In a process of its own, so that its memory is not a worker's by inheritance.
        maker = multiprocessing.get_context("spawn").Process(target=synthesize, args=(root, n_subjects))
        begin = time.perf_counter()
        maker.start()
        maker.join()
        size = sum(path.stat().st_size for path in root.rglob("*.csv")) / 2**20
        print(
            f"{n_subjects} subjects, {size:.0f} MB of text, synthesized in "
            f"{time.perf_counter() - begin:.0f} s (not counted)\n"
        )
        found = {workers: measure(root, workers) for workers in (1, 2)}
    rows = []
    for workers, (seconds, processor, own, worker) in found.items():
        most = worker if workers > 1 else own
        times = [f"{seconds:.1f} s", f"{seconds / n_subjects:.2f} s", f"{processor / n_subjects:.2f} s"]
        rows.append([workers, *times, f"{own:.0f} MB", f"{most:.0f} MB"])
    print("`prepare` of CASE at real length")
    print(
        tabulate(rows, ["workers", "in all", "per subject", "processor, per subject", "peak, parent", "peak, a reader"])
    )
    print(f"2 workers: {found[1][0] / found[2][0]:.2f} x as fast (wanted: 1.5)")
    print(f"memory wanted: at most {ONE_SUBJECT_MB:.0f} MB (one subject's samples) + 300 MB for each reading process\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else N_SUBJECTS)
