"""Audit checks: each looks for one fault of a run, in its record and in the data.

Each check is a function of `Evidence`: it returns a `CheckResult`, or `Undefined` with the reason why it was skipped.
"""

from collections.abc import Callable, Mapping

from embench.audits.checks import confounds, records, splits, subjects
from embench.audits.checks.records import Evidence, RecordEvidence
from embench.interfaces.metric import Undefined
from embench.records.audit import CheckResult, Skipped

CHECKS: Mapping[str, Callable[[Evidence], CheckResult | Undefined | Skipped]] = {
    "subjects": splits.check_shared_subjects,
    "partition": splits.check_partition,
    "samples": splits.check_samples,
    "copies": splits.check_copies,
    "pretraining": splits.check_pretraining,
    "statistics": records.check_statistics,
    "stages": records.check_stages,
    "labels": records.check_labels,
    "scores": records.check_scores,
    "unpredicted": records.check_unpredicted,
    "statements": records.check_statements,
    "access": records.check_access,
    "subject": confounds.check_explained_by_subject,
    "stimulus": confounds.check_explained_by_stimulus,
    "time": confounds.check_explained_by_time,
    "length": confounds.check_explained_by_length,
    "order": confounds.check_explained_by_order,
    "missing": confounds.check_missing,
    "balance": confounds.check_balance,
    "one_statistic": confounds.check_one_statistic,
    "confound_only": confounds.check_confound_only,
    "suspicious": subjects.check_suspicious,
    "shift": subjects.check_shift,
    "one_subject": subjects.check_one_subject,
    "seeds": subjects.check_seeds,
    "collapse": subjects.check_collapse,
    "calibration": subjects.check_calibration,
    "hidden": subjects.check_test_normalisation,
    "probes": subjects.check_probes,
    "validation": records.check_validation,
    "tuning": splits.check_tuning,
}
"""All checks, in the order in which they run."""

OF_THE_RECORD: Mapping[str, Callable[[RecordEvidence], CheckResult | Undefined | Skipped]] = {
    "subjects": splits.check_shared_subjects,
    "statements": records.check_statements,
    "subject": confounds.check_explained_by_subject,
    "stimulus": confounds.check_explained_by_stimulus,
    "time": confounds.check_explained_by_time,
    "balance": confounds.check_balance,
    "confound_only": confounds.check_confound_only,
    "shift": subjects.check_shift,
    "one_subject": subjects.check_one_subject,
    "seeds": subjects.check_seeds,
    "collapse": subjects.check_collapse,
    "calibration": subjects.check_calibration,
    "hidden": subjects.check_test_normalisation,
    "validation": records.check_validation,
    "tuning": splits.check_tuning,
}
"""Checks that need no data and take seconds."""

WITHOUT_PREDICTIONS = frozenset(
    {
        "subjects",
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
"""Checks that read no prediction, so that they also apply to entries whose labels are not public."""
