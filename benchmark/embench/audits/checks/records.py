"""The evidence of an audit, and checks of the record against the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Unit
from embench.leaderboard.verify import MANY_METHODS, find_wrong_scores, find_wrong_statements
from embench.protocols import Fold, Protocol, find_access, recorded_given
from embench.reasons import Reason
from embench.records.audit import AuditFinding, CheckResult, Skipped
from embench.records.findings import Severity
from embench.records.ledger import count_up_to
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, Embeddings, Labels, Predictions
from embench.records.record import Record, strip_variant
from embench.records.scores import TOLERANCE, Scores
from embench.statistics.joined import Joined, join
from embench.store import Store

if TYPE_CHECKING:
    from embench.planning.plan import Plan


@dataclass(frozen=True)
class FittedStatistics:
    """A normalising buffer of one fold's network: as `saved` in the weights, recomputed on the fold's `training`
    subjects, and recomputed on `all_subjects`."""

    seed: int
    fold: int
    name: str
    saved: np.ndarray
    training: np.ndarray
    all_subjects: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RecordEvidence:
    """Evidence for checks that need no data: a run's record, with its own labels and scores.

    Args:
        labels: of the units that the run predicted. `groups`: subject -> group of subjects recorded together.
        sessions: subject -> length of the session in s.
        rescored: the correct content of `scores.json`."""

    folder: Path
    record: Record
    manifest: Manifest
    protocol: Protocol
    targets: Sequence[Target]
    labels: Labels
    groups: Mapping[str, str]
    sessions: Mapping[str, float]
    unit_length_s: float
    rescored: Scores
    embeddings: Embeddings | None = None

    @property
    def tested(self) -> set[tuple[int, int, str]]:
        """(seed, fold, subject) of all predictions; from the folds if the record has no predictions."""
        rows = self.predictions
        if len(rows):
            return set(rows.distinct("seed", "fold", "subject"))
        return {(int(r["seed"]), int(r["fold"]), r["subject"]) for r in self.record.folds if r["role"] == "test"}

    @property
    def predictions(self) -> Predictions:
        """The record's predictions."""
        return self.record.predictions

    @cached_property
    def joined(self) -> dict[str, dict[str, Joined]]:
        """Target -> method -> its units with the record's own labels; targets without a labelled
        prediction are excluded."""
        recorded = self.record.labels or self.labels
        groups = {**self.groups, **self.record.groups}
        every = {t.name: join(self.predictions, recorded, t, groups, self.unit_length_s) for t in self.targets}
        known = {name: {m: of for m, of in methods.items() if of.seeds} for name, methods in every.items()}
        return {name: methods for name, methods in known.items() if MODEL in methods}

    def model_rows(self, target: str) -> Predictions:
        """Return the predictions of the run's method for a target."""
        return self.predictions.take(self.predictions.rows_with(method=MODEL, target=target))

    def compared_targets(self) -> list[Target]:
        """Return the targets with one score per unit that the method predicted."""
        return [t for t in self.targets if not t.traits.has_score_per_class and t.name in self.joined]

    def binary_targets(self) -> Iterator[tuple[Target, Joined]]:
        """Yield the binary targets, each with the method's joined predictions."""
        for target in self.targets:
            if target.traits.has_classes and not target.traits.has_score_per_class and target.name in self.joined:
                yield target, self.joined[target.name][MODEL]


@dataclass(frozen=True, kw_only=True)
class Evidence(RecordEvidence):
    """Evidence for all checks. Everything that the data tell is taken from the data, not from the record: labels follow
    from the rules of the dataset card, groups and sessions are those of the data, and scores are recomputed.

    Args:
        units: id -> unit, as the data and the protocol make them.
        planned: the run's plan, made again; or why there is none here.
        untested: ids of units that no fold tests: calibration units, and the gap before the scored units.
        dealt: seed -> the folds into which the protocol deals these subjects; empty if the run has other subjects, too.
        statistics: of networks that normalise by their training subjects; or why they cannot be recomputed.
        sources: name -> available data of pretraining; `missing_sources`: names of those that are not available.
        stages: (kind, fold) of stages of the run whose ids differ from those that its request has here; or why they
            cannot be compared.
        baselines: folders of runs with handcrafted features next to the run.
        miscounted: faults in how the record counts units without a prediction.
        withheld_digest: whether a published entry without labels was scored against the labels of the data; None for
            records with labels. `other files`: the digest was made with a key that these raw files do not give."""

    card: Card
    store: Store
    units: Mapping[str, Unit]
    planned: Plan | Undefined
    untested: frozenset[str]
    dealt: Mapping[int, Sequence[Fold]]
    statistics: Sequence[FittedStatistics] | Undefined | Skipped
    stages: Sequence[Mapping[str, Any]] | Undefined | Skipped
    sources: Mapping[str, Store] = field(default_factory=dict)
    missing_sources: tuple[str, ...] = ()
    baselines: Sequence[Path] = ()
    miscounted: Sequence[Reason] = ()
    withheld_digest: Literal["same", "other labels", "other files", "missing"] | None = None


def first_names(names: Sequence[str] | set[str], most: int = 8) -> list[str]:
    """Return the first names, sorted."""
    return sorted(names)[:most]


def check_labels(e: Evidence) -> CheckResult | Undefined:
    """Check that the run was scored against the labels that the rules of the dataset card make from the data."""
    recorded, public = e.record.labels, e.card.labels_public == "yes"
    if (recorded is None or (e.manifest.entry and not public)) and (unsealed := _withholding_fault(e, public)):
        return CheckResult({}, (unsealed,))
    fitted = any(target.rule.cut == "training_mean" for target in e.targets)
    config = e.record.run["config"]
    few = config.get("label_subjects") or config.get("label_fraction")
    if fitted and (not e.dealt or e.manifest.dev or few):
        return Undefined("cut_at_training_mean")
    if recorded is None:
        return _check_withheld_digest(e)
    made, ours = _label_table(e.labels), _label_table(recorded)
    differ = [key for key in ours.keys() & made.keys() if abs(ours[key] - made[key]) > TOLERANCE]
    predicted = set(e.predictions.distinct("target", "unit"))
    extra = ours.keys() - made.keys()
    missing = {key for key in made.keys() - ours.keys() if key[:2] in predicted}
    figures = {"labels_compared": len(ours), "differ": len(differ), "not_in_data": len(extra), "missing": len(missing)}
    if not (differ or extra or missing):
        return CheckResult(figures)
    wrong = [key[1] for key in (*differ, *extra, *missing)]
    severity: Severity = "severe" if differ or extra else "warning"
    counts = {"n": len(wrong), "of": len(ours.keys() | missing)}
    evidence = {**counts, **figures, "units": first_names(wrong)}
    return CheckResult(figures, (AuditFinding(severity, "other_labels", evidence),))


def _withholding_fault(e: Evidence, public: bool) -> AuditFinding | None:
    """Return the fault of a record that lacks labels, or must not have them; None if there is none."""
    if public:
        fault = "labels_missing"
    elif e.record.labels is not None or len(e.predictions):
        fault = "labels_not_withheld"
    elif e.withheld_digest == "missing":
        fault = "digest_missing"
    else:
        return None
    return AuditFinding("severe", fault, {"labels_public": e.card.labels_public})


def _check_withheld_digest(e: Evidence) -> CheckResult | Undefined:
    """Check that a published record without labels was scored against the labels of the data."""
    if e.withheld_digest == "other files":
        return Undefined("other_raw_files")
    figures = {"labels_compared": len(e.labels), "withheld_digest": e.withheld_digest}
    if e.withheld_digest == "same":
        return CheckResult(figures)
    return CheckResult(figures, (AuditFinding("severe", "other_withheld_labels", figures),))


def _label_table(table: Labels) -> dict[tuple[str, str, int], float]:
    """Return (target, unit, seed) -> label."""
    keys = zip(*(table[name].tolist() for name in ("target", "unit", "seed")), strict=True)
    return dict(zip(keys, table["label"].tolist(), strict=True))


def check_scores(e: Evidence) -> CheckResult | Undefined:
    """Check that `scores.json`, with intervals and comparisons, follows from the record's predictions and labels."""
    if e.record.labels is None:
        return Undefined("no_labels")
    apart = list(find_wrong_scores(e.record, e.rescored))
    figures = {"methods": 1 + len(e.rescored.confound_only_names), "differ": len(apart)}
    if not apart:
        return CheckResult(figures)
    evidence = {**figures, "examples": [difference._asdict() for difference in apart[:5]]}
    return CheckResult(figures, (AuditFinding("severe", "other_scores", evidence),))


def check_unpredicted(e: Evidence) -> CheckResult | Undefined:
    """Check that labelled units without a prediction count as lost, or as ties if no signal was recorded."""
    if not e.miscounted:
        return CheckResult({"n": 0})
    evidence = {"n": len(e.miscounted), "statements": list(e.miscounted[:3])}
    return CheckResult({"n": len(e.miscounted)}, (AuditFinding("severe", "uncounted_units", evidence),))


def check_statements(e: RecordEvidence) -> CheckResult:
    """Check that a record's statements on its dataset, protocol, method and folds fit together, and fit the published
    dataset card and rules."""
    wrong = [*map(Reason.make, find_wrong_statements(e.record))]
    if not wrong:
        return CheckResult({"differ": 0})
    return CheckResult(
        {"differ": len(wrong)},
        (AuditFinding("severe", "contradictions", {"statements": wrong[:8]}),),
    )


def check_access(e: Evidence) -> CheckResult:
    """Check that the rules and data which the record states are the real ones."""
    run, findings = e.record.run, []
    claimed, real = run["target_access"], find_access(e.protocol, recorded_given(run.get("calibration_data")))
    order = ("none", "baseline", "unlabelled")
    if claimed != real:
        more = claimed in order and real in order and order.index(claimed) > order.index(real)
        stated = {"stated_access": claimed, "access": real}
        findings.append(AuditFinding("warning" if more else "severe", "other_access", stated))
    if bool(run["protocol"]["leaks"]) != e.protocol.leaks or run["protocol"]["hash"] != e.protocol.hash:
        rules = {"protocol": e.protocol.name, "recorded": run["protocol"]["hash"], "here": e.protocol.hash}
        findings.append(AuditFinding("severe", "other_rules", rules))
    if run["dataset"]["fingerprint"] != e.store.key:
        fingerprints = {"recorded": run["dataset"]["fingerprint"], "here": e.store.key}
        findings.append(AuditFinding("note", "other_data", fingerprints))
    return CheckResult({"target_access": real, "leaks": e.protocol.leaks}, tuple(findings))


def check_stages(e: Evidence) -> CheckResult | Undefined | Skipped:
    """Check that the stages of the run are those that its request has here. Stage ids contain the subjects, units and
    labels from which each stage learned, so that equal ids prove them."""
    if isinstance(e.stages, Undefined | Skipped):
        return e.stages
    rows = [row for row in e.stages if row["differs"]]
    figures = {"stages": len(e.stages), "differ": len(rows)}
    if not rows:
        return CheckResult(figures)
    kinds = sorted({str(row["kind"]) for row in rows})
    evidence = {**figures, "kinds": kinds, "examples": rows[:3]}
    return CheckResult(figures, (AuditFinding("severe", "other_stages", evidence),))


def check_statistics(e: Evidence) -> CheckResult | Undefined | Skipped:
    """Check that a network's normalisation was fitted to the training subjects of its fold only."""
    if isinstance(e.statistics, Undefined | Skipped):
        return e.statistics
    if not e.statistics:
        return Undefined("no_training_statistics")
    off, whole = [], []
    for s in e.statistics:
        size = np.abs(s.training) + np.abs(s.training - s.all_subjects) + 1e-6
        gap = float(np.max(np.abs(s.saved - s.training) / size))
        if gap > 1e-3:
            off.append(s)
            if float(np.max(np.abs(s.saved - s.all_subjects) / size)) < gap / 3:
                whole.append(s)
    same = _same_in_all_folds(e.statistics)
    figures = {"buffers": len(e.statistics), "differ": len(off), "same_in_all_folds": len(same)}
    if not (off or same):
        return CheckResult(figures)
    fault = "statistics_of_all_subjects" if whole or same else "other_statistics"
    names = {f"seed {s.seed}, fold {s.fold}: {s.name}" for s in whole or ([] if same else off)} | set(same)
    return CheckResult(figures, (AuditFinding("severe", fault, {**figures, "examples": first_names(names)}),))


def _same_in_all_folds(statistics: Sequence[FittedStatistics]) -> list[str]:
    """Return the buffers that are equal in all folds of a seed, although their training subjects differ."""
    found = []
    of: dict[tuple[int, str], list[np.ndarray]] = {}
    for s in statistics:
        # Where training subjects agree to the digit (a feature that is constant), equal buffers say nothing.
        if np.ptp(s.saved) > 0 or np.abs(s.saved).max() > 0:
            of.setdefault((s.seed, s.name), []).append(s.saved)
    for (seed, name), values in of.items():
        trivial = all(np.isin(value, (0.0, 1.0)).all() for value in values)
        if len(values) > 1 and not trivial and all(np.allclose(v, values[0], rtol=1e-6, atol=0) for v in values):
            found.append(f"seed {seed}: {name}")
    return found


def check_validation(e: RecordEvidence) -> CheckResult:
    """Count the decisions made on the validation subjects. Each further decision makes them less of a check."""
    stopped = _stopped_early(e)
    tested = {row["subject"] for row in e.record.folds if row["role"] == "val"}
    findings = []
    if tested and len(stopped) > 1:
        findings.append(AuditFinding("note", "reused_validation", {"stopped_early": stopped}))
    tried = e.record.run.get("methods_evaluated")
    most = e.manifest.most_of("methods_evaluated")
    looks = e.record.run.get("test_evaluations")
    seen = e.manifest.most_of("test_evaluations")
    counts = {"methods_evaluated": most, "test_evaluations": seen}
    if most > MANY_METHODS:
        many = "many_methods_dev" if e.manifest.dev else "many_methods"
        findings.append(AuditFinding("note", "many_files" if e.manifest.method.submission else many, counts))
    if e.manifest.ledger and isinstance(looks, Mapping):
        counted = count_up_to(e.manifest.ledger, e.manifest.dataset.name, e.manifest.protocol.name, list(looks))
        recorded = {
            "test_evaluations": looks,
            "methods_evaluated": tried,
            "dev_evaluations": e.manifest.dev_evaluations,
        }
        if counted and {name: getattr(counted, name) for name in recorded} != recorded:
            evidence = {"ledger": vars(counted), "recorded": recorded}
            findings.append(AuditFinding("severe", "other_counts", evidence))
    return CheckResult({"stopped_early": stopped, **counts}, tuple(findings))


def _stopped_early(e: RecordEvidence) -> list[str]:
    """Return the parts of the method that were trained by epochs, as the history says, and stopped early."""
    kinds = {"unimodal": "encoder", "fusion": "fusion", "pretrain": "pretrainer"}
    trained = {kinds.get(row["kind"]) for row in e.record.history}
    parts = e.record.run["config"].get("parts", {})
    return [n for n, part in parts.items() if n.partition("[")[0] in trained and part.get("selection") == "early_stop"]


_OVERLAP: dict[str, tuple[Severity, str]] = {
    "labelled_target": ("severe", "pretrained_on_labels"),
    "unlabelled_target": ("warning", "pretrained_on_signals"),
    "unknown": ("warning", "unknown_pretraining"),
}


def overlap_findings(e: Evidence) -> list[AuditFinding]:
    """Return findings on pretraining data that overlap with the test data: as the record states, and as its sources
    show although it does not state it."""
    overlap, findings = e.manifest.pretraining_overlap, []
    if e.manifest.method.submission and overlap == "unknown":
        findings.append(AuditFinding("note", "unknown_pretraining_of_file", {"pretraining_overlap": overlap}))
    elif overlap in _OVERLAP:
        findings.append(AuditFinding(*_OVERLAP[overlap], {"pretraining_overlap": overlap}))
    family = strip_variant(e.manifest.dataset.name)
    started = (e.record.run.get("initial_weights") or {}).get("manifest") or {}
    seen = [*e.manifest.pretraining, *started.get("seen", [])]
    own = [s for s in seen if strip_variant(str(s.get("dataset"))) == family or s.get("store") == e.store.key]
    if own and overlap == "none":
        evidence = {"sources": [s.get("dataset") for s in own], "subjects": [s.get("subjects") for s in own]}
        findings.append(AuditFinding("severe", "undeclared_dataset", evidence))
    for m, about in e.manifest.weights.items() if overlap == "none" else ():
        if about.saw != "none":
            found = {"modality": m, "weights": about.name, "saw": about.saw}
            findings.append(AuditFinding("severe", "undeclared_weights", found))
    return findings
