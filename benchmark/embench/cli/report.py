"""`embench report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, TrustCode
from embench.cli.progress import Steps


def report(
    run: Annotated[Path, Argument(metavar="RUN", help="Folder of a run or leaderboard entry.")],
    out: Annotated[Path | None, Option(help="File to write; default: RUN.html in the current folder.")] = None,
    beside: Annotated[
        list[Path] | None,
        Option(help="Run of one modality to compare the fusion with; repeatable. Default: those next to RUN."),
    ] = None,
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
) -> None:
    """Write a self-contained HTML report: scores, controls, subjects, curves, training, embeddings, signals, cost."""
    from embench import report as reports

    with Steps() as steps:
        path = reports.write_report(
            run,
            out or Path(f"{run.resolve().name}.html"),
            singles=beside or (),
            data_root=data_root,
            trust_code=trust_code,
            progress=lambda n, all_, _: steps(n, all_, "prepared"),
        )
    console.echo(str(path))
