"""The subjects and units of a run: who is trained on and tested, with which labels, and who is excluded and why."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.files import cached, snapshot
from embench.interfaces.dataset import Card
from embench.interfaces.recording import Label, names_in
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import (
    Cut,
    Design,
    Fold,
    LabelKind,
    Placed,
    Protocol,
    Slices,
    balanced_count,
    connected_groups,
    cut_of,
    cut_slices,
    fitted_rule,
    follow,
    including,
    label_units,
    make_units,
    partition,
    prove,
    prove_given,
    prove_slices,
    session_lengths,
    whole,
)
from embench.records.predictions import ANY_SEED, Labels
from embench.records.wording import format_share
from embench.store import Store
from embench.store.store import RecordingEntry
from embench.vocabulary import did_you_mean

# The cut of a run's recordings into units, which is one for all its targets; what a protocol cannot be applied to, and
# whom it leaves out.


def cut_of_targets(store: Store, targets: Sequence[Target], protocol: Protocol) -> Cut:
    """The cut that all targets' recordings share.

    Raises:
        DataError: the data have no labels for a target. UsageError: targets have different units, or the protocol has a
            lag and labels do not vary within a recording.
    """
    kinds: dict[str, Any] = {t.name: store.label_kinds[t.label] for t in targets if t.label in store.label_kinds}
    if missing := [t.name for t in targets if t.name not in kinds]:
        raise DataError(
            "the data have no labels for " + ", ".join(missing),
            where=str(store.path),
            hint=f"--target {','.join(kinds)}" if kinds else "embench data verify",
        )
    _refuse_lag(targets, kinds, protocol)
    cuts = {name: cut_of(kind, protocol) for name, kind in kinds.items()}
    if len(set(cuts.values())) > 1:
        cuts_in_words = [f"{name} ({cut})" for name, cut in cuts.items()]
        raise UsageError(
            f"these targets have different units: {', '.join(cuts_in_words)}",
            where="--target",
            hint="choose targets with the same units: --target " + next(iter(cuts)),
        )
    return next(iter(cuts.values()))


def _refuse_lag(targets: Sequence[Target], kinds: Mapping[str, Any], protocol: Protocol) -> None:
    """Refuses a protocol's lag for labels that it can't shift. The lag that a card itself names stays."""
    if not protocol.lag_s:
        return
    if fixed := [t.name for t in targets if t.rule.lag_s == protocol.lag_s and kinds[t.name] != "continuous"]:
        varying = [name for name, kind in kinds.items() if kind == "continuous"]
        raise UsageError(
            f"a lag of {protocol.lag_s:g} s shifts labels that vary within a recording, but the labels of "
            f"{', '.join(fixed)} are "
            f"{'ratings of whole recordings' if kinds[fixed[0]] == 'rating' else 'conditions'}",
            where=f"protocol {protocol.name}, lag_s",
            expected="targets of continuous annotations, such as joystick ratings",
            hint=f"--target {','.join(varying)}" if varying else "remove --lag, or `lag_s` in the file of the protocol",
        )


def check_centred(targets: Sequence[Target], protocol: Protocol) -> None:
    """Raises UsageError where labels are less their subject's mean and the subject's other units are trained on: the
    mean is of the test labels, too."""
    centred = ", ".join(target.name for target in targets if target.rule.centred)
    if centred and not protocol.split.by.startswith("group"):
        raise UsageError(
            f"the labels of {centred} are centred on the subject mean, which includes test labels, and "
            f"{protocol.name} trains on other units of a test subject",
            where=f"--protocol {protocol.name}",
            expected="a protocol that splits by subject, or a target that is not centred",
            hint="--protocol subject-independent-v3",
        )


def too_short(store: Store, name: str, cut: Cut, protocol: Protocol) -> DataError:
    """The error of data without a unit: the longest recording, and the length that one needs."""
    length = cut.length_s or 0.0
    longest = max((entry.duration_s for entry in store.recordings), default=0.0)
    needed = length + (protocol.unit.step_s or length if cut.in_session else 0.0)
    synthetic_s = (store.synthetic or {}).get("length_s")
    longer = math.ceil(synthetic_s * needed / longest / 10) * 10 if synthetic_s and longest else None
    return DataError(
        f"every recording is too short for a unit of {length:g} s: the longest recording lasts {longest:.1f} s",
        where=str(store.path),
        expected=f"recordings of at least {needed:g} s for --protocol {protocol.name}",
        hint=f"embench data synthesize {name} --length-s {longer}" if longer else None,
    )


def check_stimuli(met_by: Mapping[str, Collection[str]], card: Card, protocol: Protocol) -> None:
    """Raises UsageError where it means nothing to keep stimuli apart. `met_by`: stimulus -> groups of subjects."""
    if len(met_by) == 1:
        reason = f"the dataset has only one stimulus, {next(iter(met_by))}"
    elif card.fixed_order:
        reason = "all subjects had the tasks in one order, so an unseen stimulus would also be an unseen time"
    elif max(map(len, met_by.values())) == 1:
        reason = "no two subjects share a stimulus, so a split by subject already separates stimuli"
    else:
        return
    raise UsageError(
        f"cannot split {card.name} by stimulus: {reason}",
        where=f"--protocol {protocol.name}",
        expected="several stimuli, each shown to several subjects, not in one fixed order",
        hint="--protocol subject-independent-v3",
    )


def exclusions(
    store: Store,
    included_subjects: frozenset[str] | None,
    labelled: set[str],
    cut: set[str],
    sensed: set[str],
    modalities: Sequence[str],
    unusable: Mapping[str, str],
) -> tuple[dict[str, str], ...]:
    """Subjects who are not in the cohort, with the reason. `included_subjects`: the protocol's subjects, None for all;
    `labelled`, `cut`, `sensed`: subjects with a label, with units of the run, and with any of its modalities;
    `unusable`: who cannot give what the protocol asks for -> why."""
    rows = []
    for subject in sorted({entry.subject for entry in store.recordings}):
        if included_subjects is not None and subject not in included_subjects:
            rows.append({"subject": subject, "reason": "not among the protocol's subjects"})
        elif subject in unusable:
            rows.append({"subject": subject, "reason": unusable[subject]})
        elif subject not in labelled:
            rows.append({"subject": subject, "reason": "no label of any target"})
        elif subject not in cut:
            rows.append({"subject": subject, "reason": "no recording that is long enough for a unit"})
        elif subject not in sensed:
            rows.append({"subject": subject, "reason": f"none of {', '.join(modalities)}"})
    return tuple(rows)


# Units that test subjects give of themselves under protocols with `personal`: their order in time, and folds that heed
# them.


def placed_units(
    store: Store, card: Card, target: Target, units: Sequence[Unit], y: np.ndarray, raw: np.ndarray
) -> Placed:
    """The units of a dataset in the order of time, with the labels (n,) and raw values (n,) of a target."""
    kind: Any = store.label_kinds[target.label]
    classes = target.n if target.traits.has_classes else 1
    told = {label.classes for label in store.labels().get(target.label, {}).values() if label.classes}
    ordered = card.fixed_order, _session_places(store, card)
    return Placed(units, y, raw, classes, kind, *ordered, told.pop() if len(told) == 1 else ())


def _session_places(store: Store, card: Card) -> dict[str, int]:
    """Recording -> the place of its session. Raises UsageError where nothing says in which order a subject's came."""
    of_subject: dict[str, set[str]] = {}
    for entry in store.recordings:
        of_subject.setdefault(entry.subject, set()).add(entry.session)
    for own in of_subject.values():
        # Names such as `day1` and `day2` have an order, `pre` and `post` have none, and a pseudonym hides it.
        if not own <= set(card.sessions) and len({re.sub(r"\d+", "#", name) for name in own}) > 1:
            raise UsageError(
                f"the order of the sessions of {card.name} is not known: {', '.join(sorted(own)[:4])}",
                where="names of sessions",
                expected="session names that differ only in a number, such as day1 and day2, or a declared order",
                hint="declare the order in dataset.yaml: `sessions: [pre, post]`",
            )
    known = {name: k for k, name in enumerate(card.sessions)}
    rest = sorted(set().union(*of_subject.values()) - known.keys(), key=_natural)
    place = known | {name: len(known) + k for k, name in enumerate(rest)}
    return {entry.id: place[entry.session] for entry in store.recordings}


def folds_after_giving(
    protocol: Protocol, dataset: str, placed: Placed, slices: Slices, units: Sequence[Unit], folds: Sequence[Fold]
) -> list[Fold]:
    """Folds that test what is scored after subjects gave alone and, where a session or blocks are given, train on these
    too, those of validation subjects included, who stand for test subjects.

    Args:
        units: those that take part.

    Raises:
        CheckFailed: what is given is not what the protocol promises.
    """
    if protocol.personal is not None:
        prove_slices(protocol.personal, placed, slices, slices.rank > 0, dataset)
    given = {unit.id for unit, rank in zip(placed.units, slices.rank.tolist(), strict=True) if rank}
    scored = {unit.id for unit, asked in zip(placed.units, slices.scored.tolist(), strict=True) if asked}

    def of(fold: Fold) -> Fold:
        test = tuple(id_ for id_ in fold.test if id_ in scored)
        if not protocol.trains_on_given:
            return replace(fold, test=test)
        learned = tuple(id_ for id_ in (*fold.val, *fold.test) if id_ in given)
        return replace(fold, train=(*fold.train, *learned), val=tuple(i for i in fold.val if i in scored), test=test)

    found = [each for each in map(of, folds) if each.test]
    prove_given(protocol, dataset, units, found, given, scored)
    return found


def check_one_target(protocol: Protocol, targets: Sequence[Target]) -> None:
    """Raises UsageError where subjects would give the labels of several targets at once, or labels are centred, by what
    is scored, too."""
    if protocol.personal is None:
        return
    if len(targets) > 1:
        names = [target.name for target in targets]
        raise UsageError(
            f"{protocol.name} scores one target at a time, because the calibration data differ between targets",
            where="--target",
            expected=f"one of {', '.join(names)}",
            hint=f"choose one target: --target {names[0]}",
        )
    if targets[0].rule.centred or targets[0].rule.cut == "training_mean":
        raise UsageError(
            f"labels of {targets[0].name} depend on other units, and {protocol.name} reveals some labels as "
            "calibration data",
            where=f"--protocol {protocol.name}",
            expected="a target whose labels depend on each unit alone",
            hint="--protocol subject-independent-v3",
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """The key of a name by which `day2` comes before `day10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


# The subjects and units of a run: who can be trained on and tested, with which labels, and who is excluded and why.
#
# This is the planner's side of the labels: it reads them to hand each stage those of its own training and validation
# units, and nothing else.


@dataclass(frozen=True)
class Cohort:
    """All units of a dataset's store, and which of them a run is about.

    `label` and `raw` hold (n,) values a target, NaN where there is none; a label that the training part decides is in
    neither, see `labels`. `eligible` are the positions of units of subjects with any of the card's targets, whatever
    its kind; `positions` of those who also have any of the run's modalities. `roster` are the eligible subjects'
    recordings as units: what is dealt out to folds, so that a subject is in the same fold whichever targets a run is
    about. `length_s` is NaN where units are whole recordings. `modalities` are those of which subjects have any.
    `slices` are what subjects give of themselves first, under protocols with `personal`.
    """

    store: Store
    card: Card
    targets: tuple[Target, ...]
    units: tuple[Unit, ...]
    raw: Mapping[str, np.ndarray]
    label: Mapping[str, np.ndarray]
    eligible: tuple[int, ...]
    positions: tuple[int, ...]
    excluded: tuple[Mapping[str, str], ...]
    length_s: float
    roster: tuple[Unit, ...]
    modalities: tuple[str, ...] = ()
    slices: Slices | None = None

    @property
    def subjects(self) -> list[str]:
        """Ids of the subjects with a unit in the cohort, sorted."""
        return sorted({self.units[i].subject for i in self.positions})

    @cached_property
    def tested(self) -> tuple[int, ...]:
        """The positions of the eligible units that folds test: all, or those that are scored after what is given."""
        if self.slices is None:
            return self.eligible
        return tuple(i for i in self.eligible if self.slices.scored[i])

    def tested_of(self, index: np.ndarray) -> np.ndarray:
        """Those of the units at `index` that are scored where their subject is tested."""
        return index if self.slices is None else index[self.slices.scored[index]]

    @cached_property
    def placed(self) -> Placed:
        """The units of the first target in the order of time, as slices are cut from them."""
        target = self.targets[0]
        of_target = target, self.units, self.label[target.name], self.raw[target.name]
        return placed_units(self.store, self.card, *of_target)

    @cached_property
    def groups(self) -> dict[str, str]:
        """Each subject's group, as the split keeps it together."""
        return connected_groups(self.roster)

    @property
    def design(self) -> Design:
        """Property of the study's design that predicts labels without any signal."""
        if self.card.fixed_order:
            return "fixed_order"
        shared = [stimulus for stimulus, groups in self.met_by.items() if len(groups) > 1]
        return "shared_stimuli" if len(shared) > 1 else "free"

    @property
    def met_by(self) -> dict[str, set[str]]:
        """Stimulus -> the groups of the subjects who met it."""
        met_by: dict[str, set[str]] = {}
        group_of = self.groups
        for unit in self.roster:
            met_by.setdefault(unit.stimulus, set()).add(group_of[unit.subject])
        return met_by

    @cached_property
    def sessions(self) -> dict[str, float]:
        """The length of each subject's session in s, recordings that take no part included."""
        subjects = {unit.subject for unit in self.roster}
        return session_lengths(whole(e for e in self.store.recordings if e.subject in subjects))

    @cached_property
    def shortest_s(self) -> float:
        """Length in s of the shortest eligible unit."""
        return min(self.units[i].stop - self.units[i].start for i in self.eligible)

    @property
    def longest_s(self) -> float:
        """Length that views of the whole unit are padded to: the unit's nominal one, else the longest recording's."""
        return self.card.longest_s if np.isnan(self.length_s) else self.length_s

    def rule(self, target: Target, train: Sequence[int] | np.ndarray) -> LabelRule:
        """A target's label rule for a method that is fitted on the units at `train`."""
        if target.rule.cut != "training_mean":
            return target.rule
        return fitted_rule(target.rule, self.of(train), self.raw[target.name][list(train)])

    def labels(self, target: Target, train: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n,) the labels of all units for a method that is fitted on the units at `train`; NaN where there is none."""
        rule = self.rule(target, train)
        if rule is target.rule:
            return self.label[target.name]
        values, at = np.unique(self.raw[target.name], return_inverse=True)
        fitted = [rule(np.array([value])) for value in values]
        return np.array([np.nan if label is None else label for label in fitted])[at]

    @cached
    def folds(self, protocol: Protocol, seed: int) -> list[Fold]:
        """Partition `seed` of the eligible units, proven to be what the protocol declares.

        Raises:
            UsageError: there is too little to split, or stimuli that can't be separated from subjects or times.
            CheckFailed: the proof fails.
        """
        if protocol.split.by == "group+stimulus":
            check_stimuli(self.met_by, self.card, protocol)
        units = self.of(self.eligible)
        if protocol.split.by == "segment":
            folds = partition(protocol, self.card.name, units, seed)
        else:
            sessions = self.sessions if self.card.fixed_order else None
            folds = follow(partition(protocol, self.card.name, self.roster, seed, sessions), self.roster, units)
        prove(protocol, self.card.name, units, folds)
        return self.after_giving(protocol, folds)

    def partitions(self, protocol: Protocol) -> int:
        """The number of partitions that together are balanced; 1 under a protocol that deals at random."""
        if protocol.split.deal != "balanced":
            return 1
        return balanced_count(len(set(connected_groups(self.roster).values())))

    def after_giving(self, protocol: Protocol, folds: Sequence[Fold]) -> list[Fold]:
        """Folds that heed what subjects give first, see `folds_after_giving`; as they are where they give nothing."""
        if self.slices is None:
            return list(folds)
        units = self.of(self.eligible)
        return folds_after_giving(protocol, self.card.name, self.placed, self.slices, units, folds)

    def of(self, index: Sequence[int] | np.ndarray) -> list[Unit]:
        """The units at `index`."""
        return [self.units[i] for i in index]

    @cached_property
    def _position(self) -> dict[str, int]:
        """Positions of units, by id."""
        return {unit.id: i for i, unit in enumerate(self.units)}

    @cached
    def positions_of(self, ids: tuple[str, ...]) -> np.ndarray:
        """The positions (n,) of those of some units that the run is about, read-only."""
        at = np.array([self._position[id_] for id_ in ids], np.int64)
        return _fixed(at[np.isin(at, self.positions)])

    @cached
    def units_with(self, modality: str) -> np.ndarray:
        """(n,) True for units of recordings with all parts of a modality, read-only."""
        having = _recordings_with(self.store, modality)
        return _fixed(np.array([unit.recording in having for unit in self.units], bool))

    @cached_property
    def silent(self) -> np.ndarray:
        """(n,) whether the data have no signal of any of the run's modalities in each unit."""
        share = self.store.recorded_share
        spoken = [any(share(u.recording, m, u.start, u.stop) for m in self.modalities) for u in self.units]
        return ~np.array(spoken, bool)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Read-only arrays (n,) on all units: `recording`, its position in the store; `start` and `stop` in s."""
        at = {entry.id: i for i, entry in enumerate(self.store.recordings)}
        return {
            "recording": _fixed(np.array([at[u.recording] for u in self.units], np.int64)),
            "start": _fixed(np.array([u.start for u in self.units], np.float64)),
            "stop": _fixed(np.array([u.stop for u in self.units], np.float64)),
        }

    def arrays(self, index: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """`columns` on the units at `index`."""
        at = np.asarray(index, np.int64)
        return {name: column[at] for name, column in self.columns.items()}


@cached
def card_for_protocol(protocol: Protocol, card: Card, *, tested: bool = True) -> Card:
    """The card with the protocol's own targets, where it has any for this dataset, in place of its own, and with the
    protocol's lag, if it has one. Targets of a run that names none are the card's as far as the protocol has them.

    Args:
        tested: whether the dataset is split and tested, not a source of pretraining alone.

    Raises:
        UsageError: the protocol normalises with rest, and the card declares none; or it is for other datasets alone,
            whose stimuli it names.
    """
    if tested:
        protocol.stimulus_rules(card.name)
    if protocol.normalise == "baseline" and card.baseline is None:
        raise UsageError(
            f"{protocol.name} normalises each subject by a resting baseline, but {card.name} declares none",
            where=f"--protocol {protocol.name}",
            expected="a dataset with `baseline` in its dataset card: the resting time of the subject in each recording",
            hint="--protocol subject-independent-v3",
        )
    values = {t.label: t for t in card.targets if t.kind == "value"}
    own = tuple(
        replace(t, scale=known.scale, step=known.step) if t.kind == "value" and (known := values.get(t.label)) else t
        for t in protocol.targets(card.name)
    )
    if own:
        usual = card.default_targets or tuple(t.name for t in card.targets)
        card = replace(card, targets=own, default_targets=tuple(n for n in usual if n in {t.name for t in own}))
    if not tested or protocol.lag_s is None:
        return card
    return replace(card, targets=tuple(replace(t, rule=replace(t.rule, lag_s=protocol.lag_s)) for t in card.targets))


def choose_targets(card: Card, text: str | None) -> tuple[Target, ...]:
    """The requested targets, by default those that the card names, else all of the card's.

    Raises:
        UsageError: the card has no such target, or none at all.
    """
    by_name = {t.name: t for t in card.targets}
    if not by_name:
        raise UsageError(
            f"{card.name} has no targets, only recordings for pretraining",
            where=f"--dataset {card.name}",
            hint=f"for pretraining: --pretrainer NAME:{card.name} with another --dataset. For scoring: add `labels` "
            "and `targets` to dataset.yaml",
        )
    names = [n.strip() for n in text.split(",")] if text else list(card.default_targets or by_name)
    for name in names:
        if name not in by_name:
            raise UsageError(
                f"{card.name} has no target `{name}`",
                where="--target",
                expected=", ".join(by_name),
                hint=did_you_mean(name, list(by_name)),
            )
    return tuple(by_name[name] for name in dict.fromkeys(names))


@cached
@snapshot()
def build_cohort(
    store: Store, card: Card, targets: Sequence[Target], modalities: Sequence[str] | None, protocol: Protocol
) -> Cohort:
    """The cohort of a run; without `modalities`, of what reads labels alone: subjects whose signals are missing, too.

    Raises:
        DataError: no subject has a label, or any of the modalities, or no recording is long enough for a unit.
        UsageError: the targets have different units, or are centred where test subjects are trained on.
    """
    check_centred(targets, protocol)
    check_one_target(protocol, targets)
    cut = cut_of_targets(store, targets, protocol)
    raw, label, labelled = {}, {}, set()
    units: tuple[Unit, ...] = ()
    for target in card.targets:
        kind: Any = store.label_kinds.get(target.label)
        if kind is None:
            continue
        own = _units_of(store, card, kind, protocol)
        values, labels = _labels_of(store, card, target, protocol)
        decided = values if target.rule.cut == "training_mean" else labels
        labelled |= {own[i].subject for i in np.flatnonzero(np.isfinite(decided))}
        if target in targets:
            units, raw[target.name], label[target.name] = own, values, labels
    included_subjects = protocol.included_subjects(card.name)
    if included_subjects is not None:
        labelled &= included_subjects
    if not units and cut.length_s is not None:
        raise too_short(store, card.name, cut, protocol)
    slices = None
    if protocol.personal and units:
        (target,) = targets
        placed = placed_units(store, card, target, units, label[target.name], raw[target.name])
        slices = cut_slices(protocol.personal, placed, card.name, sorted(labelled))
        labelled -= slices.unusable.keys()
    sensed = {unit.subject for unit in units}
    if modalities is not None:
        has = set().union(*(_recordings_with(store, m) for m in modalities))
        sensed = {unit.subject for unit in units if unit.recording in has}
    eligible = tuple(i for i, u in enumerate(units) if u.subject in labelled)
    positions = tuple(i for i in eligible if units[i].subject in sensed)
    if not positions:
        signals = None if modalities is None else f"any of {', '.join(modalities)}"
        raise DataError(
            f"the cohort is empty: no subject has {'both a label and one of the modalities' if signals else 'a label'}",
            where=str(store.path),
            expected=" and ".join(filter(None, [f"labels of {', '.join(t.name for t in targets)}", signals])),
        )
    unusable = slices.unusable if slices else {}
    excluded = exclusions(
        store, included_subjects, labelled, {u.subject for u in units}, sensed, modalities or (), unusable
    )
    shown = including(protocol, card, store.recordings)
    roster = tuple(whole(e for e in shown if e.subject in labelled))
    seconds = np.nan if cut.length_s is None else cut.length_s
    of_targets = (store, card, tuple(targets), units, raw, label, eligible, positions, excluded)
    return Cohort(*of_targets, float(seconds), roster, tuple(modalities or ()), slices)


@cached
def unlabelled_cohort(store: Store, card: Card, protocol: Protocol, kind_of_labels: str | None = None) -> Cohort:
    """A dataset's subjects to pretrain on, or to predict, labelled or not, cut into the units of labels of this kind;
    by default of a run on its default targets (whole recordings where it has no labels)."""
    kinds = (
        [kind_of_labels]
        if kind_of_labels
        else [
            store.label_kinds[t.label]
            for t in (choose_targets(card, None) if card.targets else ())
            if t.label in store.label_kinds
        ]
    )
    kind: Any = kinds[0] if kinds else "rating"
    units = _units_of(store, card, kind, protocol)
    length = cut_of(kind, protocol).length_s
    roster = tuple(whole(store.recordings))
    index = tuple(range(len(units)))
    seconds = np.nan if length is None else length
    return Cohort(store, card, (), units, {}, {}, index, index, (), seconds, roster)


@cached
def _recordings_with(store: Store, modality: str) -> frozenset[str]:
    """The recordings that have all parts of a modality."""
    parts = set(names_in(modality))
    return frozenset(entry.id for entry in store.recordings if parts <= entry.spans.keys())


@cached
def _units_of(store: Store, card: Card, kind: LabelKind, protocol: Protocol) -> tuple[Unit, ...]:
    return tuple(make_units(store.recordings, card, kind, protocol))


@cached
def _labels_of(store: Store, card: Card, target: Target, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Raw labels and labels of all units of a target, from `label_units`, read-only."""
    kind: Any = store.label_kinds[target.label]
    raw, label = label_units(_units_of(store, card, kind, protocol), _table(store)[target.label], target.rule)
    return _fixed(raw), _fixed(label)


@cached
def _table(store: Store) -> Mapping[str, Mapping[str, Label]]:
    return store.labels()


def _fixed(array: np.ndarray) -> np.ndarray:
    """The array itself, read-only from now on: plans share it."""
    array.flags.writeable = False
    return array


def label_rules(card: Card) -> list[dict[str, Any]]:
    """The card's label rules as plain values, for records and hashes."""
    return [{"name": t.name, "kind": t.kind, "label": t.label, "n": t.n, "rule": _slots(t.rule)} for t in card.targets]


def _slots(rule: Any) -> dict[str, Any]:
    # Without what is newer than published rules where it says nothing: their hashes stay what they are.
    values = {k: v for k, v in asdict(rule).items() if v or k not in ("classes", "edges", "centred")}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


# The labels of a dataset's units, as a record holds them.


def cohort_labels(
    cohort: Cohort, targets: Sequence[Target], dealt: Mapping[int, Sequence[Fold]], index: Collection[int]
) -> Labels:
    """The labels of the units at `index` that have one and are tested, as the card's rules make them; by seed where
    training subjects decide the cut.

    Args:
        dealt: seed -> folds.
    """
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    if cohort.slices is not None:
        index = [i for i in index if cohort.slices.scored[i]]
    wanted, rows = set(index), []
    for target in targets:
        labels: dict[tuple[int, int], float] = {}
        if target.rule.cut == "training_mean":
            keep = set(cohort.positions)
            for seed, folds in dealt.items():
                for fold in folds:
                    train = [position[u] for u in fold.train if position[u] in keep]
                    label = cohort.labels(target, train)
                    labels |= {(seed, position[u]): label[position[u]] for u in fold.test if position[u] in wanted}
        else:
            labels = {(ANY_SEED, i): cohort.label[target.name][i] for i in index}
        for (seed, i), known in labels.items():
            if math.isfinite(known):
                unit, raw = cohort.units[i], cohort.raw[target.name][i]
                rows.append((unit.subject, unit.recording, unit.id, target.name, seed, raw, known))
    return Labels({name: [row[k] for row in rows] for k, name in enumerate(Labels.FIXED)})  # type: ignore[misc]


def units_of_subjects(cohort: Cohort, index: np.ndarray) -> np.ndarray:
    """(n,) whether a unit is of a subject of those at `index`."""
    recording = cohort.columns["recording"]
    subject = np.array([entry.subject for entry in cohort.store.recordings])
    return np.isin(subject, subject[recording[index]])[recording]


@dataclass(frozen=True)
class FewLabels:
    """The number of training subjects with labels and the proportion of their labels that a run may use; None: all."""

    subjects: int | None
    share: float | None

    def drawn(
        self, cohort: Cohort, train: np.ndarray, asked: np.ndarray, seed: int, fold: int, protocol: Protocol
    ) -> np.ndarray:
        """Return the units of those at `train` whose labels may be used, the same whatever the method; subjects of the
        units `asked` keep what they give to train on. Raises UsageError where there are too few subjects."""

        def rank(name: str) -> str:
            return hashlib.sha256(f"{seed}/{fold}/{name}".encode()).hexdigest()

        if self.subjects is not None:
            train = self._of_subjects(cohort, train, asked, rank, protocol, f"seed {seed}, fold {fold}")
        return train if self.share is None else self._of_labels(cohort, train, rank)

    def _of_subjects(
        self,
        cohort: Cohort,
        train: np.ndarray,
        asked: np.ndarray,
        rank: Callable[[str], str],
        protocol: Protocol,
        place: str,
    ) -> np.ndarray:
        """The units of as many subjects, those of a smaller number among those of a larger one."""
        own = units_of_subjects(cohort, asked) & protocol.trains_on_given
        subjects, count = sorted({cohort.units[i].subject for i in train[~own[train]]}, key=rank), self.subjects or 0
        if count > len(subjects):
            raise UsageError(
                f"{place} has only {len(subjects)} training subjects, fewer than {count}",
                where=f"--label-subjects {count}",
                expected=f"1 to {len(subjects)}, or all",
            )
        return np.array([i for i in train if own[i] or cohort.units[i].subject in subjects[:count]], np.int64)

    def _of_labels(self, cohort: Cohort, train: np.ndarray, rank: Callable[[str], str]) -> np.ndarray:
        """As large a proportion of each subject's units of each class, those of a smaller one among those of a larger
        one. At least one unit of each class."""
        units, share = cohort.units, self.share or 0.0
        classes = [t for t in cohort.targets if t.traits.has_classes]
        kinds = np.stack([cohort.labels(t, train) for t in classes], 1) if classes else np.zeros((len(units), 0))
        strata: dict[tuple[str, str], list[int]] = {}
        for i in sorted(train, key=lambda i: rank(str(units[i].id))):
            strata.setdefault((str(kinds[i].tolist()), units[i].subject), []).append(i)
        # Of n units the k-th comes at k / n and an offset, so that small strata are not rounded all the same way.
        place = {
            i: (k + int(rank("/".join(stratum))[:8], 16) / 2**32) / len(members)
            for stratum, members in strata.items()
            for k, i in enumerate(members)
        }
        first = {
            kind: min((i for s, members in strata.items() if s[0] == kind for i in members), key=place.__getitem__)
            for kind, _ in strata
        }
        kept = {i for i in train if place[i] < share} | set(first.values())
        return np.array([i for i in train if i in kept], np.int64)


# The units of a run that rest on repaired signals: on samples that were lost and bridged, or that are missing.

MOST_REPAIRED = 0.1
"""Share of a unit's samples of a modality that may be bridged or missing. Of a unit of 10 s this is one second, about a
heartbeat; where it is more, whole beats and skin responses can be straight lines."""
NAMED_ABOVE = 0.05
"""A run says in a sentence that a larger share of its units is repaired."""


def repaired_units(cohort: Cohort) -> dict[str, np.ndarray]:
    """Modality of the run -> (n,) whether more than `MOST_REPAIRED` of its samples are bridged or missing, for the
    units of the run with a label. A sample is bridged where any channel of the modality is."""
    chosen = cohort.arrays(_labelled(cohort))
    order = np.argsort(chosen["recording"], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(chosen["recording"][order])) + 1)
    found = {m: np.zeros(len(order), bool) for m in cohort.modalities}
    for rows in groups if len(order) else ():
        entry = cohort.store.recordings[chosen["recording"][rows[0]]]
        start, stop = chosen["start"][rows], chosen["stop"][rows]
        for m, repaired in found.items():
            sound = [_sound_s(cohort, entry, part, start, stop) for part in names_in(m)]
            repaired[rows] = np.min(sound, 0) < (1 - MOST_REPAIRED) * (stop - start) - 1e-6
    return found


def repaired_share(cohort: Cohort) -> float:
    """Share of a run's units with a label of which any of its modalities is repaired, to four digits."""
    return _share(np.any([*repaired_units(cohort).values()], 0))


def repaired_note(cohort: Cohort) -> str | None:
    """A sentence on the share of repaired units, and the modalities that they are of; None up to `NAMED_ABOVE`."""
    of_modality = repaired_units(cohort)
    share = _share(np.any([*of_modality.values()], 0))
    if share <= NAMED_ABOVE:
        return None
    names = ", ".join(m for m, repaired in of_modality.items() if repaired.any())
    return f"{format_share(share)} of the units rest on bridged or missing samples ({names})"


def _share(repaired: np.ndarray) -> float:
    return round(float(repaired.mean()), 4) if repaired.size else 0.0


def _labelled(cohort: Cohort) -> np.ndarray:
    """The positions of the run's units with a label of any target."""
    known = np.zeros(len(cohort.units), bool)
    for target in cohort.targets:
        known |= np.isfinite((cohort.raw if target.rule.cut == "training_mean" else cohort.label)[target.name])
    at = np.array(cohort.positions, np.int64)
    return at[known[at]]


def _sound_s(cohort: Cohort, entry: RecordingEntry, part: str, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(n,) seconds of a modality in the spans `start` to `stop` of a recording that were recorded and not lost."""
    span = entry.spans.get(part)
    if span is None:
        return np.zeros(len(start))
    sound = _overlap(start, stop, span.t0, span.t0 + span.samples / cohort.store.modalities[part].rate)
    for first, last, lost in entry.lost.get(part, ()):
        sound -= _overlap(start, stop, first, last) * lost / (last - first)
    return sound


def _overlap(start: np.ndarray, stop: np.ndarray, first: float, last: float) -> np.ndarray:
    return np.clip(np.minimum(stop, last) - np.maximum(start, first), 0.0, None)
