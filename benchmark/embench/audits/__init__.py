"""Audits a run from its folder and the data: collects the evidence, runs every check, writes `audit.json`."""

from __future__ import annotations

from pathlib import Path

from embench.audits.checks import CHECKS
from embench.audits.checks.evidence import Evidence
from embench.audits.collect import collect_evidence, rebuild_plan
from embench.callbacks import EventCallback
from embench.errors import UsageError
from embench.interfaces.metric import Undefined
from embench.records.audit import Audit, CheckResult, write_audit
from embench.records.names import names_resolved
from embench.records.record import read_record


def audit_run(
    folder: Path,
    *,
    data_root: Path | None = None,
    retrained: int = 0,
    out: Path | None = None,
    trust_code: bool = False,
    progress: EventCallback | None = None,
) -> Audit:
    """Runs all checks of a run, or of the record that `embench score` wrote.

    Args:
        folder: of the run, or of a leaderboard entry.
        data_root: where the data lie; by default where the run had them.
        retrained: how often the request is retrained on permuted labels.
        out: the folder that gets `audit.json`; by default the run's own.
        trust_code: whether classes in files that the record names are imported.

    Raises:
        DataError: the record is incomplete, or the data are not there. UsageError: it cannot be retrained, or
            `out` cannot be made. CheckFailed: the record names code in a file.
    """
    known = read_record(Path(folder))
    with names_resolved([(Path(folder), known)], trust_code=trust_code):
        made = _audit(collect_evidence(Path(folder), data_root, known), data_root, retrained, progress)
    write_audit(out or Path(folder), made)
    return made


def _audit(evidence: Evidence, data_root: Path | None, retrained: int, progress: EventCallback | None) -> Audit:
    checks: dict[str, CheckResult] = {}
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        found = check(evidence)
        if isinstance(found, Undefined):
            skipped[name] = found.reason
        else:
            checks[name] = found
    if retrained:
        planned, reason = rebuild_plan(evidence.record, data_root, evidence.folder)
        if planned is None:
            raise UsageError(f"the run cannot be retrained: {reason}", where=f"--retrain {retrained}")
        from embench.audits.retrain import retrain_permuted  # needs torch, which the audit of a submission does without

        checks["permuted_labels"] = retrain_permuted(planned, evidence, retrained, progress or (lambda _: None))
    else:
        skipped["permuted_labels"] = "--retrain N was not given"
    return Audit(evidence.manifest.id, checks, skipped)
