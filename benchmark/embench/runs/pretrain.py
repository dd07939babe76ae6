"""Pretraining by itself, on all people of a dataset or of a folder of recordings: no fold, and no test set.

What is trained is a stage like any other, so that a run with the same source and recipe finds it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors

from embench import registry
from embench.data import find
from embench.data.cohort import Cohort, card_under
from embench.engine import device as machine
from embench.engine import network
from embench.engine.executor import local
from embench.engine.stage import Folder, Stage
from embench.errors import UsageError
from embench.files import digest
from embench.planning import weights
from embench.planning.graph import Setting, data_places, libraries, outside_stage, stage_folder
from embench.planning.method import Method, Part, read_pretrainer, resolve
from embench.planning.plan import THREADS, assumed, default_workers
from embench.planning.request import Request
from embench.planning.sources import source_of
from embench.protocols import Protocol, load

Report = Callable[[Mapping[str, Any]], None]

STAND_IN = "concat"
"""The fusion of several modalities where each is pretrained by itself; it is never built."""


@dataclass(frozen=True)
class Plan:
    """A pretraining before it is run; `stages` are of a modality each (None: of the whole model)."""

    request: Request
    protocol: Protocol
    method: Method
    source: Cohort
    seed: int
    device: str
    stages: Mapping[str | None, Stage]

    @property
    def id(self) -> str:
        names = list(dict.fromkeys(part.short for part in self.method.encoders.values()))
        source = self.source.card.name.replace("/", "-")
        ids = [stage.id for stage in self.stages.values()]
        return f"{'_'.join(names)}-{self.method.pretraining[0].part.short}-{source}-{digest(ids)[:10]}"

    @property
    def folder(self) -> Folder:
        """Where weights and manifest go."""
        return Folder(self.request.runs_folder / "pretrained", self.id)

    @property
    def whole(self) -> bool:
        """Whether the fusion is pretrained too."""
        return None in self.stages

    def describe(self) -> dict[str, Any]:
        """What `--dry-run` prints."""
        tasks = [stage.task for stage in self.stages.values()]
        recordings = self.source.store.recordings
        return {
            "pretraining": self.id,
            "source": self.source.store.name,
            "synthetic": self.source.store.synthetic is not None,
            "people": len({recordings[r].subject for task in tasks for r in task["recording"].tolist()}),
            "recordings": len({r for task in tasks for r in task["recording"].tolist()}),
            "modalities": list(self.method.modalities),
            "targets": [target.name for target in self.source.targets],
            "recipe": self.method.preset,
            "assumed": [name for name in assumed(self.method) if self.whole or not name.startswith("fusion.")],
            "protocol": self.protocol.name,
            "stages": len(self.stages),
            "found": sum(Folder(stage_folder(self.request.runs_folder), s.id).done for s in self.stages.values()),
        }


@dataclass(frozen=True)
class Result:
    """Weights that were pretrained: where they lie, and what their manifest says."""

    id: str
    folder: Path
    manifest: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """What `embench pretrain --json` prints."""
        return {
            "pretraining": self.id,
            "folder": str(self.folder),
            "weights": str(self.folder / weights.FILE),
            "synthetic": self.manifest["synthetic"],
            "use": f"--pretrained {self.folder}",
            "manifest": dict(self.manifest),
        }


def make(request: Request, seed: int = 0) -> Plan:
    """The plan of a pretraining; prepares the data where that was not done yet.

    Args:
        request: `dataset` is what is pretrained on, a name or the path of a corpus; `pretrainers` has one, without
            source; fields about folds, targets and tests have no say.

    Raises:
        UsageError: names or parts do not fit. DataError: data are missing or bad.
    """
    protocol, device = load(request.protocol), machine.resolve(request.device)
    (pretrainer,), name = request.pretrainers, request.dataset
    modality, _, source_given = read_pretrainer(pretrainer)
    if modality or source_given:
        raise UsageError(
            f"a pretrainer and nothing else, please, not `{pretrainer}`",
            where="--pretrainer",
            expected="what it is trained on under --corpus, and which modalities under --modalities",
        )
    alone = registry.load("pretrainer", pretrainer).scope == "encoder"
    request = replace(
        request, pretrainers=(f"{pretrainer}:{name}",), fusion=request.fusion or (STAND_IN if alone else None)
    )
    card = card_under(protocol, find.open_dataset(name, request.data_root).card)
    resolve(request, card, list(card.modalities), device)
    workers = request.workers or default_workers("cpu")
    store = find.prepared(name, request.data_root, protocol, workers)
    method = resolve(request, card, list(store.modalities), device)
    source = source_of(method.pretraining[0], method, (), request, protocol, workers)
    setting = Setting(protocol, device, THREADS, places=data_places(source))
    stages = {step.modality: outside_stage(method, step, source, setting, seed, {}) for step in method.pretraining}
    return Plan(request, protocol, method, source, seed, device, stages)


def run(request: Request, seed: int = 0, progress: Report | None = None) -> Result:
    """Pretrains, unless it was done before, and writes weights and manifest.

    Raises:
        EmbenchError: of the kind that says whose fault it is; stages that finished are kept and not run again.
    """
    plan = make(request, seed)
    root = stage_folder(request.runs_folder)
    stages = list(plan.stages.values())
    workers = request.workers or default_workers(plan.device)
    outcome = local(stages, root, workers, progress or (lambda _: None))
    for stage in stages:
        if stage.id in outcome.errors:
            raise outcome.errors[stage.id]
    folder = plan.folder
    content = as_safetensors(_state(plan, root))
    manifest = _manifest(plan, [outcome.results[stage.id]["manifest"] for stage in stages], content)
    folder.write(weights.FILE, lambda path: path.write_bytes(content))
    # Last: with it the folder is complete.
    text = yaml.safe_dump(manifest, sort_keys=False, width=120)
    folder.write(weights.MANIFEST, lambda path: path.write_text(text, newline="\n"))
    return Result(plan.id, folder.path, manifest)


def _state(plan: Plan, root: Path) -> dict[str, Any]:
    """The tensors of all stages side by side, without read-outs and what is the engine's own."""
    parts = ("encoders.", "fusion.")
    return {
        name: value
        for stage in plan.stages.values()
        for name, value in load_file(Folder(root, stage.id).file("weights.safetensors")).items()
        if name.startswith(parts) and network.is_kept(name)
    }


def _manifest(plan: Plan, seen: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, Any]:
    """What the weights are and what they were trained on."""
    method, step = plan.method, plan.method.pretraining[0]
    entries = weights.merged(seen)
    return {
        "id": plan.id,
        "embench_version": metadata.version("embench"),
        "synthetic": any(entry["synthetic"] for entry in entries),
        "scope": "model" if plan.whole else "encoder",
        "pretrainer": _about(step.part),
        "encoders": {m: _about(part) for m, part in method.encoders.items()},
        "fusion": _about(method.fusion) if plan.whole else None,
        "modalities": list(method.modalities),
        "channels": {m: names for one in seen for m, names in one["channels"].items()},
        "recipe": {"preset": method.preset, "settings": list(plan.request.settings)},
        "protocol": {"name": plan.protocol.name, "hash": plan.protocol.hash},
        "seed": plan.seed,
        "title": plan.source.card.title,
        "seen": [{name: value for name, value in entry.items() if name != "channels"} for entry in entries],
        "stages": [stage.id for stage in plan.stages.values()],
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": {"python": platform.python_version(), **libraries(plan.device)},
        "device": plan.device,
        "files": sorted(find.marks(plan.request.dataset, plan.request.data_root)),
    }


def _about(part: Part) -> dict[str, Any]:
    recipe = json.loads(json.dumps(part.recipe.mapping()))  # YAML has no tuples
    return {"plugin": part.name, "code": part.code, "recipe": recipe}
