"""`python -m bench.own_study`: run the forty draws, one after the other, and keep the answers in `results.json`.

A draw that is there already is not run again. `--part 0/2` runs every second draw, for two processes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embench
from bench.own_study.draw import KINDS, Kind, write_draw
from embench.system import locked

N_DRAWS = 10
SENSORS = ("eda", "temp")
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run the draws that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    part, parts = map(int, chosen.part.split("/"))
    seeds = tuple(map(int, chosen.seeds.split(",")))
    results = chosen.results.resolve()
    for k, (number, kind) in enumerate((number, kind) for number in range(N_DRAWS) for kind in KINDS):
        name = f"{kind}-{number}"
        if k % parts == part and name not in _read(results):
            found = _run(kind, number, seeds)
            _add(results, name, found)
            print(name, {sensor: found[sensor]["movement"]["answer"] for sensor in SENSORS}, flush=True)


def _run(kind: Kind, number: int, seeds: Sequence[int]) -> dict[str, Any]:
    began, home = time.process_time(), Path.cwd()
    with tempfile.TemporaryDirectory(prefix="own-study-") as folder:
        os.chdir(folder)
        try:
            study = Path(f"{kind}{number}")
            found: dict[str, Any] = {"seeds": list(seeds), "true_r": round(write_draw(study, kind, number), 3)}
            for sensor in SENSORS:
                found[sensor] = _answers(f"./{study}", sensor, seeds)
        finally:
            os.chdir(home)
    return found | {"cpu_s": round(time.process_time() - began)}


def _answers(dataset: str, sensor: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Question -> the answer and its evidence, or what the screen says in their place."""
    run = embench.run(
        dataset=dataset, encoder="handcrafted", fusion="ridge", modalities=sensor, seeds=seeds, runs="runs", workers=1
    )
    answers = run.answers["Erregung"]
    given: dict[str, Any] = {
        name: {
            "answer": answers.format_answer(name),
            "evidence": each.evidence if (each := answers.find_answer(name)) else "",
        }
        for name in ("chance", "movement", "protocol_phase")
    }
    return given | {"problem": answers.problem.reason if answers.problem else ""}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _add(path: Path, name: str, found: dict[str, Any]) -> None:
    """Add a draw to the file, which other processes write as well."""
    with locked(path.with_suffix(".lock")):
        path.write_text(json.dumps(_read(path) | {name: found}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
