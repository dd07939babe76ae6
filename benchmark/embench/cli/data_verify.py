"""`embench data verify`: reads a dataset from end to end and reports what cannot be used."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embench import registry
from embench.cli import console
from embench.cli.options import DataRoot, Dataset, Json
from embench.cli.progress import Steps
from embench.cli.tables import fields, show_table
from embench.errors import CheckFailed, DataError, PluginError, UsageError

if TYPE_CHECKING:
    from embench.data.checks import CheckedFiles
    from embench.interfaces.dataset import Card

_SHOWN = 50
"""Findings that are printed; `--json` has all."""


def verify(
    dataset: Dataset,
    data_root: DataRoot = None,
    share: Annotated[
        Path | None, Option(help="Write a report that can be shared: no samples, labels, names or paths.")
    ] = None,
    force: Annotated[
        bool,
        Option("--force", help="Read every file anew, also if its size and time are unchanged; and the cache."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read all files of a dataset and report what is missing, damaged or odd; exit with 1 if some are unusable."""
    if share and (share.is_dir() or not share.absolute().parent.is_dir()):  # checked now, not after reading for an hour
        raise UsageError(f"{share} cannot be written", where="--share", expected="a file in an existing folder")
    with console.stdout_kept(as_json):
        from embench.data.checks import check_dataset_files, unread
        from embench.data.describe import DataReport
        from embench.data.find import open_dataset, place
        from embench.data.verified import remember
        from embench.store import cache_root
        from embench.store.fingerprint import synthetic

        entry, folder = place(dataset, data_root)
        name, code = entry.full_name, registry.code_identity("dataset", entry.full_name)
        report, card = DataReport(), registry.load("dataset", entry.full_name).card
        try:
            reader = open_dataset(dataset, data_root)
            card, generated = reader.card, synthetic(reader.root) is not None
            with Steps("subjects", "verified") as steps:
                visit = report.add if share else None
                checked = check_dataset_files(reader, name, cache_root(), steps, visit, force)
        except (DataError, PluginError) as error:  # then above all a report is of use to who mends the reader
            if share and folder.is_dir():
                _write_report(share, report.document(name, code, card, unread(folder, error.what), synthetic=False))
            raise
        remember(reader, code, checked, cache_root())
    if share:
        _write_report(share, report.document(name, code, card, checked, synthetic=generated))
    console.answer(as_json, _document(dataset, checked, generated), lambda: _show(reader.root, reader.card, checked))
    if checked.errors:
        raise CheckFailed(f"{checked.errors} of {len(checked.findings)} findings are errors", where=str(reader.root))


def _write_report(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8", newline="\n")
    console.note(f"{path}: read it before sharing; it holds no samples, labels, names or paths")


def _document(dataset: str, checked: CheckedFiles, generated: bool) -> dict[str, Any]:
    found = Counter(finding.where for finding in checked.findings)
    return {
        "dataset": dataset,
        "synthetic": generated,
        "people": checked.subjects,
        "recordings": checked.recordings,
        "hours": {modality: round(hours, 4) for modality, hours in checked.hours.items()},
        "labels": {name: vars(count) for name, count in checked.labels.items()},
        "files": [
            {"name": file.name, "bytes": file.size, "sha256": file.sha256, "findings": found[file.name]}
            for file in checked.files
        ],
        "findings": [{"severity": f.severity, "where": f.where, "what": f.what} for f in checked.findings],
    }


def _show(root: Path, card: Card, checked: CheckedFiles) -> None:
    channels = {name: str(len(own.channels)) for name, own in card.modalities.items()}
    show_table(
        {"modality": name, "recorded": f"{hours:.2f} h", "channels": channels.get(name)}
        for name, hours in checked.hours.items()
    )
    labels = ({"label": name, **vars(count)} for name, count in checked.labels.items())
    show_table(labels, fields("label", "kind", "recordings", "values", "missing"))
    show_table(checked.findings[:_SHOWN], fields("severity", "where", "what"))
    if len(checked.findings) > _SHOWN:
        console.echo(f"and {len(checked.findings) - _SHOWN} more findings; --json shows all")
    megabytes = sum(file.size for file in checked.files) / 1e6
    files = f"{len(checked.files)} files, {megabytes:,.0f} MB"
    console.echo(f"{checked.subjects} subjects, {checked.recordings} recordings, {files}")
    if not checked.findings:
        console.echo(f"{root}: no findings, everything is usable")
