"""Duration of a stage: from stages that were run before, by rows, epochs and operations."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.boards import BOARDS
from bench.boards.rows import DATASETS, leaderboard_rows
from bench.scaling import WORK
from embench.engine.fits import window_grids
from embench.engine.rows import build_grid
from embench.engine.stage import Stage
from embench.files import snapshot
from embench.planning.plan import Plan, forecast, make
from embench.records.record import RUN_FILE, board_name, read_manifest


def names_of(kind: str, params: Mapping[str, Any]) -> str:
    """Text that identifies the network of a stage, from its `stage.json`: stages with one text take alike for a row."""
    parts = [f"{m}={part['encoder']}" for m, part in sorted(params.get("modalities", {}).items())]
    others = [(params.get(part) or {}).get("name", "") for part in ("fusion", "pretrainer")]
    return " ".join([kind, ",".join(parts), *others]).replace("embench_plugins/", "")


def recorded(folder: Path) -> tuple[dict[str, float], int]:
    """Seconds a row of each estimator, and a unit of each prediction: the median of their stages in a folder; and how
    many stages that are."""
    found = {}
    for path in folder.glob("*/result.json"):
        stage, result = json.loads((path.parent / "stage.json").read_text()), json.loads(path.read_text())
        found[path.parent.name] = (names_of(stage["kind"], stage["params"]), stage, result)
    seconds: dict[str, list[float]] = defaultdict(list)
    for name, stage, result in found.values():
        if stage["kind"] == "predict" and (fitted := found.get(stage["inputs"]["fitted"])):
            seconds[f"predict {fitted[0]}"].append(result["wall_seconds"] / max(result["units"], 1))
        elif stage["kind"] == "estimator":
            seconds[name].append(result["wall_seconds"] / max(result["rows"], 1))
    return {name: statistics.median(each) for name, each in seconds.items()}, sum(map(len, seconds.values()))


def published(data: Path) -> tuple[dict[str, float], dict[str, float], int]:
    """Seconds for a row and epoch (of the recipe) of each network, the median of the boards' rows, and operations of a
    row; and how many rows. A row tells what it took as a whole: of several networks all but one have to be known."""
    found, operations, used = defaultdict[str, list[float]](list), dict[str, float](), 0
    for plan, amounts, took in sorted(_rows(data), key=lambda row: len(row[1])):
        *known, ours = sorted(amounts, key=lambda name: (name not in found, amounts[name]))
        if not found.keys() >= set(known):
            continue
        rest = took - sum(statistics.median(found[name]) * amounts[name] for name in known)
        if rest <= 0:
            continue
        found[ours].append(rest / amounts[ours])
        used += 1
        if not known and ours not in operations:
            operations[ours] = float(forecast(plan.graph, 1, plan.graph.stages)["flops"])
    return {name: statistics.median(each) for name, each in found.items()}, operations, used


def _rows(data: Path) -> Iterator[tuple[Plan, dict[str, float], float]]:
    """Published rows with networks: the plan, rows times epochs of each network, and the seconds that they took."""
    with snapshot():
        rows = [
            row for name in DATASETS for row in leaderboard_rows(name, data_root=data, runs=WORK / "runs", workers=1)
        ]
        for row in (row for row in rows if row.request.encoders != ("handcrafted",)):
            plan = make(row.request)
            entry = BOARDS / board_name(plan.dataset) / plan.protocol.name / plan.id
            if not (entry / RUN_FILE).is_file():
                continue
            amounts = defaultdict[str, float](float)
            for stage in plan.graph.stages.values():
                if stage.kind != "predict":
                    amounts[names_of(stage.kind, stage.params.plain())] += rows_of(stage)
            yield plan, dict(amounts), read_manifest(entry).cost.wall_seconds


def rows_of(stage: Stage[Any]) -> float:
    """Rows that a stage goes through, times epochs where it trains."""
    task = stage.task
    if stage.kind == "predict":
        return float(len(task["recording"]))
    params, train = stage.params, task["role"] == 0
    if stage.kind == "pretrain" and "y" not in task:
        rows = float(sum((role == 0).sum() for _, role in window_grids(stage)))
    else:
        where = (task[name][train] for name in ("recording", "start", "stop"))
        rows = float(len(build_grid(params.modalities, params.recipe.view, *where)))
    return rows * (1 if stage.kind == "estimator" else params.recipe.epochs)


def per_row(
    name: str, plan: Plan, seconds: dict[str, float], operations: dict[str, float], ways: Counter[str]
) -> float:
    """Seconds a row of a network; of one that was never run, from its operations (see the page)."""
    if name in seconds:
        ways["measured"] += 1
        return seconds[name]
    kind, parts, fusion, *pretrainer = name.split(" ")
    if kind == "predict":
        alike = [s for n, s in seconds.items() if n.startswith("predict")]
        way, found = "the median of predictions", statistics.median(alike)
    elif kind in ("estimator", "pretrain") or fusion == "late":
        last = pretrainer[0] if kind == "pretrain" else fusion
        alike = [s for n, s in seconds.items() if n.startswith(kind) and n.rstrip().endswith(last)]
        if kind == "pretrain":
            whole = "fusion" if fusion else "unimodal"
            share = [
                s / seconds[trained]
                for n, s in seconds.items()
                if n.startswith("pretrain") and n.endswith(last) and (trained := _trained(n)) in seconds
            ]
            alike = [statistics.median(share) * per_row(f"{whole} {parts} {fusion} ", plan, seconds, operations, ways)]
        way, found = "another's ratio" if kind == "pretrain" else "its fusion elsewhere", statistics.median(alike)
    else:
        encoders = {part.split("=")[1] for part in parts.split(",")}
        measured = [(n, s / operations[n]) for n, s in seconds.items() if operations.get(n)]
        like = [each for n, each in measured if {p.split("=")[1] for p in n.split(" ")[1].split(",")} == encoders]
        counted = forecast(plan.graph, 1, plan.graph.stages)["flops"] if name not in operations else operations[name]
        way, found = "operations", statistics.median(like or [each for _, each in measured]) * counted
    ways[way] += 1
    seconds[name] = found
    return found


def _trained(pretraining: str) -> str:
    """The name of the stage that trains on labels what another pretrains."""
    _, parts, fusion, _ = pretraining.split(" ")
    return f"{'fusion' if fusion else 'unimodal'} {parts} {fusion} "
