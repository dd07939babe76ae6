"""`embench score`: scores predictions made by other code as it scores those of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import Confounds, DataRoot, Every, Json, ProtocolName, completes
from embench.cli.tables import grouped
from embench.planning.request import Request
from embench.records.context import TimeContext
from embench.screen.progress import Steps

if TYPE_CHECKING:
    from embench.interfaces.units import Target
    from embench.records.audit import Audit
    from embench.records.manifest import Manifest
    from embench.statistics.result import Result


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
    given: Annotated[
        str | None,
        Option(help="Calibration data under personalise-v1; default: every amount in the column `given`."),
    ] = None,
    time_context: Annotated[
        TimeContext,
        Option(help="Units of the test session that a prediction may use besides its own: none, earlier ones, any."),
    ] = "offline",
    data_root: DataRoot = None,
    out: Annotated[Path | None, Option(help="Folder of the record; default: a new folder in ./runs.")] = None,
    confounds: Confounds = True,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Score predictions from other code: primary metric, confound-only models, intervals, audit."""
    from embench import audits
    from embench.records.audit import audit_status
    from embench.runs import external

    with Steps("subjects", "prepared") as steps:
        results = external.score_each(
            file, dataset, name=name, protocol=protocol, targets=target, given=given, time_context=time_context,
            data_root=data_root, out=out, progress=steps, on_fold=steps.part("folds", "confound-only models fitted"),
            on_scored=_show_first, on_confounds=steps.part("models", "confound analysis, once for this dataset"),
            confounds=confounds, placebo=every,
        )  # fmt: skip
    # Their names are the user's own.
    audited = [audits.audit_run(each.folder, dataset=dataset, data_root=data_root, trust_code=True) for each in results]
    if as_json:
        documents = [_document(result, found) for result, found in zip(results, audited, strict=True)]
        console.document(documents if len(documents) > 1 else documents[0])
        return
    if len(results) == 1:
        _show(results[0], audited[0], dataset, data_root, every=every)
        return
    _show_several(results, out)
    for result, found in zip(results, audited, strict=True):
        console.wrapped(f"audit of {result.id}: {audit_status(found.json())}")


def _show_first(result: Result) -> None:
    """Prints on stderr what is known before the confound analysis."""
    from embench.statistics.form import first_lines

    for form in result.forms.values():
        for line in first_lines(form, follows=True):
            console.note(line)


def _document(result: Result, audited: Audit) -> dict[str, Any]:
    return {**result.json(), "outside": result.manifest["outside"], "audit": audited.json()}


def _show(result: Result, audited: Audit, dataset: str, data_root: Path | None, *, every: bool) -> None:
    from embench.cli import audit, show
    from embench.data import find
    from embench.records.record import read_manifest

    run = read_manifest(result.folder)
    show.result(result, every=every)
    for known in find.card_of(dataset, data_root).targets:
        if known.name in result.scores.headlines:
            _warn_of_scale(result, known)
    _print_submission(run, counted=any(result.scores.coverage(t) is not None for t in result.scores.headlines))
    console.echo()
    audit.print_audit(audited, skipped=console.flags.verbose)


def _show_several(results: Sequence[Result], out: Path | None) -> None:
    """Prints a row for each amount that test subjects gave, and the curve; `out`: the folder of records, if named."""
    from embench.cli import show
    from embench.report.grid_curves import write_curves
    from embench.runs.external import LEDGER

    show.results(results)
    scored = [(each.manifest, each.scores) for each in results]
    for curve, files in write_curves(scored, (out or LEDGER) / "curves"):
        show.curve(curve, files)


def _warn_of_scale(result: Result, target: Target) -> None:
    """Warns of predicted values that no label can have."""
    from embench.records.predictions import MODEL

    if target.traits.has_classes or target.scale is None:
        return
    rows = result.predictions
    values = rows["score"][rows.rows_with(method=MODEL, target=target.name)]
    low, high = target.scale
    if off := int(((values < low) | (values > high)).sum()):
        told = f"{target.name}: {off} of {len(values)} predictions are outside the scale of {low:g} to {high:g}"
        console.wrapped(f"{told}: predictions range from {values.min():.4g} to {values.max():.4g}", colour="yellow")


def _print_submission(run: Manifest, *, counted: bool) -> None:
    """Prints notes on a submission; `counted`: whether units without a prediction count."""
    from embench.runs.external import NOT_IN_FILE

    submission = run.outside or {}
    folds = " and ".join(sorted(set(submission["folds"].values())))
    labelled = run.cohort.size + sum(row["reason"] == NOT_IN_FILE for row in run.cohort.left_out)
    count = f"{run.cohort.size} of {labelled} labelled subjects"
    console.wrapped(f"{submission['name']}: {submission['rows']} predictions of {count}; folds: {folds}")
    for target, missing in submission["missing"].items():
        if not missing["labelled"]:
            continue
        by_subject = _some([f"{subject} {count}" for subject, count in missing["subjects"].items()])
        line = f"{target}: {missing['units']} units have no prediction{_in_seeds(missing, len(run.seeds))}"
        line += f"; {missing['labelled']} of these units have a label"
        console.wrapped(f"{line}; by subject: {by_subject}", colour="yellow")
    for reason, names in grouped((row["reason"], row["subject"]) for row in run.cohort.left_out).items():
        console.wrapped(f"{'lost' if counted and reason == NOT_IN_FILE else 'not scored'}: {_some(names)}: {reason}")
    if run.protocol.leaks:
        console.wrapped(f"{run.protocol.name} leaks: {'; '.join(run.protocol.gives_up.values())}")
    console.wrapped("submission: its author declared the training data; embench has not checked them")


def _in_seeds(missing: Mapping[str, Any], seeds: int) -> str:
    """States in which seeds units have no prediction; empty where there is one seed."""
    if seeds == 1:
        return ""
    if missing["predictions"] == seeds * missing["units"]:
        return f" in each of {seeds} seeds"
    return f" in some of {seeds} seeds ({missing['predictions']} predictions in all)"


def _some(items: Sequence[str]) -> str:
    """A list for a line: its first items, and how many there are in all."""
    return ", ".join(items) if len(items) <= _SHOWN else f"{', '.join(items[: _SHOWN - 1])} ... ({len(items)} in all)"


_SHOWN = 6
