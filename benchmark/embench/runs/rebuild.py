"""The plan of a finished run, made again from its record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embench.errors import EmbenchError
from embench.planning.request import recorded_request
from embench.records.record import TUNING_FILE, Record
from embench.registry.contents import recall_objects
from embench.system import lacking

if TYPE_CHECKING:
    from embench.planning.plan import Plan


def rebuild_plan(
    known: Record, folder: Path, data_root: Path | None, runs: Path, dataset: str | None = None
) -> tuple[Plan | None, str]:
    """The plan that the request of the run in `folder` has here, with this folder of runs, ready for its stages; or why
    it has none, with what to do."""
    request = recorded_request(known.run["config"], runs, data_root, dataset)
    if request is None:
        return None, "its predictions are a submission"
    if request.tuned:
        request = replace(request, tuned=folder / TUNING_FILE)
    try:
        from embench.planning.plan import make
        from embench.runs.videos import decode_videos
    except ModuleNotFoundError as error:
        if lacking(error) is None:
            raise
        return None, f"{error.name} is not installed on this machine"
    try:
        recall_objects(known.run.get("objects", ()))
        planned = make(request)
        decode_videos(planned.cohorts, planned.method, planned.request.workers)  # stages read their frames
        return planned, ""
    except EmbenchError as error:
        return None, f"{error.what}; {error.hint}" if error.hint else error.what
