"""State and progress of the grids in a runs folder, and requests to cancel them.

Each process that works on a grid writes a file in `grids/` beside the stages. The file is named by a digest of the
grid's runs and by the process, since several processes may work on the same grid. All other facts come from the folders
of stages, so that any machine that sees the folder can report them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.engine.executors.slurm import submissions
from embench.engine.stage import Folder
from embench.errors import DataError
from embench.files import digest, make_folder, write_text
from embench.planning.graph import stage_folder
from embench.records.record import RUN_FILE
from embench.system import process_start_s

if TYPE_CHECKING:
    from embench.errors import EmbenchError
    from embench.planning.plan import Plan

_FOLDER, _CANCEL, _FAILED = "grids", ".cancel", ".failed"
OVER = ("ended", "cancelled", "stopped")
"""States of a process that no longer works on a grid."""
_PROCESS_FIELDS = ("executor", "workers", "host", "began", "ended", "state")
"""Fields of a process that `describe_grid` returns."""


@dataclass(frozen=True)
class GridFile:
    """File of a process that works, or has worked, on a grid in a runs folder."""

    path: Path

    @classmethod
    def for_plans(cls, plans: Sequence[Plan]) -> GridFile:
        """Return the file of this process for the grid of these plans."""
        grid = digest(sorted(plan.id for plan in plans))[:10]
        return cls(plans[0].request.runs_folder / _FOLDER / f"{grid}-{platform.node()}-{os.getpid()}.json")

    @property
    def grid(self) -> str:
        """Name of the grid, the same for all processes that work on it."""
        return self.path.stem.partition("-")[0]

    def read_processes(self) -> dict[GridFile, dict[str, Any]]:
        """Return file -> content with `state`, of each process that works or worked on the same grid, in order of
        start."""
        found = {}
        for path in self.path.parent.glob(f"{self.grid}-*.json"):
            with contextlib.suppress(DataError):  # the file was just removed
                content = GridFile(path).read()
                found[GridFile(path)] = {**content, "state": _find_state(content)}
        return dict(sorted(found.items(), key=lambda item: float(item[1]["began"])))

    def begin(self, plans: Sequence[Plan], seconds: Mapping[str, float], executor: str, workers: int) -> None:
        """Write the stages and runs of the grid, and that this process works on it. Files of ended processes, with
        their failures, are removed.

        Args:
            seconds: stage id -> expected seconds.
        """
        make_folder(self.path.parent)
        self.forget()
        stages = {id_: stage for plan in plans for id_, stage in plan.graph.stages.items()}
        content = {
            "executor": executor,
            "workers": workers,
            "host": platform.node(),
            "pid": os.getpid(),
            "process_began": process_start_s(),
            "began": time.time(),
            "ended": None,
            "runs": [{"id": p.id, "title": p.method.title, "stages": list(p.graph.stages)} for p in plans],
            "places": [str(plan.folder.relative_to(plan.request.runs_folder)) for plan in plans],
            "stages": {id_: [stage.title, seconds.get(id_)] for id_, stage in stages.items()},
        }
        write_text(self.path, json.dumps(content))
        for other, content in self.read_processes().items():
            if content["state"] in OVER:
                other.forget()

    def forget(self) -> None:
        """Remove the file and its notes."""
        for path in (self.path, self.cancel_file, self._failed):
            path.unlink(missing_ok=True)

    def record_failure(self, stage_id: str, error: EmbenchError) -> None:
        """Record why a stage has failed."""
        with self._failed.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps({"stage": stage_id, "error": error.what, "where": error.where}) + "\n")

    def read_failures(self) -> dict[str, dict[str, Any]]:
        """Return stage -> reason of its failure, since the grid last began."""
        try:
            lines = self._failed.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return {failure["stage"]: failure for failure in map(json.loads, lines)}

    def end(self, failures: Mapping[str, Any], *, unfinished: bool) -> None:
        """Record that this process stopped working on the grid, and which runs failed (`failures`, by title). If runs
        are `unfinished`, record whether somebody cancelled the grid."""
        failed = {title: getattr(error, "what", str(error)) for title, error in failures.items()}
        end = {"ended": time.time(), "cancelled": unfinished and self.cancelled, "failures": failed}
        write_text(self.path, json.dumps({**self.read(), **end}))
        self.cancel_file.unlink(missing_ok=True)

    @property
    def cancelled(self) -> bool:
        """True if somebody has cancelled the grid."""
        return self.cancel_file.exists()

    def cancel(self) -> None:
        """Ask all processes of the grid to stop, and cancel its waiting and running Slurm jobs."""
        stages = set(self.read()["stages"])
        for each, content in self.read_processes().items():
            if content["state"] not in OVER:
                each.cancel_file.touch()
        submitted = submissions(self.path.parents[1] / "slurm")
        names = [name for name, jobs in submitted.items() if any(map(stages.intersection, jobs))]
        if names and shutil.which("scancel"):
            line = ["scancel", "--me", f"--name={','.join(sorted(names))}"]
            with contextlib.suppress(OSError):
                subprocess.run(line, capture_output=True, check=False)  # noqa: S603  names are our own

    def read(self) -> dict[str, Any]:
        """Return the content of the file. Raises DataError if it is invalid."""
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError("the file is not the file of a grid", where=str(self.path), hint="remove it") from error

    @property
    def cancel_file(self) -> Path:
        """The file whose existence asks the process to stop."""
        return self.path.with_suffix(_CANCEL)

    @property
    def _failed(self) -> Path:
        return self.path.with_suffix(_FAILED)


def find_latest_grid(runs: Path) -> GridFile:
    """Return the grid in a runs folder that was started last. Raises DataError if there is none."""
    found = [GridFile(path) for path in (runs / _FOLDER).glob("*-*.json")]
    if not found:
        raise DataError(
            "the folder contains no grid",
            where=str(runs),
            expected="the folder of `embench grid --runs`; default: `runs`",
        )
    return max(found, key=lambda file: float(file.read()["began"]))


def describe_grid(grid: GridFile) -> dict[str, Any]:
    """Return the state and progress of a grid.

    Returns:
        `state`: running, ended, cancelled, stopped (its process is gone) or unknown (on another machine); `processes`:
        all that work or have worked on it, each with a state; `stages`, `runs`: counts by state; `running`, `failed`:
        stages; `left_s`: remaining seconds, None if unknown.
    """
    runs, processes = grid.path.parents[1], grid.read_processes()
    content = list(processes.values())[-1]
    root = stage_folder(runs)
    failed = {id_: failure for file in processes for id_, failure in file.read_failures().items()}
    state = {id_: "failed" if id_ in failed else "waiting" for id_ in content["stages"]}
    for id_ in content["stages"]:
        folder = Folder(root, id_)
        if folder.done:
            state[id_] = "done"
        elif id_ not in failed and folder.file("stage.json").is_file():
            state[id_] = "running"
    states = [info["state"] for info in processes.values()]
    process = next((word for word in ("running", "unknown") if word in states), states[-1])
    if process in OVER:
        state = {id_: "interrupted" if word == "running" else word for id_, word in state.items()}
    if process == "cancelled":
        state = {id_: word if word in ("done", "failed") else "cancelled" for id_, word in state.items()}
    finished = [(runs / place / RUN_FILE).is_file() for place in content["places"]]
    named = {f"{run['title']} ({run['id']})" for run, done in zip(content["runs"], finished, strict=True) if not done}
    workers = sum(int(info["workers"]) for info in processes.values() if info["state"] == process)
    titles = {id_: title for id_, (title, _) in content["stages"].items()}
    return {
        "grid": grid.grid,
        "state": process,
        "processes": [{name: info[name] for name in _PROCESS_FIELDS} for info in processes.values()],
        "stages": dict(sorted(Counter(state.values()).items())),
        "runs": {"finished": sum(finished), "of": len(finished)},
        "left_s": _estimate_left_s(content, state, root, workers),
        "running": [
            {"stage": id_, "title": titles[id_], "silent_s": _measure_silence_s(Folder(root, id_))}
            for id_, word in state.items()
            if word == "running"
        ],
        "failed": [{**failed[id_], "title": titles[id_]} for id_, word in state.items() if word == "failed"],
        "failures": {
            run: why for info in processes.values() for run, why in info.get("failures", {}).items() if run in named
        },
    }


def _find_state(content: Mapping[str, Any]) -> str:
    """Return the state of the process that wrote a grid's file, see `describe_grid`."""
    if content["ended"]:
        return "cancelled" if content.get("cancelled") else "ended"
    if content["host"] != platform.node():
        return "unknown"
    import psutil

    try:
        same = abs(psutil.Process(content["pid"]).create_time() - content["process_began"]) < 2
    except psutil.Error:
        same = False
    return "running" if same else "stopped"


def _estimate_left_s(content: Mapping[str, Any], state: Mapping[str, str], root: Path, workers: int) -> float | None:
    """Return the remaining seconds, from the times of finished stages and the expected times; None if both are missing.

    Args:
        content: of a process's file. `state`: stage id -> state. `root`: the folder of stages.
    """
    took: dict[str, list[float]] = {}  # kind of stage -> seconds of its finished stages
    expected = real = 0.0
    for id_, (title, seconds) in content["stages"].items():
        if state[id_] == "done" and (wall := Folder(root, id_).seconds()) is not None:
            took.setdefault(title.partition(" ")[0], []).append(wall)
            if seconds:
                expected, real = expected + seconds, real + wall
    if not took and not any(seconds for _, seconds in content["stages"].values()):
        return None
    ratio = real / expected if expected else 1.0
    remaining = 0.0
    for id_, (title, seconds) in content["stages"].items():
        if state[id_] not in ("done", "failed"):
            of_kind = took.get(title.partition(" ")[0], [0.0])
            remaining += seconds * ratio if seconds else sum(of_kind) / len(of_kind)
    return remaining / max(1, workers)


def _measure_silence_s(folder: Folder) -> float:
    """Return the seconds since a stage last wrote anything."""
    times = [path.stat().st_mtime for path in folder.path.iterdir() if path.is_file()]
    return max(0.0, time.time() - max(times, default=0.0))
