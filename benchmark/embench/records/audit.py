"""The record of an audit: findings with their evidence, measured figures, and the skipped checks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from embench.errors import CheckFailed, DataError
from embench.files import SEAL, DamagedError, parse_json, read_sealed_json, read_text, saving, sealed_json, write_text
from embench.reasons import Reason, plain_values, read_values
from embench.records.findings import (
    FINDINGS,
    SEVERITIES,
    UNKNOWN,
    Severity,
    describe_redacted_finding,
    find_wrong_field,
)
from embench.records.manifest import check_texts

AUDIT_FILE = "audit.json"
VERSION = 11
"""Increased when the same run and data give other findings, or the content of `audit.json` changes."""


@dataclass(frozen=True)
class AuditFinding:
    """A finding of an audit. `severe`: the scores do not measure what they claim. `warning`: possibly they do not.
    `note`: for information.

    Args:
        id: key of `embench.records.findings.FINDINGS`, which has the texts.
        evidence: the values that the texts show, and the numbers and names behind them.
    """

    severity: Severity
    id: str
    evidence: Mapping[str, Any]

    @property
    def what(self) -> str:
        """Sentence that describes the finding."""
        text = FINDINGS[self.id]
        return text.render(self.evidence) if self.evidence else describe_redacted_finding(text.check)

    @property
    def todo(self) -> str:
        """The action that follows from the finding."""
        return FINDINGS[self.id].todo


class ShownFinding(NamedTuple):
    """A finding of `audit.json` with its texts, as screens and pages show it."""

    check: str
    severity: str
    what: str
    todo: str
    evidence: Any


def list_shown_findings(content: Mapping[str, Any] | None) -> list[ShownFinding]:
    """Return the findings of `audit.json` with their texts; none without an audit. Invalid ones have text `UNKNOWN`."""
    found = (content or {"findings": []})["findings"]
    return [_describe_finding(each) for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _describe_finding(row: Mapping[str, Any]) -> ShownFinding:
    """Return a finding of `audit.json` with its texts."""
    check, severity, name, evidence = (row.get(key) for key in ("check", "severity", "id", "evidence"))
    known = {"check": check, "severity": severity, "id": name, "evidence": evidence}
    if find_wrong_field(known) is not None or not isinstance(evidence, Mapping):
        return ShownFinding(str(check), str(severity), UNKNOWN, "", "")
    finding = AuditFinding(row["severity"], str(name), evidence)
    return ShownFinding(str(check), finding.severity, finding.what, finding.todo, read_values(evidence))


@dataclass(frozen=True)
class CheckResult:
    """Figures and findings of one check."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[AuditFinding, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """The reasons why a check could not run."""

    reasons: tuple[Reason, ...]


class FindingPart(BaseModel):
    """A finding, whose sentences follow from its id and evidence."""

    check: str = Field(description="Check that found it.", examples=["time"])
    severity: Severity = Field(description="How serious it is: `severe` if the scores do not measure what they claim.")
    id: str = Field(description="Id of the finding.", examples=["miscalibrated"])
    evidence: Mapping[str, Any] = Field(description="Values that its sentences show; empty if labels are withheld.")


class AuditContent(BaseModel):
    """The content of `audit.json`."""

    version: int = Field(description="Version of the checks and of the file.")
    run: str = Field(description="Id of the audited run.")
    digests: dict[str, str] = Field(description="Digests of the audited parts of the record and of the audit's code.")
    counts: dict[Severity, int] = Field(description="Severity -> number of findings.")
    findings: list[FindingPart] = Field(description="Findings, severe ones first.")
    measured: dict[str, dict[str, Any]] = Field(description="Check -> figures that it measured.")
    skipped: dict[str, list[dict[str, Any]]] = Field(description="Check -> reasons why it could not run.")


@dataclass(frozen=True)
class Audit:
    """A complete audit. `run`: id. `checks`: check -> result. `skipped`: check -> reasons why it could not run.
    `digests`: name -> digest of an audited part of the record (see `digests_of`), or of the audit's `code`."""

    run: str
    checks: Mapping[str, CheckResult]
    skipped: Mapping[str, Sequence[Reason]]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> list[tuple[str, AuditFinding]]:
        """(check, finding) of each finding, the severe ones first."""
        found = [(name, finding) for name, checked in self.checks.items() for finding in checked.findings]
        return sorted(found, key=lambda pair: SEVERITIES.index(pair[1].severity))

    @property
    def severity_counts(self) -> dict[Severity, int]:
        """Severity -> number of findings."""
        found = Counter(finding.severity for _, finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `audit.json`."""
        content = AuditContent(
            version=VERSION,
            run=self.run,
            digests=dict(self.digests),
            counts=self.severity_counts,
            findings=[FindingPart(check=name, **asdict(finding)) for name, finding in self.findings],
            measured={name: dict(checked.figures) for name, checked in self.checks.items()},
            skipped={name: [why.to_dict() for why in reasons] for name, reasons in self.skipped.items()},
        )
        plain: dict[str, Any] = json.loads(json.dumps(plain_values(content.model_dump()), default=float))
        return plain


def write_audit(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write `audit.json` (`content`: see `Audit.to_dict`) into a run's folder. Raises MachineError if this fails."""
    path = Path(folder) / AUDIT_FILE
    with saving("the audit", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_json(content) + "\n")
    return path


def read_audit(folder: Path) -> dict[str, Any] | None:
    """Return the content of `audit.json`; None without an audit. Raises DataError if damaged, CheckFailed if edited."""
    path = Path(folder) / AUDIT_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = parse_json(read_text(path))
        if SEAL in content:
            content = read_sealed_json(path)
        if not {"version", "counts", "findings"} <= content.keys():
            raise ValueError("version, counts or findings are missing")
        if not all(isinstance(content["counts"][name], int) for name in SEVERITIES):
            raise ValueError(f"counts is not a whole number for each of {', '.join(SEVERITIES)}")
    except DamagedError as error:
        hint = "embench audit makes it again"
        raise CheckFailed("the audit was changed after it was written", where=str(path), hint=hint) from error
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"the audit cannot be read: {error}", where=str(path)) from error
    check_texts(content, str(path))
    return content


def read_skipped_reasons(content: Mapping[str, Any]) -> dict[str, list[Reason]]:
    """Return check -> the reasons why it was skipped, from the content of `audit.json`."""
    return {name: [Reason.read(each) for each in reasons] for name, reasons in content.get("skipped", {}).items()}


def format_audit_status(content: Mapping[str, Any] | None) -> str:
    """Return the result of an audit for a table: `1 severe, 2 warnings`, `nothing found`; `not audited` for None."""
    if content is None:
        return "not audited"
    counts: dict[Severity, int] = {name: n for name in SEVERITIES if name != "note" and (n := content["counts"][name])}
    return format_counts(counts) or "nothing found"


def format_counts(counts: Mapping[Severity, int]) -> str:
    """Return severity -> number of findings in words: `1 severe, 2 warnings`."""
    return ", ".join(f"{n} {name}" + "s" * (n != 1 and name != "severe") for name, n in counts.items())
