"""A small grid, really run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embench.planning.request import Request
from embench.runs import run as runner


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
        plans = [runner.plan(request) for request in asked]
        seen: list[tuple[str, float, Mapping[str, Any]]] = []
        done = runner.grid(
            asked, workers=workers, progress=lambda event: seen.append((event["event"], time.perf_counter(), event))
        )
        done.check()
        began = next(at for name, at, _ in seen if name == "plan")
        ended = [(at, event) for name, at, event in seen if name == "stage_ended"]
        took = {event["stage"]["id"]: float(event["figures"]["wall_s"]) for _, event in ended}
        inputs = {id_: list(s.inputs.values()) for plan in plans for id_, s in plan.graph.stages.items()}
    return {
        "workers": workers, "makespan_s": max(at for at, _ in ended) - began, "load_average": round(load, 1),
        "stages": {i: {"s": took[i], "inputs": inputs[i]} for i in inputs},
    }  # fmt: skip
