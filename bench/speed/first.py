"""What first commands cost in CPU seconds of all processes that they start, with an empty cache."""

from __future__ import annotations

import csv
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, figure
from bench.speed.scoring import written

MOST = {
    "embench --help": 0.35,
    "first use of embench.run in Python": 1.5,
    "a wrong argument of `embench grid`": 1.0,
    "the demo's data: `embench data synthesize amigos`": 8.0,
    "README's run again, when all is done": 3.0,
}
"""Bounds in CPU seconds, on an idle machine."""
_REAPS_ORPHANS = 36
"""PR_SET_CHILD_SUBREAPER of Linux's prctl: what a command leaves behind becomes a child of this process."""


def rows(setting: Setting) -> list[Row]:
    root, name = data.stress_predict(setting)
    runs, cache = setting.new("runs"), setting.new("cache")
    line = ["run", "--dataset", "stress_predict", "--data-root", root, "--encoder", "handcrafted", "--fusion", "svm"]
    line += ["--modalities", "ppg,eda,temp", "--seeds", "0", "--runs", runs]
    took = {
        "embench --help": cpu("-m", "embench", "--help"),
        "first use of embench.run in Python": cpu("-c", "import embench; embench.run"),
        "a wrong argument of `embench grid`": cpu(
            *("-m", "embench", "grid", "--dataset", "stress_predict", "--encoder", "nonsense"), refused=True
        ),
        "the demo's data: `embench data synthesize amigos`": cpu(
            *("-m", "embench", "data", "synthesize", "amigos", "--out", setting.new("amigos"))
        ),
        f"`--dry-run` of README's run on {name}": cpu("-m", "embench", *line, "--dry-run", cache=setting.new("plan")),
        "README's run without the confound analysis, one seed": cpu(
            *("-m", "embench", *line[:-1], setting.new("runs"), "--no-confounds"), cache=setting.new("cache")
        ),
        "README's run, one seed": cpu("-m", "embench", *line, cache=cache),
        "README's run again, when all is done": cpu("-m", "embench", *line, cache=cache),
        **_scores(setting, root),
    }
    if eegmat := _eegmat(root):
        took |= {"`embench baselines --dataset eegmat --seeds 0`": _baselines(setting, eegmat)}
    return [
        figure(what, each.processor, "CPU s", most=MOST.get(what), note=f"{each.seconds:.0f} s")
        for what, each in took.items()
    ]


def _scores(setting: Setting, root: Path) -> Mapping[str, Took]:
    """The first and the second `embench score` of predictions in one seed."""
    units, file, cache = setting.work / "first-units.csv", setting.work / "first.csv", setting.new("cache")
    listing = ("data", "labels", "stress_predict", "--data-root", root, "--units", units)
    cpu("-m", "embench", *listing, cache=cache)
    with units.open() as opened:
        written([unit for unit in csv.DictReader(opened) if unit["label"]], 1, file)

    def scored() -> Took:
        line = (file, "--dataset", "stress_predict", "--data-root", root, "--out", setting.new("scored"))
        return cpu("-m", "embench", "score", *line, cache=cache)

    return {"the first `embench score` of one seed": scored(), "the second": scored()}


def _eegmat(root: Path) -> Path | None:
    return root if (root / "eegmat").is_dir() else None


def _baselines(setting: Setting, root: Path) -> Took:
    line = ("baselines", "--dataset", "eegmat", "--seeds", "0", "--data-root", root, "--runs", setting.new("runs"))
    return cpu("-m", "embench", *line, cache=setting.new("cache"))


def cpu(*line: str | Path, cache: Path | None = None, refused: bool = False) -> Took:
    """Runs `python ARGUMENTS` and returns the CPU seconds of its process and of all that it started, also of those that
    it left behind. `refused`: whether the command has to fail."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_REAPS_ORPHANS, 1, 0, 0, 0)
    more = {"EMBENCH_CACHE": str(cache)} if cache else {}
    before, began = _of_children(), time.perf_counter()
    done = subprocess.run(  # noqa: S603  # our own commands
        [sys.executable, *map(str, line)], check=False, capture_output=True, text=True, env=os.environ | more
    )
    seconds = time.perf_counter() - began
    _wait_for_orphans()
    if bool(done.returncode) != refused:
        raise RuntimeError(f"{' '.join(map(str, line))}: exit {done.returncode}: {done.stderr[-600:]}")
    return Took(seconds, _of_children() - before)


def _of_children() -> float:
    return sum(os.times()[2:4])


def _wait_for_orphans(most_s: float = 10.0) -> None:
    ends = time.monotonic() + most_s
    try:
        while time.monotonic() < ends:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
    except ChildProcessError:  # there is none left
        return
