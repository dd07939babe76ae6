"""An entry's labels, and what it says that it adds to clock and movement, compared with the reader's own copy of the
data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from embench.data import find
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets, cohort_labels, repaired_share
from embench.data.pseudonyms import KEY_FILE
from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.leaderboard.sealing import SEAL_FILE, compare_seal
from embench.protocols import Protocol, load_protocol, protocol_names, recorded_protocol
from embench.records.differences import NUISANCES_DIFFER, differences
from embench.records.manifest import Manifest
from embench.records.names import is_own
from embench.records.predictions import UNPREDICTED, Labels, as_scored
from embench.records.record import Record
from embench.statistics.adding import laid_out, studies_of, what_it_adds
from embench.statistics.evaluation import record_folds
from embench.statistics.fold_predictions import wrongly_owed

OTHER_FILES = Undefined("not compared with the data: the files here, or the code that prepares them, are others")

OTHER_PSEUDONYMS = Undefined(f"not compared with the data: another key of pseudonyms ({KEY_FILE.as_posix()}) is here")


def wrong_labels(folder: Path, run: Manifest, record: Record, data_root: Path | None) -> list[str] | Undefined:
    """Differences between the labels of an entry, or their seal, and those of the local data; undefined without such
    data. Data that are not prepared yet are prepared.

    Raises:
        EmbenchError: the data are damaged, or the seal is.
    """
    if run.config.get("train_dataset"):
        return Undefined("the method was trained on another dataset")
    cohort = cohort_here(run, data_root)
    if isinstance(cohort, Undefined):
        return cohort
    labels = _labels_of(run, cohort)
    if record.labels is None:
        found = compare_seal(folder / SEAL_FILE, labels, find.raw_digest_of(run.dataset.name, data_root))
        if found == "other files":
            return Undefined("not compared with the data: the files here are not those whose labels were withheld")
        return [] if found == "same" else [f"{SEAL_FILE}: the withheld labels are not those of the data"]
    return agreed(run, cohort, labels_apart(record.labels, labels), data_root)


def _labels_of(run: Manifest, cohort: Cohort) -> Labels:
    protocol = protocol_of(run)
    return cohort_labels(
        cohort,
        cohort.targets,
        {seed: cohort.folds(protocol, seed) for seed in run.seeds},
        cohort.eligible,
    )


def wrong_unpredicted(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Units of the data here that an entry neither predicts nor counts as units without a prediction."""
    return wrongly_owed(record.predictions, cohort, run.seeds)


def wrong_cohort(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Differences of an entry's people, folds, repaired units, and times and stimuli of units from those of the data
    here."""
    wrong = [] if run.config.get("train_dataset") else _wrong_folds(run, record, cohort)
    known = {(u.id, u.subject, u.recording, u.stimulus, f"{u.start_s:.6g}") for u in cohort.units}
    if odd := sorted(said_of_units(record) - known):
        wrong.append(
            f"predictions: {len(odd)} units have other people, stimuli or times in the data, such as {odd[0][0]}"
        )
    about: dict[str, Any] = {"session_s": run.cohort.session_s, "left_out": run.cohort.left_out}
    again: dict[str, Any] = {"session_s": cohort.sessions, "left_out": [dict(row) for row in cohort.excluded]}
    if run.cohort.repaired is not None:
        about["repaired"], again["repaired"] = run.cohort.repaired, repaired_share(cohort)
    return wrong + [f"run.yaml: {difference}" for difference in differences(about, again, "cohort")]


def _wrong_folds(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    protocol = protocol_of(run)
    dealt = record_folds(cohort, {seed: cohort.folds(protocol, seed) for seed in run.seeds})
    ours, theirs = ({tuple(str(row[n]) for n in _OF_FOLDS) for row in rows} for rows in (dealt, record.folds))
    wrong = sorted(row for row in ours ^ theirs if row[1])  # the others are in no fold
    if not wrong:
        return []
    seed, _, _, subject, _ = wrong[0]
    return [f"folds: the protocol deals these people otherwise, such as {subject} with seed {seed}"]


def said_of_units(record: Record) -> set[tuple[str, ...]]:
    """The unit, subject, recording, stimulus and start of all rows, as texts."""
    rows = record.predictions.distinct("unit", "subject", "recording", "stimulus", "start_s")
    return {(*names, f"{start:.6g}") for *names, start in rows}


_OF_FOLDS = ("seed", "fold", "role", "subject", "group")


def wrong_adds(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Differences between what an entry says that it adds to clock and movement and what follows from its predictions
    and the data here. Raises EmbenchError where the data are damaged."""
    units = {unit.id for unit in cohort.units}
    if unknown := [name for name in record.predictions.own["unit"].tolist() if name not in units]:
        return [f"predictions: {len(unknown)} of units that the data do not have, such as {unknown[0]}"]
    found = differences(record.scores["adds"], adds_again(run, record, cohort), "adds", NUISANCES_DIFFER)
    return [f"scores.json: {difference}" for difference in found]


def adds_again(run: Manifest, record: Record, cohort: Cohort) -> dict[str, Any]:
    """The scores of what a record's predictions add to clock and movement in the cohort's data, as in `scores.json`."""
    rows, at, parts = record.predictions.own, {unit.id: i for i, unit in enumerate(cohort.units)}, []
    for target in cohort.targets:
        for seed in run.seeds:
            own = rows.take((rows["target"] == target.name) & (rows["seed"] == seed))
            columns = target.columns if target.traits.several else ["score"]
            scores = np.stack([own[c] for c in columns], 1)
            owed = own.rows_with(method=UNPREDICTED)
            scores[owed] = as_scored(own["score"])[owed, None]
            parts.append((target, seed, np.array([at[name] for name in own["unit"].tolist()]), scores))
    judged = "local" if run.time_context == "unit" and not run.outside else "full"
    studies = studies_of(cohort, protocol_of(run), {target.name: run.seeds for target in cohort.targets})
    parts_of = map(record.scores.adds, record.scores.headlines)
    recorded = [part for part in parts_of if part and (part.placebo or part.placebo_seeds)]
    seeds = recorded[0].placebo_seeds if recorded else ()
    placebo_seeds = seeds or (run.seeds if recorded else ())  # without the name of its seeds, it is of all of them
    found = what_it_adds(laid_out(cohort, parts), studies, cohort, record.scores, judged, placebo_seeds=placebo_seeds)
    return found if seeds else {target: _without(made, "placebo_seeds") for target, made in found.items()}


def _without(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


def labels_apart(recorded: Labels, labels: Labels, those: str = "of the data") -> list[str]:
    """A sentence with the number of labels of a record that differ from those of the data, or of another record."""
    theirs, ours = _by_unit(recorded), _by_unit(labels)
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if not different:
        return []
    target, unit, _ = different[0]
    return [f"labels: {len(different)} are not those {those}, such as {target} of {unit}"]


def protocol_of(run: Manifest) -> Protocol:
    """The published rules of a run's protocol, else those that its record holds. Raises UsageError where it holds
    none."""
    about = run.protocol.content()
    recorded = None if run.protocol.name in protocol_names() else recorded_protocol(about)
    return recorded or load_protocol(run.protocol.name)


def cohort_of(run: Manifest, record: Record, data_root: Path | None) -> Cohort | Undefined:
    """The subjects of a run whose predictions are public, of the same data here. A record without a digest of its files
    is taken to be of them where its labels are; only agreement counts then, see `agreed`."""
    if record.labels is None:
        return Undefined("the labels are not public, and the entry contains none")
    cohort = cohort_here(run, data_root)
    if isinstance(cohort, Undefined):
        return cohort
    if same_files(run, cohort, data_root):
        return cohort
    known = run.dataset.files is None and not run.config.get("train_dataset")
    return cohort if known and not labels_apart(record.labels, _labels_of(run, cohort)) else OTHER_FILES


def agreed(run: Manifest, cohort: Cohort, wrong: list[str], data_root: Path | None) -> list[str] | Undefined:
    """The result of a comparison with the data; where nothing says that they are the same files, differences show no
    fault of the record: the code that prepares them may have changed."""
    return wrong if not wrong or same_files(run, cohort, data_root) else OTHER_FILES


def same_files(run: Manifest, cohort: Cohort, data_root: Path | None) -> bool:
    """True if a run was of the raw files and label rules that are here. A record older than this digest is compared by
    its prepared data, made by the same code."""
    if run.dataset.files is None:
        return run.dataset.fingerprint == cohort.store.key
    return run.dataset.files == find.files_digest(run.dataset.name, data_root, cohort.card)


def files_here(run: Manifest, data_root: Path | None) -> str | None:
    """The digest of the raw files and label rules of a run's dataset that are here; None where there are none."""
    try:
        card = card_for_protocol(protocol_of(run), find.card_of(run.dataset.name, data_root))
        return find.files_digest(run.dataset.name, data_root, card)
    except (DataError, UsageError):
        return None


def cohort_here(run: Manifest, data_root: Path | None) -> Cohort | Undefined:
    """The subjects of a run, of the data here."""
    try:
        find.open_dataset(run.dataset.name, data_root)
    except (DataError, UsageError) as error:
        return Undefined(f"not compared with the data: {error.what}")
    cohort = _cohort(run.dataset.name, data_root, protocol_of(run), tuple(run.targets), tuple(run.method.modalities))
    named = run.cohort.subjects
    if is_own(run.dataset.name) and not (isinstance(named, int) or set(named) & cohort.groups.keys()):
        return OTHER_PSEUDONYMS
    return cohort


@lru_cache(maxsize=16)
def _cohort(
    name: str, data_root: Path | None, protocol: Protocol, targets: tuple[str, ...], modalities: tuple[str, ...]
) -> Cohort:
    store = find.prepared(name, data_root, protocol)
    card = card_for_protocol(protocol, find.card_of(name, data_root))
    chosen = choose_targets(card, ",".join(targets))
    return build_cohort(store, card, chosen, list(modalities or store.modalities), protocol)


def _by_unit(labels: Labels) -> dict[tuple[str, str, int], tuple[float, float]]:
    """(target, unit, seed) -> raw value and label, to nine digits."""
    names = zip(*(labels[name].tolist() for name in ("target", "unit", "seed")), strict=True)
    numbers = zip(*(labels[name].tolist() for name in ("raw", "label")), strict=True)
    return {
        name: (float(f"{raw:.9g}"), float(f"{label:.9g}")) for name, (raw, label) in zip(names, numbers, strict=True)
    }
