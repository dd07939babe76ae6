"""Output of commands and Python functions: tables, plans, and progress of long jobs."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from embench.records import wording
from embench.records.wording import format_duration, format_value, grouped
from embench.system import ProgressCallback
from embench.vocabulary import escape_control

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from embench.planning.request import Request


# Tables of plain text; columns define heads and cells.


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: its head, and a function from a row to the cell. `whole`: whether cells stay unwrapped."""

    title: str
    text: Callable[[Any], str]
    whole: bool = False


def field(name: str, title: str | None = None, spec: str = ".3f", missing: str = "") -> TableColumn:
    """Return a table column that shows one value of each row: its attribute `name`, or its value under the key `name`.

    Args:
        title: heading of the column; default: `name`, with blanks for its underscores.
        spec: format of non-integer numbers.
        missing: text of a cell whose value is None or missing.
    """

    def text(row: Any) -> str:
        value = row.get(name) if isinstance(row, Mapping) else getattr(row, name)
        return format_value(value, spec, missing)

    return TableColumn(name.replace("_", " ") if title is None else title, text)


def fields(*names: str) -> list[TableColumn]:
    """Return a `field` for each name."""
    return [field(name) for name in names]


def format_table(rows: Iterable[Any], columns: Iterable[TableColumn] | None, width: int) -> str:
    """Return a table of at most `width` characters as text; empty without rows. Cells are wrapped, if necessary also
    inside paths and long names. Only words that still do not fit make the table wider.

    Args:
        columns: None: a column for each key of the rows, which are then mappings from title to cell.
    """
    from tabulate import tabulate

    rows = list(rows)
    if not rows:
        return ""
    if columns is None:
        columns = [field(name, name) for name in dict.fromkeys(name for row in rows for name in row)]
    columns = list(columns)
    heads = [escape_control(column.title) for column in columns]
    cells = [[escape_control(column.text(row)) for row in rows] for column in columns]
    # Narrow the widest column by one character at a time; first those in which only the head must be wrapped.
    widths = [max(len(head) + _PAD, *map(len, texts)) for head, texts in zip(heads, cells, strict=True)]
    least = [_least_width(column, texts) for column, texts in zip(columns, cells, strict=True)]
    piece = _WORD
    if not _fits(least, width):
        piece = _STEP
        least = [_least_width(column, texts, piece) for column, texts in zip(columns, cells, strict=True)]
    unwrapped = [max(smallest, *map(len, texts)) for smallest, texts in zip(least, cells, strict=True)]
    while not _fits(widths, width):
        heads_only = [k for k in range(len(widths)) if widths[k] > unwrapped[k]]
        wide = heads_only or [k for k in range(len(widths)) if widths[k] > least[k]]
        if not wide:
            break
        widths[max(wide, key=lambda k: widths[k])] -= 1
    folded = [
        [_fold_cell(cell, space, piece).replace("\xa0", " ") for cell in texts]
        for texts, space in zip(cells, widths, strict=True)
    ]
    heads = [_fold_cell(head, space - _PAD, _NAME) for head, space in zip(heads, widths, strict=True)]
    return tabulate(list(zip(*folded, strict=True)), heads, "simple", disable_numparse=True)


def fitting_columns(
    rows: Iterable[Any], columns: Sequence[TableColumn], spare: Sequence[str], width: int
) -> list[TableColumn]:
    """Return the columns that fit into `width` characters with wrapped cells. Columns whose titles are in `spare` are
    dropped as necessary, in the order of `spare`."""
    rows, kept = list(rows), list(columns)
    for title in spare:
        least = [_least_width(column, [escape_control(column.text(row)) for row in rows]) for column in kept]
        if _fits(least, width):
            break
        kept = [column for column in kept if column.title != title]
    return kept


def _fits(widths: Sequence[int], width: int) -> bool:
    """Return True if columns of these widths fit side by side."""
    return sum(widths) + 2 * (len(widths) - 1) <= width


_PAD = 2
"""Blanks that tabulate adds to a head."""

_WORD = re.compile(r"\S(?:(?!(?<=\w-)(?=\w))[\S\xa0])*")
"""A piece of a cell that is never split: it ends at a blank, unless that is non-breaking, or after a hyphen."""

_STEP = re.compile(r"\S(?:(?!(?:(?<=[^\W\d][-/.=])|(?<=\w_))(?=\w))[\S\xa0])*")
"""A piece of a cell in a table without room for paths and long names: it also ends after `/`, `.`, `=`, `-` and `_`,
but not inside a number."""

_NAME = re.compile(r"[^\s_-]*[_-]+|[^\s_-]+")
"""A piece of a head: it ends after a hyphen or an underscore, too, since heads are longer than the numbers below."""


def _least_width(column: TableColumn, cells: Sequence[str], word: re.Pattern[str] = _WORD) -> int:
    """Return the smallest width of a column with wrapped cells, in characters."""
    head = _longest_word(escape_control(column.title), _NAME) + _PAD
    return max(head, *(len(cell) if column.whole else _longest_word(cell, word) for cell in cells))


def _longest_word(cell: str, word: re.Pattern[str] = _WORD) -> int:
    return max(map(len, word.findall(cell)), default=0)


def _fold_cell(cell: str, width: int, word: re.Pattern[str] = _WORD) -> str:
    """Wrap a cell into lines of at most `width` characters, or the length of its longest word; unchanged if it fits."""
    if len(cell) <= width:
        return cell
    lines, at = [""], 0
    for found in word.finditer(cell):
        gap = cell[at : found.start()] and " "
        at = found.end()
        if lines[-1] and len(lines[-1]) + len(gap) + len(found[0]) > width:
            lines.append(found[0])
        else:
            lines[-1] += gap + found[0] if lines[-1] else found[0]
    return "\n".join(lines)


# Plans of `--dry-run` as parts, which commands print and Python functions return as text.

SYNTHETIC_WARNING = "SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published."
_WIDTH = 100


class PlanPart(NamedTuple):
    """A part of a plan: a sentence, a warning, a command line, or a table (`rows`, `columns`) with the title `text`."""

    kind: Literal["text", "warning", "command", "table"]
    text: str
    rows: Sequence[Any] = ()
    columns: Sequence[TableColumn] | None = None


def plan_text(parts: Iterable[PlanPart]) -> str:
    """Return the parts of a plan as plain text, in lines of at most 100 characters."""
    lines: list[str] = []
    for part in parts:
        if part.kind == "command":
            lines.append(f"  {part.text}")
        else:
            lines += textwrap.wrap(part.text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        if part.kind == "table":
            lines += [format_table(part.rows, part.columns, _WIDTH), ""]
    return "\n".join(lines)


def run_plan(description: Mapping[str, Any]) -> Iterator[PlanPart]:
    """Yield the plan of a run from its description: key -> fact, or a list of mappings, which becomes a table."""
    for key, item in description.items():
        name = _WORDS.get(key, key.replace("_", " "))
        if key == "folds":
            yield PlanPart("text", f"folds: {_describe_folds(item)}")
        elif key == "cannot_answer":
            yield from unanswerable_parts(item)
        elif key == "forecast_for":
            text = f"networks on one {item['gpu'].upper()}: {_describe_hours(item['hours'])}. {_NOT_MEASURED}"
            yield PlanPart("text", text)
        elif key == "departs":
            for line in wording.departures_in_words(description) if item else ():
                yield PlanPart("text", f"{name}, {line}")
        elif isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            heads = dict.fromkeys(head for row in item for head in row)
            yield PlanPart("table", name, item, [field(head, head, ".4g") for head in heads])
        elif key == "smallest_difference":
            low, high = (_format_item(key, end) for end in description[f"{key}_range"])
            note = description[f"{key}_note"]
            yield PlanPart("text", f"{name}: {low} to {high}, median {_format_item(key, item)} ({note})")
        elif not key.startswith("smallest_difference") and (item or key != "assumed"):
            yield PlanPart("text", f"{name}: {_format_item(key, item)}")


def unanswerable_parts(found: Sequence[Mapping[str, Any]]) -> Iterator[PlanPart]:
    """Yield the reason and the remedy for each target for which a study cannot give an answer.

    Args:
        found: documents of `Unanswerable.to_dict`; an optional `command` makes enough comparisons possible.
    """
    for each in found:
        yield PlanPart("warning", f"{each['target']}: {each['answer']}. {each['reason']}")
        if command := each.get("command"):
            yield PlanPart("text", f"{each['remedy'].partition(':')[0]}:")
            yield PlanPart("command", command)
        elif each["remedy"]:
            yield PlanPart("text", each["remedy"])


def set_plan(document: Mapping[str, Any], runs: Path, executor: str) -> Iterator[PlanPart]:
    """Yield the plan of a baseline set from its `plan_document`; `runs` is the folder of runs."""
    if document["synthetic"]:
        yield PlanPart("warning", SYNTHETIC_WARNING)
    if document["paper"] and document["recipes"] != ["paper"]:
        yield PlanPart("warning", f"not the paper's network (recipe {' and '.join(document['recipes'])})")
    rows = []
    for number, row in enumerate(document["rows"], 1):
        expected = format_duration(row["expected_s"]) + ("" if row["measured"] else ", never measured")
        sizes = {"memory": f"{row['memory_mb'] / 1000:.1f} GB", "disk": f"{row['disk_mb']:.0f} MB"}
        identity = {"": number, "row": row["row"], "level": row["level"]}
        on_gpu = {document["gpu"].upper(): _describe_hours(row["gpu_hours"])} if "gpu" in document else {}
        rows.append({**identity, "time": "done" if row["done"] else expected, **on_gpu, **sizes})
    draft = " (draft)" if document["draft"] else ""
    yield PlanPart("table", f"{document['set']}{draft}, {document['level']}, on {document['dataset']}", rows)
    if document["does_not_fit"]:
        reasons = grouped((row["reason"], row["row"].partition(" on ")[0]) for row in document["does_not_fit"])
        unfit = [{"does not fit": ", ".join(dict.fromkeys(names)), "reason": why} for why, names in reasons.items()]
        yield PlanPart("table", "", unfit)
    ended = sum(row["done"] for row in document["rows"])
    existing = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    yield PlanPart(
        "text",
        f"{ended} of {len(document['rows'])} rows done; left: about {format_duration(document['expected_s'])}, at most "
        f"about {document['memory_mb'] / 1000:.1f} GB of memory and {document['disk_mb'] / 1000:.1f} GB below {runs}, "
        f"where {free:.0f} GB are free. Each result brings its confound-only models.",
    )
    if gpu := document.get("gpu"):
        total = [sum(row["gpu_hours"][end] for row in document["rows"]) for end in (0, 1)]
        yield PlanPart("text", f"All networks on one {gpu.upper()}: {_describe_hours(total)}. {_NOT_MEASURED}")
    if not all(row["measured"] for row in document["rows"]):
        yield PlanPart(
            "text", f"Never measured: a few steps were tried on this GPU, and no run on it has ended in {runs}."
        )
    yield from unanswerable_parts(document["cannot_answer"])
    if executor != "local":
        yield PlanPart("text", f"Times are of this machine; those of {executor} were never measured.")


_NOT_MEASURED = (
    "Never measured there: the first is the least time for the operations and the memory of all training steps; the "
    "second is longer by the ratio in which a step on this CPU exceeds its own least time. A single number is the time "
    "to launch the operations, at 10 µs each."
)


def _describe_hours(hours: Sequence[float]) -> str:
    """Describe the lower and upper end of a number of hours; `-` if no network is trained."""
    low, high = (format_duration(3600 * end) for end in hours)
    return "-" if not hours[1] else low if low == high else f"{low} to {high}"


def _describe_folds(folds: Sequence[Mapping[str, Any]]) -> str:
    """Describe the folds of a run: their number, their seeds, and the sizes of their parts in units of analysis."""
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(fold["seed"] for fold in folds))
    parts = {name for fold in folds for name in fold} - {"seed", "fold"}
    sizes = {name: [fold[name] for fold in folds if name in fold] for name in sorted(parts, reverse=True)}
    spans = [f"{name} {min(n)}" + (f" to {max(n)}" if max(n) > min(n) else "") for name, n in sizes.items()]
    return f"{len(folds)} (seeds {seeds}), units of each: {', '.join(spans)}"


_WORDS = {
    "left_out": "excluded",
    "leaks_by": "protocol deviations",
    "calibration_split": "given and scored",
    "inputs": "inputs of encoders: seconds, rate, channels x samples",
    "assumed": "settings that the papers leave open",
    "departs": "settings that differ from the papers",
    "query": "query modality",
    "flops": "FLOPs of one prediction",
    "expected_s": "expected time",
    "nuisances_s": "confound analysis, fitted once for this dataset",
    "smallest_difference": "smallest detectable difference",
    "power": "percentage of simulated studies of this design and size that find an effect",
}


def _format_item(key: str, item: Any) -> str:
    """Return a fact of a plan in words; `key`: its name in the description."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if key in ("parameters", "flops") and not item:
        return "none: no network is trained"
    if key == "expected_s" and not item:
        return "not estimated where no network is left to train"
    if key in ("expected_s", "nuisances_s"):
        return f"about {format_duration(item)}"
    if key in ("parameters", "flops"):
        return wording.format_cost({key: item})["FLOPs" if key == "flops" else key]
    return format_value(item, ".4g") or "none"


# Progress of a job on stderr: bars on a terminal, plain lines elsewhere.


@dataclass
class Flags:
    """Options of all commands: `quiet` prints no progress, `verbose` prints each stage and each epoch."""

    quiet: bool = False
    verbose: bool = False


flags = Flags()

_PROGRESS_WORDS = {
    "pretrain": "pretraining",
    "unimodal": "training",
    "fusion": "training",
    "estimator": "fitting",
    "predict": "predicting",
}
"""Kind of a stage -> word before the counter of such stages."""

_ENDED = ("stage_ended", "stage_failed")

_QUIET_S = 10.0
"""Shortest time between two lines of a counter in a log, in seconds."""

_BASIS_S, _BASIS_PROPORTION = 10.0, 0.03
"""Seconds, and proportion of a job, after which its remaining time is shown; a shorter start predicts it badly."""

_LONG_S = 600.0
"""Expected duration in seconds above which a warning is shown before a job."""


class _Display:
    """Progress of a job: bars on a terminal inside the `with` block, plain lines elsewhere."""

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

    def _is_due(self) -> bool:
        """Return True if the last line is long enough ago for another line of a counter."""
        return flags.verbose or time.monotonic() - self._last >= _QUIET_S

    def line(self, text: str) -> None:
        """Print a line on stderr, above the bars."""
        self._last = time.monotonic()
        if flags.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(escape_control(text), markup=False, highlight=False)
        else:
            sys.stderr.write(f"{escape_control(text)}\n")
            sys.stderr.flush()

    def _draw_bar(self, bars: Bars, name: str, text: str, done: float, total: float | None, more: str = "") -> None:
        """Draw or update the bar called `name`, with `text` on its left and `more` on its right."""
        if name not in self._tasks:
            self._tasks[name] = bars.add_task("", more="")
        text, more = escape_control(text), escape_control(more)
        bars.update(self._tasks[name], total=total or None, completed=done, description=text, more=more)


class _Rate:
    """Remaining time of a job that counts items, extrapolated from the rate since its first count."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._first = self._done = 0
        self._began: float | None = None

    def record(self, done: int, total: int | None) -> bool:
        """Record that `done` of `total` items are finished; return True for the first count of a part of the job."""
        is_first = self._began is None or total != self._total or done < self._done
        if is_first:  # items that were finished before do not show the rate of the others
            self._total, self._first, self._began = total, done, time.monotonic()
        self._done = done
        return is_first

    def left(self) -> float | None:
        """Return the remaining seconds; None if too few items are finished."""
        if self._began is None or not self._total or self._done >= self._total:
            return None
        took, since = time.monotonic() - self._began, self._done - self._first
        if took < _BASIS_S or since < _BASIS_PROPORTION * (self._total - self._first):
            return None
        return took / since * (self._total - self._done)


class _Pace:
    """Remaining time of a run, estimated from finished stages of the same kind."""

    def __init__(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self._left = Counter(map(_stage_type, stages))
        self._took: dict[_StageType, list[float]] = {}
        self._began: dict[str, tuple[_StageType, float]] = {}
        self._epochs: dict[str, tuple[_Epoch, _Epoch]] = {}
        self._at_once = 1
        self._first: float | None = None

    def begin(self, stage: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._began[stage["id"]] = _stage_type(stage), now
        self._first = now if self._first is None else self._first
        self._at_once = max(self._at_once, len(self._began))

    def epoch(self, stage: Mapping[str, Any], proportion: float) -> None:
        """Record the finished proportion of a stage's epochs."""
        if stage["id"] in self._began:
            now = proportion, time.monotonic()
            self._epochs[stage["id"]] = self._epochs.get(stage["id"], (now, now))[0], now

    def end(self, stage: Mapping[str, Any]) -> None:
        stage_type, began = self._began.pop(stage["id"], (_stage_type(stage), time.monotonic()))
        self._epochs.pop(stage["id"], None)
        self._took.setdefault(stage_type, []).append(time.monotonic() - began)
        self._left[stage_type] -= 1

    def _expected_seconds(self, id_: str) -> float | None:
        """Return the expected duration of a running stage in seconds, from its epochs after the first, which includes
        loading; None before the second epoch has ended."""
        (first, then), (last, now) = self._epochs.get(id_, ((0.0, 0.0), (0.0, 0.0)))
        if last <= first:
            return None
        return then - self._began[id_][1] + (now - then) * (1 - first) / (last - first)

    def estimate_left(self) -> float | None:
        """Return the seconds until all stages have ended; None if too few have ended."""
        # The median duration of each type, since the first stage includes loading for all.
        known = {stage_type: sorted(took)[(len(took) - 1) // 2] for stage_type, took in self._took.items()}
        for id_, _ in sorted(self._epochs.items(), key=lambda item: item[1][1]):  # the most advanced stage wins
            stage_type, expected = self._began[id_][0], self._expected_seconds(id_)
            if stage_type not in self._took and expected is not None:
                known[stage_type] = expected
        unknown = {kind for (kind, _), _ in self._began.values()} - {kind for kind, _ in known}
        if not known or unknown or self._first is None or time.monotonic() - self._first < _BASIS_S:
            return None
        seconds = sum(count * _typical_seconds(known, stage_type) for stage_type, count in self._left.items())
        for stage_type, began in self._began.values():
            seconds -= min(time.monotonic() - began, _typical_seconds(known, stage_type))
        return seconds / min(self._at_once, max(1, self._left.total()))


_Epoch = tuple[float, float]
"""Finished proportion of a stage's epochs, and its time."""

_StageType = tuple[str, str]
"""Kind and modality of a stage; stages that share both take about equally long."""


def _stage_type(stage: Mapping[str, Any]) -> _StageType:
    return str(stage.get("kind")), str(stage.get("modality"))


def _typical_seconds(known: Mapping[_StageType, float], stage_type: _StageType) -> float:
    """Return the expected duration of stages of a type in seconds. If it is not `known`, return the mean of the known
    types of the same kind, or 0 if there are none."""
    times = [seconds for (kind, _), seconds in known.items() if kind == stage_type[0]]
    return known.get(stage_type, sum(times) / len(times) if times else 0.0)


def _format_left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {format_duration(max(seconds, 1))} left"


def long_warning(seconds: float, smaller: Sequence[str]) -> str:
    """Return a warning if a job takes long, with options (`smaller`) that shorten it; empty otherwise."""
    if seconds <= _LONG_S:
        return ""
    ways = f"; to reduce the time: {', '.join(smaller)}" if smaller else ""
    return f"warning: this run takes about {format_duration(seconds)} on this machine{ways}"


def suggest_smaller(request: Request) -> list[str]:
    """Return command-line options that would make a requested run smaller."""
    from embench.records.manifest import default_seeds  # with pydantic, which is slow to import

    seeds = default_seeds("network", request.protocol, 0) if request.seeds is None else request.seed_list
    ways = {
        "--recipe quick": request.recipe != "quick",
        "--seeds 0": len(seeds) > 1,
        "fewer --modalities": not request.modalities or "," in request.modalities,
    }
    return [way for way, helps in ways.items() if helps]


class Progress(_Display):
    """Display of the progress of a run from its events, with a counter for each kind of stage.

    An event is a mapping. Its key `event` holds its name; its other keys depend on the name:

    - `forecast`: expected `seconds` of training, `core_hours`, `gpu_hours`.
    - `plan`: `stages`; `total`, the number of stages to run; `done`, the number of finished ones.
    - `stage_started`, `epoch_ended`, `stage_ended`, `stage_failed`: `stage`, a mapping with `id`, `kind`, and perhaps
      `fold`, `seed`, `modality`, `target`. An ended epoch also has `epoch` from 1, `epochs`, `loss`; a failure `error`.
    - `confounds`: `done` and `total` models of the confound analysis, `text`, remaining `seconds`; None: unknown.
    - `scoring`: `run`. `scored`: `lines` to print. `note`: `text`.

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
        """Show one event; unknown events are ignored."""
        name = event["event"]
        if name == "note":
            self._note(str(event.get("text", "")))
        elif name == "forecast":
            self._keep_forecast(event)
        elif name == "plan":
            self._plan(event.get("stages", ()))
            expected = self._forecast if event["total"] else ""
            self.line(f"{event['total']} stages to run, {event['done']} already done{expected}")
        elif name == "scoring":
            self.line(f"scoring {event['run']} and its confound-only models")
        elif name == "scored":
            for line in event["lines"]:
                self.line(line)
        elif name == "confounds":
            self._show_confounds(event)
        elif "stage" in event:
            self._count_event(name, event)

    def _note(self, text: str) -> None:
        """Show a note once, since several folds report the same."""
        if text not in self._noted:
            self._noted.add(text)
            self.line(text)

    def _keep_forecast(self, event: Mapping[str, Any]) -> None:
        """Keep the expected time for the line on the plan, and warn of a long job."""
        seconds = float(event["seconds"])
        taken = {"on CPU cores": event.get("core_hours", 0.0), "on GPUs": event.get("gpu_hours", 0.0)}
        parts = [f"{format_duration(3600 * hours)} {where}" for where, hours in taken.items() if 3600 * hours > seconds]
        self._forecast = f", about {format_duration(seconds)}" + (f" ({', '.join(parts)})" if parts else "")
        if warning := long_warning(seconds, self._smaller):
            self.line(warning)

    def _plan(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self._pace = _Pace(stages)
        self._totals, self._ended = Counter(map(_get_word, stages)), Counter[str]()
        self._running: dict[str, tuple[str, float]] = {}  # stage -> its word, and the proportion of its epochs

    def _count_event(self, name: str, event: Mapping[str, Any]) -> None:
        """Count an event of a stage, and show it."""
        stage = event["stage"]
        word, title = _get_word(stage), _get_title(stage)
        epochs = event.get("epochs")
        if name == "stage_started":
            self._pace.begin(stage)
            self._running[stage["id"]] = word, 0.0
        elif name == "epoch_ended" and epochs:
            self._pace.epoch(stage, event["epoch"] / epochs)
            self._running[stage["id"]] = word, event["epoch"] / epochs
        elif name in _ENDED:
            self._pace.end(stage)
            self._running.pop(stage["id"], None)
            self._ended[word] += 1
        epoch = f"{title}: {_describe_epoch(event)}" if name == "epoch_ended" else ""
        if name == "stage_failed":
            self.line(f"failed {title}: {event['error']}")
        elif flags.verbose:
            self.line(epoch or f"{'started' if name == 'stage_started' else 'finished'} {title}{self._left()}")
        ends = name in _ENDED and self._ended[word] == self._totals[word]
        if self._bars is not None:
            self._draw(self._bars, word, epoch)
        elif not flags.verbose and (ends or (name != "stage_started" and self._is_due())):
            self.line(", ".join(self._counts(word)) + (f" ({epoch})" if epoch else "") + self._left())

    def _counts(self, last: str) -> list[str]:
        """Return the counters of all running kinds of stages, and of the kind `last`."""
        active = {last, *(word for word, _ in self._running.values())}
        return [self._count(word) for word in dict.fromkeys(_PROGRESS_WORDS.values()) if word in active]

    def _count(self, word: str) -> str:
        return f"{word} {self._ended[word]}" + (f" of {self._totals[word]}" if self._totals[word] else "")

    def _left(self) -> str:
        return _format_left(self._pace.estimate_left()) if self._ended.total() < self._totals.total() else ""

    def _draw(self, bars: Bars, word: str, epoch: str) -> None:
        ended, total = self._ended.total(), self._totals.total()
        self._draw_bar(bars, "stages", f"stages {ended} of {total}", ended, total, self._left()[2:])
        running = sum(proportion for each, proportion in self._running.values() if each == word)
        self._draw_bar(bars, word, self._count(word), self._ended[word] + running, self._totals[word], epoch)

    def _show_confounds(self, event: Mapping[str, Any]) -> None:
        """Show the progress of the confound analysis."""
        done, total, what = int(event["done"]), event["total"], str(event.get("text", ""))
        is_first, ends = self._confounds.record(done, total), done == total
        if event.get("seconds") is not None:
            self._confounds_end = time.monotonic() + float(event["seconds"])
        left = self._confounds.left()
        if left is None and self._confounds_end is not None:
            left = self._confounds_end - time.monotonic()
        remaining = "" if ends else _format_left(left)
        text = f"confound analysis: {what if total is None else f'{done} of {total}'}"
        if self._bars is not None:
            self._draw_bar(self._bars, "confounds", text, done, total, ", ".join(filter(None, (remaining[2:], what))))
        elif is_first or ends or self._is_due():
            self.line(text + remaining)


class Steps(_Display):
    """Display of the progress of a job that counts items: a bar on a terminal, elsewhere a line every 10 seconds.

    Args:
        unit: name of the items; `MB`: counts are bytes, printed in megabytes.
        verb: what is done to them, such as `prepared`; default: the text of each call.
    """

    def __init__(self, unit: str = "subjects", verb: str = "") -> None:
        super().__init__()
        self._unit, self._verb, self._rate = unit, verb, _Rate()

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Show that `done` of `total` items are finished; `what` names the work (`prepared`, `downloading x.zip`)."""
        self._rate.record(done, total)
        scale = 1e6 if self._unit == "MB" else 1
        out_of = f" of {total / scale:,.0f}" if total else ""
        text = f"{self._verb or what}: {done / scale:,.0f}{out_of} {self._unit}"
        left = _format_left(self._rate.left())
        if self._bars is not None:
            self._draw_bar(self._bars, "steps", text, done, total, left[2:])
        elif done == total or self._is_due():
            self.line(text + left)

    def part(self, unit: str, verb: str) -> ProgressCallback:
        """Return a progress callback for another part of the job, with its own unit and verb."""

        def show(done: int, total: int | None, what: str) -> None:
            if (unit, verb) != (self._unit, self._verb):
                self._unit, self._verb, self._rate = unit, verb, _Rate()
            self(done, total, what)

        return show


def _get_word(stage: Mapping[str, Any]) -> str:
    """Return the word before the counter of stages of this kind, such as `training`."""
    return _PROGRESS_WORDS.get(str(stage.get("kind")), "running")


def _get_title(stage: Mapping[str, Any]) -> str:
    parts = [str(stage.get("kind", "stage"))]
    parts += [str(stage[key]) for key in ("modality", "target") if stage.get(key) is not None]
    parts += [f"{key} {stage[key]}" for key in ("fold", "seed") if stage.get(key) is not None]
    return " ".join(parts)


def _describe_epoch(event: Mapping[str, Any]) -> str:
    epochs, loss = event.get("epochs"), event.get("loss")
    total = f" of {epochs}" if epochs else ""
    return f"epoch {event['epoch']}{total}" + (f", loss {loss:.4f}" if isinstance(loss, float | int) else "")
