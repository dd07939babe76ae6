"""`embench export`: what a paper needs of some runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import TrustCode
from embench.errors import MachineError, UsageError
from embench.texts import visible


def export(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN..", help="Folders of finished runs or leaderboard entries.")
    ],
    latex: Annotated[bool, typer.Option("--latex", help="Tables of scores (LaTeX package booktabs).")] = False,
    methods: Annotated[bool, typer.Option("--methods", help="A methods section, with citations.")] = False,
    bibtex: Annotated[
        bool, typer.Option("--bibtex", help="BibTeX entries of the datasets, the methods and embench.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
    trust_code: TrustCode = False,
) -> None:
    """Write text for a paper about some runs: tables, a methods section, a bibliography."""
    if not (latex or methods or bibtex):
        raise UsageError("no output was chosen", where="embench export", expected="--latex, --methods or --bibtex")
    from embench.files import write_text
    from embench.records import record
    from embench.records.names import names_resolved
    from embench.report import latex as paper

    records = [record.read_record(folder) for folder in runs]
    named = list(zip(runs, records, strict=True))
    wanted = ((latex, paper.latex_tables), (methods, paper.methods_section), (bibtex, paper.bibtex))
    with names_resolved(named, trust_code=trust_code):
        text = "\n".join(make(records) for chosen, make in wanted if chosen)
    if out is None:
        typer.echo(visible(text), nl=False)
        return
    try:
        write_text(out, text)
    except OSError as error:
        raise MachineError(f"the text cannot be written: {error.strerror}", where=str(out)) from error
    console.echo(f"written: {out}")
