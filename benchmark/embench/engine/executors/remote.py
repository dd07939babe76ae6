"""Shared parts of executors on other machines: the environment of a worker, and its results of a stage.

Stages, prepared data and runs lie in folders that all machines share, under the same absolute paths. Nothing else is
needed between the machines, and of these folders only what NFS promises too:

- A rename is atomic: a file is there whole or not at all.
- A file that was closed on one machine is seen whole by whoever opens it afterwards on another, and a folder that is
  listed anew shows what was renamed into it.
- `events.jsonl` is appended to by one process at a time. Its reader may be late, and takes only whole lines.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import embench
from embench.engine.specs import Params
from embench.engine.stage import RESULT, Folder, Stage
from embench.engine.work import run_stage
from embench.errors import EmbenchError, MachineError
from embench.files import write_text
from embench.registry.catalogue import installed
from embench.registry.fragments import folders
from embench.system import version_of

LITTLE_S = 10.0
"""Seconds that a stage is taken to need whose time is not forecast."""


@cache
def environment() -> dict[str, str]:
    """Versions and digests of the source of embench and of the packages of plugins, which must agree wherever the
    stages of a grid run."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    found |= {name: version_of(name) for name in ("numpy", "scikit-learn", "scipy", "torch")}
    found["embench"] = f"{embench.__version__} {_source(Path(embench.__file__).parent)}"
    for package in installed().values():
        found[package.name] = " ".join([package.version, *map(_source, folders(package.name))])
    return found


def _source(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Parent:
    """Facts that a worker learns of the process that sends it stages."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=environment)
    folder: Path = field(default_factory=Path.cwd)
    path: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    variables: Mapping[str, str] = field(
        default_factory=lambda: {k: v for k, v in os.environ.items() if k.startswith(("EMBENCH_", "OMP_"))}
    )

    def enter(self) -> None:
        """Makes this process work as a part of the parent's, and describes it under `workers/` beside the stages.

        Raises:
            MachineError: this machine doesn't see the folder of the stages, or has other versions.
        """
        host = platform.node()
        if not self.root.is_dir():
            raise MachineError(
                f"{host} does not see the folder of the stages",
                where=str(self.root),
                expected="the same folder under the same path on all machines",
                hint="name a shared folder with --runs, and another for prepared data with EMBENCH_CACHE",
            )
        os.environ.update(self.variables)
        if self.folder.is_dir():
            os.chdir(self.folder)
        sys.path += [place for place in self.path if place not in sys.path]
        record = self.root.parent / "workers" / f"{host}.txt"
        text = "".join(f"{name} {version}\n" for name, version in environment().items())
        if not record.is_file() or record.read_text() != text:
            record.parent.mkdir(exist_ok=True)
            write_text(record, text)
        self.compare()

    def compare(self) -> None:
        """Raises MachineError where this process has other versions than the parent."""
        ours = environment()
        for name in sorted({*ours, *self.environment}):
            here, there = ours.get(name, "absent"), self.environment.get(name, "absent")
            if here != there:
                raise MachineError(
                    f"{name} differs on {platform.node()}: {here}, not {there}",
                    where=sys.executable,
                    expected="the same versions on all machines, since they decide the numbers",
                    hint="install embench once in a shared folder, and start it from there",
                )


def as_sent(stage: Stage[Params]) -> Stage[Params]:
    """A stage as it travels: the number of a GPU means another one, or none, on another machine."""
    return replace(stage, places={name: place for name, place in stage.places.items() if name != "gpu"})


def work_on(stage: Stage[Params], parent: Parent) -> dict[str, Any] | EmbenchError:
    """Runs a stage in a worker; a fault is returned, since every executor wraps what is raised in its own way."""
    try:
        parent.enter()
        for store in stage.places.get("stores", {}).values():
            if not Path(store).is_dir():
                raise MachineError(
                    f"{platform.node()} does not see the prepared data",
                    where=store,
                    expected="the same folder under the same path on all machines",
                    hint="set EMBENCH_CACHE to a shared folder, and rerun the same command",
                )
        return run_stage(stage, parent.root)
    except EmbenchError as error:
        return error


def finished(folder: Folder) -> bool:
    """True if a stage has finished, also where another machine has just written it: a listing is asked of the server
    where the name of one file may be remembered as missing."""
    try:
        return RESULT in os.listdir(folder.path)  # noqa: PTH208  names are enough
    except FileNotFoundError:
        return False
