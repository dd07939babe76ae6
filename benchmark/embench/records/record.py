"""The folder of a run or of a published entry: written whole or not at all, read with its schema checked."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from embench import registry
from embench.errors import CheckFailed, DataError
from embench.files import (
    MOST_BYTES,
    MOST_YAML,
    cached,
    cached_call,
    digest,
    folder_mode,
    make_folder,
    parse_json,
    parse_yaml,
    read_arrays,
    read_bytes,
    read_text,
    reading,
    saving,
    sealed_yaml,
    sha256,
    unsealed_yaml,
    unzipped,
    write_text,
    write_whole,
)
from embench.protocols import MADE_BY_METHOD
from embench.records.digits import nine_digits
from embench.records.manifest import (
    SCHEMA,
    EntryPart,
    Manifest,
    check_manifest,
    check_texts,
    without_schema,
)
from embench.records.predictions import (
    COUNTS_LOST,
    COUNTS_TIED,
    EMBEDDINGS_FILE,
    MODEL,
    UNPREDICTED,
    Columns,
    Labels,
    Predictions,
    TextColumn,
    as_scored,
    format_columns,
    read_columns,
)
from embench.records.pretraining_comparison import RANDOM
from embench.records.scores import Scores
from embench.registry.fragments import HINT, installed_only
from embench.vocabulary import collect_texts, has_control, iterate_texts, names_code, names_file_code, names_path

# The files of a published entry: the method's own numbers in its folder, and shared files in `<board>/shared/`, once
# for all entries of a leaderboard. These are the predicted rows, labels, folds, and the predictions and scores of
# confound-only models. Each shared file is named by a digest of its content.

ENTRY_VERSION = 2
"""Version of the format of entries. Entries without a version hold gzipped tables of their own, as a run does."""
SHARED_FOLDER = "shared"
PREDICTIONS_FILE = "predictions.npz"

SharedKind = Literal["rows", "labels", "folds", "confound_only", "confound_only_scores"]
_SUFFIXES: dict[SharedKind, str] = {
    "rows": ".csv.gz",
    "labels": ".csv.gz",
    "folds": ".csv.gz",
    "confound_only": ".npz",
    "confound_only_scores": ".json",
}
SHARED_KINDS = tuple(_SUFFIXES)
_ROW = Predictions.FIXED
"""The columns of the table of predicted rows, which entries share."""

Numbers = Mapping[str, np.ndarray]
"""Name -> numbers (n,), uint8, float32 or float64."""


def shared_folder(entry: Path) -> Path:
    """Return the folder `<board>/shared` of the files that the entry `<board>/<protocol>/<id>` shares with others."""
    return Path(entry).resolve().parent.parent / SHARED_FOLDER


def shared_path(folder: Path, kind: SharedKind, name: str) -> Path:
    """Return the path of the shared file of a kind, such as `rows`, whose content has the digest `name`."""
    return Path(folder) / f"{kind}-{name}{_SUFFIXES[kind]}"


def shared_files(folder: Path, parts: EntryPart) -> Iterator[Path]:
    """Return paths of the shared files of the entry in `folder`, whether they exist or not."""
    names = {kind: getattr(parts, kind) for kind in SHARED_KINDS}
    return (shared_path(shared_folder(folder), kind, name) for kind, name in names.items() if name)


def share_text(folder: Path, kind: SharedKind, text: str) -> str:
    """Write a text to its shared file unless this file exists; return the text's digest."""
    name = digest_of_text(text)
    path = shared_path(folder, kind, name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
        write_whole(path, lambda whole: whole.write_bytes(packed))
    return name


def share_numbers(folder: Path, kind: SharedKind, numbers: Numbers) -> str:
    """Write numbers to their shared file unless this file exists; return the numbers' digest."""
    name = digest_of_numbers(numbers)
    path = shared_path(folder, kind, name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_numbers(path, numbers)
    return name


def read_shared_text(folder: Path, kind: SharedKind, name: str) -> str:
    """Read a shared text. Raises DataError if the file is missing, damaged or does not match its name."""
    path = shared_path(folder, kind, name)
    with _reading(path):
        content = read_bytes(path)
        if path.suffix == ".gz":
            content = unzipped(content, path)
        text = content.decode()
    _check_name(path, name, _digest(content))
    return text


def read_shared_numbers(folder: Path, kind: SharedKind, name: str) -> dict[str, np.ndarray]:
    """Read shared numbers. Raises DataError if the file is missing, damaged or does not match its name."""
    path = shared_path(folder, kind, name)
    with _reading(path):
        numbers = _read_planes(path)
    _check_name(path, name, digest_of_numbers(numbers))
    return numbers


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(
        path,
        missing="a file that entries of this leaderboard have in common is missing",
        home="the entry in its place below `leaderboards/`, with the folder `shared` of its dataset",
    )


def _check_name(path: Path, name: str, digest: str) -> None:
    if digest != name:
        raise DataError(
            "the file was altered: its content does not match the digest in its name",
            where=str(path),
            expected=f"the digest {name}, but it is {digest}",
            hint="restore the file, or publish the run again",
        )


def digest_of_text(text: str) -> str:
    """Return the digest by which the shared file with this text is named."""
    return _digest(text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def digest_of_numbers(numbers: Numbers) -> str:
    """Return the digest of names, types and values, which does not depend on the compression."""
    digest = hashlib.sha256()
    for name in sorted(numbers):
        values = numbers[name]
        digest.update(f"{name} {values.dtype.str} {values.size}\n".encode() + values.tobytes())
    return digest.hexdigest()[:32]


def write_numbers(path: Path, numbers: Numbers) -> None:
    """Write an NPZ file. Each array (n,) is stored as uint8 (1, 4 or 8, n): the first bytes of all numbers, then the
    second bytes and so on, because similar bytes compress well together."""
    planes = {
        name: np.ascontiguousarray(np.ascontiguousarray(v).view(np.uint8).reshape(len(v), v.itemsize).T)
        for name, v in numbers.items()
    }

    def put(whole: Path) -> None:
        with whole.open("wb") as file:
            np.savez_compressed(file, **planes)  # type: ignore[arg-type]  # numpy's own flags are keywords as well

    write_whole(path, put)


def read_numbers(path: Path) -> dict[str, np.ndarray]:
    """Return the numbers that `write_numbers` wrote. Raises DataError where the file is missing or damaged."""
    with reading(path, home="the entry's own predictions"):
        return _read_planes(path)


def _read_planes(path: Path) -> dict[str, np.ndarray]:
    """Return name -> numbers (n,) from a file of `write_numbers`, whose arrays are planes of bytes (1, 4 or 8, n)."""
    kinds, planes = {1: "u1", 4: "<f4", 8: "<f8"}, read_arrays(path)
    if any(p.dtype != np.uint8 or p.ndim != 2 or len(p) not in kinds for p in planes.values()):
        raise DataError("an array does not consist of numbers", where=str(path), expected="as embench wrote it")
    return {name: np.ascontiguousarray(p.T).view(kinds[len(p)])[:, 0] for name, p in planes.items()}


def split_predictions(predictions: Predictions) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split predictions into three parts, from which `join_predictions` restores them exactly.

    Returns:
        The predicted rows as CSV text, sorted by target, unit and seed. Name -> numbers (n,) of the scored method for
        these rows (`score`) and of its comparisons (`no_calibration/score`). Name -> numbers (n,) of the confound-only
        models (`elapsed_time/score`). Numbers are not finite where a unit has no prediction or a model does not apply.

    Raises:
        DataError: a method predicts a row twice, or a confound-only model predicts a row that the scored method lacks.
    """
    model = predictions.own
    model = model.take(_sort_rows(model))
    own_numbers, confound_only = _pack_numbers(_mark_unpredicted(model)), dict[str, np.ndarray]()
    for name in sorted(set(predictions.texts("method").names.tolist()) - {MODEL, UNPREDICTED}):
        numbers = own_numbers if name in MADE_BY_METHOD else confound_only
        rows = predictions.take(predictions.rows_with(method=name))
        at = _find_rows(rows, model)
        if (at < 0).any() or not np.diff(np.sort(at)).all():
            raise DataError(f"`{name}` predicts a unit twice, or one that the model does not", where="predictions")
        for column, values in _pack_numbers(rows).items():
            padded = values.copy() if len(rows) == len(model) else np.full(len(model), np.nan, np.float64)
            padded[at] = values
            numbers[f"{name}/{column}"] = padded
    codes = _get_codes(model, "target", "unit", "seed")
    if (
        not np.any([np.diff(code) for code in codes], axis=0).all()  # only then can a row be there twice
        and len(set(_get_row_keys(model))) < len(model)
    ):
        raise DataError("the model predicts a unit twice", where="predictions")
    text = cached_call((_format_rows, model.content(*_ROW)), lambda: _format_rows(model))
    return text, own_numbers, confound_only


def _format_rows(model: Predictions) -> str:
    return format_columns({**{name: model[name] for name in _ROW}, "method": np.full(len(model), MODEL)})


def _get_codes(predictions: Predictions, *names: str) -> list[np.ndarray]:
    """Return (n,) numbers for each column, in the order of its values. Tables that were taken from one table have equal
    numbers for equal texts."""
    stored = [predictions.table.stored[name] for name in names]
    return [column.code if isinstance(column, TextColumn) else column for column in stored]


def _sort_rows(predictions: Predictions) -> np.ndarray:
    """Return the positions (n,) of the rows, sorted by target, unit and seed."""
    return np.lexsort(_get_codes(predictions, "seed", "unit", "target"))


def _find_rows(rows: Predictions, model: Predictions) -> np.ndarray:
    """Return (n,) the position of each row in the sorted rows of the model, which were taken from the same table; -1
    for a row that the model lacks."""
    order = _sort_rows(rows)
    pairs = zip(_get_codes(rows.take(order), *_ROW[1:-1]), _get_codes(model, *_ROW[1:-1]), strict=True)
    if all(np.array_equal(one, other) for one, other in pairs):
        at = np.empty(len(rows), np.int64)
        at[order] = np.arange(len(rows))
        return at
    position = {row: i for i, row in enumerate(_get_row_keys(model))}
    return np.array([position.get(row, -1) for row in _get_row_keys(rows)], np.int64)


def join_predictions(rows: str, own: Numbers, confound_only: Numbers, path: Path) -> Predictions:
    """Return the predictions from the three parts of `split_predictions`; `path`: file of the rows, for messages.

    Raises:
        DataError: the parts do not fit together.
    """
    table = read_columns(rows, path)
    models = _join_methods(table, confound_only, path, own=False)
    return Predictions.concatenate([*_join_methods(table, own, path, own=True), *models])


def _join_methods(table: Columns, numbers: Numbers, path: Path, *, own: bool) -> list[Predictions]:
    """Return the predictions of each method. `own`: whether these are the scored method and its comparisons, or the
    confound-only models."""
    methods: dict[str, dict[str, np.ndarray]] = {MODEL: {}} if own else {}
    for name, values in numbers.items():
        method = name.rpartition("/")[0]
        if own != (method in ("", *MADE_BY_METHOD)):
            raise DataError(f"`{name}` is in the wrong place", where=str(path), expected="as embench wrote it")
        methods.setdefault(method or MODEL, {})[name.rpartition("/")[2]] = values
    parts = []
    for method, columns in methods.items():
        if any(len(values) != table.rows for values in columns.values()):
            raise DataError(f"the numbers of `{method}` do not fit the rows that were predicted", where=str(path))
        part = Predictions(Columns({**table.stored, "method": TextColumn.same(method, table.rows), **columns}))
        known = np.isfinite(np.stack(list(columns.values()))).any(0)
        parts.append(part.take(known))
        if method == MODEL and not known.all():
            parts.append(_make_unpredicted(part.take(~known)))
    return parts


def _mark_unpredicted(model: Predictions) -> Predictions:
    """Return the scored method's rows. In rows of units without a prediction, numbers are inf for ties, else NaN."""
    missing = model.rows_with(method=UNPREDICTED)
    if not missing.any():
        return model
    counted = as_scored(model["score"])
    numbers = [name for name in model.columns if name not in Predictions.FIXED]
    return Predictions({**model.columns, **{name: np.where(missing, counted, model[name]) for name in numbers}})


def _make_unpredicted(rows: Predictions) -> Predictions:
    """Return the rows of `UNPREDICTED`, from the model's rows without a finite number."""
    tied = np.isinf([rows[name] for name in rows.columns if name not in Predictions.FIXED]).any(0)
    nothing = {name: np.full(len(rows), np.nan) for name in rows.columns if name not in Predictions.FIXED}
    method = TextColumn.same(UNPREDICTED, len(rows))
    return Predictions(
        Columns({**rows.table.stored, **nothing, "method": method, "score": np.where(tied, COUNTS_TIED, COUNTS_LOST)})
    )


def _get_row_keys(predictions: Predictions) -> list[tuple[object, ...]]:
    """Return (target, fold, seed, subject, recording, stimulus, unit) of each row."""
    return list(zip(*(predictions[name].tolist() for name in _ROW[1:-1]), strict=True))


def _pack_numbers(predictions: Predictions) -> dict[str, np.ndarray]:
    """Return scores and decisions, each in the smallest data type that is exact."""
    packed = {}
    for name in predictions.columns:
        if name not in Predictions.FIXED:
            values = predictions[name]
            narrow = [values.astype(np.float32)]
            if name == "decision":
                narrow.insert(0, np.nan_to_num(narrow[0]).clip(0, 255).astype(np.uint8))
            packed[name] = cached_call((_pack, name, digest(values)), partial(_pack, name, values, narrow))
    return packed


def _pack(name: str, values: np.ndarray, narrow: Sequence[np.ndarray]) -> np.ndarray:
    exact = (each for each in narrow if np.array_equal(_to_scored(each, name), values, equal_nan=True))
    return next(exact, values)


def _to_scored(values: np.ndarray, column: str) -> np.ndarray:
    """Return float64 numbers, scores rounded as in `Predictions`."""
    return values.astype(np.float64) if column == "decision" else nine_digits(values.astype(np.float64))


RUN_FILE = "run.yaml"
TUNING_FILE = "tuning.json"
"""The choices of a tuned run, see `embench.planning.tuning`."""
FILES = "files"
"""Field of run.yaml: name of each other file of the record -> its SHA-256."""
FOLD_FIELDS = ("subject", "group", "fold", "role", "seed", "reason")


@dataclass(frozen=True)
class Record:
    """A whole run except for its weights.

    Args:
        run: content of run.yaml without its schema (see `Manifest`).
        labels: None in an entry of a dataset whose labels are not public; such an entry has no predictions either.
        folds: rows of `FOLD_FIELDS`. `reason`: id of the reason why a subject is excluded (see `cohort.left_out`).
        history: what the stages reported, as rows with any fields.
    """

    run: Mapping[str, Any]
    predictions: Predictions
    labels: Labels | None
    folds: Sequence[Mapping[str, Any]]
    scores: Scores
    history: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @cached_property
    def manifest(self) -> Manifest:
        """`run` as a checked `Manifest`."""
        return check_manifest(self.run, RUN_FILE)

    @property
    def groups(self) -> dict[str, str]:
        """Subject -> group of subjects who were recorded together."""
        return {row["subject"]: row["group"] for row in self.folds}

    @property
    def sessions(self) -> Mapping[str, float] | None:
        """Subject -> length of the session in s; None in records without it."""
        return self.run["cohort"].get("session_s")


def write_record(folder: Path, record: Record) -> Manifest:
    """Write the record into `folder`, next to existing files such as weights. Each file is written elsewhere and then
    renamed. run.yaml comes last, with the hashes of the others, so that a folder without run.yaml is not a record.

    Raises:
        DataError: `record.run` lacks a field. MachineError: the disk is full or read-only.
    """
    folder = Path(folder)
    manifest = check_manifest(record.run, f"{folder / 'run.yaml'}")
    with saving("the run's record", folder):
        make_folder(folder, folder_mode(manifest.card.labels_public))
        for name in ("run.yaml", "audit.json"):  # an audit applies only to the record that it was made of
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / "predictions.csv.gz", record.predictions.write)
        if record.labels is not None:
            write_whole(folder / "labels.csv.gz", record.labels.write)
        write_text(folder / "folds.csv", format_csv(record.folds, FOLD_FIELDS))
        write_text(folder / "scores.json", _as_json(dict(record.scores)))
        if record.history:
            names = dict.fromkeys(name for row in record.history for name in row)
            write_text(folder / "history.csv", format_csv(record.history, list(names)))
        write_text(folder / RUN_FILE, sealed_yaml(as_yaml({"schema": SCHEMA, **record.run, FILES: _hash_all(folder)})))
    return manifest


def read_record(folder: Path, *, models: bool = True) -> Record:
    """Return the record of a run, or of a published entry. Entries, and records by older versions without checksums,
    are not verified.

    Args:
        models: False to omit an entry's predictions of shared confound-only models, which take most of the time.

    Raises:
        DataError: a file is missing or damaged, or run.yaml breaks its schema. CheckFailed: a file was changed after
            the record was written.
    """
    folder = Path(folder)
    run = read_run(folder)
    manifest = check_manifest(run, str(folder / RUN_FILE))
    if manifest.entry is not None:
        return _read_entry(folder, run, manifest.entry, models)
    check_neighbours(folder, run, _READ)
    labels, history = folder / "labels.csv.gz", folder / "history.csv"
    return Record(
        run={name: value for name, value in run.items() if name != FILES},
        predictions=Predictions.read(folder / "predictions.csv.gz"),
        labels=Labels.read(labels) if labels.exists() else None,
        folds=_read_rows(folder / "folds.csv", FOLD_FIELDS),
        scores=read_scores(folder),
        history=_read_rows(history) if history.exists() else (),
    )


def write_entry(folder: Path, record: Record, shared: Path) -> None:
    """Write the record of a run as a published entry into the new folder `folder`. Parts that it shares with other
    entries are written to the files in `shared`. run.yaml comes last.

    Raises:
        DataError: the record is inconsistent. OSError: the disk refuses.
    """
    parts: dict[str, Any] = {"version": ENTRY_VERSION}
    folder.mkdir(parents=True)
    if record.labels is not None:
        rows, numbers, confound_only = split_predictions(record.predictions)
        write_numbers(folder / PREDICTIONS_FILE, numbers)
        parts["rows"] = share_text(shared, "rows", rows)
        parts["labels"] = share_text(shared, "labels", format_columns(record.labels.columns))
        parts["confound_only"] = share_numbers(shared, "confound_only", confound_only)
    parts["folds"] = share_text(shared, "folds", format_csv(record.folds, FOLD_FIELDS))
    by_model = record.scores["confound_only"]
    made_by_method = {name: value for name, value in by_model.items() if name in MADE_BY_METHOD}
    others = {name: value for name, value in by_model.items() if name not in made_by_method}
    parts["confound_only_scores"] = share_text(shared, "confound_only_scores", _as_json(others))
    own_scores = {name: value for name, value in record.scores.items() if name not in ("confound_only", "folds")}
    own_scores |= {"confound_only": made_by_method} if made_by_method else {}
    write_text(folder / "scores.json", _as_json(own_scores))
    write_text(folder / "run.yaml", as_yaml({"schema": SCHEMA, **record.run, "entry": parts}))


def digests_of(record: Record) -> dict[str, str]:
    """Return name -> digest of the parts that an audit reads: `folds` and, if labels are public, `predictions`,
    `labels` and `confound_only`. A run and its published entry have equal digests."""

    def of_folds() -> str:
        return digest_of_text(format_csv(record.folds, FOLD_FIELDS))

    digests = {"folds": cached_call((digests_of, record.folds), of_folds)}
    if record.labels is not None:
        rows, numbers, confound_only = split_predictions(record.predictions)
        of_rows = cached_call((digest_of_text, rows), partial(digest_of_text, rows))
        digests["predictions"] = digest_of_text(f"{of_rows} {digest_of_numbers(numbers)}")
        digests["labels"] = _digest_labels(record.labels)
        digests["confound_only"] = digest_of_numbers(confound_only)
    return digests


@cached
def _digest_labels(labels: Labels) -> str:
    return digest_of_text(format_columns(labels.columns))


def _read_entry(folder: Path, run: Mapping[str, Any], parts: EntryPart, models: bool) -> Record:
    shared = shared_folder(folder)
    predictions, labels = Predictions.none(), None
    if parts.rows and parts.labels and parts.confound_only:
        table, path = _read_shared_columns(shared, "rows", parts.rows), shared_path(shared, "rows", parts.rows)
        own = _join_methods(table, read_numbers(folder / PREDICTIONS_FILE), path, own=True)
        others = _read_shared_models(shared, parts.rows, parts.confound_only) if models else ()
        predictions = Predictions.concatenate([*own, *others])
        labels = _read_shared_labels(shared, parts.labels)
    return Record(run, predictions, labels, _read_shared_folds(shared, parts.folds), read_scores(folder, parts))


@cached
def _read_shared_columns(shared: Path, kind: SharedKind, name: str) -> Columns:
    return read_columns(read_shared_text(shared, kind, name), shared_path(shared, kind, name))


@cached
def _read_shared_models(shared: Path, rows: str, name: str) -> list[Predictions]:
    """Return the predictions of each confound-only model. `rows`, `name`: digests of the rows and of the numbers."""
    numbers = read_shared_numbers(shared, "confound_only", name)
    return _join_methods(
        _read_shared_columns(shared, "rows", rows), numbers, shared_path(shared, "rows", rows), own=False
    )


@cached
def _read_shared_labels(shared: Path, name: str) -> Labels:
    return Labels(_read_shared_columns(shared, "labels", name))


def read_folds(folder: Path, run: Manifest) -> list[dict[str, Any]]:
    """Return the folds of a run, or of a published entry. Raises DataError if they are missing or damaged."""
    return (
        _read_shared_folds(shared_folder(folder), run.entry.folds)
        if run.entry
        else _read_rows(Path(folder) / "folds.csv", FOLD_FIELDS)
    )


@cached
def _read_shared_folds(shared: Path, name: str) -> list[dict[str, Any]]:
    return _parse_rows(read_shared_text(shared, "folds", name), shared_path(shared, "folds", name), FOLD_FIELDS)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a run. Raises DataError if run.yaml is missing or damaged, CheckFailed if it was edited."""
    return check_manifest(read_run(folder), str(Path(folder) / RUN_FILE))


def read_run(folder: Path) -> Any:
    """Return the content of a record's run.yaml, without its schema. Raises DataError if the file is missing, not YAML
    or of another schema, CheckFailed if it was edited."""
    path = Path(folder) / RUN_FILE
    return without_schema(read_sealed(path), str(path))


def check_neighbours(folder: Path, run: Mapping[str, Any], names: Iterable[str]) -> None:
    """Compare the files `names` of a record with the hashes in its run.yaml, if it has hashes. A file may be absent if
    run.yaml has no hash of it.

    Raises:
        CheckFailed: a file was changed or added after the record was written. DataError: a file is missing, or cannot
            be read.
    """
    recorded = run.get(FILES)
    if not isinstance(recorded, Mapping):
        return
    for name in names:
        path = Path(folder) / name
        try:
            if path.is_file() and sha256(path) != recorded.get(name):
                raise _make_edited_error(path)
            if not path.is_file() and name in recorded:
                raise DataError("the file is missing", where=str(path), expected="the folder of a finished run")
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


_READ = ("predictions.csv.gz", "labels.csv.gz", "folds.csv", "scores.json", "history.csv", EMBEDDINGS_FILE, TUNING_FILE)


def _hash_all(folder: Path) -> dict[str, str]:
    """Return the path inside the folder -> SHA-256 of each file of a record except run.yaml."""
    paths = [path for name in _READ if (path := folder / name).is_file()]
    paths += sorted((folder / "weights").glob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def _make_edited_error(path: Path) -> CheckFailed:
    return CheckFailed(
        "the file was changed after the record was written",
        where=str(path),
        expected="the record as embench wrote it",
        hint="restore the file; or move the folder away and rerun the same command, which writes the record again",
    )


def read_scores(folder: Path, parts: EntryPart | None = None) -> Scores:
    """Return the scores of a run from its `scores.json`. For a published entry, give the `parts` in its run.yaml: they
    name the shared file with the scores of confound-only models, which are added. Entries have no scores of folds.

    Raises:
        DataError: a file is missing, not JSON or malformed, or the entry is of a later version.
    """
    path = Path(folder) / "scores.json"
    scores = _parse_json(_read_text(path), path)
    if parts is not None and isinstance(scores, Mapping):
        own = {name: made for name, made in scores.get("confound_only", {}).items() if name in MADE_BY_METHOD}
        scores = {**scores, "confound_only": {**_read_shared_scores(folder, parts), **own}}
    check_texts(scores, str(path))
    return Scores(without_schema(scores, str(path)), str(path))


def _read_shared_scores(folder: Path, parts: EntryPart) -> Any:
    if parts.version > ENTRY_VERSION:
        raise DataError(
            f"the entry has version {parts.version} of its format",
            where=str(folder),
            expected=f"{ENTRY_VERSION} or less",
            hint="update embench",
        )
    shared = shared_folder(folder)
    text = read_shared_text(shared, "confound_only_scores", parts.confound_only_scores)
    return _parse_json(text, shared_path(shared, "confound_only_scores", parts.confound_only_scores))


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _parse_json(text: str, path: Path) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise DataError(f"the file is not JSON: {error}", where=str(path)) from error


def read_yaml(path: Path) -> Any:
    """Return the plain values of a YAML file. Raises DataError if the file is missing or not YAML."""
    return _parse_yaml(_read_text(path, MOST_YAML), path)


def read_sealed(path: Path) -> Any:
    """Return the plain values of a YAML file with a seal (a last line with a hash, see `sealed_yaml`), or of an older
    file without one. Raises DataError if the file is missing or not YAML, CheckFailed if its text was edited."""
    text, sound = unsealed_yaml(_read_text(path))
    if sound is False:
        raise _make_edited_error(path)
    content = _parse_yaml(text, path)
    if sound is None and isinstance(content, Mapping) and FILES in content and path.name == RUN_FILE:
        raise _make_edited_error(path)  # the line with the seal was deleted
    return content


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise DataError(f"the file is not YAML: {error}", where=str(path)) from error


def as_yaml(content: Mapping[str, Any]) -> str:
    """Return the text of a YAML file, keys in the order of `content`."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(content), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120))


def format_csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Return rows as CSV; missing fields are blank."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_rows(path: Path, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    return _parse_rows(_read_text(path), path, names)


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


def _read_text(path: Path, most: int = MOST_BYTES) -> str:
    with reading(path, home="the folder of a finished run"):
        return read_text(path, most)


# Names in records: their resolution, and names that only their author's machine knows.

LOCAL_OPTIONS = ("data_root", "runs", "pretrained", "pretrainers")
"""Options that may name paths on a user's machine; the record has hashes and names instead, in other fields."""


def board_name(dataset: str) -> str:
    """Return the name of a dataset's folder of leaderboards: without the bundled package, and with `-` for `/`."""
    return dataset.removeprefix(f"{registry.BUNDLED}/").replace("/", "-")


@contextmanager
def names_resolved(
    records: Sequence[tuple[Path, Record]], *, trust_code: bool = False, given: str | None = None
) -> Iterator[None]:
    """Resolve plugin names in records (folder, record) to installed packages only, inside the context. A method that
    was passed as a Python object needs no code, since the record describes it.

    Args:
        trust_code: whether classes in files may be imported, since the user trusts the authors of the records.
        given: a folder of data that the user named; it may be read, too.

    Raises:
        CheckFailed: without `trust_code`, a field names a class in a file.
    """
    for folder, record in () if trust_code else records:
        for place, text in iterate_texts(record.run):
            if names_file_code(text):
                raise CheckFailed(
                    f"the record names code in a file, which is not run: {text}",
                    where=f"{folder / 'run.yaml'}, {place}",
                    expected="names of installed plugins",
                    hint=HINT,
                )
    where = ", ".join(str(folder / "run.yaml") for folder, _ in records)
    with installed_only(where, trust_code=trust_code, given=given):
        yield


def is_own(dataset: str) -> bool:
    """Return True if a full name in records is the name of own recordings.

    >>> is_own("own/study"), is_own("embench_plugins/own")
    (True, False)
    """
    return dataset.startswith("own/")


def public_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of run.yaml without `LOCAL_OPTIONS`, and with names in place of paths."""
    config = dict(run["config"])
    if "request" in config:
        options = config["request"].items()
        public = {name: value for name, value in options if name not in LOCAL_OPTIONS or value == RANDOM}
        if "protocol" in public:
            public["protocol"] = run["protocol"]["name"]
        for option, part in (("dataset", "dataset"), ("train_dataset", "trained_on")):
            if names_path(str(public.get(option))):
                public[option] = run[part]["name"]
        config["request"] = public
    return {**run, "config": config}


def private_fields(content: Any) -> list[str]:
    """Return the fields of a record's file that name a class in a file, or a path on this machine."""
    wrong = {text for text in collect_texts(content) if names_code(text) or names_path(text)}
    return [field for field, text in iterate_texts(content) if text in wrong] if wrong else []


def strip_variant(dataset: str) -> str:
    """Return `package/name` of a dataset's full name `package/name/variant`: variants have the same subjects. The name
    of a class in a file is returned unchanged."""
    return dataset if ":" in dataset else "/".join(dataset.split("/")[:2])
