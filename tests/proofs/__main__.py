"""`python -m tests.proofs NAME [PART ..]` runs a long proof in parts. A part that has passed at this commit is skipped,
so that a proof goes on where it was interrupted, and several of these processes share the work. `--list` shows what was
run.

Of each part `.embench/proofs/NAME/PART.json` holds commit, date, seconds, result and the end of its output, which the
file `.log` beside it holds whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from embench.system import locked

from .parts import PROOFS

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".embench" / "proofs"
END = 2000
"""So many characters of a part's output are kept with its result."""


def main(line: Sequence[str] | None = None, proofs: Mapping[str, Mapping[str, Sequence[str]]] = PROOFS) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("name", choices=proofs, nargs="?", help="which proof; by default all")
    parser.add_argument("parts", nargs="*", help="only these parts")
    parser.add_argument("--list", action="store_true", help="show the parts and when they were run last")
    chosen = parser.parse_args(line)
    names = [chosen.name] if chosen.name else list(proofs)
    if unknown := set(chosen.parts).difference(*(proofs[name] for name in names)):
        parser.error(f"no part of {chosen.name}: {', '.join(sorted(unknown))}")
    wanted = [(name, part) for name in names for part in proofs[name] if part in (chosen.parts or proofs[name])]
    if chosen.list:
        print(_table(wanted))
        return 0
    commit, passed = _commit(), dict[tuple[str, str], bool]()
    for wait in (False, True):  # what another process runs comes last
        for name, part in wanted:
            if (name, part) not in passed and (found := run(name, part, proofs[name][part], commit, wait)) is not None:
                passed[name, part] = found
    return 0 if all(passed.values()) else 1


def run(name: str, part: str, command: Sequence[str], commit: str, wait: bool) -> bool | None:
    """Whether a part passes, or has passed at this commit; None where another process runs it, unless this one is to
    wait for that."""
    path = _path(name, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), wait=wait) as held:
        if not held:
            return None
        row = _read(path)
        if (row.get("commit"), row.get("result")) == (commit, "passed"):
            return True
        date, began, before = datetime.now().astimezone(), time.monotonic(), os.times()
        environment = {**os.environ, "EMBENCH_WHOLE_PROOFS": "1", "OMP_NUM_THREADS": "1"}
        with path.with_suffix(".log").open("w+", encoding="utf-8", errors="replace") as log:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
            log.seek(0)
            end = log.read().strip()[-END:]
        took = os.times()
        row = {
            "commit": commit, "date": date.isoformat(timespec="minutes"),
            "cpu_s": round(took.children_user + took.children_system - before.children_user - before.children_system),
            "wall_s": round(time.monotonic() - began), "result": "failed" if done.returncode else "passed", "end": end,
        }  # fmt: skip
        path.write_text(json.dumps(row, indent=1), encoding="utf-8")
        print(f"{name}, {part}: {row['result']}, {row['cpu_s']} CPU s: {_last_line(row)}", flush=True)
        return not done.returncode


def _commit() -> str:
    """The current commit, or where files differ from it, that and the time: two such states may differ from each other,
    so that nothing has passed at this one."""
    head, changes = (
        subprocess.run(["git", *line], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        for line in (["rev-parse", "HEAD"], ["status", "--porcelain"])
    )
    return f"{head} with changes at {time.time():.0f}" if changes else head


def _read(path: Path) -> dict[str, Any]:
    """What is known of a part's last run; nothing where there was none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _path(name: str, part: str) -> Path:
    return WORK / name / f"{part.replace('/', '-')}.json"


def _table(wanted: Sequence[tuple[str, str]]) -> str:
    rows = []
    for name, part in wanted:
        row = _read(_path(name, part))
        told = [row[key] for key in ("date", "cpu_s", "wall_s", "result")] if row else ["not run"]
        rows.append([name, part, row.get("commit", "")[:8], *told, *([_last_line(row)] if row else [])])
    return tabulate(rows, ["proof", "part", "commit", "date", "CPU s", "wall s", "result", "last line"], "github")


def _last_line(row: Mapping[str, Any]) -> str:
    return row["end"].rpartition("\n")[2].strip("= ")


if __name__ == "__main__":
    sys.exit(main())
