"""Evaluate a method: join predictions with labels and confound-only models, fold by fold, and score them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

import embench
from embench import registry
from embench.data.cohort import Cohort, label_rules
from embench.errors import DataError
from embench.files import digest
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold, Given, Leaks, Protocol, connected_groups, find_access, roles
from embench.reasons import Reason
from embench.records import TimeContext
from embench.records.manifest import (
    CardPart,
    Circumstances,
    CohortPart,
    DatasetPart,
    ProtocolPart,
)
from embench.records.predictions import (
    ANY_SEED,
    COUNTS_LOST,
    COUNTS_TIED,
    MODEL,
    UNPREDICTED,
    Columns,
    Labels,
    Predictions,
    TextColumn,
)
from embench.records.scores import Scores
from embench.statistics import SCORING_REVISION
from embench.statistics.answerable import enough_data
from embench.statistics.confound_only import (
    CONFOUND_ONLY,
    PROTOCOL_PHASE,
    ConfoundPrediction,
    ConfoundTask,
    predict_confound_only,
    reference_scores,
)
from embench.statistics.confound_test import (
    Studies,
    is_small,
    make_studies,
    predict_protocol_phases,
    run_confound_test,
    scores_by_seed,
    was_analysed,
)
from embench.statistics.joined import finite_rows
from embench.statistics.nuisance_movement import movement_features
from embench.statistics.scores import compute_scores, predict_from_calibration_data
from embench.store.store import cache_array
from embench.system import ProgressCallback, installed_version

# Predictions of a method, fold by fold. Labelled units without a prediction count in every score that
# is a proportion of comparisons.


@dataclass(frozen=True)
class FoldPredictions:
    """A method's predictions in one fold and seed of one target. Each unit occurs once per seed.

    Args:
        units: (n,) positions in the cohort.
        train: positions of the units on whose labels the method was fitted; None for a fit on another dataset.
        score: (n,) or, for several classes, (n, K). Units without a prediction are NaN, or inf if the data have no
            signal there.
        decision: (n,) predicted classes or values.
        beside: name of a comparison -> its predictions for the same units, in the form of `score`."""

    target: Target
    seed: int
    fold: int
    units: np.ndarray
    train: tuple[int, ...] | None
    score: np.ndarray
    decision: np.ndarray
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """(n,) True for units with a prediction."""
        return np.isfinite(self.score if self.score.ndim == 1 else self.score[:, 0])


def decide(target: Target, table: np.ndarray, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Return the score (n,) or (n, K) and the decision (n,) that follow from `table` (n, K), the predicted columns of a
    target."""
    score = table if target.traits.has_score_per_class else table[:, 0]
    return score, target.traits.decide(score, protocol.decision.threshold)


def empty_predictions(cohort: Cohort, protocol: Protocol, seeds: Sequence[int]) -> Iterator[FoldPredictions]:
    """Yield the folds that a method must predict, with their training and test units. All scores are 0."""
    position, keep = {unit.id: i for i, unit in enumerate(cohort.units)}, set(cohort.positions)
    for seed in seeds:
        for fold in cohort.folds(protocol, seed):
            train, test = ([i for unit in ids if (i := position[unit]) in keep] for ids in (fold.train, fold.test))
            for target in cohort.targets if train and test else ():
                nothing = decide(target, np.zeros((len(test), len(target.columns))), protocol)
                yield FoldPredictions(target, seed, fold.index, np.array(test, np.int64), tuple(train), *nothing)


def cover_tested_units(by_fold: Sequence[FoldPredictions], cohort: Cohort, protocol: Protocol) -> list[FoldPredictions]:
    """Return predictions that cover all tested units. Units without a prediction get missing scores, in the fold that
    tests their subject. If the folds are not the protocol's, these units are spread over the existing folds."""
    covering = list(by_fold)
    for target, seed in dict.fromkeys((part.target, part.seed) for part in by_fold):
        parts = {k: part for k, part in enumerate(by_fold) if (part.target, part.seed) == (target, seed)}
        outside = np.setdiff1d(cohort.tested, np.concatenate([part.units for part in parts.values()]))
        if not len(outside):
            continue
        folds = cohort.folds(protocol, seed)
        tested = {unit: fold.index for fold in folds for unit in fold.test}
        fold_of = np.array([tested.get(cohort.units[i].id, -1) for i in outside.tolist()])
        if all(tested.get(cohort.units[i].id) == part.fold for part in parts.values() for i in part.units.tolist()):
            known = {part.fold for part in parts.values()}
            covering += [_empty_fold(target, seed, fold, cohort) for fold in folds if fold.index not in known]
            place = {part.fold: k for k, part in enumerate(covering) if (part.target, part.seed) == (target, seed)}
        else:  # the folds are not the protocol's
            place = dict(enumerate(parts))
            fold_of = np.where(fold_of >= 0, fold_of % len(parts), -1)
        for fold, k in place.items():
            covering[k] = _add_unpredicted(covering[k], outside[fold_of == fold])
    return [replace(part, score=_mark_silent(part, cohort)) for part in covering]


def _empty_fold(target: Target, seed: int, fold: Fold, cohort: Cohort) -> FoldPredictions:
    """Return a fold that predicts no unit."""
    train = tuple(cohort.find_positions(fold.train).tolist())
    score = np.empty((0, len(target.columns)) if target.traits.has_score_per_class else 0)
    return FoldPredictions(target, seed, fold.index, np.empty(0, np.int64), train, score, np.empty(0))


def _add_unpredicted(of_fold: FoldPredictions, more: np.ndarray) -> FoldPredictions:
    """Return the predictions with the units `more` added, whose scores are missing."""
    nothing = np.full((len(more), *of_fold.score.shape[1:]), np.nan)
    beside = {name: np.concatenate([score, nothing]) for name, score in of_fold.beside.items()}
    return replace(
        of_fold,
        units=np.concatenate([of_fold.units, more]),
        score=np.concatenate([of_fold.score, nothing]),
        decision=np.concatenate([of_fold.decision, np.full(len(more), np.nan)]),
        beside=beside,
    )


def _mark_silent(of_fold: FoldPredictions, cohort: Cohort) -> np.ndarray:
    """Return the scores (n,) or (n, K), with inf for units that have neither a prediction nor a recorded signal."""
    if of_fold.predicted.all():
        return of_fold.score
    silent = ~of_fold.predicted & cohort.silent[of_fold.units]
    return np.where(silent.reshape(-1, *[1] * (of_fold.score.ndim - 1)), np.inf, of_fold.score)


def coverage(cohort: Cohort, by_fold: Sequence[FoldPredictions]) -> dict[str, float]:
    """Return target -> the proportion of labelled units that were predicted, over all seeds."""
    shares = {}
    for target in cohort.targets:
        parts = [of_fold for of_fold in by_fold if of_fold.target.name == target.name]
        labelled = [np.isfinite(cohort.labels(target, part.train or ())[part.units]) for part in parts]
        if required := sum(int(known.sum()) for known in labelled):
            predicted = sum(int((part.predicted & known).sum()) for part, known in zip(parts, labelled, strict=True))
            shares[target.name] = predicted / required
    return shares


def find_miscounted_units(predictions: Predictions, cohort: Cohort, seeds: Sequence[int]) -> list[Reason]:
    """Return sentences on the units of a record that are wrongly counted as unpredicted. A tested unit must be counted
    if it has a label and no prediction: as a tie without a signal, else as lost."""
    reasons = []
    ids = [unit.id for unit in cohort.select_units(cohort.tested)]
    position = dict(zip(ids, cohort.tested, strict=True))
    for target in cohort.targets:
        values = cohort.raw if target.rule.cut == "training_mean" else cohort.label
        known = np.isfinite(values[target.name][list(cohort.tested)])
        labelled = {id_ for id_, has_label in zip(ids, known.tolist(), strict=True) if has_label}
        for seed in seeds:
            rows = predictions.take(predictions.rows_with(target=target.name) & (predictions["seed"] == seed))
            missing = labelled - set(rows["unit"][rows.rows_with(method=MODEL)].tolist())
            unpredicted = rows.take(rows.rows_with(method=UNPREDICTED))
            counted = dict(zip(unpredicted["unit"].tolist(), unpredicted["score"].tolist(), strict=True))
            expected = {id_: COUNTS_TIED if cohort.silent[position[id_]] else COUNTS_LOST for id_ in missing}
            if wrong := [id_ for id_ in expected.keys() | counted.keys() if expected.get(id_) != counted.get(id_)]:
                about = {"unit": min(wrong), "target": target.name, "seed": seed}
                reasons.append(Reason.make("wrongly_counted", n=len(wrong), **about))
    return reasons


def unit_columns(of_fold: FoldPredictions, cohort: Cohort, index: np.ndarray) -> Columns:
    """Return the columns of a record that describe the units at `index`. They do not depend on the method."""
    units = cohort.select_units(index.tolist())
    n = len(units)
    return Columns(
        {
            "target": TextColumn.same(of_fold.target.name, n),
            "fold": np.full(n, of_fold.fold),
            "seed": np.full(n, of_fold.seed),
            "subject": TextColumn.of([[u.subject for u in units]]),
            "recording": TextColumn.of([[u.recording for u in units]]),
            "stimulus": TextColumn.of([[u.stimulus for u in units]]),
            "unit": TextColumn.of([[u.id for u in units]]),
            "start_s": np.array([u.start_s for u in units], np.float64),
        }
    )


def prediction_rows(
    method: str, target: Target, about: Columns, values: np.ndarray, decision: np.ndarray
) -> Predictions:
    """Return a method's predictions as rows of a record. `about`: the units' other columns, see `unit_columns`."""
    n = about.rows
    table = values.astype(np.float32).astype(np.float64)
    several = target.traits.has_score_per_class
    columns: dict[str, TextColumn | np.ndarray] = {
        **about.stored,
        "method": TextColumn.same(method, n),
        "score": np.full(n, np.nan) if several else table,
        "decision": decision,
    }
    if several:
        columns |= dict(zip(target.columns, table.T, strict=True))
    return Predictions(Columns(columns))


@dataclass(frozen=True)
class FoldConfounds:
    """The confound-only models of a cohort, fitted fold by fold.

    Args:
        studies: studies of the cohort's targets if the model `PROTOCOL_PHASE` is requested, else empty.
        given: calibration data of test subjects; None if the protocol has none."""

    cohort: Cohort
    protocol: Protocol
    studies: Studies
    given: Given | None = None

    def predict(self, of_fold: FoldPredictions, index: np.ndarray) -> dict[str, ConfoundPrediction]:
        """Return model -> its predictions for the units at `index`, or why the model does not apply. Models are fitted
        on the fold's training labels."""
        references = self.protocol.reported_references
        if of_fold.train is None:
            made: dict[str, ConfoundPrediction] = dict.fromkeys(
                (*CONFOUND_ONLY, *references), Undefined("trained_on_other_dataset")
            )
        else:
            cohort = self.cohort
            labels, train = cohort.labels(of_fold.target, of_fold.train), np.array(of_fold.train, np.int64)
            made = predict_confound_only(
                of_fold.target,
                cohort.units,
                labels,
                train,
                index,
                durations={entry.id: entry.duration_s for entry in cohort.store.recordings},
                sessions=cohort.sessions,
                movement=self._movement,
                seed=of_fold.seed,
                keep=partial(cache_array, cohort.store),
                moments=cohort.design == "shared_stimuli",
                order=cohort.design == "shared_stimuli",
            )
            made |= reference_scores(references, of_fold.target, cohort.units, labels, train, index)
            if cohort.slices is not None:
                known = train[np.isfinite(labels[train])]
                task = ConfoundTask(
                    of_fold.target, cohort.units, labels, known, index, {}, cohort.sessions, None, of_fold.seed,
                    partial(cache_array, cohort.store),
                )  # fmt: skip
                made |= predict_from_calibration_data(task, cohort.slices, cohort.placed, self.given)
        phases = self._protocol_phases.get(of_fold.target.name)
        if isinstance(phases, Undefined):
            made[PROTOCOL_PHASE] = phases
        elif phases is not None:
            made[PROTOCOL_PHASE] = decide(of_fold.target, phases[of_fold.seed][index], self.protocol)
        return made

    def rows(self, of_fold: FoldPredictions, index: np.ndarray, reasons: dict[str, str]) -> Iterator[Predictions]:
        """Yield the predictions of each model as rows of a record. `reasons` gets model -> why it does not apply."""
        about = unit_columns(of_fold, self.cohort, index)
        for name, predicted in self.predict(of_fold, index).items():
            if isinstance(predicted, Undefined):
                reasons.setdefault(name, predicted.reason)
            else:
                yield prediction_rows(name, of_fold.target, about, *predicted)

    @cached_property
    def _movement(self) -> np.ndarray | None:
        return movement_features(self.cohort)

    @cached_property
    def _protocol_phases(self) -> Mapping[str, dict[int, np.ndarray] | Undefined]:
        return predict_protocol_phases(self.cohort, self.studies)


# `run` passes its own predictions and `score` those of a submission, so that the same code scores both. Nothing here
# needs torch.


@dataclass(frozen=True)
class Evaluation:
    """A scored method in the form of its record: predictions of the method and of every confound-only model, labels,
    scores."""

    predictions: Predictions
    labels: Labels
    scores: Scores


@dataclass(frozen=True)
class ConfoundAnalysis:
    """Settings of a confound analysis. Fitting its models of confounds takes minutes; they depend on the dataset alone
    and are cached.

    Args:
        first: called with the evaluation before the analysis, if some of these models are not fitted yet.
        progress: called with (number of models begun, number of all models, the target).
        placebo: whether the placebo is computed, in the first seed."""

    first: Callable[[Evaluation], None] | None = None
    progress: ProgressCallback | None = None
    placebo: bool = False


NO_CONFOUND_ANALYSIS = Reason.make("no_confound_analysis")


def score_predictions(
    by_fold: Sequence[FoldPredictions],
    cohort: Cohort,
    protocol: Protocol,
    progress: ProgressCallback | None = None,
    *,
    whole: bool = True,
    proved: bool = True,
    method: bool = True,
    confounds: ConfoundAnalysis | None = ConfoundAnalysis(),
    given: Given | None = None,
    absent: Mapping[str, str] | None = None,
) -> Evaluation:
    """Return the scores of a method's predictions for a cohort, and of the confound-only models fitted in each fold.

    Args:
        progress: called with (folds whose confound-only models are fitted, folds in all, the target).
        whole: whether all eligible subjects are tested. Their units without a prediction then count, and the confound
            analysis is run.
        proved: whether it is certain that the method sees one unit at a time, because the harness ran it on units.
        method: False if confound-only models alone are scored, which need no confound analysis.
        confounds: None to skip the confound analysis, and the confound-only model `PROTOCOL_PHASE`.
        given: calibration data of test subjects, if the protocol has some. `absent`: name of a comparison that the
            method lacks under such a protocol -> the reason.

    Raises:
        DataError: the method predicted no unit."""
    with_analysis = whole and not protocol.leaks
    by_fold = cover_tested_units(by_fold, cohort, protocol) if whole else by_fold
    if not any(of_fold.predicted.any() for of_fold in by_fold):
        raise DataError("no unit was predicted", where=cohort.card.name)
    seeds = {t.name: sorted({part.seed for part in by_fold if part.target.name == t.name}) for t in cohort.targets}
    studies = make_studies(cohort, protocol, seeds) if with_analysis and confounds else {}
    small = [target.name for target in cohort.targets if is_small(cohort, target)]
    reasons = {target.name: dict(absent or {}) for target in cohort.targets}

    def evaluation(studies: Studies) -> Evaluation:
        not_applicable = {target: dict(of_target) for target, of_target in reasons.items()}
        for target in cohort.targets if with_analysis else ():
            if target.name in small:
                not_applicable[target.name][PROTOCOL_PHASE] = Reason.make("few_columns")
            elif not studies:
                not_applicable[target.name][PROTOCOL_PHASE] = NO_CONFOUND_ANALYSIS
        confound_only = FoldConfounds(cohort, protocol, studies, given)
        return _score_with_confounds(by_fold, confound_only, not_applicable, progress, whole=whole)

    if method and confounds and confounds.first and not was_analysed(studies):
        early = evaluation({})
        if any(early.scores.get_score(*each) for each in early.scores.primary_metrics.items()):  # some model is fitted
            confounds.first(early)
    evaluated = evaluation(studies)
    if not (with_analysis and method):
        return evaluated
    more = _enough_data(cohort, protocol, seeds, evaluated.scores)
    if confounds:
        values = scores_by_seed(cohort, [(a.target, a.seed, a.units, a.score) for a in by_fold])
        folds = scores_by_seed(cohort, [(a.target, a.seed, a.units, np.full(len(a.units), a.fold)) for a in by_fold])
        decisive = "movement" if proved else "protocol_phase"
        first_seeds = dict.fromkeys(of_target[0] for of_target in seeds.values() if of_target)
        placebo_seeds = tuple(first_seeds) if confounds.placebo else ()
        more["adjusted"] = run_confound_test(
            values, folds, studies, cohort, evaluated.scores, decisive, confounds.progress, placebo_seeds
        )
    return replace(evaluated, scores=Scores({**evaluated.scores, **more}))


def _score_with_confounds(
    by_fold: Sequence[FoldPredictions],
    confound_only: FoldConfounds,
    not_applicable: dict[str, dict[str, str]],
    progress: ProgressCallback | None,
    *,
    whole: bool,
) -> Evaluation:
    """Return the scores of the predictions and of the confound-only models. `not_applicable`: target -> model -> why it
    does not apply; reasons that arise here are added."""
    cohort, protocol = confound_only.cohort, confound_only.protocol
    parts: list[Predictions] = []
    lacking: dict[str, set[int]] = {t.name: set() for t in cohort.targets}
    for done, of_fold in enumerate(by_fold, 1):
        target, known = of_fold.target, of_fold.predicted
        lacking[target.name] |= set(of_fold.units[~known].tolist())
        counted = known | (whole & np.isfinite(cohort.labels(target, of_fold.train or ())[of_fold.units]))
        if not counted.any():
            continue
        parts.append(_model_rows(of_fold, cohort, known))
        if not known[counted].all():
            parts.append(_unpredicted_rows(of_fold, cohort, counted & ~known))
        parts += _comparison_rows(of_fold, cohort, known)
        parts += confound_only.rows(of_fold, of_fold.units[counted], not_applicable[target.name])
        if progress:
            progress(done, len(by_fold), target.name)
    predictions = Predictions.concatenate(parts)
    del parts  # which are as large
    labels = _labels_of(cohort, by_fold)
    scores = compute_scores(
        predictions, labels, protocol=protocol, not_applicable=not_applicable, **study_facts(cohort)
    )
    more: dict[str, Any] = {"absent": {name: len(units) for name, units in lacking.items()}}
    if cuts := _fitted_cuts(cohort, by_fold):
        more["cuts"] = cuts
    more["coverage"] = coverage(cohort, by_fold)
    return Evaluation(predictions, labels, Scores({**scores, **more}))


def study_facts(cohort: Cohort) -> dict[str, Any]:
    """Return the arguments of `compute_scores` that describe a cohort, by name."""
    return {
        "targets": cohort.targets,
        "design": cohort.design,
        "groups": cohort.groups,
        "unit_length_s": cohort.length_s,
        "sessions": cohort.sessions,
    }


def _enough_data(
    cohort: Cohort, protocol: Protocol, seeds: Mapping[str, Sequence[int]], scores: Scores
) -> dict[str, Any]:
    """Return the part `enough_data` of the scores: how much data would make undefined primary metrics defined. Empty if
    none is undefined, or if no amount is known."""
    amounts = {}
    for target in cohort.targets:
        if "not estimable" in scores.explain_undefined(target.name, scores.primary_metrics[target.name]):
            amounts[target.name] = enough_data(cohort, protocol, target, seeds[target.name])
    known = {name: amount for name, amount in amounts.items() if amount}
    return {"enough_data": known} if known else {}


def scoring_identity() -> dict[str, Any]:
    """Return the identity of the scoring code. A record that other code scored is scored again."""
    metrics = {name: registry.code_identity("metric", name) for name in registry.list_plugins("metric")}
    return {"embench": embench.__version__, "revision": SCORING_REVISION, "metrics": metrics}


def recorded_rules(card: Card) -> dict[str, Any]:
    """Return the label rules of a dataset card and their hash, in the form of records."""
    rules = label_rules(card)
    return {"label_rules_hash": digest(rules), "label_rules": rules}


def run_circumstances(
    dataset: str,
    cohort: Cohort,
    protocol: Protocol,
    leaks_by: Leaks,
    time_context: TimeContext | None = None,
    *,
    files: str,
    given: Given | None = None,
) -> Circumstances:
    """Return the facts for run.yaml that do not depend on the method: data, rules, subjects and code.

    Args:
        dataset: full name of the dataset. `leaks_by`: see `count_leaks`.
        time_context: the method's time context, observed by the harness or declared; None: not recorded.
        files: see `embench.data.find.Source.files_digest`. `given`: as for `score_predictions`."""
    card, store = cohort.card, cohort.store
    verified = card.verified_on_real
    steps = {t.name: step for t in cohort.targets if (step := t.find_step(cohort.label[t.name]))}
    added = {
        m: {"package": modality.package, "version": modality.version, **modality.definition()}
        for m, modality in registry.added_modalities(card, dataset).items()
    }
    more: dict[str, Any] = {"modalities": added} if added else {}
    more_facts: dict[str, Any] = {} if given is None else {"calibration_data": given.to_record()}
    if cohort.slices is not None:
        more_facts["calibration_split"] = cohort.slices.words
    if time_context:
        more_facts["time_context"] = time_context
    return Circumstances(
        embench_version=embench.__version__,
        dataset=DatasetPart(
            name=dataset,
            fingerprint=store.key,
            files=files,
            synthetic=None if store.synthetic is None else dict(store.synthetic),
            verified_on_real=verified if isinstance(verified, str) else dict(verified),
            **more,
        ),
        protocol=ProtocolPart(
            name=protocol.name,
            version=protocol.version,
            hash=protocol.hash,
            leaks=protocol.leaks,
            leaks_by={field: {what: list(n) for what, n in counts.items()} for field, counts in leaks_by.items()},
            rules=protocol.content(),
        ),
        card=CardPart(
            labels_public=card.labels_public,
            fixed_order=card.fixed_order,
            **(recorded_rules(card) | ({"steps": steps} if steps else {})),
        ),
        targets=[t.name for t in cohort.targets],
        cohort=CohortPart(
            subjects=cohort.subjects,
            left_out=[dict(row) for row in cohort.excluded],
            session_s=cohort.sessions,
            design=cohort.design,
        ),
        target_access=find_access(protocol, given),
        **more_facts,
        scoring=scoring_identity(),
        versions={
            "python": platform.python_version(),
            **{n: installed_version(n) for n in ("torch", "numpy", "scipy", "scikit-learn", "soxr")},
        },
    )


def record_folds(cohort: Cohort, folds: Mapping[int, Sequence[Fold]]) -> list[dict[str, Any]]:
    """Return the folds of each seed as rows of a record: one row for each subject and role in a fold."""
    units = cohort.select_units(cohort.eligible)
    reasons = _exclusion_reasons(cohort)
    return [
        {**row._asdict(), "seed": seed, "reason": reasons.get(row.subject, "")}
        for seed, of_seed in folds.items()
        for row in roles(units, of_seed, cohort.groups, given=cohort.slices is not None)
    ]


def excluded_rows(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row with the reason, and no fold, for each excluded subject that does not occur in `rows`."""
    groups, reasons = connected_groups([*cohort.units, *cohort.roster]), _exclusion_reasons(cohort)
    return [
        {"subject": s, "group": groups.get(s, s), "fold": "", "role": "", "seed": "", "reason": reasons[s]}
        for s in sorted(reasons.keys() - {row["subject"] for row in rows})
    ]


def _exclusion_reasons(cohort: Cohort) -> dict[str, str]:
    return {row["subject"]: row["reason"].id for row in cohort.excluded}


def _fitted_cuts(cohort: Cohort, by_fold: Sequence[FoldPredictions]) -> list[dict[str, Any]]:
    """Return, for each fold, the cut between classes if the training labels decide it."""
    return [
        {"target": a.target.name, "seed": a.seed, "fold": a.fold, "cut": cohort.rule(a.target, a.train).cut}
        for a in by_fold
        if a.target.rule.cut == "training_mean" and a.train is not None
    ]


def model_rows(by_fold: Sequence[FoldPredictions], cohort: Cohort) -> Predictions:
    """Return a method's predictions, and its comparisons without calibration data, as rows of a record. Labels and
    confound-only models are left out."""
    parts = [_model_rows(of_fold, cohort, of_fold.predicted) for of_fold in by_fold]
    parts += [rows for of_fold in by_fold for rows in _comparison_rows(of_fold, cohort, of_fold.predicted)]
    return Predictions.concatenate(parts) if parts else Predictions.none()


def _model_rows(of_fold: FoldPredictions, cohort: Cohort, predicted: np.ndarray) -> Predictions:
    about = unit_columns(of_fold, cohort, of_fold.units[predicted])
    return prediction_rows(MODEL, of_fold.target, about, of_fold.score[predicted], of_fold.decision[predicted])


def _comparison_rows(of_fold: FoldPredictions, cohort: Cohort, predicted: np.ndarray) -> list[Predictions]:
    """Return rows of the method's comparisons under protocols with calibration data, such as `no_calibration`."""
    rows = []
    for name, score in of_fold.beside.items():
        known = predicted & finite_rows(score)
        about = unit_columns(of_fold, cohort, of_fold.units[known])
        decision = of_fold.target.traits.decide(score[known], 0.5)
        rows.append(prediction_rows(name, of_fold.target, about, score[known], decision))
    return rows


def _unpredicted_rows(of_fold: FoldPredictions, cohort: Cohort, missing: np.ndarray) -> Predictions:
    """Return rows for the units marked in `missing` (n,), which lack a required prediction."""
    about = unit_columns(of_fold, cohort, of_fold.units[missing])
    silent = np.isinf(of_fold.score[missing]).reshape(about.rows, -1).any(1)
    shape = (about.rows, of_fold.target.n) if of_fold.target.traits.has_score_per_class else (about.rows,)
    nothing = np.full(shape, np.nan)
    rows = prediction_rows(UNPREDICTED, of_fold.target, about, nothing, np.full(about.rows, np.nan))
    return Predictions({**rows.columns, "score": np.where(silent, COUNTS_TIED, COUNTS_LOST)})


def _labels_of(cohort: Cohort, by_fold: Sequence[FoldPredictions]) -> Labels:
    """Return the labels of the predicted units, raw and after the label rule. Units without a label are not listed. A
    cut that training labels decide depends on the seed; the label is then that of the fold that predicts the unit."""
    rows: list[tuple[Any, ...]] = []
    for target in cohort.targets:
        raw, made = cohort.raw[target.name], {}
        for of_fold in by_fold:
            if of_fold.target.name == target.name:
                fitted = target.rule.cut == "training_mean" and of_fold.train is not None
                label = cohort.labels(target, of_fold.train or ())
                made.update({(of_fold.seed if fitted else ANY_SEED, i): label[i] for i in of_fold.units.tolist()})
        for (seed, i), known in sorted(made.items()):
            if np.isfinite(known):
                unit = cohort.units[i]
                rows.append((unit.subject, unit.recording, unit.id, target.name, seed, raw[i], known))
    return Labels({name: np.array([row[k] for row in rows]) for k, name in enumerate(Labels.FIXED)})
