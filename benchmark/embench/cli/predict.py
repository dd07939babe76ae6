"""`embench predict`: new recordings, predicted by what a run has trained."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, Json, TrustCode
from embench.screen.progress import Progress


def predict(
    run: Annotated[
        Path, Argument(metavar="RUN", help="Folder of a finished run; its stages and training data must be here.")
    ],
    dataset: Annotated[str, Option(help="New recordings: a dataset, or ./FOLDER of your own data; no labels needed.")],
    out: Annotated[Path, Option(help="CSV file to write.")] = Path("predictions.csv"),
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Predict new recordings with what a run has trained; print the answers and limits of the run."""
    from embench.errors import UsageError
    from embench.files import saving
    from embench.runs.predicting import predict_with

    if out.exists():
        raise UsageError(f"{out} exists", where="--out", expected="a new file")
    with Progress(()) as progress:
        found = predict_with(run, dataset, data_root, trust_code=trust_code, progress=progress.event)
    with saving("the predictions", out), out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found.rows[0]) if found.rows else ["unit"])
        writer.writeheader()
        writer.writerows(found.rows)
    about = {"run": found.run, "file": str(out), "rows": len(found.rows)}
    document = {**about, "answers": list(found.answers), "limits": list(found.limits)}

    def show() -> None:
        for line in found.answers:
            console.echo(line)
        console.echo()
        for line in found.limits:
            console.wrapped(line)
        console.echo(f"file: {out}, {len(found.rows)} predictions")

    console.answer(as_json, document, show)
