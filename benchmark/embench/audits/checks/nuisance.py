"""Predictions that something other than physiology explains: the subject, the stimulus, the clock, the length of a
recording, the order of the files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from embench.audits.checks.evidence import Evidence
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.audit import AuditFinding, CheckResult
from embench.records.predictions import Predictions

MAX_EXPLAINED = 0.7
"""Share of the variance of scores' ranks from which on predictions count as explained."""

MAX_EXPLAINED_IN_CLASS = 0.5
"""The same among units of one label."""

N_NEAREST = 5

_TODO = {
    "person": "the scores identify the subject, not the state: compare moments within a subject (auroc_within)",
    "stimulus": "the scores identify the stimulus: report auroc_crossed, and split by stimulus too",
    "clock": "the scores follow the clock: report auroc_crossed_time, and remove trends and trial order from the input",
    "length": "the scores follow the length of a recording: crop all to one length (view.length=common)",
    "order": "the scores or labels follow the order of the files: shuffle the input, and find where the order enters",
}


def check_explained_by_subject(e: Evidence) -> CheckResult | Undefined:
    """Scores are the same all through a subject: they do not separate moments."""
    return _explained(e, "person", lambda rows: rows["subject"])


def check_explained_by_stimulus(e: Evidence) -> CheckResult | Undefined:
    """Scores are what other subjects got at the same stimulus."""
    return _explained(e, "stimulus", lambda rows: rows["stimulus"])


def check_explained_by_clock(e: Evidence) -> CheckResult | Undefined:
    """Scores are what other subjects got at the same time since the start."""
    return _explained(e, "clock", lambda rows: rows["start_s"])


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
        if areas >= 0.95 and pairs >= 200 and len({u.group for u in e.units.values()}) >= 5:
            evidence = {"auroc of the place within people": areas, "pairs": pairs}
            what = f"labels of {target.name} follow the order of the files"
            if e.card.fixed_order:
                findings.append(
                    AuditFinding(
                        "note",
                        what + ", because all subjects had the tasks in the same order",
                        evidence,
                        _TODO["clock"],
                    )
                )
            else:
                findings.append(AuditFinding("severe", what, evidence, _TODO["order"]))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no target of two classes")


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
            areas.append(roc_auc_score(y, x))
            pairs += int(y.sum() * (len(y) - y.sum()))
    mean = float(np.mean(areas)) if areas else 0.5
    return max(mean, 1 - mean), pairs


def _explained(e: Evidence, name: str, of: Callable[[Predictions], np.ndarray]) -> CheckResult | Undefined:
    """Compares each target's scores with those that the nuisance would give."""
    figures: dict[str, Any] = {}
    findings = []
    reason = "no target of two classes or values"
    for target in e.targets:
        if target.traits.several or target.name not in e.joined:
            continue
        rows = e.model_rows(target.name)
        values = of(rows)
        if len(np.unique(values[values == values])) < 3:
            reason = f"there are fewer than three values of the {_NUISANCES[name]}"
            continue
        label = _labels(e, target, rows)
        share, guess, known = explained_share(rows, values, own=name == "person")
        has_classes = target.traits.has_classes
        inside = explained_share(rows, values, own=name == "person", label=label)[0] if has_classes else share
        if np.isnan(share):
            reason = f"scores are constant, or too few units have the same {_NUISANCES[name]}"
            continue
        area = _auroc_of_guess(rows, label, guess, known) if has_classes else None
        figures |= {f"{target.name}: share": round(share, 3), f"{target.name}: auroc of that": area}
        figures[f"{target.name}: share inside classes"] = round(inside, 3)
        # Where labels themselves follow the nuisance, so does a method that is right; but not inside a class.
        if share >= MAX_EXPLAINED and inside >= MAX_EXPLAINED_IN_CLASS:
            predictive = area is not None and abs(area - 0.5) > 0.05
            if name == "person":  # a level of its own does no harm where moments within the subject are separated
                low = {
                    m: e.rescored["scores"][target.name].get(m, {}).get("low") or 0 for m in ("auroc", "auroc_within")
                }
                predictive = predictive and low["auroc"] > 0.5 >= low["auroc_within"]
            what = f"the {_NUISANCES[name]} explains {share:.0%} of the variance of scores of {target.name}"
            what += f", and alone has an AUROC of {area:.2f}" if area is not None else ""
            evidence = {"share explained": share, "inside classes": inside, "auroc of what explains": area}
            findings.append(AuditFinding("severe" if predictive else "warning", what, evidence, _TODO[name]))
    return CheckResult(figures, tuple(findings)) if figures else Undefined(reason)


_NUISANCES = {
    "person": "subject",
    "stimulus": "stimulus",
    "clock": "time since the start",
    "length": "length of the recording",
    "order": "place in the files",
}


def explained_share(
    rows: Predictions, values: np.ndarray, *, own: bool, label: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """(share of the variance of ranks that is explained, each row's guess, which rows have one).

    Scores become ranks within fold and seed. A row's guess is the mean rank of the other rows of its subject (`own`),
    or of other subjects' rows of the same seed: those with the very same value where there are `NEAREST` at least, else
    as many with the nearest values. Nothing is fitted to the row itself, so that noise explains nothing. Where a
    `label` (n,) is given, ranks are what is left of them beside the mean of their label, and rows without one are
    excluded.
    """
    rank = np.full(len(rows), np.nan)
    guess = np.full(len(rows), np.nan)
    folds = set(zip(rows["seed"].tolist(), rows["fold"].tolist(), strict=True))
    for seed, fold in folds:
        here = np.flatnonzero((rows["seed"] == seed) & (rows["fold"] == fold))
        if np.ptp(rows["score"][here]) > 0:
            rank[here] = (stats.rankdata(rows["score"][here]) - 0.5) / len(here)
    if label is not None:
        rank = _beside(rank, label)
    for seed in np.unique(rows["seed"]).tolist():
        here = np.flatnonzero((rows["seed"] == seed) & np.isfinite(rank))
        if len(here) < 2:
            continue
        guess[here] = (
            _own(rank[here], values[here]) if own else _others(rank[here], values[here], rows["subject"][here])
        )
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


def _others(rank: np.ndarray, values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the same, or the nearest, values."""
    guess = _same(rank, values, subject)
    if values.dtype.kind == "U":
        return guess
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    x, r, p = values[order], rank[order], subject[order]
    for position in np.flatnonzero(np.isnan(guess[order])).tolist():
        reach = N_NEAREST
        while True:
            low, high = max(0, position - reach), position + reach + 1
            other = low + np.flatnonzero(p[low:high] != p[position])
            if len(other) >= N_NEAREST or (low == 0 and high >= len(x)):
                break
            reach *= 2
        nearest = other[np.argsort(np.abs(x[other] - x[position]), kind="stable")][:N_NEAREST]
        if len(nearest):
            guess[order[position]] = r[nearest].mean()
    return guess


def _same(rank: np.ndarray, values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) the mean of other subjects' rows with the very same value; NaN where there are too few."""
    value = np.unique(values, return_inverse=True)[1]
    both = value * len(subject) + np.unique(subject, return_inverse=True)[1]
    total = np.bincount(value, rank)[value] - np.bincount(both, rank)[both]
    count = np.bincount(value)[value] - np.bincount(both)[both]
    enough = count >= (1 if values.dtype.kind == "U" else N_NEAREST)
    return np.asarray(np.where(enough, total / np.maximum(count, 1), np.nan))


def _beside(rank: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) ranks less the mean of their label; NaN without one."""
    out = np.full(len(rank), np.nan)
    for value in np.unique(label[np.isfinite(label)]):
        here = (label == value) & np.isfinite(rank)
        out[here] = rank[here] - rank[here].mean() if here.any() else np.nan
    return out


def _labels(e: Evidence, target: Target, rows: Predictions) -> np.ndarray:
    """(n,) the label of each row by the data, NaN where there is none."""
    own = e.labels["target"] == target.name
    label = dict(zip(e.labels["unit"][own].tolist(), e.labels["label"][own].tolist(), strict=True))
    return np.array([label.get(unit, np.nan) for unit in rows["unit"].tolist()])


def _auroc_of_guess(rows: Predictions, y: np.ndarray, guess: np.ndarray, known: np.ndarray) -> float | None:
    """The AUROC of the guesses alone on labelled rows, averaged over folds and seeds."""
    areas = []
    for seed, fold in sorted(set(zip(rows["seed"].tolist(), rows["fold"].tolist(), strict=True))):
        here = known & np.isfinite(y) & (rows["seed"] == seed) & (rows["fold"] == fold)
        if here.any() and 0 < y[here].sum() < here.sum():
            areas.append(roc_auc_score(y[here], guess[here]))
    return round(float(np.mean(areas)), 3) if areas else None


def check_controls(e: Evidence) -> CheckResult:
    """No control scores as well without a physiological signal: `scores.json` lists the controls that are cleared."""
    not_cleared = list(e.rescored["not_cleared"])
    figures = {"not cleared": not_cleared}
    if not not_cleared:
        return CheckResult(figures)
    above = _above(e)
    what = f"the method is not shown to be better than {', '.join(not_cleared)}"
    todo = "do not present this score as evidence of a physiological effect"
    findings = [AuditFinding("warning", what, {"differences": _differences(e, not_cleared)}, todo)]
    if above:
        what = f"controls that score higher than the method, by the interval of the difference: {', '.join(above)}"
        findings.append(AuditFinding("warning", what, {"differences": _differences(e, above)}, todo))
    return CheckResult(figures, tuple(findings))


def _above(e: Evidence) -> list[str]:
    return [
        f"{target}: {control}"
        for control, targets in e.rescored["differences"].items()
        for target, row in targets.items()
        if (high := row["difference"].get("high")) is not None and high < 0
    ]


def _differences(e: Evidence, names: list[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        target, _, control = name.partition(": ")
        found[name] = e.rescored["differences"].get(control, {}).get(target, {}).get("difference")
    return found
