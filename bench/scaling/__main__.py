"""`python -m bench.scaling plan`, `real`, `page`: the figures of `bench/scaling.md`.

`plan` plans the grid and writes its stages, with seconds from what was run before, to `.embench/scaling`.
`real` runs a small grid with 1 and 2 workers. `page` simulates both, and writes the page and its `scaling.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.boards import RUNS
from bench.scaling import ROOT, WORK
from bench.scaling.figures import figures
from bench.scaling.grid import generate, plan_grid
from bench.scaling.page import insert
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs import run as runner

FIGURES, PAGE = ROOT / "bench" / "scaling.json", ROOT / "bench" / "scaling.md"


def run_small(data: Path, workers: int) -> dict[str, Any]:
    """A small grid, really run: how long its stages took, together and each."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        methods = (("single", (), "ecg"), ("single", ("masked_value",), "ecg"), ("late", (), "ecg,eeg"))
        asked = [
            Request("eegmat", ("cnn_tf",), fusion, before, which, recipe="small", seeds="0", device="cpu",
                    data_root=data, runs=Path(folder))
            for fusion, before, which in methods
        ]  # fmt: skip
        plans = [make(request) for request in asked]
        seen: list[tuple[str, float, Mapping[str, Any]]] = []
        done = runner.grid(
            asked, workers=workers, progress=lambda event: seen.append((event["event"], time.perf_counter(), event))
        )
        done.check()
        began = next(at for name, at, _ in seen if name == "plan")
        ended = [(at, event) for name, at, event in seen if name == "stage_ended"]
        took = {event["stage"]["id"]: float(event["figures"]["wall_seconds"]) for _, event in ended}
        inputs = {id_: list(s.inputs.values()) for plan in plans for id_, s in plan.graph.stages.items()}
    return {
        "workers": workers, "makespan_s": max(at for at, _ in ended) - began, "load_average": round(load, 1),
        "stages": {i: {"s": took[i], "inputs": inputs[i]} for i in inputs},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Figures of bench/scaling.md.")
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
