"""Checks whether scores follow something other than physiology: time, stimulus, subject, movement, or one statistic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from embench.audits.checks.records import Evidence, RecordEvidence
from embench.files import digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import iterate_groups, mean_ignoring_nan
from embench.interfaces.recording import split_modality
from embench.interfaces.units import Target, Unit, Units
from embench.leaderboard.verify import UNBALANCED
from embench.reasons import Reason
from embench.records.audit import AuditFinding, CheckResult, Skipped
from embench.records.findings import STATISTICS
from embench.records.predictions import MODEL, Predictions
from embench.records.scores import Adjusted
from embench.statistics.intervals import Estimate, mean_over_subjects
from embench.statistics.joined import Joined
from embench.store import Store
from embench.store.store import cache_array
from embench.system import installed_version

MAX_EXPLAINED = 0.7
"""Proportion of the variance of scores' ranks from which on predictions count as explained."""

N_NEAREST = 5
MOST_AT_ONCE = 1 << 20
"""Number of neighbours that are compared at once."""


@dataclass(frozen=True)
class Explained:
    """Proportion of a target's scores that a confound explains.

    Args:
        share: proportion of the variance of the scores' ranks.
        inside: the same within classes; None without classes.
        area: AUROC of the confound alone; None if undefined."""

    share: float
    inside: float | None
    area: float | None

    @property
    def predictive(self) -> bool:
        """True if what explains the scores also predicts the classes, in either direction."""
        return self.area is not None and abs(self.area - 0.5) > 0.05

    @property
    def evidence(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {
            "proportion_explained": self.share,
            "proportion_explained_in_class": self.inside,
            "auroc_of_confound": self.area,
        }


def measure_explained(
    e: RecordEvidence, target: Target, rows: Predictions, values: np.ndarray, *, own: bool
) -> Explained | Undefined:
    """Return the proportion of the scores of `rows` that `values` explain, see `explained_share`."""
    share, guess, known = explained_share(rows, values, own=own)
    if np.isnan(share):
        return Undefined("constant_scores")
    if not target.traits.has_classes:
        return Explained(share, None, None)
    label = _row_labels(e, target, rows)
    inside = explained_share(rows, values, own=own, label=label)[0]
    return Explained(share, None if np.isnan(inside) else inside, _auroc_of_guess(rows, label, guess, known))


def explained_share(
    rows: Predictions, values: np.ndarray, *, own: bool, label: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the proportion of the variance of ranks that `values` explain, the guess of each row, and which rows have
    one.

    Scores become ranks within fold and seed. A row's guess is the mean rank of its neighbours. Neighbours are other
    rows of its subject (`own`), or rows of other subjects in the same seed: all rows with the identical value if these
    are at least `N_NEAREST`, else the `N_NEAREST` with the nearest values. Nothing is fitted to the row itself, so that
    noise explains nothing, and reversed scores are explained as well as the scores. `values` are names (n,), or numbers
    (n,) or (n, d) with Euclidean distance. With a `label` (n,), the mean rank of each label is subtracted from the
    ranks, and rows without a label are excluded."""
    rank, subject = ranks(rows, rows["score"]), rows.texts("subject").code
    guess = np.full(len(rows), np.nan)
    if label is not None:
        rank = _subtract_label_means(rank, label)
    for seed in np.unique(rows["seed"]).tolist():
        here = np.flatnonzero((rows["seed"] == seed) & np.isfinite(rank))
        if len(here) < 2:
            continue
        guess[here] = (
            _subject_guess(rank[here], values[here])
            if own
            else _neighbour_guess(rank[here], values[here], subject[here])
        )
    known = np.isfinite(guess)
    if known.sum() < 10:
        return float("nan"), guess, known
    rest = ((rank[known] - guess[known]) ** 2).sum() / ((rank[known] - rank[known].mean()) ** 2).sum()
    return float(1 - rest), guess, known


def _subject_guess(rank: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return (n,) the mean rank of the other rows of the same subject."""
    _, code = np.unique(subject, return_inverse=True)
    total, count = np.bincount(code, rank)[code], np.bincount(code)[code]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 1, (total - rank) / (count - 1), np.nan))


def ranks(rows: Predictions, values: np.ndarray) -> np.ndarray:
    """Return (n,) ranks of values within fold and seed, from 0 to 1; NaN if all values of a fold and seed are equal."""
    rank = np.full(len(rows), np.nan)
    for here in _fold_rows(rows):
        if np.ptp(values[here]) > 0:
            rank[here] = (stats.rankdata(values[here]) - 0.5) / len(here)
    return rank


def _fold_rows(rows: Predictions) -> list[np.ndarray]:
    """Return the positions of the rows of each seed and fold, in order."""
    return [here for _, here in iterate_groups(_row_codes(rows["seed"], rows["fold"]))]


def _neighbour_guess(rank: np.ndarray, values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return (n,) the mean rank of other subjects' rows with the same or the nearest values; NaN for unknown values."""
    if values.dtype.kind == "U":
        return _identical_guess(rank, values, subject, at_least=1)
    points = values.reshape(len(values), -1)
    known = np.isfinite(points).all(1)
    guess = np.full(len(rank), np.nan)
    if known.any():
        guess[known] = _nearest_guess(rank[known], points[known], subject[known])
    return guess


def _nearest_guess(rank: np.ndarray, points: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return (n,) the mean rank of other subjects' rows at the same point (n, d), if enough rows are there, else at the
    nearest points."""
    guess = _identical_guess(rank, points, subject, at_least=N_NEAREST)
    # Rows of one subject at one point have the same neighbours.
    open_ = np.flatnonzero(np.isnan(guess))
    _, first, alike = np.unique(_row_codes(points[open_], subject[open_]), return_index=True, return_inverse=True)
    asked = open_[first]
    found = np.full(len(asked), np.nan)
    tree, left, reach = cKDTree(points), np.arange(len(asked)), N_NEAREST
    while len(left) and reach < len(rank):
        reach = min(4 * reach, len(rank))
        step = max(1, MOST_AT_ONCE // reach)
        for at in np.split(left, range(step, len(left), step)):
            found[at] = _mean_of_others(rank, subject, tree.query(points[asked[at]], reach)[1], subject[asked[at]])
        left = left[np.isnan(found[left])]
    guess[open_] = found[alike]
    return guess


def _mean_of_others(rank: np.ndarray, subject: np.ndarray, near: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return (k,) the mean rank of the first `N_NEAREST` of each row's neighbours (k, reach) that belong to other
    subjects than `own` (k,). NaN if there are fewer, unless all rows are neighbours."""
    other = subject[near] != own[:, None]
    other &= other.cumsum(1) <= N_NEAREST
    count = other.sum(1)
    done = (count == N_NEAREST) | ((near.shape[1] == len(rank)) & (count > 0))
    mean = np.full(len(near), np.nan)
    mean[done] = (rank[near[done]] * other[done]).sum(1) / count[done]
    return mean


def _identical_guess(rank: np.ndarray, values: np.ndarray, subject: np.ndarray, at_least: int) -> np.ndarray:
    """Return (n,) for each row the mean `rank` of other subjects' rows with the identical value; NaN if fewer than
    `at_least` such rows exist."""
    value, both = _row_codes(values), _row_codes(values, subject)
    total = np.bincount(value, rank)[value] - np.bincount(both, rank)[both]
    count = np.bincount(value)[value] - np.bincount(both)[both]
    return np.asarray(np.where(count >= at_least, total / np.maximum(count, 1), np.nan))


def _row_codes(*columns: np.ndarray) -> np.ndarray:
    """Return (n,) a number for each row of the columns (n,) or (n, d); rows with identical values in all columns have
    the same number."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in (part for table in columns for part in np.atleast_2d(table.T)):
        kinds, own = np.unique(column, return_inverse=True)
        code = np.unique(code * len(kinds) + own, return_inverse=True)[1]
    return code


def _subtract_label_means(rank: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return (n,) ranks minus the mean rank of rows with the same label; NaN without a label."""
    out = np.full(len(rank), np.nan)
    for value in np.unique(label[np.isfinite(label)]):
        here = (label == value) & np.isfinite(rank)
        out[here] = rank[here] - rank[here].mean() if here.any() else np.nan
    return out


def _row_labels(e: RecordEvidence, target: Target, rows: Predictions) -> np.ndarray:
    """Return (n,) the label of each row from the data, NaN without one."""
    own = e.labels["target"] == target.name
    label = dict(zip(e.labels["unit"][own].tolist(), e.labels["label"][own].tolist(), strict=True))
    return np.array([label.get(unit, np.nan) for unit in rows["unit"].tolist()])


def _auroc_of_guess(rows: Predictions, y: np.ndarray, guess: np.ndarray, labelled: np.ndarray) -> float | None:
    """Return the AUROC of the guesses alone on labelled rows, averaged over folds and seeds."""
    areas = []
    for part in _fold_rows(rows):
        here = part[labelled[part] & np.isfinite(y[part])]
        if 0 < y[here].sum() < len(here):
            areas.append(area_under_curve(y[here], guess[here]))
    return round(float(np.mean(areas)), 3) if areas else None


def area_under_curve(y: np.ndarray, values: np.ndarray) -> float:
    """Return the AUROC of `values` (n,) for labels (n,) 0 and 1, both of which occur. The result equals scikit-learn's
    `roc_auc_score` to the last digit; importing scikit-learn takes longer than computing all of a record's areas."""
    order = np.argsort(-values)
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    high = np.cumsum(y[order])[ends]
    low = 1 + ends - high
    corner = np.ones(len(ends), bool)
    corner[1:-1] = (np.diff(high, 2) != 0) | (np.diff(low, 2) != 0)
    high, low = (np.append(0.0, count[corner]) for count in (high, low))
    return float(np.trapezoid(high / high[-1], low / low[-1]))


SUSPECT_EXPLAINED = 0.5
"""Proportion of the variance of scores' ranks at which time since the start gets a warning. On Stress-Predict, labels
of three tasks in one order are explained to .62: a perfect method gets a warning there, but nothing severe."""

_LENGTH = "session_length"


def check_explained_by_time(e: RecordEvidence) -> CheckResult | Undefined | Skipped:
    """Check whether scores are explained by other subjects' scores at the same place in their sessions.

    The proportion explained within classes is information only: a model that learned the times of tasks explains little
    within a class, and less the better it learned them."""
    figures: dict[str, Any] = {}
    findings, reasons = [], []
    for target in e.compared_targets():
        rows = e.model_rows(target.name)
        if np.isnan(rows["start_s"]).all():
            reasons.append(_target_reason(target, "hidden_times"))
            continue
        read: dict[str, Explained] = {}
        for name, values in _measure_times(e, rows).items():
            correlation = None if values.ndim > 1 else _rank_correlation(rows, values)
            if name == _LENGTH and correlation is not None:
                # It is one number a subject, and folds may be blocks of like lengths: neighbours say nothing there.
                found: Explained | Undefined = Explained(correlation**2, None, None)
            else:
                found = measure_explained(e, target, rows, values, own=False)
            if not isinstance(found, Undefined):
                read[name] = found
                rounded = {**_round_evidence(found), "rank_correlation": correlation}
                figures.setdefault(target.name, {})[name] = rounded
        if not read:
            reasons.append(_target_reason(target, "unknown_places"))
            continue
        telling = {name: found for name, found in read.items() if found.share >= MAX_EXPLAINED and found.predictive}
        name, found = max((telling or read).items(), key=lambda item: item[1].share)
        if found.share >= SUSPECT_EXPLAINED:
            evidence = {"target": target.name, "place": name, **found.evidence}
            findings.append(AuditFinding("severe" if telling else "warning", "explained_by_time", evidence))
    return _check_result(figures, findings, reasons)


def _check_result(
    figures: Mapping[str, Any], findings: Sequence[AuditFinding], reasons: Sequence[Reason]
) -> CheckResult | Undefined | Skipped:
    if figures:
        return CheckResult(figures, tuple(findings))
    return Skipped(tuple(reasons)) if reasons else Undefined("no_scored_target")


def _target_reason(target: Target, reason: str, /, **values: Any) -> Reason:
    return Reason.make("of_target", target=target.name, why=Reason.make(reason, **values))


def _measure_times(e: RecordEvidence, rows: Predictions) -> dict[str, np.ndarray]:
    """Return measure of time -> (n,) or (n, 2) values, NaN if unknown."""
    start = rows["start_s"]
    length = np.array([e.sessions.get(subject, np.nan) for subject in rows["subject"].tolist()])
    return {
        "time_since_start": start,
        "proportion_of_session": start / length,
        "time_to_end": length - start,
        _LENGTH: length,
        "time_at_similar_length": np.stack([start, length], axis=1),
    }


def _rank_correlation(rows: Predictions, values: np.ndarray) -> float | None:
    """Return the correlation of scores and values, both ranked within fold and seed; None if either is constant."""
    known = np.isfinite(values)
    rows, values = rows.take(known), values[known]
    one, other = ranks(rows, rows["score"]), ranks(rows, values)
    both = np.isfinite(one) & np.isfinite(other)
    return round(float(np.corrcoef(one[both], other[both])[0, 1]), 3) if both.sum() > 1 else None


def _round_evidence(found: Explained) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 3) for name, value in found.evidence.items()}


def check_balance(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that the matched score does not depend on which of two subjects is later in the session. In comparisons
    that have a mirror image it must be about as high."""
    figures: dict[str, Any] = {}
    findings = []
    for target in e.targets:
        matched, balanced = (
            e.rescored.get_score(target.name, name) for name in ("auroc_crossed_matched", "auroc_crossed_balanced")
        )
        if matched is None or balanced is None:
            continue
        figures[target.name] = {"matched": matched.mean, "balanced": balanced.mean}
        gap = matched.mean - balanced.mean
        if gap > UNBALANCED:
            findings.append(AuditFinding("warning", "unbalanced", {"target": target.name, **figures[target.name]}))
    if figures:
        return CheckResult(figures, tuple(findings))
    return Undefined("no_matched_and_balanced")


_FEWEST_CORRELATED = 4
"""Fewest units of a subject."""
_VARIES = 1e-9


@dataclass(frozen=True)
class StimulusFollowing:
    """Correlations within subjects, mean over subjects.

    Args:
        followed: of scores with the mean label of the stimulus.
        given: partial correlation of scores with the label, given the stimulus."""

    followed: Estimate
    given: Estimate

    @property
    def explains(self) -> bool:
        """True if scores follow the mean label, and no association with the label is shown given the stimulus."""
        return (self.followed.low or 0.0) > 0 >= (self.given.low or 0.0)

    @property
    def figures(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {
            "r": _round_or_none(self.followed.mean),
            "low": _round_or_none(self.followed.low),
            "partial_r": _round_or_none(self.given.mean),
            "low_of_partial_r": _round_or_none(self.given.low),
            "high_of_partial_r": _round_or_none(self.given.high),
        }


def follow_stimulus_mean(methods: Mapping[str, Joined]) -> StimulusFollowing | Undefined:
    """Correlate a method's scores with the predictions of the confound-only model `stimulus_mean`, which knows the
    labels of training subjects at the same stimulus. `methods`: the joined units of each."""
    if "stimulus_mean" not in methods:
        return Undefined("unknown_stimulus_means")
    model, control = methods[MODEL], methods["stimulus_mean"]
    subjects, groups = _subject_groups(model)
    found = [
        mean_over_subjects(mean_ignoring_nan([one(seed) for seed in model.seeds]), groups)
        for one in (
            lambda seed: _correlate_with_means(model.seeds[seed], control.seeds.get(seed, {}), subjects),
            lambda seed: _correlate_given_stimulus(model.seeds[seed], subjects),
        )
    ]
    if isinstance(found[0], Undefined) or isinstance(found[1], Undefined):
        return Undefined("constant_within_subjects")
    return StimulusFollowing(found[0], found[1])


def _correlate_with_means(
    folds: Mapping[int, Units], beside: Mapping[int, Units], subjects: Sequence[str]
) -> np.ndarray:
    """Return (P,) each subject's correlation, in one seed, of scores and mean labels of the stimuli (the scores of
    `beside`)."""
    found = [np.full(len(subjects), np.nan)]
    for fold, units in folds.items():
        if fold in beside and len(beside[fold]) == len(units):
            scores, means = (np.asarray(each.score, float) for each in (units, beside[fold]))
            found.append(_correlate_within(scores, means, units.subject, subjects))
    return mean_ignoring_nan(found)


def _correlate_given_stimulus(folds: Mapping[int, Units], subjects: Sequence[str]) -> np.ndarray:
    """Return (P,) each subject's correlation of scores and labels in one seed, after the mean over all subjects at the
    stimulus is subtracted from both. Scores are first standardised within subjects, since each fold has another
    model."""
    subject, stimulus, score, label = (
        np.concatenate([np.asarray(getattr(units, name)) for units in folds.values()])
        for name in ("subject", "stimulus", "score", "y_true")
    )
    known = np.isfinite(score)
    subject, stimulus, score, label = (each[known] for each in (subject, stimulus, score, label))
    for name in np.unique(subject).tolist():
        mine = subject == name
        score[mine] = (score[mine] - score[mine].mean()) / (score[mine].std() or 1.0)
    _, code = np.unique(stimulus, return_inverse=True)
    count = np.bincount(code)
    score, label = (each - (np.bincount(code, each) / count)[code] for each in (score, label.astype(float)))
    return _correlate_within(score, label, subject, subjects)


def _correlate_within(one: np.ndarray, other: np.ndarray, subject: np.ndarray, subjects: Sequence[str]) -> np.ndarray:
    """Return (P,) the correlation of two numbers of each unit (n,) within each subject: 0 if `one` is constant, NaN if
    `other` is constant or there are few units."""
    found = np.full(len(subjects), np.nan)
    for p, name in enumerate(subjects):
        mine = (subject == name) & np.isfinite(one) & np.isfinite(other)
        if mine.sum() >= _FEWEST_CORRELATED and np.ptp(other[mine]) > _VARIES:
            varies = np.ptp(one[mine]) > _VARIES
            found[p] = np.corrcoef(one[mine], other[mine])[0, 1] if varies else 0.0
    return found


def _subject_groups(joined: Joined) -> tuple[list[str], np.ndarray]:
    """Return the names of all subjects, and the group of each."""
    group_of = {
        name: group
        for _, _, units in joined
        for name, group in zip(units.subject.tolist(), units.group.tolist(), strict=True)
    }
    names = sorted(group_of)
    return names, np.array([group_of[name] for name in names])


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


MAX_EXPLAINED_IN_CLASS = 0.5
"""The same proportion among units of one label."""


def check_explained_by_subject(e: RecordEvidence) -> CheckResult | Undefined | Skipped:
    """Check whether scores are constant within a subject, so that they do not separate moments."""
    return _check_explained(e, "subject", lambda rows: rows["subject"])


def check_explained_by_stimulus(e: RecordEvidence) -> CheckResult | Undefined | Skipped:
    """Check whether scores are explained by other subjects' scores at the same stimulus, or are associated with the
    mean label of the stimulus only."""
    found = _check_explained(e, "stimulus", lambda rows: rows["stimulus"])
    figures, findings = _split_result(found)
    for target in e.compared_targets() if e.manifest.cohort.design == "shared_stimuli" else ():
        follows = follow_stimulus_mean(e.joined[target.name])
        if isinstance(follows, Undefined):
            continue
        figures.setdefault(target.name, {})["stimulus_mean"] = follows.figures
        if follows.explains:
            evidence = {"target": target.name, **follows.figures}
            findings.append(AuditFinding("warning", "follows_stimulus_mean", evidence))
    return CheckResult(figures, tuple(findings)) if figures else found


def _split_result(found: CheckResult | Undefined | Skipped) -> tuple[dict[str, Any], list[AuditFinding]]:
    """Return the figures of each target, and the findings; empty if the check was skipped."""
    if not isinstance(found, CheckResult):
        return {}, []
    return {target: dict(figures) for target, figures in found.figures.items()}, list(found.findings)


def check_explained_by_length(e: Evidence) -> CheckResult | Undefined | Skipped:
    """Check whether scores are explained by other subjects' scores in recordings of the same length."""
    seconds = {entry.id: entry.duration_s for entry in e.store.recordings}
    return _check_explained(
        e, "length", lambda rows: np.array([seconds.get(r, np.nan) for r in rows["recording"].tolist()])
    )


def check_explained_by_order(e: Evidence) -> CheckResult | Undefined:
    """Check whether scores or labels follow the position of a unit in the dataset's files."""
    at = {entry.id: i for i, entry in enumerate(e.store.recordings)}
    first = {entry.subject: i for i, entry in reversed(list(enumerate(e.store.recordings)))}

    def place(rows: Predictions) -> np.ndarray:
        units = [e.units.get(unit) for unit in rows["unit"].tolist()]
        return np.array([np.nan if u is None else at[u.recording] - first[u.subject] + u.start / 1e6 for u in units])

    found = _check_explained(e, "order", place)
    figures, findings = _split_result(found)
    for target, _ in e.binary_targets():
        rows = e.model_rows(target.name)
        where = dict(zip(rows["unit"].tolist(), place(rows).tolist(), strict=True))
        areas, pairs = _class_separation(e, target, where)
        figures.setdefault(target.name, {})["auroc_of_position_for_labels"] = round(areas, 3)
        if _labels_follow(e, areas, pairs):
            evidence = {"target": target.name, "auroc": areas, "n_pairs": pairs}
            if e.card.fixed_order:
                findings.append(AuditFinding("note", "labels_follow_task_order", evidence))
            else:
                findings.append(AuditFinding("severe", "labels_follow_order", evidence))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no_two_class_target")


def check_missing(e: Evidence) -> CheckResult | Undefined:
    """Check whether labels are higher where a modality is absent or a unit is padded."""
    used = {part for m in e.manifest.method.modalities for part in split_modality(m)}
    figures: dict[str, Any] = {}
    findings = []
    for m in e.store.modalities:
        if used and m not in used:
            continue
        share = {id_: e.store.recorded_share(u.recording, m, u.start, u.stop) for id_, u in e.units.items()}
        for target, _ in e.binary_targets():
            areas, pairs = _class_separation(e, target, share)
            figures.setdefault(target.name, {})[m] = round(areas, 3)
            if _labels_follow(e, areas, pairs):
                evidence = {"target": target.name, "modality": m, "auroc": areas, "n_pairs": pairs}
                findings.append(AuditFinding("severe", "labels_follow_missing", evidence))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no_two_class_target")


def _labels_follow(e: Evidence, areas: float, pairs: int) -> bool:
    """Return True if labels follow a confound whose mean AUROC within subjects is `areas`, over this number of
    pairs."""
    return areas >= 0.95 and pairs >= 200 and len({u.group for u in e.units.values()}) >= 5


def _class_separation(e: Evidence, target: Target, where: dict[str, float]) -> tuple[float, int]:
    """Return how well the place separates the classes (mean AUROC over subjects, in one direction for all), and the
    number of pairs of units."""
    table = e.labels
    rows = [
        (s, where[u], y)
        for s, u, t, y in zip(*(table[c].tolist() for c in ("subject", "unit", "target", "label")), strict=True)
        if t == target.name and u in where
    ]
    areas, pairs = [], 0
    for name in sorted({s for s, _, _ in rows}):
        x, y = (np.array([row[k] for row in rows if row[0] == name]) for k in (1, 2))
        if 0 < y.sum() < len(y):
            areas.append(area_under_curve(y, x))
            pairs += int(y.sum() * (len(y) - y.sum()))
    mean = float(np.mean(areas)) if areas else 0.5
    return max(mean, 1 - mean), pairs


def _check_explained(
    e: RecordEvidence, name: str, values_of: Callable[[Predictions], np.ndarray]
) -> CheckResult | Undefined | Skipped:
    """Check whether a confound explains each target's scores. `values_of`: returns its value for each row."""
    figures: dict[str, Any] = {}
    findings, reasons = [], []
    for target in e.compared_targets():
        rows = e.model_rows(target.name)
        values = values_of(rows)
        if len(np.unique(values[values == values])) < 3:
            reasons.append(_target_reason(target, "few_values", what=Reason.make(_NUISANCES[name])))
            continue
        found = measure_explained(e, target, rows, values, own=name == "subject")
        if isinstance(found, Undefined):
            reasons.append(_target_reason(target, found.reason))
            continue
        figures[target.name] = _round_evidence(found)
        # Where labels themselves follow the nuisance, so does a method that is right; but not inside a class.
        inside = found.inside if target.traits.has_classes else found.share
        if found.share >= MAX_EXPLAINED and inside is not None and inside >= MAX_EXPLAINED_IN_CLASS:
            predictive = found.predictive
            if name == "subject":  # a level of its own does no harm where moments within the subject are separated
                found_in = map(e.rescored.get_scores(target.name).get, ("auroc", "auroc_within"))
                everywhere, within = (score.low or 0 if score else 0 for score in found_in)
                predictive = predictive and everywhere > 0.5 >= within
            evidence = {"target": target.name, **found.evidence}
            findings.append(AuditFinding("severe" if predictive else "warning", f"explained_by_{name}", evidence))
    return _check_result(figures, findings, reasons)


_NUISANCES = {
    "subject": "subject",
    "stimulus": "stimulus",
    "length": "length_of_recording",
    "order": "position_in_files",
}


def check_confound_only(e: RecordEvidence) -> CheckResult | Undefined | Skipped:
    """Check that score and label stay associated given the measured confounds, from the values in the record. `embench
    leaderboard verify` recomputes these values."""
    asked = {t: found for t in e.record.scores.primary_metrics if (found := e.record.scores.get_adjusted(t))}
    adjusted = {target: (found, at) for target, found in asked.items() if (at := found.decides)}
    if adjusted:
        figures = {target: at.model_dump(mode="json") for target, (_, at) in adjusted.items()}
        not_shown = {target: _partial_r(found) for target, (found, at) in adjusted.items() if not at.associated}
        finding = AuditFinding("warning", "not_associated", {"targets": not_shown})
        return CheckResult(figures, (finding,) if not_shown else ())
    if asked:
        undefined = {target: found.undefined for target, found in asked.items()}
        return Skipped(tuple(Reason.make("of_target", target=t, why=why) for t, why in undefined.items()))
    skipped = not (e.protocol.leaks or e.record.labels is None)
    return Undefined("confound_test_skipped" if skipped else "no_confound_test")


def _partial_r(found: Adjusted) -> dict[str, Any]:
    """Return the partial r at the decisive level of confounds, as findings show it."""
    effect = found.decides.partial_r if found.decides else None
    return {
        "level": found.decisive_level,
        "has_movement": found.has_movement,
        "partial_r": effect and effect.mean,
        "low_of_partial_r": effect and effect.low,
        "high_of_partial_r": effect and effect.high,
    }


FOLLOWS_STATISTIC = 0.95
"""Within-subject rank correlation, in either direction, at which scores follow a statistic."""
_FEWEST_UNITS, _FEWEST_SUBJECTS = 5, 5
"""Fewest units of a subject, and fewest subjects. With fewer, some statistic orders the units alike by chance."""


def check_one_statistic(e: Evidence) -> CheckResult | Undefined:
    """Check that no statistic of one channel orders units within subjects as the scores (mean over seeds) do."""
    units = list(e.units.values())
    names, tables = [], []
    for modality, entry in e.store.modalities.items():
        if modality != "video":  # its pixels are not in the store
            names += [(modality, channel, statistic) for channel in entry.channels for statistic in STATISTICS]
            tables.append(signal_statistics(e.store, modality, units))
    if not tables:
        return Undefined("only_videos")
    figures: dict[str, Any] = {}
    findings = []
    subject = np.array([unit.subject for unit in units])
    for target in e.compared_targets():
        score = _mean_scores(e.model_rows(target.name), units)
        found = np.concatenate([_rank_correlations(score, table, subject) for table in tables])
        if np.isnan(found).all():
            continue
        best = int(np.nanargmax(np.abs(found)))
        (modality, channel, statistic), correlation = names[best], float(found[best])
        evidence = {"signal": modality, "channel": channel, "statistic": statistic, "rank_correlation": correlation}
        figures[target.name] = {**evidence, "rank_correlation": round(correlation, 3)}
        if abs(correlation) > FOLLOWS_STATISTIC:
            findings.append(AuditFinding("note", "follows_statistic", {"target": target.name, **evidence}))
    if figures:
        return CheckResult(figures, tuple(findings))
    return Undefined("few_subjects_or_units", subjects=_FEWEST_SUBJECTS, units=_FEWEST_UNITS)


def signal_statistics(store: Store, modality: str, units: Sequence[Unit]) -> np.ndarray:
    """Return (n, C S) the `STATISTICS` of each channel of a modality in n units, channel by channel; NaN for channels
    with fewer than two samples. The slope is that of a straight line, per sample."""
    where = digest([[unit.recording, unit.start, unit.stop] for unit in units])
    key = ["one statistic", sha256(Path(__file__)), installed_version("numpy"), modality, where]
    return cache_array(store, key, partial(_signal_statistics, store, modality, units))


def _signal_statistics(store: Store, modality: str, units: Sequence[Unit]) -> np.ndarray:
    array, entry = store.array(modality), store.modalities[modality]
    table = np.full((len(units), len(entry.channels), len(STATISTICS)), np.nan)
    for row, unit in zip(table, units, strict=True):
        span = store.recording(unit.recording).spans.get(modality)
        x = array[:, span.cut(unit.start, unit.stop, entry.rate)].astype(np.float64) if span else np.empty((0, 0))
        if x.shape[-1] < 2:
            continue
        time = np.arange(x.shape[1]) - (x.shape[1] - 1) / 2
        low, high, mean = x.min(1), x.max(1), x.mean(1)
        slope = (x - mean[:, None]) @ time / (time @ time)
        row[:] = np.stack([mean, x.std(1), low, high, high - low, slope], axis=1)
    return table.reshape(len(units), -1)


def _mean_scores(rows: Predictions, units: Sequence[Unit]) -> np.ndarray:
    """Return (n,) the mean over seeds of a target's scores in n units, NaN without scores."""
    own = rows.texts("unit")
    mean = np.bincount(own.code, rows["score"]) / np.bincount(own.code)
    by_name = dict(zip(own.names.tolist(), mean.tolist(), strict=True))
    return np.array([by_name.get(unit.id, np.nan) for unit in units])


def _rank_correlations(score: np.ndarray, table: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return (k,) the rank correlation of scores (n,) with each column of `table` (n, k), averaged over subjects (n,);
    NaN if too few subjects have one."""
    known = np.isfinite(score) & np.isfinite(table).all(1)
    found = []
    for name in np.unique(subject[known]).tolist():
        mine = known & (subject == name)
        if mine.sum() >= _FEWEST_UNITS and np.ptp(score[mine]) > 0:
            ranks = stats.rankdata(np.column_stack([score[mine], table[mine]]), axis=0)
            ranks -= ranks.mean(0)
            scale = np.sqrt((ranks**2).sum(0))
            products = ranks[:, 0] @ ranks[:, 1:]
            found.append(products / np.maximum(scale[0] * scale[1:], 1e-12))  # 0 of what does not vary
    if len(found) < _FEWEST_SUBJECTS:
        return np.full(table.shape[1], np.nan)
    return np.asarray(np.mean(found, axis=0))
