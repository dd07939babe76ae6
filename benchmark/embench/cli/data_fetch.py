"""`embench data fetch`: downloads a dataset that is open to download."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import DataRoot
from embench.cli.progress import Steps
from embench.errors import UsageError


def fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")],
    data_root: DataRoot = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without a prompt.")] = False,
) -> None:
    """Download, check and unpack a dataset; interrupted downloads resume."""
    from embench import registry
    from embench.data.fetch import fetch as get
    from embench.data.locations import data_folder

    entry = registry.find("dataset", dataset)
    card, folder = registry.load("dataset", entry.full_name).card, data_folder(entry, data_root)
    if card.downloads:
        console.echo(f"{card.title}\nlicence: {card.licence}\ncite: {card.citation}")
        for download in card.downloads:
            size = f", {download.size / 1e6:,.0f} MB" if download.size else ""
            console.echo(f"from {download.url}{size}")
        console.echo(f"into {folder}")
        if not yes and not sys.stdin.isatty():
            raise UsageError(
                "nobody is here to accept the licence",
                where="embench data fetch",
                expected="an answer on a terminal, or --yes",
                hint="read the licence above, and give --yes if you agree to it",
            )
        if not yes:
            typer.confirm("Do you agree to the licence?", default=False, abort=True)
    with Steps("MB") as steps:
        notes = get(card, folder, lambda what, done, total: steps(done, total, what))
    for line in notes:
        console.note(line)
    console.echo(f"{folder}: done; check it with `embench data verify {entry.name}`")
