"""How long a user waits for the command line, next to Python's own start, and the promised bounds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

REPEATS = 11
EMBENCH = str(Path(sys.executable).with_name("embench"))
COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import embench": ([sys.executable, "-c", "import embench"], 0.15),
    "embench --help": ([EMBENCH, "--help"], 0.4),
    "embench list": ([EMBENCH, "list"], 0.4),
}
"""Name -> command, and the seconds that it may take at most."""


def once(command: list[str]) -> tuple[float, float]:
    """Seconds that pass, and seconds of the processor: these differ where other programs run too."""
    began, used = time.perf_counter(), processor_s()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own commands
    return time.perf_counter() - began, processor_s() - used


def processor_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for command, _ in COMMANDS.values():
        once(command)  # fills the file cache
    for _ in range(REPEATS):  # interleaved, so that a busy moment of the machine meets all alike
        for name, (command, _) in COMMANDS.items():
            times[name].append(once(command))
    median = {name: [statistics.median(part) for part in zip(*pairs, strict=True)] for name, pairs in times.items()}
    bare, _ = median["python -c pass"]
    rows = []
    for name, (seconds, processor) in median.items():
        bound = COMMANDS[name][1]
        verdict = "" if bound is None else f"{bound:.2f} s" + (" MISSED" if seconds > bound else "")
        rows.append([name, f"{seconds:.3f} s", f"{seconds / bare:.1f} x", f"{processor:.3f} s", verdict])
    print(f"Start-up, median of {REPEATS}")
    print(tabulate(rows, ["", "time", "to python", "processor", "bound"]), "\n")


if __name__ == "__main__":
    main()
