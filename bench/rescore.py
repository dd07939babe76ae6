"""Scores the entries of `leaderboards/` again from their own predictions and labels: `python bench/rescore.py`.

For when scores are computed in another way (`embench.statistics.SCORING_REVISION`), or the format of entries changes.
Nothing is trained and no further test label is opened. Audits, which are of the old scores, are removed: `embench
audit` makes them again. Entries of superseded protocols keep their scores and audits, and so do sealed ones, which have
to be run again.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from embench import leaderboard, protocols
from embench.leaderboard.export import rewrite_entry, write_summands
from embench.leaderboard.recompute import recomputed_scores
from embench.records import record
from embench.statistics import evaluation

BOARDS = Path(__file__).resolve().parents[1] / "leaderboards"


def rescore(folder: Path) -> list[str]:
    """Writes the entry's scores again; the means that differ from the old ones."""
    known = record.read_record(folder)
    scores = recomputed_scores(known)
    scored = replace(known, run={**known.run, "scoring": evaluation.scoring_identity()}, scores=scores)
    rewrite_entry(folder, scored)
    write_summands(folder, scored)
    (folder / "audit.json").unlink(missing_ok=True)
    return [
        f"{target} {metric}: {old.mean} is {new.mean}"
        for target in known.scores.headlines
        for metric, old in known.scores.of(target).items()
        if (new := scores.of(target)[metric]).defined and not abs(old.mean - new.mean) <= 1e-9
    ]


def main() -> int:
    argparse.ArgumentParser(description="Score the entries of leaderboards/ again.").parse_args()
    differ = {}
    for entry in [path.parent for path in sorted(BOARDS.glob("*/*/*/run.yaml"))]:
        known = record.read_record(entry)
        if protocols.superseded_by(entry.parent.name) or known.labels is None:
            rewrite_entry(entry, known)
        else:
            differ[entry.name] = rescore(entry)
    leaderboard.build_leaderboards(BOARDS)
    for name, means in differ.items():
        print(f"{name}: {'; '.join(means) or 'the same means'}")
    return int(any(differ.values()))


if __name__ == "__main__":
    sys.exit(main())
