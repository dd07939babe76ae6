"""An entry's controls, fitted again on the reader's own copy of the data: the scores that a method has to beat come
with its author's entry, and need not be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.metric import Undefined
from embench.leaderboard.own_data import OTHER_FILES, agreed, cohort_here, cohort_of, protocol_of, same_files
from embench.leaderboard.recompute import recomputed_scores
from embench.leaderboard.sealing import CONSTANT_CONTROLS, sealed_scores
from embench.leaderboard.shared import CONTROL_LIBRARIES, few_labels
from embench.leaderboard.verify import ANOTHER_REVISION, means_in
from embench.protocols import MADE_BY_METHOD, Protocol, recorded_given
from embench.records.differences import TOLERANCE
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, UNPREDICTED, Predictions
from embench.records.record import Record
from embench.statistics import evaluation
from embench.statistics.adding import Studies, studies_of
from embench.statistics.fold_controls import FoldControls
from embench.statistics.fold_predictions import FoldPredictions, unpredicted
from embench.system import version_of

Trained = Mapping[tuple[int, int], Sequence[int] | None]
"""(Seed, fold) -> the units (positions in the cohort) whose labels a method was fitted on; None of another dataset."""


def wrong_controls(run: Manifest, record: Record, data_root: Path | None) -> list[str] | Undefined:
    """Differences of an entry's controls from those that are fitted on the data here; undefined where there are no
    such data, or only the plan of a run shows which labels they were fitted on."""
    if any(few_labels(run)):
        return Undefined("fitted on fewer labels, which only a reproduction can draw again")
    if record.labels is None:
        return _wrong_sealed(run, record, data_root)
    cohort = cohort_of(run, record, data_root)
    if isinstance(cohort, Undefined):
        return cohort
    return agreed(run, cohort, controls_apart(run, record, cohort, _trained(run, cohort)), data_root)


def controls_apart(run: Manifest, record: Record, cohort: Cohort, trained: Trained) -> list[str]:
    """Sentences on each control of a record that differs from the one fitted on the cohort: to the last digits where
    libraries, code and preparation are those of the record, else by its scores."""
    of_itself = (MODEL, UNPREDICTED, *MADE_BY_METHOD)
    recorded = record.predictions.take(~np.isin(record.predictions["method"], of_itself))
    fitted = _refitted(run, record, cohort, trained)
    names = {name: None for part in (recorded, fitted) for name in part.texts("method").names.tolist()}
    wrong = [name for name in names if not _same(_of_control(recorded, name), _of_control(fitted, name))]
    if not wrong:
        return []
    if not _as_recorded(run, cohort):
        whole = Predictions.concatenate([record.predictions.own, fitted])
        again = recomputed_scores(replace(record, predictions=whole))
        wrong = [name for name in wrong if _scores_apart(record.scores["controls"], again["controls"], name)]
    return [f"controls: {name} is not what the data and the folds give" for name in wrong]


def _trained(run: Manifest, cohort: Cohort) -> Trained:
    """The whole training part of each fold; nothing of a method that was trained on another dataset."""
    if run.config.get("train_dataset"):
        return {}
    protocol = protocol_of(run)
    dealt = {(seed, fold.index): fold for seed in run.seeds for fold in cohort.folds(protocol, seed)}
    return {place: cohort.positions_of(fold.train).tolist() for place, fold in dealt.items()}


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


def _as_recorded(run: Manifest, cohort: Cohort) -> bool:
    """True if trees fitted here have the digits of the record's."""
    same = all(run.versions.get(name) == version_of(name) for name in CONTROL_LIBRARIES)
    return same and run.dataset.fingerprint == cohort.store.key


def _scores_apart(recorded: Mapping[str, Any], again: Mapping[str, Any], control: str) -> bool:
    """True if any score of a control differs by more than another version of a library explains."""
    was, now = (dict(means_in(scores.get(control, {}))) for scores in (recorded, again))
    return was.keys() != now.keys() or any(abs(was[name] - now[name]) > ANOTHER_REVISION for name in was)


def _wrong_sealed(run: Manifest, record: Record, data_root: Path | None) -> list[str] | Undefined:
    """Sentences on differing controls by the published digits of their headlines, for entries without predictions."""
    if run.config.get("train_dataset"):
        return Undefined("the method was trained on another dataset")
    cohort = cohort_here(run, data_root)
    if isinstance(cohort, Undefined):
        return cohort
    if run.dataset.files is not None and not same_files(run, cohort, data_root):
        return OTHER_FILES
    protocol = protocol_of(run)
    blank = list(unpredicted(cohort, protocol, run.seeds))
    given = recorded_given(run.given)
    scored = evaluation.score_predictions(blank, cohort, protocol, method=False, given=given)
    again, theirs = sealed_scores(scored.scores)["controls"], record.scores["controls"]
    left_out = {*CONSTANT_CONTROLS, *MADE_BY_METHOD}
    names = [name for name in dict.fromkeys([*theirs, *again]) if name not in left_out]
    exact = _as_recorded(run, cohort)
    wrong = [n for n in names if (theirs.get(n) != again.get(n) if exact else _scores_apart(theirs, again, n))]
    said = [f"scores.json: controls.{name}: not what the data and the folds give" for name in wrong]
    return agreed(run, cohort, said, data_root)
