"""`python -m bench.detectable`: how much differences of published methods vary over subjects (see plan.md).

`--measure` compares pairs, board by board, and keeps them in `--pairs`. Then, or without it, the table of what a
plan foretells is printed, and the file that plans read is written.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.markdown import table
from embench.records.record import Record, read_record
from embench.statistics import answerable
from embench.statistics.comparison import gap_over_subjects, methods_on_common
from embench.statistics.intervals import smallest_detectable

BOARDS = (
    ("stress_predict", "stress", "auroc_crossed_matched"),
    ("wearable_stress", "stress", "auroc_crossed_matched"),
    ("wearable_stress", "rating_high", "auroc_crossed_matched"),
    ("eegmat", "task", "auroc_within"),
)
"""Dataset, target, and the metric that ranks there, or the one in its place where it is undefined."""
WITHIN = 1.3
"""Factor within which a plan and a result agree."""
MOST = 12
"""Number of methods of a kind that are drawn, where a board has more."""
EDGES = (0.1, 0.5, 0.9)
"""Quantiles of a range and its median."""


@dataclass(frozen=True)
class Pair:
    """Two published methods of a kind. `sd`: the spread over subjects that gives the smallest detectable difference of
    `embench compare`. `alike`: they read the same modalities."""

    dataset: str
    target: str
    kind: str
    alike: int
    one: str
    other: str
    smallest: float
    sd: float


def board_pairs(dataset: str, target: str, metric: str) -> Iterator[Pair]:
    """Every two entries of a board that are of a kind, of those drawn."""
    found: dict[str, list[Record]] = defaultdict(list)
    files = sorted((ROOT / "leaderboards" / dataset / "subject-independent-v4").glob("*/run.yaml"))
    for at in np.random.default_rng(0).permutation(len(files)):
        text = files[at].read_text()
        kind = "features" if "\n  inputs: features\n" in text else "network"
        elsewhere, asked = "\n  train_dataset: null\n" not in text, f"\n- {target}\n" in text
        if asked and not elsewhere and len(found[kind]) < MOST:
            record = read_record(files[at].parent)
            found[kind].append(replace(record, predictions=record.predictions.own))
    for kind, records in found.items():
        for one, other, smallest, groups in _gaps(records, target, metric):
            read = [sorted(record.run["method"]["modalities"]) for record in (one, other)]
            ids = one.run["id"], other.run["id"]
            sd = smallest / answerable.smallest_difference(groups, 1.0)
            yield Pair(dataset, target, kind, int(read[0] == read[1]), *ids, round(smallest, 5), round(sd, 5))


def _gaps(records: Sequence[Record], target: str, metric: str) -> Iterator[tuple[Record, Record, float, int]]:
    """Two records, their smallest detectable difference as `embench compare` has it, and the number of groups."""
    defined = [
        record for record in records if (score := record.scores.get_scores(target).get(metric)) and score.is_defined
    ]
    for one, other in combinations(methods_on_common(defined, target, metric), 2):
        gap, _ = gap_over_subjects(one, other)
        if gap.error:
            yield one.record, other.record, smallest_detectable(gap.error, gap.df), gap.df + 1


def measure(file: Path) -> None:
    """Compare the pairs of all boards, and write them to a file."""
    with file.open("w") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(Pair.__annotations__)
        for board in BOARDS:
            writer.writerows(list(vars(pair).values()) for pair in board_pairs(*board))


def read_pairs(file: Path) -> list[Pair]:
    """The pairs of a file."""
    numbers: dict[str, Callable[[str], float]] = {"alike": int, "smallest": float, "sd": float}
    with file.open() as rows:
        return [Pair(**{k: numbers.get(k, str)(v) for k, v in row.items()}) for row in csv.DictReader(rows)]  # type: ignore[arg-type]


def quantiles(boards: Sequence[np.ndarray]) -> np.ndarray:
    """The `EDGES` of values of several boards, each board with the same weight."""
    values, weight = np.concatenate(boards), np.concatenate([np.full(len(each), 1 / len(each)) for each in boards])
    order = np.argsort(values)
    below = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    return np.asarray(np.interp(EDGES, below, values[order]))


def foretold(pairs: Sequence[Pair]) -> str:
    """Table of how well each candidate of plan.md foretells the pairs of a board."""
    lines = []
    boards = _by_board(pairs)
    for (kind, dataset, target), own in boards.items():
        sd = np.array([pair.sd for pair in own])
        others = [each for (k, d, _), each in boards.items() if k == kind and d != dataset]
        alike = [_geometric([p.sd for p in each if p.alike == pair.alike] for each in others) for pair in own]
        low, _, high = quantiles([np.array([pair.sd for pair in each]) for each in others])
        apart = [[o.sd for o in own if not {o.one, o.other} & {pair.one, pair.other}] for pair in own]
        ends = np.array([np.quantile(each or [np.nan], EDGES) for each in apart])
        assumed = {
            "constant": np.full(len(sd), 0.1),
            "kind elsewhere": np.full(len(sd), _geometric([pair.sd for pair in each] for each in others)),
            "alike elsewhere": np.array(alike),
            "kind here": np.array([_geometric([each]) for each in apart]),
        }
        close = [f"{(np.abs(np.log(sd / found)) < np.log(WITHIN)).mean():.2f}" for found in assumed.values()]
        held = [f"{((sd >= a) & (sd <= b)).mean():.2f}" for a, b in ((low, high), (ends[:, 0], ends[:, 2]))]
        spread = " / ".join(f"{edge:.2f}" for edge in np.quantile(sd, EDGES))
        lines.append([kind, f"{dataset}, {target}", str(len(own)), spread, *close, *held])
    heads = ["kind", "board", "pairs", "SD: 10 %, median, 90 %", "constant", "kind elsewhere", "alike elsewhere"]
    return table([*heads, "kind here", "range elsewhere holds", "range here holds"], lines)


def _by_board(pairs: Sequence[Pair]) -> dict[tuple[str, str, str], list[Pair]]:
    found: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.kind, pair.dataset, pair.target].append(pair)
    return found


def _geometric(boards: Iterator[list[float]] | Sequence[list[float]]) -> float:
    return float(np.exp(np.mean([np.log(each).mean() for each in boards if each])))


def file_for_plans(pairs: Sequence[Pair]) -> str:
    """The text of the file that plans read: for each kind and dataset the `EDGES`, and the number of pairs."""
    lines = [
        "# SD over subjects of paired differences of AUROC: 10 %, median and 90 % of published pairs, and their number."
    ]
    lines.append("# Written by `python -m bench.detectable`.")
    for kind in ("features", "network"):
        lines.append(f"{kind}:")
        of_kind = {board: own for board, own in _by_board(pairs).items() if board[0] == kind}
        for dataset in [*dict.fromkeys(board[1] for board in of_kind), answerable.OTHER_DATASETS]:
            chosen = [own for board, own in of_kind.items() if dataset in (board[1], answerable.OTHER_DATASETS)]
            edges = quantiles([np.array([pair.sd for pair in own]) for own in chosen])
            lines.append(f"  {dataset}: [{', '.join(f'{edge:.3f}' for edge in edges)}, {sum(map(len, chosen))}]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--pairs", type=Path, default=Path("runs/detectable.csv"))
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.pairs)
    known = read_pairs(chosen.pairs)
    answerable.PUBLISHED_PAIRS.write_text(file_for_plans(known))
    print(foretold(known))
