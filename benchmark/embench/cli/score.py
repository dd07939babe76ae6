"""`embench score`: scores predictions made by other code as it scores those of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.planning.request import Request

if TYPE_CHECKING:
    from embench.records.scores import Scores


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

    _warn_of_headlines(result.manifest, result.scores)
    show.result(document, result.scores)
    _print_submission(result.manifest)
    console.echo()
    audit.print_audit(audited, skipped=console.asked.verbose)


def _warn_of_headlines(manifest: Mapping[str, Any], scores: Scores) -> None:
    """Says of each target whose headline the file cannot give why, and how much of the dataset the file predicts."""
    cohort = manifest["cohort"]
    predicted = len(cohort["people"])
    absent = sum(row["reason"] == "no prediction in the file" for row in cohort["left_out"])
    for target, headline in scores.headlines.items():
        if reason := scores.why_undefined(target, headline):
            console.wrapped(
                f"{target}: no headline. The file predicts {predicted} of {predicted + absent} labelled subjects, and "
                f"{headline} is {reason if reason.startswith('not ') else f'undefined: {reason}'}.",
                bold=True,
                colour="red",
            )


def _print_submission(manifest: Mapping[str, Any]) -> None:
    """What a reader must know of a submission."""
    submission, subjects = manifest["outside"], manifest["cohort"]["people"]
    folds = " and ".join(sorted(set(submission["folds"].values())))
    count = f"{len(subjects)} subject{'s' * (len(subjects) != 1)}"
    console.wrapped(f"{submission['name']}: {submission['rows']} predictions of {count}; folds: {folds}")
    for target, missing in submission["missing"].items():
        by_subject = _some([f"{subject} {count}" for subject, count in missing["people"].items()])
        line = f"{target}: {missing['units']} units have no prediction; {missing['labelled']} of them have a label"
        console.wrapped(f"{line} ({by_subject})", colour="yellow")
    excluded: dict[str, list[str]] = {}
    for row in manifest["cohort"]["left_out"]:
        excluded.setdefault(row["reason"], []).append(row["subject"])
    for reason, names in excluded.items():
        console.wrapped(f"not scored: {_some(names)}: {reason}")
    if manifest["protocol"]["leaks"]:
        broken = "; ".join(manifest["protocol"]["gives_up"].values())
        console.wrapped(f"{manifest['protocol']['name']} leaks: {broken}")
    console.wrapped("submission: training data are as declared by its author, not checked")


def _some(items: Sequence[str]) -> str:
    """A list for a line: its first items, and how many there are in all."""
    return ", ".join(items) if len(items) <= _SHOWN else f"{', '.join(items[: _SHOWN - 1])} ... ({len(items)} in all)"


_SHOWN = 6
