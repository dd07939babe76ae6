"""`make bench`: embench beside what users would take instead, and beside what is possible at best.

    python -m bench.speed [TOPIC ...]

All topics together fill the table of `bench/performance.md` and its `performance.json`; chosen ones go to
`.embench/bench`. Ratios come from pairs measured in turns; figures are medians of the turns. A topic that fails stops
no other, and the command then ends with 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.speed import machine, page
from bench.speed.measure import Setting, measured
from bench.speed.peer import Peer

TOPICS = (
    *("first", "startup", "preparing", "loading", "entropy", "steps", "encoders", "videomae", "running", "workers"),
    *("scoring", "growth", "video"),
)


def run(topic: str, tiny: bool, peer: Path) -> dict[str, Any]:
    print(f"{topic} ...", end=" ", flush=True, file=sys.stderr)
    busy, began = machine.others(), time.monotonic()
    found: dict[str, Any] = {"name": topic, "about": "", "error": "", "rows": []}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            about, rows = pool.submit(measured, topic, Setting(Path(folder), tiny, peer)).result()
            found |= {"about": about, "rows": [{"topic": topic, **asdict(row)} for row in rows]}
        except Exception as error:  # noqa: BLE001  # whatever a topic meets, the others are measured
            found["error"] = f"{type(error).__name__}: {error}"
    found |= {"seconds": time.monotonic() - began, "others_percent": busy}
    print(f"{found['seconds']:.0f} s", found["error"], file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="Measure, and write table and JSON.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"one of {', '.join(TOPICS)}; default: all")
    parser.add_argument(
        "--tiny", action="store_true", help="few turns on little data: tries the scripts, measures nothing"
    )
    parser.add_argument("--out", type=Path, help="folder of performance.json, and of performance.md if it is there")
    arguments = parser.parse_args()
    if unknown := set(arguments.topics) - set(TOPICS):
        parser.error(f"no topic {', '.join(sorted(unknown))}; there are {', '.join(TOPICS)}")
    whole = not arguments.topics and not arguments.tiny
    out = arguments.out or (ROOT / "bench" if whole else ROOT / ".embench" / "bench")
    about, python = machine.about(), ROOT / ".venv-peer" / "bin" / "python"
    with Peer(python) as peer:
        about["peer"], missing = peer.told, peer.missing
    began = time.monotonic()
    topics = [run(topic, arguments.tiny, python) for topic in arguments.topics or TOPICS]
    warnings = [missing] if missing else []
    if arguments.tiny:
        warnings.append("sizes are tiny, and the figures mean nothing")
    if busy := [f"{t['name']} {t['others_percent']:.0f} %" for t in topics if t["others_percent"] > machine.BUSY]:
        warnings.append(f"the machine was not idle; other programs had of its processors before {', '.join(busy)}")
    found = {"machine": about, "warnings": warnings, "seconds": time.monotonic() - began, "topics": topics}
    out.mkdir(parents=True, exist_ok=True)
    (out / "performance.json").write_text(json.dumps(found, indent=1) + "\n")
    page.write(out, found)
    print(page.table(found))
    print(f"\nwritten to {out}", file=sys.stderr)
    return int(any(topic["error"] for topic in topics))


if __name__ == "__main__":
    sys.exit(main())
