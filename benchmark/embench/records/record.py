"""The folder a run leaves behind: written whole or not at all, and read again with its schema checked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from embench.checksums import sealed_yaml, unsealed_yaml
from embench.errors import CheckFailed, DataError
from embench.files import (
    MOST_BYTES,
    MOST_YAML,
    folder_mode,
    make_folder,
    parse_json,
    parse_yaml,
    read_text,
    reading,
    saving,
    sha256,
    write_text,
    write_whole,
)
from embench.protocols import MADE_BY_METHOD
from embench.records import entry
from embench.records.embeddings import EMBEDDINGS_FILE
from embench.records.manifest import EntryPart, Manifest, check_manifest, check_texts
from embench.records.predictions import Labels, Predictions, columns_text, read_columns
from embench.records.schema import SCHEMA, without_schema
from embench.records.scores import Scores
from embench.texts import has_control

RUN_FILE = "run.yaml"
TUNING_FILE = "tuning.json"
"""The choices of a tuned run, see `embench.planning.tuning`."""
FILES = "files"
"""The field of run.yaml with the SHA-256 of each file of the record beside it."""
FOLD_FIELDS = ("subject", "group", "fold", "role", "seed", "reason")


@dataclass(frozen=True)
class Record:
    """A whole run except for its weights.

    `run` is the content of run.yaml without its schema (see `Manifest`); `folds` rows of `FOLD_FIELDS` (`reason`:
    why a subject is excluded, else blank); `history` rows with any fields: what the stages reported. In an entry of a
    dataset whose labels are not public, `labels` is None and there are no predictions.
    """

    run: Mapping[str, Any]
    predictions: Predictions
    labels: Labels | None
    folds: Sequence[Mapping[str, Any]]
    scores: Scores
    history: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @cached_property
    def manifest(self) -> Manifest:
        """`run` as a model."""
        return check_manifest(self.run, RUN_FILE)

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
    run.yaml comes last, with the hashes of the others: a folder without it is no record.

    Raises:
        DataError: `record.run` lacks something. MachineError: the disk is full or read-only.
    """
    folder = Path(folder)
    manifest = check_manifest(record.run, f"{folder / 'run.yaml'}")
    with saving("the run's record", folder):
        make_folder(folder, folder_mode(manifest.card.labels_public))
        for name in ("run.yaml", "audit.json"):  # an audit is of the record that it was made of
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / "predictions.csv.gz", record.predictions.write)
        if record.labels is not None:
            write_whole(folder / "labels.csv.gz", record.labels.write)
        write_text(folder / "folds.csv", format_csv(record.folds, FOLD_FIELDS))
        write_text(folder / "scores.json", _as_json(dict(record.scores)))
        if record.history:
            names = dict.fromkeys(name for row in record.history for name in row)
            write_text(folder / "history.csv", format_csv(record.history, list(names)))
        write_text(folder / RUN_FILE, sealed_yaml(as_yaml({"schema": SCHEMA, **record.run, FILES: _sums(folder)})))
    return manifest


def read_record(folder: Path) -> Record:
    """The record of a run, or of a published entry. A record older than checksums, or an entry, has none and is not
    verified.

    Raises:
        DataError: a file is missing or damaged, or run.yaml breaks its schema. CheckFailed: a file was changed after
            the record was written.
    """
    folder = Path(folder)
    run = read_run(folder)
    manifest = check_manifest(run, str(folder / RUN_FILE))
    if manifest.entry is not None:
        return _read_entry(folder, run, manifest.entry)
    check_neighbours(folder, run, _READ)
    labels, history = folder / "labels.csv.gz", folder / "history.csv"
    return Record(
        run={name: value for name, value in run.items() if name != FILES},
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
        rows, numbers, controls = entry.split_predictions(record.predictions)
        entry.write_numbers(folder / entry.PREDICTIONS_FILE, numbers)
        parts["rows"] = entry.share_text(shared, "rows", rows)
        parts["labels"] = entry.share_text(shared, "labels", columns_text(record.labels.columns))
        parts["controls"] = entry.share_numbers(shared, "controls", controls)
    parts["folds"] = entry.share_text(shared, "folds", format_csv(record.folds, FOLD_FIELDS))
    by_control = record.scores["controls"]
    made = {name: value for name, value in by_control.items() if name in MADE_BY_METHOD}
    others = {name: value for name, value in by_control.items() if name not in made}
    parts["control_scores"] = entry.share_text(shared, "control_scores", _as_json(others))
    own = {name: value for name, value in record.scores.items() if name not in ("controls", "folds")}
    own |= {"controls": made} if made else {}
    write_text(folder / "scores.json", _as_json(own))
    write_text(folder / "run.yaml", as_yaml({"schema": SCHEMA, **record.run, "entry": parts}))


def digests_of(record: Record) -> dict[str, str]:
    """Digests of what an audit looks at, the same of a run and of the entry that is published from it: of folds, and
    where labels are public of predictions, labels and controls."""
    found = {"folds": entry.digest_of_text(format_csv(record.folds, FOLD_FIELDS))}
    if record.labels is not None:
        rows, numbers, controls = entry.split_predictions(record.predictions)
        found["predictions"] = entry.digest_of_text(f"{entry.digest_of_text(rows)} {entry.digest_of_numbers(numbers)}")
        found["labels"] = entry.digest_of_text(columns_text(record.labels.columns))
        found["controls"] = entry.digest_of_numbers(controls)
    return found


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
    return Record(run, predictions, labels, _shared_folds(folder, parts), read_scores(folder, parts))


def read_folds(folder: Path, run: Manifest) -> list[dict[str, Any]]:
    """The folds of a run, or of a published entry. Raises DataError where they are missing or damaged."""
    return _shared_folds(folder, run.entry) if run.entry else _rows(Path(folder) / "folds.csv", FOLD_FIELDS)


def _shared_folds(folder: Path, parts: EntryPart) -> list[dict[str, Any]]:
    shared = entry.shared_folder(folder)
    text = entry.read_shared_text(shared, "folds", parts.folds)
    return _parse_rows(text, entry.shared_path(shared, "folds", parts.folds), FOLD_FIELDS)


def read_manifest(folder: Path) -> Manifest:
    """Raises DataError where run.yaml is missing, damaged or breaks its schema, CheckFailed where it was edited."""
    return check_manifest(read_run(folder), str(Path(folder) / RUN_FILE))


def read_run(folder: Path) -> Any:
    """The content of a record's run.yaml, without its schema. Raises DataError where it is missing, no YAML or of
    another schema, CheckFailed where it was edited."""
    path = Path(folder) / RUN_FILE
    return without_schema(read_sealed(path), str(path))


def check_neighbours(folder: Path, run: Mapping[str, Any], names: Iterable[str]) -> None:
    """Compares files of a record with the hashes in its run.yaml, where it holds some.

    Args:
        names: of files, of which some need not exist.

    Raises:
        CheckFailed: a file was changed after the record was written, or came later. DataError: one is missing, or
            cannot be read.
    """
    recorded = run.get(FILES)
    if not isinstance(recorded, Mapping):
        return
    for name in names:
        path = Path(folder) / name
        try:
            if path.is_file() and sha256(path) != recorded.get(name):
                raise _edited(path)
            if not path.is_file() and name in recorded:
                raise DataError("the file is missing", where=str(path), expected="the folder of a finished run")
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


_READ = ("predictions.csv.gz", "labels.csv.gz", "folds.csv", "scores.json", "history.csv", EMBEDDINGS_FILE, TUNING_FILE)


def _sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of all files of a record but run.yaml."""
    beside = [folder / name for name in _READ]
    found = [*(path for path in beside if path.is_file()), *sorted((folder / "weights").glob("*.safetensors"))]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in found}


def _edited(path: Path) -> CheckFailed:
    return CheckFailed(
        "the file was changed after the record was written",
        where=str(path),
        expected="the record as embench wrote it",
        hint="restore the file; or move the folder away and rerun the same command, which writes the record again",
    )


def read_scores(folder: Path, parts: EntryPart | None = None) -> Scores:
    """A run's `scores.json`, or that of an entry with the `parts` that its run.yaml names: the scores of the controls
    that it shares are added, those of folds are left to who computes them again.

    Raises:
        DataError: a file is missing, no JSON or malformed, or the entry is of a later version.
    """
    path = Path(folder) / "scores.json"
    scores = _parse_json(_text(path), path)
    if parts is not None:
        made = {name: own for name, own in scores.get("controls", {}).items() if name in MADE_BY_METHOD}
        scores = {**scores, "controls": {**_read_control_scores(folder, parts), **made}}
    check_texts(scores, str(path))
    return Scores(scores, str(path))


def _read_control_scores(folder: Path, parts: EntryPart) -> Any:
    if parts.version > entry.ENTRY_VERSION:
        raise DataError(
            f"the entry has version {parts.version} of its format",
            where=str(folder),
            expected=f"{entry.ENTRY_VERSION} or less",
            hint="update embench",
        )
    shared = entry.shared_folder(folder)
    text = entry.read_shared_text(shared, "control_scores", parts.control_scores)
    return _parse_json(text, entry.shared_path(shared, "control_scores", parts.control_scores))


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _parse_json(text: str, path: Path) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise DataError(f"the file is not JSON: {error}", where=str(path)) from error


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file. Raises DataError where it is missing or no YAML."""
    return _parse_yaml(_text(path, MOST_YAML), path)


def read_sealed(path: Path) -> Any:
    """The plain values of a YAML file that `sealed_yaml` sealed, or of an older one. Raises DataError where it is
    missing or no YAML, CheckFailed where its text was edited."""
    text, sound = unsealed_yaml(_text(path))
    if sound is False:
        raise _edited(path)
    content = _parse_yaml(text, path)
    if sound is None and isinstance(content, Mapping) and FILES in content and path.name == RUN_FILE:
        raise _edited(path)  # its last line is gone
    return content


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise DataError(f"the file is not YAML: {error}", where=str(path)) from error


def as_yaml(content: Mapping[str, Any]) -> str:
    """The text of a YAML file, keys in the order of `content`."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(content), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120))


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
    if has_control(text):
        raise DataError("a text has control characters", where=str(path), expected="plain text")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if names is not None and list(reader.fieldnames or ()) != list(names):
        raise DataError("the columns do not fit", where=str(path), expected=", ".join(names))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}", where=str(path)) from error
    if any(None in row or None in row.values() for row in rows):
        raise DataError("lines have unequal numbers of fields", where=str(path), expected="CSV with a head line")
    return rows


def _text(path: Path, most: int = MOST_BYTES) -> str:
    with reading(path, home="the folder of a finished run"):
        return read_text(path, most)
