"""Runs the stages of a plan in the folder that all runs of a runs folder share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embench.callbacks import EventCallback
from embench.engine.executors import Outcome, run_graph
from embench.engine.specs import Params
from embench.engine.stage import Stage
from embench.errors import MachineError
from embench.files import aside, make_folder
from embench.planning.graph import stage_folder
from embench.planning.plan import default_workers
from embench.planning.request import Request


def run_stages(
    stages: Sequence[Stage[Params]],
    request: Request,
    on_event: EventCallback | None,
    *,
    executor: str = "local",
    workers: int | None = None,
    outcome: Outcome | None = None,
) -> tuple[Outcome, Path]:
    """What came of the stages, and the folder where they lie; those that were done before are not run again.

    Args:
        workers: by default as many as the request says, else as suit the devices of the stages.
        outcome: what is returned, for a caller that looks into it at events.

    Raises:
        MachineError: the folder cannot be written, or a worker was killed.
    """
    root = stage_folder(request.runs_folder)
    _writable(root)
    count = workers or request.workers or default_workers({stage.params.common.device for stage in stages})
    watch = on_event or (lambda _: None)
    return run_graph(stages, root, executor=executor, workers=count, on_event=watch, outcome=outcome), root


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
