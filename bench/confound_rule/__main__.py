"""`python -m bench.confound_rule`: which rule answers "given the confounds?" in a small study (see plan.md).

Draws studies cell by cell and appends their counts to `--out`. Started again, it skips the draws that are in this file.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from bench.confound_rule import attacks
from bench.confound_rule.cells import ALL, BLOCK, DESIGNS, HEADER, METRIC_HEADER, append, done_blocks, run_block
from bench.confound_rule.tables import merge, page
from bench.confound_rule.worlds import confirmation_worlds, worlds_of

HERE = Path(__file__).parent
CELLS = ("D1:24", "D1:16", "D1:34", "D1:60", "D2:24", "D2:60")
SEED, CONFIRMATION_SEED = 1, 2
FEWEST_SUBJECTS = 10
"""Fewest subjects of a study whose primary metric can be estimated."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="DESIGN:SUBJECTS")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first draw")
    parser.add_argument("--asks", nargs="+", default=ALL, choices=ALL, help="some candidates only, to another --out")
    parser.add_argument("--worlds", nargs="+", default=[], help="some worlds only")
    parser.add_argument("--attacks", action="store_true", help="attacks in place of worlds, to another --out")
    parser.add_argument("--confirm", type=Path, metavar="FILE", help="worlds drawn from the seed in this file, once")
    parser.add_argument("--out", type=Path, default=HERE / "development.csv")
    parser.add_argument("--metrics", type=Path, default=HERE / "metrics.csv")
    parser.add_argument("--tables", type=Path, help="write the tables of --out to this page, and draw nothing")
    args = parser.parse_args()
    if args.tables:
        merge(args.out)
        args.tables.write_text(page(args.out.parent, args.out, args.metrics))
        return
    cells = [parsed(cell) for cell in args.cells]
    for cell in cells:
        draw_cell(*cell, args)


def parsed(cell: str) -> tuple[str, int]:
    """Design and number of subjects of a cell like `D1:24`."""
    design, _, size = cell.partition(":")
    if design not in DESIGNS or not size.isdigit() or int(size) < FEWEST_SUBJECTS:
        raise SystemExit(f"--cells {cell}: give a design of {', '.join(DESIGNS)} and at least {FEWEST_SUBJECTS} subjects, like D1:24")
    return design, int(size)


def draw_cell(design: str, subjects: int, args: argparse.Namespace) -> None:
    worlds, seed = worlds_of(design), SEED
    if args.confirm:
        worlds, seed = confirmation_worlds(secret_seed(args.confirm)), CONFIRMATION_SEED
    named = attacks.names() if args.attacks else args.worlds or list(worlds)
    done = done_blocks(args.out)
    for first in range(args.first, args.first + args.draws, BLOCK):
        missing = [world for world in named if (design, subjects, world, first) not in done]
        if not missing:
            continue
        began = time.process_time()
        results, metrics = run_block(
            design, subjects, worlds, first, BLOCK, seed, only=missing, asks=args.asks, attacked=args.attacks
        )
        if metrics:
            append(args.metrics, METRIC_HEADER, metrics)
        append(args.out, HEADER, results)
        print(f"{design}:{subjects}", first + BLOCK, f"{(time.process_time() - began) / BLOCK:.3f} CPU s a draw", flush=True)


def secret_seed(path: Path) -> int:
    """The seed of the confirmation worlds, which must be the one that the plan was tagged with."""
    if not path.is_file():
        raise SystemExit(f"--confirm {path}: there is no such file; give the file with the seed of the confirmation worlds")
    if hashlib.sha256(path.read_bytes()).hexdigest() not in (HERE / "plan.md").read_text():
        raise SystemExit(f"{path} is not the seed whose SHA-256 stands in plan.md")
    return int(path.read_text())


if __name__ == "__main__":
    main()
