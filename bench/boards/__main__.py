"""`make board`: the boards of real recordings, from the raw files to the tables below `leaderboards/`.

Every group of rows is run as `embench baselines` runs a set, audited and published as soon as it is done. Rows that are
published are not run again, and the same command continues where the last one stopped: test labels stay closed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.boards import BOARDS, RUNS
from bench.boards.published import published, question
from bench.boards.rows import groups
from embench import audits, leaderboard
from embench.data.find import find_source
from embench.errors import EmbenchError
from embench.files import snapshot
from embench.records.audit import AUDIT_FILE
from embench.screen import Progress, format_duration
from embench.sets.running import RowForecast, check_readable, forecast_rows, forecast_times, run_rows


def publish(rows: list[RowForecast], data_root: Path | None) -> list[str]:
    """Audits and publishes finished rows; sentences on those that no board takes."""
    done = [row.plan.folder for row in rows if row.done]
    for folder in done:
        if not (folder / AUDIT_FILE).is_file():
            audits.audit_run(folder, data_root=data_root)
    _, refused = leaderboard.publish_runs(done, BOARDS, lambda dataset: find_source(dataset, data_root).raw_digest())
    leaderboard.build_leaderboards(BOARDS)
    return [f"{folder.name}: {'; '.join(reasons)}" for folder, reasons in refused.items()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.boards", description="Run and publish the boards.")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    parser.add_argument("--only", choices=list(groups()), action="append", metavar="GROUP", help="may be repeated")
    parser.add_argument("--more", action="store_true", help="also the groups that take hours")
    parser.add_argument("--list", action="store_true", help="print the rows to do with their times, and do nothing")
    asked = parser.parse_args()
    missing: list[str] = []
    try:
        found = groups(more=asked.more or bool(asked.only), data_root=asked.data_root, runs=RUNS)
        for name in asked.only or found:
            rows = [row for row in found[name] if question(vars(row.request)) not in published()]
            for dataset in dict.fromkeys(row.request.dataset for row in rows):
                check_readable(dataset, asked.data_root)
            if not rows:
                continue
            with snapshot(), Progress() as progress:
                able, unfit = forecast_rows(rows, progress.event)
                missing += [f"{row.title}: {row.reason}" for row in unfit]
                if able and not asked.list:
                    done = run_rows(able, progress=progress.event, print_line=progress.line)
                    missing += [f"{title}: {error}" for title, error in done.failures.items()]
                    missing += publish(able, asked.data_root)
            left = [(row, seconds) for row, seconds in zip(able, forecast_times(able), strict=True) if not row.done]
            whole = format_duration(sum(seconds for _, seconds in left))
            print(f"{name}: {len(left)} of {len(found[name])} rows to do, {whole}", flush=True)
            for row, seconds in left:
                print(f"    {format_duration(seconds)} {row.row.request.dataset}: {row.row.title}", flush=True)
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    for each in missing:
        print(f"missing: {each}", file=sys.stderr)
    return 6 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
