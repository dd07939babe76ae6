"""Pretraining by itself: runs its plan and writes the weights, with a manifest of the subjects they have seen."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors

import embench
from embench.callbacks import EventCallback
from embench.checksums import sealed_yaml
from embench.data import find
from embench.engine import network
from embench.engine.stage import Folder, Part
from embench.planning import weights
from embench.planning.graph import libraries
from embench.planning.pretraining import PretrainingPlan, plan_pretraining
from embench.planning.request import Request
from embench.runs.stages import run_stages
from embench.runs.videos import decode_videos


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights that were pretrained: where they lie, and what their manifest says."""

    id: str
    folder: Path
    manifest: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """The document of `embench pretrain --json`."""
        return {
            "pretraining": self.id,
            "folder": str(self.folder),
            "weights": str(self.folder / weights.FILE),
            "synthetic": self.manifest["synthetic"],
            "use": f"--pretrained {self.folder}",
            "manifest": dict(self.manifest),
        }


def pretrain(request: Request, seed: int = 0, progress: EventCallback | None = None) -> PretrainedWeights:
    """Pretrains, unless it was done before, and writes weights and manifest.

    Raises:
        EmbenchError: of the kind that says whose fault it is; stages that finished are kept and not run again.
    """
    plan = plan_pretraining(request, seed)
    stages = list(plan.stages.values())
    decode_videos(plan.sources, plan.method, request.workers, progress)
    outcome, root = run_stages(stages, request, progress)
    outcome.check(stage.id for stage in stages)
    folder = plan.folder
    content = as_safetensors(_state(plan, root))
    seen = [each for stage in stages for each in weights.data_seen(outcome.results[stage.id])]
    manifest = _manifest(plan, seen, content)
    folder.write(weights.FILE, lambda path: path.write_bytes(content))
    # Last: with it the folder is complete.
    text = sealed_yaml(yaml.safe_dump(manifest, sort_keys=False, width=120))
    folder.write(weights.MANIFEST, lambda path: path.write_text(text, newline="\n"))
    return PretrainedWeights(plan.id, folder.path, manifest)


def _state(plan: PretrainingPlan, root: Path) -> dict[str, Any]:
    """The tensors of all stages side by side, without read-outs and the engine's own."""
    parts = ("encoders.", "fusion.")
    return {
        name: value
        for stage in plan.stages.values()
        for name, value in load_file(Folder(root, stage.id).file("weights.safetensors")).items()
        if name.startswith(parts) and network.is_kept(name)
    }


def _manifest(plan: PretrainingPlan, seen: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, Any]:
    """The manifest of pretrained weights, with the data that they were trained on."""
    method, step = plan.method, plan.method.pretraining[0]
    entries = weights.merged(seen)
    return {
        "id": plan.id,
        "embench_version": embench.__version__,
        "synthetic": any(entry["synthetic"] for entry in entries),
        "scope": "model" if plan.whole else "encoder",
        "pretrainer": describe_part(step.part),
        "encoders": {m: describe_part(part) for m, part in method.encoders.items()},
        "fusion": describe_part(method.fusion) if plan.whole else None,
        "modalities": list(method.modalities),
        "channels": {m: names for one in seen for m, names in one["channels"].items()},
        "recipe": {"preset": method.preset, "settings": list(plan.request.settings)},
        "protocol": {"name": plan.protocol.name, "hash": plan.protocol.hash},
        "seed": plan.seed,
        "title": "; ".join(source.card.title for source in plan.sources),
        "seen": [{name: value for name, value in entry.items() if name != "channels"} for entry in entries],
        "stages": [stage.id for stage in plan.stages.values()],
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": {"python": platform.python_version(), **libraries(plan.device)},
        "device": plan.device,
        "files": sorted({mark for name in plan.names for mark in find.file_marks(name, plan.request.data_root)}),
    }


def describe_part(part: Part) -> dict[str, Any]:
    """A plugin with its code and recipe, as manifests of weights have it."""
    recipe = json.loads(json.dumps(part.recipe.mapping()))  # YAML has no tuples
    return {"plugin": part.name, "code": part.code, "recipe": recipe}
