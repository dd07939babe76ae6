"""Check entries against the reader's own copy of the dataset, and against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from embench.data.cohort import Cohort, FewLabels, card_for_protocol, cohort_labels, repaired_share
from embench.data.find import Source, find_source
from embench.data.pseudonyms import KEY_FILE
from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.leaderboard.rows import CONTROL_LIBRARIES, board_of, few_labels, fitted_on, shared_by
from embench.leaderboard.verify import ANOTHER_REVISION, means_in, protocol_of, recompute
from embench.leaderboard.withheld import CONSTANT_CONTROLS, SEAL_FILE, compare_seal, sealed_scores, tested_subjects
from embench.protocols import MADE_BY_METHOD, Protocol, recorded_given
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, UNPREDICTED, Labels, Predictions, as_scored
from embench.records.record import RUN_FILE, Record, is_own, read_manifest, read_record, read_scores
from embench.records.scores import NUISANCES_DIFFER, TOLERANCE, differences
from embench.registry import releases_of
from embench.statistics import evaluation
from embench.statistics.confound_test import Studies, laid_out, studies_of, what_it_adds
from embench.statistics.evaluation import FoldControls, FoldPredictions, record_folds, unpredicted, wrongly_owed
from embench.statistics.scores import COMPARED
from embench.system import version_of

# An entry's labels, people, units, confound-only models and answers, compared with the reader's own copy of the data.
#
# What is compared decides whether the data here are those of the entry: labels, starts and folds. No digest of code
# does, and none that only the entry states.


class Uncompared(Undefined):
    """The reason why a comparison was not made, although there is something here to compare with."""


class DataHere(NamedTuple):
    """The subjects of a run in the data here, and how these differ from an entry of other files; empty where files or
    contents are the same."""

    cohort: Cohort
    others: str

    def agreed(self, wrong: list[str]) -> list[str] | Undefined:
        """The differences that a check found; differences from other files do not count against the entry."""
        return (
            Uncompared(f"the data here are not those of the entry: {self.others}") if wrong and self.others else wrong
        )


def data_here(folder: Path, run: Manifest, record: Record, data_root: Path | None) -> DataHere | Undefined:
    """The data of a run that are here. Data that are not prepared yet are prepared.

    Raises:
        EmbenchError: the data are damaged, or the seal is.
    """
    try:
        source = find_source(run.dataset.name, data_root)
        _ = source.reader
    except (DataError, UsageError) as error:
        return Undefined(f"not compared with the data: {error.what}")
    cohort = _cohort(source, protocol_of(run), ",".join(run.targets), tuple(run.method.modalities))
    named = run.cohort.subjects
    if is_own(run.dataset.name) and not (isinstance(named, int) or set(named) & cohort.groups.keys()):
        return Undefined(f"not compared with the data: another key of pseudonyms ({KEY_FILE.as_posix()}) is here")
    if raw_files_of(run) == source.files_digest(cohort.card):
        return DataHere(cohort, "")
    if record.labels is None:
        seal = compare_seal(folder / SEAL_FILE, _labels_of(run, cohort), source.raw_digest())
        return DataHere(cohort, "their labels were withheld with another key" if seal == "other files" else "")
    apart = [*labels_apart(record.labels, _labels_of(run, cohort)), *wrong_cohort(run, record, cohort)]
    return DataHere(cohort, apart[0] if apart else "")


_cohort = lru_cache(maxsize=16)(Source.cohort)


def wrong_labels(folder: Path, run: Manifest, record: Record, cohort: Cohort, data_root: Path | None) -> list[str]:
    """Differences between the labels of an entry, or their seal, and those of the data here."""
    labels = _labels_of(run, cohort)
    if record.labels is not None:
        return labels_apart(record.labels, labels)
    seal = compare_seal(folder / SEAL_FILE, labels, find_source(run.dataset.name, data_root).raw_digest())
    return [] if seal == "same" else [f"{SEAL_FILE}: the withheld labels are not those of the data"]


def _labels_of(run: Manifest, cohort: Cohort) -> Labels:
    if run.config.get("train_dataset"):  # its own folds are of the other dataset
        return cohort_labels(cohort, cohort.targets, {}, cohort.positions)
    folds = {seed: cohort.folds(protocol_of(run), seed) for seed in run.seeds}
    return cohort_labels(cohort, cohort.targets, folds, cohort.eligible)


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
    folds = []
    for target in cohort.targets:
        for seed in run.seeds:
            own = rows.take((rows["target"] == target.name) & (rows["seed"] == seed))
            columns = target.columns if target.traits.several else ["score"]
            scores = np.stack([own[c] for c in columns], 1)
            owed = own.rows_with(method=UNPREDICTED)
            scores[owed] = as_scored(own["score"])[owed, None]
            positions = np.array([at[name] for name in own["unit"].tolist()])
            parts.append((target, seed, positions, scores))
            folds.append((target, seed, positions, own["fold"]))
    judged = "local" if run.time_context == "unit" and not run.outside else "full"
    protocol = protocol_of(run)
    studies = studies_of(cohort, protocol, {target.name: run.seeds for target in cohort.targets})
    parts_of = map(record.scores.adds, record.scores.headlines)
    recorded = [part for part in parts_of if part and (part.placebo or part.placebo_seeds)]
    seeds = recorded[0].placebo_seeds if recorded else ()
    placebo_seeds = seeds or (run.seeds if recorded else ())  # without the name of its seeds, it is of all of them
    values, folds_of = laid_out(cohort, parts), laid_out(cohort, folds)
    found = what_it_adds(
        values, folds_of, studies, cohort, record.scores, judged, protocol, placebo_seeds=placebo_seeds
    )
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


def raw_files_of(run: Manifest) -> str | None:
    """The digest of the raw files; of entries from before it was recorded, that of the first release."""
    return run.dataset.files or next(iter(releases_of(run.dataset.name)), None)


def files_here(run: Manifest, data_root: Path | None) -> str | None:
    """The digest of the raw files and label rules of a run's dataset that are here; None where there are none."""
    try:
        source = find_source(run.dataset.name, data_root)
        return source.files_digest(card_for_protocol(protocol_of(run), source.card))
    except (DataError, UsageError):
        return None


def _by_unit(labels: Labels) -> dict[tuple[str, str, int], tuple[float, float]]:
    """(target, unit, seed) -> raw value and label, to nine digits."""
    names = zip(*(labels[name].tolist() for name in ("target", "unit", "seed")), strict=True)
    numbers = zip(*(labels[name].tolist() for name in ("raw", "label")), strict=True)
    return {
        name: (float(f"{raw:.9g}"), float(f"{label:.9g}")) for name, (raw, label) in zip(names, numbers, strict=True)
    }


# An entry's controls, fitted again on the reader's own copy of the data: the scores that a method has to beat come with
# its author's entry, and need not be trusted.

Trained = Mapping[tuple[int, int], Sequence[int] | None]
"""(Seed, fold) -> the units (positions in the cohort) whose labels a method was fitted on; None of another dataset."""


def wrong_controls(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Differences of an entry's controls from those that are fitted on the data here."""
    if record.labels is None:
        return _wrong_sealed(run, record, cohort)
    return controls_apart(run, record, cohort, _trained(run, cohort))


def controls_apart(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> list[str]:
    """Sentences on each control of a record that differs from the one fitted on the cohort: to the last digits where
    libraries are those of the record, else by its scores."""
    of_itself = (MODEL, UNPREDICTED, *MADE_BY_METHOD)
    recorded = record.predictions.take(~np.isin(record.predictions["method"], of_itself))
    fitted = _refitted(run, record, cohort, trained)
    names = {name: None for part in (recorded, fitted) for name in part.texts("method").names.tolist()}
    wrong = [name for name in names if not _same(_of_control(recorded, name), _of_control(fitted, name))]
    if not wrong:
        return []
    if not _as_recorded(run):
        whole = Predictions.concatenate([record.predictions.own, fitted])
        again = recompute(replace(record, predictions=whole))
        wrong = [name for name in wrong if _scores_apart(record.scores["controls"], again["controls"], name)]
    return [f"controls: {name} is not what the data and the folds give" for name in wrong]


def _trained(run: Manifest, cohort: Cohort) -> Trained:
    """The units of each fold whose labels a run may use; nothing of a method that was trained on another dataset."""
    if run.config.get("train_dataset"):
        return {}
    protocol, lots = protocol_of(run), FewLabels(*few_labels(run))
    trained = dict[tuple[int, int], Sequence[int] | None]()
    for seed in run.seeds:
        for fold in cohort.folds(protocol, seed):
            train, asked = (cohort.positions_of(ids) for ids in (fold.train, (*fold.val, *fold.test)))
            trained[seed, fold.index] = lots.drawn(cohort, train, asked, seed, fold.index, protocol).tolist()
    return trained


def _refitted(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> Predictions:
    """The rows of all controls, for the units that the record's method answers or owes."""
    protocol, rows = protocol_of(run), record.predictions.own
    controls = FoldControls(cohort, protocol, _studies(run, cohort, protocol), recorded_given(run.given))
    first, later = set(cohort.positions), {i: k for k, i in enumerate(cohort.eligible)}  # the order of a run
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    parts: list[Predictions] = []
    for target in cohort.targets:
        of_target = rows.take(rows.rows_with(target=target.name))
        for seed, fold in of_target.distinct("seed", "fold"):
            rows_of_fold = of_target.take((of_target["seed"] == seed) & (of_target["fold"] == fold))
            tested = {position[name] for name in rows_of_fold["unit"].tolist()}
            units = np.array(sorted(tested, key=lambda i: (i not in first, later.get(i, -1))), np.int64)
            train = trained.get((seed, fold))
            of_fold = FoldPredictions(
                target, seed, fold, units, None if train is None else tuple(train), np.empty(0), np.empty(0)
            )
            parts += controls.rows(of_fold, units, {})
    return Predictions.concatenate(parts) if parts else Predictions.none()


def _studies(run: Manifest, cohort: Cohort, protocol: Protocol) -> Studies:
    """Control studies of the clock that movement sets, which protocols of version 3 show."""
    if protocol.leaks:
        return {}
    return studies_of(cohort, protocol, {target.name: run.seeds for target in cohort.targets})


def _of_control(rows: Predictions, control: str) -> Predictions:
    """The rows of one control, in an order of their own."""
    own = rows.take(rows.rows_with(method=control))
    return own.take(np.lexsort([own[name] for name in ("fold", "seed", "unit", "target")]))


def _same(old: Predictions, new: Predictions) -> bool:
    """True if two tables are of the same units with the same numbers."""
    names = ("target", "unit", "seed", "fold")
    if len(old) != len(new) or any(old[name].tolist() != new[name].tolist() for name in names):
        return False
    columns = [name for name in old.columns if name == "decision" or name.startswith("score")]
    return all(name in new.columns and np.allclose(old[name], new[name], 0, TOLERANCE, True) for name in columns)


def _as_recorded(run: Manifest) -> bool:
    """True if trees fitted here have the digits of the record's, whatever code prepared their data."""
    return all(run.versions.get(name) == version_of(name) for name in CONTROL_LIBRARIES)


def _scores_apart(recorded: Mapping[str, Any], again: Mapping[str, Any], control: str) -> bool:
    """True if any score of a control differs by more than another version of a library explains."""
    was, now = (dict(means_in(scores.get(control, {}))) for scores in (recorded, again))
    return was.keys() != now.keys() or any(abs(was[name] - now[name]) > ANOTHER_REVISION for name in was)


def _wrong_sealed(run: Manifest, record: Record, cohort: Cohort) -> list[str]:
    """Sentences on differing controls by the published digits of their headlines, for entries without predictions."""
    protocol = protocol_of(run)
    blank = list(unpredicted(cohort, protocol, run.seeds))
    given = recorded_given(run.given)
    scored = evaluation.score_predictions(blank, cohort, protocol, method=False, given=given)
    again, theirs = sealed_scores(scored.scores)["controls"], record.scores["controls"]
    left_out = {*CONSTANT_CONTROLS, *MADE_BY_METHOD}
    names = [name for name in dict.fromkeys([*theirs, *again]) if name not in left_out]
    exact = _as_recorded(run)
    wrong = [n for n in names if (theirs.get(n) != again.get(n) if exact else _scores_apart(theirs, again, n))]
    return [f"scores.json: controls.{name}: not what the data and the folds give" for name in wrong]


# Contents that all entries of a board share, whatever their methods: labels, folds and controls follow from the data,
# the protocol and the seeds. Without data, a new entry is compared with other entries.

_OTHER_LIBRARIES = 0.005
"""Largest mean difference between scores of a control that other library versions explain."""


def unlike(folder: Path, others: Iterable[Path]) -> list[str] | Undefined:
    """Differences of an entry's labels, folds and controls from those of other entries of its board, of the same
    protocol and targets; undefined where no other one confirms its controls. Of others that share all of these, one is
    read."""
    run, known = read_manifest(folder), dict[Any, Path]()
    for path in others:
        if path != folder and _facts(path).board == board_of(run):
            known.setdefault(_facts(path).shared, path)
    record = read_record(folder) if known else None
    found = [wrong for path in known.values() for wrong in _unlike(run, record, folder, path)] if record else []
    if not found and all(_facts(path).fitted != fitted_on(run) for path in known.values()):
        return Undefined("compared with no other entry: the models without a signal of none learned from these labels")
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


NEAR, WHITE = 0.995, 0.04
"""Least correlation of a fold's scores by which they may be a copy, and largest autocorrelation of noise: what
separates honest methods follows the signals and is not white in time."""
_FEWEST = 200


def copied(record: Record, other: Record) -> str:
    """How the predictions of an entry are those of another one, in words; empty where they are not, or where one method
    gives equal ones by settings that do not matter."""
    rows, theirs = (each.predictions.take(each.predictions.rows_with(method=MODEL)) for each in (record, other))
    _, at, at_other = np.intersect1d(_keys(rows, MODEL), _keys(theirs, MODEL), return_indices=True)
    rows, theirs = rows.take(at), theirs.take(at_other)
    order = np.lexsort([rows[name] for name in ("start_s", "recording", "subject", "fold", "seed", "target")])
    rows, theirs = rows.take(order), theirs.take(order)
    column = next((name for name in rows.columns if name.startswith("score") and np.isfinite(rows[name]).all()), "")
    if not (len(rows) and column in theirs.columns):
        return ""
    places = np.stack([rows.texts("target").code, rows["seed"], rows["fold"]])
    fold = np.unique(places, axis=1, return_inverse=True)[1].ravel()
    one_method = record.manifest.method.fusion == other.manifest.method.fusion
    own, others = rows[column], theirs[column]
    for scores in ((own, others), (rankdata(own), rankdata(others))):
        parts = [_apart(*(score[fold == k] for score in scores)) for k in range(fold.max() + 1)]
        equal = sum(part is not None and not part.any() for part in parts)
        if equal > len(parts) / 2 and not one_method:
            return "equal predictions"
        noise = [part / part.std() for part in parts if part is not None and part.any()]
        pairs = np.concatenate([part[1:] * part[:-1] for part in noise]) if noise else np.empty(0)
        if len(noise) > len(parts) / 4 and len(pairs) >= _FEWEST and abs(pairs.mean()) < WHITE:
            return "equal predictions but for noise"
    return ""


def copy_of(folder: Path, others: Iterable[Path]) -> str:
    """The other entry of its board whose predictions an entry repeats, and how; empty where there is none."""
    record = read_record(folder)
    for path in others if record.labels is not None else ():
        same_board = path != folder and _facts(path).board == board_of(record.manifest)
        if same_board and (how := copied(record, read_record(path))):
            return f"{how}, those of {path.name}"
    return ""


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Return the residuals (n,) of a fold's scores on another entry's, 0 where they are equal; None where they are not
    near."""
    one, other = one - one.mean(), other - other.mean()
    if not (one.std() and other.std()) or np.corrcoef(one, other)[0, 1] < NEAR:
        return None
    rest = one - other * (one @ other) / (other @ other)
    return rest if rest.std() > 1e-6 * one.std() else np.zeros_like(rest)


class _Facts(NamedTuple):
    """The facts of an entry that decide whether another one is compared with it."""

    board: tuple[Any, ...]
    fitted: tuple[Any, ...]
    shared: tuple[Any, ...]
    plugins: tuple[object, ...]


def _facts(folder: Path) -> _Facts:
    """Facts of an entry, cached until its file's size or time changes: many new entries ask for those of all others."""
    status = (folder / RUN_FILE).stat()
    return _kept_facts(folder, status.st_size, status.st_mtime_ns)


@cache
def _kept_facts(folder: Path, _size: int, _changed: int) -> _Facts:
    run = read_manifest(folder)
    return _Facts(board_of(run), fitted_on(run), shared_by(run), _plugins(run))


def _plugins(run: Manifest) -> tuple[object, ...]:
    method = run.method
    return method.encoders, method.fusion, method.pretrainers, method.modalities, run.given


def _unlike(run: Manifest, record: Record, folder: Path, path: Path) -> Iterator[str]:
    other = read_record(path)
    other_run = other.manifest
    than = f"of {path.name}, on the same leaderboard"
    if own := sorted(tested_subjects(record.folds) ^ tested_subjects(other.folds)):
        if run.dataset.files in (None, raw_files_of(other_run)):
            yield f"folds: {len(own)} people are not those {than}, of the same raw files, such as {own[0]}"
        return  # other people are a board of their own
    dealt, theirs = _dealt(record), _dealt(other)
    trained_alike = run.config.get("train_dataset") == other_run.config.get("train_dataset")
    if trained_alike and any(dealt[subject] != theirs[subject] for subject in dealt.keys() & theirs.keys()):
        yield f"folds: not dealt as those {than}"
    if run.cohort.session_s and other_run.cohort.session_s and run.cohort.session_s != other_run.cohort.session_s:
        yield f"run.yaml: cohort.session_s: not those {than}"
    same, apart = fitted_on(run) == fitted_on(other_run), MADE_BY_METHOD if run.given == other_run.given else COMPARED
    exact = all(run.versions.get(name) == other_run.versions.get(name) for name in CONTROL_LIBRARIES)
    if (record.labels is None) != (other.labels is None):
        yield f"labels: only one of two entries contains them, this one or that {than}"
        return
    if record.labels is None or other.labels is None:
        seals = [(each / SEAL_FILE).read_text().split() for each in (folder, path)]
        if len({seal[-1] for seal in seals}) == 1 and seals[0] != seals[1]:
            yield f"{SEAL_FILE}: made of other labels than that {than}"
        if same and exact and run.seeds == other_run.seeds:
            here, there = (_without_names(each.scores["controls"], apart) for each in (record, other))
            yield from [f"scores.json: controls: not those {than}"] if here != there else []
        return
    yield from labels_apart(record.labels, other.labels, than)
    units, other_units = said_of_units(record), said_of_units(other)
    if odd := sorted({row[0] for row in units - other_units} & {row[0] for row in other_units}):
        yield f"predictions: {len(odd)} units have other people, stimuli or times than those {than}, such as {odd[0]}"
    found = _controls_apart(record.predictions, other.predictions, exact=exact) if same else ()
    if names := [name for name in found if name not in apart]:
        yield f"controls: {', '.join(names)}: not those {than}"


def _without_names(controls: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: scores for name, scores in controls.items() if name not in names}


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
