"""Runs the stages of a plan in the folder that all runs of a runs folder share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from embench.callbacks import EventCallback
from embench.engine.executors import Outcome, Resources, run_graph
from embench.engine.specs import Params
from embench.engine.stage import Stage
from embench.errors import MachineError
from embench.files import aside, make_folder
from embench.planning.graph import stage_folder
from embench.planning.plan import default_workers
from embench.planning.request import Request

ON_A_CLUSTER = 100
"""Stages, or jobs of them, that run at a time on other machines, where nobody says how many."""


def seconds_of(stages: Sequence[Stage[Params]]) -> Mapping[str, float]:
    """How long each of these stages of a method is expected to take in s; see `stage_seconds`."""
    from embench.planning.forecast import stage_seconds  # it imports torch

    return stage_seconds(stages)


def run_stages(
    stages: Sequence[Stage[Params]],
    request: Request,
    on_event: EventCallback | None,
    *,
    executor: str = "local",
    options: Mapping[str, str] | None = None,
    workers: int | None = None,
    outcome: Outcome | None = None,
    seconds: Callable[[Sequence[Stage[Params]]], Mapping[str, float]] = seconds_of,
) -> tuple[Outcome, Path]:
    """What came of the stages, and the folder where they lie; those that were done before are not run again.

    Args:
        options: of the executor.
        workers: by default as many as the request says, else as suit the devices of the stages, or a cluster.
        outcome: what is returned, for a caller that looks into it at events.
        seconds: forecasts how long stages take, where they are of more than one method.

    Raises:
        MachineError: the folder cannot be written, or a worker was killed.
    """
    root = stage_folder(request.runs_folder)
    _writable(root)
    count = workers or request.workers
    if count is None:
        count = default_workers({s.params.common.device for s in stages}) if executor == "local" else ON_A_CLUSTER
    resources, watch = Resources(count, options or {}, seconds), on_event or (lambda _: None)
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
            f"cannot write here: {error.strerror}", where=str(root), hint="choose another folder with --runs"
        ) from error
