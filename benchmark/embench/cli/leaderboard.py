"""`embench leaderboard`: what has been published, as tables made from the entries, and the files of a pull request."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from embench.cli import console, leaderboard_check, leaderboard_show
from embench.cli.options import Boards, DataRoot
from embench.cli.progress import Progress, Steps
from embench.errors import DataError, UsageError

leaderboard_app = typer.Typer(help="Show, send, check and reproduce published entries.", no_args_is_help=True)

leaderboard_app.command("show")(leaderboard_show.show)


@leaderboard_app.command()
def site(
    out: Annotated[Path, Option(help="Folder to write; an earlier site there is replaced.")],
    boards: Boards = Path("leaderboards"),
    notes: Annotated[
        Path | None, Option(help="Folder of notes in Markdown, DATASET.md, to show with the boards.")
    ] = None,
) -> None:
    """Write the leaderboards as web pages that open without a server or a network."""
    from embench.site import build_site

    with Steps("entries") as steps:
        first = build_site(boards, out, notes_folder=notes, progress=steps)
    console.echo(str(first))


@leaderboard_app.command()
def submit(
    runs: Annotated[list[Path], Argument(metavar="RUN..", help="Folders of finished runs.")],
    boards: Boards = Path("leaderboards"),
    leaking: Annotated[
        bool, Option("--leaking", help="Also submit runs of a protocol that leaks, which get no rank.")
    ] = False,
    data_root: DataRoot = None,
) -> None:
    """Write the entries of runs for a pull request; audit those that were not audited, and verify what is written."""
    from embench import audits
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


@leaderboard_app.command()
def supersede(
    entry: Annotated[Path, Argument(metavar="ENTRY", help="Folder of the entry that is out of date.")],
    by: Annotated[str, Option(help="Id of the entry that takes its place, on the same board.")],
    why: Annotated[str, Option(help="The reason, in a sentence.")],
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


leaderboard_app.command("verify")(leaderboard_check.verify)
leaderboard_app.command("reproduce")(leaderboard_check.reproduce)


@leaderboard_app.command("build")
def build(
    boards: Boards = Path("leaderboards"),
    runs: Annotated[Path | None, Option("--from", help="Folder of runs; first publish those that qualify.")] = None,
    data_root: DataRoot = None,
) -> None:
    """Score the entries again, and rebuild the Markdown tables; --from publishes runs first."""
    from embench import leaderboard
    from embench.data.find import raw_digest_of
    from embench.leaderboard.entries import load_entries
    from embench.leaderboard.verify import verify_entries

    if runs is not None:
        folders = leaderboard.finished_runs(runs)
        if not folders:
            raise DataError("no finished runs found", where=str(runs), expected="<dataset>/<run>/run.yaml below it")
        entries, refused = leaderboard.publish_runs(folders, boards, lambda dataset: raw_digest_of(dataset, data_root))
        for entry in entries:
            console.echo(f"published {entry}")
        for folder, reasons in refused.items():
            console.note(f"not published: {folder}: {'; '.join(reasons)}")
    with Steps("entries", "verified") as steps:
        verify_entries(load_entries(boards), steps)
    for path in leaderboard.build_leaderboards(boards):
        console.echo(str(path))
