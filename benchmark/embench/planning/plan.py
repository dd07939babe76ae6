"""The plan of a run, made before training, and the forecast of its time, memory and disk space."""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from embench import registry
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets
from embench.data.find import Source
from embench.engine import device as machine
from embench.engine import fits, network
from embench.engine.feed import Data
from embench.engine.loop import count_flops, make_optimiser
from embench.engine.rows import build_grid
from embench.engine.stage import FitParams, Folder, PretrainParams, Stage
from embench.errors import DataError, Refusals, UsageError
from embench.files import cached_call, digest, snapshot
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.metric import Undefined
from embench.nn import Model
from embench.planning import weights
from embench.planning.combination import check_combination
from embench.planning.compatibility import check_views, list_inputs
from embench.planning.graph import Builder, Graph, Setting, locate_data, stage_folder
from embench.planning.method import (
    assumed_fields,
    departures,
    pin_assets,
    replace_paths,
    resolve_method,
)
from embench.planning.parts import (
    FUSION,
    Method,
    check_losses,
    find_normalisation,
    parse_drop,
    parse_given,
    parse_label_fraction,
    parse_label_subjects,
)
from embench.planning.request import Request, format_command
from embench.planning.tuning import Tuning, hash_tuned_method, read_tuning
from embench.planning.weights import (
    check_data_present,
    check_handovers,
    check_rest_alone,
    share_defaults,
    sources,
    trained_on,
)
from embench.protocols import Fold, Protocol, count_leaks, describe_leaks, load_protocol
from embench.reasons import Reason
from embench.records.manifest import MethodKind, Overlap, default_seeds
from embench.records.pretraining_comparison import RANDOM
from embench.records.wording import name_without_package
from embench.statistics.answerable import describe_difference, published_spread, simulated_power
from embench.statistics.confound_test import make_studies
from embench.statistics.nuisance_columns import Study, is_published
from embench.statistics.nuisance_models import careful_trees
from embench.statistics.nuisance_movement import (
    accelerometer_features,
    adjusted_modalities,
    behaviour_features,
    read_windows,
)
from embench.store import blank_clips
from embench.system import EventCallback, cores, fitting, throttle_progress

if TYPE_CHECKING:
    from embench.statistics.answerable import UnanswerableTarget


# Expected duration of pending stages, individually and in total, from finished stages of the same kind.

CHEAP = ("estimator", "predict")
"""Kinds of stages that train no network. Their time is unknown until a stage of the same kind has finished."""


def find_pending_stages(stages: Iterable[Stage[Any]], root: Path) -> list[Stage[Any]]:
    """Return the stages of a graph that are not finished."""
    return [stage for stage in stages if not Folder(root, stage.id).done]


def estimate_cheap_stages(stages: Sequence[Stage[Any]], root: Path) -> dict[str, float]:
    """Return id -> expected seconds of each unfinished stage without a network, from finished stages of its kind."""
    durations: dict[str, list[float]] = defaultdict(list)
    todo = []
    for stage in stages:
        if stage.kind in CHEAP:
            folder = Folder(root, stage.id)
            if not folder.done:
                todo.append(stage)
            elif (seconds := folder.seconds()) is not None:
                durations[stage.kind].append(seconds)
    return {stage.id: median(durations[stage.kind]) for stage in todo if stage.kind in durations}


def total_seconds(seconds: Iterable[float], workers: int) -> float:
    """Return the seconds until all tasks are finished, if each free worker takes the next waiting task.

    >>> total_seconds([10, 10, 10], 2), total_seconds([], 2)
    (20.0, 0.0)
    """
    free_at = [0.0] * max(workers, 1)  # a heap: the worker that is free first comes first
    for duration in seconds:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


# Forecast of the time to fit the confound models of a dataset's labels, as scores need them. Only one
# model is fitted, and a few windows are read.

_COLUMNS = 112
"""Columns of the confound model whose time is measured: as many as in the models that take most of the time."""
_CLOCK, _MOVEMENT, _BEHAVIOUR, _CONTACT = 0.6, 12.5, 2.0, 0.8
"""Time of all models of a fold, in multiples of the measured model: models of time, of the accelerometer, of other
movement modalities, of signal quality. Measured with 2,000 and 9,000 training units; error below one sixth."""
_WINDOWS = 64


def estimate_fit_s(cohort: Cohort, protocol: Protocol, seeds: Sequence[int]) -> float:
    """Return the seconds to fit the confound models that a run needs and that are not cached; without the placebo."""
    if protocol.leaks:
        return 0.0
    studies = make_studies(cohort, protocol, {target.name: seeds for target in cohort.targets})
    by_target = [list(by_seed.values()) for by_seed in studies.values() if not isinstance(by_seed, Undefined)]
    if not by_target:
        return 0.0
    seconds, study = 0.0, by_target[0][0]
    for target_studies in by_target:
        fitted = {each.fitted.seed: each.fitted for each in target_studies}  # seeds share them
        if models := sum(map(_sum_model_costs, fitted.values())):
            seconds += models * _measure_model_s(target_studies[0]) / cores()
    if acc := cohort.store.modalities.get("acc"):
        rate = acc.rate
        if not study.observed.is_cached("movement"):
            seconds += _estimate_reading_s(
                study, lambda units: accelerometer_features(read_windows(cohort, "acc", units), rate)
            )
    if _has_behaviour(study) and not study.observed.is_cached("behaviour"):
        seconds += _estimate_reading_s(study, lambda units: behaviour_features(cohort, units))
    return seconds


def _sum_model_costs(study: Study) -> float:
    """Return the cost of all models that are neither cached nor published, in multiples of the measured model's."""
    has_acc = "acc" in study.cohort.store.modalities
    local = _CLOCK + _MOVEMENT * has_acc + _BEHAVIOUR * _has_behaviour(study)
    costs = {"local": local, "contact": _CONTACT}
    missing = [name for name in costs if not (study.is_cached(name) or is_published(name, study))]
    return len(study.parts) * sum(costs[name] for name in missing)


def _has_behaviour(study: Study) -> bool:
    """Return True if the dataset has movement modalities besides the accelerometer."""
    return bool(set(adjusted_modalities(study.cohort.store)) - {"acc"})


def _measure_model_s(study: Study) -> float:
    """Return the seconds to fit one confound model to noise, with as many units as a fold of the study trains on."""
    train, _ = study.parts[0]
    classes = study.target.traits.has_classes
    x = np.random.default_rng(0).standard_normal((len(train), _COLUMNS))
    y = study.y[train].astype(int) if classes else study.y[train]
    with fitting(1):
        return _measure_shortest(lambda: careful_trees(0, classes).fit(x, y))


def _estimate_reading_s(study: Study, read: Callable[[np.ndarray], object]) -> float:
    """Return the seconds that `read` takes for all units, extrapolated from a few."""
    few = study.units[np.unique(np.linspace(0, len(study.units) - 1, _WINDOWS).astype(int))]
    return _measure_shortest(lambda: read(few)) * len(study.units) / len(few)


def _measure_shortest(work: Callable[[], object]) -> float:
    """Return the shorter processor time in s of two calls of `work`, since the first call includes imports."""
    durations = []
    for _ in range(2):
        began = time.process_time()
        work()
        durations.append(time.process_time() - began)
    return min(durations)


# Forecast of a plan's cost: networks are built and run on a few rows, on the device that will train.

ROWS = 2  # for CPUs, where a row of a paper's network takes seconds
_LONG_STEP_S = 10.0
"""Seconds of a training step on a CPU above which only one step is measured."""
_STEPS = 5
"""Most steps that are measured on a CPU; the shortest counts."""
_FORWARD = 1 / 3
"""Time of a row in a forward pass, as a proportion of its time in training."""


def forecast(
    graph: Graph, workers: int, done: Collection[str] = (), known: Mapping[str, float] = MappingProxyType({})
) -> dict[str, Any]:
    """Return `parameters` and `flops` (one row, forward) of one fold's networks, and `expected_s` of unfinished stages.

    A pretraining row is assumed to cost as much as a training row of the same encoders. Stages on frozen networks are
    neglected, since they cost little compared with the networks.

    Args:
        done: ids of finished stages.
        known: id -> expected seconds of unfinished stages that train no network, as far as known. These seconds are
            included in `expected_s`."""
    measured = measure_networks(graph.stages.values())
    waiting = [stage for id_, stage in graph.stages.items() if id_ not in done]
    return {
        "parameters": sum(m[0] for m in measured.values()),
        "flops": sum(m[1] for m in measured.values()),
        "expected_s": round(total_seconds((estimate_training_s(waiting, measured) | dict(known)).values(), workers), 1),
    }


def _count_training_rows(stage: Stage[FitParams]) -> float:
    """Return the number of rows per epoch, in training rows. A validation row counts `_FORWARD`, because it takes this
    proportion of the time of a training row."""
    rows = 0.0
    for role, cost in ((0, 1.0), (1, _FORWARD)):
        where = (stage.task[name][stage.task["role"] == role] for name in ("recording", "start", "stop"))
        rows += cost * len(build_grid(stage.params.modalities, stage.params.recipe.view, *where))
    return rows


def forecast_stages(stages: Sequence[Stage[Any]]) -> dict[str, float]:
    """Return id -> expected seconds of each stage of a method that trains a network. A network that fails when it is
    measured counts 0; its error is reported when the stage runs."""
    return estimate_training_s(stages, measure_networks(stages, Exception))


_Measured = Mapping[frozenset[str], tuple[int, int, float]]
"""Modalities of a network -> its parameters, FLOPs of a row, and training seconds per row."""


def measure_networks(
    stages: Iterable[Stage[Any]],
    ignored: type[Exception] | None = None,
    measure: Callable[[Stage[FitParams]], tuple[int, int, float]] | None = None,
) -> _Measured:
    """Return the figures of each network that stages train, by `measure`, by default on this machine. They are 0 for a
    network that raises an error of the type `ignored`."""
    measured: dict[frozenset[str], tuple[int, int, float]] = {}
    for stage in filter(_trains_network, stages):
        kind = frozenset(stage.params.modalities)
        if kind not in measured:
            measured[kind] = (0, 0, 0.0)
            with suppress(ignored) if ignored else nullcontext():
                measured[kind] = (measure or measure_once)(stage)
    return measured


def _trains_network(stage: Stage[Any]) -> bool:
    """Return True for a stage that trains a network on labels, except a fusion on frozen networks."""
    return stage.kind == "unimodal" or (stage.kind == "fusion" and stage.params.inputs != "hidden")


def estimate_training_s(stages: Iterable[Stage[Any]], measured: _Measured) -> dict[str, float]:
    """Return id -> expected seconds of each stage that trains a network, from the `measured` networks."""
    seconds: dict[str, float] = {}
    for s in stages:
        if _trains_network(s):
            row_s = measured[frozenset(s.params.modalities)][2]
            cost = row_s * _count_training_rows(s) * _count_passes(s)
        elif s.kind == "pretrain":
            cost = _estimate_pretraining_s(s, measured)
        else:
            continue
        seconds[s.id] = cost
    return seconds


def _count_passes(stage: Stage[FitParams]) -> float:
    """Return the number of passes over the training rows, in training epochs; one forward pass for a frozen encoder."""
    recipe = stage.params.recipe
    return _FORWARD if stage.kind == "unimodal" and recipe.frozen else recipe.epochs


def _estimate_pretraining_s(stage: Stage[PretrainParams], measured: _Measured) -> float:
    """Return the expected seconds of a pretraining stage."""
    which = frozenset(stage.params.modalities)
    costs = [m[2] * len(which & kind) / len(kind) for kind, m in measured.items() if which & kind]
    if "y" in stage.task:
        rows = _count_training_rows(stage)
    else:
        rows = float(sum((role == 0).sum() for _, role in fits.window_grids(stage)))
    return max(costs, default=0.0) * rows * stage.params.recipe.epochs


def measure_once(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """Return the figures of a stage's network as `_measure` does. They are cached: stages that differ only in seed,
    fold or initial weights share them."""
    return cached_call((_measure, *network_identity(stage)), lambda: _measure(stage))


def network_identity(stage: Stage[FitParams]) -> tuple[str, str]:
    """Return what stages have in common that differ only in seed, fold or initial weights."""
    other = ("seed", "fold", "weights", "every_epoch")
    decides = {name: value for name, value in stage.params.plain().items() if name not in other}
    return stage.kind, digest(decides)


def _measure(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """Build a network and train it for a few steps. Return parameters, FLOPs of a row, and training seconds per row."""
    machine.seed_everything(0, stage.params.common.threads, stage.params.common.device)
    data, specs, train, _, _ = fits.load_labelled_data(sample_units(stage))
    params, outputs = stage.params, network.make_output_spec(stage.params)
    model = network.build_model(params, specs, outputs)
    model.to(data.device)
    flops = count_flops(model, data, train)
    model.train()
    fullest = train[np.argsort(~data.present[train].all(1), kind="stable")]
    rows = np.resize(fullest, params.recipe.batch)  # for small networks these take hardly longer than two rows
    optimiser = make_optimiser(params.recipe, model)
    first = rows if data.device != "cpu" else rows[:ROWS]
    seconds = _time_step(model, data, first, optimiser)  # the first step loads libraries and kernels
    if data.device == "cpu" and seconds / len(first) * len(rows) > _LONG_STEP_S:
        return network.parameter_count(model), flops, seconds / len(first)
    steps = [_time_step(model, data, rows, optimiser)]
    while data.device == "cpu" and len(steps) < _STEPS and sum(steps) < _LONG_STEP_S / _STEPS:
        steps.append(_time_step(model, data, rows, optimiser))
    return network.parameter_count(model), flops, min(steps) / len(rows)  # memory is allocated in the first ones


def _time_step(model: Model, data: Data, rows: np.ndarray, optimiser: torch.optim.Optimizer) -> float:
    """Return the seconds of a training step on the rows at positions `rows` (b,); on a CPU, processor seconds."""
    clock = time.process_time if data.device == "cpu" else time.perf_counter
    began = clock()
    with machine.training_precision(data.device):
        total = model(data.batch(rows)).logits.float().sum()
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    if data.device != "cpu":
        torch.get_device_module(data.device).synchronize()
    return clock() - began


def sample_units(stage: Stage[FitParams]) -> Stage[FitParams]:
    """Return a copy of the stage with a few training units, and with blank videos."""
    units = np.flatnonzero(stage.task["role"] == 0)
    first = units[np.unique(np.linspace(0, len(units) - 1, 16 * ROWS).astype(int))]
    unit_arrays = ("recording", "start", "stop", "role", "y")
    task = {k: v[first] if k in unit_arrays else v for k, v in stage.task.items()}
    return replace(stage, task=task, places={**stage.places, "blank": True})


THREADS = 1
"""Threads of every stage, for any number of workers, so that sums are computed in one order."""


@dataclass(frozen=True)
class Plan:
    """A run before execution.

    Args:
        source: the tested dataset. `train_source`: the training dataset, if it is another one.
        fit: the cohort to train on. `test`: the tested cohort, the same object unless there is a `train_source`.
        folds: seed -> folds. `started`: initial weights, if the request names any.
        cohorts: `fit`, `test` and the sources of pretraining, each once.
        sites: modality -> its sensor sites in training and test, in words, if they differ.
        tuning: settings that were chosen for each fold, if the request names such a file."""

    request: Request
    protocol: Protocol
    source: Source
    train_source: Source | None
    method: Method
    fit: Cohort
    test: Cohort
    folds: Mapping[int, list[Fold]]
    graph: Graph
    setting: Setting
    started: weights.Weights | None = None
    cohorts: tuple[Cohort, ...] = ()
    sites: Mapping[str, Reason] = field(default_factory=dict)
    tuning: Tuning | None = None

    @property
    def dataset(self) -> str:
        """Full name of the test dataset."""
        return self.source.full_name

    @property
    def config(self) -> dict[str, Any]:
        """All settings that determine the run's numbers, as plain values."""
        parts = {
            name: {"plugin": part.name, "code": part.code, **part.recipe.to_mapping(), **part.grounds}
            for name, part in self.method.parts()
        }
        return {
            "dataset": self.dataset,
            "data": self.test.store.key,
            "train_dataset": self.trained_on,
            "pretrained_on": sorted({each.full_name for step in self.method.pretraining for each in step.sources}),
            "train_data": self.fit.store.key,
            "protocol": self.protocol.hash,
            "preset": self.method.preset,
            "modalities": list(self.method.modalities),
            "targets": [t.name for t in self.test.targets],
            "seeds": list(self.request.seed_list),
            "dev": self.request.dev,
            "drop": list(self.setting.drop),
            "label_subjects": self.setting.label_subjects,
            # Runs without this setting keep their ids.
            **({} if self.setting.label_fraction is None else {"label_fraction": self.setting.label_fraction}),
            **({"calibration_data": given.text} if (given := self.setting.calibration_data) is not None else {}),
            "pretrained": dict(self.setting.weights),
            # The record states what is known of their subjects, so the id differs from that of a bare file.
            **({"pretraining": self.started.manifest["id"]} if self.started and self.started.manifest else {}),
            "pretrainers": [replace_paths(text, self.request.data_root) for text in self.request.pretrainers],
            "device": self.setting.device,
            "threads": self.setting.threads,
            **({"tuned": self.tuning.summary} if self.tuning else {}),
            "parts": parts,
        }

    @property
    def trained_on(self) -> str | None:
        """Full name of the training dataset; None if it is the test dataset."""
        return self.train_source.full_name if self.train_source else None

    @property
    def overlap(self) -> Overlap:
        """Which data of the test subjects pretraining may have used, by the plan: none, signals or labels."""
        found: list[Overlap] = ["none"]
        for step in self.method.pretraining:
            same = any(self.source.shares_files(each) for each in step.sources)
            if same or (step.own and self.protocol.leaks):
                found.append("labelled_target" if step.labels == "source" else "unlabelled_target")
        if self.started:
            found.append(self.started.overlap(self.dataset, self.source.file_marks()))
        found += weights.find_bundled_overlap(self.method, self.dataset)
        return max(found, key=get_args(Overlap).index)

    @property
    def departs(self) -> list[dict[str, Any]] | None:
        """Settings in which the run differs from the papers of its plugins, see `departures`; None without a paper."""
        return departures(self.method, self.test.card.name, self.protocol)

    @property
    def id(self) -> str:
        """Id of the run: encoders, fusion, and 10 hex digits made from the configuration and the prediction stages."""
        names = "_".join(dict.fromkeys(part.short for part in self.method.encoders.values()))
        mark = "dev-" if self.request.dev else ""
        predicting = [expected.stage for expected in self.graph.predictions]
        return f"{mark}{names}-{self.method.fusion.short}-{digest([self.config, predicting])[:10]}"

    @property
    def folder(self) -> Path:
        """Folder of the run's record: `<runs>/<dataset>/<id>`."""
        name = name_without_package(self.dataset)
        return self.request.runs_folder / name.replace("/", "-") / self.id

    @property
    def leaks(self) -> dict[str, dict[str, list[int]]]:
        """Leak of the protocol -> numbers of test subjects and recordings in training, see `count_leaks`."""
        if self.fit is not self.test:
            return {field: {} for field in self.protocol.deviations}
        folds = [fold for folds in self.folds.values() for fold in folds]
        return count_leaks(self.protocol, [self.fit.units[i] for i in self.fit.eligible], folds)

    def unanswerable(self) -> list[UnanswerableTarget]:
        """Return the targets that no method can answer on this dataset, with reasons; none with `--dev`."""
        from embench.statistics.answerable import why_unanswerable

        seeds, folds_of = self.request.seed_list, partial(_make_folds, self.protocol, self.fit, self.test)
        key = self.test.store.key, self.fit.store.key, self.protocol.hash, self.test.eligible, seeds
        found = [
            # Runs of a set differ in their methods only.
            cached_call(
                (why_unanswerable, *key, target),
                partial(why_unanswerable, self.test, self.protocol, target, seeds, folds_of),
            )
            for target in (() if self.request.dev else self.test.targets)
        ]
        return [each for each in found if each]

    def _score_in_words(self) -> str:
        """Return the names of the targets' primary metrics, for the sentence on detectable differences."""
        from embench.statistics import metric_facts

        words = {"auroc_within": "AUROC", "concordance_within": "concordance"}
        names = dict.fromkeys(self.protocol.primary_metric_for(target.kind, "free") for target in self.test.targets)
        return " or ".join(words.get(name) or metric_facts(name).title for name in names)

    def describe(self) -> dict[str, Any]:
        """Return the plan as `--dry-run` prints it: folds, stages, size, expected time, and statistical power."""
        cannot_answer = [self._as_json(each) for each in self.unanswerable()]
        with_confounds = self.request.confounds and not self.request.dev
        once_s = round(estimate_fit_s(self.test, self.protocol, self.request.seed_list), 1) if with_confounds else 0.0
        stages, root = list(self.graph.stages.values()), stage_folder(self.request.runs_folder)
        spread = published_spread(_get_kind(self.method), name_without_package(self.dataset))
        seeds = self.request.seed_list
        power = [row for t in self.test.targets for row in simulated_power(self.test, self.protocol, t, seeds)]
        folds = [
            {"seed": seed, "fold": f.index, **{role: len(getattr(f, role)) for role in ("train", "val", "test")}}
            for seed, folds in self.folds.items()
            for f in folds
        ]
        return {
            "run": self.id,
            "method": self.method.title,
            "recipe": self.method.preset,
            "assumed": assumed_fields(self.method),
            "departs": self.departs,
            **({"query": self.method.query} if self.method.query else {}),
            "dataset": self.dataset,
            "synthetic": self.test.store.synthetic is not None,
            "subjects": len(self.test.subjects),
            "left_out": list(self.test.excluded),
            "leaks_by": dict(zip(self.leaks, describe_leaks(self.protocol, self.leaks), strict=True)),
            **({"calibration_split": self.test.slices.words} if self.test.slices else {}),
            "units": len(self.test.positions),
            "inputs": list_inputs(self.method, self.test),
            "folds": folds,
            "stages": dict(Counter(stage.kind for stage in stages)),
            **forecast(
                self.graph,
                self.request.workers or default_workers({self.setting.device}),
                self.graph.stages.keys() - {stage.id for stage in find_pending_stages(stages, root)},
                estimate_cheap_stages(stages, root),
            ),
            **({"nuisances_s": once_s} if once_s else {}),
            **describe_difference(len(set(self.test.groups.values())), spread, self._score_in_words()),
            **({"power": power} if power else {}),
            **({"cannot_answer": cannot_answer} if cannot_answer else {}),
        }

    def _as_json(self, found: UnanswerableTarget) -> dict[str, Any]:
        """Return an unanswerable target as plain values, with the command whose seeds give enough comparisons."""
        seeds: dict[str, Any] = {"seeds": ",".join(map(str, found.seeds))}
        if self.protocol.split.deal == "balanced":
            seeds = {"seeds": None, "partitions": "balanced"}
        more = {**vars(self.request), **seeds}
        return found.to_dict() | ({"command": format_command(more)} if found.seeds else {})


def default_workers(devices: Collection[str]) -> int:
    """Return the default number of processes: one per core, but only one if a stage needs a GPU."""
    return cores() if set(devices) <= {"cpu"} else 1


@snapshot()
def make(request: Request, progress: EventCallback | None = None) -> Plan:
    """Return the plan of a request; data that are not prepared yet are prepared first. Plans that are made in one
    `embench.files.snapshot` share work.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad.
        CheckFailed: the split is not what the protocol declares."""
    device = machine.resolve_device(request.device)
    source, train_source = request.source, request.train_source
    refusals = Refusals()
    request, protocol, card = _resolve_rules(request, refusals)
    calibration_data = None
    with refusals:
        calibration_data = parse_given(request, protocol)
    # Wrong names and combinations are reported before reading data, which may take long.
    method = check_combination(request, protocol, card, device, refusals)
    pin_assets(check_data_present(method, source, train_source))
    targets = choose_targets(card, request.targets)

    workers = request.workers or default_workers({"cpu"})
    on_step = throttle_progress(f"preparing {card.name}", progress)
    store = source.prepared(protocol, workers, on_step)
    method = resolve_method(request, card, list(store.modalities), device)
    test = build_cohort(store, card, targets, method.modalities, protocol)
    request = _add_seeds(request, protocol, method, test)
    if calibration_data is not None and test.slices is not None:
        test.slices.check(calibration_data, card.name)
    check_losses(method, targets, request.settings, test)
    fit = trained_on(train_source, source, method, protocol, test, workers) if train_source else test
    source_cohorts = sources(source, train_source, method, protocol, test, workers)
    cohorts = tuple({c.store.key: c for c in (test, fit, *source_cohorts.values())}.values())
    _check_videos(cohorts, method)
    start = None if request.pretrained == RANDOM else request.pretrained
    started = weights.find_weights(start, request.runs_folder, method) if start else None
    if request.pretrained != RANDOM:
        _check_frozen(method, started)
    sites = check_handovers(method, protocol, fit, test, source_cohorts, started)
    setting = Setting(
        protocol,
        method.device,
        THREADS,
        parse_drop(request, method),
        request.dev,
        parse_label_subjects(request),
        parse_label_fraction(request),
        calibration_data,
        started.digests if started else {},
        {
            **locate_data(test, fit, *source_cohorts.values()),
            "gpu": machine.gpu_in_use(method.device),
            "weights": started.places if started else {},
        },
    )
    graph, folds = Graph(), {seed: _make_folds(protocol, fit, test, seed) for seed in request.seed_list}
    tuning = read_tuning(Path(request.tuned)) if request.tuned else None

    def make_builder(settings: tuple[str, ...]) -> Builder:
        tuned_request = replace(request, settings=(*request.settings, *settings))
        chosen = resolve_method(tuned_request, card, list(store.modalities), device) if settings else method
        check_views(chosen, (test, fit), tuned_request.settings)
        return Builder(graph, chosen, fit, test, setting, source_cohorts)

    _add_stages(cache(make_builder), folds, tuning)
    if not graph.predictions:
        raise DataError(
            "no fold has both training and test subjects",
            where=f"protocol {protocol.name}",
            hint="--dev requires validation subjects: use more subjects or another --protocol",
        )
    data = source, train_source, method, fit, test
    plan = Plan(request, protocol, *data, folds, graph, setting, started, cohorts, sites, tuning)
    _check_tuned(plan)
    known_by = "--pretrainer" if source_cohorts else "--pretrained" if started else "encoder.build.weights"
    check_rest_alone(protocol, card.name, plan.overlap, known_by)
    return plan


def _add_stages(
    make_builder: Callable[[tuple[str, ...]], Builder], folds: Mapping[int, Sequence[Fold]], tuning: Tuning | None
) -> None:
    """Add the stages of all folds to a graph: with the request's settings, or with those that were chosen for each
    fold. `make_builder`: further settings -> builder of stages."""
    for seed, fold in ((seed, fold) for seed, seed_folds in folds.items() for fold in seed_folds):
        if tuning is None:
            make_builder(()).add_fold(seed, fold)
            continue
        for targets in make_builder(()).parts:
            names = ",".join(target.name for target in targets)
            make_builder(tuning.settings(seed, fold.index, names)).add_fold(seed, fold, [targets])


def _check_tuned(plan: Plan) -> None:
    """Refuse tuned settings that were chosen for another method or for other data."""
    if plan.tuning and plan.tuning.of != hash_tuned_method(plan.config):
        raise UsageError(
            f"the settings were tuned for another method or other data than {plan.method.title} on {plan.dataset}",
            where=f"--tuned {plan.request.tuned}",
            expected="the options of the `embench tune` command that wrote the file",
        )


def resolve_rules(request: Request) -> tuple[Request, Protocol, Card]:
    """Return the request with resolved defaults, its protocol with the requested lag, and the card under this protocol.
    If there is a training dataset, the defaults are those that both datasets share. Under `--pretrained random`,
    weights are removed from the request. Raises UsageError if names do not fit."""
    refusals = Refusals()
    resolved = _resolve_rules(request, refusals)
    refusals.raise_all()
    return resolved


def _resolve_rules(request: Request, refusals: Refusals) -> tuple[Request, Protocol, Card]:
    """Return what `resolve_rules` returns. Faults that leave other parts of the request to check are added to
    `refusals`."""
    protocol, dataset_card = load_protocol(request.protocol), request.source.card
    if (normalise := find_normalisation(request.settings)) is not None:
        protocol = protocol.normalised(normalise)
    card = card_for_protocol(protocol, dataset_card)
    with refusals:
        if train_source := request.train_source:
            request = share_defaults(request, train_source, protocol, card, refusals)
    with refusals:
        if request.pretrained == RANDOM:
            request = weights.randomise_weights(request, card)
    lag_s = request.lag_s
    with refusals:
        if lag_s is not None and any(target.rule.lag_s != lag_s for target in choose_targets(card, request.targets)):
            protocol = protocol.at_lag(lag_s)
            card = card_for_protocol(protocol, dataset_card)
    return request, protocol, card


def _get_kind(method: Method) -> MethodKind:
    return "features" if method.inputs == "features" else "network"


def _add_seeds(request: Request, protocol: Protocol, method: Method, cohort: Cohort) -> Request:
    """Return the request with seeds; by default the balanced partitions, or `default_seeds`."""
    balanced = protocol.split.deal == "balanced"
    if request.partitions not in (None, "balanced") or (request.partitions and request.seeds is not None):
        raise UsageError(
            f"`{request.partitions}` is not a set of partitions" if request.seeds is None else "seeds are given twice",
            where=f"--partitions {request.partitions}",
            expected="--partitions balanced without --seeds, or --seeds alone",
        )
    if request.partitions and not balanced:
        raise UsageError(
            f"{protocol.name} deals subjects at random: it has no balanced partitions",
            where="--partitions balanced",
            hint="--protocol subject-independent-v4",
        )
    if request.seeds is not None:
        return request
    usual = default_seeds(_get_kind(method), protocol.name, protocol.split.folds, balanced=balanced)
    if request.partitions or (balanced and _get_kind(method) == "features"):
        usual = tuple(range(cohort.partitions(protocol)))
    return replace(request, seeds=",".join(map(str, usual)), partitions=None)


def _check_frozen(method: Method, started: weights.Weights | None) -> None:
    """Refuse to freeze a fusion that does not start from pretrained weights."""
    starts = started is not None and FUSION in started.files
    if method.fusion.recipe.frozen and not starts and all(step.modality for step in method.pretraining):
        raise UsageError(
            f"fusion {method.fusion.short} is frozen, but it is not pretrained",
            where="fusion.adapt",
            expected="a pretrainer of the complete model, such as --pretrainer signal_transform, or weights of one",
            hint="to freeze random initial weights: --pretrained random",
        )


def _check_videos(cohorts: Iterable[Cohort], method: Method) -> None:
    """Refuse datasets whose videos an encoder cannot read, without decoding any video."""
    for cohort in cohorts:
        for m, encoder in list_clip_encoders(cohort, method):
            blank_clips(cohort.store, m, encoder)


def list_clip_encoders(cohort: Cohort, method: Method) -> Iterator[tuple[str, Encoder]]:
    """Yield (modality, encoder) for each modality of a cohort whose encoder reads videos."""
    for m, part in method.encoders.items():
        encoder = registry.load_plugin("encoder", part.name)(part.recipe)
        if encoder.reads == "clips" and m in cohort.store.modalities:
            yield m, encoder


def _make_folds(protocol: Protocol, fit: Cohort, test: Cohort, seed: int) -> list[Fold]:
    """Return the folds of a seed. If another dataset is tested, there is one fold, whose validation units are those of
    the training dataset's first fold."""
    folds = fit.folds(protocol, seed)
    if fit is test:
        return folds
    first = folds[0]
    return [Fold(0, (*first.train, *first.test), first.val, tuple(test.units[i].id for i in test.tested))]
