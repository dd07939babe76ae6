"""What a runs folder tells of the grids in it: which stages and runs they have, how far these are, and a wish to end.

A grid leaves a file in `grids/` beside its stages, named by what it computes: the same command finds its own again. All
else is read from the folders of stages, so that any machine that sees the folder can look, whoever runs the stages.
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

from embench.engine.executors.jobs import submissions
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


@dataclass(frozen=True)
class GridFile:
    """The file of a grid in its runs folder."""

    path: Path

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> GridFile:
        """That of the grid of these plans."""
        folder = plans[0].request.runs_folder / _FOLDER
        return cls(folder / f"{digest(sorted(plan.id for plan in plans))[:10]}.json")

    def begin(self, plans: Sequence[Plan], seconds: Mapping[str, float], executor: str, workers: int) -> None:
        """Writes what the grid has to do, and who does it; earlier failures and wishes to end it are gone.

        Args:
            seconds: what is expected of stages, by their ids.
        """
        make_folder(self.path.parent)
        for path in (self._wish, self._failed):
            path.unlink(missing_ok=True)
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

    def failed(self, stage_id: str, error: EmbenchError) -> None:
        """Notes why a stage has failed."""
        with self._failed.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps({"stage": stage_id, "error": error.what, "where": error.where}) + "\n")

    def failures(self) -> dict[str, dict[str, Any]]:
        """Stage -> why it has failed, since the grid was last begun."""
        try:
            lines = self._failed.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return {told["stage"]: told for told in map(json.loads, lines)}

    def end(self, failures: Mapping[str, Any]) -> None:
        """Writes that nobody works on it any more, and which runs have failed."""
        content = self.read()
        failed = {title: getattr(error, "what", str(error)) for title, error in failures.items()}
        write_text(self.path, json.dumps({**content, "ended": time.time(), "failures": failed}))
        self._wish.unlink(missing_ok=True)

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self._wish.exists()

    def cancel(self) -> None:
        """Asks whoever works on it to stop, and takes jobs that wait or run for it out of Slurm's queue."""
        self._wish.touch()
        names = submissions(self.path.parents[1] / "slurm")
        if names and shutil.which("scancel"):
            line = ["scancel", "--me", f"--name={','.join(sorted(names))}"]
            with contextlib.suppress(OSError):
                subprocess.run(line, capture_output=True, check=False)  # noqa: S603  names are our own

    def read(self) -> dict[str, Any]:
        """Its content. Raises DataError where it is none."""
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError("not the file of a grid", where=str(self.path), hint="remove it") from error

    @property
    def _wish(self) -> Path:
        return self.path.with_suffix(_CANCEL)

    @property
    def _failed(self) -> Path:
        return self.path.with_suffix(_FAILED)


def latest_grid(runs: Path) -> GridFile:
    """The grid in a runs folder that was started last. Raises DataError where there is none."""
    found = sorted((runs / _FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DataError(
            "no grid was started here",
            where=str(runs),
            expected="the folder that `embench grid --runs` names; by default `runs`",
        )
    return GridFile(found[-1])


def grid_status(grid: GridFile) -> dict[str, Any]:
    """How far a grid is: `state` (running, ended, stopped where its process is gone, or unknown where that is another
    machine's); `stages` and `runs` by state; `running` and `failed` stages; `left_s`, or None where nothing tells."""
    content, runs = grid.read(), grid.path.parents[1]
    root, failed = stage_folder(runs), grid.failures()
    state = {id_: "failed" if id_ in failed else "waiting" for id_ in content["stages"]}
    for id_ in content["stages"]:
        folder = Folder(root, id_)
        if folder.done:
            state[id_] = "done"
        elif id_ not in failed and folder.file("stage.json").is_file():
            state[id_] = "running"
    process = _process(content)
    if process in ("ended", "stopped"):
        state = {id_: "interrupted" if word == "running" else word for id_, word in state.items()}
    finished = [(runs / place / RUN_FILE).is_file() for place in content["places"]]
    titles = {id_: title for id_, (title, _) in content["stages"].items()}
    return {
        "grid": grid.path.stem,
        "state": process,
        **{name: content[name] for name in ("executor", "workers", "host", "began", "ended")},
        "stages": dict(sorted(Counter(state.values()).items())),
        "runs": {"finished": sum(finished), "of": len(finished)},
        "left_s": _left_s(content, state, root),
        "running": [
            {"stage": id_, "title": titles[id_], "silent_s": _silent_s(Folder(root, id_))}
            for id_, word in state.items()
            if word == "running"
        ],
        "failed": [{**failed[id_], "title": titles[id_]} for id_, word in state.items() if word == "failed"],
        "failures": content.get("failures", {}),
    }


def _process(content: Mapping[str, Any]) -> str:
    if content["ended"]:
        return "ended"
    if content["host"] != platform.node():
        return "unknown"
    import psutil

    try:
        same = abs(psutil.Process(content["pid"]).create_time() - content["process_began"]) < 2
    except psutil.Error:
        same = False
    return "running" if same else "stopped"


def _left_s(content: Mapping[str, Any], state: Mapping[str, str], root: Path) -> float | None:
    """Seconds until the rest is over, from what stages took that are done, and what was expected of them."""
    took: dict[str, list[float]] = {}
    expected = real = 0.0
    for id_, (title, seconds) in content["stages"].items():
        if state[id_] == "done":
            wall = float(Folder(root, id_).result().get("wall_s", 0.0))
            took.setdefault(title.partition(" ")[0], []).append(wall)
            if seconds:
                expected, real = expected + seconds, real + wall
    if not took and not any(seconds for _, seconds in content["stages"].values()):
        return None
    ratio = real / expected if expected else 1.0
    left = 0.0
    for id_, (title, seconds) in content["stages"].items():
        if state[id_] not in ("done", "failed"):
            like = took.get(title.partition(" ")[0], [0.0])
            left += seconds * ratio if seconds else sum(like) / len(like)
    return left / max(1, int(content["workers"]))


def _silent_s(folder: Folder) -> float:
    """Seconds since a stage last wrote anything."""
    signs = [path.stat().st_mtime for path in folder.path.iterdir() if path.is_file()]
    return max(0.0, time.time() - max(signs, default=0.0))
