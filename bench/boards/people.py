"""Scores of the best rows by groups of subjects: the table of `docs/why/intended-use.md`.

    python -m bench.boards.people --data-root DIR

writes it, from published entries and what the datasets record of their subjects. On each board whose dataset records
something, the best row on features and the best network are taken; see `embench.report.people`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from bench.boards.published import Board, best_first, is_features, name_of, shown, standing, table
from bench.boards.tables import BEGIN, DOCS, END
from embench.data.find import prepared
from embench.errors import EmbenchError
from embench.leaderboard.entries import LeaderboardEntry
from embench.protocols import recorded_protocol
from embench.records.record import read_record
from embench.report.facts import RunFacts
from embench.report.people import group_scores
from embench.statistics.common import recorded_target
from embench.statistics.intervals import Estimate

PAGE = DOCS / "why" / "intended-use.md"
HEADS = ("board", "row", "of", "one group, subjects: `auroc_within`", "the other", "difference")


def rows(data_root: Path) -> Iterator[list[str]]:
    """The lines of the table: board, row, what divides the subjects, the score within a subject of both groups, and
    the difference."""
    for board in standing():
        ranked = [entry for entry, _ in best_first(board)]
        chosen = ranked[:1] + [entry for entry in ranked[1:] if is_features(entry) != is_features(ranked[0])][:1]
        for entry in chosen:
            yield from _of_row(board, entry, data_root)


def _of_row(board: Board, entry: LeaderboardEntry, data_root: Path) -> Iterator[list[str]]:
    record = read_record(entry.folder)
    rules = recorded_protocol(record.manifest.protocol.content())
    if record.labels is None or rules is None:
        return
    store = prepared(record.manifest.dataset.name, data_root, rules)
    target = recorded_target(record, board.target)
    found = group_scores(RunFacts(record, entry.folder, store), target, store.subjects)
    inside = [one for one in found if one.metric == target.traits.within and isinstance(one.score, Estimate)]
    for fact, same in groupby(inside, lambda one: one.fact):
        two = [f"{one.group}, {one.subjects}: {shown(one.score)}" for one in same if not one.is_difference]
        gaps = [shown(one.score, "+.3f") for one in inside if one.fact == fact and one.is_difference]
        if gaps:
            yield [board.title, name_of(entry), fact.replace("_", " "), *two, *gaps]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    try:
        made = table(HEADS, list(rows(parser.parse_args().data_root)))
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    begin = BEGIN.format("people")
    before, rest = PAGE.read_text("utf-8").split(begin)
    PAGE.write_text(f"{before}{begin}\n\n{made}\n\n{END}{rest.split(END, 1)[1]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
