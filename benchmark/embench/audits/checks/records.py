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
from embench.leaderboard.verify import MANY_METHODS, wrong_scores, wrong_statements
from embench.protocols import Fold, Protocol, access_of, recorded_given
from embench.records.audit import AuditFinding, CheckResult, Severity
from embench.records.ledger import looks_at, scored_in_words
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL, Embeddings, Labels, Predictions
from embench.records.record import Record, family_of
from embench.records.scores import TOLERANCE, Scores
from embench.statistics.joined import Joined, join
from embench.store import Store

if TYPE_CHECKING:
    from embench.planning.plan import Plan

# Evidence of an audit: a run's record, and its subjects, units and labels as the data have them.


@dataclass(frozen=True)
class FittedStatistics:
    """A normalising buffer of one fold's network: as it lies in the weights, as recomputed on the fold's training
    subjects, and over all subjects."""

    seed: int
    fold: int
    name: str
    saved: np.ndarray
    training: np.ndarray
    all_subjects: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RecordEvidence:
    """The evidence for checks that need no data: a run's record, with its own labels and scores.

    Args:
        labels: of the units that the run predicted. `groups`: subject -> subjects recorded together. `sessions`:
            subject -> length of the session in s.
        rescored: what `scores.json` should hold.
    """

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
        """(seed, fold, subject) of all predictions; of the folds where the record has no predictions."""
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
        """The model's rows of a target."""
        return self.predictions.take(self.predictions.rows_with(method=MODEL, target=target))

    def compared_targets(self) -> list[Target]:
        """Targets with one score a unit that the model predicted."""
        return [t for t in self.targets if not t.traits.several and t.name in self.joined]

    def binary_targets(self) -> Iterator[tuple[Target, Joined]]:
        """Targets of two classes with the model's joined predictions."""
        for target in self.targets:
            if target.traits.has_classes and not target.traits.several and target.name in self.joined:
                yield target, self.joined[target.name][MODEL]


@dataclass(frozen=True, kw_only=True)
class Evidence(RecordEvidence):
    """Evidence for a check; nothing in it is taken from the record if the data can say it: labels are made of the data
    by the card's rules, groups and sessions are those of the data, and scores are computed again.

    Args:
        units: id -> unit, as the data and the protocol make them.
        planned: the run's plan, made again; or why there is none here.
        untested: ids of units that no fold tests: what subjects give, and what lies between it and what is scored.
        dealt: seed -> the folds that the protocol deals these subjects into; empty where the run is not about them
            alone.
        statistics: of networks that normalise by their training subjects; or why they cannot be recomputed.
        sources: name -> data of what was pretrained on, as far as they are available; `missing_sources` those that
            are not.
        stages: (kind, fold) of stages of the run whose ids differ from those that its request has here; or why they
            cannot be compared.
        baselines: folders of runs with handcrafted features next to the run.
        owed: what is wrong with the units that the record does not predict, under protocols of version 3.
        seal: whether the labels of the data are those that a published entry without labels was scored against; None
            in records with labels. `other files`: it was made with a key that these raw files don't give.
    """

    card: Card
    store: Store
    units: Mapping[str, Unit]
    planned: Plan | Undefined
    untested: frozenset[str]
    dealt: Mapping[int, Sequence[Fold]]
    statistics: Sequence[FittedStatistics] | Undefined
    stages: Sequence[Mapping[str, Any]] | Undefined
    sources: Mapping[str, Store] = field(default_factory=dict)
    missing_sources: tuple[str, ...] = ()
    baselines: Sequence[Path] = ()
    owed: Sequence[str] = ()
    seal: Literal["same", "other labels", "other files", "missing"] | None = None


def first_names(names: Sequence[str] | set[str], most: int = 8) -> list[str]:
    """The first names, sorted."""
    return sorted(names)[:most]


# Checks of a record against the data: labels, scores, access, stages, and the use of validation subjects.


def check_labels(e: Evidence) -> CheckResult | Undefined:
    """The labels that the run was scored against are those that the card's rules make of the data."""
    recorded, public = e.record.labels, e.card.labels_public == "yes"
    if (recorded is None or (e.manifest.entry and not public)) and (unsealed := _unsealed(e, public)):
        return CheckResult({}, (unsealed,))
    fitted = any(target.rule.cut == "training_mean" for target in e.targets)
    config = e.record.run["config"]
    few = config.get("label_subjects") or config.get("label_fraction")
    if fitted and (not e.dealt or e.manifest.dev or few):
        return Undefined(
            "labels are cut at the mean of the training subjects, which the protocol alone does not determine"
        )
    if recorded is None:
        return _check_seal(e)
    made, ours = _table(e.labels), _table(recorded)
    differ = [key for key in ours.keys() & made.keys() if abs(ours[key] - made[key]) > TOLERANCE]
    predicted = set(e.predictions.distinct("target", "unit"))
    extra = ours.keys() - made.keys()
    missing = {key for key in made.keys() - ours.keys() if key[:2] in predicted}
    figures = {"labels": len(ours), "differ": len(differ), "not in the data": len(extra), "left out": len(missing)}
    if not (differ or extra or missing):
        return CheckResult(figures)
    wrong = [key[1] for key in (*differ, *extra, *missing)]
    what = (
        f"{len(wrong)} of {len(ours.keys() | missing)} labels differ from those that the rules of the dataset card make"
    )
    todo = "score again against the labels of the data: `embench score predictions.csv.gz --dataset ..`"
    severity: Severity = "severe" if differ or extra else "warning"
    return CheckResult(figures, (AuditFinding(severity, what, {**figures, "units": first_names(wrong)}, todo),))


def _unsealed(e: Evidence, public: bool) -> AuditFinding | None:
    """The fault of a record that lacks labels, or must not have them."""
    todo = "publish the run again: `embench leaderboard build --from RUNS`"
    if public:
        what = "the labels of this dataset are public, but the record does not contain them"
    elif e.record.labels is not None or len(e.predictions):
        what = "the labels of this dataset are not public, and the record has labels, or predictions that reveal them"
        todo = f"delete the entry, also from the history of the repository; {todo}"
    elif e.seal == "missing":
        what = "the digest of the withheld labels is missing"
    else:
        return None
    return AuditFinding("severe", what, {"labels_public": e.card.labels_public}, todo)


def _check_seal(e: Evidence) -> CheckResult | Undefined:
    """The seal of a published record without labels was made of the labels of the data."""
    if e.seal == "other files":
        return Undefined("the raw files on this machine are not those that the withheld labels come from")
    figures = {"labels": len(e.labels), "sealed": e.seal}
    if e.seal == "same":
        return CheckResult(figures)
    what = "the labels that the run was scored against are not those of the data"
    todo = "find out which labels they are, and publish a run that was scored against those of the data"
    return CheckResult(figures, (AuditFinding("severe", what, figures, todo),))


def _table(table: Labels) -> dict[tuple[str, str, int], float]:
    """(target, unit, seed) -> label."""
    keys = zip(*(table[name].tolist() for name in ("target", "unit", "seed")), strict=True)
    return dict(zip(keys, table["label"].tolist(), strict=True))


def check_scores(e: Evidence) -> CheckResult | Undefined:
    """Checks that `scores.json`, with intervals and comparisons, follows from the record's predictions and labels."""
    if e.record.labels is None:
        return Undefined("the record has no labels")
    apart = list(wrong_scores(e.record, e.rescored))
    figures = {"methods": 1 + len(e.rescored.control_names), "differ": len(apart)}
    if not apart:
        return CheckResult(figures)
    what = f"{len(apart)} recorded scores do not follow from the record's own predictions and labels"
    todo = "score again, with the same `embench run` or `embench score` command"
    evidence = {**figures, "such as": [difference._asdict() for difference in apart[:5]]}
    return CheckResult(figures, (AuditFinding("severe", what, evidence, todo),))


def check_unpredicted(e: Evidence) -> CheckResult | Undefined:
    """Labelled units that the method does not predict count as lost, or as ties where nothing was recorded."""
    if not e.owed:
        return CheckResult({"targets and seeds": 0})
    todo = "score again, with the same `embench run` or `embench score` command"
    evidence = {"targets and seeds": len(e.owed), "such as": list(e.owed[:3])}
    return CheckResult(evidence, (AuditFinding("severe", "; ".join(e.owed[:3]), evidence, todo),))


def check_statements(e: RecordEvidence) -> CheckResult:
    """Checks that a record's statements on its dataset, protocol, method and folds fit together, and the published card
    and rules."""
    wrong = list(wrong_statements(e.record))
    if not wrong:
        return CheckResult({"differ": 0})
    what = f"the record contradicts itself, or what was published: {'; '.join(wrong[:3])}"
    todo = "restore the record as the run wrote it, or run again"
    return CheckResult({"differ": len(wrong)}, (AuditFinding("severe", what, {"statements": wrong[:8]}, todo),))


def check_access(e: Evidence) -> CheckResult:
    """The rules and data that the record states are the real ones."""
    run, findings = e.record.run, []
    claimed, real = run["target_access"], access_of(e.protocol, recorded_given(run.get("given")))
    order = ("none", "baseline", "unlabelled")
    if claimed != real:
        more = claimed in order and real in order and order.index(claimed) > order.index(real)
        what = f"the record states access `{claimed}` to data of test subjects, but its protocol gives `{real}`"
        todo = "run again, or correct the record: entries with different access are not ranked together"
        findings.append(AuditFinding("warning" if more else "severe", what, {}, todo))
    if bool(run["protocol"]["leaks"]) != e.protocol.leaks or run["protocol"]["hash"] != e.protocol.hash:
        about = {"recorded": run["protocol"]["hash"], "published": e.protocol.hash}
        what = f"the rules of the protocol differ from those published as {e.protocol.name}"
        findings.append(AuditFinding("severe", what, about, "give changed rules a name of their own, and run again"))
    if run["dataset"]["fingerprint"] != e.store.key:
        about = {"recorded": run["dataset"]["fingerprint"], "here": e.store.key}
        what = "the data on this machine, or the code that prepares them, differ from those of the run"
        findings.append(AuditFinding("note", what, about, "audit with the data of the run: --data-root"))
    return CheckResult({"target_access": real, "leaks": e.protocol.leaks}, tuple(findings))


def check_stages(e: Evidence) -> CheckResult | Undefined:
    """The stages that the run went through are those that its request has here: their ids are made of the subjects,
    units and labels that each learned from, so that equal ids prove them."""
    if isinstance(e.stages, Undefined):
        return e.stages
    rows = [row for row in e.stages if row["differs"]]
    figures = {"stages": len(e.stages), "differ": len(rows)}
    if not rows:
        return CheckResult(figures)
    kinds = sorted({str(row["kind"]) for row in rows})
    what = f"{len(rows)} stages ({', '.join(kinds)}) were not trained on the data that the protocol gives them"
    remark = "pretraining used recordings other than those of the training subjects" if "pretrain" in kinds else ""
    evidence = {**figures, "kinds": kinds, "such as": rows[:3], **({"that is": remark} if remark else {})}
    todo = "delete the run and its stages, and run again with an unchanged embench"
    return CheckResult(figures, (AuditFinding("severe", what, evidence, todo),))


def check_statistics(e: Evidence) -> CheckResult | Undefined:
    """Checks that a network's normalisation was fitted on the training subjects of its fold only."""
    if isinstance(e.statistics, Undefined):
        return e.statistics
    if not e.statistics:
        return Undefined("no encoder of the method keeps statistics of its training subjects")
    off, whole = [], []
    for s in e.statistics:
        size = np.abs(s.training) + np.abs(s.training - s.all_subjects) + 1e-6
        gap = float(np.max(np.abs(s.saved - s.training) / size))
        if gap > 1e-3:
            off.append(s)
            if float(np.max(np.abs(s.saved - s.all_subjects) / size)) < gap / 3:
                whole.append(s)
    same = _same_in_all_folds(e.statistics)
    figures = {"buffers": len(e.statistics), "differ": len(off), "same in all folds": len(same)}
    todo = "fit normalisation statistics in `fit_stats`, on the training subjects of each fold only, and train again"
    if whole or same:
        what = "signals or features were normalised by statistics of all subjects, including test subjects"
        names = sorted({f"seed {s.seed}, fold {s.fold}: {s.name}" for s in whole} | set(same))
        return CheckResult(figures, (AuditFinding("severe", what, {**figures, "buffers": names[:8]}, todo),))
    if off:
        what = "normalisation statistics of the networks differ from those of their training subjects"
        names = [f"seed {s.seed}, fold {s.fold}: {s.name}" for s in off]
        return CheckResult(figures, (AuditFinding("severe", what, {**figures, "buffers": names[:8]}, todo),))
    return CheckResult(figures)


def _same_in_all_folds(statistics: Sequence[FittedStatistics]) -> list[str]:
    """Buffers that are equal in all folds of a seed, though their training subjects are not."""
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
    """Counts the decisions made on the validation subjects; each one more makes them less of a check."""
    uses = [f"when to stop {name}" for name in _stopped_early(e)]
    tested = {row["subject"] for row in e.record.folds if row["role"] == "val"}
    findings = []
    if tested and len(uses) > 1:
        what = f"the same validation subjects were used for {len(uses)} decisions: {', '.join(uses)}"
        todo = "test scores are not affected; scores of --dev runs are too high"
        findings.append(AuditFinding("note", what, {"uses": uses}, todo))
    tried = e.record.run.get("tried")
    most = e.manifest.most_of("tried")
    looks = e.record.run.get("test_looks")
    seen = e.manifest.most_of("test_looks")
    if most > MANY_METHODS:
        outside = e.manifest.method.outside
        todo = _CHOOSE_FILES if outside else "compare methods with --dev, and evaluate on the test labels once"
        findings.append(AuditFinding("note", scored_in_words(e.manifest), {"tried": most, "test looks": seen}, todo))
    if e.manifest.ledger and isinstance(looks, Mapping):
        counted = looks_at(e.manifest.ledger, e.manifest.dataset.name, e.manifest.protocol.name, list(looks))
        recorded = {"openings": looks, "tried": tried, "dev": e.manifest.dev_looks}
        if counted and {name: getattr(counted, name) for name in recorded} != recorded:
            what = "the record and the evaluation log differ in the number of test-set evaluations or methods"
            evidence = {"ledger": vars(counted), "recorded": recorded}
            findings.append(AuditFinding("severe", what, evidence, "run the same command again into another folder"))
    return CheckResult({"uses": uses, "tried": most, "test looks": seen}, tuple(findings))


_CHOOSE_FILES = (
    "choose among methods by validation inside the training subjects of each fold, and score only the file of the "
    "chosen method: each file that is scored counts"
)


def _stopped_early(e: RecordEvidence) -> list[str]:
    """The parts of the method that stopped early: of those that were trained by epochs, as the history says."""
    kinds = {"unimodal": "encoder", "fusion": "fusion", "pretrain": "pretrainer"}
    trained = {kinds.get(row["kind"]) for row in e.record.history}
    parts = e.record.run["config"].get("parts", {})
    return [n for n, part in parts.items() if n.partition("[")[0] in trained and part.get("selection") == "early_stop"]


_SAW = {
    "unlabelled": "signals of the tested subjects were seen",
    "labelled": "labels of the tested subjects were seen",
    "undisclosed": "it is unknown what was seen of the tested subjects",
}
"""What weights saw, as their card has it, in words."""

_OVERLAP: dict[str, tuple[Severity, str]] = {
    "labelled_target": ("severe", "pretraining used labels of test subjects"),
    "unlabelled_target": ("warning", "pretraining used signals of test subjects, without labels"),
    "unknown": ("warning", "the subjects that the pretrained weights were trained on are unknown"),
}


def overlap_findings(e: Evidence) -> list[AuditFinding]:
    """Overlap of pretraining that the record states, and overlap that its sources show but it does not state."""
    overlap, findings = e.manifest.pretrain_overlap, []
    if e.manifest.method.outside and overlap == "unknown":
        what = "a file of predictions does not show what its method was pretrained on"
        todo = "report it with the score, and state that it contained no tested subject"
        findings.append(AuditFinding("note", what, {"pretrain_overlap": overlap}, todo))
    elif overlap in _OVERLAP:
        severity, what = _OVERLAP[overlap]
        todo = "pretrain on other subjects, or on each fold's training subjects (no source after the pretrainer's name)"
        findings.append(AuditFinding(severity, what, {"pretrain_overlap": overlap}, todo))
    family = family_of(e.manifest.dataset.name)
    started = (e.record.run.get("started_from") or {}).get("manifest") or {}
    seen = [*e.manifest.pretraining, *started.get("seen", [])]
    own = [s for s in seen if family_of(str(s.get("dataset"))) == family or s.get("store") == e.store.key]
    if own and overlap == "none":
        what = "pretraining used the tested dataset, but the record states no overlap"
        evidence = {"sources": [s.get("dataset") for s in own], "people": [s.get("subjects") for s in own]}
        findings.append(AuditFinding("severe", what, evidence, "pretrain on other subjects"))
    for m, about in e.manifest.weights.items() if overlap == "none" else ():
        if about.saw != "none":
            what = f"{_SAW[about.saw]} by the weights of {m}, but the record states no overlap"
            findings.append(
                AuditFinding("severe", what, {"weights": about.name, "saw": about.saw}, "use other weights")
            )
    return findings
