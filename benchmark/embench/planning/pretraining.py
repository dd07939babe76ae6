"""Plan a pretraining alone, and the runs with which a run of a pretrained network is compared."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from embench import registry
from embench.data.cohort import Cohort, card_for_protocol, choose_targets
from embench.data.find import Source, find_source
from embench.engine import device as machine
from embench.engine import fits
from embench.engine.assemble import list_sources
from embench.engine.device import resolve_device
from embench.engine.stage import Folder, PretrainParams, Stage
from embench.errors import EmbenchError, UsageError
from embench.files import digest, folder_mode
from embench.interfaces.dataset import Card
from embench.planning.graph import Setting, locate_data, make_external_stage, stage_folder
from embench.planning.method import assumed_fields, read_pretrainer, resolve_method, split_datasets
from embench.planning.parts import Method
from embench.planning.plan import THREADS, default_workers, resolve_rules
from embench.planning.request import Request
from embench.planning.weights import check_mixed, load_source, randomise_weights
from embench.protocols import Protocol, load_protocol
from embench.records.pretraining_comparison import FACE, RANDOM, REFERENCE_WORDS, TRAINING, VIDEO, ReferenceKind
from embench.records.wording import join_with_and

# The plan of a pretraining alone, on all subjects of datasets or of folders of recordings, without folds. Runs with the
# same source and recipe use its stages.

STAND_IN = "concat"
"""Placeholder fusion for modalities that are pretrained separately; it is never built."""


@dataclass(frozen=True)
class PretrainingPlan:
    """A pretraining before execution. `sources`: cohorts of the datasets `data`. `stages`: modality -> stage that
    trains its encoder; the key None stands for the whole model."""

    request: Request
    protocol: Protocol
    method: Method
    data: tuple[Source, ...]
    sources: tuple[Cohort, ...]
    seed: int
    device: str
    stages: Mapping[str | None, Stage[PretrainParams]]

    @property
    def id(self) -> str:
        """Id: names of encoders, pretrainer and source datasets, and 10 hex digits made from the ids of the stages."""
        names = list(dict.fromkeys(part.short for part in self.method.encoders.values()))
        source = "_".join(source.card.name for source in self.sources).replace("/", "-")
        ids = [stage.id for stage in self.stages.values()]
        return f"{'_'.join(names)}-{self.method.pretraining[0].part.short}-{source}-{digest(ids)[:10]}"

    @property
    def folder(self) -> Folder:
        """Folder in which weights and manifest are written."""
        mode = folder_mode(*(source.card.labels_public for source in self.sources))
        return Folder(self.request.runs_folder / "pretrained", self.id, mode=mode)

    @property
    def whole(self) -> bool:
        """True if the fusion is pretrained too."""
        return None in self.stages

    def describe(self) -> dict[str, Any]:
        """Return the description of the plan that `--dry-run` prints."""
        seen = {
            (spec.store, r)
            for stage in self.stages.values()
            for spec, task in list_sources(stage)
            for r in task["recording"].tolist()
        }
        stores = {source.store.key: source.store for source in self.sources}
        return {
            "pretraining": self.id,
            "source": ", ".join(store.name for store in stores.values()),
            "synthetic": any(store.synthetic is not None for store in stores.values()),
            "subjects": len({(key, stores[key].recordings[r].subject) for key, r in seen}),
            "recordings": len(seen),
            "modalities": list(self.method.modalities),
            "targets": [target.name for target in self.sources[0].targets],
            "recipe": self.method.preset,
            "assumed": [name for name in assumed_fields(self.method) if self.whole or not name.startswith("fusion.")],
            "protocol": self.protocol.name,
            "stages": len(self.stages),
            "found": sum(Folder(stage_folder(self.request.runs_folder), s.id).done for s in self.stages.values()),
        }


def plan_pretraining(request: Request, seed: int = 0) -> PretrainingPlan:
    """Plan a pretraining. Data that are not prepared yet are prepared.

    Args:
        request: `dataset` names the sources: a name or the path of a corpus, or several joined by plus signs.
            `pretrainers` holds one name, without source. Fields about folds, targets and tests are ignored.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad."""
    protocol, device = load_protocol(request.protocol), machine.resolve_device(request.device)
    (pretrainer,), names = request.pretrainers, split_datasets(request.dataset)
    modality, _, named_source = read_pretrainer(pretrainer)
    if modality or named_source:
        raise UsageError(
            f"`{pretrainer}` names more than a pretrainer",
            where="--pretrainer",
            expected="the name of a pretrainer; name the data in --corpus and the modalities in --modalities",
        )
    alone = registry.load_plugin("pretrainer", pretrainer).scope == "encoder"
    request = replace(
        request,
        dataset=names[0],
        pretrainers=(f"{pretrainer}:{request.dataset}",),
        fusion=request.fusion or (STAND_IN if alone else None),
    )
    data = tuple(find_source(name, request.data_root) for name in names)
    card = card_for_protocol(protocol, data[0].card, tested=False)
    resolve_method(request, card, list(card.modalities), device)  # reports wrong names before data are prepared
    workers = request.workers or default_workers({"cpu"})
    store = data[0].prepared(protocol, workers)
    method = resolve_method(request, card, list(store.modalities), device)
    steps = [replace(step, own=False, option=f"--corpus {'+'.join(names)}") for step in method.pretraining]
    step = steps[0]
    sources = tuple(load_source(each, step, method, (), protocol, workers) for each in data)
    check_mixed(method, step, protocol, sources)
    places = {**locate_data(*sources), "gpu": machine.gpu_in_use(method.device)}
    setting = Setting(protocol, method.device, THREADS, places=places)
    stages = {step.modality: make_external_stage(method, step, sources, setting, seed, {}) for step in steps}
    for stage in stages.values():
        fits.require_windows(stage)
    return PretrainingPlan(request, protocol, method, data, sources, seed, method.device, stages)


# Comparison runs of a pretrained request: the same network with random weights, frozen and trained from scratch, and
# handcrafted features, all trained in the same way.

_TRAINS: Mapping[str, tuple[str, ...]] = {
    "unimodal": ("encoder",),
    "tokens": ("fusion",),
    "hidden": ("encoder", "fusion"),
    "estimator": ("encoder",),
}
"""`Method.joins` -> kinds of parts whose recipes train a network."""
_ADAPTS = re.compile(r"(encoder|fusion)(\[.+\])?\.(adapt|frozen)\s*=")


class NothingPretrained(UsageError):
    """Refusal to list comparison runs for a request without pretrained weights."""


@dataclass(frozen=True)
class ComparisonRun:
    """A run with which a pretrained run is compared, or the pretrained run itself if `kind` is None. If the comparison
    is not possible, `request` is None and `reason` says why."""

    kind: ReferenceKind | None
    request: Request | None
    reason: str = ""

    @property
    def title(self) -> str:
        """Title of the comparison."""
        return REFERENCE_WORDS[self.kind] if self.kind else "pretrained"


@dataclass(frozen=True)
class PretrainedSet:
    """A pretrained run, followed by its comparison runs. `training` says in words how all of them are trained."""

    rows: tuple[ComparisonRun, ...]
    training: str

    @property
    def requests(self) -> list[Request]:
        """Requests of all runs that are possible."""
        return [row.request for row in self.rows if row.request]


def add_comparisons(request: Request) -> PretrainedSet:
    """Return a request with its comparison runs. All networks are trained until the validation loss has not fallen for
    five epochs, at most 100, unless the request says otherwise. If the protocol has no validation subjects, they are
    trained by the recipe's schedule.

    Raises:
        NothingPretrained: the request does not start from pretrained weights.
        UsageError: the request is tuned, or cannot be planned."""
    if request.tuned:
        raise UsageError(
            "settings tuned for a pretrained method do not apply to its from-scratch and feature comparison",
            where=f"--pretraining-comparison, --tuned {request.tuned}",
            expected="--pretraining-comparison without --tuned",
        )
    stated, protocol, card = resolve_rules(request)
    method = resolve_method(stated, card, list(card.modalities), resolve_device(request.device))
    before = find_pretrained_parts(stated, method)
    if not before:
        raise NothingPretrained(
            "--pretraining-comparison requires a pretrained encoder or a pretrainer, and this method has neither",
            where="--pretraining-comparison",
            expected="encoder weights (--set encoder.build.weights=..), --pretrained or --pretrainer",
        )
    settings, words = _choose_training(request, method, protocol)
    row = replace(request, settings=(*settings, *request.settings))
    rows = [
        ComparisonRun(None, row),
        *_list_random_runs(row, stated, method, card, before),
        *_list_feature_runs(request, method, card),
    ]
    return PretrainedSet(tuple(rows), words)


def split_pretrained(requests: Iterable[Request]) -> tuple[list[PretrainedSet], list[Request]]:
    """Return the pretrained set of each pretrained request, and the list of all requests, each once. The list begins
    with the requests of the sets.

    Raises:
        NothingPretrained: none of the requests is pretrained."""
    found: list[PretrainedSet] = []
    plain: list[Request] = []
    last: NothingPretrained | None = None
    for request in requests:
        try:
            found.append(add_comparisons(request))
        except NothingPretrained as error:
            plain, last = [*plain, request], error
    if last is not None and not found:
        raise last
    return found, list(dict.fromkeys([*(each for comparison in found for each in comparison.requests), *plain]))


def find_pretrained_parts(request: Request, method: Method) -> list[str]:
    """Return the modalities whose encoders start from pretrained weights."""
    if request.pretrained == RANDOM:
        return []
    steps = {m for step in method.pretraining for m in method.find_trained_modalities(step)}
    return [
        m
        for m, part in method.encoders.items()
        if request.pretrained or m in steps or part.recipe.build.get("weights", RANDOM) != RANDOM
    ]


def _choose_training(request: Request, method: Method, protocol: Protocol) -> tuple[tuple[str, ...], str]:
    """Return the settings with which all compared networks are trained, and a sentence that describes them. The caller
    lets settings of the request override them, and the sentence lists those that do."""
    kinds = () if method.inputs == "features" else _TRAINS[method.joins]
    if not kinds:
        return (), f"{method.fusion.short} is fitted on features, and no network is trained"
    if not protocol.validation.fraction:
        return (), f"{protocol.name} has no validation subjects: all networks are trained as the recipe says"
    settings = tuple(f"{kind}.{name}={value}" for kind in kinds for name, value in TRAINING.items())
    overrides = [text for text in request.settings if re.search(r"\.(selection|patience|epochs)\s*=", text)]
    stated = f", except for {join_with_and(overrides)}" if overrides else ""
    return settings, (
        "all networks are trained until the loss on validation subjects has not fallen for "
        f"{TRAINING['patience']} epochs, at most {TRAINING['epochs']}{stated}"
    )


def _list_random_runs(
    row: Request, stated: Request, method: Method, card: Card, before: Collection[str]
) -> Iterator[ComparisonRun]:
    """Yield runs with the same network without pretraining: frozen with the same head, and trained from scratch. `row`:
    the pretrained run. `stated`: the user's request with defaults. `before`: modalities with pretrained encoders."""
    if method.inputs == "features":
        yield ComparisonRun("random_frozen", randomise_weights(row, card))
        yield ComparisonRun("scratch", None, f"{method.fusion.short} is fitted on features, and no network is trained")
        return
    settings = tuple(text for text in row.settings if not _ADAPTS.match(text))
    plain = randomise_weights(replace(row, settings=settings), card)
    fresh = resolve_method(replace(stated, pretrainers=(), settings=plain.settings), card, list(card.modalities), "cpu")
    default = {name: part.recipe.adapt for name, part in fresh.parts()}
    current = {name: part.recipe.adapt for name, part in method.parts()}
    trained = [*(f"encoder[{m}]" for m in method.modalities), "fusion"]
    heads = {f"encoder[{m}]": "ridge" if current[f"encoder[{m}]"] == "ridge" else "frozen" for m in before}
    kinds: dict[ReferenceKind, dict[str, str]] = {
        "random_frozen": {**{name: current[name] for name in trained}, **heads},
        "scratch": dict.fromkeys(trained, "full"),
    }
    for kind, adapted in kinds.items():
        yield ComparisonRun(kind, replace(plain, settings=(*plain.settings, *_format_adaptations(adapted, default))))


def _format_adaptations(adapted: Mapping[str, str], default: Mapping[str, str]) -> Iterator[str]:
    """Yield settings that give each part its `adapted` value of `adapt` (part -> value), except defaults. Encoders with
    equal values share one setting."""
    changed = {name: value for name, value in adapted.items() if value != default[name]}
    encoders = {name: value for name, value in changed.items() if name != "fusion"}
    if len(encoders) == len(adapted) - 1 and len(set(encoders.values())) == 1:
        yield f"encoder.adapt={next(iter(encoders.values()))}"
        encoders = {}
    yield from (f"{name}.adapt={value}" for name, value in encoders.items())
    if "fusion" in changed:
        yield f"fusion.adapt={changed['fusion']}"


def _list_feature_runs(request: Request, method: Method, card: Card) -> Iterator[ComparisonRun]:
    """Yield runs with an estimator on handcrafted features of the same modalities; for EEG also on its covariance."""
    parts = list(dict.fromkeys(part for m in method.modalities for part in m.split("+")))
    if VIDEO in parts and FACE not in card.modalities:
        yield ComparisonRun(
            "features", None, f"{card.name} has no {FACE}, and there are no handcrafted features of video frames"
        )
        return
    read = list(dict.fromkeys(FACE if part == VIDEO else part for part in parts))
    choices: list[tuple[str, ...]] = [("handcrafted",)]
    eeg = [part for part in read if registry.known_as({"eeg"}, part.partition("[")[0])]
    if eeg:
        choices.append(
            ("tangent_space",) if len(eeg) == len(read) else ("handcrafted", *(f"{m}=tangent_space" for m in eeg))
        )
    targets = choose_targets(card, request.targets)
    for classes, fusion in ((True, "logreg"), (False, "ridge")):
        fitting = [target.name for target in targets if target.traits.has_classes == classes]
        for encoders in choices if fitting else ():
            yield _check_run(
                replace(
                    request,
                    encoders=encoders,
                    fusion=fusion,
                    modalities=",".join(read),
                    targets=request.targets if len(fitting) == len(targets) else ",".join(fitting),
                    pretrainers=(),
                    pretrained=None,
                    settings=(),
                ),
                card,
            )


def _check_run(request: Request, card: Card) -> ComparisonRun:
    """Return the run with handcrafted features, or the reason why its parts do not fit."""
    try:
        resolve_method(request, card, list(card.modalities), "cpu")
    except EmbenchError as error:
        return ComparisonRun("features", None, error.what)
    return ComparisonRun("features", request)
