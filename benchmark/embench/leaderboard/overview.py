"""One view over leaderboards: rank and win rate of each method, with intervals over datasets and subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.errors import UsageError
from embench.files import saving, write_text
from embench.leaderboard.columns import Row, format_method
from embench.leaderboard.entries import load_summands
from embench.leaderboard.tables import BoardSection
from embench.records.record import format_csv
from embench.records.wording import inside_subjects
from embench.statistics.intervals import ALPHA, HALF_INTERVAL, holm

_OF_CLASSES = "auroc_within"
"""The within-subject score of targets with classes."""
RESAMPLES = 2000
"""Number of draws of datasets and subjects from which intervals are computed."""
_SEED = 20261201


@dataclass(frozen=True)
class Task:
    """A leaderboard with its entries by method: of each method the one that reads most modalities."""

    dataset: str
    protocol: str
    target: str
    entries: Mapping[str, Row]

    @property
    def name(self) -> str:
        """Dataset and target."""
        return f"{self.dataset}/{self.target}"


class MethodOverview(NamedTuple):
    """Mean rank and win rate of a method over datasets, each as (value, lower bound, upper bound). The win rate is the
    proportion of other methods with a lower score; an equal score counts half."""

    method: str
    rank: tuple[float, float, float]
    win_rate: tuple[float, float, float]


@dataclass(frozen=True)
class Overview:
    """Methods over leaderboards.

    Args:
        standings: the methods with an entry on every leaderboard, best mean rank first.
        others: method -> number of leaderboards, for the other methods.
        ordered: number of pairs of methods of which one is demonstrably better over datasets.
        least_p: the least p that a sign test over so many datasets can give.
    """

    tasks: tuple[Task, ...]
    standings: tuple[MethodOverview, ...]
    others: Mapping[str, int]
    ordered: int
    least_p: float

    @property
    def datasets(self) -> list[str]:
        """The datasets of the leaderboards, each once."""
        return list(dict.fromkeys(task.dataset for task in self.tasks))

    @property
    def sentence(self) -> str:
        """The statement whether the datasets can order the methods."""
        count, pairs = len(self.datasets), comb(len(self.standings), 2)
        if self.least_p > ALPHA:
            return (
                f"{count} dataset{'s' * (count != 1)} cannot order the methods: even a method that is better than "
                f"another on each of them has p = {self.least_p:.2g} in a sign test over datasets."
            )
        return (
            f"Sign tests over {count} datasets, corrected for all {pairs} pairs of methods (Holm), order {self.ordered}"
            " of the pairs."
        )


def select_tasks(sections: Sequence[BoardSection], protocol: str) -> list[Task]:
    """Return the leaderboards of classes under a protocol that have a primary metric, without methods that
    were trained on another dataset. Of several leaderboards of one dataset and target, only that with most subjects is
    returned. Continuous targets are left out, since few methods predict both."""
    tasks = dict[tuple[str, str], Task]()
    for section in sections:
        usual = section.protocol == protocol and not section.trained_on and not section.leaks
        if not usual or section.problem is not None or inside_subjects(section.metric) != _OF_CLASSES:
            continue
        entries = dict[str, Row]()
        for row in sorted(section.methods, key=lambda row: (-len(row.modalities), row.modalities)):
            if row.score and row.primary_metric == section.metric:
                method = "; ".join((format_method(row.parts, row.pretrainers), *row.differences))
                entries.setdefault(method, row)
        if entries:
            place = section.dataset, section.target
            tasks.setdefault(place, Task(section.dataset, section.protocol, section.target, entries))
    return list(tasks.values())


def summarise_tasks(tasks: Sequence[Task], boards: Path) -> Overview:
    """Return ranks and win rates over `tasks`, each dataset with equal weight.

    Intervals come from draws of datasets and, within each, of groups of subjects, all methods with the same draw. Where
    entries lack the parts of their scores by subjects, because labels are withheld, scores are drawn from intervals.

    Args:
        boards: folder of the leaderboards, for the parts of scores by subjects.
    """
    counts = Counter(method for task in tasks for method in task.entries)
    methods = [method for method, count in counts.items() if count == len(tasks)]
    datasets = list(dict.fromkeys(task.dataset for task in tasks))
    least_p = min(1.0, 2.0 ** (1 - len(datasets)))
    others = {method: count for method, count in sorted(counts.items()) if count < len(tasks)}
    if len(methods) < 2:
        return Overview(tuple(tasks), (), {**others, **dict.fromkeys(methods, len(tasks))}, 0, least_p)
    scores = [[_read_scores(task, methods, boards) for task in tasks if task.dataset == name] for name in datasets]
    means = np.stack([np.mean([each.means for each in own], axis=0) for own in scores])
    wins = np.mean([_compute_wins([each.means for each in own]) for own in scores], axis=0)
    low, high = np.quantile(_draw_wins(scores, len(methods)), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    worst = len(methods) - 1  # a rank is 1 where all others have lower scores
    standings = [
        MethodOverview(
            method, (1 + worst * (1 - win), 1 + worst * (1 - top), 1 + worst * (1 - bottom)), (win, bottom, top)
        )
        for method, win, bottom, top in zip(methods, wins.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    standings.sort(key=lambda each: each.rank)
    return Overview(tuple(tasks), tuple(standings), others, _count_ordered(means), least_p)


class _Scores(NamedTuple):
    """Scores of M methods on a leaderboard: (M,) `means` and standard `errors`, and their `parts` (M, G) by groups of
    subjects, None where labels are withheld or methods were scored on other units."""

    means: np.ndarray
    errors: np.ndarray
    parts: np.ndarray | None


def _read_scores(task: Task, methods: Sequence[str], boards: Path) -> _Scores:
    rows = [task.entries[method] for method in methods]
    scores = [row.score for row in rows if row.score]
    errors = [
        (s.high - s.low) / (2 * HALF_INTERVAL) if s.low is not None and s.high is not None else 0.0 for s in scores
    ]
    folder = boards / task.dataset / task.protocol
    found = [summands for row in rows if (summands := load_summands(folder / row.id).get(task.target))]
    same = len(found) == len(rows) and len({summands.fits for summands in found}) == 1
    parts = np.stack([summands.contributions for summands in found]) if same else None
    return _Scores(np.array([score.mean for score in scores]), np.array(errors), parts)


def _compute_wins(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return (M,) the win rate of each method, averaged over the leaderboards of a dataset. `scores`: (M,) of each."""
    found = np.stack(scores)[:, :, None] - np.stack(scores)[:, None, :]
    return np.asarray(((np.sign(found) + 1) / 2).sum(2).mean(0) - 0.5) / (found.shape[1] - 1)


def _draw_wins(scores: Sequence[Sequence[_Scores]], methods: int) -> np.ndarray:
    """Return (R, M) win rates in draws of datasets, and of subjects within them. `scores`: leaderboards by dataset."""
    rng = np.random.default_rng(_SEED)
    draws = np.empty((RESAMPLES, methods))
    for k in range(RESAMPLES):
        chosen = rng.integers(len(scores), size=len(scores))
        draws[k] = np.mean([_compute_wins(_draw_scores(scores[d], rng)) for d in chosen], axis=0)
    return draws


def _draw_scores(scores: Sequence[_Scores], rng: np.random.Generator) -> list[np.ndarray]:
    """Return (M,) scores on each leaderboard of a dataset, with its groups of subjects drawn with replacement."""
    weights = dict[int, np.ndarray]()  # leaderboards with as many groups have the same subjects
    found = []
    for means, errors, parts in scores:
        if parts is None:
            found.append(means + errors * rng.standard_normal(len(means)))
            continue
        groups = parts.shape[1]
        if groups not in weights:
            weights[groups] = rng.multinomial(groups, np.full(groups, 1 / groups))
        found.append(means + parts @ (weights[groups] - 1))
    return found


def _count_ordered(means: np.ndarray) -> int:
    """Return the number of pairs of methods that sign tests over datasets order, corrected for all pairs (Holm).
    `means` (D, M): mean score on each dataset."""
    pairs = combinations(range(means.shape[1]), 2)
    return sum(p < ALPHA for p in holm([_sign_test(means[:, a] - means[:, b]) for a, b in pairs]))


def _sign_test(differences: np.ndarray) -> float:
    """Return the two-sided p of the exact sign test; differences of 0 are left out."""
    from scipy.stats import binomtest  # slow to import

    wins, count = int((differences > 0).sum()), int((differences != 0).sum())
    return float(binomtest(wins, count).pvalue) if count else 1.0


# The table that other packages rank: a line for each method and leaderboard, with an error of which lower is better.


def list_errors(tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
    """Yield the lines that `bencheval` reads: `method`, `task` and `metric_error` (1 minus the score), then facts on
    the entry."""
    for task in tasks:
        for method, row in task.entries.items():
            if row.score:
                about = {"method": method, "task": task.name, "metric_error": 1 - row.score.mean}
                about |= {"dataset": task.dataset, "metric": row.primary_metric, "score": row.score.mean}
                yield {**about, "modalities": ",".join(row.modalities), "entry": row.id}


def write_errors(tasks: Sequence[Task], path: Path) -> None:
    """Write the table of `list_errors` as CSV or, if the name ends in `.parquet`, as Parquet.

    Raises:
        UsageError: the name has another ending, or Parquet cannot be written here.
        MachineError: the file cannot be written.
    """
    lines = list(list_errors(tasks))
    if path.suffix not in (".csv", ".parquet"):
        what, expected = f"`{path.name}` is not a CSV or Parquet file", "a name that ends in .csv or .parquet"
        raise UsageError(what, where=f"--out {path}", expected=expected)
    with saving("the table", path):
        if path.suffix == ".csv":
            write_text(path, format_csv(lines, list(lines[0]) if lines else []))
            return
        import pandas as pd  # imported here: only this file needs it

        try:
            pd.DataFrame(lines).to_parquet(path, index=False)
        except ImportError as error:
            hint = "pip install pyarrow, or a name that ends in .csv"
            raise UsageError("Parquet needs pyarrow", where=f"--out {path}", hint=hint) from error
