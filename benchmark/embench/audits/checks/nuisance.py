"""Predictions that something other than physiology explains: the subject, the stimulus, the length of a recording, the
order of the files. The clock has a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from embench.audits.checks.evidence import Evidence, RecordEvidence
from embench.audits.checks.followed import follow_stimulus_mean
from embench.audits.checks.shares import MAX_EXPLAINED, area_under_curve, measure
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target
from embench.records.audit import AuditFinding, CheckResult
from embench.records.finding_texts import CLOCK, STIMULUS_MEAN, not_associated
from embench.records.predictions import Predictions
from embench.records.scores import Adds

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
