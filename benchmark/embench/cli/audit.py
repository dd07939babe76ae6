"""`embench audit`: what would make a run wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, Json, TrustCode
from embench.errors import UsageError
from embench.screen.progress import Progress

if TYPE_CHECKING:
    from embench.records.audit import Audit

_COLOURS = {"severe": "red", "warning": "yellow", "note": None}
_LONG = 200
"""Characters of a long list or mapping of the evidence that are printed."""


def audit(
    run: Annotated[Path, Argument(metavar="RUN|FILE", help="Folder of a run, or a CSV file of predictions.")],
    retrain: Annotated[
        int, Option(min=0, help="Retrain N times on permuted labels; scores above chance indicate a leak.")
    ] = 0,
    dataset: Annotated[
        str | None, Option(help="Dataset that FILE predicts, or the folder of your own data that the run used.")
    ] = None,
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    out: Annotated[Path | None, Option(help="Folder for audit.json; default: the folder of the run.")] = None,
    as_json: Json = False,
) -> None:
    """Check a run or predictions for faults; exit with 1 if a finding is severe."""
    if out and out.exists() and not out.is_dir():  # said now, not after minutes
        raise UsageError(f"{out} is not a folder", where="--out", expected="a folder; embench creates a missing one")
    from embench import audits

    folder = run if run.is_dir() else _scored(run, dataset, data_root)
    with Progress() as progress:
        result = audits.audit_run(
            folder,
            dataset=dataset,
            data_root=data_root,
            retrained=retrain,
            out=out,
            trust_code=trust_code or folder != run,  # names in a record that was made just now are the user's own
            progress=progress.event,
        )
    console.answer(as_json, result.json(), lambda: print_audit(result))
    if result.counts["severe"]:
        raise typer.Exit(1)


def _scored(file: Path, dataset: str | None, data_root: Path | None) -> Path:
    """The record that `embench score` makes of a file."""
    from embench.runs import external

    if dataset is None:
        raise UsageError(
            f"{file} is not the folder of a run",
            where="embench audit",
            expected="the folder of a run, or a file of predictions with --dataset",
        )
    return external.score(file, dataset, data_root=data_root).folder


def print_audit(result: Audit, *, skipped: bool = True) -> None:
    """The findings, the severe ones first, and the `skipped` checks, or how many they are."""
    from embench.records.audit import format_counts, skipped_lines

    for name, finding in result.findings:
        console.wrapped(f"{finding.severity}: {finding.what} [{name}]", colour=_COLOURS[finding.severity])
        for key, value in finding.evidence.items():
            console.wrapped(f"{key}: {_words(value)}", indent="    ")
        console.wrapped(f"what to do: {finding.todo}", indent="    ")
    console.wrapped(f"{result.run}: {len(result.checks)} checks, {format_counts(result.counts)}")
    lines = skipped_lines(result.skipped)
    for line in lines if skipped else []:
        console.note(line)
    if lines and not skipped:
        console.note(f"{len(lines)} checks were skipped; --verbose prints the reasons")


def _words(value: object) -> str:
    """A value of the evidence for readers: an interval as in tables, of a long list or mapping what fits three lines.

    >>> _words({"stress: prior": {"mean": 0.0858, "std": 0.2, "low": -0.02, "high": 0.19}, "windows": [3, 4]})
    'stress: prior: 0.0858 [-0.02, 0.19]; windows: 3, 4'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        if {"mean", "low", "high"} <= value.keys():
            mean, low, high = (_words(value[name]) for name in ("mean", "low", "high"))
            return f"{mean} [{low}, {high}]"
        return _first([f"{key}: {_words(own)}" for key, own in value.items()], "; ")
    if isinstance(value, list | tuple):
        return _first([_words(one) for one in value], "; " if any(isinstance(one, Mapping) for one in value) else ", ")
    return "-" if value is None else str(value)


def _first(parts: Sequence[str], between: str) -> str:
    lengths = accumulate(len(part) + len(between) for part in parts)
    shown = max(1, sum(length <= _LONG for length in lengths))
    more = [f"and {len(parts) - shown} more"] if parts[shown:] else []
    return between.join([*parts[:shown], *more])
