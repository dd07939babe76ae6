"""`python -m tests.mutants`: plants each fault of the lists in a copy of the project, and tells which test catches it.

`map` first records which tests run which lines (a run of the tests under coverage); `run` then gives each fault to the
tests that run its line, the quickest first, and ends with 1 where a fault survives that `caught.yaml` says is caught.
`run --record` writes `caught.yaml`; `draw` writes `drawn.yaml` anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import yaml

from .faults import HERE, ROOT, Fault, draw, load

WORK = ROOT / ".embench" / "mutants"
CAUGHT = HERE / "caught.yaml"
COPIED = ("benchmark", "plugins", "tests", "docs", "bench", "examples", "leaderboards", ".github", "Dockerfile",
          ".dockerignore", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile",
          "pyproject.toml", "constraints.txt", "requirements-score.txt", "requirements-docs.txt", "mkdocs.yml",
          "registry.yaml")  # fmt: skip
FIRST = 60
"""So many of the quickest tests go before the others: most faults fall there."""
MOST_S, LIMIT_S = 300.0, 1800.0
"""Tests of so many seconds are run of all that run a fault's line; where they take so long, they hang."""
WORKERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_map = commands.add_parser("map", help="record which tests run which lines")
    of_map.add_argument("-m", dest="marks", default="", help="only tests with these marks")
    of_run = commands.add_parser("run", help="plant the faults")
    of_run.add_argument("names", nargs="*", help="only these faults")
    of_run.add_argument("--record", action="store_true", help="write what is caught to caught.yaml")
    of_draw = commands.add_parser("draw", help="choose the faults of drawn.yaml")
    of_draw.add_argument("--count", type=int, default=40)
    of_draw.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "map":
        return record_lines(arguments.marks)
    if arguments.command == "draw":
        rows = [vars(fault) for fault in draw(arguments.count, arguments.seed)]
        (HERE / "drawn.yaml").write_text(yaml.dump(rows, sort_keys=False, width=1000), encoding="utf-8")
        return 0
    return run(arguments.names, record=arguments.record)


def run(names: Sequence[str], *, record: bool) -> int:
    """Plants the faults one by one; 1 where one survives that was caught before."""
    known = yaml.safe_load(CAUGHT.read_text(encoding="utf-8")) if CAUGHT.exists() else {}
    planted = [fault for fault in load() if not names or fault.name in names]
    found = {}
    with ThreadPoolExecutor(WORKERS) as workers:
        for fault, (test, seconds) in zip(planted, workers.map(_timed, planted), strict=True):
            print(f"{fault.name}: {test or 'SURVIVES'} ({seconds:.0f} s)", flush=True)
            found[fault.name] = test
            if record:
                CAUGHT.write_text(yaml.dump({**known, **found}, width=1000), encoding="utf-8")
    lost = [name for name, test in found.items() if test is None and known.get(name)]
    print(f"{sum(test is None for test in found.values())} of {len(found)} survive; lost: {', '.join(lost) or 'none'}")
    return 1 if lost else 0


def _timed(fault: Fault) -> tuple[str | None, float]:
    began = time.monotonic()
    return catches(fault), time.monotonic() - began


def catches(fault: Fault, tests: Sequence[str] | None = None) -> str | None:
    """The first test that fails with the fault; None where all of those that run its line pass.

    Args:
        tests: those to run; by default those that run the line, by the record of `map`.
    """
    chosen = list(tests if tests is not None else tests_of(fault))
    with copy() as root:
        fault.plant(root)
        for some in (chosen[:FIRST], chosen[FIRST:]):
            if some and (found := first_failure(root, some)):
                return found
    return None


def first_failure(root: Path, tests: Sequence[str]) -> str | None:
    """The first of the tests that fails in the copy of the project."""
    listed = root / "tests.txt"
    listed.write_text("\n".join(tests).replace(str(ROOT), str(root)), encoding="utf-8")  # ids may hold paths
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-n", "0",
               "--basetemp", str(root / "temporary"), f"@{listed}"]  # fmt: skip
    paths = os.pathsep.join([str(root / "benchmark"), str(root / "plugins")])
    try:
        done = subprocess.run(
            command, cwd=root, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "took too long"
    if done.returncode == 0:
        return None
    if "while loading conftest" in done.stderr:
        return "tests/conftest.py"
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if failed:
        return failed[0].split(" ", 1)[1]
    gone = [line for line in done.stderr.splitlines() if line.startswith("ERROR: not found: ")]
    if gone:  # a case that the registry lists no longer
        return gone[0].rpartition(f"{root}/")[2]
    raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


class copy(TemporaryDirectory[str]):  # noqa: N801  a context manager
    """A copy of the project to damage."""

    def __enter__(self) -> Path:  # type: ignore[override]
        root = Path(super().__enter__())
        ignore = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=ignore, symlinks=True)
            else:
                shutil.copy2(ROOT / name, root / name)
        return root


def record_lines(marks: str) -> int:
    """Runs the tests under coverage; leaves the record and each test's time in `.embench/mutants`."""
    WORK.mkdir(parents=True, exist_ok=True)
    config = WORK / "coverage.ini"
    config.write_text(
        f"[run]\nsource = {ROOT / 'benchmark'}\n    {ROOT / 'plugins'}\ndata_file = {WORK / 'lines'}\n", "utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-m", marks, "-n", str(WORKERS), "-q", "--cov", f"--cov-config={config}",
               "--cov-context=test", "--cov-report=", f"--junit-xml={WORK / 'times.xml'}"]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode


def tests_of(fault: Fault) -> list[str]:
    """The tests that run a fault's lines, the quickest first, as far as `MOST_S` goes. Where a fixture ran them, all
    tests of its file count, since the record has only the first test of each such fixture.
    """
    from coverage import CoverageData

    data = CoverageData(str(WORK / "lines"))
    data.read()
    contexts = data.contexts_by_lineno(str(ROOT / fault.file))
    first = fault.line()
    found = {c for line in range(first, first + fault.old.count("\n") + 1) for c in contexts.get(line, ()) if c}
    took = dict(_times())
    direct = {c.rpartition("|")[0] for c in found if c.endswith("|run")}
    shared = {c.partition("::")[0] for c in found if not c.endswith("|run")}
    if not found:  # lines that run when a module is imported: the tests of its folder
        direct = {test for test in took if f"/{Path(fault.file).parts[2]}/" in test}
    ordered = sorted(direct & set(took), key=took.__getitem__)
    ordered += sorted((t for t in took if t.partition("::")[0] in shared and t not in direct), key=took.__getitem__)
    until = list(accumulate(took[test] for test in ordered))
    return ordered[: bisect(until, MOST_S)]


def _times() -> Iterator[tuple[str, float]]:
    """Each test's id and seconds."""
    files: dict[str, str] = defaultdict(str)
    for path in (ROOT / "tests").rglob("test_*.py"):
        files[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path.relative_to(ROOT).as_posix()
    for case in ET.parse(WORK / "times.xml").iter("testcase"):
        owner, classes = case.get("classname", ""), list[str]()
        while owner and owner not in files:
            owner, _, last = owner.rpartition(".")
            classes.insert(0, last)
        yield "::".join([files[owner], *classes, case.get("name", "")]), float(case.get("time", 0))


if __name__ == "__main__":
    sys.exit(main())
