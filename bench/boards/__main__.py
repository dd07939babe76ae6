"""`make board`: the boards of real recordings, from the raw files to the tables below `leaderboards/`.

Every group of runs is audited and published as soon as it is done, so an interrupted call leaves a smaller board, not a
broken one. The same command continues where the last one stopped: finished stages are reused, and a finished run is not
scored again, so that its test labels are opened once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.boards import BOARDS, RUNS
from bench.boards.rows import GROUPS, MORE, Row
from embench import audits, leaderboard
from embench.cli.progress import Progress, format_duration
from embench.data.find import raw_digest_of
from embench.errors import CheckFailed, EmbenchError
from embench.leaderboard.export import board_name
from embench.planning.plan import Plan
from embench.records.audit import AUDIT_FILE
from embench.records.record import RUN_FILE, read_manifest
from embench.runs import run as runner
from embench.snapshot import snapshot


def planned(row: Row, data_root: Path | None, workers: int | None = None) -> Plan:
    """The plan of a row. Raises CheckFailed where its data are synthetic."""
    plan = runner.plan(row.request(data_root=data_root, runs=RUNS, workers=workers))
    if plan.test.store.synthetic is not None:
        raise CheckFailed(
            "a leaderboard holds real recordings only, and these data are synthetic",
            where=f"{row.dataset} in {data_root or 'the default folder'}",
        )
    return plan


def finished(plan: Plan) -> bool:
    return (plan.folder / RUN_FILE).is_file()


def run_group(plans: Sequence[Plan], data_root: Path | None) -> dict[str, EmbenchError]:
    """Runs what is not there yet, then audits and publishes the group; why runs are missing."""
    failures: dict[str, EmbenchError] = {}
    todo = [plan.request for plan in plans if not finished(plan)]
    with Progress() as progress:
        if todo:
            failures = dict(runner.grid(todo, progress=progress.event).failures)
        done = [plan.folder for plan in plans if finished(plan)]
        for folder in done:
            if not (folder / AUDIT_FILE).is_file():
                audits.audit_run(folder, data_root=data_root, progress=progress.event)
    _, refused = leaderboard.publish_runs(done, BOARDS, lambda dataset: raw_digest_of(dataset, data_root))
    leaderboard.build_leaderboards(BOARDS)
    return failures | {folder.name: CheckFailed("; ".join(reasons)) for folder, reasons in refused.items()}


def drop_others(plans: Sequence[Plan]) -> None:
    """Removes the entries of these boards that no row makes: a board is of one version."""
    made = {plan.id for plan in plans}
    for board in {(BOARDS / board_name(plan.dataset) / plan.protocol.name) for plan in plans}:
        for folder in board.glob("*/"):
            if folder.name not in made:
                shutil.rmtree(folder)
    leaderboard.build_leaderboards(BOARDS)


def show(groups: Mapping[str, Sequence[Row]], data_root: Path | None) -> None:
    """Each row, whether it is done, and its hours on one core: those that it took, else those of the plan's forecast,
    which excludes features and estimators."""
    for name, rows in groups.items():
        print(name)
        with snapshot():
            plans = [planned(row, data_root, workers=1) for row in rows]
        for row, plan in zip(rows, plans, strict=True):
            if finished(plan):
                hours = f"{read_manifest(plan.folder).cost.wall_s / 3600:5.2f} h, done    "
            else:
                hours = f"{plan.describe()['expected_s'] / 3600:5.2f} h, expected"
            print(f"    {hours} {row.title}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.boards", description="Run the boards of real recordings and publish them."
    )
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    parser.add_argument("--only", choices=list(GROUPS), action="append", metavar="GROUP", help="may be repeated")
    parser.add_argument("--more", action="store_true", help="also the groups that take hours")
    parser.add_argument("--finished", action="store_true", help="run nothing: publish what is finished")
    parser.add_argument("--list", action="store_true", help="print the rows with their hours, and do nothing")
    arguments = parser.parse_args()
    chosen = arguments.only or [name for name in GROUPS if arguments.more or name not in MORE]
    groups = {name: GROUPS[name] for name in chosen}
    failures: dict[str, EmbenchError] = {}
    plans: dict[str, list[Plan]] = {}
    try:
        if arguments.list:
            show(groups, arguments.data_root)
            return 0
        for name, rows in groups.items():
            began = time.monotonic()
            with snapshot():
                plans[name] = [planned(row, arguments.data_root) for row in rows]
            wanted = [plan for plan in plans[name] if finished(plan) or not arguments.finished]
            print(f"{name}: {len(wanted)} runs", flush=True)
            failures |= run_group(wanted, arguments.data_root)
            print(f"{name}: done in {format_duration(time.monotonic() - began)}", flush=True)
        if not arguments.only:
            others = [planned(row, arguments.data_root) for name in GROUPS if name not in plans for row in GROUPS[name]]
            drop_others([*others, *(plan for group in plans.values() for plan in group)])
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    for title, failure in failures.items():
        print(f"missing: {title}: {failure}", file=sys.stderr)
    return 6 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
