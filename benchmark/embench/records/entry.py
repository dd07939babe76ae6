"""The files of a published entry: its own numbers in its folder, and beside it, once, what entries of a board share.

`<board>/shared/` holds the rows that were predicted, labels, folds, and the controls' predictions and scores. Each file
is named by a digest of its content, so that other cohorts, folds or versions of a control lie beside each other.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np

from embench.errors import DataError
from embench.files import read_arrays, read_bytes, reading, unzipped, write_whole
from embench.protocols import MADE_BY_METHOD
from embench.records.columns import Columns, TextColumn
from embench.records.manifest import EntryPart
from embench.records.predictions import (
    COUNTS_LOST,
    COUNTS_TIED,
    MODEL,
    UNPREDICTED,
    Predictions,
    as_scored,
    columns_text,
    nine_digits,
    read_columns,
)

ENTRY_VERSION = 2
"""Version of the format of entries. Entries without a version hold gzipped tables of their own, as a run does."""
SHARED_FOLDER = "shared"
PREDICTIONS_FILE = "predictions.npz"

SharedKind = Literal["rows", "labels", "folds", "controls", "control_scores"]
_SUFFIXES: dict[SharedKind, str] = {
    "rows": ".csv.gz",
    "labels": ".csv.gz",
    "folds": ".csv.gz",
    "controls": ".npz",
    "control_scores": ".json",
}
SHARED_KINDS = tuple(_SUFFIXES)
_ROW = Predictions.FIXED
"""The columns of `Predictions` with the predictions; those of the shared rows are the model's."""

Numbers = Mapping[str, np.ndarray]
"""Name -> numbers (n,), uint8, float32 or float64."""


def shared_folder(entry: Path) -> Path:
    """The folder of the files that the entry `<board>/<protocol>/<id>` shares with others of its board."""
    return Path(entry).resolve().parent.parent / SHARED_FOLDER


def shared_path(folder: Path, kind: SharedKind, name: str) -> Path:
    """The file of this kind whose content has the digest `name`."""
    return Path(folder) / f"{kind}-{name}{_SUFFIXES[kind]}"


def shared_files(folder: Path, parts: EntryPart) -> Iterator[Path]:
    """Paths of the shared files of the entry in `folder`, whether they exist or not."""
    names = {kind: getattr(parts, kind) for kind in SHARED_KINDS}
    return (shared_path(shared_folder(folder), kind, name) for kind, name in names.items() if name)


def share_text(folder: Path, kind: SharedKind, text: str) -> str:
    """Writes a text among the shared files unless it lies there; its digest."""
    content, name = text.encode(), digest_of_text(text)
    path = shared_path(folder, kind, name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
        write_whole(path, lambda whole: whole.write_bytes(packed))
    return name


def share_numbers(folder: Path, kind: SharedKind, numbers: Numbers) -> str:
    """Writes numbers among the shared files unless they lie there; their digest."""
    name = digest_of_numbers(numbers)
    path = shared_path(folder, kind, name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_numbers(path, numbers)
    return name


def read_shared_text(folder: Path, kind: SharedKind, name: str) -> str:
    """Raises DataError where the file is missing, damaged or not what its name says."""
    path = shared_path(folder, kind, name)
    with _reading(path):
        content = read_bytes(path)
        if path.suffix == ".gz":
            content = unzipped(content, path)
        text = content.decode()
    _check_name(path, name, _digest(content))
    return text


def read_shared_numbers(folder: Path, kind: SharedKind, name: str) -> dict[str, np.ndarray]:
    """Raises DataError where the file is missing, damaged or not what its name says."""
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
    """The digest by which the shared file with this text is named."""
    return _digest(text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def digest_of_numbers(numbers: Numbers) -> str:
    """The digest of names, kinds and values: how they are compressed doesn't matter."""
    digest = hashlib.sha256()
    for name in sorted(numbers):
        values = numbers[name]
        digest.update(f"{name} {values.dtype.str} {values.size}\n".encode() + values.tobytes())
    return digest.hexdigest()[:32]


def write_numbers(path: Path, numbers: Numbers) -> None:
    """Writes an NPZ file. Of each array (n,) it holds uint8 (1, 4 or 8, n), the first bytes of all numbers, then the
    second and so on: exponents lie together, and compress."""
    planes = {
        name: np.ascontiguousarray(np.ascontiguousarray(v).view(np.uint8).reshape(len(v), v.itemsize).T)
        for name, v in numbers.items()
    }

    def put(whole: Path) -> None:
        with whole.open("wb") as file:
            np.savez_compressed(file, **planes)  # type: ignore[arg-type]  # numpy's own flags are keywords as well

    write_whole(path, put)


def read_numbers(path: Path) -> dict[str, np.ndarray]:
    """The numbers that `write_numbers` wrote. Raises DataError where the file is missing or damaged."""
    with reading(path, home="the entry's own predictions"):
        return _read_planes(path)


def _read_planes(path: Path) -> dict[str, np.ndarray]:
    kinds, planes = {1: "u1", 4: "<f4", 8: "<f8"}, read_arrays(path)
    if any(p.dtype != np.uint8 or p.ndim != 2 or len(p) not in kinds for p in planes.values()):
        raise DataError("an array does not consist of numbers", where=str(path), expected="as embench wrote it")
    return {name: np.ascontiguousarray(p.T).view(kinds[len(p)])[:, 0] for name, p in planes.items()}


def split_predictions(predictions: Predictions) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The predicted rows as CSV, in the order of target, unit and seed; the method's own numbers for them, those of the
    model, not finite in units that it did not predict (see `Units`), and of what is compared with it alone
    (`nothing_given/score`); and the controls' (`elapsed_time/score`), NaN where a control has none. `join_predictions`
    gives the predictions again, exactly.

    Raises:
        DataError: a row is predicted twice by a method, or by a control and not by the model.
    """
    model = predictions.own
    model = model.take(np.lexsort((model["seed"], model["unit"], model["target"])))
    place = {row: i for i, row in enumerate(_rows(model))}
    own_numbers, controls = _numbers(_without_predictions(model)), dict[str, np.ndarray]()
    for name in sorted(set(predictions.texts("method").names.tolist()) - {MODEL, UNPREDICTED}):
        found = own_numbers if name in MADE_BY_METHOD else controls
        own = predictions.take(predictions.rows_with(method=name))
        at = np.array([place.get(row, -1) for row in _rows(own)], np.int64)
        if (at < 0).any() or not np.diff(np.sort(at)).all():
            raise DataError(f"`{name}` predicts a unit twice, or one that the model does not", where="predictions")
        for column, values in _numbers(own).items():
            every = values if len(own) == len(model) else np.full(len(model), np.nan, np.float64)
            found[f"{name}/{column}"] = every.copy()
            found[f"{name}/{column}"][at] = values
    if len(place) < len(model):
        raise DataError("the model predicts a unit twice", where="predictions")
    text = columns_text({**{name: model[name] for name in _ROW}, "method": np.full(len(model), MODEL)})
    return text, own_numbers, controls


def join_predictions(rows: str, own: Numbers, controls: Numbers, path: Path) -> Predictions:
    """The predictions that `split_predictions` took apart; `path` is that of the rows.

    Raises:
        DataError: the parts do not fit together.
    """
    about = read_columns(rows, path)
    methods: dict[str, dict[str, np.ndarray]] = {MODEL: {}}
    for name, values in (*own.items(), *controls.items()):
        method = name.rpartition("/")[0]
        if (name in own) != (method in ("", *MADE_BY_METHOD)):
            raise DataError(f"`{name}` is in the wrong place", where=str(path), expected="as embench wrote it")
        methods.setdefault(method or MODEL, {})[name.rpartition("/")[2]] = values
    parts = []
    for method, columns in methods.items():
        if any(len(values) != about.rows for values in columns.values()):
            raise DataError(f"the numbers of `{method}` do not fit the rows that were predicted", where=str(path))
        part = Predictions(Columns({**about.stored, "method": TextColumn.same(method, about.rows), **columns}))
        known = np.isfinite(np.stack(list(columns.values()))).any(0)
        parts.append(part.take(known))
        if method == MODEL and not known.all():
            parts.append(_unpredicted(part.take(~known)))
    return Predictions.concatenate(parts)


def _without_predictions(model: Predictions) -> Predictions:
    """The model's rows, with numbers that are not finite in those of `UNPREDICTED`: inf where ties, else NaN."""
    missing = model.rows_with(method=UNPREDICTED)
    if not missing.any():
        return model
    counted = as_scored(model["score"])
    numbers = [name for name in model.columns if name not in Predictions.FIXED]
    return Predictions({**model.columns, **{name: np.where(missing, counted, model[name]) for name in numbers}})


def _unpredicted(rows: Predictions) -> Predictions:
    """The rows of `UNPREDICTED`, from the model's rows without a finite number."""
    tied = np.isinf([rows[name] for name in rows.columns if name not in Predictions.FIXED]).any(0)
    nothing = {name: np.full(len(rows), np.nan) for name in rows.columns if name not in Predictions.FIXED}
    method = TextColumn.same(UNPREDICTED, len(rows))
    return Predictions(
        Columns({**rows.table.stored, **nothing, "method": method, "score": np.where(tied, COUNTS_TIED, COUNTS_LOST)})
    )


def _rows(predictions: Predictions) -> list[tuple[object, ...]]:
    return list(zip(*(predictions[name].tolist() for name in _ROW[1:-1]), strict=True))


def _numbers(predictions: Predictions) -> dict[str, np.ndarray]:
    """Scores and decisions, each in the smallest kind that is exact."""
    found = {}
    for name in predictions.columns:
        if name not in Predictions.FIXED:
            narrow = predictions[name].astype(np.float32)
            kinds = [narrow]
            if name == "decision":
                kinds.insert(0, np.nan_to_num(narrow).clip(0, 255).astype(np.uint8))
            same = (kind for kind in kinds if np.array_equal(_scored(kind, name), predictions[name], equal_nan=True))
            found[name] = next(same, predictions[name])
    return found


def _scored(values: np.ndarray, column: str) -> np.ndarray:
    """Numbers with the precision of `Predictions`."""
    return values.astype(np.float64) if column == "decision" else nine_digits(values.astype(np.float64))
