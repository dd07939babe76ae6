"""`embench grid`: a run for each point of a grid; stages that points share are run once. `grid status` and `grid
cancel` are for any terminal that sees the runs folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from embench.cli import console
from embench.cli.options import (
    Cluster,
    DryRunOption,
    ExecutorName,
    Json,
    WithFloors,
    cluster_options,
    read_options,
    texts,
    with_options,
)
from embench.cli.tables import TableColumn, field, show_table
from embench.errors import UsageError
from embench.planning.request import AXES, request_of
from embench.records.cost import format_duration
from embench.registry.naming import did_you_mean
from embench.screen.progress import Progress

if TYPE_CHECKING:
    from embench.statistics.result import Result

_STATES = {
    "running": "running",
    "ended": "ended",
    "cancelled": "cancelled: rerun the command to resume",
    "stopped": "stopped: its process is gone; rerun the command to resume",
    "unknown": "running, or stopped: its process is another machine's",
}


@with_options(
    points=True,
    help_texts={"seeds": "Seeds of every point, comma-separated; default: those of `embench run`."},
    before={"executor": "workers", "cluster": "workers", "floors": "workers"},
)
def grid(
    words: Annotated[
        list[str] | None,
        Argument(
            metavar="[GRID.yaml | status FOLDER | cancel FOLDER]",
            help="YAML file of options and their values; or how far the grid in a runs folder is, or to stop it.",
        ),
    ] = None,
    *,
    executor: ExecutorName = "local",
    cluster: Cluster = None,
    floors: WithFloors = False,
    dry_run: DryRunOption = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run all combinations of several option values; stages that runs share are computed once."""
    if words and words[0] in ("status", "cancel"):
        _look(words[0], words[1:], as_json=as_json)
        return
    if words and len(words) > 1:
        raise UsageError(f"what is `{words[1]}`?", where="embench grid", expected="one file, or status FOLDER")
    file = Path(words[0]) if words else None
    line = {name: options.pop(field) for name, field in AXES.items()}
    axes = _from_file(file, options) | {name: list(values) for name, values in line.items() if values}
    from embench.planning.names import check_names
    from embench.planning.points import grid_points

    chosen = cluster_options(cluster or ())
    requested = [request_of(**options, **point) for point in grid_points(axes)]
    check_names(requested)
    from embench.engine import executors

    executors.find_executor(executor)
    from embench.cli import show  # these import torch, which takes longer than to refuse what is wrong
    from embench.planning.axes import expand_axes
    from embench.runs import run as runner

    requests = list(dict.fromkeys(each for request in requested for each in expand_axes(request)))
    if floors:
        from embench.cli.floors import run_with_floors

        run_with_floors(
            requests, executor=executor, workers=options["workers"], options=chosen, dry_run=dry_run, as_json=as_json
        )
        return
    if dry_run:
        show.print_plans(requests, as_json=as_json)
        return
    from embench.cli.board import print_board
    from embench.report import grid_curves  # slow to import, and a dry run draws nothing
    from embench.sets.table import board_rows

    with Progress() as progress:
        done = runner.grid(
            requests, executor=executor, workers=options["workers"], progress=progress.event, options=chosen
        )
    scored = [(result.manifest, result.scores) for result in done.results]
    drawn = grid_curves.write_curves(scored, requests[0].runs_folder / "curves")
    board = board_rows(done.results, reference="first")
    if as_json:
        console.document([{**result.json(), "board": _of_run(board, result.id)} for result in done.results])
    else:
        named = print_board(board, varied=_varied(done.results))
        show.run_folders(done.results, named=named)
        for curve, files in drawn:
            show.curve(curve, files)
    done.check()


def _of_run(board: Sequence[Mapping[str, Any]], run: str) -> list[Mapping[str, Any]]:
    """The rows of a run, one a target."""
    return [row for row in board if row.get("run") == run]


_PARTS = ("dataset", "encoder", "fusion", "modalities", "pretrainer", "set", "target", "protocol")
"""Options that a table of methods shows anyway."""


def _varied(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    """Run -> its values of the other options in which runs differ."""
    from embench.cli import show

    options = show.varied([result.manifest for result in results])
    return {
        result.id: {name: value for name, value in own.items() if name not in (*_PARTS, "tuned")}
        for result, own in zip(results, options, strict=True)
    }


def _from_file(path: Path | None, common: dict[str, Any]) -> dict[str, list[str]]:
    """The axes a grid file gives; values that all points share go into `common`."""
    if path is None:
        return {}
    axes: dict[str, list[str]] = {}
    shared = {"seeds", "device"}
    for key, value in read_options(path).items():
        name = key.replace("_", "-")
        if name in shared:
            common[name] = ",".join(texts(value))
        elif name in AXES:
            axes[name] = _axis(name, value)
        else:
            raise UsageError(f"unknown option `{key}`", where=str(path), hint=did_you_mean(name, [*AXES, *shared]))
    return axes


def _axis(name: str, value: Any) -> list[str]:
    if name == "set" and isinstance(value, Mapping):  # {fusion.lr: [1e-4, 1e-3]}
        return [f"{path}={item}" for path, items in value.items() for item in texts(items)]
    if isinstance(value, list):  # a point may be a mapping or a list itself: [{eeg: tcn, ecg: cnn_tf}]
        return [",".join(texts(item)) for item in value]
    return [",".join(texts(value))]


def _look(verb: str, words: Sequence[str], *, as_json: bool) -> None:
    """Shows how far the grid is that was started last in a runs folder, or asks it to stop."""
    from embench.runs.grids import OVER, grid_status, latest_grid

    if len(words) != 1:
        raise UsageError("which runs folder?", where=f"embench grid {verb}", expected=f"embench grid {verb} FOLDER")
    grid = latest_grid(Path(words[0]))
    if verb == "cancel":
        grid.cancel()
    found = grid_status(grid)
    if as_json:
        console.document(found)
    elif verb == "status":
        _print_status(found)
    elif found["state"] in OVER:
        console.wrapped(f"the grid is not running any more; {_STATES[found['state']]}")
    else:
        console.wrapped(
            "The grid stops within seconds. What is finished is kept, and the command that started it goes on there."
        )


def _print_status(found: Mapping[str, Any]) -> None:
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
    last_sign = TableColumn("last sign", lambda stage: f"{format_duration(stage['silent_s'])} ago")
    show_table(found["running"], [field("title", "stage at work"), last_sign])
    show_table(found["failed"], [field("title", "failed stage"), field("error", "why"), field("where")])
    for title, why in found["failures"].items():
        console.note(f"missing: {title}: {why}")
