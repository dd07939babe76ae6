"""`python -m bench.confound_rule`: which rule answers "given the confounds?" in a small study (see plan.md).

Draws studies cell by cell and appends their counts to `--out`; a second start goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bench.confound_rule.cells import BLOCK, HEADER, METRIC_HEADER, append, done_blocks, run_block
from bench.confound_rule.tables import merge, page
from bench.confound_rule.worlds import worlds_of

HERE = Path(__file__).parent
CELLS = ("D1:24", "D1:16", "D1:34", "D1:60", "D2:24", "D2:60")
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="DESIGN:SUBJECTS")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--attacks", action="store_true", help="attacks in place of worlds, to another --out")
    parser.add_argument("--first", type=int, default=0, help="the first draw")
    parser.add_argument("--out", type=Path, default=HERE / "development.csv")
    parser.add_argument("--metrics", type=Path, default=HERE / "metrics.csv")
    parser.add_argument("--tables", type=Path, help="write the tables of --out to this page, and draw nothing")
    args = parser.parse_args()
    if args.tables:
        merge(args.out)
        args.tables.write_text(page(args.out, args.metrics, args.out.with_name("attacks.csv")))
        return
    for cell in args.cells:
        design, subjects = cell.split(":")[0], int(cell.split(":")[1])
        for first in range(args.first, args.first + args.draws, BLOCK):
            if (design, subjects, first) in done_blocks(args.out):
                continue
            began = time.process_time()
            results, metrics = run_block(design, subjects, worlds_of(design), first, BLOCK, SEED, attacked=args.attacks)
            if metrics:
                append(args.metrics, METRIC_HEADER, metrics)
            append(args.out, HEADER, results)
            print(cell, first + BLOCK, f"{(time.process_time() - began) / BLOCK:.3f} CPU s a draw", flush=True)


if __name__ == "__main__":
    main()
