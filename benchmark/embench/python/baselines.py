"""`embench.baselines`: a method, given by name, as an object or as predictions, beside the baselines of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from embench.errors import EmbenchError, UsageError
from embench.planning.hub import offline
from embench.planning.request import Request, request_of
from embench.python.door import from_python
from embench.python.records import predictions_file, remember_own
from embench.python.running import plugin_name
from embench.python.showing import DryRun, watcher
from embench.records.floors import RowFloors
from embench.records.wording import name_without_package
from embench.screen.plan import set_plan
from embench.screen.progress import Progress, Steps
from embench.screen.tables import table
from embench.sets.files import SetLevel, find_set
from embench.sets.forecast import forecast_rows
from embench.sets.own import check_own, is_scored, own_result, own_rows
from embench.sets.plan import plan_document
from embench.sets.rows import baseline_rows
from embench.sets.running import check_readable, run_rows
from embench.sets.table import board_cells, board_notes, board_panels, board_rows, draw_board, model_cells
from embench.snapshot import snapshot
from embench.statistics.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from embench.python.running import AnyEncoder, AnyFusion, Texts

    Method: TypeAlias = AnyEncoder | AnyFusion | DataFrame | Result | Path


_WIDTH = 100
"""Characters of a line of a printed table."""


@dataclass(frozen=True, repr=False)
class BaselineBoard:
    """Methods beside each other and the controls, as `embench.baselines` and `embench.grid` return them.

    Args:
        rows: see `to_pandas`. `results`: of all runs, one's own first.
        failures: run -> why it failed. `unfit`: row of the set -> why it does not fit the dataset.
        floors: of `embench.grid(floors=True)`: pretrained run and target -> the gap to the same network from scratch,
            at random, and to handcrafted features: `gaps`, and `texts`.
    """

    rows: Sequence[Mapping[str, Any]]
    results: Sequence[Result]
    failures: Mapping[str, EmbenchError] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    floors: Mapping[tuple[str, str], RowFloors] = field(default_factory=dict)

    @property
    def answers(self) -> list[str]:
        """Sentences for each target. Of `embench.baselines`: whether the best of one's own methods is better than the
        best baseline, and whether its scores are associated with the label given time and movement. Of `embench.grid`:
        whether each run differs from the first, or why that is not known."""
        why = dict.fromkeys(row["not_compared"] for row in self.rows if row["role"] == "method")
        return [*self._sentences, *(f"No differences: {reason}." for reason in why if reason)]

    @property
    def _sentences(self) -> list[str]:
        return [row["answer"] for row in self.rows if "answer" in row and (row["role"] != "own" or row["best"])]

    def to_pandas(self) -> DataFrame:
        """A row for each method and control.

        - `role`: `own`, `baseline` or `control`; `method` for the runs of a grid. `best`: whether it is the best of its
          role.
        - `method`, `label`, `sensors`: its name with its settings, its name without those that vary, what it reads.
        - A column for each setting that varies, under its path: `encoder.view.length_s`.
        - `dataset`, `protocol`, `target`, `metric`; `exploratory`: whether the metric stands for a primary metric that
          is undefined.
        - `mean` with the ends `low` and `high` of its 95 % interval. `constant`: of a control, whether it scores this
          by construction.
        - `above_chance`, `finding`, `finding_evidence`: the answers to more than by chance, and given time and
          movement.
        - `reference`: whether differences are from this row: the first run of a grid, else the best. `from_reference`:
          the paired difference, with its ends; `p`, Holm-corrected for so many `comparisons`; `over`: what was paired.
          `not_compared`: why there is none.
        - `answer`: a sentence. `over_baseline`: of one's own, the paired difference from the best baseline, with its
          ends.
        - `run`, `folder`, `synthetic`: whose numbers these are, and whether the data are synthetic.
        """
        import pandas as pd

        paths = dict.fromkeys(path for row in self.rows for path in row.get("varied", ()))
        frame = pd.DataFrame([row | row.get("varied", {}) for row in self.rows]).drop(columns="varied", errors="ignore")
        for path in paths:
            with suppress(TypeError, ValueError):  # not a number, as of `encoder.view.kind`
                frame[path] = pd.to_numeric(frame[path])
        return frame

    def plot(self, target: str | None = None, ax: Axes | None = None) -> Axes:
        """Draws the rows of a target, by default the first, on axes of matplotlib, and returns these.

        Raises:
            UsageError: there is no such target.
        """
        known = list(dict.fromkeys(row["target"] for row in self.rows))
        target = target or next(iter(known), None)
        first = next((row for row in self.rows if row["target"] == target), None)
        if first is None:
            raise UsageError(f"no target `{target}`", where="target=", expected=", ".join(known))
        alike = ("target", "protocol")
        return draw_board([row for row in self.rows if all(row[name] == first[name] for name in alike)], ax)

    def __repr__(self) -> str:
        parts = [f"{len(self.results)} run{'s' if len(self.results) != 1 else ''}"]
        for rows in board_panels(self.rows):
            title = ", ".join([name_without_package(rows[0]["dataset"]), rows[0]["protocol"], rows[0]["target"]])
            cells = [{name: cell for name, cell in row.items() if name != "run"} for row in board_cells(rows)]
            parts += [f"{title}\n{table(cells, None, _WIDTH)}", *board_notes(rows)]
            parts.append(table(model_cells(rows), None, _WIDTH))
        return "\n\n".join(filter(None, [*parts, *self._notes]))

    def _repr_html_(self) -> str:
        parts = []
        for rows in board_panels(self.rows):
            parts += [_as_html(board_cells(rows)), *(f"<p>{escape(note)}</p>" for note in board_notes(rows))]
            parts.append(_as_html(model_cells(rows)))
        return "".join([*parts, *(f"<p>{escape(line)}</p>" for line in self._notes)])

    @property
    def _notes(self) -> list[str]:
        compared = [f"{run}, {target}: {found.words}" for (run, target), found in self.floors.items()]
        failed = [f"failed: {title}: {error.what}" for title, error in self.failures.items()]
        generated = ["synthetic data: these numbers say nothing about real subjects"]
        return [
            *self._sentences,
            *compared,
            *failed,
            *(generated if any(row["synthetic"] for row in self.rows) else []),
        ]


@from_python
def baselines(
    dataset: str,
    with_: Method | Sequence[Method] = (),
    *,
    set: str = "features-v1",  # noqa: A002  the option is called so
    level: SetLevel = "core",
    tune: int | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: Literal["paper", "small", "quick"] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    hours: float | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    dev: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> BaselineBoard | DryRun:
    """Runs the baselines of a set on a dataset, and methods of one's own beside them; a line on stderr for each.

    What is done in the folder of runs is read again, so an interrupted call resumes where it is made again.

    Args:
        dataset: see `embench.run`, as for all arguments that are not explained here.
        with_: one's own methods, one or several: scikit-learn estimators or Pipelines, and classes of estimators, which
            are fitted to the features `handcrafted`; encoders, such as `embench.network` makes; names of plugins, or
            `FILE.py:Class`; predictions, as `embench.score` takes them; results of `embench.run`, or their folders.
        set: name of a baseline set, or a YAML file; `embench list baselines` lists them.
        level: `core`, `extended` or `full`, each of which holds those before it.
        tune: tunes each row of the set, too, by so many trials on validation subjects.
        hours: starts no row whose forecast does not fit into so many hours.
        dry_run: trains nothing, and returns the plan with the forecasts, as `embench baselines --dry-run` prints it.
        progress: False prints no progress.

    Raises:
        UsageError, DataError: no row fits, or the data cannot be used. CheckFailed: a method does not conform; nothing
            was trained.
    """
    given = list(with_) if isinstance(with_, list | tuple) else [with_]
    seeds = ",".join(map(str, seeds)) if isinstance(seeds, list | tuple) else seeds
    names = ("modalities", "target", "protocol", "recipe", "seeds", "device", "data_root", "runs", "dev", "workers")
    local = locals()
    request = request_of(dataset=dataset, **{name: local[name] for name in names})
    options = {name: getattr(request, name) for name in ("targets", *names) if name != "target"}
    found = find_set(set)
    scored = [method for method in given if _is_scored(method)]
    methods = [_named(method) for method in given if not _is_scored(method)]
    rows = [*own_rows(methods, dataset, options), *baseline_rows(found, level, dataset, options, tune)]
    with Steps("subjects", "verified") if progress else nullcontext() as steps:
        check_readable(dataset, request.data_root, steps)
    finished = [] if dry_run else [_scored(method, dataset, options) for method in scored]
    with snapshot(), Progress() if progress else nullcontext() as shown, offline() if dry_run else nullcontext():
        watch = watcher(shown)
        able, unfit = forecast_rows(rows, watch)
        if dry_run:
            document = plan_document(found, level, dataset, able, unfit)
            return DryRun(document, tuple(set_plan(document, able[0].plan.request.runs_folder, "local")))
        check_own(able, watch)
        done = run_rows(able, hours=hours, progress=watch, told=shown.line if shown else lambda _: None)
    every = [*finished, *map(remember_own, done.results)]
    mine = {result.id for result in finished} | {row.plan.id for row in able if row.row.level == "own"}
    reasons = {row.title: row.reason for row in unfit}
    return BaselineBoard(board_rows(every, mine), every, done.failures, reasons)


def _as_html(cells: Sequence[Mapping[str, str]]) -> str:
    """Cells of rows as a table; empty where there is no row."""
    rows = [list(cells[0]), *(list(row.values()) for row in cells)] if cells else []
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{body}</table>" if body else ""


def _is_scored(method: Any) -> bool:
    """True if nothing has to be trained for what was given: predictions, or a finished run."""
    if isinstance(method, str | Path):
        return is_scored(str(method))
    return isinstance(method, Result) or hasattr(method, "to_csv")


def _scored(method: Any, dataset: str, options: Mapping[str, Any]) -> Result:
    if isinstance(method, Result):
        return own_result(method, dataset, options)
    with predictions_file(method) as path:
        return remember_own(own_result(str(path), dataset, options))


def _named(method: Any) -> str:
    """The name of a method for the rows; an object is stored for workers."""
    kind = "encoder" if hasattr(method, "accepts") else "fusion"
    return str(plugin_name(kind, method))
