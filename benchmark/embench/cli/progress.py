"""Progress of a run on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from embench.callbacks import ProgressCallback
from embench.cli import console
from embench.records.cost import format_duration
from embench.texts import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LONG = ("pretrain", "unimodal", "fusion")
"""Kinds of stages whose start is worth a line of its own; the others are over at once."""

_OVER = ("stage_ended", "stage_failed")

_QUIET_S = 10.0
"""Seconds between two epoch lines where lines are plain, so that a log stays readable."""


_BASIS_S, _BASIS_SHARE = 10.0, 0.03
"""Seconds and share of a job before which no remaining time is shown: the beginning predicts too little of the rest."""

_LONG_S = 600.0
"""Seconds above which a job warns before it begins."""


class _Display:
    """Progress of a job: bars on a terminal for as long as the `with` block lasts, plain lines elsewhere."""

    def __init__(self, counts: bool) -> None:
        self._counts = counts
        self._bars: Bars | None = None
        self._began = self._last = time.monotonic()
        self._first = self._done = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not console.flags.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as Bars

            counts = (MofNCompleteColumn(), TextColumn("{task.fields[loss]}")) if self._counts else ()
            columns = (
                *(TextColumn("{task.description}", markup=False), BarColumn(), *counts),
                TextColumn("{task.fields[left]}"),
            )
            self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _due(self) -> bool:
        """True if the last line was long enough ago for another unimportant one."""
        return console.flags.verbose or time.monotonic() - self._last >= _QUIET_S

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        if console.flags.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(visible(text), markup=False, highlight=False)
        else:
            print(visible(text), file=sys.stderr, flush=True)


class _Pace:
    """Remaining time of a run, estimated from finished stages of the same kind."""

    def __init__(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self._left = Counter(map(_like, stages))
        self._took: dict[_Like, list[float]] = {}
        self._began: dict[str, tuple[_Like, float]] = {}
        self._epochs: dict[str, tuple[_Epoch, _Epoch]] = {}
        self._at_once = 1
        self._first: float | None = None

    def begin(self, stage: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._began[stage["id"]] = _like(stage), now
        self._first = now if self._first is None else self._first
        self._at_once = max(self._at_once, len(self._began))

    def epoch(self, stage: Mapping[str, Any], share: float) -> None:
        """Notes that this share of a stage's epochs is done."""
        if stage["id"] in self._began:
            now = share, time.monotonic()
            self._epochs[stage["id"]] = self._epochs.get(stage["id"], (now, now))[0], now

    def end(self, stage: Mapping[str, Any]) -> None:
        like, began = self._began.pop(stage["id"], (_like(stage), time.monotonic()))
        self._epochs.pop(stage["id"], None)
        self._took.setdefault(like, []).append(time.monotonic() - began)
        self._left[like] -= 1

    def of_stage(self, stage: Mapping[str, Any]) -> float | None:
        """Seconds until a stage that is being trained is over; None before its second epoch is."""
        whole = self._whole(stage["id"])
        return None if whole is None else whole - (time.monotonic() - self._began[stage["id"]][1])

    def _whole(self, id_: str) -> float | None:
        """Seconds that a stage takes which is being trained, from its epochs after the first, before which it loads;
        None where there are none."""
        (first, then), (last, now) = self._epochs.get(id_, ((0.0, 0.0), (0.0, 0.0)))
        if last <= first:
            return None
        return then - self._began[id_][1] + (now - then) * (1 - first) / (last - first)

    def of_all(self) -> float | None:
        """Seconds until all stages are over; None where too little is known yet."""
        known = {like: median(took) for like, took in self._took.items()}  # the first one loads what all need
        for id_, _ in sorted(self._epochs.items(), key=lambda item: item[1][1]):  # the most certain comes last
            like, whole = self._began[id_][0], self._whole(id_)
            if like not in self._took and whole is not None:
                known[like] = whole
        if not known or self._first is None or time.monotonic() - self._first < _BASIS_S:
            return None
        seconds = sum(count * _of_kind(known, like) for like, count in self._left.items())
        for like, began in self._began.values():
            seconds -= min(time.monotonic() - began, _of_kind(known, like))
        return seconds / min(self._at_once, max(1, self._left.total()))


_Epoch = tuple[float, float]
"""The finished share of a stage's epochs, and the time of that."""

_Like = tuple[str, str]
"""Kind and modality: stages that are alike in these take about as long."""


def _like(stage: Mapping[str, Any]) -> _Like:
    return str(stage.get("kind")), str(stage.get("modality"))


def _of_kind(known: Mapping[_Like, float], like: _Like) -> float:
    """Seconds for a stage: the time of its modality, else the mean of its kind; 0 if none of the kind has finished."""
    of_kind = [seconds for (kind, _), seconds in known.items() if kind == like[0]]
    return known.get(like, sum(of_kind) / len(of_kind) if of_kind else 0.0)


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f", about {format_duration(max(seconds, 1))} left"


def long_warning(seconds: float, smaller: Sequence[str]) -> str:
    """The warning before a long job, with options that make it smaller; empty for a short one."""
    if seconds <= _LONG_S:
        return ""
    ways = f"; to reduce the time: {', '.join(smaller)}" if smaller else ""
    return f"warning: this run takes about {format_duration(seconds)} on this machine{ways}"


class Progress(_Display):
    """Receives the events of a run.

    An event is a mapping with `event`: `forecast` (`seconds` that training will take, and its `core_hours` and
    `gpu_hours`), `plan` (`total` stages to run,
    the `stages`; `done` were done before), `stage_started`, `epoch_ended` (`epoch` from 1, `epochs`, `loss`),
    `stage_ended` (`done` of `total`), `stage_failed` (the same, and the `error`), `scoring` (`run`, whose stages are
    over), `note` (`text`). The stage's events
    have `stage`: `id`, `kind`, and where they apply `fold`, `seed`, `modality`, `target`.

    Args:
        smaller: options that make the job smaller, named in the warning of a long one.
        several: whether there are many runs, whose stages have plain lines only now and then: each run has its own.
    """

    def __init__(self, smaller: Sequence[str] = (), *, several: bool = False) -> None:
        super().__init__(counts=True)
        self._several = several
        self._smaller, self._pace, self._forecast = smaller, _Pace(()), ""
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._done = self._total = 0
        self._noted: set[str] = set()

    def event(self, event: Mapping[str, Any]) -> None:
        """Shows one event; an unknown one is passed over."""
        name = event["event"]
        if name == "plan":
            self._done, self._total, self._pace = 0, int(event["total"]), _Pace(event.get("stages", ()))
        elif name == "stage_started":
            self._pace.begin(event["stage"])
        elif name == "epoch_ended" and event.get("epochs"):
            self._pace.epoch(event["stage"], event["epoch"] / event["epochs"])
        elif name in _OVER:
            self._done, self._total = int(event["done"]), int(event["total"])
            self._pace.end(event["stage"])
        if name == "note":
            self._note(str(event.get("text", "")))
        elif name == "forecast":
            self._foretell(event)
        elif name == "scoring":
            self._line(f"scoring {event['run']} and its confound-only models")
        elif self._bars is not None:
            self._draw(self._bars, name, event)
        else:
            self._print(name, event)

    def line(self, text: str) -> None:
        """Shows a line above the bars."""
        self._line(text)

    def _note(self, text: str) -> None:
        """Shows a note once: stages of several folds say the same."""
        if text not in self._noted:
            self._noted.add(text)
            self._line(text)

    def _foretell(self, event: Mapping[str, Any]) -> None:
        """Keeps the expected time for the first line, and warns of a long job."""
        seconds = float(event["seconds"])
        taken = {"on CPU cores": event.get("core_hours", 0.0), "on GPUs": event.get("gpu_hours", 0.0)}
        parts = [f"{format_duration(3600 * hours)} {where}" for where, hours in taken.items() if 3600 * hours > seconds]
        self._forecast = f", about {format_duration(seconds)}" + (f" ({', '.join(parts)})" if parts else "")
        if warning := long_warning(seconds, self._smaller):
            self._line(warning)

    def _draw(self, bars: Bars, name: str, event: Mapping[str, Any]) -> None:
        if self._all is None:
            self._all = bars.add_task("stages", total=self._total or None, loss="", left="")
        left = _about(self._pace.of_all())[2:]
        bars.update(self._all, total=self._total or None, completed=self._done, left=left)
        if name == "plan":
            return
        key = _title(event["stage"])
        if name in _OVER:
            if key in self._tasks:
                bars.remove_task(self._tasks.pop(key))
            if name == "stage_failed":
                self._line(f"failed {key}: {event['error']}")
            return
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(key, total=event.get("epochs"), loss="", left="")
        if name == "epoch_ended":
            left = _about(self._pace.of_stage(event["stage"]))[2:]
            task, done = self._tasks[key], int(event["epoch"])
            bars.update(task, total=event.get("epochs"), completed=done, loss=_loss(event), left=left)

    def _print(self, name: str, event: Mapping[str, Any]) -> None:
        if self._several and name in ("stage_started", "stage_ended", "epoch_ended") and not self._due():
            return
        if name == "plan":
            expected = self._forecast if self._total else ""
            self._line(f"{self._total} stages to run, {event['done']} already done{expected}")
        elif name == "stage_started" and (console.flags.verbose or event["stage"].get("kind") in _LONG):
            self._line(f"started {_title(event['stage'])}")
        elif name == "stage_ended":
            remaining = _about(self._pace.of_all()) if self._done < self._total else ""
            self._line(f"finished {_title(event['stage'])} ({self._done} of {self._total}{remaining})")
        elif name == "stage_failed":
            self._line(f"failed {_title(event['stage'])}: {event['error']}")
        elif name == "epoch_ended":
            last = event["epoch"] == event.get("epochs")
            if last or self._due():
                out_of = f" of {event['epochs']}" if event.get("epochs") else ""
                text = f"{_title(event['stage'])}: epoch {event['epoch']}{out_of} {_loss(event)}".rstrip()
                self._line(text + ("" if last else _about(self._pace.of_all())))


class Steps(_Display):
    """Progress of one long job: a bar on a terminal, elsewhere a line now and then and one at the end.

    Args:
        unit: what is counted; with another total another part of the job begins. `MB`: counts are of bytes.
        verb: what is done to them; default: what each call says.
    """

    def __init__(self, unit: str = "subjects", verb: str = "") -> None:
        super().__init__(counts=False)
        self._unit, self._verb = unit, verb
        self._total: int | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        if self._bars is not None:
            self._task = self._bars.add_task("", total=None, left="")
        return self

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Shows that `what` (`prepared`, `downloading x.zip`) has come so far."""
        if total != self._total or done < self._done:
            # What was there before, and what all need, does not show how fast the rest comes.
            self._total, self._first, self._began = total, done, time.monotonic()
        self._done = done
        scale = 1e6 if self._unit == "MB" else 1
        out_of = f" of {total / scale:,.0f}" if total else ""
        text = f"{self._verb or what}: {done / scale:,.0f}{out_of} {self._unit}"
        if self._bars is not None and self._task is not None:
            left = self._time_left(done, total)[2:]
            self._bars.update(self._task, description=text, total=total or None, completed=done, left=left)
        elif done == total or self._due():
            self._line(text + self._time_left(done, total))

    def part(self, unit: str, verb: str) -> ProgressCallback:
        """Shows another part of the job, in which something else is counted."""

        def show(done: int, total: int | None, what: str) -> None:
            if (unit, verb) != (self._unit, self._verb):
                self._unit, self._verb, self._total = unit, verb, None
            self(done, total, what)

        return show

    def _time_left(self, done: int, total: int | None) -> str:
        """The time left if the rest is as fast as the part done since the first call."""
        took = time.monotonic() - self._began
        if not total or done >= total or done - self._first < _BASIS_SHARE * (total - self._first) or took < _BASIS_S:
            return ""
        return _about(took / (done - self._first) * (total - done))


def _title(stage: Mapping[str, Any]) -> str:
    parts = [str(stage.get("kind", "stage"))]
    parts += [str(stage[key]) for key in ("modality", "target") if stage.get(key) is not None]
    parts += [f"{key} {stage[key]}" for key in ("fold", "seed") if stage.get(key) is not None]
    return " ".join(parts)


def _loss(event: Mapping[str, Any]) -> str:
    loss = event.get("loss")
    return f"loss {loss:.4f}" if isinstance(loss, float | int) else ""
