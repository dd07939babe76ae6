"""The folder a run leaves behind: written whole or not at all, and read again with its schema checked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from embench.errors import DataError, MachineError
from embench.files import parse_yaml, write_text, write_whole
from embench.records import entry
from embench.records.manifest import EntryPart, Manifest, check_manifest
from embench.records.predictions import Labels, Predictions, columns_text, read_columns

FOLD_FIELDS = ("subject", "group", "fold", "role", "seed", "reason")


@dataclass(frozen=True)
class Record:
    """All of a run but its weights.

    `run` is the content of run.yaml (see `Manifest`); `folds` rows of `FOLD_FIELDS` (`reason`: why a subject is
    excluded, else blank); `history` rows with any fields: what the stages reported. In an entry of a dataset whose
    labels are not public, `labels` is None and there are no predictions.
    """

    run: Mapping[str, Any]
    predictions: Predictions
    labels: Labels | None
    folds: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def groups(self) -> dict[str, str]:
        """Subject -> group."""
        return {row["subject"]: row["group"] for row in self.folds}

    @property
    def sessions(self) -> Mapping[str, float] | None:
        """Subject -> length of the session in s; None in records that don't have it."""
        return self.run["cohort"].get("session_s")


def write_record(folder: Path, record: Record) -> Manifest:
    """Writes the record into `folder`, beside whatever is there (weights). Each file is written aside and renamed, and
    run.yaml comes last: a folder without it is no record.

    Raises:
        DataError: `record.run` lacks something. MachineError: the disk is full or read-only.
    """
    folder = Path(folder)
    manifest = check_manifest(record.run, f"{folder / 'run.yaml'}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("run.yaml", "audit.json"):  # an audit is of the record that it was made of
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / "predictions.csv.gz", record.predictions.write)
        if record.labels is not None:
            write_whole(folder / "labels.csv.gz", record.labels.write)
        write_text(folder / "folds.csv", format_csv(record.folds, FOLD_FIELDS))
        write_text(folder / "scores.json", _as_json(record.scores))
        if record.history:
            names = dict.fromkeys(name for row in record.history for name in row)
            write_text(folder / "history.csv", format_csv(record.history, list(names)))
        write_text(folder / "run.yaml", as_yaml(record.run))
    except OSError as error:
        raise MachineError(f"the run's record cannot be written: {error.strerror}", where=str(folder)) from error
    return manifest


def read_record(folder: Path) -> Record:
    """The record of a run, or of a published entry.

    Raises:
        DataError: a file is missing or damaged, or run.yaml breaks its schema.
    """
    folder = Path(folder)
    run = read_yaml(folder / "run.yaml")
    manifest = check_manifest(run, str(folder / "run.yaml"))
    if manifest.entry is not None:
        return _read_entry(folder, run, manifest.entry)
    labels, history = folder / "labels.csv.gz", folder / "history.csv"
    return Record(
        run=run,
        predictions=Predictions.read(folder / "predictions.csv.gz"),
        labels=Labels.read(labels) if labels.exists() else None,
        folds=_rows(folder / "folds.csv", FOLD_FIELDS),
        scores=read_scores(folder),
        history=_rows(history) if history.exists() else (),
    )


def write_entry(folder: Path, record: Record, shared: Path) -> None:
    """Writes the record of a run as a published entry into the new folder `folder`, and what it has in common with
    other entries among the files in `shared`. run.yaml comes last.

    Raises:
        DataError: the record is inconsistent. OSError: the disk refuses.
    """
    parts: dict[str, Any] = {"version": entry.ENTRY_VERSION}
    folder.mkdir(parents=True)
    if record.labels is not None:
        rows, model, controls = entry.split_predictions(record.predictions)
        entry.write_numbers(folder / entry.PREDICTIONS_FILE, model)
        parts["rows"] = entry.share_text(shared, "rows", rows)
        parts["labels"] = entry.share_text(shared, "labels", columns_text(record.labels.columns))
        parts["controls"] = entry.share_numbers(shared, "controls", controls)
    parts["folds"] = entry.share_text(shared, "folds", format_csv(record.folds, FOLD_FIELDS))
    scores = {name: value for name, value in record.scores.items() if name not in ("controls", "folds")}
    parts["control_scores"] = entry.share_text(shared, "control_scores", _as_json(record.scores["controls"]))
    write_text(folder / "scores.json", _as_json(scores))
    write_text(folder / "run.yaml", as_yaml({**record.run, "entry": parts}))


def _read_entry(folder: Path, run: Mapping[str, Any], parts: EntryPart) -> Record:
    shared = entry.shared_folder(folder)
    predictions, labels = Predictions.none(), None
    if parts.rows and parts.labels and parts.controls:
        predictions = entry.join_predictions(
            entry.read_shared_text(shared, "rows", parts.rows),
            entry.read_numbers(folder / entry.PREDICTIONS_FILE),
            entry.read_shared_numbers(shared, "controls", parts.controls),
            entry.shared_path(shared, "rows", parts.rows),
        )
        place = entry.shared_path(shared, "labels", parts.labels)
        labels = Labels(read_columns(entry.read_shared_text(shared, "labels", parts.labels), place))
    place = entry.shared_path(shared, "folds", parts.folds)
    folds = _parse_rows(entry.read_shared_text(shared, "folds", parts.folds), place, FOLD_FIELDS)
    return Record(run, predictions, labels, folds, read_scores(folder, parts))


def read_manifest(folder: Path) -> Manifest:
    """Raises DataError where run.yaml is missing, damaged or breaks its schema."""
    path = Path(folder) / "run.yaml"
    return check_manifest(read_yaml(path), str(path))


def read_scores(folder: Path, parts: EntryPart | None = None) -> dict[str, Any]:
    """The content of a run's `scores.json`, or of that of an entry with the `parts` that its run.yaml names: the scores
    of controls are added, those of folds are left to who computes them again.

    Raises:
        DataError: a file is missing or no JSON, or the entry is of a later version.
    """
    path = Path(folder) / "scores.json"
    if parts is None:
        return _parse_json(_text(path), path)
    if parts.version > entry.ENTRY_VERSION:
        raise DataError(
            f"the entry has version {parts.version} of its format",
            where=str(folder),
            expected=f"{entry.ENTRY_VERSION} or less",
            hint="update embench",
        )
    shared = entry.shared_folder(folder)
    of_controls = entry.read_shared_text(shared, "control_scores", parts.control_scores)
    controls = _parse_json(of_controls, entry.shared_path(shared, "control_scores", parts.control_scores))
    return {**_parse_json(_text(path), path), "controls": controls}


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _parse_json(text: str, path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise DataError(f"the file is no JSON: {error}", where=str(path)) from error
    return content


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file. Raises DataError where it is missing or no YAML."""
    try:
        return parse_yaml(_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"the file is no YAML: {error}", where=str(path)) from error


def as_yaml(content: Mapping[str, Any]) -> str:
    """The text of a YAML file, keys in the order of `content`."""
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)


def format_csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """CSV; a field that a row does not have stays blank."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(path: Path, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    return _parse_rows(_text(path), path, names)


def _parse_rows(text: str, path: Path, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if names is not None and list(reader.fieldnames or ()) != list(names):
        raise DataError("the columns do not fit", where=str(path), expected=", ".join(names))
    return list(reader)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError("the file is missing", where=str(path), expected="the folder of a finished run") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path)) from error
