"""`python -m bench.small_studies.beside FILE`: the answers of published entries under scoring 4 beside those under 3.

Folds of studies in one fixed order are the same under both. These studies are large, so that they keep the models of
confounds of version 3: recorded scores stay, after the primary metric of `--check` entries was computed again.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.markdown import table
from embench.protocols import load_protocol
from embench.records.record import Record, read_record
from embench.statistics.answers import TargetAnswers, answer_questions
from embench.statistics.joined import recorded_targets, unit_length
from embench.statistics.scores import compute_scores

ROOT = Path(__file__).parents[2]
PROTOCOL = "subject-independent-v4"


def main() -> None:
    """Write the table of changed answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--check", type=int, default=2, help="entries whose metric is computed again")
    chosen = parser.parse_args()
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    entries, checked = Counter[str](), Counter[str]()
    for folder in sorted((ROOT / "leaderboards").glob(f"*/{PROTOCOL}/*-*")):
        if not (folder / "predictions.npz").exists():
            continue
        record, board = read_record(folder), folder.parents[1].name
        entries[board] += 1
        if checked[board] < chosen.check:
            check(record)
            checked[board] += 1
        before, after = (answer_questions(run, record.scores) for run in (record.run, under_4(record.run)))
        for target in before:
            counts.update((board, target, *changed) for changed in changes(before[target], after[target]))
    rows = [[*key, str(count)] for key, count in sorted(counts.items())]
    sizes = ", ".join(f"{name} {count}" for name, count in entries.items())
    again = ", ".join(f"{name} {count}" for name, count in checked.items())
    lines = [
        "# Answers of published entries under scoring 4 beside scoring 3",
        "",
        f"Made by `python -m bench.small_studies.beside`. Entries with predictions: {sizes}.",
        f"Primary metric computed again: {again}.",
        "",
        table(["leaderboard", "target", "question", "scoring 3", "scoring 4", "entries"], rows),
        "",
        "All other answers are the same.",
    ]
    chosen.out.write_text("\n".join(lines) + "\n")


def under_4(run: Mapping[str, Any]) -> dict[str, Any]:
    """The content of run.yaml with the rules of scoring 4."""
    protocol = run["protocol"]
    return {**run, "protocol": {**protocol, "rules": {**protocol["rules"], "scoring": 4}}}


def changes(before: TargetAnswers, after: TargetAnswers) -> Iterator[tuple[str, str, str]]:
    """The questions whose answers differ, with both answers."""
    for question in dict.fromkeys(each.question for each in (*before.answers, *after.answers)):
        words = before.format_answer(question), after.format_answer(question)
        if words[0] != words[1]:
            yield question, *words


def check(record: Record) -> None:
    """Compute the primary metric again under scoring 4; it must be the recorded one."""
    protocol = load_protocol(PROTOCOL).model_copy(update={"scoring": 4})
    if record.labels is None:
        return
    cohort, rows = record.run["cohort"], record.predictions.own
    found = compute_scores(
        rows,
        record.labels,
        targets=recorded_targets(record),
        protocol=protocol,
        design=cohort["design"],
        groups=record.groups,
        unit_length_s=unit_length(rows["unit"]),
        sessions=record.sessions,
    )
    for target, metric in found.primary_metrics.items():
        recorded, again = (of.get_scores(target)[metric] for of in (record.scores, found))
        ends = np.array([[of.mean, of.low, of.high] for of in (recorded, again)], float)
        if not np.allclose(*ends, rtol=0, atol=1e-9, equal_nan=True):
            raise SystemExit(f"{record.run['id']}: {recorded} is recorded, but {again} follows")


if __name__ == "__main__":
    main()
