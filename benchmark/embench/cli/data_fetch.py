"""`embench data fetch`: downloads a dataset that is open to download."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from embench.cli import console
from embench.cli.options import DataRoot
from embench.cli.progress import Steps
from embench.errors import UsageError

if TYPE_CHECKING:
    from embench.interfaces.dataset import Download

_LISTED = 5
"""Addresses that are printed; of more files, only the host."""


def fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")],
    data_root: DataRoot = None,
    subjects: Annotated[
        str | None, typer.Option("--subjects", help="Only these, such as sub-004,sub-036; others can follow later.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without a prompt.")] = False,
) -> None:
    """Download, check and unpack a dataset; interrupted downloads resume."""
    from embench import registry
    from embench.data.fetch import chosen
    from embench.data.fetch import fetch as get
    from embench.data.locations import data_folder

    names = None if subjects is None else [name.strip() for name in subjects.split(",")]
    entry = registry.find("dataset", dataset)
    card, folder = registry.load("dataset", entry.full_name).card, data_folder(entry, data_root)
    if card.downloads:
        sources = _sources(chosen(card, names))
        console.echo(f"{card.title}\nlicence: {card.licence}\ncite: {card.citation}")
        for source in sources:
            console.echo(f"from {source}")
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
        notes = get(card, folder, lambda what, done, total: steps(done, total, what), names)
    for line in notes:
        console.note(line)
    console.echo(f"{folder}: done; check it with `embench data verify {entry.name}`")


def _sources(downloads: Sequence[Download]) -> list[str]:
    """What is downloaded from where, and how much it is."""
    if len(downloads) <= _LISTED:
        return [f"{download.url}{_megabytes([download])}" for download in downloads]
    by_host: dict[str, list[Download]] = {}
    for download in downloads:
        by_host.setdefault(urlsplit(download.url).netloc, []).append(download)
    return [f"{host}: {len(files)} files{_megabytes(files)}" for host, files in by_host.items()]


def _megabytes(downloads: Sequence[Download]) -> str:
    size = sum(download.size or 0 for download in downloads)
    return f", {size / 1e6:,.0f} MB" if size else ""
