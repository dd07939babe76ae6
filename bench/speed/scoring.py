"""Scoring predictions of other code: seconds and memory by rows, and the arithmetic of intervals alone."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, alone, embench, figure, share, timed, turns
from embench import registry
from embench.interfaces.metric import Metric
from embench.interfaces.units import LabelRule, Target, Units
from embench.statistics import comparison
from embench.statistics.estimates import estimate
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import Joined

N_SUBJECTS, UNITS, STIMULI, FOLDS, SEEDS = 40, 300, 20, 5, 3
SUBJECTS = np.array([f"s{p:02d}" for p in range(N_SUBJECTS)])
ALONE = {name: name for name in SUBJECTS.tolist()}
"""The groups of subjects, each of whom was recorded alone."""
METRICS = ("auroc_within", "auroc", "balanced_accuracy", "f1_weighted", "brier", "ece")
TARGET = Target("stress", "binary", LabelRule(), "stress")


def rows(setting: Setting) -> list[Row]:
    return [*_submissions(setting), *_intervals(setting), _plain_metric(setting)]


def written(units: list[dict[str, str]], seeds: int, path: Path) -> int:
    """A file of predictions that are somewhat right; its rows."""
    rng, count = np.random.default_rng(0), 0
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["subject", "recording", "unit", "target", "seed", "fold", "score"])
        for seed, unit in itertools.product(range(seeds), units):
            score = 1 / (1 + np.exp(-(float(unit["label"]) + rng.normal())))
            place = [unit[name] for name in ("subject", "recording", "unit", "target")]
            out.writerow([*place, seed, unit[f"fold_{seed % 3}"], f"{score:.9f}"])
            count += 1
    return count


def _submissions(setting: Setting) -> list[Row]:
    """Files of one seed and of nine, of which each is scored as a partition of its own, with data and confound-only
    models kept."""
    root, name = data.stress_predict(setting)
    listed = setting.work / "units.csv"
    embench("data", "labels", "stress_predict", "--data-root", root, "--units", listed)()
    with listed.open() as file:
        units = [unit for unit in csv.DictReader(file) if unit["label"]]
    few, many = setting.work / "few.csv", setting.work / "many.csv"
    n_few, n_many = written(units, 1, few), written(units, setting.size(9, 2), many)

    def scored(path: Path) -> Took:
        line = ("--dataset", "stress_predict", "--data-root", root, "--out", setting.new("scored"))
        return embench("score", path, *line)()

    scored(few)
    first = scored(many)  # fits the confound-only models of eight more seeds, which are kept
    times = turns({"few": lambda: scored(few), "many": lambda: scored(many)}, setting.size(2, 1))
    what = f"`embench score` of {n_many:,} rows of {name}"
    memory = max(t.memory for t in times["many"])
    return [
        alone(what, times["many"], most=35),
        figure("the same, peak memory", memory, "MB", most=500, repetitions=len(times["many"])),
        share("the same", times["many"], times["few"], f"{n_few:,} rows"),
        alone("the same, the first time, with the controls of its partitions", [first]),
    ]


def made_up(units: int, seed: int) -> Joined:
    """Predictions that are somewhat right; a subject's units are spread over the stimuli."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (N_SUBJECTS, units)).astype(float)
    names = np.repeat(SUBJECTS, units)
    seeds = {}
    for k in range(SEEDS):
        score = 1 / (1 + np.exp(-(0.5 * y + rng.normal(size=y.shape)))).ravel()
        everything = Units(
            kind="binary",
            y_true=y.ravel(),
            score=score,
            decision=(score >= 0.5).astype(float),
            subject=names,
            stimulus=np.tile([f"v{u * STIMULI // units:02d}" for u in range(units)], N_SUBJECTS),
            start_s=np.tile(10.0 * np.arange(units), N_SUBJECTS),
            fold=np.repeat(rng.permutation(N_SUBJECTS) % FOLDS, units),
            group=names,
            length_s=10.0,
        )
        seeds[k] = {fold: everything.take(everything.fold == fold) for fold in range(FOLDS)}
    return Joined(seeds)


def _plain_metric(setting: Setting) -> Row:
    """The samples of subjects that a metric's interval needs: from sums, and as a plain metric scores them."""
    joined = made_up(setting.size(UNITS, 40), 0)
    jackknife = leave_one_out(joined.tested_subjects(), ALONE)
    summed: type[Metric] = registry.load_plugin("metric", "brier")
    plain = type("Plain", (summed,), {"resample": Metric.resample})

    def resample(metric: Metric) -> None:
        for folds, tested_in in zip(joined.seeds.values(), joined.tested_subjects(), strict=True):
            for fold, units in folds.items():
                tested = np.isin(jackknife.subjects, tested_in[fold])
                metric.resample(units, jackknife.subjects[tested], jackknife.counts[:, tested])

    ways = {"summed": timed(lambda: resample(summed())), "plain": timed(lambda: resample(plain()))}
    times = turns(ways, setting.size(5, 1))
    what = "samples of subjects scored by `brier`, 12,000 units, 3 seeds"
    return share(what, times["summed"], times["plain"], "without its `resample`")


def _intervals(setting: Setting) -> list[Row]:
    """40 subjects with 300 units each, five folds, three seeds: 12,000 units, each predicted three times."""
    joined, films, other = made_up(setting.size(UNITS, 40), 0), made_up(STIMULI, 1), made_up(setting.size(UNITS, 40), 2)

    def scored(names: tuple[str, ...], of: Joined) -> None:
        for name in names:
            estimate(name, of, TARGET, leave_one_out(of.tested_subjects(), ALONE))

    tasks: dict[str, tuple[Callable[[], object], float | None]] = {
        "scores and intervals of six metrics, 12,000 units, 3 seeds": (lambda: scored(METRICS, joined), 5.0),
        f"auroc_crossed with its interval, {STIMULI} stimuli": (lambda: scored(("auroc_crossed",), films), 1.0),
        "auroc_crossed_time of all units": (lambda: scored(("auroc_crossed_time",), joined), None),
        "permutation test of f1_weighted": (
            lambda: comparison.permuted_differences("f1_weighted", joined, other, SUBJECTS, np.arange(N_SUBJECTS)),
            None,
        ),
    }
    times = turns({name: timed(call) for name, (call, _) in tasks.items()}, setting.size(3, 1))
    return [alone(name, times[name], most=most) for name, (_, most) in tasks.items()]
