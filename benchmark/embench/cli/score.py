"""`embench score`: predictions that somebody has already, scored as a run's are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes


def score(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, gzipped or not: subject, recording, unit, target, score.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", autocompletion=completes("dataset"), help="Whose units were predicted; `embench list dataset`."
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What the method is called; by default as FILE.")] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", autocompletion=completes("protocol"), help="Name of a protocol, or its file.")
    ] = "subject-independent-v1",
    target: Annotated[
        str | None, typer.Option("--target", help="Targets, with commas; by default all of FILE.")
    ] = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the record; by default one below ./runs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score predictions from anybody's code: headline, conditioned scores, controls, intervals, audit."""
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
        audited = audits.audit_run(result.folder, data_root=data_root)
        answer = {**result.json(), "outside": result.manifest["outside"], "audit": audited.json()}
    if as_json:
        console.document(answer)
        return
    from embench.cli import audit, show

    show.result(answer, result.scores)
    _given(result.manifest)
    console.say()
    audit.show(audited)


def _given(manifest: Mapping[str, Any]) -> None:
    """What a reader must know of predictions that nobody here saw being made."""
    given, people = manifest["outside"], manifest["cohort"]["people"]
    folds = " and ".join(sorted(set(given["folds"].values())))
    console.say(f"{given['name']}: {given['rows']} predictions of {len(people)} people; folds: {folds}")
    for target, missing in given["missing"].items():
        who = ", ".join(f"{person} {count}" for person, count in missing["people"].items())
        said = f"{target}: {missing['units']} units have no prediction, {missing['labelled']} of them a label"
        console.say(f"{said} ({who})", colour="yellow")
    for row in manifest["cohort"]["left_out"]:
        console.say(f"not scored: {row['subject']}: {row['reason']}")
    if manifest["protocol"]["leaks"]:
        console.say(f"{manifest['protocol']['name']} leaks: {'; '.join(manifest['protocol']['gives_up'].values())}")
    console.say("made outside embench: what it was trained on is its maker's word")
