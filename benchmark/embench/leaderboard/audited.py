"""Checks that an entry's audit belongs to it and contains only texts of audits.

Anybody can write and seal an `audit.json`. Its content is therefore compared with the entry's own files; nothing is
audited again, which needs the data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from embench.files import read_text
from embench.interfaces.metric import Undefined
from embench.records.audit import AUDIT_FILE, BOUND_SINCE, SEVERITIES, VERSION
from embench.records.differences import NUISANCES_DIFFER, TOLERANCE
from embench.records.finding_texts import wrong_text
from embench.records.manifest import Manifest
from embench.records.record import Record, digests_of
from embench.records.scores import Scores
from embench.texts import texts_in

TEXTS_SINCE = 4
"""First version of audits with the texts of `FINDING_TEXTS`; the few earlier ones keep their own."""
_FIELDS = frozenset({"version", "run", "of", "counts", "findings", "measured", "not_asked"})
_OF_FINDING = frozenset({"check", "severity", "what", "evidence", "todo"})
_PLAIN = re.compile(r"(?!.*//)[\w .,:;'()\[\]%+/-]{0,300}")
"""Texts in evidence and measurements are names, and reasons why a number is undefined."""
MANY_METHODS, MISCALIBRATED, UNBALANCED = 20, 0.1, 0.02
"""Thresholds of findings of the checks `validation`, `calibration` and `balance`; the last is the part of a matched
score that may be due to which of two subjects is later in the session."""


def wrong_audit(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Fields of an audit that no audit has, texts and numbers that it cannot have found in this entry, and severe
    findings; each with its place."""
    version, findings = audit["version"], audit["findings"]
    if type(version) is not int or not 1 <= version <= VERSION:
        later = f"expected 1 to {VERSION}; update embench, or audit again"
        yield f"{AUDIT_FILE}: version: {str(version)[:20]} is none that is known here, {later}"
        return
    if audit.get("run") != run.id:
        yield f"{AUDIT_FILE}: it is of another run, {audit.get('run')}"
    for name in sorted(audit.keys() - _FIELDS):
        yield f"{AUDIT_FILE}: {name}: audits have no such field"
    for severity in SEVERITIES:
        if audit["counts"].get(severity) != sum(f["severity"] == severity for f in findings):
            yield f"{AUDIT_FILE}: counts.{severity} is not the number of {severity} findings"
    for i, finding in enumerate(findings):
        yield from _wrong_finding(finding, f"findings.{i}", version)
    for field, text in texts_in(audit.get("measured", {}), "measured"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    if version >= BOUND_SINCE and run.card.labels_public == "yes":
        yield from _left_out(audit, run, scores)
    if audit.get("measured"):
        yield from _wrong_figures(audit, run, scores)
    if severe := [str(f["check"]) for f in findings if f["severity"] == "severe"]:
        yield f"{AUDIT_FILE}: severe findings: {', '.join(severe)}"


def _wrong_finding(finding: Mapping[str, Any], place: str, version: int) -> Iterator[str]:
    if more := sorted(finding.keys() ^ _OF_FINDING):
        yield f"{AUDIT_FILE}: {place}.{more[0]}: expected the fields {', '.join(sorted(_OF_FINDING))}"
        return
    for field, text in texts_in(finding["evidence"], f"{place}.evidence"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    if version >= TEXTS_SINCE and finding["severity"] != "severe" and (wrong := wrong_text(finding)):
        text = str(finding[wrong])[:60]
        yield f"{AUDIT_FILE}: {place}.{wrong}: `{text}` is not what the check {finding['check']} says of its evidence"


def _left_out(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Checks that can be made of every entry with labels, and were not."""
    measured = audit.get("measured", {})
    for check in _ALWAYS - measured.keys():
        yield f"{AUDIT_FILE}: measured: the check {check} is missing, which every audit makes; audit the run again"
    for target in (rule.name for rule in run.card.label_rules if rule.kind == "binary"):
        if scores.score(target, "ece") and target not in measured.get("calibration", {}):
            yield f"{AUDIT_FILE}: measured.calibration: {target} is missing, which has an ece; audit the run again"


_ALWAYS = frozenset({"access", "scores", "statements", "validation"})

_SCORES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "calibration": {"ece": ("ece", "mean"), "low": ("ece", "low")},
    "balance": {"matched": ("auroc_crossed_matched", "mean"), "balanced": ("auroc_crossed_balanced", "mean")},
}
"""Check -> what it measures of a target -> metric and part of its score that this is."""


def _wrong_figures(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Figures of the audit that differ from those of scores.json and run.yaml."""
    measured = audit["measured"]
    for check in ("labels", "scores", "statements"):
        if differ := measured.get(check, {}).get("differ"):
            yield f"{AUDIT_FILE}: measured.{check}.differ: {differ}, but of an entry nothing may differ"
    for check, names in _SCORES.items():
        for target, figures in measured.get(check, {}).items():
            for name, (metric, part) in names.items():
                known = getattr(scores.score(target, metric), part, None)
                if not _same(figures[name], known):
                    place = f"measured.{check}.{target}.{name}"
                    yield f"{AUDIT_FILE}: {place}: {figures[name]}, but the {metric} of this entry is {known}"
    for target in measured.get("controls", {}).keys() & scores.headlines.keys():
        figures, adds = measured["controls"][target], scores.adds(target)
        at = adds and adds.decides
        if (
            not at
            or figures["adds"] != at.adds
            or not abs(figures["effect"]["mean"] - at.effect.mean) <= NUISANCES_DIFFER
        ):
            yield f"{AUDIT_FILE}: measured.controls.{target}: not what the confound analysis of this entry gives"
    counted = {"tried": run.most_of("tried"), "test looks": run.most_of("test_looks")}
    for name, looks in measured.get("validation", {}).items():
        if name in counted and looks != counted[name]:
            yield f"{AUDIT_FILE}: measured.validation.{name}: {looks}, but run.yaml counts {counted[name]}"
    yield from _wrong_findings(audit)


def _same(measured: float | None, known: float | None) -> bool:
    return measured is known is None or (known is not None and abs((measured or 0) - known) <= TOLERANCE)


def _wrong_findings(audit: Mapping[str, Any]) -> Iterator[str]:
    """Findings that follow from what was measured and are missing, or the other way round."""
    measured, findings = audit["measured"], audit["findings"]
    calibration, balance = (measured.get(check, {}).values() for check in _SCORES)
    controls = measured.get("controls", {})
    asked = [row for row in controls.values() if isinstance(row, Mapping)]
    expected = {
        "calibration": sum((row["low"] or 0) - row["of right probabilities"] > MISCALIBRATED for row in calibration),
        "balance": sum(row["matched"] - row["balanced"] > UNBALANCED for row in balance),
        "controls": any(row.get("adds") is False for row in asked),
        "validation": measured.get("validation", {}).get("tried", 0) > MANY_METHODS,
    }
    for check, count in expected.items():
        own = [f for f in findings if f["check"] == check]
        found = {"controls": bool(own), "validation": any("tried" in f["evidence"] for f in own)}.get(check, len(own))
        if found != count:
            yield f"{AUDIT_FILE}: measured.{check}: {count:d} findings follow from it, but there are {found:d}"


def wrong_binding(audit: Mapping[str, Any], record: Record) -> list[str] | Undefined:
    """The parts of an entry that are not those that were audited; undefined where the audit does not say, or the code
    that made it is another one than here.

    An audit older than these digests is bound by its figures alone, see `wrong_audit`.
    """
    if unbound := why_unbound(audit):
        return Undefined(f"{unbound}: it is not bound to these predictions")
    stated, own = audit["of"], digests_of(record)
    wrong = [
        f"{AUDIT_FILE}: of.{name}: the audit is of other {name} than the entry contains; audit the run again"
        for name in sorted(own)
        if stated.get(name) != own[name]
    ]
    wrong += [f"{AUDIT_FILE}: of.{name}: audits name no such digest" for name in sorted(stated.keys() - {*own, "code"})]
    if not wrong and stated.get("code") != audit_code():
        return Undefined("the audit is of these files, but was made by other code of embench's audits than is here")
    return wrong


def why_unbound(audit: Mapping[str, Any]) -> str:
    """The reason why an audit names no digests; empty where it has to."""
    if audit["version"] >= BOUND_SINCE:
        return ""
    return f"the audit, of version {audit['version']}, names no digests"


@cache
def audit_code() -> str:
    """A digest of the source of audits, the same on every machine."""
    folder, digest = Path(__file__).parents[1] / "audits", hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{read_text(path)}\n".encode())
    return digest.hexdigest()[:32]
