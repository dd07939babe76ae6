"""Audits: what would make a run wrong, asked one by one of its record and of the data.

Each check is a function of `Evidence`: it returns a `CheckResult`, or `Undefined` with the reason why it was skipped.
"""

from collections.abc import Callable, Mapping

from embench.audits.checks import copies, embeddings, nuisance, people, recorded, sharing
from embench.audits.checks.evidence import Evidence
from embench.interfaces.metric import Undefined
from embench.records.audit import CheckResult

CHECKS: Mapping[str, Callable[[Evidence], CheckResult | Undefined]] = {
    "people": sharing.people,
    "partition": sharing.partition,
    "samples": sharing.samples,
    "copies": copies.copies,
    "pretraining": copies.pretraining,
    "statistics": recorded.statistics,
    "stages": recorded.stages,
    "labels": recorded.labels,
    "scores": recorded.scores,
    "access": recorded.access,
    "person": nuisance.person,
    "stimulus": nuisance.stimulus,
    "clock": nuisance.clock,
    "length": nuisance.length,
    "order": nuisance.order,
    "controls": nuisance.controls,
    "suspicious": people.suspicious,
    "shift": people.shift,
    "one_person": people.one_person,
    "seeds": people.seeds,
    "collapse": people.collapse,
    "calibration": people.calibration,
    "hidden": embeddings.over_test,
    "probes": embeddings.probes,
    "validation": recorded.validation,
}
"""In the order in which they are told."""
