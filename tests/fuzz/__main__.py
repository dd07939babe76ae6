"""`python -m tests.fuzz 2000 [DATASET ..]`: so many mutations of each dataset; `--replay DATASET NUMBER`: one again."""

import argparse
import os
import sys
from pathlib import Path

from .harness import DATASETS, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="mutations of each dataset; with --replay the number of the one")
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help=", ".join(DATASETS))
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--replay", action="store_true", help="only mutation COUNT")
    parser.add_argument("--keep", type=Path, help="folder to keep damaged data in that were not read as they should be")
    arguments = parser.parse_args()
    failed = 0
    for name in arguments.datasets or DATASETS:
        first, count = (arguments.count, 1) if arguments.replay else (arguments.first, arguments.count)
        began = sum(os.times()[:4])
        result = fuzz(name, first, count, arguments.keep)
        print(f"{name}: {dict(result.outcomes)}, {sum(os.times()[:4]) - began:.0f} s of one core", flush=True)
        for failure in result.failures:
            print(f"  {failure}", flush=True)
        failed += len(result.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
