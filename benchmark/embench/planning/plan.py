"""The plan of a run: everything resolved and laid out before anything is trained. Making it trains nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from embench import registry
from embench.engine import device as machine
from embench.engine.stage import digest
from embench.errors import DataError, UsageError
from embench.interfaces.units import Target
from embench.locations import data_folder
from embench.planning import locate, weights
from embench.planning.cohort import Cohort, card_under, choose_targets, gather
from embench.planning.graph import Builder, Graph, Setting, data_places
from embench.planning.method import FUSION, Method, resolve, without_paths
from embench.planning.request import Request
from embench.planning.sources import channels_of, sources
from embench.protocols import Fold, Protocol, follow, given_up, load, partition, prove

THREADS = 1
"""Threads of every stage, whatever the number of workers: sums are then added in one order, and cores go to stages."""

ASSUMED_SD = 0.10
"""Standard deviation over people of a paired difference of AUROC, assumed where nothing was measured yet."""


@dataclass(frozen=True)
class Plan:
    """A run before it is run; `fit` and `test` are one cohort unless `--train-dataset` names another."""

    request: Request
    protocol: Protocol
    dataset: str
    method: Method
    fit: Cohort
    test: Cohort
    folds: Mapping[int, list[Fold]]
    graph: Graph
    setting: Setting
    started: weights.Weights | None = None

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the run's numbers, as plain values."""
        parts = {
            name: {"plugin": part.name, "code": part.code, **part.recipe.mapping()}
            for name, part in self.method.parts()
        }
        return {
            "dataset": self.dataset,
            "data": self.test.store.key,
            "train_dataset": self.trained_on,
            "pretrained_on": sorted({locate.full_name(p.source) for p in self.method.pretraining if p.source}),
            "train_data": self.fit.store.key,
            "protocol": self.protocol.hash,
            "preset": self.method.preset,
            "modalities": list(self.method.modalities),
            "targets": [t.name for t in self.test.targets],
            "seeds": list(self.request.seed_list),
            "dev": self.request.dev,
            "drop": list(self.setting.drop),
            "label_subjects": self.setting.label_subjects,
            "pretrained": dict(self.setting.weights),
            # What is known of the people behind them stands in the record, so it is not one run with a bare file's.
            **({"pretraining": self.started.manifest["id"]} if self.started and self.started.manifest else {}),
            "pretrainers": [without_paths(text) for text in self.request.pretrainers],
            "device": self.setting.device,
            "threads": self.setting.threads,
            "parts": parts,
        }

    @property
    def trained_on(self) -> str | None:
        """Full name of the dataset that the method is trained on, where it is another one."""
        return locate.full_name(self.request.train_dataset) if self.request.train_dataset else None

    @property
    def id(self) -> str:
        names = "_".join(dict.fromkeys(part.short for part in self.method.encoders.values()))
        mark = "dev-" if self.request.dev else ""
        answers = [answer.stage for answer in self.graph.answers]
        return f"{mark}{names}-{self.method.fusion.short}-{digest([self.config, answers])[:10]}"

    @property
    def folder(self) -> Path:
        name = self.dataset.rpartition(":")[2].split("/", 1)[-1]
        return self.request.runs_folder / name.replace("/", "-") / self.id

    @property
    def gives_up(self) -> dict[str, str]:
        """What a protocol that leaks gives up, in words and numbers."""
        if self.fit is not self.test:
            return dict(self.protocol.gives_up)
        folds = [fold for folds in self.folds.values() for fold in folds]
        return given_up(self.protocol, [self.fit.units[i] for i in self.fit.eligible], folds)

    def smallest_difference(self) -> float:
        """The difference of two methods, paired over people, that this cohort shows with 80 % power at .05."""
        df = len(set(self.test.groups.values())) - 1
        if df < 1:
            return float("nan")
        return float((stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * ASSUMED_SD / (df + 1) ** 0.5)

    def describe(self) -> dict[str, Any]:
        """What `--dry-run` prints: folds, stages, size, expected time, and what the cohort can show."""
        from embench.planning.forecast import forecast

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
            "people": len(self.test.people),
            "left_out": list(self.test.left_out),
            "gives_up": self.gives_up,
            "units": len(self.test.positions),
            "folds": folds,
            "stages": kinds,
            **forecast(self.graph, self.request.workers or default_workers(self.setting.device)),
            "smallest_difference": round(self.smallest_difference(), 3),
            "smallest_difference_note": f"AUROC, paired over people, power .8, an SD of {ASSUMED_SD} assumed",
        }


def default_workers(device: str) -> int:
    """As many processes as there are cores for this one; one for a GPU, which stages would only share."""
    return len(os.sched_getaffinity(0)) if device == "cpu" else 1


def assumed(method: Method) -> list[str]:
    """Every recipe field that the papers leave open, as `part.field`."""
    return [f"{name}.{field}" for name, part in method.parts() for field in part.recipe.assumed]


def make(request: Request, progress: Callable[[Mapping[str, Any]], None] | None = None) -> Plan:
    """The plan of a request; prepares the data where that was not done yet.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad. CheckFailed: the split is not what
            the protocol declares.
    """
    protocol = load_runnable(request.protocol)
    device = machine.resolve(request.device)
    dataset = registry.find("dataset", request.dataset).full_name
    card = card_under(protocol, registry.load("dataset", dataset).card)
    # Wrong names are said before data are read, which may take long.
    resolve(request, card, list(card.modalities), device)
    targets = choose_targets(card, request.targets)

    def tell(done: int, total: int, what: str) -> None:
        if progress and (done == total or done % 5 == 0):
            progress({"event": "note", "text": f"preparing {card.name}: {done} of {total} ({what})"})

    workers = request.workers or default_workers("cpu")
    store = locate.prepared(dataset, request.data_root, protocol, workers, tell)
    method = resolve(request, card, list(store.modalities), device)
    if method.joins == "estimator":
        _check_kinds(method, targets)
    test = gather(store, card, targets, method.modalities, protocol)
    fit = _trained_on(request, method, protocol, test, workers) if request.train_dataset else test
    outside = sources(request, method, protocol, test, workers)
    if request.pretrained and method.joins == "estimator" and not method.on_hidden:
        raise UsageError(
            f"{method.fusion.short} is fitted on features, which no weights change",
            where=f"--pretrained {request.pretrained}",
        )
    channels = {m: channels_of(fit, m) for m in method.modalities}
    started = weights.find(request.pretrained, request.runs_folder, method, channels) if request.pretrained else None
    _check_frozen(method, started)
    setting = Setting(
        protocol,
        device,
        THREADS,
        _drop(request, method),
        request.dev,
        _labelled_people(request),
        started.digests if started else {},
        {
            **data_places(test, fit, *outside.values()),
            "channels": channels,
            "weights": started.places if started else {},
            "weights_channels": started.channels if started else {},
        },
    )
    graph, folds = Graph(), {}
    builder = Builder(graph, method, fit, test, setting, outside)
    for seed in request.seed_list:
        folds[seed] = _folds(protocol, fit, test, seed)
        for fold in folds[seed]:
            builder.fold(seed, fold)
    if not graph.answers:
        raise DataError(
            "no fold has both people to train on and people to score",
            where=f"protocol {protocol.name}",
            hint="--dev needs validation people: more people, or another --protocol",
        )
    return Plan(request, protocol, dataset, method, fit, test, folds, graph, setting, started)


def load_runnable(name: str) -> Protocol:
    """A protocol that this version can follow. Raises UsageError where it cannot."""
    protocol = load(name)
    if protocol.normalise == "baseline":
        raise UsageError(
            "this version cannot run protocols with `normalise: baseline` yet", where=f"protocol {protocol.name}"
        )
    return protocol


def _check_frozen(method: Method, started: weights.Weights | None) -> None:
    """Refuses to freeze a fusion that starts from nothing."""
    starts = started is not None and FUSION in started.files
    if method.fusion.recipe.frozen and not starts and all(step.modality for step in method.pretraining):
        raise UsageError(
            f"fusion {method.fusion.short} is to stay as it was pretrained, and nothing pretrains it",
            where="fusion.frozen",
            expected="a pretrainer of the whole model, such as --pretrainer signal_transform, or weights of one",
        )


_KINDS = {"binary": "two classes", "classes": "several classes", "value": "values"}


def _check_kinds(method: Method, targets: Sequence[Target]) -> None:
    """Refuses targets of a kind that the method's estimator does not answer."""
    kinds = registry.load("fusion", method.fusion.name).kinds
    if unfit := [t for t in targets if t.kind not in kinds]:
        fitting = [t.name for t in targets if t.kind in kinds]
        raise UsageError(
            f"{method.fusion.short} does not answer {_KINDS[unfit[0].kind]}, which {unfit[0].name} asks for",
            where=f"--fusion {method.fusion.short}",
            expected=f"targets of {' or '.join(said for kind, said in _KINDS.items() if kind in kinds)}",
            hint=f"--target {','.join(fitting)}" if fitting else "another --fusion, such as a network",
        )


def _folds(protocol: Protocol, fit: Cohort, test: Cohort, seed: int) -> list[Fold]:
    units = [fit.units[i] for i in fit.eligible]
    if protocol.split.by == "segment":
        folds = partition(protocol, fit.card.name, units, seed)
    else:
        folds = follow(partition(protocol, fit.card.name, fit.roster, seed), fit.roster, units)
    prove(protocol, units, folds)
    if fit is test:
        return folds
    # Another dataset's people are tested: all of ours train, but for the first fold's validation people.
    first = folds[0]
    return [Fold(0, (*first.train, *first.test), first.val, tuple(test.units[i].id for i in test.eligible))]


def _trained_on(request: Request, method: Method, protocol: Protocol, test: Cohort, workers: int) -> Cohort:
    name = locate.full_name(str(request.train_dataset))
    card = card_under(protocol, registry.load("dataset", name).card)
    if fitted := [t.name for t in test.targets if t.rule.cut == "training_mean"]:
        raise UsageError(
            f"{protocol.name} takes the cut of {', '.join(fitted)} from training labels of the same dataset",
            where=f"--train-dataset {request.train_dataset}",
            expected="a protocol whose cuts are fixed, or no --train-dataset",
        )
    folders = [data_folder(registry.find("dataset", d), request.data_root) for d in (name, request.dataset)]
    if folders[0] == folders[1]:
        raise UsageError(
            f"{card.name} is the dataset that is tested: its people would stand in training and test",
            where=f"--train-dataset {request.train_dataset}",
            expected="a dataset of other people, or no --train-dataset",
        )
    store = locate.prepared(name, request.data_root, protocol, workers)
    for m in (part for joined in method.modalities for part in joined.split("+")):
        one, other = store.modalities.get(m), test.store.modalities[m]
        if one is None or one.channels != other.channels:
            raise UsageError(
                f"{card.name} has no `{m}` with the channels of {test.card.name}"
                + (f": {', '.join(one.channels)}" if one else ""),
                where="--train-dataset",
                expected=f"{m}: {', '.join(other.channels)}",
                hint="choose modalities that both have: --modalities",
            )
    names = ",".join(t.name for t in test.targets)
    fit = gather(store, card, choose_targets(card, names), method.modalities, protocol)
    if [(t.kind, t.n) for t in fit.targets] != [(t.kind, t.n) for t in test.targets]:
        raise UsageError(f"{names} are not of one kind in {card.name} and {test.card.name}", where="--train-dataset")
    return fit


def _drop(request: Request, method: Method) -> tuple[str, ...]:
    chosen = tuple(m.strip() for m in request.drop.split(",")) if request.drop else ()
    for m in chosen:
        if m not in method.modalities:
            raise UsageError(
                f"`{m}` is not among the modalities", where="--drop", expected=", ".join(method.modalities)
            )
    if len(chosen) >= len(method.modalities):
        raise UsageError("nothing is left to predict from", where=f"--drop {request.drop}")
    return chosen


def _labelled_people(request: Request) -> int | None:
    text = request.label_subjects
    if text is None or text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UsageError(
            f"`{text}` people",
            where="--label-subjects",
            expected="a number from 1 on, or all",
            hint="several: embench grid",
        )
    return int(text)
