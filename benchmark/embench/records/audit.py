"""The record of an audit: findings with their evidence, measured figures, and the skipped checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from embench.checksums import SEAL, DamagedError, read_sealed_json, sealed_json
from embench.errors import CheckFailed, DataError
from embench.files import parse_json, read_text, saving, write_text
from embench.records.manifest import check_texts

AUDIT_FILE = "audit.json"
VERSION = 10
"""Increased when the same run and data give other findings, or the content of `audit.json` changes."""
BOUND_SINCE = 7
"""The version from which on an audit names, under `of`, digests of what it audited."""

Severity = Literal["severe", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")


@dataclass(frozen=True)
class AuditFinding:
    """`severe`: the scores do not mean what they seem to. `warning`: they may not. `note`: good to know.

    Args:
        what: one sentence. `evidence`: the numbers and names behind it. `todo`: what to do about it.
    """

    severity: Severity
    what: str
    evidence: Mapping[str, Any]
    todo: str


@dataclass(frozen=True)
class CheckResult:
    """Figures and findings of one check."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[AuditFinding, ...] = ()


@dataclass(frozen=True)
class Audit:
    """A complete audit. `checks`: check -> its figures and findings. `skipped`: check -> why it could not run, one
    reason a line. `of`: digests of what was audited (`embench.records.record.digests_of`), and of the audit's code."""

    run: str
    checks: Mapping[str, CheckResult]
    skipped: Mapping[str, str]
    of: Mapping[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> list[tuple[str, AuditFinding]]:
        """(check, finding), the severe ones first."""
        found = [(name, finding) for name, checked in self.checks.items() for finding in checked.findings]
        return sorted(found, key=lambda pair: SEVERITIES.index(pair[1].severity))

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        return {s: sum(finding.severity == s for _, finding in self.findings) for s in SEVERITIES}

    def json(self) -> dict[str, Any]:
        """The content of `audit.json`."""
        content = {
            "version": VERSION,
            "run": self.run,
            "of": dict(self.of),
            "counts": self.counts,
            "findings": [{"check": name, **asdict(finding)} for name, finding in self.findings],
            "measured": {name: dict(checked.figures) for name, checked in self.checks.items()},
            "not_asked": dict(self.skipped),
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=float))
        return plain


def write_audit(folder: Path, content: Mapping[str, Any]) -> Path:
    """Writes `audit.json`, of `Audit.json`, into a run's folder. Raises MachineError where the disk refuses."""
    path = Path(folder) / AUDIT_FILE
    with saving("the audit", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_json(content) + "\n")
    return path


def read_audit(folder: Path) -> dict[str, Any] | None:
    """The content of `audit.json`; None where a run was not audited. Raises DataError where the file is damaged,
    CheckFailed where it was edited."""
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


def skipped_lines(skipped: Mapping[str, str]) -> list[str]:
    """Each reason for which a check was skipped, with the check's name."""
    return [f"skipped: {name}: {line}" for name, reasons in skipped.items() for line in reasons.splitlines()]


def audit_status(content: Mapping[str, Any] | None) -> str:
    """An audit in a few words, for a table."""
    if content is None:
        return "not audited"
    counts = content["counts"]
    return format_counts({name: counts[name] for name in ("severe", "warning") if counts[name]}) or "nothing found"


def format_counts(counts: Mapping[str, int]) -> str:
    """Severity -> how many, in words: `1 severe, 2 warnings`."""
    return ", ".join(f"{n} {name}" + "s" * (n != 1 and name != "severe") for name, n in counts.items())
