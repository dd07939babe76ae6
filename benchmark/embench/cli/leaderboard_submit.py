"""`embench leaderboard submit` and `supersede`: the files of a pull request."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import Boards, DataRoot
from embench.errors import UsageError


def submit(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN..", help="Folders of finished runs.")],
    boards: Boards = Path("leaderboards"),
    leaking: Annotated[
        bool, typer.Option("--leaking", help="Also submit runs of a protocol that leaks, which get no rank.")
    ] = False,
    data_root: DataRoot = None,
) -> None:
    """Write the entries of runs for a pull request; audit those that were not audited, and verify what is written."""
    from embench import audits
    from embench.cli.progress import Progress
    from embench.data.find import raw_digest_of
    from embench.leaderboard.submit import refuse, submit_runs, why_not_submitted
    from embench.records.audit import read_audit
    from embench.records.record import read_manifest

    reasons = {run: why_not_submitted(read_manifest(run), boards, leaking=leaking) for run in runs}
    refuse({run: found for run, found in reasons.items() if found})
    for run in runs:
        if read_audit(run) is None:
            console.note(f"auditing {run}")
            with Progress() as progress:
                audits.audit_run(run, data_root=data_root, progress=progress.event)
    new = submit_runs(runs, boards, lambda dataset: raw_digest_of(dataset, data_root), data_root)
    console.echo("verified; commit these files on a branch of your own:")
    for path in new:
        console.echo(f"  {path}")
    console.echo("then open a pull request with them and nothing else: the tables are made when it is merged")


def supersede(
    entry: Annotated[Path, typer.Argument(metavar="ENTRY", help="Folder of the entry that is out of date.")],
    by: Annotated[str, typer.Option("--by", help="Id of the entry that takes its place, on the same board.")],
    why: Annotated[str, typer.Option("--why", help="The reason, in a sentence.")],
) -> None:
    """Mark an entry as superseded by another: it stays as it is, without a rank."""
    from embench.leaderboard.entries import load_leaderboard_entry
    from embench.records.superseded import Superseded, write_superseded

    old = load_leaderboard_entry(entry)
    if by == old.run.id or not (entry.absolute().parent / by / "run.yaml").is_file():
        have = sorted(path.parent.name for path in entry.absolute().parent.glob("*/run.yaml"))
        others = ", ".join(name for name in have if name != old.run.id) or "another entry, which is published first"
        raise UsageError(f"there is no other entry {by} beside it", where="--by", expected=others)
    new = load_leaderboard_entry(entry.absolute().parent / by)
    if new.superseded is not None:
        raise UsageError(f"{by} is superseded itself", where="--by", expected=new.superseded.by)
    if not why.strip() or "\n" in why:
        raise UsageError("there is no reason", where="--why", expected="a sentence, on one line")
    path = write_superseded(entry, Superseded(by=by, why=why.strip(), on=dt.datetime.now(dt.UTC).date()))
    console.echo(f"{path}: written")
