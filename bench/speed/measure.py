"""Shared parts of topics: timed turns, rows of the table, commands run and watched."""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench import ROOT

T = TypeVar("T")
MILLI: dict[str, Any] = {"scale": 1e3, "unit": "ms"}


@dataclass(frozen=True)
class Setting:
    """Setting of a topic: a scratch folder that goes when it ends, whether sizes are tiny, and the peer's Python."""

    work: Path
    tiny: bool
    peer: Path

    def size(self, whole: T, tiny: T) -> T:
        return tiny if self.tiny else whole

    def new(self, name: str) -> Path:
        """A path in the scratch folder at which nothing is yet."""
        return Path(tempfile.mkdtemp(dir=self.work)) / name


class Took(NamedTuple):
    """Seconds that passed, seconds of the processor, and the highest memory in MB (0 where it is not known)."""

    seconds: float
    processor: float
    memory: float = 0.0


@dataclass(frozen=True)
class Row:
    """A line of the table. `ours` and `peer` are medians, `ratio` is the median of pairs that were measured in turns.
    `kept` says whether `bound` is kept; all three are None where there is nothing to say."""

    what: str
    ours: float
    unit: str
    against: str = ""
    peer: float | None = None
    ratio: float | None = None
    means: str = ""
    bound: str = ""
    kept: bool | None = None
    repetitions: int = 1
    details: Mapping[str, Any] | None = None
    note: str = ""


def measured(topic: str, setting: Setting) -> tuple[str, list[Row]]:
    """Runs a topic in the current process, which must be one of its own, and returns its description and rows."""
    os.environ["EMBENCH_CACHE"] = str(setting.work / "cache")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore"
    os.chdir(ROOT)
    module = importlib.import_module(f"bench.speed.{topic}")
    return str(module.__doc__).partition("\n\n")[0].replace("\n", " "), module.rows(setting)


Way = Callable[[], Took]


def now() -> tuple[float, float]:
    """The time, and what this process and the children that it waited for had of the processor."""
    return time.perf_counter(), time.process_time() + sum(os.times()[2:4])


def since(mark: tuple[float, float]) -> Took:
    seconds, processor = now()
    return Took(seconds - mark[0], processor - mark[1])


def timed(call: Callable[[], object], repeats: int = 1) -> Way:
    """`call` in this process; of several the mean."""

    def way() -> Took:
        mark = now()
        for _ in range(repeats):
            call()
        took = since(mark)
        return Took(took.seconds / repeats, took.processor / repeats)

    return way


def command(*line: str | Path) -> Way:
    """`python ARGUMENTS` in a process of its own. Its memory is that of its largest process."""

    def way() -> Took:
        began = time.perf_counter()
        with subprocess.Popen(  # noqa: S603  # our own commands
            [sys.executable, *map(str, line)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            told = process.stderr.read() if process.stderr else b""
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, line))}: exit {process.returncode}: {told.decode()[-600:]}")
        return Took(
            seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
        )

    return way


def embench(*arguments: str | Path) -> Way:
    return command("-m", "embench", *arguments)


def turns(ways: Mapping[str, Way | None], repetitions: int, *, warm: bool = False) -> dict[str, list[Took]]:
    """Each way once a turn, one after another, so that a busy moment of the machine meets all alike; none for a way
    that is None.

    Args:
        warm: whether a turn that does not count comes first, for imports and the file cache.
    """
    found: dict[str, list[Took]] = {name: [] for name in ways}
    for _ in range(repetitions + warm):
        for name, way in ways.items():
            if way is not None:
                found[name].append(way())
    return {name: times[warm:] for name, times in found.items()}


def median(times: Sequence[Took]) -> float:
    return statistics.median(t.seconds for t in times)


def faster(
    what: str, ours: Sequence[Took], peer: Sequence[Took], against: str, *, least: float | None = None, **more: Any
) -> Row:
    """Row with the speed of ours as a multiple of the peer's; wanted: at least `least`."""
    bound = f">= {least:g}" if least is not None else ""
    return _pair(what, ours, peer, against, "times as fast", bound, lambda us, them: them / us, **more)


def share(
    what: str, ours: Sequence[Took], peer: Sequence[Took], against: str, *, most: float | None = None, **more: Any
) -> Row:
    """Row with our time as a share of the peer's; wanted: at most `most`."""
    bound = f"<= {most:g}" if most is not None else ""
    return _pair(what, ours, peer, against, "of its time", bound, lambda us, them: us / them, **more)


def _pair(
    what: str,
    ours: Sequence[Took],
    peer: Sequence[Took],
    against: str,
    means: str,
    bound: str,
    of: Callable[[float, float], float],
    *,
    scale: float = 1.0,
    unit: str = "s",
    note: str = "",
) -> Row:
    """`scale` turns seconds into `unit`. Without turns of the peer, the row is ours alone."""
    if not peer:
        return alone(what, ours, scale=scale, unit=unit, note=note, against=against)
    pairs = list(zip(ours, peer, strict=True))
    ratio = statistics.median(of(us.seconds, them.seconds) for us, them in pairs)
    ticked = all(took.processor for pair in pairs for took in pair)  # it ticks a hundred times a second
    details = {
        "ours": _spread(ours, scale),
        "peer": _spread(peer, scale),
        "ratio_of_least": of(min(t.seconds for t in ours), min(t.seconds for t in peer)),
        "ratio_of_processor": statistics.median(of(a.processor, b.processor) for a, b in pairs) if ticked else None,
    }
    own, other, kept = scale * median(ours), scale * median(peer), within(ratio, bound)
    return Row(what, own, unit, against, other, ratio, means, bound, kept, len(ours), details, note)


def alone(
    what: str, times: Sequence[Took], *, most: float | None = None, scale: float = 1.0, unit: str = "s", **about: Any
) -> Row:
    """A row with a time by itself; wanted: at most `most` of `unit`."""
    spread = {"ours": _spread(times, scale)}
    return figure(what, scale * median(times), unit, most=most, repetitions=len(times), details=spread, **about)


def figure(what: str, value: float, unit: str, *, most: float | None = None, **about: Any) -> Row:
    """`about` are other fields of the row."""
    bound = f"<= {most:g} {unit}" if most is not None else ""
    return Row(what, value, unit, bound=bound, kept=within(value, bound), **about)


def part(
    what: str, ours: float, peer: float | None, unit: str, against: str, means: str, bound: str = "", note: str = ""
) -> Row:
    """`ours` as a part of `peer`, for what is no time: bytes, memory."""
    if peer is None:
        return figure(what, ours, unit, note=note, against=against)
    ratio = ours / peer
    return Row(what, ours, unit, against, peer, ratio, means, bound, within(ratio, bound), note=note)


def within(value: float, bound: str) -> bool | None:
    if not bound:
        return None
    sign, limit = bound.split()[:2]
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def _spread(times: Sequence[Took], scale: float) -> dict[str, float]:
    found = {
        "median": scale * median(times),
        "least": scale * min(t.seconds for t in times),
        "median_of_processor": scale * statistics.median(t.processor for t in times),
    }
    memory = max(t.memory for t in times)
    return {**found, "memory_mb": memory} if memory else found
