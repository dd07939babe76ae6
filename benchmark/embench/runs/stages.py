"""Runs the stages of a plan in the folder that all runs of a runs folder share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embench.callbacks import EventCallback
from embench.engine.executors import Outcome, Resources, run_graph
from embench.engine.stage import Params, Stage
from embench.errors import MachineError
from embench.files import aside, make_folder
from embench.planning.graph import stage_folder
from embench.planning.plan import default_workers
from embench.planning.request import Request

ON_A_CLUSTER = 100
"""Default number of stages, or jobs of them, that run at a time on other machines."""


def workers_of(
    request: Request, stages: Sequence[Stage[Params]], executor: str = "local", workers: int | None = None
) -> int:
    """Number of stages that run at a time: the requested one, else one that suits the devices of the stages, or a
    cluster."""
    if workers or request.workers:
        return workers or request.workers or 1
    return default_workers({s.params.common.device for s in stages}) if executor == "local" else ON_A_CLUSTER


def run_stages(
    stages: Sequence[Stage[Params]],
    request: Request,
    on_event: EventCallback | None,
    *,
    executor: str = "local",
    resources: Resources | None = None,
    outcome: Outcome | None = None,
) -> tuple[Outcome, Path]:
    """Runs stages that are not done yet, and returns their outcome and their folder.

    Args:
        resources: by default the workers that suit the request.
        outcome: the outcome to fill and return, for a caller that reads it at events.

    Raises:
        MachineError: the folder cannot be written, or a worker was killed.
    """
    root = stage_folder(request.runs_folder)
    _writable(root)
    resources, watch = resources or Resources(workers_of(request, stages)), on_event or (lambda _: None)
    return run_graph(stages, root, executor=executor, resources=resources, on_event=watch, outcome=outcome), root


def _writable(root: Path) -> None:
    """Finds out before anything is trained whether results can be kept."""
    try:
        make_folder(root)  # stages of all datasets lie here
        probe = aside(root / "probe")
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise MachineError(
            f"cannot write to this folder: {error.strerror}", where=str(root), hint="choose another folder with --runs"
        ) from error
