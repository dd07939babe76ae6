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
from embench.interfaces.ranking import mean_of_known, rows_of
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target, Unit, Units
from embench.leaderboard.verify import UNBALANCED
from embench.records.audit import CLOCK, STIMULUS_MEAN, AuditFinding, CheckResult, not_associated
from embench.records.predictions import MODEL, Predictions
from embench.records.scores import Adds
from embench.statistics.intervals import Estimate, mean_over_subjects
from embench.statistics.joined import Joined
from embench.store import Store
from embench.store.store import kept
from embench.system import version_of

# Share of a method's scores that something other than physiology explains.

MAX_EXPLAINED = 0.7
"""Share of the variance of scores' ranks from which on predictions count as explained."""

N_NEAREST = 5
MOST_AT_ONCE = 1 << 20
"""Neighbours that are looked at at once."""


@dataclass(frozen=True)
class Explained:
    """Share of a target's scores that something explains: `share` of the variance of their ranks, the same `inside`
    classes (None where there are none), and the AUROC that it has alone, None where that does not exist."""

    share: float
    inside: float | None
    area: float | None

    @property
    def predictive(self) -> bool:
        """True if the explanation of the scores predicts the classes, in either direction."""
        return self.area is not None and abs(self.area - 0.5) > 0.05

    @property
    def evidence(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {"share explained": self.share, "inside classes": self.inside, "auroc of what explains": self.area}


def measure(
    e: RecordEvidence, target: Target, rows: Predictions, values: np.ndarray, *, own: bool
) -> Explained | Undefined:
    """The share of the scores of `rows` that `values` explain, see `explained_share`."""
    share, guess, known = explained_share(rows, values, own=own)
    if np.isnan(share):
        return Undefined("scores are constant, or too few units have the same value")
    if not target.traits.has_classes:
        return Explained(share, None, None)
    label = _labels(e, target, rows)
    inside = explained_share(rows, values, own=own, label=label)[0]
    return Explained(share, None if np.isnan(inside) else inside, _auroc_of_guess(rows, label, guess, known))


def explained_share(
    rows: Predictions, values: np.ndarray, *, own: bool, label: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """(share of the variance of ranks that is explained, each row's guess, which rows have one).

    Scores become ranks within fold and seed. A row's guess is the mean rank of the other rows of its subject (`own`),
    or of other subjects' rows of the same seed: those with the very same value where there are `N_NEAREST` at least,
    else as many with the nearest values. Nothing is fitted to the row itself, so that noise explains nothing, and
    scores turned upside down are explained as well as they were. `values` are names (n,), or numbers (n,) or (n, d),
    whose distance is Euclid's. Where a `label` (n,) is given, the mean rank of each label is subtracted from the
    ranks, and rows without a label are excluded.
    """
    rank, subject = ranks(rows, rows["score"]), rows.texts("subject").code
    guess = np.full(len(rows), np.nan)
    if label is not None:
        rank = _beside(rank, label)
    for seed in np.unique(rows["seed"]).tolist():
        here = np.flatnonzero((rows["seed"] == seed) & np.isfinite(rank))
        if len(here) < 2:
            continue
        guess[here] = _own(rank[here], values[here]) if own else _others(rank[here], values[here], subject[here])
    known = np.isfinite(guess)
    if known.sum() < 10:
        return float("nan"), guess, known
    rest = ((rank[known] - guess[known]) ** 2).sum() / ((rank[known] - rank[known].mean()) ** 2).sum()
    return float(1 - rest), guess, known


def _own(rank: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of the other rows of the same subject."""
    _, code = np.unique(subject, return_inverse=True)
    total, count = np.bincount(code, rank)[code], np.bincount(code)[code]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 1, (total - rank) / (count - 1), np.nan))


def ranks(rows: Predictions, values: np.ndarray) -> np.ndarray:
    """(n,) ranks of values within fold and seed, from 0 to 1; NaN where they are all equal there."""
    rank = np.full(len(rows), np.nan)
    for here in _parts(rows):
        if np.ptp(values[here]) > 0:
            rank[here] = (stats.rankdata(values[here]) - 0.5) / len(here)
    return rank


def _parts(rows: Predictions) -> list[np.ndarray]:
    """The positions of the rows of each seed and fold, in order."""
    return [here for _, here in rows_of(_codes(rows["seed"], rows["fold"]))]


def _others(rank: np.ndarray, values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the same, or the nearest, values; NaN where a value is unknown."""
    if values.dtype.kind == "U":
        return _same(rank, values, subject, at_least=1)
    points = values.reshape(len(values), -1)
    known = np.isfinite(points).all(1)
    guess = np.full(len(rank), np.nan)
    if known.any():
        guess[known] = _nearest(rank[known], points[known], subject[known])
    return guess


def _nearest(rank: np.ndarray, points: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows at the same point (n, d), where there are enough, or at the nearest."""
    guess = _same(rank, points, subject, at_least=N_NEAREST)
    # Rows of one subject at one point have the same neighbours.
    open_ = np.flatnonzero(np.isnan(guess))
    _, first, alike = np.unique(_codes(points[open_], subject[open_]), return_index=True, return_inverse=True)
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
    """(k,) the mean of the first `N_NEAREST` of each row's neighbours (k, reach) that are not of its `own` subject
    (k,); NaN where there are fewer, unless all rows are neighbours."""
    other = subject[near] != own[:, None]
    other &= other.cumsum(1) <= N_NEAREST
    count = other.sum(1)
    done = (count == N_NEAREST) | ((near.shape[1] == len(rank)) & (count > 0))
    mean = np.full(len(near), np.nan)
    mean[done] = (rank[near[done]] * other[done]).sum(1) / count[done]
    return mean


def _same(rank: np.ndarray, values: np.ndarray, subject: np.ndarray, at_least: int) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the very same value; NaN where they are fewer than `at_least`."""
    value, both = _codes(values), _codes(values, subject)
    total = np.bincount(value, rank)[value] - np.bincount(both, rank)[both]
    count = np.bincount(value)[value] - np.bincount(both)[both]
    return np.asarray(np.where(count >= at_least, total / np.maximum(count, 1), np.nan))


def _codes(*columns: np.ndarray) -> np.ndarray:
    """(n,) a number for each row of the columns, (n,) or (n, d) together: the same where all values are."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in (part for table in columns for part in np.atleast_2d(table.T)):
        kinds, own = np.unique(column, return_inverse=True)
        code = np.unique(code * len(kinds) + own, return_inverse=True)[1]
    return code


def _beside(rank: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) ranks less the mean of their label; NaN without one."""
    out = np.full(len(rank), np.nan)
    for value in np.unique(label[np.isfinite(label)]):
        here = (label == value) & np.isfinite(rank)
        out[here] = rank[here] - rank[here].mean() if here.any() else np.nan
    return out


def _labels(e: RecordEvidence, target: Target, rows: Predictions) -> np.ndarray:
    """(n,) the label of each row by the data, NaN where there is none."""
    own = e.labels["target"] == target.name
    label = dict(zip(e.labels["unit"][own].tolist(), e.labels["label"][own].tolist(), strict=True))
    return np.array([label.get(unit, np.nan) for unit in rows["unit"].tolist()])


def _auroc_of_guess(rows: Predictions, y: np.ndarray, guess: np.ndarray, known: np.ndarray) -> float | None:
    """The AUROC of the guesses alone on labelled rows, averaged over folds and seeds."""
    areas = []
    for part in _parts(rows):
        here = part[known[part] & np.isfinite(y[part])]
        if 0 < y[here].sum() < len(here):
            areas.append(area_under_curve(y[here], guess[here]))
    return round(float(np.mean(areas)), 3) if areas else None


def area_under_curve(y: np.ndarray, values: np.ndarray) -> float:
    """The AUROC of `values` (n,) for labels 0 and 1 (n,), of which there are both: to the last digit scikit-learn's
    `roc_auc_score`, whose import alone takes longer than all of a record's areas."""
    order = np.argsort(-values)
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    high = np.cumsum(y[order])[ends]
    low = 1 + ends - high
    corner = np.ones(len(ends), bool)
    corner[1:-1] = (np.diff(high, 2) != 0) | (np.diff(low, 2) != 0)
    high, low = (np.append(0.0, count[corner]) for count in (high, low))
    return float(np.trapezoid(high / high[-1], low / low[-1]))


# Predictions that follow the place in the session: the time since its start, to its end, as a share of it, its length,
# or two of them at once.

SUSPECT_EXPLAINED = 0.5
"""Share of the variance of scores' ranks from which on it is worth a warning that the clock explains them. Labels
themselves, of three tasks that all subjects had in one order, are explained to .62 on Stress-Predict: 1.0 is right
there, and gets a warning, but nothing severe."""

_LENGTH = "length of the session"
_OVER, _LIKE = "share of the session that is over", "time since the start at a like length of the session"
_IN_TEXTS = {
    _OVER: "proportion of the session that has passed",
    _LIKE: "time since the start at a similar length of the session",
}
"""Name among the figures of an audit -> what findings call it."""


def check_explained_by_clock(e: RecordEvidence) -> CheckResult | Undefined:
    """Scores are what other subjects got at the same place in their sessions.

    How much is explained inside classes is information only: a clock that learned when the tasks are says little
    within a class, and the better it learned the less.
    """
    figures: dict[str, Any] = {}
    findings, reasons = [], []
    for target in e.compared_targets():
        rows = e.model_rows(target.name)
        if np.isnan(rows["start_s"]).all():
            reasons.append(f"{target.name}: the release hides when units were recorded")
            continue
        read: dict[str, Explained] = {}
        for name, values in _places(e, rows).items():
            correlation = None if values.ndim > 1 else _rank_correlation(rows, values)
            if name == _LENGTH and correlation is not None:
                # It is one number a subject, and folds may be blocks of like lengths: neighbours say nothing there.
                found: Explained | Undefined = Explained(correlation**2, None, None)
            else:
                found = measure(e, target, rows, values, own=False)
            if not isinstance(found, Undefined):
                read[name] = found
                figures[f"{target.name}: {name}"] = {**_round_evidence(found), "rank correlation": correlation}
        if not read:
            reasons.append(f"{target.name}: scores are constant, or too few units have a known place in the session")
            continue
        telling = {name: found for name, found in read.items() if found.share >= MAX_EXPLAINED and found.predictive}
        name, found = max((telling or read).items(), key=lambda item: item[1].share)
        if found.share >= SUSPECT_EXPLAINED:
            what = (
                f"the {_IN_TEXTS.get(name, name)} explains {found.share:.0%} of the variance of scores of {target.name}"
            )
            what += f", and alone has an AUROC of {found.area:.2f}" if found.area is not None else ""
            findings.append(AuditFinding("severe" if telling else "warning", what, found.evidence, CLOCK))
    if figures:
        return CheckResult(figures, tuple(findings))
    return Undefined("\n".join(reasons) or "no target of two classes or values")


def _places(e: RecordEvidence, rows: Predictions) -> dict[str, np.ndarray]:
    """Each reading of the clock: (n,) or (n, 2), NaN where it is unknown."""
    start = rows["start_s"]
    length = np.array([e.sessions.get(subject, np.nan) for subject in rows["subject"].tolist()])
    return {
        "time since the start": start,
        _OVER: start / length,
        "time to the end of the session": length - start,
        _LENGTH: length,
        _LIKE: np.stack([start, length], axis=1),
    }


def _rank_correlation(rows: Predictions, values: np.ndarray) -> float | None:
    """The correlation of ranks within fold and seed, of scores and values; None where either is constant."""
    known = np.isfinite(values)
    rows, values = rows.take(known), values[known]
    one, other = ranks(rows, rows["score"]), ranks(rows, values)
    both = np.isfinite(one) & np.isfinite(other)
    return round(float(np.corrcoef(one[both], other[both])[0, 1]), 3) if both.sum() > 1 else None


def _round_evidence(found: Explained) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 3) for name, value in found.evidence.items()}


def check_balance(e: RecordEvidence) -> CheckResult | Undefined:
    """The matched score does not come from who of two subjects is later in the session: it is about as high where each
    comparison stands beside its mirror image."""
    figures: dict[str, Any] = {}
    findings = []
    for target in e.targets:
        matched, balanced = (
            e.rescored.score(target.name, name) for name in ("auroc_crossed_matched", "auroc_crossed_balanced")
        )
        if matched is None or balanced is None:
            continue
        figures[target.name] = {"matched": matched.mean, "balanced": balanced.mean}
        gap = matched.mean - balanced.mean
        if gap > UNBALANCED:
            what = f"auroc_crossed_matched of {target.name} is {gap:.3f} above auroc_crossed_balanced"
            todo = "part of the score depends on which session is longer: report the balanced score too"
            findings.append(AuditFinding("warning", what, figures[target.name], todo))
    if figures:
        return CheckResult(figures, tuple(findings))
    return Undefined("the record has no score that is matched in session length and one that is balanced")


# Scores that follow the mean label of the stimulus among training subjects, and nothing else of the label.

_LEAST = 4
"""Fewest units of a subject."""
_VARIES = 1e-9


@dataclass(frozen=True)
class Followed:
    """Correlations within subjects, mean over subjects: `followed`, of scores with the mean label of the stimulus;
    `given`, the partial one of scores with the label, given the stimulus."""

    followed: Estimate
    given: Estimate

    @property
    def explains(self) -> bool:
        """True if scores follow the mean label and no association with the label is shown given the stimulus."""
        return (self.followed.low or 0.0) > 0 >= (self.given.low or 0.0)

    @property
    def figures(self) -> dict[str, float | None]:
        """The numbers, as an audit shows them."""
        return {
            "r": _round_or_none(self.followed.mean),
            "low": _round_or_none(self.followed.low),
            "partial r": _round_or_none(self.given.mean),
            "low of partial r": _round_or_none(self.given.low),
            "high of partial r": _round_or_none(self.given.high),
        }


def follow_stimulus_mean(methods: Mapping[str, Joined]) -> Followed | Undefined:
    """Correlate a method's scores with the predictions of the confound-only model `stimulus_mean`, which knows the
    labels of training subjects at the same stimulus. `methods`: the joined units of each."""
    if "stimulus_mean" not in methods:
        return Undefined("the mean label of the stimulus is not known of all test stimuli")
    model, control = methods[MODEL], methods["stimulus_mean"]
    subjects, groups = _subjects(model)
    found = [
        mean_over_subjects(mean_of_known([one(seed) for seed in model.seeds]), groups)
        for one in (
            lambda seed: _with_mean_label(model.seeds[seed], control.seeds.get(seed, {}), subjects),
            lambda seed: _given_stimulus(model.seeds[seed], subjects),
        )
    ]
    if isinstance(found[0], Undefined) or isinstance(found[1], Undefined):
        return Undefined("scores, labels or the mean labels of the stimuli do not vary within subjects")
    return Followed(found[0], found[1])


def _with_mean_label(folds: Mapping[int, Units], beside: Mapping[int, Units], subjects: Sequence[str]) -> np.ndarray:
    """(P,) each subject's correlation of scores and mean labels of the stimuli, in one seed."""
    found = [np.full(len(subjects), np.nan)]
    for fold, units in folds.items():
        if fold in beside and len(beside[fold]) == len(units):
            scores, means = (np.asarray(each.score, float) for each in (units, beside[fold]))
            found.append(_correlations(scores, means, units.subject, subjects))
    return mean_of_known(found)


def _given_stimulus(folds: Mapping[int, Units], subjects: Sequence[str]) -> np.ndarray:
    """(P,) each subject's correlation of scores and labels, both less their means over all subjects at the stimulus, in
    one seed. Scores are standardised within subjects first, since each fold has a model of its own."""
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
    return _correlations(score, label, subject, subjects)


def _correlations(one: np.ndarray, other: np.ndarray, subject: np.ndarray, subjects: Sequence[str]) -> np.ndarray:
    """(P,) the correlation of two numbers of each unit (n,) within each subject: 0 where `one` does not vary, NaN where
    `other` does not."""
    found = np.full(len(subjects), np.nan)
    for p, name in enumerate(subjects):
        mine = (subject == name) & np.isfinite(one) & np.isfinite(other)
        if mine.sum() >= _LEAST and np.ptp(other[mine]) > _VARIES:
            varies = np.ptp(one[mine]) > _VARIES
            found[p] = np.corrcoef(one[mine], other[mine])[0, 1] if varies else 0.0
    return found


def _subjects(joined: Joined) -> tuple[list[str], np.ndarray]:
    """The names of all subjects, and the group of each."""
    group_of = {
        name: group
        for _, _, units in joined
        for name, group in zip(units.subject.tolist(), units.group.tolist(), strict=True)
    }
    names = sorted(group_of)
    return names, np.array([group_of[name] for name in names])


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# Predictions that something other than physiology explains: the subject, the stimulus, the length of a recording, the
# order of the files. The clock has a module of its own.

MAX_EXPLAINED_IN_CLASS = 0.5
"""Share of the variance of scores' ranks among units of one label from which on predictions count as explained."""

_FOLLOWED = "r with the mean label of the stimulus"
_TODO = {
    "person": "the scores identify the subject, not the state: compare moments within a subject (auroc_within)",
    "stimulus": "the scores identify the stimulus: report auroc_crossed, and split by stimulus too",
    "length": "the scores follow the length of a recording: crop all to one length (view.length=common)",
    "missing": "absent or padded signals predict the label: use only what was recorded in all units, or other data",
    "order": "the scores or labels follow the order of the files: shuffle the input, and find where the order enters",
}


def check_explained_by_subject(e: RecordEvidence) -> CheckResult | Undefined:
    """Scores are the same all through a subject: they do not separate moments."""
    return _explained(e, "person", lambda rows: rows["subject"])


def check_explained_by_stimulus(e: RecordEvidence) -> CheckResult | Undefined:
    """Scores are what other subjects got at the same stimulus; or follow the mean label of the stimulus, and nothing
    else of the label."""
    found = _explained(e, "stimulus", lambda rows: rows["stimulus"])
    figures, findings = ({}, []) if isinstance(found, Undefined) else (dict(found.figures), list(found.findings))
    for target in e.compared_targets() if e.manifest.cohort.design == "shared_stimuli" else ():
        follows = follow_stimulus_mean(e.joined[target.name])
        if isinstance(follows, Undefined):
            continue
        figures[f"{target.name}: {_FOLLOWED}"] = follows.figures
        if follows.explains:
            r, partial = follows.figures["r"], follows.figures["partial r"]
            what = (
                f"scores of {target.name} follow the mean label of the stimulus, r = {r:.2f} within subjects; given "
                f"the stimulus, their partial r with the label is {partial:.2f}"
            )
            findings.append(AuditFinding("warning", what, follows.figures, STIMULUS_MEAN))
    if figures:
        return CheckResult(figures, tuple(findings))
    return found


def check_explained_by_length(e: Evidence) -> CheckResult | Undefined:
    """Scores are what other subjects got in recordings of the same length."""
    seconds = {entry.id: entry.duration_s for entry in e.store.recordings}
    return _explained(e, "length", lambda rows: np.array([seconds.get(r, np.nan) for r in rows["recording"].tolist()]))


def check_explained_by_order(e: Evidence) -> CheckResult | Undefined:
    """Scores, or the labels themselves, follow the place of a unit in the dataset's files."""
    at = {entry.id: i for i, entry in enumerate(e.store.recordings)}
    first = {entry.subject: i for i, entry in reversed(list(enumerate(e.store.recordings)))}

    def place(rows: Predictions) -> np.ndarray:
        units = [e.units.get(unit) for unit in rows["unit"].tolist()]
        return np.array([np.nan if u is None else at[u.recording] - first[u.subject] + u.start / 1e6 for u in units])

    found = _explained(e, "order", place)
    findings, figures = ([], {}) if isinstance(found, Undefined) else (list(found.findings), dict(found.figures))
    for target, _ in e.binary_targets():
        rows = e.model_rows(target.name)
        where = dict(zip(rows["unit"].tolist(), place(rows).tolist(), strict=True))
        areas, pairs = _by_place(e, target, where)
        figures[f"{target.name}: labels by place"] = round(areas, 3)
        if _follows(e, areas, pairs):
            evidence = {"auroc of the place within people": areas, "pairs": pairs}
            what = f"labels of {target.name} follow the order of the files"
            if e.card.fixed_order:
                findings.append(
                    AuditFinding(
                        "note",
                        what + ", because all subjects had the tasks in the same order",
                        evidence,
                        CLOCK,
                    )
                )
            else:
                findings.append(AuditFinding("severe", what, evidence, _TODO["order"]))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no target of two classes")


def check_missing(e: Evidence) -> CheckResult | Undefined:
    """Labels follow what was recorded: a modality is absent, or a unit padded, where the label is high."""
    used = {part for m in e.manifest.method.modalities for part in names_in(m)}
    figures: dict[str, Any] = {}
    findings = []
    for m in e.store.modalities:
        if used and m not in used:
            continue
        share = {id_: e.store.recorded_share(u.recording, m, u.start, u.stop) for id_, u in e.units.items()}
        for target, _ in e.binary_targets():
            areas, pairs = _by_place(e, target, share)
            figures[f"{target.name}: labels by what was recorded of {m}"] = round(areas, 3)
            if _follows(e, areas, pairs):
                evidence = {"auroc of the recorded share within people": areas, "pairs": pairs}
                what = f"labels of {target.name} follow how much of {m} was recorded"
                findings.append(AuditFinding("severe", what, evidence, _TODO["missing"]))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no target of two classes")


def _follows(e: Evidence, areas: float, pairs: int) -> bool:
    """True if labels follow a nuisance that has this AUROC within subjects."""
    return areas >= 0.95 and pairs >= 200 and len({u.group for u in e.units.values()}) >= 5


def _by_place(e: Evidence, target: Target, where: dict[str, float]) -> tuple[float, int]:
    """(mean over subjects of how well the place separates the classes, in one direction for all; pairs of moments)."""
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


def _explained(e: RecordEvidence, name: str, of: Callable[[Predictions], np.ndarray]) -> CheckResult | Undefined:
    """Compares each target's scores with those that the nuisance would give."""
    figures: dict[str, Any] = {}
    findings, reasons = [], []
    for target in e.compared_targets():
        rows = e.model_rows(target.name)
        values = of(rows)
        if len(np.unique(values[values == values])) < 3:
            reasons.append(f"{target.name}: there are fewer than three values of the {_NUISANCES[name]}")
            continue
        found = measure(e, target, rows, values, own=name == "person")
        if isinstance(found, Undefined):
            reasons.append(f"{target.name}: {found.reason}")
            continue
        figures[f"{target.name}: share"] = round(found.share, 3)
        figures[f"{target.name}: auroc of that"] = found.area
        figures[f"{target.name}: share inside classes"] = found.inside and round(found.inside, 3)
        # Where labels themselves follow the nuisance, so does a method that is right; but not inside a class.
        inside = found.inside if target.traits.has_classes else found.share
        if found.share >= MAX_EXPLAINED and inside is not None and inside >= MAX_EXPLAINED_IN_CLASS:
            predictive = found.predictive
            if name == "person":  # a level of its own does no harm where moments within the subject are separated
                found_in = map(e.rescored.of(target.name).get, ("auroc", "auroc_within"))
                everywhere, within = (score.low or 0 if score else 0 for score in found_in)
                predictive = predictive and everywhere > 0.5 >= within
            what = f"the {_NUISANCES[name]} explains {found.share:.0%} of the variance of scores of {target.name}"
            what += f", and alone has an AUROC of {found.area:.2f}" if found.area is not None else ""
            findings.append(AuditFinding("severe" if predictive else "warning", what, found.evidence, _TODO[name]))
    if figures:
        return CheckResult(figures, tuple(findings))
    return Undefined("\n".join(reasons) or "no target of two classes or values")


_NUISANCES = {
    "person": "subject",
    "stimulus": "stimulus",
    "length": "length of the recording",
    "order": "position in the files",
}


def check_controls(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that score and label stay associated given the measured confounds, as the record says; `embench leaderboard
    verify` computes it again."""
    asked = {t: found for t in e.record.scores.headlines if (found := e.record.scores.adds(t))}
    adds = {target: found for target, found in asked.items() if found.decides}
    nothing = "the protocol does not test the association given confounds"
    if not (asked or e.protocol.leaks or e.record.labels is None):
        nothing = "the confound analysis was not run: repeat the command without `--no-confounds`"
    reasons = [f"{target}: {found.undefined}" for target, found in asked.items()] or [nothing]
    return _adds(adds) if adds else Undefined("\n".join(reasons))


def _adds(adds: Mapping[str, Adds]) -> CheckResult:
    """A warning where an association of score and label given the confounds is not shown."""
    nothing = [target for target, found in adds.items() if not (found.decides and found.decides.adds)]
    figures = {target: found.decides.model_dump(mode="json") for target, found in adds.items() if found.decides}
    if not nothing:
        return CheckResult(figures)
    told = "; ".join(not_associated(target, figures[target], adds[target].confounds) for target in nothing)
    todo = "do not present this score as evidence of a physiological effect"
    return CheckResult(figures, (AuditFinding("warning", told, {t: figures[t] for t in nothing}, todo),))


# Scores that order the moments of a subject as one statistic of one signal does, such as the SD of an axis.

SAME_ORDER = 0.95
"""Rank correlation inside subjects, in either direction, from which on scores are said to follow a statistic."""
_FEWEST_UNITS, _FEWEST_SUBJECTS = 5, 5
"""Fewer units of a subject, or fewer subjects, show nothing: few moments are in some statistic's order by chance."""
STATISTICS = ("mean", "SD", "minimum", "maximum", "range", "slope")


def check_one_statistic(e: Evidence) -> CheckResult | Undefined:
    """Checks that no statistic of one channel has the order of scores (mean over seeds) within each subject."""
    units = list(e.units.values())
    names, tables = [], []
    for modality, entry in e.store.modalities.items():
        if modality != "video":  # its pixels are not in the store
            names += [(modality, channel, statistic) for channel in entry.channels for statistic in STATISTICS]
            tables.append(signal_statistics(e.store, modality, units))
    if not tables:
        return Undefined("there are no signals but videos")
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
        evidence = {"signal": modality, "channel": channel, "statistic": statistic, "rank correlation": correlation}
        figures[target.name] = {**evidence, "rank correlation": round(correlation, 3)}
        if abs(correlation) > SAME_ORDER:
            what = f"scores of {target.name} order moments within subjects as the {statistic} of {modality} does"
            what += f", channel {channel}: rank correlation {correlation:.3f}"
            todo = "report this with the method: the statistic alone predicts nearly as well"
            findings.append(AuditFinding("note", what, evidence, todo))
    if figures:
        return CheckResult(figures, tuple(findings))
    few = f"fewer than {_FEWEST_SUBJECTS} subjects have scores that differ between {_FEWEST_UNITS} units with samples"
    return Undefined(f"{few}, of a target with one score a unit")


def signal_statistics(store: Store, modality: str, units: Sequence[Unit]) -> np.ndarray:
    """(n, C S) the `STATISTICS` of each channel of a modality in n units, channel by channel; NaN where there are not
    two samples. The slope is that of a straight line, per sample."""
    where = digest([[unit.recording, unit.start, unit.stop] for unit in units])
    key = ["one statistic", sha256(Path(__file__)), version_of("numpy"), modality, where]
    return kept(store, key, partial(_signal_statistics, store, modality, units))


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
    """(n,) the mean over seeds of a target's scores in n units, NaN where there is none."""
    own = rows.texts("unit")
    mean = np.bincount(own.code, rows["score"]) / np.bincount(own.code)
    by_name = dict(zip(own.names.tolist(), mean.tolist(), strict=True))
    return np.array([by_name.get(unit.id, np.nan) for unit in units])


def _rank_correlations(score: np.ndarray, table: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(k,) the rank correlation of scores (n,) with each column of `table` (n, k), mean over subjects (n,); NaN where
    too few have one."""
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
