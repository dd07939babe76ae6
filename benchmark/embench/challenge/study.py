"""The holder's study: its units, labels and subjects, and whether its labels can be hidden at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.challenge.commitment import CommittedPart
from embench.challenge.form import ChallengePart
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets
from embench.data.find import Source, find_source
from embench.errors import UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Protocol, load_protocol
from embench.records.predictions import ANY_SEED, Labels
from embench.records.record import is_own
from embench.runs.external import describe_confound_only
from embench.statistics import metric_facts
from embench.statistics.answerable import describe_difference, published_spread
from embench.store import Store
from embench.system import ProgressCallback
from embench.vocabulary import label

MOST_BY_CONFOUNDS = 0.8
"""Labels that a confound-only model predicts better than this, as an AUROC, do not need the signals."""


class StudyRef(ChallengePart):
    """Where the holder's study is, and what is predicted. `demonstration`: whether labels may be known to others."""

    dataset: str
    data_root: str | None
    target: str
    protocol: str
    modalities: tuple[str, ...]
    demonstration: bool = False


@dataclass(frozen=True)
class HiddenCohort(Cohort):
    """A cohort of hidden subjects, whose confound-only models are fitted on training subjects outside it.

    Args:
        all_sessions: length of the session in s of each subject, inside and outside."""

    all_sessions: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def sessions(self) -> dict[str, float]:
        """Length in s of the session of each hidden and each training subject."""
        return dict(self.all_sessions)


@dataclass(frozen=True)
class HostedStudy:
    """A study of which some subjects will be hidden. `cohort`: all its subjects with a label of the target."""

    source: Source
    card: Card
    target: Target
    protocol: Protocol
    store: Store
    cohort: Cohort

    @property
    def subjects(self) -> list[str]:
        """Sorted names of the subjects with labels: pseudonyms, if the data are the holder's own recordings."""
        return sorted({self.cohort.units[i].subject for i in self.cohort.eligible})

    @property
    def groups(self) -> dict[str, str]:
        """Subject -> group of subjects recorded together."""
        return {name: self.cohort.groups[name] for name in self.subjects}

    def labels(self) -> Labels:
        """Return the labels of all units, raw and after the label rule."""
        cohort, name = self.cohort, self.target.name
        rows = [
            (unit.subject, unit.recording, unit.id, name, ANY_SEED, cohort.raw[name][i], cohort.label[name][i])
            for i in cohort.eligible
            for unit in [cohort.units[i]]
            if math.isfinite(cohort.label[name][i])
        ]
        return Labels({column: np.array([row[k] for row in rows]) for k, column in enumerate(Labels.FIXED)})

    def positions(self, split: Mapping[str, CommittedPart], part: CommittedPart) -> tuple[int, ...]:
        """Return the positions in the cohort of the units of a part's subjects."""
        return tuple(i for i in self.cohort.eligible if split.get(self.cohort.units[i].subject) == part)

    def restrict(self, split: Mapping[str, CommittedPart], part: CommittedPart) -> Cohort:
        """Return the cohort whose tested units are those of one part. The units of other parts remain in it, so that
        confound-only models can be fitted on training subjects."""
        index = self.positions(split, part)
        roster = tuple(unit for unit in self.cohort.roster if split.get(unit.subject) == part)
        same = {each.name: getattr(self.cohort, each.name) for each in fields(Cohort)}
        changed = {"eligible": index, "positions": index, "roster": roster, "all_sessions": self.cohort.sessions}
        return HiddenCohort(**(same | changed))


def open_study(ref: StudyRef, progress: ProgressCallback | None = None) -> HostedStudy:
    """Return the study of a challenge, prepared.

    Raises:
        UsageError: several targets, or labels or folds that a challenge cannot have. Otherwise as `find_source`,
            `Source.prepared` and `build_cohort`.
    """
    protocol = load_protocol(ref.protocol)
    if protocol.leaks or protocol.personal is not None or protocol.split.by != "group":
        raise UsageError(
            f"{protocol.name} does not test on subjects who are hidden as a whole",
            where="--protocol",
            expected="a protocol that splits by subject, such as subject-independent-v4",
        )
    source = find_source(ref.dataset, Path(ref.data_root) if ref.data_root else None)
    card = card_for_protocol(protocol, source.card)
    targets = choose_targets(card, ref.target or None)
    if len(targets) != 1:
        raise UsageError(
            f"{card.name} has {len(targets)} targets, and a challenge has one",
            where="--target",
            expected=f"one of {', '.join(target.name for target in targets)}",
        )
    (target,) = targets
    if target.rule.centred or target.rule.cut == "training_mean":
        raise UsageError(
            f"labels of {target.name} depend on other subjects' or other units' labels",
            where="--target",
            expected="a target whose labels depend on each unit alone",
        )
    if unknown := sorted(set(ref.modalities) - set(card.modalities)):
        raise UsageError(
            f"{card.name} has no modality {', '.join(unknown)}",
            where="--modalities",
            expected=", ".join(card.modalities),
        )
    store = source.prepared(protocol, 1, progress)
    modalities = list(ref.modalities or store.modalities)
    cohort = build_cohort(store, card, (target,), modalities, protocol)
    return HostedStudy(source, card, target, protocol, store, replace(cohort, eligible=cohort.positions))


def find_exposure(study: HostedStudy, *, ever_public: bool) -> list[str]:
    """Return why the labels of a study may be known to participants; empty if nothing is known against them."""
    if study.store.synthetic is not None:
        return ["the data are synthetic, so anyone can generate the labels"]
    full, reasons = study.source.full_name, []
    if not is_own(full):
        reasons.append(f"{study.card.title} is a released dataset, whose labels others have")
    elif study.card.labels_public == "yes":
        reasons.append("dataset.yaml says `labels_public: yes`")
    if ever_public:
        reasons.append("the form says `labels_ever_public: yes`")
    return reasons


def find_strong_confounds(
    study: HostedStudy, progress: ProgressCallback | None = None
) -> tuple[str, float, str] | None:
    """Return the strongest confound-only model in the protocol's folds, its score, and the metric.
    Scores are AUROCs or similar, from 0 to 1; None if all are undefined."""
    found = describe_confound_only(study.store, study.card, (study.target,), study.protocol, (0,), progress)
    best = [
        (row["control"], float(row["mean"]), metric)
        for metric, row in found["best"].get(study.target.name, {}).items()
        if metric_facts(metric).is_like_auroc
    ]
    return max(best, key=lambda row: row[1]) if best else None


def describe_admission(study: HostedStudy, *, ever_public: bool, progress: ProgressCallback | None = None) -> list[str]:
    """Return why the labels of a study cannot be hidden in earnest: they are known to others, or confound-only models
    predict them. Empty if they can."""
    reasons = find_exposure(study, ever_public=ever_public)
    strongest = find_strong_confounds(study, progress)
    if strongest and strongest[1] > MOST_BY_CONFOUNDS:
        model, score, metric = strongest
        name = f"{metric_facts(metric).title} {score:.2f}"
        reasons.append(f"the confound-only model {label(model)} predicts the labels without any signal: {name}")
    return reasons


def describe_resolution(subjects: int) -> str:
    """Return a sentence on the difference by which two teams have to differ to be told apart on hidden subjects."""
    found = describe_difference(subjects, published_spread("features"), "AUROC")
    low, high = found["smallest_difference_range"]
    return (
        f"two teams can be told apart with 80 % power if they differ by {found['smallest_difference']:.2f} "
        f"({low:.2f} to {high:.2f}) with {subjects} hidden subjects; {found['smallest_difference_note']}"
    )


def list_part(split: Mapping[str, CommittedPart], *parts: CommittedPart) -> list[str]:
    """Return the sorted subjects of some parts."""
    return sorted(name for name, part in split.items() if part in parts)


def check_power(subjects: Sequence[str]) -> str:
    """Return a warning where a group is too small for interval estimates; empty otherwise."""
    return "" if len(subjects) >= 12 else f"{len(subjects)} subjects: scores may be undefined; 12 are the least for one"
