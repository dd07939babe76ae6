"""`python -m bench.scaling plan`, `real`, `page`: the figures of `docs/inside/scaling.md`.

`plan` plans the grid and writes its stages, with seconds from what was run before, to `.embench/scaling`.
`real` runs a small grid with 1 and 2 workers. `page` simulates both, and writes the page and its `scaling.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.boards import RUNS
from bench.scaling import ROOT, WORK
from bench.scaling.figures import figures
from bench.scaling.grid import generate, plan_grid
from bench.scaling.page import insert
from bench.scaling.small import run_small

FIGURES, PAGE = ROOT / "docs" / "inside" / "scaling.json", ROOT / "docs" / "inside" / "scaling.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Figures of docs/inside/scaling.md.")
    parser.add_argument("step", choices=("plan", "real", "page"))
    parser.add_argument("--data", type=Path, help="folder of the real recordings; for plan and real")
    parser.add_argument(
        "--measured", type=Path, default=RUNS / "stages", help="finished stages of estimators; for plan"
    )
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if arguments.step == "plan":
        generate(WORK / "data", arguments.data)
        for planned in plan_grid(WORK / "data", arguments.measured):
            (WORK / "grid.json").write_text(json.dumps(planned))
    elif arguments.step == "real":
        found = []
        for workers in (1, 2) * 3:
            found.append(run_small(arguments.data, workers))
            print(workers, f"{found[-1]['makespan_s']:.1f} s", flush=True)
            (WORK / "real.json").write_text(json.dumps(found))
    else:
        shown = figures(*(json.loads((WORK / name).read_text()) for name in ("grid.json", "real.json")))
        FIGURES.write_text(json.dumps(shown, indent=1) + "\n")
        PAGE.write_text(insert(PAGE.read_text(), shown))


if __name__ == "__main__":
    main()
