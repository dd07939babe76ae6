"""`embench grid status FOLDER` and `embench grid cancel FOLDER`, from any terminal that sees the runs folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embench.cli import console
from embench.errors import UsageError

_STATES = {
    "running": "running",
    "ended": "ended",
    "stopped": "stopped: its process is gone; the same command goes on where it stopped",
    "unknown": "running, or stopped: its process is another machine's",
}


def look(verb: str, words: Sequence[str], *, as_json: bool) -> None:
    """Shows how far the grid is that was started last in a runs folder, or asks it to stop."""
    from embench.runs.grids import grid_status, latest_grid

    if len(words) != 1:
        raise UsageError("which runs folder?", where=f"embench grid {verb}", expected=f"embench grid {verb} FOLDER")
    grid = latest_grid(Path(words[0]))
    if verb == "cancel":
        grid.cancel()
    found = grid_status(grid)
    if as_json:
        console.document(found)
    elif verb == "status":
        _show(found)
    elif found["state"] == "ended":
        console.echo("the grid has ended")
    else:
        console.wrapped(
            "The grid stops within seconds. What is finished is kept, and the command that started it goes on there."
        )


def _show(found: Mapping[str, Any]) -> None:
    from embench.records.cost import format_duration

    console.wrapped(f"grid {found['grid']}: {_STATES[found['state']]}")
    for each in found["processes"]:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(each["began"]))
        state = "" if len(found["processes"]) == 1 else f": {each['state']}"
        console.echo(
            f"started: {began} on {each['host']}, executor {each['executor']}, {each['workers']} at a time{state}"
        )
    runs, stages = found["runs"], found["stages"]
    console.echo(f"runs: {runs['finished']} of {runs['of']} finished")
    console.echo("stages: " + ", ".join(f"{count} {word}" for word, count in stages.items()))
    if found["left_s"] and found["state"] != "ended":
        console.echo(f"left: about {format_duration(found['left_s'])}")
    if found["running"]:
        rows = [[each["title"], f"{format_duration(each['silent_s'])} ago"] for each in found["running"]]
        console.table(["stage at work", "last sign"], rows)
    if found["failed"]:
        rows = [[each["title"], each["error"], each["where"] or ""] for each in found["failed"]]
        console.table(["failed stage", "why", "where"], rows)
    for title, why in found["failures"].items():
        console.note(f"missing: {title}: {why}")
