"""Audit a run from its folder and the data: collect the evidence, run every check, write `audit.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from embench.audits.checks import CHECKS, OF_THE_RECORD, WITHOUT_PREDICTIONS
from embench.audits.checks.records import Evidence, RecordEvidence
from embench.audits.collect import collect_evidence, record_evidence
from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.leaderboard.verify import hash_audit_code
from embench.leaderboard.withheld import redact_audit
from embench.reasons import Reason
from embench.records.audit import Audit, CheckResult, Skipped, write_audit
from embench.records.record import Record, digests_of, names_resolved, read_record
from embench.system import EventCallback

_E = TypeVar("_E", bound=RecordEvidence)
_Checked = tuple[dict[str, CheckResult], dict[str, list[Reason]]]


def audit_run(
    folder: Path,
    *,
    dataset: str | None = None,
    data_root: Path | None = None,
    retrained: int = 0,
    out: Path | None = None,
    trust_code: bool = False,
    progress: EventCallback | None = None,
) -> Audit:
    """Run all checks on a run, or on the record that `embench score` wrote, and return the audit.

    Args:
        folder: folder of the run, or of a leaderboard entry.
        dataset: name or folder of the dataset; by default the record's.
        data_root: folder of the data; by default the run's.
        retrained: how often the run is repeated on permuted labels.
        out: folder in which `audit.json` is written; by default `folder`. If an entry's labels are not public, the file
            in its own folder lists the findings without figures.
        trust_code: True to import classes from files that the record names.

    Raises:
        DataError: the record is incomplete, or the data are missing. UsageError: the run cannot be retrained, or
            `out` cannot be made. CheckFailed: the record names code in a file."""
    known = read_record(Path(folder))
    with names_resolved([(Path(folder), known)], trust_code=trust_code, given=dataset):
        evidence = collect_evidence(Path(folder), data_root, known, dataset)
        made = _audit(evidence, retrained, progress)
    content = made.to_dict()
    if out is None and evidence.manifest.entry and evidence.card.labels_public != "yes":
        content = redact_audit(content)  # if the audit were published with the entry, figures could reveal labels
    write_audit(out or Path(folder), content)
    return made


def audit_record(folder: Path, record: Record) -> Audit:
    """Return the audit of a record in `folder` by the checks that need no data; write nothing. The record's names must
    be resolved, see `names_resolved`. Raises DataError without labels, UsageError if its protocol is not installed."""
    evidence = record_evidence(folder, record)
    return Audit(evidence.manifest.id, *_checked(OF_THE_RECORD, evidence))


def _checked(checks: Mapping[str, Callable[[_E], CheckResult | Undefined | Skipped]], evidence: _E) -> _Checked:
    """Return the results of the checks by name, and the reasons why others were skipped."""
    made: dict[str, CheckResult] = {}
    skipped: dict[str, list[Reason]] = {}
    for name, check in checks.items():
        possible = len(evidence.predictions) or name in WITHOUT_PREDICTIONS
        result = check(evidence) if possible else Undefined("no_predictions")
        if isinstance(result, Undefined):
            skipped[name] = [result.reason]
        elif isinstance(result, Skipped):
            skipped[name] = list(result.reasons)
        else:
            made[name] = result
    return made, skipped


def _audit(evidence: Evidence, retrained: int, progress: EventCallback | None) -> Audit:
    checks, skipped = _checked(CHECKS, evidence)
    if retrained:
        planned = evidence.planned
        if isinstance(planned, Undefined):
            raise UsageError(f"the run cannot be retrained: {planned.reason}", where=f"--retrain {retrained}")
        from embench.audits.retrain import (  # needs torch, which the audit of a submission does without
            rechoose,
            retrain_permuted,
        )

        watch = progress or (lambda _: None)
        checks["permuted_labels"] = retrain_permuted(planned, evidence, retrained, watch)
        again = rechoose(planned, watch) if planned.tuning else None
        if isinstance(again, Undefined):
            skipped["choices"] = [again.reason]
        elif again:
            checks["choices"] = again
    else:
        skipped["permuted_labels"] = [Reason.make("not_retrained")]
        if evidence.manifest.config.get("tuned"):
            skipped["choices"] = skipped["permuted_labels"]
    try:
        digests = digests_of(evidence.record)
    except DataError:  # no entry can be made of this record, so that nothing has to be bound to it
        digests = {}
    return Audit(evidence.manifest.id, checks, skipped, {**digests, "code": hash_audit_code()})
