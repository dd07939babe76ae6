"""`embench leaderboard reproduce`: whether an entry's request gives the predictions that it holds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import DataRoot
from embench.errors import EmbenchError, UsageError

if TYPE_CHECKING:
    from embench.runs.reproduce import Reproduction


def reproduce(
    entries: Annotated[list[Path], typer.Argument(metavar="ENTRY..", help="Folders of entries, or of leaderboards.")],
    by: Annotated[str, typer.Option("--by", help="Your name, for the attestation.")],
    data_root: DataRoot = None,
    stages: Annotated[
        int | None,
        typer.Option("--stages", min=1, help="Spot check: run N folds that the author could not foresee; 2 is usual."),
    ] = None,
    nonce: Annotated[
        str | None, typer.Option("--nonce", help="Text that decides which folds a spot check runs; default: random.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder for the stages, kept; default: a temporary one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the attestation; default: beside the board's entries.")
    ] = None,
) -> None:
    """Run the request of entries again and compare; write an attestation of each that is reproduced.

    Of several entries, those that you attested before are passed over, and the others go on after a failure.
    """
    from embench.cli.progress import Progress
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
        _print(found)
        if not found.wrong:
            console.echo(f"  attestation: {attest(folder, found.level, by, out=out, **found.figures())}")
    if len(folders) > 1:
        console.echo(f"{len(folders) - failed} of {len(folders)} entries reproduced")
    if failed:
        raise typer.Exit(1)


def _print(found: Reproduction) -> None:
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
