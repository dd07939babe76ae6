"""Contents that all entries of a board share, whatever their methods: labels, folds and controls follow from the data,
the protocol and the seeds. Without data, a new entry is compared with other entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.leaderboard.own_data import labels_apart, said_of_units
from embench.leaderboard.sealing import SEAL_FILE
from embench.leaderboard.shared import CONTROL_LIBRARIES, board_of, few_labels, shared_by
from embench.leaderboard.verify import means_in
from embench.protocols import MADE_BY_METHOD
from embench.records.differences import TOLERANCE
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, UNPREDICTED, Predictions
from embench.records.record import RUN_FILE, Record, read_manifest, read_record, read_scores
from embench.records.superseded import SUPERSEDED_FILE
from embench.registry import releases_of
from embench.statistics.personal import COMPARED

_OTHER_LIBRARIES = 0.005
"""Largest mean difference between scores of a control that other library versions explain."""


def unlike(folder: Path, others: Iterable[Path]) -> list[str]:
    """Differences of an entry's labels, folds and controls from those of other entries of its board, of the same
    protocol and targets; nothing where there is none. Of others that share all of these, one is read."""
    run, known = read_manifest(folder), dict[Any, Path]()
    for path in others:
        if path != folder and not (path / SUPERSEDED_FILE).exists() and _facts(path).board == board_of(run):
            known.setdefault(_facts(path).shared, path)
    if not known:
        return []
    record = read_record(folder)
    found = [wrong for path in known.values() for wrong in _unlike(run, record, folder, path)]
    return list(dict.fromkeys(found))


def already_there(folder: Path, others: Iterable[Path]) -> str | None:
    """The id of another entry of the same method and the same scores to the last digit; None where there is none. Its
    request may be another one: other code may do the same."""
    run = read_manifest(folder)
    means = dict(means_in(read_scores(folder, run.entry)["scores"]))
    for path in others:
        if path != folder and _facts(path).plugins == _plugins(run):
            other = read_manifest(path)
            if dict(means_in(read_scores(path, other.entry)["scores"])) == means:
                return other.id
    return None


class _Facts(NamedTuple):
    """The facts of an entry that decide whether another one is compared with it."""

    board: tuple[Any, ...]
    shared: tuple[Any, ...]
    plugins: tuple[object, ...]


def _facts(folder: Path) -> _Facts:
    """Facts of an entry, cached until its file's size or time changes: many new entries ask for those of all others."""
    status = (folder / RUN_FILE).stat()
    return _kept_facts(folder, status.st_size, status.st_mtime_ns)


@cache
def _kept_facts(folder: Path, _size: int, _changed: int) -> _Facts:
    run = read_manifest(folder)
    return _Facts(board_of(run), shared_by(run), _plugins(run))


def _plugins(run: Manifest) -> tuple[object, ...]:
    method = run.method
    return method.encoders, method.fusion, method.pretrainers, method.modalities, run.given


def _unlike(run: Manifest, record: Record, folder: Path, path: Path) -> Iterator[str]:
    other = read_record(path)
    other_run = other.manifest
    than = f"of {path.name}, on the same leaderboard"
    if own := sorted(_people(record) ^ _people(other)):
        if run.dataset.files in (None, _files(other_run)):
            yield f"folds: {len(own)} people are not those {than}, of the same raw files, such as {own[0]}"
        return  # other people are a board of their own
    dealt, theirs = _dealt(record), _dealt(other)
    if any(dealt[subject] != theirs[subject] for subject in dealt.keys() & theirs.keys()):
        yield f"folds: not dealt as those {than}"
    if run.cohort.session_s and other_run.cohort.session_s and run.cohort.session_s != other_run.cohort.session_s:
        yield f"run.yaml: cohort.session_s: not those {than}"
    same, apart = few_labels(run) == few_labels(other_run), MADE_BY_METHOD if run.given == other_run.given else COMPARED
    exact = all(run.versions.get(name) == other_run.versions.get(name) for name in CONTROL_LIBRARIES)
    if (record.labels is None) != (other.labels is None):
        yield f"labels: only one of two entries contains them, this one or that {than}"
        return
    if record.labels is None or other.labels is None:
        seals = [(each / SEAL_FILE).read_text().split() for each in (folder, path)]
        if len({seal[-1] for seal in seals}) == 1 and seals[0] != seals[1]:
            yield f"{SEAL_FILE}: made of other labels than that {than}"
        if same and exact and run.seeds == other_run.seeds:
            here, there = (_without(each.scores["controls"], apart) for each in (record, other))
            yield from [f"scores.json: controls: not those {than}"] if here != there else []
        return
    yield from labels_apart(record.labels, other.labels, than)
    units, other_units = said_of_units(record), said_of_units(other)
    if odd := sorted({row[0] for row in units - other_units} & {row[0] for row in other_units}):
        yield f"predictions: {len(odd)} units have other people, stimuli or times than those {than}, such as {odd[0]}"
    found = _controls_apart(record.predictions, other.predictions, exact=exact) if same else ()
    if names := [name for name in found if name not in apart]:
        yield f"controls: {', '.join(names)}: not those {than}"


def _without(controls: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: scores for name, scores in controls.items() if name not in names}


def _files(run: Manifest) -> str | None:
    """The digest of the raw files; of entries from before it was recorded, that of the first release."""
    return run.dataset.files or next(iter(releases_of(run.dataset.name)), None)


def _people(record: Record) -> set[str]:
    return {str(row["subject"]) for row in record.folds if row["role"] == "test"}


def _dealt(record: Record) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(Seed, subject) -> the folds that test this subject, and the group that it is kept together with."""
    found: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for row in record.folds:
        if row["role"] == "test":
            found[str(row["seed"]), str(row["subject"])].add((str(row["fold"]), str(row["group"])))
    return found


def _controls_apart(one: Predictions, other: Predictions, *, exact: bool) -> Iterator[str]:
    """Controls whose scores differ in units that two tables share, or which one of them lacks there."""
    names = {name for part in (one, other) for name in part.texts("method").names.tolist()}
    shared = np.intersect1d(_keys(one, MODEL), _keys(other, MODEL))
    for name in sorted(names - {MODEL, UNPREDICTED}):
        (own, keys), (theirs, other_keys) = ((t.take(t.rows_with(method=name)), _keys(t, name)) for t in (one, other))
        common, at, at_other = np.intersect1d(keys, other_keys, return_indices=True)
        columns = [column for column in own.columns if column.startswith("score")]
        gaps = np.array([np.nan_to_num(np.abs(own[c][at] - theirs[c][at_other])) for c in columns])
        differ = (gaps > TOLERANCE).any() if exact else gaps.size and gaps.mean() > _OTHER_LIBRARIES
        if differ or not np.isin(shared, common).all():
            yield name


def _keys(rows: Predictions, method: str) -> np.ndarray:
    """(n,) the target, seed and unit of each row of a method, as one text."""
    own = rows.take(rows.rows_with(method=method))
    texts = zip(*(own[name].tolist() for name in ("target", "seed", "unit")), strict=True)
    return np.array([f"{target}/{seed}/{unit}" for target, seed, unit in texts], np.str_)
