"""The part `adds` of `scores.json`: what a method's predictions for a cohort add to clock, movement and contact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embench.callbacks import ProgressCallback
from embench.data.cohort import Cohort
from embench.files import digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.protocols import Fold, Protocol
from embench.records.scores import Scores
from embench.snapshot import snapshot
from embench.statistics import adds, intervals
from embench.statistics.adds import RULE, VARIANTS, Added, Held, LabelledUnits, Variant, added, scored
from embench.statistics.answers import CLOCK_TELLS_ALL
from embench.statistics.difference import has_difference
from embench.statistics.estimates import ScoreOrReason
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import shared_stimuli
from embench.statistics.nuisance.behaviour import modalities_held
from embench.statistics.nuisance.columns import BLOCKS, Observed, Study, block, registered_clock, study_of
from embench.statistics.nuisance.members import Parts
from embench.statistics.nuisance.placebo import axes_of, placebo
from embench.system import joblib_workers

_OF_EFFECT = ("mean", "low", "high")
_RULE = [sha256(Path(adds.__file__)), sha256(Path(intervals.__file__))]
"""Digests of the code that makes effects of scores and nuisances."""
_FITTING = "while fitting models of time and movement"
ADDS_LEVELS: Mapping[str, tuple[str, ...]] = {
    "local": ("local",),
    "full": ("registered", "local"),
    "local_contact": ("local", "contact"),
    "full_contact": ("registered", "local", "contact"),
}
"""Level -> the blocks of nuisances that are held constant. `local`: what is seen within ten minutes, and the time since
the start. `full`: also clocks that movement sets."""


def what_it_adds(
    values: Mapping[str, Mapping[int, np.ndarray]],
    studies: Studies,
    cohort: Cohort,
    scores: Scores,
    judged: str,
    progress: ProgressCallback | None = None,
    placebo_seeds: Sequence[int] = (),
) -> dict[str, dict[str, Any]]:
    """Target -> what the method adds at each of `ADDS_LEVELS`, or why nothing can be said.

    Args:
        values: target -> seed -> (N, K) out-of-fold scores of the cohort's N units, not finite where there is none.
        studies: of the seeds of these values. `judged`: the level that decides.
        progress: called with (models of confounds begun, all of them, the target): each takes up to a minute, once for
            a dataset.
        placebo_seeds: seeds in which the placebo is computed, which does not depend on the method.
    """
    found, begun = {}, 0
    total = sum(_steps(of_target, placebo_seeds) for of_target in studies.values())

    def begin(what: str) -> None:
        nonlocal begun
        begun += 1
        if progress:
            progress(begun, total, what)

    for target in cohort.targets:
        made = _of_target(
            values[target.name], studies[target.name], target, cohort, scores, judged, begin, placebo_seeds
        )
        found[target.name] = {"undefined": made.reason} if isinstance(made, Undefined) else {**made, "judged": judged}
    return found


def was_analysed(studies: Studies) -> bool:
    """True if all models of confounds that an analysis needs were fitted before."""
    each = (study for of in studies.values() if not isinstance(of, Undefined) for study in of.values())
    return all(study.was_kept(name) for study in each for name in BLOCKS)


def _steps(studies: Mapping[int, Study] | Undefined, placebo_seeds: Sequence[int]) -> int:
    """The steps of the analysis of one target: blocks of nuisances in each seed, then axes of the placebo."""
    if isinstance(studies, Undefined):
        return 0
    return len(studies) * len(BLOCKS) + (len(axes_of(next(iter(studies.values())))) if placebo_seeds else 0)


def _of_target(
    values: Mapping[int, np.ndarray],
    studies: dict[int, Study] | Undefined,
    target: Target,
    cohort: Cohort,
    scores: Scores,
    judged: str,
    begin: Begin,
    placebo_seeds: Sequence[int],
) -> dict[str, Any] | Undefined:
    metric = _metric(scores, target)
    if isinstance(metric, Undefined):
        return metric
    if isinstance(studies, Undefined):
        return studies
    held = held_constant(studies, begin)
    units = np.array(cohort.eligible)
    tested = tested_units(cohort, target, units)
    with_missing = {seed: of_seed[units] for seed, of_seed in values.items()}
    of_units = {seed: np.where(np.isfinite(of_seed), of_seed, np.nan) for seed, of_seed in with_missing.items()}
    parts = {seed: held[seed].parts for seed in held}
    joined = tested.joined(of_units, parts)
    jackknife = leave_one_out(joined.tested_subjects(), cohort.groups, shared_stimuli(cohort.design, joined))
    own = _own(metric, tested, with_missing, parts, cohort)
    if isinstance(own, Undefined):
        return own

    def at(level: str, values: Mapping[int, np.ndarray], own: ScoreOrReason, by: Variant = RULE) -> Added:
        return added(values, tested, held, ADDS_LEVELS[level], metric, own, jackknife, by)

    levels = {level: at(level, of_units, own) for level in ADDS_LEVELS}
    groups = np.unique([cohort.groups.get(name, name) for name in jackknife.subjects.tolist()]).tolist()
    alone = {seed: {seed: of_seed} for seed, of_seed in of_units.items()}
    own_alone = {seed: _own(metric, tested, {seed: with_missing[seed]}, parts, cohort) for seed in alone}
    return {
        "score": metric,
        "difference": has_difference(metric),
        "movement": "acc" in cohort.store.modalities,
        "held": modalities_held(cohort.store),
        "levels": {level: _as_json(made, groups) for level, made in levels.items()},
        "seeds": {str(seed): at(judged, values, own_alone[seed]).adds for seed, values in alone.items()},
        "variants": {name: at(judged, of_units, own, by).adds for name, by in VARIANTS.items()},
        **_placebo({seed: studies[seed] for seed in placebo_seeds if seed in studies}, tested, metric, begin),
        "tasks": {name: _number(effect) for name, effect in levels[judged].tasks.items()},
    }


@snapshot()
@joblib_workers(_FITTING)
def _placebo(
    studies: Mapping[int, Study], tested: LabelledUnits, metric: str, begin: Begin
) -> dict[str, dict[str, Any] | list[int]]:
    """The part `placebo`, axis of the accelerometer -> what it adds to the other axes and the clock, whatever the
    method predicts; where it is asked for, with its `placebo_seeds`."""
    if not studies:
        return {"placebo": {}}
    first = next(iter(studies.values()))
    axes = axes_of(first)

    def effect(axis: str) -> np.ndarray:
        begin(first.target.name)
        if first.observed.moved is None:  # an accelerometer without a sample
            return np.full((1, len(_OF_EFFECT)), np.nan)
        made = {seed: placebo(study, axis) for seed, study in studies.items()}
        values = {seed: score for seed, (score, _) in made.items()}
        others = {seed: Held({"others": columns}, studies[seed].parts) for seed, (_, columns) in made.items()}
        joined = tested.joined(values, {seed: study.parts for seed, study in studies.items()})
        jackknife = leave_one_out(joined.tested_subjects(), first.cohort.groups)
        found = added(values, tested, others, ["others"], metric, Undefined("not computed"), jackknife).effect
        return np.array([[getattr(found, name, None) for name in _OF_EFFECT]], float)

    folds = digest([[seed, [digest(test) for _, test in study.parts]] for seed, study in studies.items()])
    told = {axis: first.kept(f"placebo {axis} {_RULE} {folds}", partial(effect, axis))[0] for axis in axes}
    known = {axis: values.tolist() for axis, values in told.items() if np.isfinite(values).all()}
    effects = {axis: dict(zip(_OF_EFFECT, values, strict=True)) for axis, values in known.items()}
    return {"placebo": effects, "placebo_seeds": list(studies)}


def _own(
    metric: str, tested: LabelledUnits, values: Mapping[int, np.ndarray], parts: Mapping[int, Parts], cohort: Cohort
) -> ScoreOrReason:
    """The method's own score, in which units without a prediction count."""
    joined = tested.joined(values, parts, whole=True)
    jackknife = leave_one_out(joined.tested_subjects(), cohort.groups, shared_stimuli(cohort.design, joined))
    return scored(metric, joined, tested.target, jackknife)


Begin = Callable[[str], None]
"""Called with the target as a step of its analysis begins."""

Studies = Mapping[str, dict[int, Study] | Undefined]
"""Target -> seed -> the cohort's eligible units, as nuisances are made of them; undefined where the release hides their
times."""


def studies_of(cohort: Cohort, protocol: Protocol, seeds: Mapping[str, Sequence[int]]) -> Studies:
    """The studies of these `seeds` of each target."""
    observed = Observed(cohort)
    return {target.name: _studies(observed, target, protocol, seeds[target.name]) for target in cohort.targets}


def _studies(
    observed: Observed, target: Target, protocol: Protocol, seeds: Sequence[int]
) -> dict[int, Study] | Undefined:
    studies, cohort = {}, observed.cohort
    for seed in seeds:
        study = study_of(observed, target, _whole_sessions(cohort, cohort.folds(protocol, seed)), seed)
        if isinstance(study, Undefined):
            return study
        studies[seed] = study
    return studies


def _whole_sessions(cohort: Cohort, folds: Sequence[Fold]) -> Sequence[Fold]:
    """Folds that test all units of test subjects, scored or not, and learn from none: nuisances are of whole
    sessions, and of other subjects."""
    if cohort.slices is None:
        return folds
    units, found = cohort.of(cohort.eligible), []
    subject_of = {unit.id: unit.subject for unit in units}
    for fold in folds:
        tested = {subject_of[id_] for id_ in fold.test}
        others = tuple(id_ for id_ in fold.train if subject_of[id_] not in tested)
        found.append(replace(fold, train=others, test=tuple(u.id for u in units if u.subject in tested)))
    return found


@joblib_workers(_FITTING)
def held_constant(studies: Mapping[int, Study], begin: Begin) -> dict[int, Held]:
    """Seed -> the nuisances of its units. `begin`: called with the target as each block of each seed begins."""
    held = {}
    for seed, study in studies.items():
        blocks = {}
        for name in BLOCKS:
            begin(study.target.name)
            blocks[name] = block(name, study)
        held[seed] = Held(blocks, study.parts)
    return held


def registered_clocks(cohort: Cohort, studies: Studies) -> dict[str, dict[int, np.ndarray] | Undefined]:
    """Target -> seed -> (N, K) what the control `registered_clock` predicts for the cohort's N units, NaN where it
    predicts nothing; or why it does not apply."""
    return {name: of if isinstance(of, Undefined) else _clocks(cohort, of) for name, of in studies.items()}


@joblib_workers(_FITTING)
def _clocks(cohort: Cohort, studies: Mapping[int, Study]) -> dict[int, np.ndarray] | Undefined:
    found = {}
    for seed, study in studies.items():
        read = registered_clock(study)
        if isinstance(read, Undefined):
            return read
        found[seed] = np.full((len(cohort.units), read.shape[1]), np.nan)
        found[seed][study.units] = read
    return found


def _metric(scores: Scores, target: Target) -> str | Undefined:
    """The primary metric; undefined where it can't be estimated. No other score takes its place, since it alone holds
    constant what the design confounds with the label."""
    headline = scores.headlines[target.name]
    if scores.score(target.name, headline):
        return headline
    within = f"{target.traits.share}_within"
    for control in ("elapsed_time", "session_position"):
        known = scores.score(target.name, within, control)
        if known and known.mean >= CLOCK_TELLS_ALL:
            alone = f"in {within} the clock alone reaches {known.mean:.3f}"
            return Undefined(f"not estimable: {headline} can't be estimated, and {alone}")
    return Undefined(f"{headline} can't be estimated: {scores.why_undefined(target.name, headline)}")


def tested_units(cohort: Cohort, target: Target, positions: np.ndarray) -> LabelledUnits:
    """The units at `positions` (n,) of a cohort, as scores need them."""
    units = cohort.of(positions.tolist())
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


def _as_json(made: Added, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "effect": _number(made.effect),
        "score": _number(made.score),
        "share_left": made.share,
        "adds": made.adds,
        "of_groups": dict(zip(groups, made.of_groups.tolist(), strict=True)),
    }


def _number(value: ScoreOrReason) -> dict[str, Any]:
    return {"undefined": value.reason} if isinstance(value, Undefined) else value.as_json()


def laid_out(
    cohort: Cohort, predictions: Sequence[tuple[Target, int, np.ndarray, np.ndarray]]
) -> dict[str, dict[int, np.ndarray]]:
    """Target -> seed -> (N, K) scores of the cohort's N units, NaN where there is none, of (target, seed, positions
    (n,), scores (n,) or (n, K)), as precise as a record holds them."""
    out: dict[str, dict[int, np.ndarray]] = {target.name: {} for target in cohort.targets}
    for target, seed, positions, score in predictions:
        table = score if score.ndim == 2 else score[:, None]
        of_seed = out[target.name].setdefault(seed, np.full((len(cohort.units), table.shape[1]), np.nan))
        of_seed[positions] = table.astype(np.float32)
    return out
