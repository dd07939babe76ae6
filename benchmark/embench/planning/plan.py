"""The plan of a run, laid out before anything is trained, and the forecast of its time, memory and disk."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
from embench.engine.loop import flops_of, optimiser_of
from embench.engine.rows import grid_of
from embench.engine.stage import FitParams, Folder, FusionParams, PretrainParams, Stage
from embench.errors import DataError, UsageError
from embench.files import cached_call, digest, snapshot
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.kinds import KINDS
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.nn import Model
from embench.planning import weights
from embench.planning.compatibility import check_views, input_rows
from embench.planning.graph import Builder, Graph, Setting, data_places, stage_folder
from embench.planning.method import grounded, named_method, resolve_method, without_paths
from embench.planning.parts import (
    FUSION,
    Method,
    check_losses,
    chosen_normalisation,
    dropped_modalities,
    given_units,
    labelled_fraction,
    labelled_subjects,
)
from embench.planning.request import Request, command_of
from embench.planning.tuning import Tuning, read_tuning, tuned_method
from embench.planning.weights import check_handovers, check_rest_alone, of_both, sources, trained_on, with_data
from embench.protocols import Fold, Protocol, load_protocol, protocol_deviations
from embench.records.manifest import MethodKind, Overlap, seeds_taken
from embench.records.pretraining_comparison import RANDOM
from embench.records.wording import name_without_package
from embench.statistics.answerable import describe_difference, published_spread
from embench.statistics.confound_test import studies_of
from embench.statistics.nuisance_columns import Study, is_published
from embench.statistics.nuisance_models import careful_trees
from embench.statistics.nuisance_movement import behaviour_of, modalities_held, movement_of, windows_of
from embench.statistics.power import announced_power
from embench.store import blank_clips
from embench.system import EventCallback, cores, limited_threads, now_and_then

if TYPE_CHECKING:
    from embench.statistics.answerable import UnanswerableTarget


# Expected duration of waiting stages, each and together, from finished stages of the same kind.

CHEAP = ("estimator", "predict")
"""Kinds of stages that train no network: nothing is known of them before one like them is done."""


def left_to_do(stages: Iterable[Stage[Any]], root: Path) -> list[Stage[Any]]:
    """The stages of a graph that are not done."""
    return [stage for stage in stages if not Folder(root, stage.id).done]


def seconds_like_done(stages: Sequence[Stage[Any]], root: Path) -> dict[str, float]:
    """The expected seconds of each cheap stage that waits, by id, as those of its kind took that are done; none where
    none is."""
    took: dict[str, list[float]] = defaultdict(list)
    todo = []
    for stage in stages:
        if stage.kind in CHEAP:
            folder = Folder(root, stage.id)
            if not folder.done:
                todo.append(stage)
            elif (seconds := folder.seconds()) is not None:
                took[stage.kind].append(seconds)
    return {stage.id: median(took[stage.kind]) for stage in todo if stage.kind in took}


def together(seconds: Iterable[float], workers: int) -> float:
    """Seconds until all are over which workers take one after the other, each the next that waits.

    >>> together([10, 10, 10], 2), together([], 2)
    (20.0, 0.0)
    """
    free = [0.0] * max(workers, 1)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


# Forecast of the time to fit what clock and movement tell of a dataset's labels, once, as scores of version 3 hold it
# constant. Only one model is fitted, and a few windows are read.

_COLUMNS = 112
"""Columns of the one model: as many as those of the models that take most of the time."""
_CLOCK, _MOVEMENT, _BEHAVIOUR, _CONTACT = 0.6, 12.5, 2.0, 0.8
"""Time of all models of a fold, as multiples of that model's: those on the clock, the accelerometer, other modalities
of movement, and contact. Measured with 2,000 and 9,000 training units, to within a sixth."""
_WINDOWS = 64


def seconds_to_fit(cohort: Cohort, protocol: Protocol, seeds: Sequence[int]) -> float:
    """Seconds until all models of the confound analysis are fitted that a run in these seeds needs and that are not
    kept; without the placebo."""
    if protocol.leaks:
        return 0.0
    studies = studies_of(cohort, protocol, {target.name: seeds for target in cohort.targets})
    of_targets = [list(of_seeds.values()) for of_seeds in studies.values() if not isinstance(of_seeds, Undefined)]
    if not of_targets:
        return 0.0
    seconds, study = 0.0, of_targets[0][0]
    for of_target in of_targets:
        fitted = {each.fitted.seed: each.fitted for each in of_target}  # seeds share them
        if models := sum(map(_models, fitted.values())):
            seconds += models * _model_s(of_target[0]) / cores()
    if acc := cohort.store.modalities.get("acc"):
        rate = acc.rate
        if not study.observed.was_kept("movement"):
            seconds += _reading_s(study, lambda units: movement_of(windows_of(cohort, "acc", units), rate))
    if _has_behaviour(study) and not study.observed.was_kept("behaviour"):
        seconds += _reading_s(study, lambda units: behaviour_of(cohort, units))
    return seconds


def _models(study: Study) -> float:
    """The models of all folds that are neither kept nor published, in units of the one that is measured."""
    has_acc = "acc" in study.cohort.store.modalities
    local = _CLOCK + _MOVEMENT * has_acc + _BEHAVIOUR * _has_behaviour(study)
    costs = {"local": local, "contact": _CONTACT}
    missing = [name for name in costs if not (study.was_kept(name) or is_published(name, study))]
    return len(study.parts) * sum(costs[name] for name in missing)


def _has_behaviour(study: Study) -> bool:
    return bool(set(modalities_held(study.cohort.store)) - {"acc"})


def _model_s(study: Study) -> float:
    train, _ = study.parts[0]
    classes = study.target.traits.has_classes
    x = np.random.default_rng(0).standard_normal((len(train), _COLUMNS))
    y = study.y[train].astype(int) if classes else study.y[train]
    with limited_threads(1):
        return _shortest(lambda: careful_trees(0, classes).fit(x, y))


def _reading_s(study: Study, read: Callable[[np.ndarray], object]) -> float:
    """Seconds to read all units, of those for a few."""
    few = study.units[np.unique(np.linspace(0, len(study.units) - 1, _WINDOWS).astype(int))]
    return _shortest(lambda: read(few)) * len(study.units) / len(few)


def _shortest(work: Callable[[], object]) -> float:
    """The shorter of two times, in s of this process, whatever else runs: libraries are loaded in the first one."""
    took = []
    for _ in range(2):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


# Forecast of a plan's cost: networks are built and a few rows are put through them, on the device that will train.

ROWS = 2  # on a CPU, where a row of a paper's network takes seconds
_LONG_STEP_S = 10.0
"""Seconds of a step on a CPU that are too long to wait for."""
_STEPS = 5
"""Steps on a CPU of which the shortest counts."""
_FORWARD = 1 / 3
"""Cost of a row that nothing is learned from, relative to a training row."""


def forecast(
    graph: Graph, workers: int, done: Collection[str] = (), known: Mapping[str, float] = MappingProxyType({})
) -> dict[str, Any]:
    """`parameters` and `flops` (one row, forward) of one fold's networks, `expected_s` of all stages but those `done`;
    `known` are the seconds of stages that train no network, as far as anything tells.

    A pretraining row is taken to cost what a fitting row of the same encoders costs; stages over frozen nets cost next
    to nothing beside the nets themselves and are excluded.
    """
    measured = _measured(graph.stages.values())
    waiting = [stage for id_, stage in graph.stages.items() if id_ not in done]
    return {
        "parameters": sum(m[0] for m in measured.values()),
        "flops": sum(m[1] for m in measured.values()),
        "expected_s": round(together((_seconds(waiting, measured) | dict(known)).values(), workers), 1),
    }


def _training_rows(stage: Stage[FitParams]) -> float:
    """The rows of an epoch, those of validation weighted by their cost."""
    rows = 0.0
    for role, cost in ((0, 1.0), (1, _FORWARD)):
        where = (stage.task[name][stage.task["role"] == role] for name in ("recording", "start", "stop"))
        rows += cost * len(grid_of(stage.params.modalities, stage.params.recipe.view, *where))
    return rows


def stage_seconds(stages: Sequence[Stage[Any]]) -> dict[str, float]:
    """Expected seconds of each of these stages of a method by itself, by id. Cheap stages are left out; those that fail
    in the trial count as nothing, and will be reported when they are run."""
    measured: dict[frozenset[str], tuple[int, int, float]] = {}
    for stage in filter(_fits, stages):
        kind = frozenset(stage.params.modalities)
        if kind not in measured:
            measured[kind] = (0, 0, 0.0)
            with suppress(Exception):
                measured[kind] = _measure_once(stage)
    return _seconds(stages, measured)


_Measured = Mapping[frozenset[str], tuple[int, int, float]]
"""Modalities -> parameters, FLOPs of a row, and seconds a row of training, of the network that reads them."""


def _measured(stages: Iterable[Stage[Any]]) -> _Measured:
    measured: dict[frozenset[str], tuple[int, int, float]] = {}
    for stage in filter(_fits, stages):
        kind = frozenset(stage.params.modalities)
        if kind not in measured:
            measured[kind] = _measure_once(stage)
    return measured


def _fits(stage: Stage[Any]) -> bool:
    return stage.kind == "unimodal" or (stage.kind == "fusion" and stage.params.inputs != "hidden")


def _seconds(stages: Iterable[Stage[Any]], measured: _Measured) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for s in stages:
        if _fits(s):
            row_s = measured[frozenset(s.params.modalities)][2]
            cost = row_s * _training_rows(s) * _passes(s)
        elif s.kind == "pretrain":
            cost = _pretraining_s(s, measured)
        else:
            continue
        seconds[s.id] = cost
    return seconds


def _passes(stage: Stage[FitParams]) -> float:
    """Passes over the training rows, in epochs of training: under a head alone an encoder that does not learn reads
    them once."""
    recipe = stage.params.recipe
    return _FORWARD if stage.kind == "unimodal" and recipe.frozen else recipe.epochs


def _pretraining_s(stage: Stage[PretrainParams], measured: _Measured) -> float:
    which = frozenset(stage.params.modalities)
    costs = [m[2] * len(which & kind) / len(kind) for kind, m in measured.items() if which & kind]
    if "y" in stage.task:
        rows = _training_rows(stage)
    else:
        rows = float(sum((role == 0).sum() for _, role in fits.window_grids(stage)))
    return max(costs, default=0.0) * rows * stage.params.recipe.epochs


def _measure_once(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """`_measure`, once for a network on the same data, whatever it starts from and whichever runs of a grid have it."""
    other = ("seed", "fold", "weights", "every_epoch")
    decides = {name: value for name, value in stage.params.plain().items() if name not in other}
    return cached_call((_measure, stage.kind, digest(decides)), lambda: _measure(stage))


def _measure(stage: Stage[FitParams]) -> tuple[int, int, float]:
    """Parameters, FLOPs of a row, and seconds a row of training (forward and backward)."""
    machine.seed_everything(0, stage.params.common.threads, stage.params.common.device)
    data, specs, train, _, _ = fits.labelled(_fewer(stage))
    params, outputs = stage.params, network.output_spec_of(stage.params)
    if isinstance(params, FusionParams):
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    else:
        model = network.build_unimodal(params.modalities, specs, outputs)
    model.to(data.device)
    flops = flops_of(model, data, train)
    model.train()
    fullest = train[np.argsort(~data.present[train].all(1), kind="stable")]
    rows = np.resize(fullest, params.recipe.batch)  # which take hardly longer than two, where networks are small
    optimiser = optimiser_of(params.recipe, model)
    first = rows if data.device != "cpu" else rows[:ROWS]
    seconds = _step_s(model, data, first, optimiser)  # the first step loads libraries and kernels
    if data.device == "cpu" and seconds / len(first) * len(rows) > _LONG_STEP_S:
        return network.parameter_count(model), flops, seconds / len(first)
    steps = [_step_s(model, data, rows, optimiser)]
    while data.device == "cpu" and len(steps) < _STEPS and sum(steps) < _LONG_STEP_S / _STEPS:
        steps.append(_step_s(model, data, rows, optimiser))
    return network.parameter_count(model), flops, min(steps) / len(rows)  # memory is asked for in the first ones


def _step_s(model: Model, data: Data, rows: np.ndarray, optimiser: torch.optim.Optimizer) -> float:
    """Seconds of a step of training on rows (b,) of the data; on a CPU those of this process, whatever else runs."""
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


def _fewer(stage: Stage[FitParams]) -> Stage[FitParams]:
    """A copy of the stage with some of its training units, enough for a few that have a modality, of which no video is
    decoded."""
    units = np.flatnonzero(stage.task["role"] == 0)
    first = units[np.unique(np.linspace(0, len(units) - 1, 16 * ROWS).astype(int))]
    own = ("recording", "start", "stop", "role", "y")
    task = {k: v[first] if k in own else v for k, v in stage.task.items()}
    return replace(stage, task=task, places={**stage.places, "blank": True})


# The plan of a run: everything resolved and laid out before anything is trained. Making it trains nothing.

THREADS = 1
"""Threads of every stage, whatever the number of workers: sums are then added in one order, and cores go to stages."""


@dataclass(frozen=True)
class Plan:
    """A run before it is run, on the dataset `source`; `fit` and `test` are one cohort unless `train_source` is another
    dataset. `cohorts` are these and those of all sources of pretraining, each once. `sites`: modality -> in words, at
    which sites it was trained and tested, where these differ. `tuning`: which settings each fold has."""

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
    sites: Mapping[str, str] = field(default_factory=dict)
    tuning: Tuning | None = None

    @property
    def dataset(self) -> str:
        """Full name of the dataset that is tested."""
        return self.source.full_name

    @property
    def config(self) -> dict[str, Any]:
        """All settings that determine the run's numbers, as plain values."""
        parts = {
            name: {"plugin": part.name, "code": part.code, **part.recipe.mapping(), **part.grounds}
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
            # Ids of runs that have no such setting stay what they are.
            **({} if self.setting.label_fraction is None else {"label_fraction": self.setting.label_fraction}),
            **({} if self.setting.given is None else {"given": self.setting.given.text}),
            "pretrained": dict(self.setting.weights),
            # What is known of the subjects behind them stands in the record, so it is not one run with a bare file's.
            **({"pretraining": self.started.manifest["id"]} if self.started and self.started.manifest else {}),
            "pretrainers": [without_paths(text, self.request.data_root) for text in self.request.pretrainers],
            "device": self.setting.device,
            "threads": self.setting.threads,
            **({"tuned": self.tuning.summary} if self.tuning else {}),
            "parts": parts,
        }

    @property
    def trained_on(self) -> str | None:
        """Full name of the dataset that the method is trained on, where it is another one."""
        return self.train_source.full_name if self.train_source else None

    @property
    def overlap(self) -> Overlap:
        """Data of the test subjects that pretraining may have seen; worked out, never declared."""
        found: list[Overlap] = ["none"]
        for step in self.method.pretraining:
            same = any(self.source.shares_files(each) for each in step.sources)
            if same or (step.own and self.protocol.leaks):
                found.append("labelled_target" if step.labels == "source" else "unlabelled_target")
        if self.started:
            found.append(self.started.overlap(self.dataset, self.source.file_marks()))
        found += weights.own_overlap(self.method, self.dataset)
        return max(found, key=get_args(Overlap).index)

    @property
    def id(self) -> str:
        """The run's id: encoders, fusion, and 10 hex digits of the configuration and its predictions' stages."""
        names = "_".join(dict.fromkeys(part.short for part in self.method.encoders.values()))
        mark = "dev-" if self.request.dev else ""
        predicting = [expected.stage for expected in self.graph.predictions]
        return f"{mark}{names}-{self.method.fusion.short}-{digest([self.config, predicting])[:10]}"

    @property
    def folder(self) -> Path:
        """The folder of the run's record: `<runs>/<dataset>/<id>`."""
        name = name_without_package(self.dataset)
        return self.request.runs_folder / name.replace("/", "-") / self.id

    @property
    def deviations(self) -> dict[str, str]:
        """Deviations of a protocol that leaks, in words and numbers."""
        if self.fit is not self.test:
            return dict(self.protocol.deviations)
        folds = [fold for folds in self.folds.values() for fold in folds]
        return protocol_deviations(self.protocol, [self.fit.units[i] for i in self.fit.eligible], folds)

    def unanswerable(self) -> list[UnanswerableTarget]:
        """Why this plan cannot answer for some of its targets, whatever its method predicts; none of a `dev` plan."""
        from embench.statistics.answerable import why_unanswerable

        seeds, folds_of = self.request.seed_list, partial(_folds, self.protocol, self.fit, self.test)
        about = self.test.store.key, self.fit.store.key, self.protocol.hash, self.test.eligible, seeds
        found = [
            # Rows of a set differ in their methods alone.
            cached_call(
                (why_unanswerable, *about, target),
                partial(why_unanswerable, self.test, self.protocol, target, seeds, folds_of),
            )
            for target in (() if self.request.dev else self.test.targets)
        ]
        return [each for each in found if each]

    def _score_in_words(self) -> str:
        """The scores of which that difference is: AUROC for any that is a share of ordered units of two classes."""
        from embench.statistics import metric_facts

        words = {"auroc_within": "AUROC", "concordance_within": "concordance"}
        names = dict.fromkeys(self.protocol.headline_for(target.kind, "free") for target in self.test.targets)
        return " or ".join(words.get(name) or metric_facts(name).title for name in names)

    def describe(self) -> dict[str, Any]:
        """The plan as `--dry-run` prints it: folds, stages, size, expected time of what is not done yet, and what the
        cohort can show."""

        cannot_answer = [self._as_json(each) for each in self.unanswerable()]
        asked = self.request.confounds and not self.request.dev
        once_s = round(seconds_to_fit(self.test, self.protocol, self.request.seed_list), 1) if asked else 0.0
        stages, root = list(self.graph.stages.values()), stage_folder(self.request.runs_folder)
        spread = published_spread(_kind(self.method), name_without_package(self.dataset))
        kinds: dict[str, int] = {}
        for stage in self.graph.stages.values():
            kinds[stage.kind] = kinds.get(stage.kind, 0) + 1
        folds = [
            {"seed": seed, "fold": f.index, **{role: len(getattr(f, role)) for role in ("train", "val", "test")}}
            for seed, folds in self.folds.items()
            for f in folds
        ]
        return {
            "run": self.id,
            "method": self.method.title,
            "recipe": self.method.preset,
            "assumed": assumed(self.method),
            "dataset": self.dataset,
            "synthetic": self.test.store.synthetic is not None,
            "people": len(self.test.subjects),
            "left_out": list(self.test.excluded),
            "gives_up": self.deviations,
            **({"giving": self.test.slices.words} if self.test.slices else {}),
            "units": len(self.test.positions),
            "inputs": input_rows(self.method, self.test),
            "folds": folds,
            "stages": kinds,
            **forecast(
                self.graph,
                self.request.workers or default_workers({self.setting.device}),
                self.graph.stages.keys() - {stage.id for stage in left_to_do(stages, root)},
                seconds_like_done(stages, root),
            ),
            **({"nuisances_s": once_s} if once_s else {}),
            **describe_difference(len(set(self.test.groups.values())), spread, self._score_in_words()),
            **({"power": power} if (power := self._power()) else {}),
            **({"cannot_answer": cannot_answer} if cannot_answer else {}),
        }

    def _power(self) -> list[dict[str, Any]]:
        """How often studies of this design and size find an effect, for each target."""
        seeds = self.request.seed_list
        return [row for t in self.test.targets for row in announced_power(self.test, self.protocol, t, seeds)]

    def _as_json(self, found: UnanswerableTarget) -> dict[str, Any]:
        """A target that cannot be answered for, with the command whose seeds give enough comparisons."""
        seeds: dict[str, Any] = {"seeds": ",".join(map(str, found.seeds))}
        if self.protocol.split.deal == "balanced":
            seeds = {"seeds": None, "partitions": "balanced"}
        more = {**vars(self.request), **seeds}
        return found.as_json() | ({"command": command_of(more)} if found.seeds else {})


def default_workers(devices: Collection[str]) -> int:
    """Default number of processes: one for each core, but a single one where a stage needs a GPU, which stages would
    only share."""
    return cores() if set(devices) <= {"cpu"} else 1


def assumed(method: Method) -> list[str]:
    """Every recipe field that the papers leave open, as `part.field`."""
    return [f"{name}.{field}" for name, part in method.parts() for field in part.recipe.assumed]


@snapshot()
def make(request: Request, progress: EventCallback | None = None) -> Plan:
    """The plan of a request; prepares the data where that was not done yet. Plans that are made in one
    `embench.files` share what they have in common.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad. CheckFailed: the split is not what
            the protocol declares.
    """
    device = machine.resolve_device(request.device)
    source, train_source = request.source, request.train_source
    request, protocol, card = rules_of(request)
    given = given_units(request, protocol)
    # Wrong names are reported before data are read, which may take long.
    targets = choose_targets(card, request.targets)
    grounded(with_data(named_method(request, card, list(card.modalities), device), source, train_source))

    workers = request.workers or default_workers({"cpu"})
    on_step = now_and_then(f"preparing {card.name}", progress)
    store = source.prepared(protocol, workers, on_step)
    method = resolve_method(request, card, list(store.modalities), device)
    if method.joins == "estimator":
        check_target_kinds(method, targets)
    test = build_cohort(store, card, targets, method.modalities, protocol)
    request = _with_seeds(request, protocol, method, test)
    if given is not None and test.slices is not None:
        test.slices.check(given, card.name)
    check_losses(method, targets, request.settings, test)
    fit = trained_on(train_source, source, method, protocol, test, workers) if train_source else test
    source_cohorts = sources(source, train_source, method, protocol, test, workers)
    weights.check_used(request, method)
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
        dropped_modalities(request, method),
        request.dev,
        labelled_subjects(request),
        labelled_fraction(request),
        given,
        started.digests if started else {},
        {
            **data_places(test, fit, *source_cohorts.values()),
            "gpu": machine.gpu_in_use(method.device),
            "weights": started.places if started else {},
        },
    )
    graph, folds = Graph(), {seed: _folds(protocol, fit, test, seed) for seed in request.seed_list}
    tuning = read_tuning(Path(request.tuned)) if request.tuned else None

    def builder(settings: tuple[str, ...]) -> Builder:
        own = replace(request, settings=(*request.settings, *settings))
        chosen = resolve_method(own, card, list(store.modalities), device) if settings else method
        check_views(chosen, (test, fit), own.settings)
        return Builder(graph, chosen, fit, test, setting, source_cohorts)

    _lay_out(cache(builder), folds, tuning)
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


def _lay_out(
    builder: Callable[[tuple[str, ...]], Builder], folds: Mapping[int, Sequence[Fold]], tuning: Tuning | None
) -> None:
    """Adds the stages of all folds to a graph: of the builder without settings, or of those that a fold has chosen."""
    for seed, fold in ((seed, fold) for seed, own in folds.items() for fold in own):
        if tuning is None:
            builder(()).fold(seed, fold)
            continue
        for part in builder(()).parts:
            names = ",".join(target.name for target in part)
            builder(tuning.settings(seed, fold.index, names)).fold(seed, fold, [part])


def _check_tuned(plan: Plan) -> None:
    """Refuses choices that were made for another method, or on other data."""
    if plan.tuning and plan.tuning.of != tuned_method(plan.config):
        raise UsageError(
            f"the settings were tuned for another method or other data than {plan.method.title} on {plan.dataset}",
            where=f"--tuned {plan.request.tuned}",
            expected="the options of the `embench tune` command that wrote the file",
        )


def rules_of(request: Request) -> tuple[Request, Protocol, Card]:
    """The request, with what two datasets share where it has two, and without weights where it starts at random; its
    protocol at the lag it names; and the card. Raises UsageError where names do not fit."""
    protocol, own = load_protocol(request.protocol), request.source.card
    if (normalise := chosen_normalisation(request.settings)) is not None:
        protocol = protocol.normalised(normalise)
    card = card_for_protocol(protocol, own)
    if train_source := request.train_source:
        request = of_both(request, train_source, protocol, card)
    if request.pretrained == RANDOM:
        request = weights.at_random(request, card)
    lag_s = request.lag_s
    if lag_s is not None and any(target.rule.lag_s != lag_s for target in choose_targets(card, request.targets)):
        protocol = protocol.at_lag(lag_s)
        card = card_for_protocol(protocol, own)
    return request, protocol, card


def _kind(method: Method) -> MethodKind:
    return "features" if method.inputs == "features" else "network"


def _with_seeds(request: Request, protocol: Protocol, method: Method, cohort: Cohort) -> Request:
    """The request with seeds: where it names none, the balanced partitions or those that a board takes of such a
    method."""
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
    usual = seeds_taken(_kind(method), protocol.split.folds, balanced=balanced)[0]
    if request.partitions or (balanced and _kind(method) == "features"):
        usual = tuple(range(cohort.partitions(protocol)))
    return replace(request, seeds=",".join(map(str, usual)), partitions=None)


def _check_frozen(method: Method, started: weights.Weights | None) -> None:
    """Refuses to freeze a fusion that starts from nothing."""
    starts = started is not None and FUSION in started.files
    if method.fusion.recipe.frozen and not starts and all(step.modality for step in method.pretraining):
        raise UsageError(
            f"fusion {method.fusion.short} is frozen, but it is not pretrained",
            where="fusion.adapt",
            expected="a pretrainer of the complete model, such as --pretrainer signal_transform, or weights of one",
            hint="to freeze random initial weights: --pretrained random",
        )


def _check_videos(cohorts: Iterable[Cohort], method: Method) -> None:
    """Refuses datasets of whose videos an encoder could not read one frame; none is decoded."""
    for cohort in cohorts:
        for m, encoder in encoders_of_clips(cohort, method):
            blank_clips(cohort.store, m, encoder)


def encoders_of_clips(cohort: Cohort, method: Method) -> Iterator[tuple[str, Encoder]]:
    """The modalities of a cohort whose encoders read clips, and these encoders."""
    for m, part in method.encoders.items():
        encoder = registry.load("encoder", part.name)(part.recipe)
        if encoder.reads == "clips" and m in cohort.store.modalities:
            yield m, encoder


def check_target_kinds(method: Method, targets: Sequence[Target]) -> None:
    """Refuses targets of a kind that the method's estimator does not predict, and what an estimator of one refuses."""
    plugin = registry.load("fusion", method.fusion.name)
    kinds = plugin.kinds
    if unfit := [t for t in targets if t.kind not in kinds]:
        fitting = [t.name for t in targets if t.kind in kinds]
        raise UsageError(
            f"{method.fusion.short} cannot predict {unfit[0].traits.words}, and {unfit[0].name} requires this",
            where=f"--fusion {method.fusion.short}",
            expected=f"targets of {' or '.join(about.words for kind, about in KINDS.items() if kind in kinds)}",
            hint=f"--target {','.join(fitting)}" if fitting else _other_fusion(unfit[0]),
        )
    for target in targets:
        plugin(method.fusion.recipe, 0, target.kind, target.n, method.modalities)


def _other_fusion(target: Target) -> str:
    return f"choose another fusion: --fusion {'logreg' if target.traits.has_classes else 'ridge'}"


def _folds(protocol: Protocol, fit: Cohort, test: Cohort, seed: int) -> list[Fold]:
    folds = fit.folds(protocol, seed)
    if fit is test:
        return folds
    # Another dataset's subjects are tested: all of ours train, but for the first fold's validation subjects.
    first = folds[0]
    return [Fold(0, (*first.train, *first.test), first.val, tuple(test.units[i].id for i in test.tested))]
