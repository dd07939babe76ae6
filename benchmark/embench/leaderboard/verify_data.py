"""Comparison of entries with the reader's own copy of the dataset, and with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from embench.data.cohort import Cohort, FewLabels, card_for_protocol, compute_cohort_labels, compute_repaired_share
from embench.data.find import Source, find_source
from embench.data.pseudonyms import KEY_FILE
from embench.errors import DataError, UsageError
from embench.files import cached, cached_call, digest
from embench.interfaces.metric import Undefined
from embench.leaderboard.rows import (
    CONTROL_LIBRARIES,
    build_board_key,
    build_controls_key,
    build_shared_key,
    get_label_limits,
)
from embench.leaderboard.verify import ANOTHER_REVISION, list_means, recompute, resolve_protocol
from embench.leaderboard.withheld import (
    CONSTANT_MODELS,
    LABEL_HMAC_FILE,
    compare_label_hash,
    redact_scores,
    tested_subjects,
)
from embench.protocols import MADE_BY_METHOD, Protocol, recorded_given
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, UNPREDICTED, Labels, Predictions, as_scored
from embench.records.record import RUN_FILE, Record, is_own, read_manifest, read_record, read_scores
from embench.records.scores import NUISANCES_DIFFER, TOLERANCE, differences
from embench.registry import find_releases
from embench.statistics import evaluation
from embench.statistics.confound_blocks import ConfoundBlocks
from embench.statistics.confound_test import (
    Begin,
    Studies,
    make_confound_blocks,
    make_studies,
    run_confound_test,
    scores_by_seed,
)
from embench.statistics.evaluation import (
    FoldConfounds,
    FoldPredictions,
    empty_predictions,
    find_miscounted_units,
    record_folds,
)
from embench.statistics.nuisance_columns import Study
from embench.statistics.scores import COMPARED
from embench.system import installed_version

# Comparison of an entry's labels, subjects, units, confound-only models and answers with the reader's own copy of the
# data.
#
# Labels, starts and folds show whether the data here are those of the entry. Digests of code, or digests that only the
# entry states, would prove nothing.


class Uncompared(Undefined):
    """The reason why a comparison was not made, although the data to compare with exist."""


class LocalData(NamedTuple):
    """The data of a run's subjects on this machine. `difference`: how they differ from the entry's data; empty if they
    agree."""

    cohort: Cohort
    difference: str

    def judge(self, wrong: list[str]) -> list[str] | Undefined:
        """Return the faults `wrong` of a check. If the data differ, return `Uncompared` instead of faults."""
        if wrong and self.difference:
            return Uncompared(f"the data here are not those of the entry: {self.difference}")
        return wrong


def load_local_data(folder: Path, run: Manifest, record: Record, data_root: Path | None) -> LocalData | Undefined:
    """Load the data of a run, prepared if necessary. Return `Undefined` if this machine does not have them.

    Raises:
        EmbenchError: the data or the file of withheld labels are damaged.
    """
    try:
        source = find_source(run.dataset.name, data_root)
        _ = source.reader  # raises DataError if the folder of raw files does not exist
    except (DataError, UsageError) as error:
        return Undefined(f"not compared with the data: {error.what}")
    cohort = _cohort(source, resolve_protocol(run), ",".join(run.targets), tuple(run.method.modalities))
    subjects = run.cohort.subjects
    if is_own(run.dataset.name) and not (isinstance(subjects, int) or set(subjects) & cohort.groups.keys()):
        return Undefined(f"not compared with the data: another key of pseudonyms ({KEY_FILE.as_posix()}) is here")
    if get_raw_files_digest(run) == source.files_digest(cohort.card):
        return LocalData(cohort, "")
    if record.labels is None:
        match = compare_label_hash(folder / LABEL_HMAC_FILE, _compute_labels(run, cohort), source.raw_digest())
        return LocalData(cohort, "their labels were withheld with another key" if match == "other files" else "")
    wrong = [*compare_labels(record.labels, _compute_labels(run, cohort)), *find_wrong_cohort(run, record, cohort)]
    return LocalData(cohort, wrong[0] if wrong else "")


_cohort = lru_cache(maxsize=16)(Source.cohort)


def find_wrong_labels(folder: Path, run: Manifest, record: Record, cohort: Cohort, data_root: Path | None) -> list[str]:
    """Return differences between the labels of an entry, or their HMAC, and the labels of the data on this machine."""
    labels = _compute_labels(run, cohort)
    if record.labels is not None:
        return compare_labels(record.labels, labels)
    match = compare_label_hash(folder / LABEL_HMAC_FILE, labels, find_source(run.dataset.name, data_root).raw_digest())
    return [] if match == "same" else [f"{LABEL_HMAC_FILE}: the withheld labels are not those of the data"]


def _compute_labels(run: Manifest, cohort: Cohort) -> Labels:
    """Return the labels of a run's targets, computed from the data of the cohort, once within a snapshot."""
    key = _compute_labels, cohort, resolve_protocol(run).hash, tuple(run.seeds), bool(run.config.get("train_dataset"))
    return cached_call(key, partial(_compute_labels_of, run, cohort))


def _compute_labels_of(run: Manifest, cohort: Cohort) -> Labels:
    if run.config.get("train_dataset"):  # its folds are those of the training dataset
        return compute_cohort_labels(cohort, cohort.targets, {}, cohort.positions)
    folds = {seed: cohort.folds(resolve_protocol(run), seed) for seed in run.seeds}
    return compute_cohort_labels(cohort, cohort.targets, folds, cohort.eligible)


def find_wrong_unpredicted(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return the units in the data on this machine that an entry neither predicts nor counts as unpredicted. Within a
    snapshot, entries with the same rows share the result."""
    rows = record.predictions.own
    unpredicted = digest(rows["score"][rows.rows_with(method=UNPREDICTED)])
    key = (
        find_wrong_unpredicted,
        rows.content("method", "target", "seed", "unit"),
        unpredicted,
        cohort,
        tuple(run.seeds),
    )
    return cached_call(key, lambda: [*find_miscounted_units(rows, cohort, run.seeds)])


def find_wrong_cohort(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return differences between an entry and the data on this machine: in folds, in the subject, time and stimulus of
    units, in session lengths, excluded subjects and the proportion of repaired units."""
    wrong = [] if run.config.get("train_dataset") else _wrong_folds(run, record, cohort)
    if odd := sorted(list_unit_facts(record) - _list_known_units(cohort)):
        wrong.append(
            f"predictions: {len(odd)} units have other people, stimuli or times in the data, such as {odd[0][0]}"
        )
    about: dict[str, Any] = {"session_s": run.cohort.session_s, "left_out": run.cohort.left_out}
    again: dict[str, Any] = {"session_s": cohort.sessions, "left_out": [dict(row) for row in cohort.excluded]}
    if run.cohort.repaired is not None:
        about["repaired"], again["repaired"] = run.cohort.repaired, compute_repaired_share(cohort)
    return wrong + [f"run.yaml: {difference}" for difference in differences(about, again, "cohort")]


@cached
def _list_known_units(cohort: Cohort) -> set[tuple[str, ...]]:
    """Return the facts of all units in the data, as `list_unit_facts` returns those of a record."""
    return {(u.id, u.subject, u.recording, u.stimulus, f"{u.start_s:.6g}") for u in cohort.units}


def _wrong_folds(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return a sentence if the protocol assigns subjects to other folds than the record does; else no sentence."""
    protocol, seeds = resolve_protocol(run), tuple(run.seeds)

    def list_expected() -> set[tuple[str, ...]]:
        return _list_fold_rows(record_folds(cohort, {seed: cohort.folds(protocol, seed) for seed in seeds}))

    ours = cached_call((_wrong_folds, cohort, protocol.hash, seeds), list_expected)
    theirs = cached_call((_list_fold_rows, record.folds), lambda: _list_fold_rows(record.folds))
    wrong = sorted(row for row in ours ^ theirs if row[1])  # rows without a fold are of excluded subjects
    if not wrong:
        return []
    seed, _, _, subject, _ = wrong[0]
    return [f"folds: the protocol deals these people otherwise, such as {subject} with seed {seed}"]


def _list_fold_rows(rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, ...]]:
    return {tuple(str(row[name]) for name in _OF_FOLDS) for row in rows}


def list_unit_facts(record: Record) -> set[tuple[str, ...]]:
    """Return (unit, subject, recording, stimulus, start in s) of all rows, as texts."""
    rows = record.predictions.distinct("unit", "subject", "recording", "stimulus", "start_s")
    return {(*names, f"{start:.6g}") for *names, start in rows}


_OF_FOLDS = ("seed", "fold", "role", "subject", "group")


def find_wrong_associations(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return differences between the recorded confound analysis and the analysis that follows from the entry's
    predictions and the data on this machine. Raises EmbenchError if the data are damaged."""
    units = {unit.id for unit in cohort.units}
    if unknown := [name for name in record.predictions.own["unit"].tolist() if name not in units]:
        return [f"predictions: {len(unknown)} of units that the data do not have, such as {unknown[0]}"]
    found = differences(
        record.scores["adjusted"], recompute_association(run, record, cohort), "adjusted", NUISANCES_DIFFER
    )
    return [f"scores.json: {difference}" for difference in found]


def recompute_association(run: Manifest, record: Record, cohort: Cohort) -> dict[str, Any]:
    """Return the confound analysis of a record's predictions, computed again from the cohort's data, in the form of
    `scores.json`."""
    rows, position = record.predictions.own, {unit.id: i for i, unit in enumerate(cohort.units)}
    parts, folds = [], []
    for target in cohort.targets:
        for seed in run.seeds:
            part = rows.take((rows["target"] == target.name) & (rows["seed"] == seed))
            columns = target.columns if target.traits.has_score_per_class else ["score"]
            scores = np.stack([part[c] for c in columns], 1)
            missing = part.rows_with(method=UNPREDICTED)
            scores[missing] = as_scored(part["score"])[missing, None]
            positions = np.array([position[name] for name in part["unit"].tolist()])
            parts.append((target, seed, positions, scores))
            folds.append((target, seed, positions, part["fold"]))
    judged = "movement" if run.time_context == "unit" and not run.submission else "protocol_phase"
    protocol = resolve_protocol(run)
    studies = _make_studies(run, cohort, protocol)
    recorded = map(record.scores.get_adjusted, record.scores.primary_metrics)
    with_placebo = [each for each in recorded if each and (each.placebo or each.placebo_seeds)]
    placebo_seeds = with_placebo[0].placebo_seeds if with_placebo else ()
    values, folds_of = scores_by_seed(cohort, parts), scores_by_seed(cohort, folds)
    return run_confound_test(
        values, folds_of, studies, cohort, record.scores, judged, placebo_seeds=placebo_seeds, make_blocks=_reuse_blocks
    )


def _make_studies(run: Manifest, cohort: Cohort, protocol: Protocol) -> Studies:
    """Return the studies of a run's targets and seeds. Within a snapshot, entries of the same units share them."""
    key = (_make_studies, cohort, protocol.hash, tuple(run.seeds))
    seeds = {target.name: run.seeds for target in cohort.targets}
    return cached_call(key, lambda: make_studies(cohort, protocol, seeds))


_MOST_PARTITIONS = 10
"""Largest number of partitions whose confounds stay in memory; a large study has 100 MB of them in each."""


def _reuse_blocks(study: Study, begin: Begin) -> ConfoundBlocks:
    """Return the confounds of a study. Within a snapshot, entries with the same units, labels and folds share them."""
    models = _hash_study(study.fitted)
    blocks = cached_call(("blocks", models), lambda: make_confound_blocks(study, begin).blocks)
    known: dict[str, ConfoundBlocks] = cached_call((_reuse_blocks,), dict)
    content = digest([models, _hash_study(study)])
    if content not in known:
        if len(known) == _MOST_PARTITIONS:
            del known[next(iter(known))]
        known[content] = ConfoundBlocks(blocks, study.parts)
    return known[content]


@cached
def _hash_study(study: Study) -> str:
    """Return a digest of the data, units, labels and folds of a study."""
    folds = [[digest(train), digest(test)] for train, test in study.parts]
    about = [study.cohort.store.key, study.observed.about(""), repr(study.target), study.seed]
    return digest([*about, digest(study.y), folds])


@cached
def compare_labels(recorded: Labels, labels: Labels, those: str = "of the data") -> list[str]:
    """Return a sentence with the number of labels that differ between a record and the data; nothing where none differ.

    Args:
        those: words for the origin of `labels` in the sentence.
    """
    theirs, ours = _index_by_unit(recorded), _index_by_unit(labels)
    different = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if not different:
        return []
    target, unit, _ = different[0]
    return [f"labels: {len(different)} are not those {those}, such as {target} of {unit}"]


def get_raw_files_digest(run: Manifest) -> str | None:
    """Return the digest of a run's raw files; if the record lacks it, the digest of the dataset's first release."""
    return run.dataset.files or next(iter(find_releases(run.dataset.name)), None)


def hash_local_files(run: Manifest, data_root: Path | None) -> str | None:
    """Return the digest of the raw files of a run's dataset on this machine, and of the dataset's label rules; None if
    the dataset is not on this machine."""
    try:
        source = find_source(run.dataset.name, data_root)
        return source.files_digest(card_for_protocol(resolve_protocol(run), source.card))
    except (DataError, UsageError):
        return None


def _index_by_unit(labels: Labels) -> dict[tuple[str, str, int], tuple[float, float]]:
    """Return (target, unit, seed) -> raw value and label, to nine digits."""
    keys = zip(*(labels[name].tolist() for name in ("target", "unit", "seed")), strict=True)
    numbers = zip(*(labels[name].tolist() for name in ("raw", "label")), strict=True)
    return {key: (float(f"{raw:.9g}"), float(f"{label:.9g}")) for key, (raw, label) in zip(keys, numbers, strict=True)}


# Confound-only models, fitted again on the reader's own copy of the data, so that an author's own models need not be
# trusted.

Trained = Mapping[tuple[int, int], Sequence[int] | None]
"""(Seed, fold) -> positions of the labelled units that a method was fitted on; None if they are of another dataset."""


def find_wrong_confound_only(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return differences between an entry's confound-only models and models fitted on the data on this machine."""
    if record.labels is None:
        return _find_wrong_redacted_models(run, record, cohort)
    return compare_controls(run, record, cohort, _list_training_units(run, cohort))


def compare_controls(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> list[str]:
    """Return a sentence for each confound-only model that differs from the one fitted on the cohort. With equal library
    versions, predictions must be equal; else the scores must be close.

    Args:
        trained: see `Trained`.
    """
    rows = record.predictions
    by_method = [rows.rows_with(method=name) for name in (MODEL, UNPREDICTED, *MADE_BY_METHOD)]
    recorded = rows.take(~np.any(by_method, axis=0))
    fitted = _refit_once(run, record, cohort, trained)
    wrong = cached_call((_list_different, recorded.content(), fitted), lambda: _list_different(recorded, fitted))
    if not wrong:
        return []
    if not _is_reproducible(run):
        whole = Predictions.concatenate([record.predictions.own, fitted])
        again = recompute(replace(record, predictions=whole))
        wrong = [name for name in wrong if _scores_differ(record.scores["confound_only"], again["confound_only"], name)]
    return [f"confound_only: {name} is not what the data and the folds give" for name in wrong]


def _list_different(recorded: Predictions, fitted: Predictions) -> list[str]:
    """Return the names of the methods whose rows differ between two tables."""
    names = {name: None for part in (recorded, fitted) for name in part.texts("method").names.tolist()}
    return [
        name for name in names if not _are_equal(_select_model_rows(recorded, name), _select_model_rows(fitted, name))
    ]


def _list_training_units(run: Manifest, cohort: Cohort) -> Trained:
    """Return the labelled units on which a run may train in each fold; empty if it trained on another dataset."""
    if run.config.get("train_dataset"):
        return {}
    protocol, limits = resolve_protocol(run), FewLabels(*get_label_limits(run))
    trained = dict[tuple[int, int], Sequence[int] | None]()
    for seed in run.seeds:
        for fold in cohort.folds(protocol, seed):
            train, scored = (cohort.find_positions(ids) for ids in (fold.train, (*fold.val, *fold.test)))
            trained[seed, fold.index] = limits.drawn(cohort, train, scored, seed, fold.index, protocol).tolist()
    return trained


def _refit_once(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> Predictions:
    """Return the rows of `_refit_controls`. Within a snapshot, entries with the same tested and training units share
    them."""
    refit = partial(_refit_controls, run, record, cohort, trained)
    if run.entry is None or run.entry.rows is None or cohort.slices is not None:
        return refit()
    units = tuple((key, None if train is None else tuple(train)) for key, train in sorted(trained.items()))
    rules = (resolve_protocol(run).hash, tuple(run.seeds), run.entry.rows, units)
    data = (cohort.store.key, cohort.targets, cohort.eligible, cohort.positions)
    return cached_call((_refit_once, *data, *rules), refit)


def _refit_controls(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> Predictions:
    """Refit all confound-only models, and return their rows for the units that the method has to predict."""
    protocol, rows = resolve_protocol(run), record.predictions.own
    confound_only = FoldConfounds(
        cohort, protocol, _fit_studies(run, cohort, protocol), recorded_given(run.calibration_data)
    )
    first, rank = set(cohort.positions), {i: k for k, i in enumerate(cohort.eligible)}
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    parts: list[Predictions] = []
    for target in cohort.targets:
        of_target = rows.take(rows.rows_with(target=target.name))
        for seed, fold in of_target.distinct("seed", "fold"):
            rows_of_fold = of_target.take((of_target["seed"] == seed) & (of_target["fold"] == fold))
            tested = {position[name] for name in rows_of_fold["unit"].tolist()}
            # The order of a run: units of `positions` first, both parts in the order of `eligible`.
            units = np.array(sorted(tested, key=lambda i: (i not in first, rank.get(i, -1))), np.int64)
            train = trained.get((seed, fold))
            of_fold = FoldPredictions(
                target, seed, fold, units, None if train is None else tuple(train), np.empty(0), np.empty(0)
            )
            parts += confound_only.rows(of_fold, units, {})
    return Predictions.concatenate(parts) if parts else Predictions.none()


def _fit_studies(run: Manifest, cohort: Cohort, protocol: Protocol) -> Studies:
    """Return the studies of a run's targets and seeds, which fit protocol-phase models; empty if the protocol leaks."""
    if protocol.leaks:
        return {}
    return _make_studies(run, cohort, protocol)


def _select_model_rows(rows: Predictions, control: str) -> Predictions:
    """Return the rows of the confound-only model `control`, sorted by target, unit, seed and fold."""
    selected = rows.take(rows.rows_with(method=control))
    return selected.take(np.lexsort([selected[name] for name in ("fold", "seed", "unit", "target")]))


def _are_equal(old: Predictions, new: Predictions) -> bool:
    """Return True if two tables have the same targets, units, seeds and folds in each row, and the same numbers up to
    `TOLERANCE`."""
    names = ("target", "unit", "seed", "fold")
    if len(old) != len(new) or any(old[name].tolist() != new[name].tolist() for name in names):
        return False
    columns = [name for name in old.columns if name == "decision" or name.startswith("score")]
    return all(name in new.columns and np.allclose(old[name], new[name], 0, TOLERANCE, True) for name in columns)


def _is_reproducible(run: Manifest) -> bool:
    """Return True if the libraries that fit trees have the same versions here as in the run, so that all digits of
    confound-only models must be equal."""
    return all(run.versions.get(name) == installed_version(name) for name in CONTROL_LIBRARIES)


def _scores_differ(recorded: Mapping[str, Any], again: Mapping[str, Any], control: str) -> bool:
    """Return True if any score of the confound-only model `control` differs between two contents of `scores`, by more
    than other versions of libraries explain."""
    was, now = (dict(list_means(scores.get(control, {}))) for scores in (recorded, again))
    return was.keys() != now.keys() or any(abs(was[name] - now[name]) > ANOTHER_REVISION for name in was)


def _find_wrong_redacted_models(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Return a sentence for each confound-only model whose primary metric differs, for entries without predictions."""
    protocol = resolve_protocol(run)
    blank = list(empty_predictions(cohort, protocol, run.seeds))
    given = recorded_given(run.calibration_data)
    scored = evaluation.score_predictions(blank, cohort, protocol, method=False, given=given)
    again, theirs = redact_scores(scored.scores)["confound_only"], record.scores["confound_only"]
    left_out = {*CONSTANT_MODELS, *MADE_BY_METHOD}
    names = [name for name in dict.fromkeys([*theirs, *again]) if name not in left_out]
    exact = _is_reproducible(run)
    wrong = [n for n in names if (theirs.get(n) != again.get(n) if exact else _scores_differ(theirs, again, n))]
    return [f"scores.json: confound_only.{name}: not what the data and the folds give" for name in wrong]


# Contents that all entries of a leaderboard share: labels, folds and confound-only models follow from the data, the
# protocol and the seeds. Without data, a new entry is compared with other entries.

_OTHER_LIBRARIES = 0.005
"""Largest mean difference between scores of a confound-only model that other library versions explain."""


def find_board_differences(folder: Path, others: Iterable[Path]) -> list[str] | Undefined:
    """Return differences between an entry and the `others` of the same dataset, protocol and targets: in labels, folds
    and confound-only models. Undefined where no other entry confirms the models."""
    run, known = read_manifest(folder), dict[Any, Path]()
    for path in others:
        if path != folder and _load_facts(path).board == build_board_key(run):
            known.setdefault(_load_facts(path).shared, path)
    record = read_record(folder) if known else None
    found = (
        [wrong for path in known.values() for wrong in _compare_with_entry(run, record, folder, path)] if record else []
    )
    if not found and all(_load_facts(path).fitted != build_controls_key(run) for path in known.values()):
        return Undefined("compared with no other entry: the models without a signal of none learned from these labels")
    return list(dict.fromkeys(found))


def find_same_entry(folder: Path, others: Iterable[Path]) -> str | None:
    """Return the id of another entry with the same method and exactly the same scores; None where there is none. The
    requests of the two entries are not compared, since different requests can give the same scores."""
    run = read_manifest(folder)
    means = dict(list_means(read_scores(folder, run.entry)["scores"]))
    for path in others:
        if path != folder and _load_facts(path).plugins == _get_plugins(run):
            other = read_manifest(path)
            if dict(list_means(read_scores(path, other.entry)["scores"])) == means:
                return other.id
    return None


NEAR, WHITE = 0.995, 0.04
"""Minimum correlation of a fold's scores that suggests a copy, and maximum autocorrelation of noise that was added to
it. Differences between honest methods follow the signals, so their autocorrelation is higher."""
_FEWEST = 200
"""Minimum number of neighbouring residuals from which the autocorrelation is estimated."""


def describe_copy(record: Record, other: Record) -> str:
    """Return in words how the predictions of an entry copy those of another entry; empty if they do not. Two entries
    with the same fusion may have equal predictions, since some settings do not matter."""
    rows, theirs = (each.predictions.take(each.predictions.rows_with(method=MODEL)) for each in (record, other))
    _, at, at_other = np.intersect1d(_build_keys(rows, MODEL), _build_keys(theirs, MODEL), return_indices=True)
    rows, theirs = rows.take(at), theirs.take(at_other)
    order = np.lexsort([rows[name] for name in ("start_s", "recording", "subject", "fold", "seed", "target")])
    rows, theirs = rows.take(order), theirs.take(order)
    column = next((name for name in rows.columns if name.startswith("score") and np.isfinite(rows[name]).all()), "")
    if not (len(rows) and column in theirs.columns):
        return ""
    target_seed_fold = np.stack([rows.texts("target").code, rows["seed"], rows["fold"]])
    fold = np.unique(target_seed_fold, axis=1, return_inverse=True)[1].ravel()
    same_fusion = record.manifest.method.fusion == other.manifest.method.fusion
    own, others = rows[column], theirs[column]
    for scores in ((own, others), (rankdata(own), rankdata(others))):  # ranks show copies that were transformed
        parts = [_compute_residuals(*(score[fold == k] for score in scores)) for k in range(fold.max() + 1)]
        equal = sum(part is not None and not part.any() for part in parts)
        if equal > len(parts) / 2 and not same_fusion:
            return "equal predictions"
        noise = [part / part.std() for part in parts if part is not None and part.any()]
        pairs = np.concatenate([part[1:] * part[:-1] for part in noise]) if noise else np.empty(0)
        if len(noise) > len(parts) / 4 and len(pairs) >= _FEWEST and abs(pairs.mean()) < WHITE:
            return "equal predictions but for noise"
    return ""


def find_copy(folder: Path, others: Iterable[Path]) -> str:
    """Return in words how an entry copies the predictions of an entry on its leaderboard, and which; empty if not."""
    record = read_record(folder)
    for path in others if record.labels is not None else ():
        same_board = path != folder and _load_facts(path).board == build_board_key(record.manifest)
        if same_board and (how := describe_copy(record, read_record(path))):
            return f"{how}, those of {path.name}"
    return ""


def _compute_residuals(one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Return the residuals (n,) of a fold's scores `one` (n,) regressed on another entry's scores `other` (n,): zeros
    where they are proportional, None where their correlation is below `NEAR`."""
    one, other = one - one.mean(), other - other.mean()
    if not (one.std() and other.std()) or np.corrcoef(one, other)[0, 1] < NEAR:
        return None
    residuals = one - other * (one @ other) / (other @ other)
    return residuals if residuals.std() > 1e-6 * one.std() else np.zeros_like(residuals)


class _Facts(NamedTuple):
    """The facts of an entry that decide whether another entry is compared with it."""

    board: tuple[Any, ...]
    fitted: tuple[Any, ...]
    shared: tuple[Any, ...]
    plugins: tuple[object, ...]


def _load_facts(folder: Path) -> _Facts:
    """Return the facts of an entry. They are cached until the size or time of its `run.yaml` changes."""
    status = (folder / RUN_FILE).stat()
    return _read_facts(folder, status.st_size, status.st_mtime_ns)


@cache
def _read_facts(folder: Path, _size: int, _changed: int) -> _Facts:
    run = read_manifest(folder)
    return _Facts(build_board_key(run), build_controls_key(run), build_shared_key(run), _get_plugins(run))


def _get_plugins(run: Manifest) -> tuple[object, ...]:
    """Return the parts of a run's method, its modalities and its calibration data."""
    method = run.method
    return method.encoders, method.fusion, method.pretrainers, method.modalities, run.calibration_data


def _compare_with_entry(run: Manifest, record: Record, folder: Path, path: Path) -> Iterator[str]:
    """Yield differences between the entry in `folder` and the entry in `path`, of the same leaderboard."""
    other = read_record(path)
    other_run = other.manifest
    than = f"of {path.name}, on the same leaderboard"
    if own := sorted(tested_subjects(record.folds) ^ tested_subjects(other.folds)):
        if run.dataset.files in (None, get_raw_files_digest(other_run)):
            yield f"folds: {len(own)} people are not those {than}, of the same raw files, such as {own[0]}"
        return  # entries with other subjects have a leaderboard of their own
    folds, other_folds = _list_test_folds(record), _list_test_folds(other)
    same_training = run.config.get("train_dataset") == other_run.config.get("train_dataset")
    if same_training and any(folds[key] != other_folds[key] for key in folds.keys() & other_folds.keys()):
        yield f"folds: not dealt as those {than}"
    if run.cohort.session_s and other_run.cohort.session_s and run.cohort.session_s != other_run.cohort.session_s:
        yield f"run.yaml: cohort.session_s: not those {than}"
    same_models = build_controls_key(run) == build_controls_key(other_run)
    ignored = MADE_BY_METHOD if run.calibration_data == other_run.calibration_data else COMPARED
    exact = all(run.versions.get(name) == other_run.versions.get(name) for name in CONTROL_LIBRARIES)
    if (record.labels is None) != (other.labels is None):
        yield f"labels: only one of two entries contains them, this one or that {than}"
        return
    if record.labels is None or other.labels is None:
        hmacs = [(each / LABEL_HMAC_FILE).read_text().split() for each in (folder, path)]
        if len({texts[-1] for texts in hmacs}) == 1 and hmacs[0] != hmacs[1]:
            yield f"{LABEL_HMAC_FILE}: made of other labels than that {than}"
        if same_models and exact and run.seeds == other_run.seeds:
            here, there = (_without_names(each.scores["confound_only"], ignored) for each in (record, other))
            yield from [f"scores.json: confound_only: not those {than}"] if here != there else []
        return
    yield from compare_labels(record.labels, other.labels, than)
    units, other_units = list_unit_facts(record), list_unit_facts(other)
    if odd := sorted({row[0] for row in units - other_units} & {row[0] for row in other_units}):
        yield f"predictions: {len(odd)} units have other people, stimuli or times than those {than}, such as {odd[0]}"
    found = _compare_tables(record.predictions, other.predictions, exact=exact) if same_models else ()
    if names := [name for name in found if name not in ignored]:
        yield f"confound_only: {', '.join(names)}: not those {than}"


def _without_names(mapping: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def _list_test_folds(record: Record) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Return (seed, subject) -> the (fold, group) pairs in which this subject is tested."""
    found: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for row in record.folds:
        if row["role"] == "test":
            found[str(row["seed"]), str(row["subject"])].add((str(row["fold"]), str(row["group"])))
    return found


def _compare_tables(one: Predictions, other: Predictions, *, exact: bool) -> Iterator[str]:
    """Yield the names of confound-only models that differ between two tables, in the units that both tables predict. A
    model that is in one table only also differs.

    Args:
        exact: True if no score may differ by more than `TOLERANCE`; False if the mean difference must be small."""
    names = {name for part in (one, other) for name in part.texts("method").names.tolist()}
    shared = np.intersect1d(_build_keys(one, MODEL), _build_keys(other, MODEL))
    for name in sorted(names - {MODEL, UNPREDICTED}):
        rows, other_rows = (table.take(table.rows_with(method=name)) for table in (one, other))
        keys, other_keys = (_build_keys(table, name) for table in (one, other))
        common, at, at_other = np.intersect1d(keys, other_keys, return_indices=True)
        columns = [column for column in rows.columns if column.startswith("score")]
        gaps = np.array([np.nan_to_num(np.abs(rows[c][at] - other_rows[c][at_other])) for c in columns])
        differ = (gaps > TOLERANCE).any() if exact else gaps.size and gaps.mean() > _OTHER_LIBRARIES
        if differ or not np.isin(shared, common).all():
            yield name


def _build_keys(rows: Predictions, method: str) -> np.ndarray:
    """Return the target, seed and unit of each row of a method as one text, (n,)."""
    selected = rows.take(rows.rows_with(method=method))
    values = zip(*(selected[name].tolist() for name in ("target", "seed", "unit")), strict=True)
    return np.array([f"{target}/{seed}/{unit}" for target, seed, unit in values], np.str_)
