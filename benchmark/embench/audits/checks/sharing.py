"""Subjects, groups, stimuli or samples on both sides of a split, by the folds and by the data."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from embench.audits.checks.evidence import Evidence, RecordEvidence, first_names
from embench.interfaces.metric import Undefined
from embench.protocols.partition import GIVES
from embench.records.audit import AuditFinding, CheckResult, Severity
from embench.records.names import family_of

_SPLIT = "split by subject and group, then train and score again"


def check_shared_subjects(e: RecordEvidence) -> CheckResult | Undefined:
    """No subject is tested by a network that learned from it, or from a subject recorded together with it.

    Folds list the training subjects; a subject (or group) whose units are tested in several folds of a seed was
    trained on too, unless the protocol trains on what it gives. Subjects of another dataset are others, whatever their
    names; `copies` and `pretraining` compare signals.
    """
    if e.manifest.dev:
        return Undefined("--dev scores validation subjects")
    severity: Severity = "note" if e.protocol.leaks else "severe"
    findings = []
    sides: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    source = e.record.run["config"].get("train_dataset")
    elsewhere = bool(source) and family_of(source) != family_of(e.manifest.dataset.name)
    for row in e.record.folds:
        if row["role"] == GIVES and e.protocol.trains_on_given:
            continue
        if row["role"] and not (elsewhere and row["role"] != "test"):
            part = "test" if row["role"] == "test" else "learned"
            sides[str(row["seed"]), str(row["fold"])][part].add(row["subject"])
    shared = {p for fold in sides.values() for p in fold["test"] & fold["learned"]}
    if shared and not e.protocol.trains_on_given:
        what = f"{len(shared)} subjects are in both training and test of a fold"
        findings.append(AuditFinding(severity, what, {"people": first_names(shared)}, _SPLIT))
    bound = {
        p
        for fold in sides.values()
        for p in fold["test"] - fold["learned"]
        if e.groups.get(p, p) in {e.groups.get(q, q) for q in fold["learned"] - fold["test"]}
    }
    if bound:
        what = f"{len(bound)} test subjects were recorded together with training subjects of their fold"
        groups = {e.groups.get(p, p) for p in bound}
        evidence = {"people": first_names(bound), "groups of the data": first_names(groups)}
        findings.append(AuditFinding(severity, what, evidence, _SPLIT))
    rows = [(str(s), str(f), p) for s, f, p in e.tested]
    strangers = {p for s, f, p in rows if p not in sides[s, f]["test"]}
    if strangers:
        what = f"{len(strangers)} subjects are predicted in folds that, by folds.csv, do not test them"
        evidence = {"people": first_names(strangers)}
        findings.append(AuditFinding("severe", what, evidence, "find out which folds the predictions come from"))
    several = _several(e)
    if several:
        what = (
            f"{len(several)} subjects or groups are tested in several folds of a seed, so other folds trained on them"
        )
        findings.append(AuditFinding(severity, what, {"people or groups": first_names(several)}, _SPLIT))
    return CheckResult({"folds": len(sides), "people": len({p for _, _, p in rows})}, tuple(findings))


def _several(e: RecordEvidence) -> set[str]:
    """Subjects and groups who are tested in more than one fold of a seed, though the split is by them alone."""
    if e.protocol.split.by == "group+stimulus":
        return set()
    folds: dict[tuple[int, str], set[int]] = defaultdict(set)
    for seed, fold, subject in e.tested:
        for name in {subject, e.groups.get(subject, subject)}:
            folds[seed, name].add(fold)
    return {name for (_, name), found in folds.items() if len(found) > 1}


def check_partition(e: Evidence) -> CheckResult | Undefined:
    """Folds are those that the protocol deals these subjects into."""
    if not e.dealt:
        return Undefined("the protocol alone does not determine the folds")
    tested = {
        (seed, fold.index, e.units[u].subject)
        for seed, folds in e.dealt.items()
        for fold in folds
        for u in (fold.val if e.manifest.dev else fold.test)
        if u in e.units
    }
    ours = {row for row in e.tested if row[0] in e.dealt}
    odd = {subject for _, _, subject in ours - tested}
    if not odd:
        return CheckResult({"seeds": len(e.dealt)})
    what = f"{len(odd)} subjects are tested in folds other than those of {e.protocol.name}"
    todo = "run again with this protocol: runs with other folds cannot be compared with leaderboard entries"
    return CheckResult({"seeds": len(e.dealt)}, (AuditFinding("warning", what, {"people": first_names(odd)}, todo),))


def check_samples(e: Evidence) -> CheckResult:
    """Each unit is one of the data's, with its own subject and recording, predicted once a seed; no
    sample lies in units of two folds of a seed; stimuli are kept apart where the protocol says so."""
    findings = []
    rows = e.predictions
    predicted = rows.texts("unit").names.tolist()
    unknown = {u for u in predicted if u not in e.units}
    if unknown:
        what = f"{len(unknown)} predicted units do not exist in the data under this protocol"
        todo = "predict the units of the protocol: `embench data labels DATASET --units FILE.csv` lists them"
        findings.append(AuditFinding("severe", what, {"units": first_names(unknown)}, todo))
    given = set(predicted) & e.untested
    if given:
        what = f"{len(given)} predicted units are calibration data of their subjects, or too near to them"
        todo = "predict only the scored units: at least one block and the guard gap after the calibration data"
        findings.append(AuditFinding("severe", what, {"units": first_names(given)}, todo))
    wrong = {
        unit
        for unit, *about in rows.distinct("unit", "subject", "recording", "stimulus")
        if unit in e.units and about != [e.units[unit].subject, e.units[unit].recording, e.units[unit].stimulus]
    }
    if wrong:
        what = f"{len(wrong)} units have another subject, recording or stimulus than in the data"
        findings.append(
            AuditFinding("severe", what, {"units": first_names(wrong)}, "join predictions and units again, by id")
        )
    overlapping = _overlapping(e)
    if overlapping:
        what = f"{len(overlapping)} units share raw samples with units that another fold of the seed tests"
        todo = "cut units that do not overlap, or keep each recording in one fold"
        severity: Severity = "note" if e.protocol.leaks else "severe"
        findings.append(AuditFinding(severity, what, {"units": first_names(overlapping)}, todo))
    if "stimulus" in e.protocol.split.by:
        findings += _stimuli(e)
    return CheckResult({"units": len(predicted)}, tuple(findings))


def _overlapping(e: Evidence) -> set[str]:
    if e.protocol.split.by == "group+stimulus":
        return set()
    placed: dict[tuple[int, str], set[tuple[float, float, int, str]]] = defaultdict(set)
    for seed, fold, unit in e.predictions.distinct("seed", "fold", "unit"):
        if unit in e.units:
            u = e.units[unit]
            placed[seed, u.recording].add((u.start, u.stop, fold, unit))
    found = set()
    for spans in placed.values():
        ordered = sorted(spans)
        for (_, stop, fold, _), (start, _, other, unit) in pairwise(ordered):
            if start < stop - 1e-9 and fold != other:
                found.add(unit)
    return found


def _stimuli(e: Evidence) -> list[AuditFinding]:
    """A fold of a split by stimuli tests stimuli that the fold, by the protocol, does not train on, nor on any that are
    kept apart from them."""
    rules = e.protocol.stimulus_rules(e.card.name)
    apart = rules.kept_apart() if rules else {}
    learned = {
        (seed, fold.index): {e.units[u].stimulus for u in (*fold.train, *fold.val) if u in e.units}
        for seed, folds in e.dealt.items()
        for fold in folds
    }
    tested = e.predictions.distinct("seed", "fold", "stimulus")
    both = {
        stimulus
        for seed, fold, stimulus in tested
        if apart.get(stimulus, {stimulus}) & learned.get((seed, fold), set())
    }
    if not both:
        return []
    what = f"{len(both)} stimuli are in both training and test of a fold"
    return [
        AuditFinding(
            "severe", what, {"stimuli": first_names(both)}, "split by stimulus as well, as the protocol requires"
        )
    ]
