"""What a run is doing, on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from embench.records.cost import format_duration
from embench.texts import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LONG = ("pretrain", "unimodal", "fusion", "stack")
"""Kinds of stages whose start is worth a line of its own; the others are over at once."""

_OVER = ("stage_ended", "stage_failed")

_QUIET_S = 10.0
"""Seconds between two epoch lines where lines are plain, so that a log stays readable."""


class _Display:
    """Progress of a job: bars on a terminal for as long as the `with` block lasts, plain lines elsewhere."""

    def __init__(self, counts: bool) -> None:
        self._counts = counts
        self._bars: Bars | None = None
        self._began = self._last = time.monotonic()
        self._first = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            counts = (MofNCompleteColumn(), TextColumn("{task.fields[loss]}")) if self._counts else ()
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn())
            self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        if self._bars is not None:
            self._bars.console.print(visible(text), markup=False, highlight=False)
        else:
            print(visible(text), file=sys.stderr, flush=True)

    def _time_left(self, done: int, total: int | None) -> str:
        """How long the rest takes if it goes on as what was done since the beginning."""
        if not total or not self._first < done < total:
            return ""
        seconds = (time.monotonic() - self._began) / (done - self._first) * (total - done)
        return f", about {format_duration(seconds)} left"


class Progress(_Display):
    """Receives the events of a run.

    An event is a mapping with `event`: `plan` (`total` stages to run; `done` were done before), `stage_started`,
    `epoch_ended` (`epoch` from 1, `epochs`, `loss`), `stage_ended` (`done` of `total`), `stage_failed` (the same, and
    the `error`), `note` (`text`). The stage's events have `stage`: `id`, `kind`, and where they apply `fold`, `seed`,
    `modality`, `target`.
    """

    def __init__(self) -> None:
        super().__init__(counts=True)
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._done = self._total = 0
        self._noted: set[str] = set()

    def event(self, event: Mapping[str, Any]) -> None:
        """Shows one event; an unknown one is passed over."""
        name = event["event"]
        if name == "plan":
            self._done, self._total, self._began = 0, int(event["total"]), time.monotonic()
        elif name in _OVER:
            self._done, self._total = int(event["done"]), int(event["total"])
        if name == "note":
            self._note(str(event.get("text", "")))
        elif self._bars is not None:
            self._draw(self._bars, name, event)
        else:
            self._print(name, event)

    def _note(self, text: str) -> None:
        """Shows a note once: stages of several folds say the same."""
        if text not in self._noted:
            self._noted.add(text)
            self._line(text)

    def _draw(self, bars: Bars, name: str, event: Mapping[str, Any]) -> None:
        if self._all is None:
            self._all = bars.add_task("stages", total=self._total or None, loss="")
        bars.update(self._all, total=self._total or None, completed=self._done)
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
            self._tasks[key] = bars.add_task(key, total=event.get("epochs"), loss="")
        if name == "epoch_ended":
            bars.update(self._tasks[key], total=event.get("epochs"), completed=event["epoch"], loss=_loss(event))

    def _print(self, name: str, event: Mapping[str, Any]) -> None:
        if name == "plan":
            self._line(f"{self._total} stages to run, {event['done']} already done")
        elif name == "stage_started" and event["stage"].get("kind") in _LONG:
            self._line(f"started {_title(event['stage'])}")
        elif name == "stage_ended":
            remaining = self._time_left(self._done, self._total)
            self._line(f"finished {_title(event['stage'])} ({self._done} of {self._total}{remaining})")
        elif name == "stage_failed":
            self._line(f"failed {_title(event['stage'])}: {event['error']}")
        elif name == "epoch_ended":
            last = event["epoch"] == event.get("epochs")
            if last or time.monotonic() - self._last >= _QUIET_S:
                of = f" of {event['epochs']}" if event.get("epochs") else ""
                self._line(f"{_title(event['stage'])}: epoch {event['epoch']}{of} {_loss(event)}".rstrip())


class Steps(_Display):
    """How far one long job is: a bar on a terminal, elsewhere a line now and then and one at the end.

    Where `unit` is `MB`, counts are bytes, and with another total another part of the job begins.
    """

    def __init__(self, unit: str = "subjects") -> None:
        super().__init__(counts=False)
        self._unit = unit
        self._total: int | None = 0
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        if self._bars is not None:
            self._task = self._bars.add_task("", total=None)
        return self

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Shows that `what` (`prepared`, `downloading x.zip`) has come so far."""
        if self._unit == "MB" and (total != self._total or done < self._first):
            # What was there before, of a download, does not show how fast the rest comes.
            self._total, self._first, self._began = total, done, time.monotonic()
        scale = 1e6 if self._unit == "MB" else 1
        of = f" of {total / scale:,.0f}" if total else ""
        text = f"{what}: {done / scale:,.0f}{of} {self._unit}"
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=text, total=total or None, completed=done)
        elif done == total or time.monotonic() - self._last >= _QUIET_S:
            self._line(text + self._time_left(done, total))


def _title(stage: Mapping[str, Any]) -> str:
    parts = [str(stage.get("kind", "stage"))]
    parts += [str(stage[key]) for key in ("modality", "target") if stage.get(key) is not None]
    parts += [f"{key} {stage[key]}" for key in ("fold", "seed") if stage.get(key) is not None]
    return " ".join(parts)


def _loss(event: Mapping[str, Any]) -> str:
    loss = event.get("loss")
    return f"loss {loss:.4f}" if isinstance(loss, float | int) else ""
