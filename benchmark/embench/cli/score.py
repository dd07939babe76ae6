"""`embench score`: scores predictions made by other code as it scores those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, Json, ProtocolName, completes
from embench.cli.progress import Steps
from embench.cli.tables import grouped
from embench.planning.request import Request

if TYPE_CHECKING:
    from embench.records.manifest import Manifest
    from embench.records.scores import Scores


def score(
    file: Annotated[
        Path, Argument(metavar="FILE", help="CSV file (may be gzipped): subject, recording, unit, target, score.")
    ],
    dataset: Annotated[
        str, Option(autocompletion=completes("dataset"), help="Dataset that FILE predicts; see `embench list dataset`.")
    ],
    name: Annotated[str | None, Option(help="Name of the method; default: the name of FILE.")] = None,
    protocol: ProtocolName = Request.protocol,
    target: Annotated[str | None, Option(help="Targets, comma-separated; default: all in FILE.")] = None,
    data_root: DataRoot = None,
    out: Annotated[Path | None, Option(help="Folder of the record; default: a new one in ./runs.")] = None,
    as_json: Json = False,
) -> None:
    """Score predictions made by other code: headline, conditioned scores, controls, intervals, audit."""
    from embench import audits
    from embench.cli import audit, show
    from embench.records.record import read_manifest
    from embench.runs import external

    with Steps("subjects", "prepared") as steps:
        result = external.score(
            file, dataset, name=name, protocol=protocol, targets=target, data_root=data_root, out=out, progress=steps
        )
    run = read_manifest(result.folder)
    # Its names are the user's own.
    audited = audits.audit_run(result.folder, dataset=dataset, data_root=data_root, trust_code=True)
    if as_json:
        console.document({**result.json(), "outside": run.outside, "audit": audited.json()})
        return
    _warn_of_headlines(run, result.scores)
    show.result(result)
    _print_submission(run)
    console.echo()
    audit.print_audit(audited, skipped=console.asked.verbose)


def _warn_of_headlines(run: Manifest, scores: Scores) -> None:
    """Says of each target whose headline the file cannot give why, and how much of the dataset the file predicts."""
    predicted = run.cohort.size
    labelled = predicted + sum(row["reason"] == "no prediction in the file" for row in run.cohort.left_out)
    for target, headline in scores.headlines.items():
        if reason := scores.why_undefined(target, headline):
            why = reason if reason.startswith("not ") else f"undefined: {reason}"
            part = f"The file predicts {predicted} of {labelled} labelled subjects"
            console.wrapped(f"{target}: no headline. {part}, and {headline} is {why}.", bold=True, colour="red")


def _print_submission(run: Manifest) -> None:
    """Prints what a reader must know of a submission."""
    submission = run.outside or {}
    folds = " and ".join(sorted(set(submission["folds"].values())))
    count = f"{run.cohort.size} subject{'s' * (run.cohort.size != 1)}"
    console.wrapped(f"{submission['name']}: {submission['rows']} predictions of {count}; folds: {folds}")
    for target, missing in submission["missing"].items():
        by_subject = _some([f"{subject} {count}" for subject, count in missing["people"].items()])
        line = f"{target}: {missing['units']} units have no prediction; {missing['labelled']} of them have a label"
        console.wrapped(f"{line} ({by_subject})", colour="yellow")
    for reason, names in grouped((row["reason"], row["subject"]) for row in run.cohort.left_out).items():
        console.wrapped(f"not scored: {_some(names)}: {reason}")
    if run.protocol.leaks:
        console.wrapped(f"{run.protocol.name} leaks: {'; '.join(run.protocol.gives_up.values())}")
    console.wrapped("submission: training data are as declared by its author, not checked")


def _some(items: Sequence[str]) -> str:
    """A list for a line: its first items, and how many there are in all."""
    return ", ".join(items) if len(items) <= _SHOWN else f"{', '.join(items[: _SHOWN - 1])} ... ({len(items)} in all)"


_SHOWN = 6
