"""Pretrain alone, or convert a checkpoint of other code: weights with a manifest of their origin."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor

import embench
from embench import registry
from embench.engine import network
from embench.engine.stage import Folder, Part
from embench.errors import DataError, PluginError, UsageError
from embench.files import aside, make_folder, sealed_yaml, sha256, temporary
from embench.interfaces.conversion import Checkpoint, Conversion
from embench.planning import weights
from embench.planning.graph import libraries
from embench.planning.pretraining import PretrainingPlan, plan_pretraining
from embench.planning.request import Request
from embench.runs.run import run_stages
from embench.runs.videos import decode_videos
from embench.system import EventCallback, in_fresh_process

# Pretraining alone: run its plan and write the weights, with a manifest of their training subjects.


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights: their folder, and their manifest."""

    id: str
    folder: Path
    manifest: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `embench pretrain --json`."""
        return {
            "pretraining": self.id,
            "folder": str(self.folder),
            "weights": str(self.folder / weights.FILE),
            "synthetic": self.manifest["synthetic"],
            "use": f"--pretrained {self.folder}",
            "manifest": dict(self.manifest),
        }


def pretrain(request: Request, seed: int = 0, progress: EventCallback | None = None) -> PretrainedWeights:
    """Pretrain, unless these weights exist already, and write weights and manifest.

    Raises:
        EmbenchError: its class says whose fault it is. Finished stages are kept, and not run again.
    """
    plan = plan_pretraining(request, seed)
    stages = list(plan.stages.values())
    decode_videos(plan.sources, plan.method, request.workers, progress)
    outcome, root = run_stages(stages, request, progress)
    outcome.check(stage.id for stage in stages)
    folder = plan.folder
    content = as_safetensors(_collect_tensors(plan, root))
    seen = [each for stage in stages for each in weights.list_data_seen(outcome.results[stage.id])]
    manifest = _make_manifest(plan, seen, content)
    folder.write(weights.FILE, lambda path: path.write_bytes(content))
    # Written last: it completes the folder.
    text = sealed_yaml(yaml.safe_dump(manifest, sort_keys=False, width=120))
    folder.write(weights.MANIFEST, lambda path: path.write_text(text, newline="\n"))
    return PretrainedWeights(plan.id, folder.path, manifest)


def _collect_tensors(plan: PretrainingPlan, root: Path) -> dict[str, Any]:
    """Return name -> tensor of the pretrained encoders and fusion, from all stages."""
    parts = ("encoders.", "fusion.")
    return {
        name: value
        for stage in plan.stages.values()
        for name, value in load_file(Folder(root, stage.id).file("weights.safetensors")).items()
        if name.startswith(parts) and network.is_transferred(name)
    }


def _make_manifest(plan: PretrainingPlan, seen: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, Any]:
    """Return the manifest of pretrained weights.

    Args:
        seen: the training data that the stages recorded. `content`: the bytes of the file of weights.
    """
    method, step = plan.method, plan.method.pretraining[0]
    entries = weights.merge_seen(seen)
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
        "files": sorted({mark for source in plan.data for mark in source.file_marks()}),
    }


def describe_part(part: Part) -> dict[str, Any]:
    """Return a plugin's name, code and recipe, for manifests of weights."""
    recipe = json.loads(json.dumps(part.recipe.to_mapping()))  # YAML has no tuples
    return {"plugin": part.name, "code": part.code, "recipe": recipe}


# Conversion of a checkpoint of other code into safetensors and a manifest with its origin.

LIBRARY_FILE = "model.safetensors"
"""File name of weights for a network of a library, such as transformers, instead of `weights.FILE`."""


@dataclass(frozen=True)
class Converted:
    """Converted weights: their folder, their name in a run, and their manifest."""

    folder: Path
    use: str
    manifest: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `embench weights convert --json`."""
        return {"folder": str(self.folder), "use": self.use, "manifest": dict(self.manifest)}


def convert(file: Path, out: Path) -> Converted:
    """Read a torch checkpoint in a separate process, where it cannot run code, and write its tensors as safetensors,
    with a manifest, into a new folder. If a plugin knows the layout, tensors get their names in the plugin's network.

    Raises:
        UsageError: `out` is not empty. DataError: the file does not exist, is not a checkpoint, holds more than tensors
            and plain values, or lacks what its layout has. PluginError: a converter's names or shapes are wrong.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty", where="--out", hint="use a new folder")
    if not file.is_file():
        raise DataError("the file does not exist", where=str(file), expected="a checkpoint that torch.save wrote")
    digest = sha256(file)
    make_folder(out.parent)
    with temporary(aside(out)) as folder:
        make_folder(folder)
        raw = folder / "raw"
        entry = in_fresh_process(f"while reading {file.name}", extract_tensors, file, raw)
        found = _convert_checkpoint(Checkpoint(load_file(raw), digest, file))
        raw.unlink()
        name = weights.FILE if found.encoders else LIBRARY_FILE
        (folder / name).write_bytes(as_safetensors(dict(found.tensors), {"format": "pt"}))
        if found.config is not None:
            (folder / "config.json").write_text(json.dumps(found.config, indent=1) + "\n")
        source = {"layout": found.layout, "file": file.name, "sha256": digest, "entry": entry}
        manifest = _make_converted_manifest(found, source, sha256(folder / name))
        text = sealed_yaml(yaml.safe_dump(manifest, sort_keys=False, width=120))
        (folder / weights.MANIFEST).write_text(text, newline="\n")
        if out.exists():
            out.rmdir()
        folder.rename(out)
    setting = found.setting or "encoder.build.weights"
    return Converted(out, f"--pretrained {out}" if found.encoders else f"--set {setting}={out}", manifest)


def _convert_checkpoint(checkpoint: Checkpoint) -> Conversion:
    """Return the conversion by the first plugin that knows the checkpoint's layout; its tensors as they are if none
    does. Raises PluginError if a plugin returns no tensors."""
    for name, converter in registry.converters():
        conversion = converter(checkpoint)
        if conversion is not None:
            empty = [key for key, value in conversion.tensors.items() if not isinstance(value, Tensor)]
            if empty or not conversion.tensors:
                raise PluginError("the conversion wrote no tensors", where=name, expected="name -> tensor")
            tensors = {key: value.contiguous().clone() for key, value in conversion.tensors.items()}
            return Conversion(**{**vars(conversion), "tensors": tensors})
    return Conversion("unknown", checkpoint.tensors)


def _make_converted_manifest(made: Conversion, source: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """Return the manifest of converted weights, with the known keys of `_make_manifest`.

    Args:
        source: layout, file, sha256 and entry of the checkpoint. `digest`: SHA-256 of the converted file.
    """
    parts = {m: _describe_plugin("encoder", name, made.recipe) for m, name in made.encoders.items()}
    return {
        "id": f"converted-{source['sha256'][:10]}",
        "embench_version": embench.__version__,
        "synthetic": False,
        "converted": dict(source),
        "scope": "model" if made.fusion else "encoder",
        "pretrainer": _describe_plugin("pretrainer", made.pretrainer, made.recipe) if made.pretrainer else None,
        "encoders": parts,
        "fusion": _describe_plugin("fusion", made.fusion, made.recipe) if made.fusion else None,
        "modalities": list(parts),
        "channels": {},
        "title": "; ".join(data.title for data in made.seen) or "unknown",
        "seen": [_make_source_entry(asdict(data)) for data in made.seen],
        "sha256": digest,
        "versions": {"python": platform.python_version(), **libraries("cpu")},
        "files": [],
    }


def _make_source_entry(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return training data in the form that stages record; subjects and hours are unknown."""
    return {**source, "store": "none", "synthetic": False, "subjects": None, "recordings": None, "hours": {}}


def _describe_plugin(kind: str, name: str, preset: str) -> dict[str, Any]:
    """Return the description of an installed plugin, as `describe_part` gives it, with its recipe `preset`."""
    plugin = registry.load_plugin(kind, name)
    return describe_part(
        Part(registry.find(kind, name).full_name, registry.code_identity(kind, name), plugin.recipes[preset])
    )


def extract_tensors(file: Path, out: Path) -> str:
    """Write the state dict of a checkpoint to `out`, as safetensors. Return its key in the checkpoint, empty if the
    checkpoint is the state dict. Call it in a separate process, since the file is not trusted.

    Raises:
        DataError: the file is not a checkpoint, or holds objects of other code, no state dict, or several.
    """
    import argparse

    import torch

    try:
        # Training scripts store their options beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # any fault of the file
        try:
            objects = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        except Exception:  # noqa: BLE001  it is not even an archive
            objects = []
        raise DataError(
            f"the checkpoint contains objects of other code: {', '.join(sorted(objects))[:200]}"
            if objects
            else "the file is not a checkpoint, or it is damaged",
            where=str(file),
            expected="a torch.save file that contains only tensors and plain values",
            hint="save the weights with the original code: torch.save(model.state_dict(), FILE)",
        ) from error
    states = _find_state_dicts(content)
    if len(states) != 1:
        what = f"several: {', '.join(states)}" if states else "none"
        raise DataError(
            f"the checkpoint must contain one state dict, but has {what}",
            where=str(file),
            expected="one mapping of names to tensors",
            hint="save the state dict that you need: torch.save(content[NAME], FILE)",
        )
    ((name, state),) = states.items()
    if all(key.startswith("module.") for key in state):  # as torch's DataParallel names them
        state = {key.removeprefix("module."): value for key, value in state.items()}
    # Layers may share a tensor, which safetensors does not store.
    plain = {key: value.detach().clone().contiguous() for key, value in state.items()}
    out.write_bytes(as_safetensors(plain))
    return name


def _find_state_dicts(content: Any) -> dict[str, dict[str, Tensor]]:
    """Return key -> state dict (name -> tensor) in a checkpoint; an empty key if the checkpoint is a state dict."""
    if not isinstance(content, Mapping):
        return {}
    candidates = {"": content, **{str(name): value for name, value in content.items() if isinstance(value, Mapping)}}
    return {
        name: dict(state)
        for name, state in candidates.items()
        if state and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    }
