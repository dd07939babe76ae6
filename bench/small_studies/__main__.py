"""`python -m bench.small_studies`: run the studies of plan.md end to end, and keep the answers in `results.json`.

A study that is there already is not run again. `--part 0/2` runs every second study, for two processes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import embench
from bench.small_studies.draw import KINDS, write_study
from embench.system import locked

RESULTS = Path(__file__).with_name("results.json")
DRAWS = {"effect": 20, "none": 20, "film": 10, "habituation": 10, "carry_over": 10}


def main() -> None:
    """Run the studies that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--designs", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    part, parts = map(int, chosen.part.split("/"))
    results = chosen.results.resolve()
    wanted = [
        (design, kind, number)
        for design in chosen.designs
        for number in range(max(DRAWS.values()))
        for kind in KINDS[design]
        if number < DRAWS[kind]
    ]
    for k, (design, kind, number) in enumerate(wanted):
        name = f"{design} {kind} {number}"
        if k % parts == part and name not in _read(results):
            found = _run(design, kind, number)
            with locked(results.with_suffix(".lock")):
                results.write_text(json.dumps(_read(results) | {name: found}, indent=1, sort_keys=True) + "\n")
            print(name, found["chance"]["answer"], found["movement"]["answer"], flush=True)


def _run(design: str, kind: str, number: int) -> dict[str, Any]:
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="small-study-") as folder:
        os.chdir(folder)
        try:
            auroc = write_study(Path("study"), design, kind, number)
            run = embench.run(
                dataset="./study",
                encoder="handcrafted",
                fusion="logreg",
                modalities="eda",
                protocol="subject-independent-v4",
                partitions="balanced",
                runs="runs",
                workers=1,
                progress=False,
            )
        finally:
            os.chdir(home)
    [answers] = run.answers.values()
    given: dict[str, Any] = {
        question: {
            "answer": answers.format_answer(question),
            "evidence": each.evidence if (each := answers.find_answer(question)) else "",
        }
        for question in ("chance", "movement")
    }
    return given | {"auroc": round(auroc, 3), "problem": answers.problem.reason if answers.problem else ""}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


if __name__ == "__main__":
    main()
