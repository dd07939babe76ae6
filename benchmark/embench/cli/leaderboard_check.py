"""`embench leaderboard verify` and `reproduce`: whether entries hold together, and whether their requests give them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, Json
from embench.cli.progress import Progress, Steps
from embench.cli.tables import field, show_table
from embench.errors import EmbenchError, UsageError

if TYPE_CHECKING:
    from embench.leaderboard.checks import EntryCheck
    from embench.runs.reproduce import Reproduction


def verify(
    paths: Annotated[list[Path], Argument(metavar="PATH..", help="An entry, or a folder of leaderboards.")],
    data_root: DataRoot = None,
    against: Annotated[
        Path | None, Option(help="Earlier state of the same leaderboards: its entries must still be there.")
    ] = None,
    by: Annotated[str | None, Option(help="Your name, for an attestation of each entry that passes.")] = None,
    as_json: Json = False,
) -> None:
    """Check entries without training; exit with 1 if a check fails. Labels are compared with your data, if found."""
    with console.stdout_kept(as_json):
        from embench.leaderboard.attestations import check_name
        from embench.leaderboard.checks import check_boards, failures

        if by is not None:
            check_name(by)
        if against is not None and not against.is_dir():
            raise UsageError(f"{against} is no folder", where="--against", expected="a folder of leaderboards")
        made: list[EntryCheck] = []
        with Steps("entries", "verified") as steps:
            for path in paths:
                made += check_boards(path, data_root, against, steps)
        failed = failures(made)
    console.answer(as_json, [check._asdict() for check in made], lambda: _print_checks(made))
    if by is not None:
        _attest(paths, {check.entry for check in made} - {check.entry for check in failed}, by)
    if failed:
        raise typer.Exit(1)


def _print_checks(made: Sequence[EntryCheck]) -> None:
    """All checks of one entry; of several, those that failed, and how many entries each other one was of."""
    names = dict.fromkeys(check.entry for check in made)
    if len(names) == 1:
        show_table(made, [field("check"), field("status", "result"), field("reason")], title=made[0].entry)
    else:
        failed = [check for check in made if check.status == "failed"]
        show_table(failed, [field("entry"), field("check", "check failed"), field("reason")])
        counts = Counter((c.check, c.status, c.reason if c.status == "not possible" else "") for c in made)
        show_table(
            {"check": check, "result": status, "entries": count, "reason": reason}
            for (check, status, reason), count in counts.items()
        )
    wrong = len({check.entry for check in made if check.status == "failed"})
    console.echo(f"{len(names)} entries, {wrong} with a check that failed" if len(names) > 1 else _summary(made))


def _summary(made: Sequence[EntryCheck]) -> str:
    counts = Counter(check.status for check in made)
    return ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "not possible") if counts[status])


def _attest(paths: Sequence[Path], passed: set[str], by: str) -> None:
    from embench.leaderboard.attestations import attest
    from embench.leaderboard.checks import entry_name, folders_at

    for folder in (folder for path in paths for folder in folders_at(path) if entry_name(folder) in passed):
        console.echo(f"attested: {attest(folder, 'verified', by)}")


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
    out: Annotated[Path | None, Option(help="File for the attestation; default: beside the board's entries.")] = None,
) -> None:
    """Run the request of entries again and compare; write an attestation of each that is reproduced.

    Of several entries, those that you attested before are passed over, and the others go on after a failure.
    """
    from embench.leaderboard.attestations import attest, attested_by, check_name
    from embench.leaderboard.checks import entry_name, folders_at
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
