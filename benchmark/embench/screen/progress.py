"""Progress of a job on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from embench.callbacks import ProgressCallback
from embench.records.wording import format_duration
from embench.texts import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from embench.planning.request import Request


@dataclass
class Flags:
    """`quiet` prints no progress, `verbose` prints each stage and each epoch."""

    quiet: bool = False
    verbose: bool = False


flags = Flags()

_WORDS = {
    "pretrain": "pretraining",
    "unimodal": "training",
    "fusion": "training",
    "estimator": "fitting",
    "predict": "predicting",
}
"""Kind of stages -> the word before their counter."""

_OVER = ("stage_ended", "stage_failed")

_QUIET_S = 10.0
"""Seconds between two plain lines of a counter, so that a log stays readable."""

_BASIS_S, _BASIS_PROPORTION = 10.0, 0.03
"""Seconds and proportion of a job before which no remaining time is shown: the beginning predicts too little of the
rest."""

_LONG_S = 600.0
"""Seconds above which a job warns before it begins."""


class _Display:
    """Progress of a job: bars on a terminal for as long as the `with` block lasts, plain lines elsewhere."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not flags.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bars

            columns = [TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[more]")]
            self._bars = Bars(columns[0], BarColumn(), columns[1], console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _due(self) -> bool:
        """True if the last line was long enough ago for another unimportant one."""
        return flags.verbose or time.monotonic() - self._last >= _QUIET_S

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        if flags.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(visible(text), markup=False, highlight=False)
        else:
            sys.stderr.write(f"{visible(text)}\n")
            sys.stderr.flush()

    def _bar(self, bars: Bars, name: str, text: str, done: float, total: float | None, more: str = "") -> None:
        """Draws the bar of a name."""
        if name not in self._tasks:
            self._tasks[name] = bars.add_task("", more="")
        task = self._tasks[name]
        bars.update(task, description=visible(text), total=total or None, completed=done, more=visible(more))


class _Rate:
    """Remaining time of a count, if the rest is as fast as the part since the first call."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._first = self._done = 0
        self._began: float | None = None

    def begins(self, done: int, total: int | None) -> bool:
        """Notes a count; True where it is the first, or that of another part of the job."""
        begins = self._began is None or total != self._total or done < self._done
        if begins:  # what was there before, and what all need, does not show how fast the rest comes
            self._total, self._first, self._began = total, done, time.monotonic()
        self._done = done
        return begins

    def left(self) -> float | None:
        """Seconds until all is counted; None where too little is known yet."""
        if self._began is None or not self._total or self._done >= self._total:
            return None
        took, since = time.monotonic() - self._began, self._done - self._first
        if took < _BASIS_S or since < _BASIS_PROPORTION * (self._total - self._first):
            return None
        return took / since * (self._total - self._done)


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

    def _whole(self, id_: str) -> float | None:
        """Seconds that a stage takes which is being trained, from its epochs after the first, before which it loads;
        None where there are none."""
        (first, then), (last, now) = self._epochs.get(id_, ((0.0, 0.0), (0.0, 0.0)))
        if last <= first:
            return None
        return then - self._began[id_][1] + (now - then) * (1 - first) / (last - first)

    def of_all(self) -> float | None:
        """Seconds until all stages are over; None where too little is known yet."""
        # The middle one of each, since the first one loads what all need.
        known = {like: sorted(took)[(len(took) - 1) // 2] for like, took in self._took.items()}
        for id_, _ in sorted(self._epochs.items(), key=lambda item: item[1][1]):  # the most certain comes last
            like, whole = self._began[id_][0], self._whole(id_)
            if like not in self._took and whole is not None:
                known[like] = whole
        unknown = {kind for (kind, _), _ in self._began.values()} - {kind for kind, _ in known}
        if not known or unknown or self._first is None or time.monotonic() - self._first < _BASIS_S:
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


def smaller(request: Request) -> list[str]:
    """Options that make a run smaller than it was requested."""
    ways = {
        "--recipe quick": request.recipe != "quick",
        "--seeds 0": request.seeds is None or len(request.seed_list) > 1,
        "fewer --modalities": not request.modalities or "," in request.modalities,
    }
    return [way for way, helps in ways.items() if helps]


class Progress(_Display):
    """Receives the events of a run, and shows one counter for each kind of stage.

    An event is a mapping with `event`: `forecast` (`seconds` that training will take, and its `core_hours` and
    `gpu_hours`), `plan` (`total` stages to run, the `stages`; `done` were done before), `stage_started`, `epoch_ended`
    (`epoch` from 1, `epochs`, `loss`), `stage_ended` (`done` of `total`), `stage_failed` (the same, and the `error`),
    `scoring` (`run`, whose stages are over), `scored` (`lines` to print), `confounds` (`done` of `total` models of the
    confound analysis, None where nobody knows yet; `text` of what is going on; forecast `seconds` of the rest, or
    None), `note` (`text`). Events of a
    stage have `stage`: `id`, `kind`, and where they apply `fold`, `seed`, `modality`, `target`.

    Args:
        smaller: options that make the job smaller, named in the warning of a long one.
    """

    def __init__(self, smaller: Iterable[str] = ()) -> None:
        super().__init__()
        self._smaller, self._forecast = tuple(smaller), ""
        self._noted: set[str] = set()
        self._confounds = _Rate()
        self._confounds_end: float | None = None  # by its forecast
        self._plan(())

    def event(self, event: Mapping[str, Any]) -> None:
        """Shows one event; an unknown one is passed over."""
        name = event["event"]
        if name == "note":
            self._note(str(event.get("text", "")))
        elif name == "forecast":
            self._foretell(event)
        elif name == "plan":
            self._plan(event.get("stages", ()))
            expected = self._forecast if event["total"] else ""
            self._line(f"{event['total']} stages to run, {event['done']} already done{expected}")
        elif name == "scoring":
            self._line(f"scoring {event['run']} and its confound-only models")
        elif name == "scored":
            for line in event["lines"]:
                self._line(line)
        elif name == "confounds":
            self._show_confounds(event)
        elif "stage" in event:
            self._follow(name, event)

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

    def _plan(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self._pace = _Pace(stages)
        self._totals, self._ended = Counter(map(_word, stages)), Counter[str]()
        self._running: dict[str, tuple[str, float]] = {}  # stage -> its word, and the proportion of its epochs

    def _follow(self, name: str, event: Mapping[str, Any]) -> None:
        """Counts an event of a stage, and shows it."""
        stage = event["stage"]
        word, title = _word(stage), _title(stage)
        epochs = event.get("epochs")
        if name == "stage_started":
            self._pace.begin(stage)
            self._running[stage["id"]] = word, 0.0
        elif name == "epoch_ended" and epochs:
            self._pace.epoch(stage, event["epoch"] / epochs)
            self._running[stage["id"]] = word, event["epoch"] / epochs
        elif name in _OVER:
            self._pace.end(stage)
            self._running.pop(stage["id"], None)
            self._ended[word] += 1
        epoch = f"{title}: {_epoch(event)}" if name == "epoch_ended" else ""
        if name == "stage_failed":
            self._line(f"failed {title}: {event['error']}")
        elif flags.verbose:
            self._line(epoch or f"{'started' if name == 'stage_started' else 'finished'} {title}{self._left()}")
        ends = name in _OVER and self._ended[word] == self._totals[word]
        if self._bars is not None:
            self._draw(self._bars, word, epoch)
        elif not flags.verbose and (ends or (name != "stage_started" and self._due())):
            self._line(", ".join(self._counts(word)) + (f" ({epoch})" if epoch else "") + self._left())

    def _counts(self, last: str) -> list[str]:
        """The counters of the kinds of stages that are going on, and of the kind of the last event."""
        active = {last, *(word for word, _ in self._running.values())}
        return [self._count(word) for word in dict.fromkeys(_WORDS.values()) if word in active]

    def _count(self, word: str) -> str:
        return f"{word} {self._ended[word]}" + (f" of {self._totals[word]}" if self._totals[word] else "")

    def _left(self) -> str:
        return _about(self._pace.of_all()) if self._ended.total() < self._totals.total() else ""

    def _draw(self, bars: Bars, word: str, epoch: str) -> None:
        ended, total = self._ended.total(), self._totals.total()
        self._bar(bars, "stages", f"stages {ended} of {total}", ended, total, self._left()[2:])
        going_on = sum(proportion for each, proportion in self._running.values() if each == word)
        self._bar(bars, word, self._count(word), self._ended[word] + going_on, self._totals[word], epoch)

    def _show_confounds(self, event: Mapping[str, Any]) -> None:
        """Shows how far the confound analysis is."""
        done, total, what = int(event["done"]), event["total"], str(event.get("text", ""))
        begins, ends = self._confounds.begins(done, total), done == total
        if event.get("seconds") is not None:
            self._confounds_end = time.monotonic() + float(event["seconds"])
        left = self._confounds.left()
        if left is None and self._confounds_end is not None:
            left = self._confounds_end - time.monotonic()
        shown = "" if ends else _about(left)
        text = f"confound analysis: {what if total is None else f'{done} of {total}'}"
        if self._bars is not None:
            self._bar(self._bars, "confounds", text, done, total, ", ".join(filter(None, (shown[2:], what))))
        elif begins or ends or self._due():
            self._line(text + shown)


class Steps(_Display):
    """Progress of one long job: a bar on a terminal, elsewhere a line now and then and one at the end.

    Args:
        unit: what is counted; with another total another part of the job begins. `MB`: counts are of bytes.
        verb: what is done to them; default: what each call says.
    """

    def __init__(self, unit: str = "subjects", verb: str = "") -> None:
        super().__init__()
        self._unit, self._verb, self._rate = unit, verb, _Rate()

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Shows that `what` (`prepared`, `downloading x.zip`) has come so far."""
        self._rate.begins(done, total)
        scale = 1e6 if self._unit == "MB" else 1
        out_of = f" of {total / scale:,.0f}" if total else ""
        text = f"{self._verb or what}: {done / scale:,.0f}{out_of} {self._unit}"
        left = _about(self._rate.left())
        if self._bars is not None:
            self._bar(self._bars, "steps", text, done, total, left[2:])
        elif done == total or self._due():
            self._line(text + left)

    def part(self, unit: str, verb: str) -> ProgressCallback:
        """Shows another part of the job, in which something else is counted."""

        def show(done: int, total: int | None, what: str) -> None:
            if (unit, verb) != (self._unit, self._verb):
                self._unit, self._verb, self._rate = unit, verb, _Rate()
            self(done, total, what)

        return show


def _word(stage: Mapping[str, Any]) -> str:
    """The word before the counter of a stage's kind."""
    return _WORDS.get(str(stage.get("kind")), "running")


def _title(stage: Mapping[str, Any]) -> str:
    parts = [str(stage.get("kind", "stage"))]
    parts += [str(stage[key]) for key in ("modality", "target") if stage.get(key) is not None]
    parts += [f"{key} {stage[key]}" for key in ("fold", "seed") if stage.get(key) is not None]
    return " ".join(parts)


def _epoch(event: Mapping[str, Any]) -> str:
    epochs, loss = event.get("epochs"), event.get("loss")
    of = f" of {epochs}" if epochs else ""
    return f"epoch {event['epoch']}{of}" + (f", loss {loss:.4f}" if isinstance(loss, float | int) else "")
