"""`embench.run_baselines`, `run_grid` and `tune`: several runs planned and compared together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from embench.errors import EmbenchError, UsageError
from embench.files import snapshot
from embench.planning.hub import offline
from embench.planning.parts import check_names
from embench.planning.pretraining import split_pretrained
from embench.planning.request import AXES, Request, list_grid_points, make_request
from embench.planning.tuning import Search
from embench.planning.weights import expand_axes
from embench.python.records import from_python, predictions_file, remember_own
from embench.python.running import DryRun, make_watcher, plugin_name, request_with
from embench.records.pretraining_comparison import PretrainingGains
from embench.records.record import read_record
from embench.records.wording import name_without_package
from embench.screen import Progress, Steps, format_table, run_plan, set_plan
from embench.sets.files import SetLevel, find_set
from embench.sets.rows import baseline_rows
from embench.sets.running import (
    build_user_rows,
    check_readable,
    check_user_methods,
    forecast_rows,
    is_scored,
    load_user_result,
    plan_document,
    run_rows,
)
from embench.sets.table import board_cells, board_notes, board_panels, board_rows, draw_board, model_cells
from embench.statistics.gains import collect_pretraining_gains
from embench.statistics.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from embench.python.running import AnyEncoder, AnyFusion, Texts

    Method: TypeAlias = AnyEncoder | AnyFusion | DataFrame | Result | Path
    from embench.python.running import AnyPretrainer
    from embench.runs.tuning import TuningResult

    Encoders: TypeAlias = AnyEncoder | Mapping[str, AnyEncoder]
    Values: TypeAlias = str | float | Sequence[str | float | None] | None


# `embench.run_baselines`: a method, given by name, as an object or as predictions, next to the methods of a set.

_WIDTH = 100
"""Characters in a line of a printed table."""


@dataclass(frozen=True, repr=False)
class ResultTable:
    """Scores of several methods and of confound-only models, as returned by `embench.run_baselines` and
    `embench.run_grid`.

    Args:
        rows: see `to_pandas`.
        results: results of all runs, those of the user's methods first.
        failures: run -> why it failed.
        unfit: row of the set -> why it cannot be run on the dataset.
        pretraining_comparisons: for `embench.run_grid(pretraining_comparison=True)`, (pretrained run, target) -> the
            `gains` over the same network from scratch and over handcrafted features, and their `texts`.
    """

    rows: Sequence[Mapping[str, Any]]
    results: Sequence[Result]
    failures: Mapping[str, EmbenchError] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    pretraining_comparisons: Mapping[tuple[str, str], PretrainingGains] = field(default_factory=dict)

    @property
    def answers(self) -> list[str]:
        """Sentences for each target. For `embench.run_baselines`: whether the best of the user's methods is better than
        the best baseline method, and whether its scores are associated with the label given time and movement. For
        `embench.run_grid`: whether each run differs from the first, or why that is not known."""
        why = dict.fromkeys(row["not_compared"] for row in self.rows if row["role"] == "method")
        return [*self._sentences, *(f"No differences: {reason}." for reason in why if reason)]

    @property
    def _sentences(self) -> list[str]:
        return [row["answer"] for row in self.rows if "answer" in row and (row["role"] != "user" or row["best"])]

    def to_pandas(self) -> DataFrame:
        """Return a row for each method and confound-only model.

        - `role`: `user`, `baseline` or `confound_only`; `method` for the runs of a grid. `best`: whether it is the best
          of its role.
        - `method`, `label`, `sensors`: the name with settings, the name without varied settings, and the modalities
          read.
        - A column for each varied setting, under its path: `encoder.view.length_s`.
        - `dataset`, `protocol`, `target`, `metric`; `is_substitute`: whether the metric replaces an undefined primary
          metric.
        - `mean` with the ends `low` and `high` of its 95 % interval. `constant`: whether a confound-only model has this
          score by construction.
        - `above_chance`, `movement`, `movement_evidence`: the answers whether scores are above chance, and associated
          with the label given time and movement.
        - `reference`: whether differences are from this row: the first run of a grid, else the best. `from_reference`:
          the paired difference, with its ends; `p`, Holm-corrected over `comparisons`; `over`: the paired units.
          `not_compared`: why the difference is missing.
        - `answer`: a sentence. `over_baseline`: for the user's methods, the paired difference from the best baseline
          method, with its ends.
        - `run`, `folder`; `synthetic`: whether the data are synthetic.
        """
        import pandas as pd

        paths = dict.fromkeys(path for row in self.rows for path in row.get("varied", ()))
        frame = pd.DataFrame([row | row.get("varied", {}) for row in self.rows]).drop(columns="varied", errors="ignore")
        for path in paths:
            with suppress(TypeError, ValueError):  # settings such as `encoder.view.kind` are not numbers
                frame[path] = pd.to_numeric(frame[path])
        return frame

    def plot(self, target: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the rows of a target, by default the first, on axes of matplotlib; return the axes.

        Raises:
            UsageError: the target does not exist.
        """
        known = list(dict.fromkeys(row["target"] for row in self.rows))
        target = target or next(iter(known), None)
        first = next((row for row in self.rows if row["target"] == target), None)
        if first is None:
            raise UsageError(f"no target `{target}`", where="target=", expected=", ".join(known))
        fields = ("target", "protocol")
        return draw_board([row for row in self.rows if all(row[name] == first[name] for name in fields)], ax)

    def __repr__(self) -> str:
        parts = [f"{len(self.results)} run{'s' if len(self.results) != 1 else ''}"]
        for rows in board_panels(self.rows):
            title = ", ".join([name_without_package(rows[0]["dataset"]), rows[0]["protocol"], rows[0]["target"]])
            cells = [{name: cell for name, cell in row.items() if name != "run"} for row in board_cells(rows)]
            parts += [f"{title}\n{format_table(cells, None, _WIDTH)}", *board_notes(rows)]
            parts.append(format_table(model_cells(rows), None, _WIDTH))
        return "\n\n".join(filter(None, [*parts, *self._notes]))

    def _repr_html_(self) -> str:
        """Return the tables and notes as HTML, which notebooks show."""
        parts = []
        for rows in board_panels(self.rows):
            parts += [_as_html(board_cells(rows)), *(f"<p>{escape(note)}</p>" for note in board_notes(rows))]
            parts.append(_as_html(model_cells(rows)))
        return "".join([*parts, *(f"<p>{escape(line)}</p>" for line in self._notes)])

    @property
    def _notes(self) -> list[str]:
        """Sentences below the tables: answers, gains from pretraining, failed runs, and whether data are synthetic."""
        compared = [f"{run}, {target}: {found.text}" for (run, target), found in self.pretraining_comparisons.items()]
        failed = [f"failed: {title}: {error.what}" for title, error in self.failures.items()]
        generated = ["synthetic data: these numbers say nothing about real subjects"]
        is_synthetic = any(row["synthetic"] for row in self.rows)
        return [*self._sentences, *compared, *failed, *(generated if is_synthetic else [])]


@from_python
def run_baselines(
    dataset: str,
    methods: Method | Sequence[Method] = (),
    *,
    baseline_set: str = "features-v1",
    level: SetLevel = "core",
    tune: int | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: Literal["paper", "small", "quick"] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    partitions: str | None = None,
    hours: float | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    dev: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> ResultTable | DryRun:
    """Run a set of baseline methods and the user's methods on a dataset; print a line for each method on stderr.

    Finished runs in the folder `runs` are not repeated: to resume an interrupted call, repeat it.

    Args:
        dataset: see `embench.run`, which explains all arguments that are not listed here.
        methods: one or several methods of the user. Each may be a scikit-learn estimator or Pipeline, or a class of
            estimators, fitted to the features `handcrafted`; an encoder, such as from `embench.make_encoder`; the name
            of a plugin, or `FILE.py:Class`; predictions, as for `embench.score`; a result of `embench.run` or its
            folder.
        baseline_set: name of a baseline set, or a YAML file; `embench list baselines` lists them.
        level: `core`, `extended` or `full`; each contains the previous ones.
        tune: also tune each row of the set, by this number of trials on validation subjects.
        hours: do not start rows whose forecast exceeds this number of hours.
        dry_run: train nothing, and return the plan with the forecasts, as `embench baselines --dry-run` prints it.
        progress: False prints no progress.

    Raises:
        UsageError, DataError: no row fits, or the data cannot be used. CheckFailed: a method fails the conformance
            tests; nothing was trained.
    """
    user_methods = list(methods) if isinstance(methods, list | tuple) else [methods]
    seeds = ",".join(map(str, seeds)) if isinstance(seeds, list | tuple) else seeds
    names: tuple[str, ...] = ("modalities", "target", "protocol", "recipe", "seeds", "partitions", "device")
    names = (*names, "data_root", "runs", "dev", "workers")
    arguments = locals()
    request = make_request(dataset=dataset, **{name: arguments[name] for name in names})
    options = {name: getattr(request, name) for name in ("targets", *names) if name != "target"}
    chosen_set = find_set(baseline_set)
    scored = [method for method in user_methods if _is_scored(method)]
    unscored = [method for method in user_methods if not _is_scored(method)]
    plugins = [("encoder" if hasattr(method, "accepts") else "fusion", method) for method in unscored]
    plugin_names = [str(plugin_name(kind, each)) for kind, each in plugins]  # objects are stored for worker processes
    rows = [*build_user_rows(plugin_names, dataset, options), *baseline_rows(chosen_set, level, dataset, options, tune)]
    with Steps("subjects", "verified") if progress else nullcontext() as steps:
        check_readable(dataset, request.data_root, steps)
    scored_results = [] if dry_run else [_load_scored(method, dataset, options) for method in scored]
    with snapshot(), Progress() if progress else nullcontext() as bar, offline() if dry_run else nullcontext():
        watch = make_watcher(bar)
        feasible, unfit = forecast_rows(rows, watch)
        if dry_run:
            document = plan_document(chosen_set, level, dataset, feasible, unfit)
            return DryRun(document, tuple(set_plan(document, feasible[0].plan.request.runs_folder, "local")))
        check_user_methods(feasible, watch)
        finished_rows = run_rows(feasible, hours=hours, progress=watch, print_line=bar.line if bar else lambda _: None)
    all_results = [*scored_results, *map(remember_own, finished_rows.results)]
    user_ids = {result.id for result in scored_results} | {row.plan.id for row in feasible if row.row.level == "user"}
    reasons = {row.title: row.reason for row in unfit}
    return ResultTable(board_rows(all_results, user_ids), all_results, finished_rows.failures, reasons)


def _as_html(cells: Sequence[Mapping[str, str]]) -> str:
    """Return an HTML table of `cells`, a mapping from titles to texts for each row; empty if there are no rows."""
    rows = [list(cells[0]), *(list(row.values()) for row in cells)] if cells else []
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{body}</table>" if body else ""


def _is_scored(method: Any) -> bool:
    """Return True for predictions and finished runs, which need no training."""
    if isinstance(method, str | Path):
        return is_scored(str(method))
    return isinstance(method, Result) or hasattr(method, "to_csv")


def _load_scored(method: Any, dataset: str, options: Mapping[str, Any]) -> Result:
    """Return the result of a user's `method`: a finished run, or predictions to score. Code that the record of scored
    predictions names is trusted from now on (`remember_own`)."""
    if isinstance(method, Result):
        return load_user_result(method, dataset, options)
    with predictions_file(method) as path:
        return remember_own(load_user_result(str(path), dataset, options))


# `embench.run_grid` and `embench.tune`: a run for each combination of values, and settings that each fold chooses.

_PLUGINS = ("encoder", "pretrainer", "fusion")


@from_python
def run_grid(
    *,
    dataset: Texts,
    encoder: Encoders | Sequence[Encoders],
    pretrainer: AnyPretrainer | Sequence[AnyPretrainer | None] = (),
    fusion: AnyFusion | Sequence[AnyFusion | None] | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: Texts = Request.protocol,
    recipe: Texts | None = None,
    seeds: str | int | Sequence[int] | None = None,
    partitions: str | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    set: Texts | Mapping[str, Any] = (),  # noqa: A002  the option is called so
    dev: bool = False,
    confounds: bool = True,
    train_dataset: Texts | None = None,
    drop: Values = None,
    label_subjects: Values = None,
    label_fraction: Values = None,
    lag: Values = None,
    calibration_data: Values = None,
    pretrained: Texts | None = None,
    workers: int | None = None,
    observer: Texts = (),
    pretraining_comparison: bool = False,
    executor: str = "local",
    cluster: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> ResultTable | list[DryRun]:
    """Run all combinations of several values of its arguments; stages that runs share are computed once.

    A list gives an argument several values, one for each run; None is a run without that option. `seeds`, `device`,
    `observer` and folders have one value for all runs. `embench.run` explains arguments that are not listed here.

    Args:
        encoder: one or several; `{"eeg": a, "ecg": b}` is one value.
        modalities: `["eda", "ecg"]` are two runs, `"eda,ecg"` is one run on both.
        set: settings with their values, as in `{"encoder.lr": [1e-4, 1e-3]}`.
        drop: also `each`, every single modality, and `all`, every subset of the modalities except the full one.
        pretraining_comparison: also train the networks of pretrained runs from scratch and at random, and run
            handcrafted features.
        executor: executor of the stages: `local`, `slurm` or `ray`; `cluster`: its options.
        dry_run: train nothing, and return the plan of each run.

    Returns:
        A ResultTable, which prints as a table; differences are from the first run, the first value of each list. With
        `dry_run`, a DryRun for each run.

    Raises:
        UsageError, DataError: a run cannot be planned; nothing was trained.
    """
    arguments = dict(locals())
    axes = {name: _list_values(name, arguments[name.replace("-", "_")]) for name in AXES}
    shared = {name: arguments[name] for name in _SHARED}
    asked = [make_request(**shared, **point) for point in list_grid_points({k: v for k, v in axes.items() if v})]
    check_names(asked)
    points = list(dict.fromkeys(each for request in asked for each in expand_axes(request)))
    requests = split_pretrained(points)[1] if pretraining_comparison else points
    from embench.runs import run as runner  # imports torch, which is slow, so wrong arguments are refused before

    with Progress(()) if progress else nullcontext() as bar:
        watch = make_watcher(bar)
        if dry_run:
            with offline():
                documents = runner.describe_plans(requests, watch)
            return [DryRun(document, tuple(run_plan(document))) for document in documents]
        done = runner.grid(requests, executor, progress=watch, options=dict(cluster or {}))
    results = [remember_own(result) for result in done.results]
    records = [read_record(result.folder) for result in results] if pretraining_comparison else []
    compared = {(record.run["id"], target): found for record, target, found in collect_pretraining_gains(records)}
    return ResultTable(board_rows(results, reference="first"), results, done.failures, pretraining_comparisons=compared)


_SHARED = ("seeds", "partitions", "device", "data_root", "runs", "dev", "confounds", "workers", "observer")


def _list_values(name: str, value: Any) -> list[str]:
    """Return the values of an option of a grid as strings; empty if the option is not used."""
    if name == "set":
        return _list_settings(value)
    if value is None or value == ():
        return []
    return [_format_value(name, each) for each in (value if isinstance(value, list | tuple) else [value])]


def _format_value(name: str, value: Any) -> str:
    """Return a value of the argument `name` as the command line writes it."""
    if value is None:
        return "none"
    if name == "encoder" and isinstance(value, Mapping):
        return ",".join(f"{m}={plugin_name(name, each)}" for m, each in value.items())
    return str(plugin_name(name, value) if name in _PLUGINS else value)


def _list_settings(settings: Texts | Mapping[str, Any]) -> list[str]:
    """Return the settings in the form of `--set`, one text for each value."""
    if isinstance(settings, Mapping):
        pairs = ((path, each if isinstance(each, list | tuple) else [each]) for path, each in settings.items())
        return [setting for path, values in pairs for setting in request_settings(path, values)]
    return [settings] if isinstance(settings, str) else list(settings)


def request_settings(path: str, values: Iterable[Any]) -> tuple[str, ...]:
    """Return a text for each value of the setting `path`, in the form of `--set`: `("encoder.lr=0.0001", ..)`."""
    return tuple(each for value in values for each in make_request(dataset="", set={path: value}).settings)


@from_python
def tune(
    *,
    dataset: str,
    encoder: AnyEncoder | Sequence[str] | Mapping[str, AnyEncoder],
    search: Texts | Mapping[str, Any],
    trials: int = 20,
    sampler_seed: int = 0,
    pretrainer: AnyPretrainer | Sequence[AnyPretrainer] = (),
    fusion: AnyFusion | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    set: Texts | Mapping[str, Any] = (),  # noqa: A002  the option is called so
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    train_dataset: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> TuningResult:
    """Choose the settings of a method in each fold, on its validation subjects only.

    To test the choices, call `embench.run(..., tuned=found.file)` with the same arguments.

    Args:
        dataset: see `embench.run`, which explains all arguments that are not listed here.
        search: settings to search, as in `{"encoder.lr": "log:1e-4..1e-2", "encoder.batch": [16, 32]}`, or texts such
            as `"encoder.lr=log:1e-4..1e-2"`.
        trials: number of trials; the first has the method's default settings.
        sampler_seed: seed of the sampled settings.
        set: settings that all trials share.

    Returns:
        The choices: `to_pandas()` has the trials, `file` is the value for `tuned=`.

    Raises:
        UsageError, DataError: a setting does not exist, or the data are missing. Unfinished: the method fails with its
            default settings.
    """
    arguments = dict(locals())
    values = {k: v for k, v in arguments.items() if k not in ("search", "trials", "sampler_seed", "progress")}
    if isinstance(search, Mapping):
        pairs = search.items()
        space = [f"{k}={','.join(map(str, v)) if isinstance(v, list | tuple) else v}" for k, v in pairs]
    else:
        space = [search] if isinstance(search, str) else list(search)
    from embench.planning.tuning import parse_space
    from embench.runs import tuning  # imports torch, which is slow, so wrong arguments are refused before

    parse_space(space)
    request = request_with(values)
    with Progress(()) if progress else nullcontext() as bar:
        return tuning.tune(request, Search(space=tuple(space), trials=trials, seed=sampler_seed), make_watcher(bar))
