"""The confound test: whether scores are associated with the label, given measured confounds such as time and
movement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.data.cohort import Cohort
from embench.files import cached_call, digest, sha256, snapshot
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import mean_ignoring_nan
from embench.interfaces.units import Target, Units
from embench.protocols import Fold, Protocol
from embench.records.scores import Scores
from embench.statistics import confound_blocks, intervals, metric_facts
from embench.statistics.answers import (
    EXTRA_MOVEMENT_ALPHA,
    LEAST_LABEL_RESIDUAL,
    SCORE_RESIDUAL_BOUNDS,
    TIME_PREDICTS_LABEL,
)
from embench.statistics.confound_blocks import PENALTY, Adjustment, ConfoundBlocks
from embench.statistics.estimates import ScoreOrReason, estimate, has_difference, mean_difference, number_as_json
from embench.statistics.intervals import Estimate, Jackknife, leave_one_out, mean_over_subjects, training_overlap, widen
from embench.statistics.joined import Joined, shared_stimuli
from embench.statistics.nuisance_columns import (
    BLOCKS,
    OWN_CUTS,
    Observed,
    Study,
    axes_of,
    make_block,
    make_study,
    placebo,
    predict_protocol_phase,
)
from embench.statistics.nuisance_models import Parts, label_columns
from embench.statistics.nuisance_movement import adjusted_modalities
from embench.statistics.scores import with_interval_of
from embench.statistics.small_studies import (
    LARGE_STUDY,
    Sample,
    adjust,
    confound_columns,
    standardised_scores,
)
from embench.system import ProgressCallback, joblib_workers

# Ridge regressions across subjects, in the folds of the run, predict the out-of-fold scores *x* and the label *y* from
# the confounds *Z*. Scores are associated with the label given *Z* if three conditions hold. The method's own primary
# metric lies above chance. The residual scores are higher in positive units, over the comparisons of the primary
# metric. The residuals of *x* and *y* are correlated within subjects: the generalised covariance measure (Shah & Peters
# 2020, doi 10.1214/19-AOS1857). A model of time that is sharper than *Z* passes the last condition alone.
# `docs/why/adjusted.md` has the attacks.

MOST_BLOCKS = 8
"""Largest number of positive blocks in a session that counts as a sequence of tasks."""


class Variant(NamedTuple):
    """A variant of the confound test.

    Args:
        penalty: penalty of the ridge regressions on the confounds.
        difference: True to test residual scores by their mean difference over the comparisons of the primary metric,
            False to test them by the primary metric itself."""

    penalty: float = PENALTY
    difference: bool = True


RULE = Variant()
VARIANTS: Mapping[str, Variant] = {
    "third_penalty": Variant(PENALTY / 3),
    "triple_penalty": Variant(PENALTY * 3),
    "metric_of_residuals": Variant(difference=False),
}
"""Variants of the confound test, which show how stable an answer is."""


@dataclass(frozen=True)
class LabelledUnits:
    """The n units of a target, with known facts about each.

    Args:
        subject, stimulus, group: (n,) names. `start_s`, `session_s`: (n,) start in the session and its length, in s.
        y: (n,) labels, NaN if there is none.
        unit_s: length of a unit in s.
        moment_s: (n,) time since the recording began in s; None if unknown."""

    target: Target
    subject: np.ndarray
    stimulus: np.ndarray
    group: np.ndarray
    start_s: np.ndarray
    session_s: np.ndarray
    y: np.ndarray
    unit_s: float
    moment_s: np.ndarray | None = None

    def joined(self, values: Mapping[int, np.ndarray], parts: Mapping[int, Parts], *, whole: bool = False) -> Joined:
        """Return the labelled units that each fold tests, with `values` (seed -> (n, K)) as their scores. Units without
        a finite score are left out unless `whole`."""
        seeds = {}
        for seed, of_seed in values.items():
            known = np.isfinite(self.y) & (whole | np.isfinite(of_seed[:, 0]))
            seeds[seed] = {
                fold: self._units(np.sort(test[known[test]]), of_seed, fold)
                for fold, (_, test) in enumerate(parts[seed])
                if known[test].any()
            }
        return Joined(seeds)

    @cached_property
    def coded_subjects(self) -> tuple[np.ndarray, np.ndarray]:
        """The sorted names of subjects (P,), and the position of each unit's subject among them (n,)."""
        names, code = np.unique(self.subject, return_inverse=True)
        return names, code

    @cached_property
    def tasks(self) -> dict[str, np.ndarray]:
        """Task -> (n,) bool, see `_list_tasks`."""
        return _list_tasks(self)

    @cached_property
    def _without_score(self) -> dict[tuple[int, bytes], Units]:
        """(Fold, positions) -> these units, as far as they were needed. Their scores are 0."""
        return {}

    def _units(self, rows: np.ndarray, values: np.ndarray, fold: int) -> Units:
        score = values[rows] if self.target.traits.has_score_per_class else values[rows, 0]
        key = fold, rows.tobytes()
        if key not in self._without_score:
            self._without_score[key] = self._select_units(rows, fold)
        return self._without_score[key].with_score(score)

    def _select_units(self, rows: np.ndarray, fold: int) -> Units:
        return Units(
            kind=self.target.kind,
            y_true=self.y[rows],
            score=np.zeros(len(rows)),
            decision=np.zeros(len(rows)),
            subject=self.subject[rows],
            stimulus=self.stimulus[rows],
            start_s=self.start_s[rows],
            fold=np.full(len(rows), fold),
            group=self.group[rows],
            length_s=self.unit_s,
            session_s=self.session_s[rows],
            moment_s=None if self.moment_s is None else self.moment_s[rows],
            step=self.target.find_step(self.y),
        )


@dataclass(frozen=True)
class Association:
    """Association of a method's scores with the label, after adjustment for the confounds of one level.

    Args:
        partial_r: partial correlation of score and label, -1 to 1, mean over subjects.
        score: mean difference of residual scores between positive and negative units, over the comparisons of the
            primary metric, in SDs of a subject's scores; the primary metric itself if it has no comparisons.
        share: proportion of the scores' variance that the confounds leave.
        associated: whether all conditions hold.
        by_group: (G,) contribution of each group of subjects to the partial correlation.
        tasks: task -> partial correlation over its units and all negative units, if there are several tasks."""

    partial_r: Estimate | Undefined
    score: ScoreOrReason
    share: float
    associated: bool
    by_group: np.ndarray
    tasks: Mapping[str, Estimate | Undefined]


def measure_association(
    values: Mapping[int, np.ndarray],
    tested: LabelledUnits,
    confounds: Mapping[int, ConfoundBlocks],
    blocks: Sequence[str],
    primary_metric: str,
    own_score: ScoreOrReason,
    jackknife: Jackknife,
    by: Variant = RULE,
) -> Association:
    """Return the association of a method's scores with the label, given the confounds in `blocks`.

    Args:
        values: seed -> (n, K) the method's out-of-fold scores, NaN for units without one.
        confounds: seed -> the confounds. `own_score`: the method's primary metric.
        by: the variant of the confound test."""
    adjustment = tuple(blocks), by.penalty
    found = {seed: _residuals(of_seed, tested, confounds[seed], [adjustment])[0] for seed, of_seed in values.items()}
    parts = {seed: confounds[seed].parts for seed in values}
    return _associate(found, parts, tested, primary_metric, own_score, jackknife, by)


class _Residuals(NamedTuple):
    """Residual scores (n, K) and labels (n, K) of one seed, NaN for units without a score. `before`: the mean square of
    the scores before the adjustment."""

    scores: np.ndarray
    labels: np.ndarray
    before: float


def _residuals(
    values: np.ndarray, tested: LabelledUnits, confounds: ConfoundBlocks, adjustments: Sequence[Adjustment]
) -> list[_Residuals]:
    """Regress the confounds of each adjustment out of a seed's scores `values` (n, K) and of the labels."""
    labels = np.nan_to_num(label_columns(tested.y, tested.target))
    raw = np.where(np.isfinite(tested.y)[:, None], values, np.nan)  # units without a label have no effect
    x = standardised_scores(raw, tested.subject, confounds.parts)
    unknown = np.isnan(raw[:, 0])
    before = float((x[~unknown] ** 2).mean())
    both = zip(confounds.residuals_by(x, adjustments), confounds.label_residuals(labels, adjustments), strict=True)
    without = unknown[:, None]
    return [_Residuals(np.where(without, np.nan, x_), np.where(without, np.nan, y), before) for x_, y in both]


def _associate(
    residuals: Mapping[int, _Residuals],
    parts: Mapping[int, Parts],
    tested: LabelledUnits,
    primary_metric: str,
    own_score: ScoreOrReason,
    jackknife: Jackknife,
    by: Variant = RULE,
) -> Association:
    """Return the association that the residuals of several seeds show, see `measure_association`."""
    scores = {seed: each.scores for seed, each in residuals.items()}
    labels = {seed: each.labels for seed, each in residuals.items()}
    before = sum(each.before for each in residuals.values())
    share = sum(float(np.nanmean(of_seed**2)) for of_seed in scores.values()) / max(before, 1e-12)
    joined = tested.joined(scores, {seed: parts[seed] for seed in residuals})
    chance = 0.5 if metric_facts(primary_metric).is_like_auroc else 0.0
    if has_difference(primary_metric) and by.difference:
        score, null = mean_difference(primary_metric, joined, jackknife), 0.0
    else:
        score, null = estimate_metric(primary_metric, joined, tested.target, jackknife), chance
    products = _residual_products(scores, labels)
    by_subject = _subject_means(products, tested, jackknife)
    effect = _mean_with_interval(by_subject, joined, jackknife)
    passed = [
        _lower_end(own_score) > chance,
        _lower_end(score) > null,
        _lower_end(effect) > 0,
        SCORE_RESIDUAL_BOUNDS[0] <= share <= SCORE_RESIDUAL_BOUNDS[1],
    ]
    tasks = {
        name: _mean_with_interval(
            _subject_means(np.where(units, products, np.nan), tested, jackknife), joined, jackknife
        )
        for name, units in tested.tasks.items()
    }
    means = mean_ignoring_nan(by_subject)
    by_group = jackknife.by_group(np.nan_to_num(means / np.isfinite(means).sum()))
    return Association(effect, score, share, all(passed), by_group, tasks)


def estimate_metric(metric: str, joined: Joined, target: Target, jackknife: Jackknife) -> ScoreOrReason:
    """Return the estimate of a metric, with the interval of `with_interval_of`."""
    found, _ = estimate(metric, joined, target, jackknife)
    if found is None:
        return Undefined("metric_of_other_targets", metric=metric)
    return with_interval_of(metric, found)


def _lower_end(value: ScoreOrReason) -> float:
    return value.low if isinstance(value, Estimate) and value.low is not None else -np.inf


def _residual_products(scores: Mapping[int, np.ndarray], labels: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return (S, n) products of standardised residual score and residual label, mean over classes."""
    x, y = np.stack(list(scores.values())), np.stack(list(labels.values()))
    scale = np.sqrt(np.nanmean(x**2, axis=(0, 1)) * np.nanmean(y**2, axis=(0, 1)))
    return np.asarray((x * y / np.maximum(scale, 1e-12)).mean(2))


def _subject_means(products: np.ndarray, tested: LabelledUnits, jackknife: Jackknife) -> np.ndarray:
    """Return (S, P) means of `products` (S, n) over each subject's units, NaN for a subject without units."""
    subjects, code = tested.coded_subjects
    known, width = np.isfinite(products), len(subjects)
    by_subject = np.full((len(products), len(jackknife.subjects)), np.nan)
    order = np.argsort(jackknife.subjects)
    place = order[np.searchsorted(jackknife.subjects, subjects, sorter=order) % len(order)]
    for row, values, finite in zip(by_subject, products, known, strict=True):
        number = np.bincount(code[finite], minlength=width)
        some = (number > 0) & (jackknife.subjects[place] == subjects)
        row[place[some]] = (np.bincount(code[finite], values[finite], width) / np.maximum(number, 1))[some]
    return by_subject


def _mean_with_interval(by_subject: np.ndarray, joined: Joined, jackknife: Jackknife) -> Estimate | Undefined:
    """Return the mean of `by_subject` (S, P) over seeds, then subjects, with the training-overlap correction."""
    mean = mean_over_subjects(mean_ignoring_nan(by_subject), jackknife.codes)
    if isinstance(mean, Undefined) or len(by_subject) < 2:
        return mean
    by_seed = jackknife.by_group(np.nan_to_num(by_subject / len(jackknife.subjects)))
    return widen(mean, training_overlap(by_seed, joined.trained(jackknife)))


def _list_tasks(tested: LabelledUnits) -> dict[str, np.ndarray]:
    """Return task -> (n,) bool, True for its units and all negative units. Empty for a target that is not binary, or
    for fewer than two tasks.

    A task is a stimulus that has only positive units. If all units have one stimulus, a task is a block of positive
    units, see `_positive_blocks`."""
    positive, negative = tested.y == 1, tested.y == 0
    if tested.target.kind != "binary":
        return {}
    names = np.setdiff1d(tested.stimulus[positive], tested.stimulus[negative])
    tasks = {name: tested.stimulus == name for name in names.tolist()}
    if len(np.unique(tested.stimulus)) == 1:
        tasks = _positive_blocks(tested)
    return {name: negative | units for name, units in tasks.items()} if len(tasks) > 1 else {}


def _positive_blocks(tested: LabelledUnits) -> dict[str, np.ndarray]:
    """Return block -> (n,) bool, True for the positive units of that block. A block is a sequence of positive units of
    a subject. Only subjects with the most frequent number of blocks have any."""
    block, counts = np.zeros(len(tested.y), int), {}
    for name in np.unique(tested.subject).tolist():
        rows = np.flatnonzero((tested.subject == name) & np.isfinite(tested.y))
        rows = rows[np.argsort(tested.start_s[rows], kind="stable")]
        begins = np.diff(tested.y[rows], prepend=0.0) == 1
        block[rows] = np.cumsum(begins) * (tested.y[rows] == 1)
        counts[name] = int(begins.sum())
    [(most, _)] = Counter(counts.values()).most_common(1)
    if most > MOST_BLOCKS:
        return {}
    like_most = np.array([counts[name] == most for name in tested.subject.tolist()])
    return {f"block {k} of {most}": like_most & (block == k) for k in range(1, most + 1)}


_EFFECT_FIELDS = ("mean", "low", "high")
_RULE_CODE = [sha256(Path(str(each))) for each in (__file__, confound_blocks.__file__, intervals.__file__)]
"""Digests of the code that computes effects from scores and confounds."""
_FITTING = "while fitting models of time and movement"
CONFOUND_LEVELS: Mapping[str, tuple[str, ...]] = {
    "movement": ("local",),
    "protocol_phase": ("registered", "local"),
    "movement_signal_quality": ("local", "contact"),
    "protocol_phase_signal_quality": ("registered", "local", "contact"),
}
"""Level -> the blocks of confounds for which it adjusts. `local`: movement within ten minutes, and the time since the
start. `registered`: the protocol phase. `contact`: signal quality."""


def run_confound_test(
    values: Mapping[str, Mapping[int, np.ndarray]],
    folds: Mapping[str, Mapping[int, np.ndarray]],
    studies: Studies,
    cohort: Cohort,
    scores: Scores,
    decisive: str,
    progress: ProgressCallback | None = None,
    placebo_seeds: Sequence[int] = (),
    make_blocks: MakeBlocks | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the confound analysis: target -> the part `adjusted` of `scores.json`, or why the target cannot be
    analysed. A large study is analysed at each of `CONFOUND_LEVELS`, a small one (`is_small`) given few columns.

    Args:
        values: target -> seed -> (N, K) out-of-fold scores of the cohort's N units, not finite if there is none.
        folds: target -> seed -> (N, 1) the fold that tests each unit, NaN if none does.
        studies: the large studies in the seeds of these values. `decisive`: the level that decides in large studies.
        progress: called with (number of confound models begun, number of all, the target). A model takes up to a
            minute, once per dataset.
        placebo_seeds: seeds in which the placebo, which does not depend on the method, is computed.
        make_blocks: replacement of `make_confound_blocks`, for callers that analyse several methods."""
    analyses, begun = {}, 0
    total = sum(_count_steps(of_target, placebo_seeds) for of_target in studies.values())

    def begin(what: str) -> None:
        nonlocal begun
        begun += 1
        if progress:
            progress(begun, total, what)

    for target in cohort.targets:
        if is_small(cohort, target):
            made = _analyse_small_study(values[target.name], folds[target.name], target, cohort, scores)
        else:
            made = _analyse_large_study(
                values[target.name], studies[target.name], target, cohort, scores, decisive, begin, placebo_seeds,
                make_blocks or make_confound_blocks,
            )  # fmt: skip
        analyses[target.name] = {"undefined": made.reason.to_dict()} if isinstance(made, Undefined) else made
    return analyses


def is_small(cohort: Cohort, target: Target) -> bool:
    """Return True if the study is adjusted for few columns: models of confounds need more labelled units."""
    labelled = np.isfinite(cohort.label[target.name][list(cohort.eligible)]).sum()
    return cohort.design == "shared_stimuli" or bool(labelled < LARGE_STUDY)


SMALL_STUDY = "small_study"
"""The level of confounds of small studies, see `embench.statistics.small_studies`."""


def _analyse_small_study(
    values: Mapping[int, np.ndarray], folds: Mapping[int, np.ndarray], target: Target, cohort: Cohort, scores: Scores
) -> dict[str, Any] | Undefined:
    """Return the analysis of a small study: the partial correlation given few columns, and whether it shows an
    association."""
    metric = _estimable_metric(scores, target)
    if isinstance(metric, Undefined):
        return metric
    if target.rule.cut == "training_mean":
        return Undefined(OWN_CUTS)
    units = np.array(cohort.eligible)
    tested = tested_units(cohort, target, units)
    cell = _condition_codes(metric, tested)
    columns = confound_columns(cohort, cell, by_time="matched" in metric)
    if isinstance(columns, Undefined):
        return columns
    by_seed = {seed: of_seed[units] for seed, of_seed in values.items()}
    fold = np.stack([folds[seed][units, 0] for seed in values])
    parts = {seed: _tested_parts(of_seed) for seed, of_seed in zip(values, fold, strict=True)}
    own_score = _own_score(metric, tested, by_seed, parts, cohort)
    known = np.isfinite(tested.y) & np.all([np.isfinite(score[:, 0]) for score in by_seed.values()], axis=0)
    if not known.any():
        return Undefined("no_label_in_all_seeds")
    standardised = [
        standardised_scores(np.where(known[:, None], score, np.nan), tested.subject, parts[seed])[known]
        for seed, score in by_seed.items()
    ]
    names, first, group = np.unique(tested.group[known], return_index=True, return_inverse=True)
    _, subject = np.unique(tested.subject[known], return_inverse=True)
    stimulus = cell[known] if cell.any() else None
    sample = Sample(columns.take(known), subject, group, stimulus, fold[:, known][:, first])
    adjusted = adjust(np.stack(standardised), label_columns(tested.y[known], target), sample)
    if isinstance(adjusted.effect, Undefined):
        return adjusted.effect
    chance = 0.5 if metric_facts(metric).is_like_auroc else 0.0
    level = {
        "partial_r": number_as_json(adjusted.effect),
        "residual_proportion": adjusted.score_left,
        "label_residual_proportion": adjusted.label_residual_proportion,
        "extra_movement_p": adjusted.extra_movement_p,
        "associated": _lower_end(adjusted.effect) > 0
        and adjusted.label_residual_proportion >= LEAST_LABEL_RESIDUAL
        and adjusted.extra_movement_p > EXTRA_MOVEMENT_ALPHA
        and _lower_end(own_score) > chance,
        "by_group": dict(zip(names.tolist(), adjusted.by_group.tolist(), strict=True)),
    }
    return {
        "metric": metric,
        "has_movement": "acc" in cohort.store.modalities,
        "adjusted_for": adjusted_modalities(cohort.store),
        "levels": {SMALL_STUDY: level},
        "decisive_level": SMALL_STUDY,
    }


def _tested_parts(fold: np.ndarray) -> Parts:
    """Return the parts of each fold: no training units, and the units that it tests. `fold` (n,): each unit's fold, NaN
    if no fold tests it."""
    return [(np.empty(0, int), np.flatnonzero(fold == number)) for number in np.unique(fold[np.isfinite(fold)])]


def _condition_codes(metric: str, tested: LabelledUnits) -> np.ndarray:
    """Return (n,) codes of the stimulus, or of its moment, that a metric holds constant; 0 if it holds neither."""
    if "crossed" not in metric or "matched" in metric:
        return np.zeros(len(tested.y), int)
    known = [np.unique(tested.stimulus, return_inverse=True)[1]]
    if metric.endswith("_moment") and tested.moment_s is not None:
        known.append(np.floor(tested.moment_s / tested.unit_s + 1e-6).astype(int))
    return np.asarray(np.unique(np.stack(known), axis=1, return_inverse=True)[1].reshape(-1))


def was_analysed(studies: Studies) -> bool:
    """Return True if all models of confounds that an analysis needs are already fitted and cached."""
    defined = [by_seed for by_seed in studies.values() if not isinstance(by_seed, Undefined)]
    return all(study.fitted.is_cached(name) for by_seed in defined for study in by_seed.values() for name in BLOCKS)


def _count_steps(studies: Mapping[int, Study] | Undefined, placebo_seeds: Sequence[int]) -> int:
    """Return the number of steps in the analysis of one target: blocks of confounds in each seed, then axes of the
    placebo."""
    if isinstance(studies, Undefined):
        return 0
    return len(studies) * len(BLOCKS) + (len(axes_of(next(iter(studies.values())))) if placebo_seeds else 0)


def _analyse_large_study(
    values: Mapping[int, np.ndarray],
    studies: dict[int, Study] | Undefined,
    target: Target,
    cohort: Cohort,
    scores: Scores,
    decisive: str,
    begin: Begin,
    placebo_seeds: Sequence[int],
    make_blocks: MakeBlocks,
) -> dict[str, Any] | Undefined:
    """Return the analysis of a large study at each confound level, by seed and variant, with placebo and tasks."""
    metric = _estimable_metric(scores, target)
    if isinstance(metric, Undefined):
        return metric
    if isinstance(studies, Undefined):
        return studies
    units = np.array(cohort.eligible)
    tested = cached_call((tested_units, cohort, target.name), lambda: tested_units(cohort, target, units))
    with_missing = {seed: of_seed[units] for seed, of_seed in values.items()}
    by_seed = {seed: np.where(np.isfinite(of_seed), of_seed, np.nan) for seed, of_seed in with_missing.items()}
    parts = {seed: study.parts for seed, study in studies.items()}
    joined = tested.joined(by_seed, parts)
    jackknife = leave_one_out(joined.tested_subjects(), cohort.groups, shared_stimuli(cohort.design, joined))
    own_score = _own_score(metric, tested, with_missing, parts, cohort)
    if isinstance(own_score, Undefined):
        return own_score

    wanted = [(level, PENALTY) for level in CONFOUND_LEVELS]
    wanted = list(dict.fromkeys([*wanted, *((decisive, by.penalty) for by in VARIANTS.values())]))
    adjustments = [(CONFOUND_LEVELS[level], penalty) for level, penalty in wanted]
    residuals = {}
    for seed, study in studies.items():
        blocks = make_blocks(study, begin)
        residuals[seed] = dict(zip(wanted, _residuals(by_seed[seed], tested, blocks, adjustments), strict=True))
        del blocks  # large: one seed's columns are in memory at a time

    def associate(level: str, seeds: Iterable[int], score: ScoreOrReason, by: Variant = RULE) -> Association:
        of_level = {seed: residuals[seed][level, by.penalty] for seed in seeds}
        return _associate(of_level, parts, tested, metric, score, jackknife, by)

    levels = {level: associate(level, residuals, own_score) for level in CONFOUND_LEVELS}
    groups = np.unique([cohort.groups.get(name, name) for name in jackknife.subjects.tolist()]).tolist()
    seed_scores = {seed: _own_score(metric, tested, {seed: with_missing[seed]}, parts, cohort) for seed in residuals}
    return {
        "metric": metric,
        "mean_difference": has_difference(metric),
        "has_movement": "acc" in cohort.store.modalities,
        "adjusted_for": adjusted_modalities(cohort.store),
        "levels": {level: _association_as_json(made, groups) for level, made in levels.items()},
        "seeds": {str(seed): associate(decisive, [seed], seed_scores[seed]).associated for seed in residuals},
        "variants": {name: associate(decisive, residuals, own_score, by).associated for name, by in VARIANTS.items()},
        **_measure_placebo({seed: studies[seed] for seed in placebo_seeds if seed in studies}, tested, metric, begin),
        "tasks": {name: number_as_json(effect) for name, effect in levels[decisive].tasks.items()},
        "decisive_level": decisive,
    }


@snapshot()
@joblib_workers(_FITTING)
def _measure_placebo(
    studies: Mapping[int, Study], tested: LabelledUnits, metric: str, begin: Begin
) -> dict[str, dict[str, Any] | list[int]]:
    """Return the part `placebo` of an analysis: axis -> the partial correlation of that accelerometer axis with the
    label, given the other axes and the time. `placebo_seeds` lists the seeds; it is missing without `studies`."""
    if not studies:
        return {"placebo": {}}
    first = next(iter(studies.values()))
    axes = axes_of(first)

    def effect(axis: str) -> np.ndarray:
        begin(first.target.name)
        if first.observed.moved is None:  # an accelerometer without a sample
            return np.full((1, len(_EFFECT_FIELDS)), np.nan)
        made = {seed: placebo(study, axis) for seed, study in studies.items()}
        values = {seed: score for seed, (score, _) in made.items()}
        others = {seed: ConfoundBlocks({"others": columns}, studies[seed].parts) for seed, (_, columns) in made.items()}
        joined = tested.joined(values, {seed: study.parts for seed, study in studies.items()})
        jackknife = leave_one_out(joined.tested_subjects(), first.cohort.groups)
        found = measure_association(
            values, tested, others, ["others"], metric, Undefined("not_computed"), jackknife
        ).partial_r
        return np.array([[getattr(found, name, None) for name in _EFFECT_FIELDS]], float)

    folds = digest([[seed, [digest(test) for _, test in study.parts]] for seed, study in studies.items()])
    rows = {axis: first.cached_array(f"placebo {axis} {_RULE_CODE} {folds}", partial(effect, axis))[0] for axis in axes}
    known = {axis: row.tolist() for axis, row in rows.items() if np.isfinite(row).all()}
    effects = {axis: dict(zip(_EFFECT_FIELDS, row, strict=True)) for axis, row in known.items()}
    return {"placebo": effects, "placebo_seeds": list(studies)}


def _own_score(
    metric: str, tested: LabelledUnits, values: Mapping[int, np.ndarray], parts: Mapping[int, Parts], cohort: Cohort
) -> ScoreOrReason:
    """Return the method's score by `metric`, which also counts units without a prediction."""
    joined = tested.joined(values, parts, whole=True)
    jackknife = leave_one_out(joined.tested_subjects(), cohort.groups, shared_stimuli(cohort.design, joined))
    return estimate_metric(metric, joined, tested.target, jackknife)


Begin = Callable[[str], None]
"""Function that is called with the target when a step of its analysis begins."""

MakeBlocks = Callable[[Study, Begin], ConfoundBlocks]
"""Function that returns the confounds of a study, like `make_confound_blocks`."""

Studies = Mapping[str, dict[int, Study] | Undefined]
"""Target -> seed -> the cohort's eligible units with their confounds; undefined if the release hides their times."""


MODEL_PARTITIONS = 3
"""Number of partitions in which models of confounds are fitted. All seeds share them."""


def make_studies(cohort: Cohort, protocol: Protocol, seeds: Mapping[str, Sequence[int]]) -> Studies:
    """Return target -> its studies, except for small studies (see `is_small`). `seeds`: target -> seeds."""
    observed, large = Observed(cohort), [t for t in cohort.targets if not is_small(cohort, t)]
    return {target.name: _make_target_studies(observed, target, protocol, seeds[target.name]) for target in large}


def _make_target_studies(
    observed: Observed, target: Target, protocol: Protocol, seeds: Sequence[int]
) -> dict[int, Study] | Undefined:
    """Return seed -> the study of a target, with the partition in which its models of confounds are fitted."""
    cohort = observed.cohort

    @cache
    def study_of(seed: int) -> Study | Undefined:
        return make_study(observed, target, _whole_session_folds(cohort, cohort.folds(protocol, seed)), seed)

    studies = {}
    for seed in seeds:
        study, models = study_of(seed), study_of(seed % MODEL_PARTITIONS)
        if isinstance(study, Undefined):
            return study
        if isinstance(models, Undefined):
            return models
        studies[seed] = study if models is study else replace(study, models=models)
    return studies


def _whole_session_folds(cohort: Cohort, folds: Sequence[Fold]) -> Sequence[Fold]:
    """Return folds that test all units of test subjects, scored or not, and train on none of them. Confounds describe
    whole sessions, and are modelled on other subjects."""
    if cohort.slices is None:
        return folds
    units, whole = cohort.select_units(cohort.eligible), []
    subject_of = {unit.id: unit.subject for unit in units}
    for fold in folds:
        tested = {subject_of[id_] for id_ in fold.test}
        others = tuple(id_ for id_ in fold.train if subject_of[id_] not in tested)
        whole.append(replace(fold, train=others, test=tuple(u.id for u in units if u.subject in tested)))
    return whole


@joblib_workers(_FITTING)
def make_confound_blocks(study: Study, begin: Begin) -> ConfoundBlocks:
    """Return the confound columns of a seed's units. `begin`: called with the target when a block begins."""
    blocks = {}
    for name in BLOCKS:
        begin(study.target.name)
        blocks[name] = make_block(name, study)
    return ConfoundBlocks(blocks, study.parts)


def predict_protocol_phases(cohort: Cohort, studies: Studies) -> dict[str, dict[int, np.ndarray] | Undefined]:
    """Return target -> seed -> (N, K) predictions of the model `protocol_phase` for the cohort's N units, NaN for units
    without one; or target -> why the model does not apply."""
    return {
        name: by_seed if isinstance(by_seed, Undefined) else _predict_phase(cohort, by_seed)
        for name, by_seed in studies.items()
    }


@joblib_workers(_FITTING)
def _predict_phase(cohort: Cohort, studies: Mapping[int, Study]) -> dict[int, np.ndarray] | Undefined:
    """Return the predictions of one target for `predict_protocol_phases`."""
    predictions = {}
    for seed, study in studies.items():
        predicted = predict_protocol_phase(study)
        if isinstance(predicted, Undefined):
            return predicted
        predictions[seed] = np.full((len(cohort.units), predicted.shape[1]), np.nan)
        predictions[seed][study.units] = predicted
    return predictions


def _estimable_metric(scores: Scores, target: Target) -> str | Undefined:
    """Return the primary metric, or why it can't be estimated. No other score replaces it: only the primary metric
    holds constant the confounds of the design."""
    primary_metric = scores.primary_metrics[target.name]
    if scores.get_score(target.name, primary_metric):
        return primary_metric
    within = f"{target.traits.ranking_family}_within"
    for control in ("elapsed_time", "session_position"):
        known = scores.get_score(target.name, within, control)
        if known and known.mean >= TIME_PREDICTS_LABEL:
            reached = round(known.mean, 3)
            return Undefined("time_decides", metric=primary_metric, within=within, reached=reached)
    why = scores.explain_undefined(target.name, primary_metric)
    return Undefined("primary_metric_undefined", metric=primary_metric, reason=why)


def tested_units(cohort: Cohort, target: Target, positions: np.ndarray) -> LabelledUnits:
    """Return the units at `positions` (n,) of a cohort. Units that are not tested have no label."""
    units = cohort.select_units(positions.tolist())
    subject = np.array([unit.subject for unit in units])
    return LabelledUnits(
        target=target,
        subject=subject,
        stimulus=np.array([unit.stimulus for unit in units]),
        group=np.array([cohort.groups[name] for name in subject.tolist()]),
        start_s=np.array([unit.start_s for unit in units], float),
        session_s=np.array([cohort.sessions.get(name, np.nan) for name in subject.tolist()]),
        y=np.where(np.isin(positions, cohort.tested), cohort.label[target.name][positions], np.nan),
        unit_s=cohort.length_s,
        moment_s=np.array([unit.start for unit in units], float),
    )


def _association_as_json(association: Association, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "partial_r": number_as_json(association.partial_r),
        "residual_score": number_as_json(association.score),
        "residual_proportion": association.share,
        "associated": association.associated,
        "by_group": dict(zip(groups, association.by_group.tolist(), strict=True)),
    }


def scores_by_seed(
    cohort: Cohort, predictions: Sequence[tuple[Target, int, np.ndarray, np.ndarray]]
) -> dict[str, dict[int, np.ndarray]]:
    """Return target -> seed -> (N, K) scores of the cohort's N units, rounded to float32 as in records; NaN for units
    without one.

    Args:
        predictions: (target, seed, positions (n,), scores (n,) or (n, K))."""
    out: dict[str, dict[int, np.ndarray]] = {target.name: {} for target in cohort.targets}
    for target, seed, positions, score in predictions:
        table = score if score.ndim == 2 else score[:, None]
        of_seed = out[target.name].setdefault(seed, np.full((len(cohort.units), table.shape[1]), np.nan))
        of_seed[positions] = table.astype(np.float32)
    return out
