"""`embench leaderboard`: tables of the published entries, and the files of a pull request."""

from __future__ import annotations

import datetime as dt
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embench.cli import console, leaderboard_show
from embench.cli.options import Boards, DataRoot, Json
from embench.cli.tables import field, show_table
from embench.errors import DataError, EmbenchError, UsageError
from embench.screen.progress import Progress, Steps

if TYPE_CHECKING:
    from embench.leaderboard.history import EntryCheck
    from embench.runs.reproduce import Reproduction

leaderboard_app = typer.Typer(help="Show, send, check and reproduce published entries.", no_args_is_help=True)

leaderboard_app.command("show")(leaderboard_show.show)


@leaderboard_app.command()
def site(
    out: Annotated[Path, Option(help="Folder to write; an earlier site there is replaced.")] = Path("site"),
    boards: Boards = Path("leaderboards"),
    runs: Annotated[
        Path | None,
        Option(help="Folder of runs, published or not: write a private site of these instead, for colleagues."),
    ] = None,
    notes: Annotated[
        Path | None, Option(help="Folder of notes in Markdown, DATASET.md, to show with the leaderboards.")
    ] = None,
) -> None:
    """Write the leaderboards as web pages that open without a server or a network."""
    from embench.site import build_private_site, build_site

    if runs is not None and notes is not None:
        raise UsageError("notes are of published leaderboards", where="--notes", expected="--notes without --runs")
    with Steps("entries" if runs is None else "runs") as steps:
        if runs is None:
            first = build_site(boards, out, notes_folder=notes, progress=steps)
        else:
            first = build_private_site(runs, out, progress=steps)
    console.echo(str(first))


@leaderboard_app.command()
def submit(
    runs: Annotated[
        list[Path],
        Argument(metavar="RUN..|FOLDER", help="Folders of finished runs, or the one of `embench baselines`."),
    ],
    boards: Boards = Path("leaderboards"),
    leaking: Annotated[
        bool, Option("--leaking", help="Also submit runs of a protocol that leaks, which get no rank.")
    ] = False,
    data_root: DataRoot = None,
    consent: Annotated[
        bool, Option("--consent", help="Of your own data: all participants consent to what is published.")
    ] = False,
    ethics: Annotated[
        str | None, Option(help="Of your own data: ethics board and number of its approval, which the entry contains.")
    ] = None,
) -> None:
    """Write the entries of runs for a pull request; audit those that were not audited, and verify what is written.

    Of your own data, it first lists what an entry contains, and asks for consent and an approval. Of a folder that
    `embench baselines` wrote, the entries that are refused hold up no other; exit with 1 if there is one.
    """
    from embench.sets.folder import SET_FILE

    if len(runs) == 1 and ((runs[0] / SET_FILE).exists() or (runs[0] / "entries").is_dir()):
        _submit_folder(runs[0], boards, data_root, leaking=leaking)
        return
    from embench import audits
    from embench.cli.consent import ask_consent
    from embench.data.find import raw_digest_of
    from embench.leaderboard.submit import other_subjects, refuse, submit_runs, why_not_submitted
    from embench.records.audit import read_audit
    from embench.records.record import read_manifest

    reasons = {run: why_not_submitted(read_manifest(run), boards, leaking=leaking) for run in runs}
    refuse({run: found for run, found in reasons.items() if found})
    approval = ask_consent([read_manifest(run) for run in runs], consent=consent, ethics=ethics)
    for run in runs:
        if read_audit(run) is None:
            console.note(f"auditing {run}")
            with Progress() as progress:
                audits.audit_run(run, data_root=data_root, progress=progress.event)
    new = submit_runs(runs, boards, lambda dataset: raw_digest_of(dataset, data_root), data_root, approval)
    for note in filter(None, (other_subjects(read_manifest(run), boards) for run in runs)):
        console.note(f"note: {note}")
    _print_new(new)


def _print_new(new: Sequence[Path]) -> None:
    console.echo("verified; commit these files on a branch of your own:")
    for path in new:
        console.echo(f"  {shlex.quote(str(path))}")
    console.echo("then open a pull request with them and nothing else: the tables are made when it is merged")


def _submit_folder(folder: Path, boards: Path, data_root: Path | None, *, leaking: bool) -> None:
    """Submits the entries of a folder of `embench baselines` one by one."""
    from embench.leaderboard.submit import submit_entry
    from embench.sets.folder import entries_of

    new, refused = list[Path](), 0
    for entry in entries_of(folder):
        try:
            written = submit_entry(entry, boards, data_root, leaking=leaking)
        except EmbenchError as error:
            refused += 1
            console.echo(f"refused: {error.what.removeprefix(f'{entry.name}: ')} ({entry.name})")
        else:
            console.echo(f"{'there already' if written is None else 'written'}: {entry.name}")
            new += written or []
    if new:
        _print_new(new)
    if refused:
        raise typer.Exit(1)


@leaderboard_app.command()
def supersede(
    entry: Annotated[Path, Argument(metavar="ENTRY", help="Folder of the entry that is out of date.")],
    by: Annotated[str, Option(help="Id of the entry that takes its place, on the same leaderboard.")],
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


@leaderboard_app.command("verify")
def verify_entry(
    paths: Annotated[list[Path], Argument(metavar="PATH..", help="An entry, or a folder of leaderboards.")],
    data_root: DataRoot = None,
    against: Annotated[
        Path | None, Option(help="Earlier state of the same leaderboards: its entries must still be there.")
    ] = None,
    by: Annotated[str | None, Option(help="Your name, for an attestation of each entry that passes.")] = None,
    as_json: Json = False,
) -> None:
    """Check entries without training; exit with 1 if a check fails. Labels are compared with your data, if found."""
    from embench.leaderboard.attestations import check_name
    from embench.leaderboard.checks import check_boards, failures

    if by is not None:
        check_name(by)
    if against is not None and not against.is_dir():
        raise UsageError(f"{against} is not a folder", where="--against", expected="a folder of leaderboards")
    checks: list[EntryCheck] = []
    with Steps("entries", "verified") as steps:
        for path in paths:
            checks += check_boards(path, data_root, against, steps)
    failed = failures(checks)
    console.answer(as_json, [check._asdict() for check in checks], lambda: _print_checks(checks))
    if by is not None:
        _attest(paths, checks, by, data_root)
    if failed:
        raise typer.Exit(1)


def _print_checks(checks: Sequence[EntryCheck]) -> None:
    """Prints all checks of one entry; of several, the failed ones, and the number of entries for each other one."""
    names = dict.fromkeys(check.entry for check in checks)
    if len(names) == 1:
        show_table(checks, [field("check"), field("status", "result"), field("reason")], title=checks[0].entry)
    else:
        failed = [check for check in checks if check.status == "failed"]
        show_table(failed, [field("entry"), field("check", "check failed"), field("reason")])
        counts = Counter((c.check, c.status, c.reason if c.status == "not possible" else "") for c in checks)
        show_table(
            {"check": check, "result": status, "entries": count, "reason": reason}
            for (check, status, reason), count in counts.items()
        )
    wrong = len({check.entry for check in checks if check.status == "failed"})
    console.echo(f"{len(names)} entries, {wrong} with a check that failed" if len(names) > 1 else _summary(checks))


def _summary(checks: Sequence[EntryCheck]) -> str:
    counts = Counter(check.status for check in checks)
    return ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "not possible") if counts[status])


def _attest(paths: Sequence[Path], checks: Sequence[EntryCheck], by: str, data_root: Path | None) -> None:
    from embench.leaderboard.attestations import attest
    from embench.leaderboard.checks import compared, failures, folders_at
    from embench.leaderboard.history import entry_name
    from embench.leaderboard.own_data import files_here
    from embench.records.record import read_manifest

    failed = {check.entry for check in failures(checks)}
    for folder in (folder for path in paths for folder in folders_at(path) if entry_name(folder) not in failed):
        names = compared(checks, entry_name(folder))
        files = files_here(read_manifest(folder), data_root) if names else None
        console.echo(f"attested: {attest(folder, 'verified', by, files=files, compared=names)}")


@leaderboard_app.command()
def reproduce(
    entries: Annotated[list[Path], Argument(metavar="ENTRY..", help="Folders of entries, or of leaderboards.")],
    by: Annotated[str, Option(help="Your name, for the attestation.")],
    data_root: DataRoot = None,
    stages: Annotated[
        int | None, Option(min=1, help="Spot check: run N folds that the author could not foresee; 2 is usual.")
    ] = None,
    nonce: Annotated[
        str | None, Option(help="Text that decides which folds a spot check runs; default: random.")
    ] = None,
    runs: Annotated[Path | None, Option(help="Folder for the stages, kept; default: a temporary one.")] = None,
    out: Annotated[Path | None, Option(help="File for the attestation; default: beside the entries.")] = None,
) -> None:
    """Run the request of entries again and compare; write an attestation of each that is reproduced.

    Of several entries, those that you attested before are passed over, and the others go on after a failure.
    """
    from embench.leaderboard.attestations import attest, attested_by, check_name
    from embench.leaderboard.checks import folders_at
    from embench.leaderboard.history import entry_name
    from embench.runs.reproduce import reproduce_entry

    check_name(by)
    folders = [folder for path in entries for folder in folders_at(path)]
    if out is not None and len(folders) > 1:
        raise UsageError("one file for several entries", where=f"--out {out}", expected="one entry")
    if nonce is not None and stages is None:
        raise UsageError("a nonce picks the folds of a spot check", where="--nonce", expected="--stages N as well")
    failed = 0
    for folder in folders:
        if len(folders) > 1 and attested_by(folder, by, "reproduced" if stages is None else "spot_checked"):
            console.note(f"attested by {by} already: {entry_name(folder)}")
            continue
        try:
            with Progress() as progress:
                found = reproduce_entry(
                    folder, data_root, runs=runs, stages=stages, nonce=nonce, progress=progress.event
                )
        except EmbenchError as error:
            if len(folders) == 1:
                raise
            console.note(f"not reproduced: {entry_name(folder)}: {error}")
            failed += 1
            continue
        failed += bool(found.wrong)
        _print_reproduction(found)
        if not found.wrong:
            console.echo(f"  attestation: {attest(folder, found.level, by, out=out, **found.figures())}")
    if len(folders) > 1:
        console.echo(f"{len(folders) - failed} of {len(folders)} entries reproduced")
    if failed:
        raise typer.Exit(1)


def _print_reproduction(found: Reproduction) -> None:
    if found.wrong:
        console.echo(f"not reproduced: {found.entry}", bold=True, colour="red")
        for wrong in found.wrong:
            console.echo(f"  {wrong}")
    else:
        console.echo(f"reproduced: {found.entry}", bold=True)
    if found.stages is not None:
        which = ", ".join(f"seed {seed} fold {fold}" for seed, fold in found.stages)
        console.echo(f"  spot check of {which} (--nonce {shlex.quote(str(found.nonce))})")
    for name, value in found.greatest.items():
        allowed = f", allowed {found.tolerances[name]:g}" if name in found.tolerances else ""
        console.echo(f"  greatest difference of {name}: {value:.3g}{allowed}")
    for note in found.notes:
        console.echo(f"  {note}")


@leaderboard_app.command("build")
def build(
    boards: Boards = Path("leaderboards"),
    runs: Annotated[Path | None, Option("--from", help="Folder of runs; first publish those that qualify.")] = None,
    data_root: DataRoot = None,
) -> None:
    """Score the entries again, and rebuild the Markdown tables; --from publishes runs first."""
    from embench import leaderboard
    from embench.data.find import raw_digest_of
    from embench.leaderboard.shown import load_shown_entries
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
        known = load_shown_entries(boards)
        verify_entries(known, steps)
    for path in leaderboard.build_leaderboards(boards, known):
        console.echo(str(path))
