"""A whole run of handcrafted features with logistic regression, as users start it, and where its time goes."""

from __future__ import annotations

import statistics
from pathlib import Path

import yaml

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, Way, alone, embench, figure, turns


def rows(setting: Setting) -> list[Row]:
    root, name = data.stress_predict(setting)
    stages = list[float]()

    def line(runs: Path, *more: str) -> Way:
        method = ("--encoder", "handcrafted", "--fusion", "logreg", "--seeds", "0")
        return embench("run", "--dataset", "stress_predict", *method, "--data-root", root, "--runs", runs, *more)

    def fresh(workers: int) -> Way:
        """Fits, predicts and scores again; data, features and results of the split alone are cached."""

        def once() -> Took:
            runs = setting.new("runs")
            found = line(runs, "--workers", str(workers))()
            if workers == 1:
                (record,) = runs.rglob("run.yaml")
                stages.append(yaml.safe_load(record.read_text())["cost"]["wall_seconds"])
            return found

        return once

    done = setting.work / "done"
    cold = [line(done)()]
    ways = {"one": fresh(1), "two": fresh(2), "plan": line(done, "--dry-run"), "again": line(done)}
    times = turns(ways, setting.size(5, 1))
    whole = alone(f"handcrafted + logreg on {name}, one seed", times["one"])
    planned = alone("of it, start-up and planning (as long as `--dry-run`)", times["plan"])
    fitted = statistics.median(stages)
    rest = whole.ours - planned.ours - fitted
    return [
        whole,
        planned,
        figure("of it, stages: features assembled, fits, predictions", fitted, "s", repetitions=len(stages)),
        figure("of it, the rest: scores, confound_only, the record", rest, "s", repetitions=len(stages)),
        figure("peak memory", max(t.memory for t in times["one"]), "MB"),
        alone("the same by two workers", times["two"]),
        alone("the same command again, when all is done", times["again"]),
        alone("the first time, with preparing and features", cold),
    ]
