"""A stage of a run: what determines its result, its id, which follows from that, and the folder of its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

import numpy as np

from embench.errors import MachineError
from embench.files import (
    PRIVATE,
    DamagedError,
    cached_call,
    check_files,
    checksum_files,
    damaged_place,
    digest,
    make_folder,
    read_sealed_json,
    sealed_json,
    write_whole,
)
from embench.interfaces.recipe import Recipe
from embench.interfaces.units import LabelRule, Target
from embench.system import LEASE, EventCallback

T = TypeVar("T")


class Plain:
    """A record that is written as plain values: the attributes named in `keys`, in this order. A key that ends in `?`
    is left out if its value is None, False or empty."""

    keys: ClassVar[str]

    def plain(self) -> dict[str, Any]:
        """Return the plain values, from which the stage's id and file are made."""
        found = {key: plain_value(getattr(self, key.rstrip("?"))) for key in self.keys.split()}
        return {
            k.rstrip("?"): v for k, v in found.items() if k[-1] != "?" or not (v is None or v is False or v in ([], {}))
        }


def plain_value(value: Any) -> Any:
    """Return a value as plain values: records, recipes and targets as mappings, and tuples as lists."""
    if isinstance(value, Recipe):  # slow, and stages of a grid share most values
        return cached_call((Recipe.to_mapping, value), value.to_mapping)
    if isinstance(value, Target):
        return {"name": value.name, "kind": value.kind, "n": value.n}
    if isinstance(value, Plain):
        return value.plain()
    if isinstance(value, Mapping):
        return {key: plain_value(one) for key, one in value.items()}
    return [plain_value(one) for one in value] if isinstance(value, tuple) else value


def read_plain(record: type[T], plain: Mapping[str, Any], **changed: Any) -> T:
    """Rebuild a record of the class `record` from its `plain()`, with other values for the fields `changed`."""
    values = {each.name: plain[each.name] for each in fields(cast("Any", record)) if each.name in plain}
    return record(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()} | changed
    )


@dataclass(frozen=True)
class Part(Plain):
    """A plugin in a method: full name, identity of its code, and recipe. Encoders also have the versions of `libraries`
    and the SHA-256 of `assets` (files), since these affect their numbers."""

    name: str
    code: str
    recipe: Recipe
    libraries: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)
    keys = "code recipe libraries? assets?"

    @property
    def short(self) -> str:
        """Name without its package or the path of its file."""
        return self.name.rpartition(":")[2].split("/", 1)[-1]

    @property
    def grounds(self) -> dict[str, dict[str, str]]:
        """`libraries` and `assets` as plain values, each only if it is not empty."""
        return {key: dict(v) for key, v in (("libraries", self.libraries), ("assets", self.assets)) if v}

    def plain(self, key: str = "name") -> dict[str, Any]:
        """Return the plain values, with the name under `key`."""
        return {key: self.name, **super().plain()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], key: str = "name") -> Part:
        """Rebuild the part from `plain(key)`."""
        return read_plain(cls, plain, name=plain[key], recipe=Recipe.from_mapping(plain["recipe"]))


@dataclass(frozen=True)
class SourceSpec(Plain):
    """A prepared store, the lengths of its dataset's units, and the data by which a subject is normalised
    (`normalise`).

    Args:
        rest: (start, stop) in s of the resting period in a recording, if subjects are normalised by it; else None.
        keep_level: modalities that are scaled by the training units instead of by subject."""

    store: str
    longest_s: float
    shortest_s: float
    normalise: str
    rest: tuple[float, float] | None = None
    keep_level: tuple[str, ...] = ()
    keys = "store longest_s shortest_s normalise rest? filled? keep_level?"

    @property
    def filled(self) -> str | None:
        """Side on which shorter units are padded: "behind", or in older runs the front. None if lengths are equal."""
        return "behind" if self.longest_s - self.shortest_s > 1e-6 else None


@dataclass(frozen=True)
class Common(Plain):
    """Params that every stage has. `fold` is None if all folds share the stage."""

    engine: int
    libraries: Mapping[str, str]
    device: str
    threads: int
    seed: int
    fold: int | None
    source: SourceSpec
    keys = "engine libraries device threads seed fold? source"


@dataclass(frozen=True)
class Params(Plain):
    """Everything that determines the result of a stage, except its inputs and arrays."""

    common: Common

    def plain(self) -> dict[str, Any]:
        """Return plain values in the order of `stage.json`."""
        return {**self.common.plain(), **super().plain()}

    def draws(self) -> dict[str, Any]:
        """Return the values from which the seed of the stage is made, a subset of `plain()`. They exclude libraries,
        devices and plugins, so that runs start from the same weights everywhere, and so do compared methods."""
        return {"seed": self.common.seed, "fold": self.common.fold}


@dataclass(frozen=True)
class PredictParams(Params):
    """Params of a stage that predicts. `drop`: modalities to treat as absent. `given`: the subjects' calibration data,
    as `Given.to_record` describes them."""

    drop: tuple[str, ...] = ()
    given: Mapping[str, int | str] = field(default_factory=dict)
    keys = "drop given?"


@dataclass(frozen=True, kw_only=True)
class FitParams(Params):
    """Params of a stage that trains. The class itself describes the network of one modality.

    Args:
        modalities: modality -> its encoder, in the order of the columns.
        recipe: how the stage itself is trained.
        targets: targets without label rules, see `without_rule`.
        weights: modality, or `fusion` -> digest of its file of initial weights.
        every_epoch: True to save the weights of each epoch."""

    modalities: Mapping[str, Part]
    recipe: Recipe
    targets: tuple[Target, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    every_epoch: bool = False
    keys = "targets every_epoch? modalities recipe weights?"

    @property
    def order(self) -> tuple[str, ...]:
        """Modalities in order, which determines the columns; listed separately, since ids are made with sorted keys."""
        return tuple(self.modalities)

    def plain(self) -> dict[str, Any]:
        """Return the plain values, with each modality's plugin under `encoder`."""
        return super().plain() | {"modalities": {m: part.plain("encoder") for m, part in self.modalities.items()}}

    def draws(self) -> dict[str, Any]:
        """Return the values from which the seed is made, with targets and modalities in their order."""
        return {**super().draws(), "targets": [t.name for t in self.targets], "modalities": list(self.modalities)}


@dataclass(frozen=True, kw_only=True)
class FusionParams(FitParams):
    """Params of a fusion or an estimator. `inputs`: what it reads of each modality."""

    fusion: Part
    inputs: Literal["tokens", "hidden", "decisions", "features"]
    keys = "targets every_epoch? modalities order fusion recipe inputs weights?"


@dataclass(frozen=True, kw_only=True)
class PretrainParams(FitParams):
    """Params of a pretraining step.

    Args:
        fusion: the fusion, if the whole model is pretrained; else None.
        step: number of earlier steps that this one continues.
        beside: the further datasets, after the first."""

    pretrainer: Part
    fusion: Part | None = None
    step: int = 0
    beside: tuple[SourceSpec, ...] = ()
    keys = "modalities order pretrainer fusion recipe targets step beside? weights?"

    def draws(self) -> dict[str, Any]:
        """Return the values from which the seed is made, with the step, so that each step draws different numbers."""
        return {**super().draws(), "step": self.step}


def fitted_params(plain: Mapping[str, Any]) -> FitParams:
    """Rebuild the params of a fitted stage from their `plain()`."""
    read: dict[str, Any] = {
        "common": read_plain(Common, {"fold": None, **plain}, source=read_plain(SourceSpec, plain["source"])),
        "modalities": {m: Part.from_plain(part, "encoder") for m, part in plain["modalities"].items()},
        "recipe": Recipe.from_mapping(plain["recipe"]),
        "targets": tuple(Target(t["name"], t["kind"], LabelRule(), "", t["n"]) for t in plain["targets"]),
    }
    if "fusion" not in plain:
        return read_plain(FitParams, plain, **read)
    return read_plain(FusionParams, plain, **read, fusion=Part.from_plain(plain["fusion"]))


def without_rule(target: Target) -> Target:
    """Return a target without its label rule: only the planner and the evaluator see label rules."""
    return Target(target.name, target.kind, LabelRule(), "", target.n)


ENGINE_REVISION = 3
"""Part of every stage id; increased when the same plugins and data give other numbers."""


P_co = TypeVar("P_co", bound=Params, covariant=True)


@dataclass(frozen=True)
class Stage(Generic[P_co]):
    """One node of the graph of a run: a computation with a stored result.

    Args:
        params: everything that decides the result.
        inputs: role -> id of the stage whose result is read.
        task: arrays that the worker needs: units, and labels of the stage's own training and validation units. Their
            digests are part of the id.
        places: folders and other facts that do not affect the result.
        description: fold, seed, modality and target, for messages."""

    kind: str
    params: P_co
    inputs: Mapping[str, str] = field(default_factory=dict)
    task: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    places: Mapping[str, Any] = field(default_factory=dict, compare=False)
    description: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def id(self) -> str:
        """20 hex digits that are equal for equal kind, params, inputs and task arrays."""
        task = {name: _digest(array) for name, array in self.task.items()}
        return digest({"kind": self.kind, "params": self.params.plain(), "inputs": dict(self.inputs), "task": task})[
            :20
        ]

    @property
    def seed(self) -> int:
        """Seed of torch, numpy and random: the first 8 hex digits of the SHA-256 of kind and `params.draws()` as
        compact JSON with sorted keys. 32 bits are all that torch on the CPU and scikit-learn accept."""
        return int(digest({"kind": self.kind, **self.params.draws()})[:8], 16)

    @property
    def title(self) -> str:
        """Description of the stage for progress and messages, such as `fusion seed 0 fold 3`."""
        words = [self.kind, *(f"{key} {value}" for key, value in self.description.items())]
        return " ".join(words)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts that observers receive: `id`, `kind` and the description."""
        return {"id": self.id, "kind": self.kind, **self.description}


def _digest(array: np.ndarray) -> str:
    """Return the digest of an array; read-only arrays, which stages share, are hashed once."""
    return digest(array) if array.flags.writeable else cached_call(("digest", array), lambda: digest(array))


RESULT = "result.json"
CHECKPOINT = "checkpoint.pt"
_PASSING = {RESULT, CHECKPOINT, "lock", "events.jsonl", "error.txt"}
"""Files of a stage that no other stage reads."""


class Folder:
    """The folder of a stage's result. Files are written under temporary names and renamed. The stage is finished when
    `result.json`, which holds the other files' checksums, exists."""

    def __init__(
        self, root: Path, stage_id: str, on_event: EventCallback | None = None, *, mode: int = PRIVATE
    ) -> None:
        self.path, self.mode = Path(root) / stage_id, mode
        self.on_event = on_event

    @property
    def done(self) -> bool:
        """True if the stage has finished."""
        return self.file(RESULT).is_file()

    def result(self) -> dict[str, Any]:
        """Return the result in `result.json`. Raises DamagedError if the file is missing or was changed."""
        return {name: value for name, value in read_sealed_json(self.file(RESULT)).items() if name != "files"}

    def description(self) -> dict[str, Any]:
        """Return the content of the stage's `stage.json`: kind, params, inputs."""
        content: dict[str, Any] = json.loads(self.file("stage.json").read_text())
        return content

    def predicted(self, *names: str) -> list[Any]:
        """Return these arrays of a finished stage's predictions; None in place of a missing one."""
        with np.load(self.file("predictions.npz")) as arrays:
            return [arrays.get(name) for name in names]

    def seconds(self) -> float | None:
        """Return the seconds that a finished stage took; None if its `result.json` was changed."""
        try:
            return float(self.result().get("wall_seconds", 0.0))
        except DamagedError:
            return None

    def check(self, *, whole: bool = False) -> dict[str, Any]:
        """Return the result of a finished stage after comparing the checksums of its files. `whole`: read all files
        completely, even if they were compared before. Raises DamagedError if a file is missing or changed."""
        result = read_sealed_json(self.file(RESULT))
        try:
            check_files(self.path, result.pop("files"), whole=whole)
        except KeyError as error:
            raise DamagedError("result.json has no checksums", where=str(self.file(RESULT))) from error
        return result

    def sound_result(self) -> dict[str, Any] | None:
        """Return the result of a finished, undamaged stage; None otherwise."""
        try:
            return self.check()
        except DamagedError:
            return None

    def set_aside(self) -> None:
        """Move a finished stage's files to a folder beside it if they are damaged. The caller holds its lock."""
        try:
            self.check()
        except DamagedError as error:
            place = damaged_place(self.path, error)
            place.mkdir()
            for path in self.path.iterdir():
                if path.name != "lock" and path.suffix != LEASE:
                    path.rename(place / path.name)

    def file(self, name: str) -> Path:
        """Return the path of one of the stage's files."""
        return self.path / name

    def write(self, name: str, write: Any) -> Path:
        """Call `write(path)` with a temporary path, then rename the file to `name`, so that a killed process leaves no
        partial file. Raises MachineError if the disk refuses."""
        final = self.path / name
        try:
            make_folder(self.path, self.mode)
            write_whole(final, write)
        except OSError as error:
            raise MachineError(
                f"cannot write {name}: {error.strerror or error}",
                where=str(final),
                hint="free some space, or choose another folder with --runs",
            ) from error
        return final

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write an NPZ file as `write` does."""

        def write(path: Path) -> None:
            with path.open("wb") as file:  # numpy would add a suffix to a path
                np.savez(file, allow_pickle=False, **arrays)

        self.write(name, write)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Mark the stage as finished by writing its result, and delete its checkpoint."""
        files = (path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = {path.relative_to(self.path).as_posix() for path in files if path.name not in _PASSING}
        text = sealed_json({**dict(sorted(result.items())), "files": checksum_files(self.path, names)})
        self.write(RESULT, lambda path: path.write_text(text, newline="\n"))
        self.file(CHECKPOINT).unlink(missing_ok=True)

    def event(self, kind: str, **figures: Any) -> None:
        """Append an event to the stage's `events.jsonl`, which the worker's parent reads, and pass it to `on_event`."""
        event = {"event": kind, **figures}
        with (self.path / "events.jsonl").open("a", newline="\n") as file:
            file.write(json.dumps(event) + "\n")
        if self.on_event:
            self.on_event(event)
