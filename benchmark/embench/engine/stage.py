"""A stage of a run: what decides its result, the id made of that, and the folder its result lies in."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from embench.callbacks import EventCallback
from embench.checksums import DamagedError, check_files, read_sealed_json, sealed_json, sums_of
from embench.engine.specs import Params
from embench.errors import MachineError
from embench.files import PRIVATE, digest, make_folder, write_whole
from embench.snapshot import cached_call
from embench.system import LEASE

ENGINE_REVISION = 3
"""Increased when the same plugins and data give other numbers; part of every stage id."""


P_co = TypeVar("P_co", bound=Params, covariant=True)


@dataclass(frozen=True)
class Stage(Generic[P_co]):
    """One step of the graph.

    Args:
        params: everything that decides the result.
        inputs: role -> id of the stage whose result it takes.
        task: arrays that the worker needs (units, labels of its own training and validation units); their digests
            are part of `params`.
        places: folders and other facts that do not decide the result.
        description: fold, seed, modality, target, for whoever watches.
    """

    kind: str
    params: P_co
    inputs: Mapping[str, str] = field(default_factory=dict)
    task: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    places: Mapping[str, Any] = field(default_factory=dict, compare=False)
    description: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def id(self) -> str:
        """20 hex digits: equal kind, params, inputs and task arrays give equal ids."""
        task = {name: _digest(array) for name, array in self.task.items()}
        return digest({"kind": self.kind, "params": self.params.plain(), "inputs": dict(self.inputs), "task": task})[
            :20
        ]

    @property
    def seed(self) -> int:
        """Seeds torch, numpy and random: the first 8 hex digits of the SHA-256 of kind and `params.draws()` as compact
        JSON with sorted keys. 32 bits are all that torch on the CPU and scikit-learn take."""
        return int(digest({"kind": self.kind, **self.params.draws()})[:8], 16)

    @property
    def title(self) -> str:
        """The stage in words, for progress and messages: `fusion seed 0 fold 3`."""
        words = [self.kind, *(f"{key} {value}" for key, value in self.description.items())]
        return " ".join(words)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the stage that watchers learn: `id`, `kind` and its description."""
        return {"id": self.id, "kind": self.kind, **self.description}


def _digest(array: np.ndarray) -> str:
    """The digest of an array; one that cannot change, as all stages of a dataset have some, is read once."""
    return digest(array) if array.flags.writeable else cached_call(("digest", array), lambda: digest(array))


RESULT = "result.json"
CHECKPOINT = "checkpoint.pt"
_PASSING = {RESULT, CHECKPOINT, "lock", "events.jsonl", "error.txt"}
"""Files of a stage that no other stage reads."""


class Folder:
    """The folder of a stage's result: written aside and renamed file by file, finished when `result.json` is there,
    which holds the checksums of the others."""

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
        """The content of the stage's `result.json`. Raises DamagedError before it has finished, and where the file has
        changed since it was written."""
        return {name: value for name, value in read_sealed_json(self.file(RESULT)).items() if name != "files"}

    def description(self) -> dict[str, Any]:
        """The content of the stage's `stage.json`: kind, params, inputs."""
        content: dict[str, Any] = json.loads(self.file("stage.json").read_text())
        return content

    def seconds(self) -> float | None:
        """The seconds that a finished stage took; None where its `result.json` has changed since it was written."""
        try:
            return float(self.result().get("wall_s", 0.0))
        except DamagedError:
            return None

    def check(self, *, whole: bool = False) -> dict[str, Any]:
        """The result of a finished stage; `whole` reads all of its files, also those that were compared before. Raises
        DamagedError where one of them is missing or not as it was written."""
        result = read_sealed_json(self.file(RESULT))
        try:
            check_files(self.path, result.pop("files"), whole=whole)
        except KeyError as error:
            raise DamagedError("result.json has no checksums", where=str(self.file(RESULT))) from error
        return result

    def sound_result(self) -> dict[str, Any] | None:
        """The result of a stage that has finished and whose files are as they were written; else None."""
        try:
            return self.check()
        except DamagedError:
            return None

    def set_aside(self) -> None:
        """Moves the files of a finished stage that were damaged into a folder beside it, and says so; for who holds
        the stage's lock."""
        try:
            self.check()
        except DamagedError as error:
            place = self.path.with_name(f"{self.path.name}.damaged")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for path in self.path.iterdir():
                if path.name != "lock" and path.suffix != LEASE:
                    path.rename(place / path.name)
            warnings.warn(f"{error.where}: {error.what}; made again; the old files are now in {place}", stacklevel=2)

    def file(self, name: str) -> Path:
        """The path of one of the stage's files."""
        return self.path / name

    def write(self, name: str, write: Any) -> Path:
        """Calls `write(path)` for a temporary path, then renames, so that a killed process leaves no half file. Raises
        MachineError where the disk refuses."""
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

    def finish(self, result: Mapping[str, Any]) -> None:
        """Marks the stage as done and drops what only a resumed run would need."""
        files = (path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = {path.relative_to(self.path).as_posix() for path in files if path.name not in _PASSING}
        text = sealed_json({**dict(sorted(result.items())), "files": sums_of(self.path, names)})
        self.write(RESULT, lambda path: path.write_text(text, newline="\n"))
        self.file(CHECKPOINT).unlink(missing_ok=True)

    def event(self, kind: str, **figures: Any) -> None:
        """Appends to the stage's events, which the parent of a worker reads in order."""
        event = {"event": kind, **figures}
        with (self.path / "events.jsonl").open("a", newline="\n") as file:
            file.write(json.dumps(event) + "\n")
        if self.on_event:
            self.on_event(event)
