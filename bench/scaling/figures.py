"""Figures of the page: the schedules of the planned grid, and the real run beside its own."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.scaling import ROOT
from bench.scaling.schedule import Parent, Schedule, Task, chains, simulate
from bench.speed.machine import about

SPEED = ROOT / "bench" / "performance.json"
WORKERS = (1, 8, 64, 512)
EPOCHS = 12
"""Events of a stage that trains: about as many epochs as the small recipes have."""


def figures(grid: Mapping[str, Any], real: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of the page, from the files of `plan` and `real`."""
    stages = grid["stages"]
    tasks = {id_: Task(stage["s"], tuple(stage["inputs"])) for id_, stage in stages.items()}
    runs = [run["stages"] for run in grid["runs"]]
    work, long = sum(task.seconds for task in tasks.values()), chains(tasks)
    trained = [stage["s"] for stage in stages.values() if stage["kind"] not in ("predict", "estimator")]
    # Each event names the runs that need its stage: one as it starts and ends, and one an epoch.
    events = 2 + EPOCHS * len(trained) / len(stages)
    needed = sum(map(len, runs)) / len(stages)
    rows = next(topic["rows"] for topic in json.loads(SPEED.read_text())["topics"] if topic["name"] == "running")
    scoring = next(row["ours"] for row in rows if row["what"].startswith("of it, the rest: scores"))
    parent = Parent(
        grid["plan_s"] * len(runs), grid["hand_s"] + events * needed * grid["id_s"], grid["look_s"], scoring
    )
    sure = [run for run in runs if all(stages[i]["known"] for i in run)]
    wanted = {i for run in sure for i in run}
    measured = {id_: task for id_, task in tasks.items() if id_ in wanted}
    fast = {id_: Task(task.seconds / 10, task.inputs) for id_, task in tasks.items()}
    slow = {
        id_: Task(task.seconds * (3 if stages[id_]["kind"] == "pretrain" else 1), task.inputs)
        for id_, task in tasks.items()
    }
    away = parent._replace(before=0, score=0)

    def schedules(of: Mapping[str, Task] = tasks, **more: Any) -> list[Schedule]:
        return [simulate(of, n, **{"runs": runs, "parent": parent, **more}) for n in WORKERS]

    simulated = schedules()
    variants = {
        "stages alone: a parent that takes no time": schedules(runs=(), parent=Parent()),
        "as it is": simulated,
        "jobs that take 10 s to start": schedules(start_s=10),
        "jobs that take 60 s to start": schedules(start_s=60),
        "longest chain first": schedules(longest_first=True),
        "planned before, scored by workers": schedules(parent=away),
        f"only the {len(sure)} runs whose networks were all measured": schedules(
            measured, runs=sure, parent=parent._replace(before=grid["plan_s"] * len(sure))
        ),
        "pretraining three times as long": schedules(slow),
        "stages ten times as fast": schedules(fast),
        "the same, planned before, scored by workers": schedules(fast, parent=away),
    }
    return {
        "machine": about(),
        "grid": {
            "runs": len(runs), "refused": grid["refused"], "recorded": grid["recorded"], "published": grid["published"],
            "stages": len(stages), "s": work, "kinds": dict(Counter(stage["kind"] for stage in stages.values())),
            "alone": {"stages": sum(map(len, runs)), "s": sum(stages[i]["s"] for run in runs for i in run)},
            "chain_s": max(long.values()), "chain": chain_of(stages, long), "longest_s": max(trained),
            "median_s": statistics.median(trained), "datasets": dict(Counter(r["dataset"] for r in grid["runs"])),
            "protocols": sorted({run["protocol"] for run in grid["runs"]}),
            "known": sum(stage["s"] for stage in stages.values() if stage["known"]) / work, "ways": grid["ways"],
        },
        "parent": {
            "plan_s": grid["plan_s"], "answer_s": parent.answer, "look_s": parent.look, "score_s": parent.score,
            "prepare_s": grid["prepare_s"],
        },
        "schedule": [
            {"workers": n, "makespan_s": s.makespan, "efficiency": s.efficiency, "idle": s.idle,
             "bounds": {"work": work / n, "chain": max(long.values()), "parent": s.parent}}
            for n, s in zip(WORKERS, simulated, strict=True)
        ],
        "variants": {name: [s.efficiency for s in each] for name, each in variants.items()},
        "real": [beside([each for each in real if each["workers"] == n]) for n in (1, 2)],
    }  # fmt: skip


def chain_of(stages: Mapping[str, Any], long: Mapping[str, float]) -> list[str]:
    """The stages of the longest chain, in words."""
    at = max(long, key=long.__getitem__)
    found = [at]
    while after := [name for name, stage in stages.items() if found[-1] in stage["inputs"]]:
        found.append(max(after, key=long.__getitem__))
    return [f"{stages[i]['name'].strip()} on {stages[i]['dataset']}, {stages[i]['s']:.0f} s" for i in found]


def beside(repeated: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest repetition of a real run, beside the schedule of its own stages' times."""
    best = min(repeated, key=lambda each: each["makespan_s"])
    tasks = {id_: Task(stage["s"], tuple(stage["inputs"])) for id_, stage in best["stages"].items()}
    simulated = simulate(tasks, best["workers"]).makespan
    return {
        "workers": best["workers"], "makespan_s": best["makespan_s"], "simulated_s": simulated,
        "off": simulated / best["makespan_s"] - 1, "stages": len(tasks),
        "all_s": [each["makespan_s"] for each in repeated], "load_average": [each["load_average"] for each in repeated],
    }  # fmt: skip
