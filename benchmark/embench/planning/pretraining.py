"""The plan of a pretraining by itself, on all subjects of datasets or of folders of recordings: no fold, no test set.

It is a stage like any other, so that a run with the same source and recipe finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from embench import registry
from embench.data import find
from embench.data.cohort import Cohort, card_for_protocol
from embench.engine import device as machine
from embench.engine.assemble import sources_of
from embench.engine.stage import Folder, PretrainParams, Stage
from embench.errors import UsageError
from embench.files import digest, folder_mode
from embench.planning.method import read_pretrainer, resolve_method, several
from embench.planning.origins import check_mixed, source_of
from embench.planning.parts import Method
from embench.planning.plan import THREADS, assumed, default_workers
from embench.planning.pretraining_stages import external_stage
from embench.planning.request import Request
from embench.planning.setting import Setting, data_places, stage_folder
from embench.protocols import Protocol, load_protocol

STAND_IN = "concat"
"""The fusion of several modalities where each is pretrained by itself; it is never built."""


@dataclass(frozen=True)
class PretrainingPlan:
    """A pretraining before it is run; `stages` are of a modality each (None: of the whole model), and `names` those by
    which the request knows the sources."""

    request: Request
    protocol: Protocol
    method: Method
    names: tuple[str, ...]
    sources: tuple[Cohort, ...]
    seed: int
    device: str
    stages: Mapping[str | None, Stage[PretrainParams]]

    @property
    def id(self) -> str:
        """The encoders, pretrainer and sources, and 10 hex digits of its stages."""
        names = list(dict.fromkeys(part.short for part in self.method.encoders.values()))
        source = "_".join(source.card.name for source in self.sources).replace("/", "-")
        ids = [stage.id for stage in self.stages.values()]
        return f"{'_'.join(names)}-{self.method.pretraining[0].part.short}-{source}-{digest(ids)[:10]}"

    @property
    def folder(self) -> Folder:
        """The folder for weights and manifest."""
        mode = folder_mode(*(source.card.labels_public for source in self.sources))
        return Folder(self.request.runs_folder / "pretrained", self.id, mode=mode)

    @property
    def whole(self) -> bool:
        """True if the fusion is pretrained too."""
        return None in self.stages

    def describe(self) -> dict[str, Any]:
        """The document of `--dry-run`."""
        seen = {
            (spec.store, r)
            for stage in self.stages.values()
            for spec, task in sources_of(stage)
            for r in task["recording"].tolist()
        }
        stores = {source.store.key: source.store for source in self.sources}
        return {
            "pretraining": self.id,
            "source": ", ".join(store.name for store in stores.values()),
            "synthetic": any(store.synthetic is not None for store in stores.values()),
            "people": len({(key, stores[key].recordings[r].subject) for key, r in seen}),
            "recordings": len(seen),
            "modalities": list(self.method.modalities),
            "targets": [target.name for target in self.sources[0].targets],
            "recipe": self.method.preset,
            "assumed": [name for name in assumed(self.method) if self.whole or not name.startswith("fusion.")],
            "protocol": self.protocol.name,
            "stages": len(self.stages),
            "found": sum(Folder(stage_folder(self.request.runs_folder), s.id).done for s in self.stages.values()),
        }


def plan_pretraining(request: Request, seed: int = 0) -> PretrainingPlan:
    """The plan of a pretraining; prepares the data where that was not done yet.

    Args:
        request: `dataset` is what is pretrained on, a name or the path of a corpus, or several joined by plus signs;
            `pretrainers` has one, without source; fields about folds, targets and tests have no say.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad.
    """
    protocol, device = load_protocol(request.protocol), machine.resolve_device(request.device)
    (pretrainer,), names = request.pretrainers, several(request.dataset)
    modality, _, named_source = read_pretrainer(pretrainer)
    if modality or named_source:
        raise UsageError(
            f"`{pretrainer}` names more than a pretrainer",
            where="--pretrainer",
            expected="the name of a pretrainer; name the data in --corpus and the modalities in --modalities",
        )
    alone = registry.load("pretrainer", pretrainer).scope == "encoder"
    request = replace(
        request,
        dataset=names[0],
        pretrainers=(f"{pretrainer}:{request.dataset}",),
        fusion=request.fusion or (STAND_IN if alone else None),
    )
    card = card_for_protocol(protocol, find.card_of(names[0], request.data_root), tested=False)
    resolve_method(request, card, list(card.modalities), device)
    workers = request.workers or default_workers({"cpu"})
    store = find.prepared(names[0], request.data_root, protocol, workers)
    method = resolve_method(request, card, list(store.modalities), device)
    steps = [replace(step, own=False, option=f"--corpus {'+'.join(names)}") for step in method.pretraining]
    step = steps[0]
    sources = tuple(source_of(name, step, method, (), request, protocol, workers) for name in names)
    check_mixed(method, step, protocol, sources)
    places = {**data_places(*sources), "gpu": machine.gpu_in_use(method.device)}
    setting = Setting(protocol, method.device, THREADS, places=places)
    stages = {step.modality: external_stage(method, step, sources, setting, seed, {}) for step in steps}
    return PretrainingPlan(request, protocol, method, names, sources, seed, method.device, stages)
