"""Weights to start from: what `embench pretrain` made, the encoders of a run, a bare safetensors file, or none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from embench import registry
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import sha256
from embench.interfaces.dataset import Card
from embench.interfaces.pretraining_data import PretrainingData, Saw
from embench.planning.method import chosen_modalities
from embench.planning.parts import FUSION, Method
from embench.planning.request import Request, assign
from embench.records import record
from embench.records.floors import RANDOM
from embench.records.manifest import OVERLAP_OF, Overlap
from embench.records.names import family_of

FILE, MANIFEST = "weights.safetensors", "manifest.yaml"


@dataclass(frozen=True)
class Weights:
    """`files` says what each part of a model, a modality or `fusion`, starts from, and `digests` are those files'
    SHA-256. `manifest` is what lies beside pretrained weights, `run` a run's record; None where there is none."""

    files: Mapping[str, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None

    @property
    def places(self) -> dict[str, str]:
        """Digest -> file."""
        return {digest: str(self.files[part]) for part, digest in self.digests.items()}

    @property
    def dataset(self) -> str | None:
        """Full name of the dataset that they were trained on last; None where it is not known."""
        return next((str(entry["dataset"]) for entry in reversed(self.seen())), None)

    @property
    def data(self) -> str | None:
        """The key of that dataset's prepared data; None where it is not known."""
        return next((str(entry["store"]) for entry in reversed(self.seen())), None)

    def channels(self, m: str) -> Sequence[str]:
        """The names of the channels that a modality's pretrained encoder reads, as far as they are on record."""
        return self.manifest["channels"].get(m, ()) if self.manifest else ()

    def seen(self) -> list[dict[str, Any]]:
        """Data that the weights were trained on, one entry per dataset and use of its labels."""
        if self.manifest:
            return [as_recorded(entry) for entry in self.manifest["seen"]]
        if self.run is None:
            return []
        dataset, config = self.run["dataset"], self.run["config"]
        fitted = {
            "dataset": config.get("train_dataset") or dataset["name"],
            "store": config.get("train_data", dataset["fingerprint"]),
            "synthetic": dataset["synthetic"] is not None,
            "subjects": self.run["cohort"]["subjects"],
            "labels": "source",
        }
        return [fitted, *map(dict, self.run.get("pretraining", []))]

    def overlap(self, dataset: str, marks: Collection[str]) -> Overlap:
        """Relation of a dataset's subjects to those behind the weights: `labelled_target` where their labels were used,
        `unlabelled_target` where only their signals were, else `none`; `unknown` where nothing is on record, or a run
        itself started from other weights.

        Args:
            dataset: full name; its variants are of the same subjects.
            marks: of its files, as `find.marks` gives them.
        """
        if self.manifest is None and (self.run is None or self.run["config"]["pretrained"]):
            return "unknown"
        if self.manifest is not None and not self.manifest["seen"]:  # of converted weights that nobody knows
            return "unknown"
        ours = [entry for entry in self.seen() if family_of(entry["dataset"]) == family_of(dataset)]
        if any(entry.get("labels") == "source" for entry in ours):
            return "labelled_target"
        shared = self.manifest and set(self.manifest["files"]) & set(marks)
        pretrained_on = self.run["config"]["pretrained_on"] if self.run else ()
        if ours or shared or any(family_of(name) == family_of(dataset) for name in pretrained_on):
            return "unlabelled_target"
        return "none"

    def summary(self) -> dict[str, Any]:
        """The origin of the weights for a run's record, subjects by their number."""
        manifest = None
        if self.manifest:
            known = {name: value for name, value in self.manifest.items() if name != "files"}
            manifest = {**known, "seen": [count_subjects(entry) for entry in self.seen()]}
        return {"weights": dict(self.digests), "manifest": manifest, "run": self.run["id"] if self.run else None}


def own_weights(method: Method) -> dict[str, PretrainingData | None]:
    """Modality -> what is known of the weights that its encoder brings with it; None where nothing is."""
    return {
        m: registry.load("encoder", part.name)(part.recipe).pretraining_data()
        for m, part in method.encoders.items()
        if part.assets
    }


def seen_by(data: PretrainingData | None, dataset: str) -> Saw:
    """The data of a dataset's people that weights saw, by its full name."""
    return "undisclosed" if data is None else data.of(re.split("[/:]", family_of(dataset))[-1])


def own_overlap(method: Method, dataset: str) -> list[Overlap]:
    """Relation of a dataset's subjects to those behind the weights that each encoder brings with it."""
    return [OVERLAP_OF[seen_by(data, dataset)] for data in own_weights(method).values()]


def find_weights(text: str, runs: Path, method: Method) -> Weights:
    """The weights that a text means for a method.

    Args:
        text: a folder that `embench pretrain` wrote, or its id; the folder or id of a run, whose first networks are
            taken; or a `.safetensors` file.

    Raises:
        DataError: there is no such file or run, or it cannot be read. CheckFailed: weights or what is known of them
            were changed after they were written. UsageError: the file is of another kind, or the weights are of other
            encoders or modalities.
    """
    path = Path(text)
    if not path.exists():
        found = sorted(runs.glob(f"*/{text}"))
        if not found:
            raise DataError(
                f"cannot find the weights `{text}`",
                where="--pretrained",
                expected="a .safetensors file, or the folder or id of a run or pretraining",
            )
        path = found[0]
    if path.name == FILE and (path.parent / MANIFEST).is_file():
        path = path.parent
    manifest = run = None
    if (path / MANIFEST).is_file():
        manifest = _manifest(path / MANIFEST)
        _check(text, method, {m: encoder["plugin"] for m, encoder in manifest["encoders"].items()})
        _check_prepared(text, method, manifest)
        files = dict.fromkeys(method.modalities, path / FILE)
        if manifest["fusion"] and _same_model(method, manifest):
            files[FUSION] = path / FILE
    elif path.is_dir():
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        if run:
            _check(text, method, run["method"]["encoders"])
        files = {m: _of_run(path, m) for m in method.modalities}
    else:
        path, file = path.parent.parent, path
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        files = dict.fromkeys(method.modalities, file)
    digests = {file: _digest(file) for file in dict.fromkeys(files.values())}
    if manifest and digests[path / FILE] != manifest.get("sha256", digests[path / FILE]):
        raise CheckFailed(
            "the weights differ from their manifest",
            where=str(path / FILE),
            expected=f"a file of SHA-256 {manifest['sha256']}",
            hint="restore the file; or delete the folder and rerun `embench pretrain`",
        )
    if run:
        record.check_neighbours(
            path, run, [f"weights/{file.name}" for file in digests if file.parent.name == "weights"]
        )
    return Weights(
        {part: file.resolve() for part, file in files.items()},
        {part: digests[file] for part, file in files.items()},
        manifest,
        run,
    )


_OF_PRETRAINING = re.compile(r"pretrainer\b|encoder(\[.+\])?\.build\.weights\s*=")


def at_random(request: Request, card: Card) -> Request:
    """The request of `--pretrained random`: without the weights and pretrainers that it names, and all else as it is;
    what it freezes is then frozen as it was drawn. Raises UsageError where a modality or an encoder is unknown."""
    modalities = chosen_modalities(request, card, list(card.modalities))
    doors = [m for m, name in assign(request.encoders, modalities, "encoder").items() if _has_door(name)]
    kept = [text for text in request.settings if not _OF_PRETRAINING.match(text)]
    if doors == list(modalities):
        kept.append(f"encoder.build.weights={RANDOM}")
    else:
        kept += [f"encoder[{m}].build.weights={RANDOM}" for m in doors]
    return replace(request, pretrained=RANDOM, pretrainers=(), settings=tuple(kept))


def _has_door(encoder: str) -> bool:
    """True of an encoder that may start from weights by itself."""
    return any("weights" in recipe.build for recipe in registry.load("encoder", encoder).recipes.values())


def check_used(request: Request, method: Method) -> None:
    """Refuses weights of a method that trains no network. Raises UsageError."""
    by_themselves = any("weights" in part.recipe.build for part in method.encoders.values())
    if request.pretrained and method.inputs == "features" and not (request.pretrained == RANDOM and by_themselves):
        raise UsageError(
            f"{method.fusion.short} is fitted on features, and weights do not change them",
            where=f"--pretrained {request.pretrained}",
        )


def data_seen(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The description of each dataset that a pretraining saw, of the result of its stage."""
    return [result["manifest"], *result.get("beside", ())]


def merged(manifests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Training data of several stages: each source and use of its labels once, with the subjects and hours of all."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in manifests:
        key = (one["store"], one["labels"])
        before = found.get(key, {"people": [], "recordings": 0, "hours": {}})
        found[key] = {
            **one,
            "people": sorted({*before["people"], *one["people"]}),
            "recordings": max(before["recordings"], one["recordings"]),
            "hours": {**before["hours"], **one["hours"]},
        }
    return list(found.values())


def as_recorded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of what stages saw under the names of a run's record: stages, and manifests of weights, say `people`."""
    return {"subjects" if name == "people" else name: value for name, value in entry.items()}


def count_subjects(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded entry with the number of subjects in place of their names; None where it is not known."""
    subjects = entry["subjects"]
    return {**entry, "subjects": len(subjects) if isinstance(subjects, list) else subjects}


def _short(plugin: str) -> str:
    return plugin.rpartition(":")[2].rpartition("/")[2]


def _check(text: str, method: Method, encoders: Mapping[str, str]) -> None:
    """Refuses weights that have no encoder of a modality, or that of another plugin."""
    for m in method.modalities:
        if m not in encoders:
            raise UsageError(
                f"these weights have no encoder for {m}",
                where=f"--pretrained {text}",
                expected=f"modalities among {', '.join(encoders)}",
                hint="choose one of these with --modalities, or pretrain that modality too",
            )
        if _short(encoders[m]) != method.encoders[m].short:
            raise UsageError(
                f"these weights belong to encoder {_short(encoders[m])} for {m}, not to {method.encoders[m].short}",
                where=f"--pretrained {text}",
                expected=f"--encoder {m}={_short(encoders[m])}",
            )


def _check_prepared(text: str, method: Method, manifest: Mapping[str, Any]) -> None:
    """Refuses weights of an encoder that saw its signals at another rate, or otherwise prepared."""
    for m in method.modalities:
        theirs, ours = manifest["encoders"][m]["recipe"]["prepare"], dict(method.encoders[m].recipe.prepare)
        for key in theirs.keys() | ours.keys():
            if theirs.get(key) != ours.get(key):
                raise UsageError(
                    f"these weights were trained on signals with prepare.{key}={theirs.get(key)} for {m}, but the "
                    f"run uses {ours.get(key)}",
                    where=f"--pretrained {text}",
                    expected=f"--set encoder[{m}].prepare.{key}={theirs.get(key)}, or the --recipe of the pretraining",
                )


def _same_model(method: Method, manifest: Mapping[str, Any]) -> bool:
    """True if the method's fusion is the pretrained one, over the same modalities."""
    return (
        method.joins == "tokens"
        and _short(manifest["fusion"]["plugin"]) == method.fusion.short
        and set(manifest["modalities"]) == set(method.modalities)
    )


def _of_run(folder: Path, modality: str) -> Path:
    """The first network of a run that has a modality's encoder: frozen ones are in files of their own."""
    files = sorted((folder / "weights").glob("*.safetensors"))
    if not files:
        raise DataError("this run has no weights", where=str(folder / "weights"), hint="estimators have no weights")
    return next((file for file in files if file.stem.endswith(f"-{modality}")), files[0])


def _digest(path: Path) -> str:
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{path.name} is not a safetensors file",
            where=f"--pretrained {path}",
            expected="NAME.safetensors",
            hint=f"for a torch checkpoint: embench weights convert {shlex.quote(str(path))} --out DIR",
        )
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  it is no mapping
                file.get_tensor(name)
        return sha256(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot read the weights: {error}", where=str(path), expected="a complete safetensors file"
        ) from error


def _manifest(path: Path) -> dict[str, Any]:
    content = record.read_sealed(path)
    if isinstance(content, dict) and "converted" in content and not content["encoders"]:
        raise UsageError(
            f"these weights have the layout {content['converted']['layout']}, which an encoder reads through its "
            "setting `weights`",
            where=str(path.parent),
            expected="weights with the parameter names of embench networks",
            hint=f"--set encoder.build.weights={path.parent}",
        )
    wanted = ("encoders", "fusion", "modalities", "channels", "seen", "files")
    if not isinstance(content, dict) or (missing := [name for name in wanted if name not in content]):
        raise DataError(
            "this is not a manifest of pretrained weights",
            where=str(path),
            expected=f"keys {', '.join(wanted if not isinstance(content, dict) else missing)}",
        )
    return content
