"""`make board`: the boards of real recordings, from the raw files to the tables below `leaderboards/`.

Every group of runs is audited and published as soon as it is done, so an interrupted call leaves a smaller board, not a
broken one. The same command continues where the last one stopped: finished stages are reused, and a finished run is not
scored again, so that its test labels are opened once.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.boards import BOARDS, RUNS
from bench.boards.forecast import expected
from bench.boards.published import asked, published, question
from bench.boards.rescored import rescore
from bench.boards.rows import BEFORE, GROUPS, MORE, RESCORED, Row
from embench import audits, leaderboard
from embench.cli.progress import Progress, format_duration
from embench.data.find import raw_digest_of
from embench.errors import CheckFailed, EmbenchError
from embench.leaderboard.entries import load_entries
from embench.planning.plan import Plan
from embench.records.audit import AUDIT_FILE
from embench.records.record import RUN_FILE
from embench.records.superseded import Superseded, write_superseded
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


def run_group(rows: Mapping[Row, Plan], data_root: Path | None) -> dict[str, EmbenchError]:
    """Runs or scores again what is not there yet, then audits and publishes the group; why runs are missing."""
    failures: dict[str, EmbenchError] = {}
    plans, todo = list(rows.values()), {row: plan for row, plan in rows.items() if not finished(plan)}
    with Progress() as progress:
        for row in [row for row in todo if row in RESCORED]:
            if entry := published().get(question(vars(row._replace(protocol=BEFORE).request()))):
                rescore(todo.pop(row), entry.folder, progress.event)
        if todo:
            failures = dict(runner.grid([plan.request for plan in todo.values()], progress=progress.event).failures)
        done = [plan.folder for plan in plans if finished(plan)]
        for folder in done:
            if not (folder / AUDIT_FILE).is_file():
                audits.audit_run(folder, data_root=data_root, progress=progress.event)
    _, refused = leaderboard.publish_runs(done, BOARDS, lambda dataset: raw_digest_of(dataset, data_root))
    supersede(rows)
    leaderboard.build_leaderboards(BOARDS)
    return failures | {folder.name: CheckFailed("; ".join(reasons)) for folder, reasons in refused.items()}


def supersede(rows: Mapping[Row, Plan]) -> None:
    """Marks the entries that answered a row's question before, with fewer subjects, as superseded by the row's own."""
    made = {question(vars(row.request())): plan for row, plan in rows.items() if finished(plan)}
    for entry in load_entries(BOARDS):
        plan = made.get(asked(entry.run))
        if plan is not None and plan.id != entry.run.id and entry.superseded is None:
            subjects = f"it has {entry.run.cohort.size} subjects, the new entry {len(plan.test.subjects)}"
            write_superseded(entry.folder, Superseded(by=plan.id, why=subjects, on=dt.datetime.now(dt.UTC).date()))


def show(groups: Mapping[str, Sequence[Row]], data_root: Path | None) -> None:
    """Prints each missing row with the hours that this machine will take, and those of each group."""
    for name, rows in groups.items():
        with snapshot():
            plans = {row: planned(row, data_root) for row in rows}
        todo = {row: plan for row, plan in plans.items() if not finished(plan)}
        seconds = dict(expected(todo))
        print(f"{name}: {len(rows) - len(todo)} of {len(rows)} rows done, {sum(seconds.values()) / 3600:.2f} h to go")
        for row, expected_s in seconds.items():
            print(f"    {expected_s / 3600:5.2f} h {row.title}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.boards", description="Run the boards of real recordings and publish them."
    )
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    parser.add_argument("--only", choices=list(GROUPS), action="append", metavar="GROUP", help="may be repeated")
    parser.add_argument("--more", action="store_true", help="also the groups that take hours")
    parser.add_argument("--finished", action="store_true", help="run nothing: publish what is finished")
    parser.add_argument("--list", action="store_true", help="print the rows to do with their hours, and do nothing")
    arguments = parser.parse_args()
    chosen = arguments.only or [name for name in GROUPS if arguments.more or name not in MORE]
    groups = {name: GROUPS[name] for name in chosen}
    failures: dict[str, EmbenchError] = {}
    try:
        if arguments.list:
            show(groups, arguments.data_root)
            return 0
        for name, rows in groups.items():
            began = time.monotonic()
            with snapshot():
                plans = {row: planned(row, arguments.data_root) for row in rows}
            wanted = {row: plan for row, plan in plans.items() if finished(plan) or not arguments.finished}
            print(f"{name}: {len(wanted)} runs", flush=True)
            failures |= run_group(wanted, arguments.data_root)
            print(f"{name}: done in {format_duration(time.monotonic() - began)}", flush=True)
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    for title, failure in failures.items():
        print(f"missing: {title}: {failure}", file=sys.stderr)
    return 6 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
