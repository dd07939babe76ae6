"""The tables of `bench/scaling.md`, made from `bench/scaling.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import markdown
from bench.markdown import table


def tables(found: Mapping[str, Any]) -> str:
    """Markdown: the grid, its schedules, what changes them, and the check against a real run."""
    grid, parent = found["grid"], found["parent"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in grid["kinds"].items())
    all_planned = parent["plan_s"] * grid["runs"]
    facts = [
        ["runs (combinations that embench refuses)", f"{grid['runs']:,} ({grid['refused']:,})"],
        ["stages, if each run made its own", f"{grid['alone']['stages']:,}, {_time(grid['alone']['s'])} of work"],
        ["stages, shared", f"{grid['stages']:,}, {_time(grid['s'])} of work"],
        ["of them", kinds],
        ["longest chain", f"{_time(grid['chain_s'])}"],
        ["planning by the parent, each run; all", f"{parent['plan_s']:.2f} s; {_time(all_planned)}"],
        ["handing out and answering a stage", f"{1000 * parent['answer_s']:.1f} ms"],
        ["scoring a run ([measured](performance.md#figures))", f"{parent['score_s']:.2f} s"],
    ]
    schedule = [
        [
            str(row["workers"]), _time(row["makespan_s"]), f"{row['efficiency']:.2f}", f"{row['idle']:.0%}",
            _time(row["bounds"]["work"]), _time(row["bounds"]["chain"]), _time(row["bounds"]["parent"]),
            _limit(row),
        ]
        for row in found["schedule"]
    ]  # fmt: skip
    workers = [str(row["workers"]) for row in found["schedule"]]
    variants = [[name, *(f"{value:.2f}" for value in values)] for name, values in found["variants"].items()]
    real = "; ".join(
        f"with {row['workers']} worker{'s' * (row['workers'] > 1)}, {row['makespan_s']:.1f} s, and "
        f"{row['simulated_s']:.1f} s simulated ({row['off']:+.1%})"
        for row in found["real"]
    )
    read = f"{grid['published']} published rows, and of {grid['recorded']:,} estimators and predictions"
    return "\n\n".join(
        [
            f"Made on {found['machine']['measured']}, from the times of {read}.",
            table(["the grid", ""], facts),
            "### The schedule",
            table(
                ["workers", "done after", "efficiency", "idle", "work / workers", "chain", "parent busy", "limited by"],
                schedule,
            ),
            "### What changes the efficiency",
            table(["workers", *workers], variants),
            f"The real run: {real}.",
        ]
    )


def _limit(row: Mapping[str, Any]) -> str:
    """The largest of the bounds; the order of the list where the schedule is a tenth longer than that."""
    name, bound = max(row["bounds"].items(), key=lambda item: item[1])
    return str(name) if row["makespan_s"] <= 1.1 * bound else "order"


def insert(page: str, found: Mapping[str, Any]) -> str:
    """The page with these tables between its marks. Raises ValueError where it lacks one."""
    return markdown.insert(page, "python -m bench.scaling page", tables(found))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
