"""`python -m tests.own_cases 300`: so many mutated studies of one's own; `--seed N`: that one again."""

import argparse
import os
import sys
import warnings
from pathlib import Path

from .fuzz import Outcome, counted, fuzz

KEPT = Path(".embench/fuzz-own")
"""Where studies that were taken wrongly lie, under their seeds."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--seed", type=int, help="only this one, which is kept")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for those that were taken wrongly")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(given.first, given.first + given.count) if given.seed is None else range(given.seed, given.seed + 1)
    found, began = list[Outcome](), sum(os.times()[:4])
    for outcome in fuzz(seeds, given.keep):
        found.append(outcome)
        if outcome.fault or given.seed is not None:
            print(f"SEED={outcome.seed} {outcome.how}: {outcome.done}\n    {outcome.fault}", flush=True)
    wrong = sum(o.fault is not None for o in found)
    print(f"{len(found)} studies: {counted(found)}, {wrong} taken wrongly, {sum(os.times()[:4]) - began:.0f} CPU s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
