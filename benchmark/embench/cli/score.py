"""`embench score`: scores predictions made by other code as it scores those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.planning.request import Request


def score(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV file (may be gzipped): subject, recording, unit, target, score.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            autocompletion=completes("dataset"),
            help="Dataset that FILE predicts; see `embench list dataset`.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Name of the method; default: the name of FILE.")] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", autocompletion=completes("protocol"), help="Protocol name, or a YAML file.")
    ] = Request.protocol,
    target: Annotated[
        str | None, typer.Option("--target", help="Targets, comma-separated; default: all in FILE.")
    ] = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the record; default: a new one in ./runs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score predictions made by other code: headline, conditioned scores, controls, intervals, audit."""
    with console.stdout_kept(as_json):
        from embench import audits
        from embench.cli.progress import Steps
        from embench.runs import external

        with Steps() as steps:
            result = external.score(
                file,
                dataset,
                name=name,
                protocol=protocol,
                targets=target,
                data_root=data_root,
                out=out,
                progress=lambda n, all_, _: steps(n, all_, "prepared"),
            )
        # Its names are the user's own.
        audited = audits.audit_run(result.folder, dataset=dataset, data_root=data_root, trust_code=True)
        document = {**result.json(), "outside": result.manifest["outside"], "audit": audited.json()}
    if as_json:
        console.document(document)
        return
    from embench.cli import audit, show

    show.result(document, result.scores)
    _print_submission(result.manifest)
    console.echo()
    audit.print_audit(audited)


def _print_submission(manifest: Mapping[str, Any]) -> None:
    """What a reader must know of a submission."""
    submission, subjects = manifest["outside"], manifest["cohort"]["people"]
    folds = " and ".join(sorted(set(submission["folds"].values())))
    console.echo(f"{submission['name']}: {submission['rows']} predictions of {len(subjects)} subjects; folds: {folds}")
    for target, missing in submission["missing"].items():
        by_subject = ", ".join(f"{subject} {count}" for subject, count in missing["people"].items())
        line = f"{target}: {missing['units']} units have no prediction; {missing['labelled']} of them have a label"
        console.echo(f"{line} ({by_subject})", colour="yellow")
    for row in manifest["cohort"]["left_out"]:
        console.echo(f"not scored: {row['subject']}: {row['reason']}")
    if manifest["protocol"]["leaks"]:
        console.echo(f"{manifest['protocol']['name']} leaks: {'; '.join(manifest['protocol']['gives_up'].values())}")
    console.echo("submission: training data are as declared by its author, not checked")
