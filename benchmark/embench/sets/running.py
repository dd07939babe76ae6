"""Forecast and run the rows of a baseline set, and the user's own methods next to them."""

from __future__ import annotations

import math
import platform
import shlex
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench import registry
from embench.data import checks
from embench.data.checks import check_dataset_files
from embench.data.describe import DataReport
from embench.data.find import find_source
from embench.engine import device as machine
from embench.engine.predict import SINGLE_ROWS
from embench.engine.rows import build_grid
from embench.engine.stage import Folder, Part, Stage
from embench.errors import CheckFailed, DataError, EmbenchError, MachineError, UsageError
from embench.files import (
    cache_root,
    cached_call,
    digest,
    make_folder,
    read_checked,
    read_text,
    snapshot,
    write_checked,
    write_text,
)
from embench.interfaces.fusion import Estimator, Fusion
from embench.planning.gpus import describe_hours
from embench.planning.graph import stage_folder
from embench.planning.plan import (
    CHEAP,
    Plan,
    default_workers,
    estimate_cheap_stages,
    estimate_fit_s,
    find_pending_stages,
    forecast,
    forecast_stages,
    make,
    total_seconds,
)
from embench.planning.request import format_command
from embench.records.record import RUN_FILE, is_own, read_manifest
from embench.records.wording import format_duration, format_figure, format_score
from embench.registry.catalogue import display_name, is_object, object_facts
from embench.registry.loading import classes_in
from embench.runs import external, guards
from embench.runs import run as runner
from embench.runs.evaluate import device_name
from embench.runs.tuning import name_tuning_file, tune
from embench.sets.files import ALL_TOGETHER, EACH_ALONE, BaselineSet, RowRule
from embench.sets.rows import BaselineRow, rows_of_rules
from embench.sets.table import best_control
from embench.statistics import metric_facts
from embench.statistics.answerable import unique_as_json
from embench.statistics.answers import TargetAnswers
from embench.statistics.result import Result
from embench.store import Store, derive
from embench.store.fingerprint import synthetic
from embench.system import EventCallback, ProgressCallback, fitting, installed_version
from embench.vocabulary import did_you_mean, label

# Forecast for features and estimators: embench measures how long this machine needs for the features of one recording,
# and for fitting an estimator to random numbers in the shape of a fold's training data. Only times are cached.

_MOST_ROWS, _FIRST_ROWS = 2000, 200
"""Maximum number of training rows in a timed fit; larger fits are extrapolated from this number and its half. Second:
number of rows in a fit before it, which loads libraries."""


class FeaturesCost(NamedTuple):
    """Seconds that one process needs for a modality's features of all units, and the number of features of a unit."""

    seconds: float
    width: int


def features_cost(plan: Plan, modality: str) -> FeaturesCost:
    """Return the cost of a modality's features, extrapolated from one recording and cached for the same data."""
    part, store = plan.method.encoders[modality], plan.fit.store
    key = (features_cost, store.key, modality, part.name, part.code, digest(part.recipe.to_mapping()))
    return cached_call(key, lambda: _features_cost(plan, store, modality, part))


def _features_cost(plan: Plan, store: Store, modality: str, part: Part) -> FeaturesCost:
    encoder = registry.load_plugin("encoder", part.name)(part.recipe)
    there = derive.joined(store, modality).spans
    units = [unit for unit in plan.fit.units if unit.recording in there]
    counts = Counter(unit.recording for unit in units)
    recording = sorted(counts, key=lambda name: (counts[name], name))[len(counts) // 2]
    spans = np.array([(unit.start, unit.stop) for unit in units if unit.recording == recording])
    seconds, values = _measure_time(lambda: derive.features_in(store, modality, encoder, recording, spans))
    return FeaturesCost(seconds * len(units) / len(spans), 0 if values is None else math.prod(values.shape[1:]))


def training_rows(plan: Plan, *, validation: bool = False) -> int:
    """Return the number of training rows in a method's first fold, with its validation rows if `validation`."""
    stage = next(stage for stage in plan.graph.stages.values() if "role" in stage.task)
    return len(_row_positions(stage, (0, 1) if validation else (0,)))


def _row_positions(stage: Stage[Any], roles: Sequence[int] = (0,)) -> np.ndarray:
    """Return the positions (n,) of the units of a stage's rows with these roles (0: training, 1: validation)."""
    train = np.flatnonzero(np.isin(stage.task["role"], roles))
    where = (stage.task[name][train] for name in ("recording", "start", "stop"))
    return train[build_grid(stage.params.modalities, stage.params.recipe.view, *where).unit]


def estimator_seconds(plan: Plan, width: int) -> float:
    """Return the seconds for fitting a plan's estimator to the rows of its first fold, each of `width` numbers. The
    time is cached for equal estimators, labels and widths. It is 0 where the timed fit fails; the run will report the
    error."""
    stage = next(stage for stage in plan.graph.stages.values() if stage.kind == "estimator")
    part = plan.method.fusion
    about = (part.name, part.code, digest(part.recipe.to_mapping()), digest(stage.task["y"]), width)
    here = [platform.node(), platform.machine(), *(installed_version(name) for name in ("numpy", "scikit-learn"))]
    place = cache_root() / "forecasts" / digest([*about, *here])
    with suppress(Exception):
        if known := read_checked(place):
            return float(known)
        seconds = _time_fit(plan, stage, width)
        write_checked(place, repr(seconds).encode())
        return seconds
    return 0.0


def _time_fit(plan: Plan, stage: Stage[Any], width: int) -> float:
    at = _row_positions(stage)
    y, target, rng = stage.task["y"][at, 0], plan.test.targets[0], np.random.default_rng(0)
    at, y = at[np.isfinite(y)], y[np.isfinite(y)]
    kind: type[Estimator] = registry.load_plugin("fusion", plan.method.fusion.name)

    def fitting(rows: int) -> Callable[[], None]:
        part = rng.permutation(len(y))[:rows]
        X, subjects = rng.standard_normal((len(part), width)), stage.task["recording"][at[part]].astype(str)
        machine.seed_everything(0, stage.params.common.threads, "cpu")
        estimator = kind(plan.method.fusion.recipe, 0, target.kind, target.n, plan.method.modalities)

        def work() -> None:
            estimator.fit(X, y[part], subjects, np.ones(len(part)))
            for row in range(min(SINGLE_ROWS, len(X))):  # stages also score single rows, as a check
                estimator.score(X[row : row + 1])

        return work

    def seconds(rows: int) -> float:
        return _measure_time(fitting(rows), fitting(min(rows, _FIRST_ROWS)))[0]

    if len(y) <= _MOST_ROWS:
        return seconds(len(y))
    half, whole = seconds(_MOST_ROWS // 2), seconds(_MOST_ROWS)
    power = min(2.0, max(1.0, math.log2(whole / half))) if half > 0 and whole > 0 else 1.0
    return whole * (len(y) / _MOST_ROWS) ** power


def _measure_time(work: Callable[[], Any], first: Callable[[], Any] | None = None) -> tuple[float, Any]:
    """Return the CPU seconds of `work` with one thread, and its result. The function `first`, by default `work` itself,
    is called before, since a first call loads libraries."""
    with fitting(1):
        (first or work)()
    with fitting(1):  # again, for the libraries that were loaded
        began = time.process_time()
        result = work()
        return time.process_time() - began, result


# Forecast of the rows of a set on this machine: hours, memory and disk.

SCORED_S, AUDITED_S = 0.03, 0.08
"""Measured CPU seconds for scoring, and for auditing, one hour of sessions in one seed and target."""
PROCESS_MB, PREDICT_S = 500.0, 0.1
"""Memory of a stage's process without data, in MB; and seconds of a stage that only predicts."""


@dataclass(frozen=True)
class RowForecast:
    """A row that can be run, with its plan and its forecast costs.

    Args:
        seconds: stage id -> seconds; measured for finished stages.
        once: name -> seconds of work that rows may share (features, confound models), and of the audit.
        scored_s: seconds for scoring.
        memory_mb: memory of all processes together; measured for finished rows.
        disk_mb: size that the row adds to the runs folder.
        trials: number of trials if the row is still to be tuned, and `plan` has the default settings; else 0.
    """

    row: BaselineRow
    plan: Plan
    seconds: Mapping[str, float]
    once: Mapping[str, float]
    scored_s: float
    memory_mb: float
    disk_mb: float
    trials: int = 0

    @property
    def done(self) -> bool:
        """True if the row has a record."""
        return not self.trials and (self.plan.folder / RUN_FILE).is_file()

    @property
    def measured(self) -> bool:
        """False if times are extrapolated from a few steps on a GPU, without any finished run in the runs folder."""
        device, runs = self.plan.setting.device, self.plan.request.runs_folder
        return device == "cpu" or cached_call((has_finished, runs, device), lambda: has_finished(runs, device))

    def left_s(self, counted: Collection[str] = ()) -> float:
        """Return the seconds until the row is finished, without the `counted` stages and shared parts of other rows."""
        if self.done:
            return 0.0
        workers, stages = _get_workers(self.plan), self.plan.graph.stages.values()
        once = sum(seconds for name, seconds in self.once.items() if name not in counted)
        if self.trials:
            return self.trials * (total_seconds(self.seconds.values(), workers) + self.scored_s) + once
        todo = find_pending_stages((stage for stage in stages if stage.id not in counted), _get_root(self.plan))
        return total_seconds((self.seconds[stage.id] for stage in todo), workers) + once + self.scored_s

    @property
    def parts(self) -> set[str]:
        """Ids of stages and names of shared parts that `left_s` counts."""
        return {*self.seconds, *self.once}


def has_finished(runs: Path, device: str) -> bool:
    """Return True if the folder `runs` has the record of a run on this device."""
    name = device_name(device)
    return any(read_manifest(path.parent).device == name for path in runs.glob(f"*/*/{RUN_FILE}"))


def forecast_times(rows: Sequence[RowForecast]) -> Iterator[float]:
    """Yield the seconds that each row takes after the rows before it, with which it shares stages and parts."""
    counted: set[str] = set()
    for row in rows:
        yield row.left_s(counted)
        counted |= set() if row.done else row.parts


def tuned_plan(row: BaselineRow, plan: Plan, progress: EventCallback | None = None) -> Plan | None:
    """Return the plan with the settings that a row's search has chosen in place of `plan`'s; None if it has not."""
    if row.search and (file := name_tuning_file(plan, row.search)).is_file():
        return make(replace(row.request, tuned=file), progress)
    return None


def apply_tuning(row: RowForecast) -> RowForecast:
    """Return a row with the plan of the settings that its search has chosen since the forecast."""
    chosen = tuned_plan(row.row, row.plan) if row.trials else None
    return replace(row, plan=chosen, trials=0) if chosen else row


@snapshot()
def forecast_rows(
    rows: Sequence[BaselineRow], progress: EventCallback | None = None
) -> tuple[list[RowForecast], list[BaselineRow]]:
    """Return the rows that can be run, with their costs, and the other rows, with the reason. Data are prepared, and a
    few steps of networks are run, if necessary.

    The user's own methods come first, then methods on features, then networks; within these, shorter rows come first,
    and defaults come before tuned rows. Requests for the same run give one row.

    Raises:
        UsageError: no row can be run.
    """
    forecasts, unfit = dict[tuple[str, int], RowForecast](), list[BaselineRow]()
    for row in rows:
        if row.reason:
            unfit.append(row)
            continue
        try:
            plan = make(row.request, progress)
            chosen = tuned_plan(row, plan, progress)
            trials = row.search.trials if row.search and not chosen else 0
            plan = chosen or plan
            if (plan.id, trials) not in forecasts:
                forecast = _forecast_row(row, plan)
                forecasts[plan.id, trials] = replace(forecast, trials=trials, disk_mb=forecast.disk_mb * (trials or 1))
        except EmbenchError as error:
            unfit.append(replace(row, reason=error.what))
    if not forecasts:
        reasons = "; ".join(dict.fromkeys(row.reason for row in unfit))
        what = f"no row of the set fits this dataset: {reasons or 'it has none'}"
        raise UsageError(what, hint="embench list baselines")
    defaults = {f.row.request: sum(f.seconds.values()) for f in forecasts.values() if not f.row.search}

    def place(each: RowForecast) -> tuple[bool, bool, float, bool]:
        own, seconds = each.row.level == "user", defaults.get(each.row.request, 0.0)
        return not own, each.plan.method.inputs != "features", seconds, bool(each.row.search)

    return sorted(forecasts.values(), key=place), unfit


def _forecast_row(row: BaselineRow, plan: Plan) -> RowForecast:
    root, stages = _get_root(plan), list(plan.graph.stages.values())
    todo = find_pending_stages(stages, root)
    waiting = {stage.id for stage in todo}
    seconds = {s.id: Folder(root, s.id).seconds() or 0.0 for s in stages if s.id not in waiting}
    seconds |= dict.fromkeys(waiting, PREDICT_S)
    once, width, parameters = dict[str, float](), 0, 0
    if todo and plan.method.inputs == "features":
        computed = any(stage.kind == "estimator" and stage.id not in waiting for stage in stages)
        for m, part in plan.method.encoders.items():
            cost = features_cost(plan, m)
            once |= {} if computed else {f"features {part.name} {m}": cost.seconds / _get_workers(plan)}
            width += cost.width
        fit_s = estimator_seconds(plan, width)
        seconds |= {stage.id: PREDICT_S + fit_s for stage in todo if stage.kind == "predict"}
    elif any(stage.kind not in CHEAP for stage in todo):
        seconds |= forecast_stages(todo)
        with suppress(Exception):  # a trial that fails is reported where it is run
            parameters = forecast(plan.graph, 1)["parameters"]
    seconds |= estimate_cheap_stages(stages, root)
    size = sum(plan.test.sessions.values()) / 3600 * len(plan.folds) * len(plan.test.targets)
    if not (row.request.dev or (plan.folder / RUN_FILE).is_file()):
        once |= _forecast_nuisances(plan) if row.request.confounds else {}
        if plan.test.store.synthetic is None:
            once[f"audit of {plan.id}"] = AUDITED_S * size
    sizes = _estimate_memory(plan, width, parameters), _estimate_disk(todo, plan, width, parameters)
    return RowForecast(row, plan, seconds, once, SCORED_S * size, *sizes)


def _forecast_nuisances(plan: Plan) -> dict[str, float]:
    """Return name -> seconds for fitting the confound models of each seed, which rows share."""
    seeds, targets = plan.request.seed_list, ",".join(target.name for target in plan.test.targets)
    about = f"{plan.protocol.hash} {plan.test.store.key} {targets}"
    whole = cached_call((estimate_fit_s, about, seeds), lambda: estimate_fit_s(plan.test, plan.protocol, seeds))
    return {f"nuisances {about} {seed}": whole / len(seeds) for seed in seeds}


def _estimate_memory(plan: Plan, width: int, parameters: int) -> float:
    """Return the memory of all processes in MB: as measured for a finished row, else estimated from the data of a stage
    and the weights, gradients and moments of a network.

    Args:
        width: number of features of a row; 0 for a network.
        parameters: number of parameters of the network.
    """
    if (plan.folder / RUN_FILE).is_file() and (measured := read_manifest(plan.folder).cost.peak_memory_mb):
        return measured * _get_workers(plan)
    if width:
        own = 3 * 8 * training_rows(plan) * width
    else:
        modalities = [m for name in plan.method.modalities for m in name.split("+")]
        names = [m.partition("[")[0] for m in modalities]
        own = sum(plan.fit.store.array(m).nbytes for m in names if m != "video") + 16 * parameters
    return (PROCESS_MB + own / 1e6) * _get_workers(plan)


def _estimate_disk(todo: Sequence[Stage[Any]], plan: Plan, width: int, parameters: int) -> float:
    """Return the size in MB of the files that stages will write: features or weights, and predictions."""
    size = 0
    for stage in todo:
        if stage.kind == "predict":
            size += 8 * len(stage.task["recording"])
        else:
            size += 4 * training_rows(plan, validation=True) * width if stage.kind == "estimator" else 4 * parameters
    return size / 1e6


def _get_root(plan: Plan) -> Path:
    return stage_folder(plan.request.runs_folder)


def _get_workers(plan: Plan) -> int:
    return plan.request.workers or default_workers({plan.setting.device})


# The plan of a baseline set.


def plan_document(
    found: BaselineSet,
    level: str,
    dataset: str,
    able: Sequence[RowForecast],
    unfit: Sequence[BaselineRow],
    gpu: str | None = None,
) -> dict[str, Any]:
    """Return the plan of a set as `--dry-run --json` prints it: its rows in order, with the time that each adds; also
    that on a `gpu`, if one is named."""
    rows: list[dict[str, Any]] = [
        {
            "row": each.row.title,
            "level": each.row.level,
            "run": None if each.trials else each.plan.id,
            "device": each.plan.setting.device,
            "measured": each.measured,
            "done": each.done,
            "expected_s": round(left_s, 1),
            "memory_mb": round(each.memory_mb),
            "disk_mb": 0.0 if each.done else round(each.disk_mb, 1),
            "command": _get_command(each),
        }
        for each, left_s in zip(able, forecast_times(able), strict=True)
    ]
    if gpu:
        for row, hours in zip(rows, _forecast_hours(able, gpu), strict=True):
            row["gpu_hours"] = hours
    return {
        "set": found.name,
        "hash": found.hash,
        "draft": found.draft,
        "level": level,
        "dataset": dataset,
        "paper": found.paper,
        "recipes": list(dict.fromkeys(each.plan.method.preset for each in able)),
        "synthetic": able[0].plan.test.store.synthetic is not None,
        "expected_s": round(sum(row["expected_s"] for row in rows), 1),
        **({"gpu": gpu} if gpu else {}),
        "memory_mb": max(row["memory_mb"] for row in rows),
        "disk_mb": round(sum(row["disk_mb"] for row in rows), 1),
        "cannot_answer": unique_as_json([found for each in able for found in each.plan.unanswerable()]),
        "rows": rows,
        "does_not_fit": [{"row": row.title, "level": row.level, "reason": row.reason} for row in unfit],
    }


def _forecast_hours(rows: Sequence[RowForecast], gpu: str) -> Iterator[list[float]]:
    """Yield the lower and upper end of the hours that each row adds on a GPU, finished stages included."""
    counted = dict[str, Stage[Any]]()
    for row in rows:
        added = {id_: stage for id_, stage in row.plan.graph.stages.items() if id_ not in counted}
        counted |= added
        hours = describe_hours(list(added.values()), gpu)["hours"]
        yield [end * max(row.trials, 1) for end in hours]


def _get_command(each: RowForecast) -> str:
    """Return the command that runs a row, or that tunes it if it is still to be tuned."""
    search = each.row.search
    if not each.trials or search is None:
        return format_command(vars(each.plan.request if search else each.row.request))
    words = [word for text in search.space for word in ("--search", text)]
    command = format_command(vars(each.row.request)).replace("embench run", "embench tune", 1)
    return f"{command} {shlex.join([*words, '--trials', str(search.trials)])}"


# The user's own methods (`--with`): plugins by name or in files, predictions, and finished runs.

WHERE = "--method"
_EXPECTED = "the name of an encoder, fusion or estimator, FILE.py:Class, a CSV file of predictions, or a run's folder"
_FEATURES, _NETWORK = "handcrafted", "cnn_tf"
"""Encoder that is combined with the user's own estimator, and with the user's own fusion."""


def build_user_rows(names: Sequence[str], dataset: str, options: Mapping[str, Any]) -> list[BaselineRow]:
    """Build the rows of the user's own methods, which are named as in `--with`; see `build_user_rules`.

    Raises:
        UsageError: a method does not exist, or reads no modality of this dataset.
        PluginError: it cannot be imported.
    """
    rows = []
    for name in names:
        found = rows_of_rules([("user", rule) for rule in build_user_rules(name)], dataset, options)
        if not any(not row.reason for row in found):
            reasons = "; ".join(dict.fromkeys(row.reason for row in found))
            raise UsageError(f"{display_name(name)} fits no part of {dataset}: {reasons}", where=f"{WHERE} {name}")
        rows += found
    return rows


def build_user_rules(name: str) -> list[RowRule]:
    """Build the rules for the rows of the user's own method.

    - An estimator is fitted to handcrafted features of each modality, and of all together.
    - An encoder that computes features is combined with linear estimators, on each modality and on all together.
    - An encoder that is a network reads each modality, and all together with the fusion `late`.
    - A fusion joins networks of the encoder `cnn_tf`.
    """
    kind, plugin = _find_method(name)
    both, late = (EACH_ALONE, ALL_TOGETHER), (ALL_TOGETHER,)
    if kind == "fusion":
        if issubclass(plugin, Estimator) and plugin.reads == "features":
            return [RowRule(encoder=(_FEATURES,), fusion=(name,), modalities=both)]
        return [RowRule(encoder=(_NETWORK,), fusion=(name,), modalities=late)]
    if "features" in plugin.offers:
        return [
            RowRule(encoder=(name,), fusion=("logreg",), modalities=both, targets="classes"),
            RowRule(encoder=(name,), fusion=("ridge",), modalities=both, targets="values"),
        ]
    return [RowRule(encoder=(name,)), RowRule(encoder=(name,), fusion=("late",), modalities=late)]


def is_scored(text: str) -> bool:
    """Return True if a text names a file of predictions or the folder of a run, which need no training."""
    return text.endswith((".csv", ".csv.gz")) or Path(text, RUN_FILE).is_file()


def load_user_result(source: str | Result, dataset: str, options: Mapping[str, Any]) -> Result:
    """Return a finished run, or the score of predictions in a CSV file with these options.

    Raises:
        UsageError: the run is on another dataset.
        UsageError, DataError, CheckFailed: see `embench.score` and `embench.open_result`.
    """
    if isinstance(source, str) and not Path(source, RUN_FILE).is_file():
        if options.get("dev"):
            what = "predictions of other code cover test subjects only, so validation subjects cannot be scored"
            raise UsageError(what, where=f"{WHERE} {source}", expected="no --dev")
        fields = {name: options[name] for name in ("protocol", "targets", "data_root", "runs") if options.get(name)}
        return external.score(Path(source), dataset, **fields)
    result = source if isinstance(source, Result) else Result.read(Path(source))
    named, wanted = result.manifest["dataset"]["name"], find_source(dataset, options.get("data_root")).full_name
    if named != wanted:
        what = f"{result.id} is a run on {named}"
        raise UsageError(what, where=f"{WHERE} {result.folder}", expected=f"one on {wanted}")
    return result


def check_user_methods(rows: Sequence[RowForecast], progress: EventCallback) -> None:
    """Run the conformance checks of the user's own methods, before anything is trained.

    Raises:
        CheckFailed: a method does not conform; the message names the failed check.
    """
    for row in rows:
        if row.row.level == "user":
            for part, found in guards.check_conformance(row.plan, progress).items():
                if found != guards.PASSED and not part.startswith("dataset"):
                    what = f"{row.row.title}: its {part} {found.removeprefix('failed: ')}"
                    expected = "a method that passes its checks, before hours of training its baselines"
                    hint = "for details: embench plugin check; embench.run runs the method without this check"
                    raise CheckFailed(what, where=WHERE, expected=expected, hint=hint)


def _find_method(name: str) -> tuple[str, type[Any]]:
    """Return kind and class of an encoder, fusion or estimator that `--with` names."""
    file, _, cls = name.rpartition(":")
    if is_object(name):
        kinds = [str(object_facts(name)["kind"])]
    elif file.endswith(".py"):
        if not Path(file).expanduser().is_file():
            raise UsageError(f"the file {file} does not exist", where=f"{WHERE} {name}", expected=_EXPECTED)
        found = next((each for each in classes_in(Path(file)) if each.__name__ == cls), object)
        kinds = ["fusion"] if issubclass(found, Fusion | Estimator) else ["encoder"]
    else:
        kinds = []
        for kind in ("encoder", "fusion"):
            with suppress(UsageError):
                registry.find(kind, name)
                kinds.append(kind)
    if not kinds:
        known = [each for kind in ("encoder", "fusion") for each in registry.list_plugins(kind)]
        hint = did_you_mean(name, known) or "to list the methods: embench list encoder; embench list fusion"
        raise UsageError(f"no method has the name `{name}`", where=f"{WHERE} {name}", expected=_EXPECTED, hint=hint)
    return kinds[0], registry.load_plugin(kinds[0], name)


# Runs of the rows of a set, after a check of the data, with a line for each row and a file for each failed row.

TUNED = "-tuned"
"""Suffix in the name of a file that says why a row could not be tuned."""


def check_readable(dataset: str, data_root: Path | None, progress: ProgressCallback | None = None) -> Mapping[str, Any]:
    """Return the shareable report on a dataset's files; verify the files unless the same ones were verified before.

    Raises:
        DataError: files are missing or unusable.
    """
    source = find_source(dataset, data_root)
    name, reader = source.entry.full_name, source.owners_reader()
    code = registry.code_identity("dataset", name)
    known = checks.recall(reader, code, cache_root())
    if known is not None and not known["errors"] and known.get("report"):
        return dict(known["report"])
    report, made_by = DataReport(), registry.load_plugin("dataset", name)
    checked = check_dataset_files(reader, name, cache_root(), progress, report.add)
    shared = report.document(name, code, made_by, reader.card, checked, synthetic=synthetic(reader.root) is not None)
    checks.remember(reader, code, checked, cache_root(), shared)
    if faults := [finding for finding in checked.findings if finding.severity == "error"]:
        raise DataError(
            f"{len(faults)} finding{'s' if len(faults) > 1 else ''} in the files of {reader.card.title} "
            f"{'are errors' if len(faults) > 1 else 'is an error'}, so nothing was trained: {faults[0].what}",
            where=f"{reader.root}, {faults[0].where}" if faults[0].where else str(reader.root),
            expected="unchanged files that the dataset reader can use",
            hint=f"to list all findings: embench data verify {dataset}",
        )
    return shared


def run_rows(
    rows: Sequence[RowForecast],
    *,
    hours: float | None = None,
    progress: EventCallback | None = None,
    print_line: Callable[[str], None],
    finished: Callable[[RowForecast], str] | None = None,
    executor: str = "local",
    cluster: Mapping[str, str] | None = None,
) -> runner.GridResult:
    """Run rows in order, or load them if they are finished; a failed row does not stop the others.

    Args:
        hours: time limit; rows are then run one by one, and a row is not started if its forecast exceeds the limit.
        print_line: function that is called with a line for each row: its primary metric next to the best confound-only
            model, why it failed, or that it was not started.
        finished: function that is called with each finished row; its text is added to the row's line.
        executor, cluster: executor of the stages, and its options; see `embench.runs.run.grid`.

    Raises:
        MachineError: a worker was killed, or nothing can be written. Repeat the call to resume.
    """
    began, counted, number = time.monotonic(), set[str](), 0
    results: list[Result] = []
    failures: dict[str, EmbenchError] = {}
    by_id = {row.plan.id: row for row in rows}

    def ended(plan: Plan, end: Result | EmbenchError, mark: str = "") -> None:
        nonlocal number
        number += 1
        row = batch[0] if len(batch) == 1 else by_id[plan.id]
        file = _failure_file(plan, mark)
        if isinstance(end, EmbenchError):
            line = f"failed: {end.what}; {file}"
            make_folder(file.parent)
            again = format_command(vars(plan.request))
            write_text(file, f"{plan.method.title}\n{again}\n{end.label}: {end}\n")
        else:
            line = "; ".join(_format_result(end, found) for found in end.answers.values())
            file.unlink(missing_ok=True)
            line += f"; {finished(replace(row, plan=plan, trials=0))}" if finished else ""  # `plan` may be tuned
        print_line(f"{number} of {len(rows)}: {row.row.title}: {line}")

    one_by_one = hours is not None or any(row.trials for row in rows)
    for batch in [[row] for row in rows] if one_by_one else [list(rows)]:
        if hours is not None:
            needed, left = batch[0].left_s(counted), hours * 3600 - (time.monotonic() - began)
            if needed > left:
                number += 1
                about = f"about {format_duration(needed)}, but only {format_duration(max(0.0, left))} are left"
                print_line(f"{number} of {len(rows)}: {batch[0].row.title}: not started: the row takes {about}")
                continue
        requests = [row.plan.request for row in batch]
        if batch[0].trials and (search := batch[0].row.search):
            try:
                requests = [tune(batch[0].row.request, search, progress).request]
            except MachineError:
                raise
            except EmbenchError as error:
                ended(batch[0].plan, error, TUNED)
                failures[batch[0].row.title] = error
                continue
        done = runner.grid(requests, executor=executor, options=cluster, progress=progress, ended=ended)
        results += done.results
        failures |= done.failures
        counted |= {name for row in batch for name in row.once}
    return runner.GridResult(tuple(results), failures)


def why_failed(row: RowForecast) -> str:
    """Return the reason why a row failed; empty if it was not run. For the user's own data, return only the kind of
    error, since messages may quote files."""
    with suppress(OSError, IndexError):
        file = _failure_file(row.plan, TUNED if row.trials else "")
        label, _, what = read_text(file).splitlines()[2].partition(": ")
        return f"failed: {label}" if is_own(row.plan.dataset) else f"failed: {what}"
    return ""


def _failure_file(plan: Plan, mark: str) -> Path:
    return plan.request.runs_folder / "failures" / f"{plan.id}{mark}.txt"


def _format_result(result: Result, found: TargetAnswers) -> str:
    """Return a text with the primary metric of a target, and that of the best confound-only model."""
    name, best = found.display_metric, best_control(result, found.target, found.display_metric)
    score = format_score(result.scores.get_score(found.target, name), missing="not estimable")
    text = f"{found.target}: {metric_facts(name).title} {score}"
    if best is None:
        return text
    return f"{text}; best model without a signal {format_figure(best.scores[name].mean)} ({label(best.name)})"
