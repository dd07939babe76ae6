"""`embench leaderboard verify`: whether entries hold together, without running anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json
from embench.errors import UsageError

if TYPE_CHECKING:
    from embench.leaderboard.checks import EntryCheck

By = Annotated[str | None, typer.Option("--by", help="Your name, for an attestation of each entry that passes.")]


def verify_leaderboards(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH..", help="An entry, or a folder of leaderboards.")],
    data_root: DataRoot = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Earlier state of the same leaderboards: its entries must still be there."),
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Check entries without training; exit with 1 if a check fails. Labels are compared with your data, if found."""
    with console.stdout_kept(as_json):
        from embench.cli.progress import Steps
        from embench.leaderboard.attestations import check_name
        from embench.leaderboard.checks import check_boards, failures

        if by is not None:
            check_name(by)
        if against is not None and not against.is_dir():
            raise UsageError(f"{against} is no folder", where="--against", expected="a folder of leaderboards")
        made: list[EntryCheck] = []
        with Steps("entries") as steps:
            for path in paths:
                made += check_boards(path, data_root, against, lambda n, all_, _: steps(n, all_, "verified"))
        failed = failures(made)
    if as_json:
        console.document([check._asdict() for check in made])
    else:
        print_checks(made)
    if by is not None:
        _attest(paths, {check.entry for check in made} - {check.entry for check in failed}, by)
    if failed:
        raise typer.Exit(1)


def print_checks(made: Sequence[EntryCheck]) -> None:
    """All checks of one entry; of several, those that failed, and how many entries each other one was of."""
    names = dict.fromkeys(check.entry for check in made)
    if len(names) == 1:
        rows = [[check.check, check.status, check.reason] for check in made]
        console.table(["check", "result", "reason"], rows, title=next(iter(names)))
    else:
        failed = [[check.entry, check.check, check.reason] for check in made if check.status == "failed"]
        if failed:
            console.table(["entry", "check failed", "reason"], failed)
        counts = Counter((c.check, c.status, c.reason if c.status == "not possible" else "") for c in made)
        rows = [[check, status, str(n), reason] for (check, status, reason), n in counts.items()]
        console.table(["check", "result", "entries", "reason"], rows)
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
