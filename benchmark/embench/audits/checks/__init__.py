"""Audit checks: each looks for one fault of a run, in its record and in the data.

Each check is a function of `Evidence`: it returns a `CheckResult`, or `Undefined` with the reason why it was skipped.
"""

from collections.abc import Callable, Mapping

from embench.audits.checks import (
    chosen,
    clock,
    copies,
    embeddings,
    nuisance,
    one_statistic,
    recorded,
    sharing,
    subjects,
)
from embench.audits.checks.evidence import Evidence, RecordEvidence
from embench.interfaces.metric import Undefined
from embench.records.audit import CheckResult

CHECKS: Mapping[str, Callable[[Evidence], CheckResult | Undefined]] = {
    "people": sharing.check_shared_subjects,
    "partition": sharing.check_partition,
    "samples": sharing.check_samples,
    "copies": copies.check_copies,
    "pretraining": copies.check_pretraining,
    "statistics": recorded.check_statistics,
    "stages": recorded.check_stages,
    "labels": recorded.check_labels,
    "scores": recorded.check_scores,
    "unpredicted": recorded.check_unpredicted,
    "statements": recorded.check_statements,
    "access": recorded.check_access,
    "person": nuisance.check_explained_by_subject,
    "stimulus": nuisance.check_explained_by_stimulus,
    "clock": clock.check_explained_by_clock,
    "length": nuisance.check_explained_by_length,
    "order": nuisance.check_explained_by_order,
    "missing": nuisance.check_missing,
    "balance": clock.check_balance,
    "one_statistic": one_statistic.check_one_statistic,
    "controls": nuisance.check_controls,
    "suspicious": subjects.check_suspicious,
    "shift": subjects.check_shift,
    "one_person": subjects.check_one_subject,
    "seeds": subjects.check_seeds,
    "collapse": subjects.check_collapse,
    "calibration": subjects.check_calibration,
    "hidden": embeddings.check_test_normalisation,
    "probes": embeddings.check_probes,
    "validation": recorded.check_validation,
    "tuning": chosen.check_tuning,
}
"""All checks, in the order in which they run."""

OF_THE_RECORD: Mapping[str, Callable[[RecordEvidence], CheckResult | Undefined]] = {
    "people": sharing.check_shared_subjects,
    "statements": recorded.check_statements,
    "person": nuisance.check_explained_by_subject,
    "stimulus": nuisance.check_explained_by_stimulus,
    "clock": clock.check_explained_by_clock,
    "balance": clock.check_balance,
    "controls": nuisance.check_controls,
    "shift": subjects.check_shift,
    "one_person": subjects.check_one_subject,
    "seeds": subjects.check_seeds,
    "collapse": subjects.check_collapse,
    "calibration": subjects.check_calibration,
    "hidden": embeddings.check_test_normalisation,
    "validation": recorded.check_validation,
    "tuning": chosen.check_tuning,
}
"""Checks that need no data and take seconds."""

WITHOUT_PREDICTIONS = frozenset(
    {
        "people",
        "partition",
        "copies",
        "pretraining",
        "statistics",
        "stages",
        "labels",
        "statements",
        "access",
        "validation",
        "tuning",
    }
)
"""The checks that look at no prediction, and so can be made of entries whose labels are not public."""
