"""Predictions that follow the place in the session: the time since its start, to its end, as a share of it, its length,
or two of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from embench.audits.checks.evidence import RecordEvidence
from embench.audits.checks.shares import MAX_EXPLAINED, Explained, measure, ranks
from embench.interfaces.metric import Undefined
from embench.leaderboard.audited import UNBALANCED
from embench.records.audit import AuditFinding, CheckResult
from embench.records.finding_texts import CLOCK
from embench.records.predictions import Predictions

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
                figures[f"{target.name}: {name}"] = {**_rounded(found), "rank correlation": correlation}
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


def _rounded(found: Explained) -> dict[str, float | None]:
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
