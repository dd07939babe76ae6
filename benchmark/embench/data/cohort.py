"""The subjects and units of a run: training and test subjects, their labels, and the excluded subjects with reasons."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.files import cached, cached_call, snapshot
from embench.interfaces.dataset import Card
from embench.interfaces.recording import Label, split_modality
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
    choose_cut,
    connected_groups,
    cut_slices,
    divide_units,
    fitted_rule,
    label_units,
    make_units,
    prove_given,
    prove_slices,
    select_recordings,
    session_lengths,
    whole_recordings,
)
from embench.reasons import Reason
from embench.records.predictions import ANY_SEED, Labels
from embench.records.wording import format_share
from embench.store import Store
from embench.store.store import RecordingEntry
from embench.vocabulary import did_you_mean

# The cut of a run's recordings into units, shared by all its targets; refusals of protocols, and excluded subjects.


def choose_shared_cut(store: Store, targets: Sequence[Target], protocol: Protocol) -> Cut:
    """Return how recordings are cut into units, which has to be the same for all targets.

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
    cuts = {name: choose_cut(kind, protocol) for name, kind in kinds.items()}
    if len(set(cuts.values())) > 1:
        cuts_in_words = [f"{name} ({cut})" for name, cut in cuts.items()]
        raise UsageError(
            f"these targets have different units: {', '.join(cuts_in_words)}",
            where="--target",
            hint="choose targets with the same units: --target " + next(iter(cuts)),
        )
    return next(iter(cuts.values()))


def _refuse_lag(targets: Sequence[Target], kinds: Mapping[str, Any], protocol: Protocol) -> None:
    """Raise UsageError if the protocol shifts labels by a lag and a target's kind of label cannot be shifted. A lag
    that the dataset card declares is allowed."""
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
    """Raise UsageError if a centred label would reveal test labels. The mean of a subject includes its test labels, so
    the protocol must not train on other units of a test subject."""
    centred = ", ".join(target.name for target in targets if target.rule.centred)
    if centred and not protocol.split.by.startswith("group"):
        raise UsageError(
            f"the labels of {centred} are centred on the subject mean, which includes test labels, and "
            f"{protocol.name} trains on other units of a test subject",
            where=f"--protocol {protocol.name}",
            expected="a protocol that splits by subject, or a target that is not centred",
            hint="--protocol subject-independent-v4",
        )


def make_too_short_error(store: Store, name: str, cut: Cut, protocol: Protocol) -> DataError:
    """Return the error for data without a recording as long as a unit; it names the longest and the required length."""
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
    """Raise UsageError if folds cannot separate stimuli. `met_by`: stimulus -> groups of the subjects who met it."""
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
        hint="--protocol subject-independent-v4",
    )


def list_exclusions(
    store: Store,
    included_subjects: frozenset[str] | None,
    labelled: set[str],
    cut: set[str],
    sensed: set[str],
    modalities: Sequence[str],
    unusable: Mapping[str, Reason],
) -> tuple[dict[str, Any], ...]:
    """Return {`subject`, `reason`} of each subject who is not in the cohort.

    Args:
        included_subjects: the protocol's subjects; None for all.
        labelled, cut, sensed: subjects with a label, with units, and with any of the run's modalities.
        unusable: subject -> why it cannot give calibration data.
    """
    rows = []
    for subject in sorted({entry.subject for entry in store.recordings}):
        reason = unusable.get(subject)
        if included_subjects is not None and subject not in included_subjects:
            reason = Reason.make("not_in_protocol")
        elif not reason and subject not in labelled:
            reason = Reason.make("no_label")
        elif not reason and subject not in cut:
            reason = Reason.make("no_long_recording")
        elif not reason and subject not in sensed:
            reason = Reason.make("no_modality", modalities=[*modalities])
        rows += [{"subject": subject, "reason": reason}] if reason else []
    return tuple(rows)


# Calibration units under protocols with `personal`: their order in time, and the folds without them.


def place_units(
    store: Store, card: Card, target: Target, units: Sequence[Unit], y: np.ndarray, raw: np.ndarray
) -> Placed:
    """Return the units of a dataset in temporal order, with the labels (n,) and raw values (n,) of a target."""
    kind: Any = store.label_kinds[target.label]
    classes = target.n if target.traits.has_classes else 1
    class_names = {label.classes for label in store.labels().get(target.label, {}).values() if label.classes}
    ordered = card.fixed_order, _order_sessions(store, card)
    return Placed(units, y, raw, classes, kind, *ordered, class_names.pop() if len(class_names) == 1 else ())


def _order_sessions(store: Store, card: Card) -> dict[str, int]:
    """Return recording -> position of its session. Raises UsageError if the order of sessions is unknown."""
    sessions: dict[str, set[str]] = {}
    for entry in store.recordings:
        sessions.setdefault(entry.subject, set()).add(entry.session)
    for names in sessions.values():
        # Names such as `day1` and `day2` are ordered, `pre` and `post` are not, and a pseudonym hides the order.
        if not names <= set(card.sessions) and len({re.sub(r"\d+", "#", name) for name in names}) > 1:
            raise UsageError(
                f"the order of the sessions of {card.name} is not known: {', '.join(sorted(names)[:4])}",
                where="names of sessions",
                expected="session names that differ only in a number, such as day1 and day2, or a declared order",
                hint="declare the order in dataset.yaml: `sessions: [pre, post]`",
            )
    known = {name: k for k, name in enumerate(card.sessions)}
    rest = sorted(set().union(*sessions.values()) - known.keys(), key=_get_natural_key)
    place = known | {name: len(known) + k for k, name in enumerate(rest)}
    return {entry.id: place[entry.session] for entry in store.recordings}


def split_calibration_data(
    protocol: Protocol, dataset: str, placed: Placed, slices: Slices, units: Sequence[Unit], folds: Sequence[Fold]
) -> list[Fold]:
    """Return `folds` whose test units were all recorded after the calibration data. If the protocol trains on
    calibration data, those of test and validation subjects are added to the training part.

    Args:
        units: the units of all folds.

    Raises:
        CheckFailed: the calibration data differ from the protocol's declaration.
    """
    if protocol.personal is not None:
        prove_slices(protocol.personal, placed, slices, slices.rank > 0, dataset)
    calibration_ids = {unit.id for unit, rank in zip(placed.units, slices.rank.tolist(), strict=True) if rank}
    scored_ids = {unit.id for unit, is_scored in zip(placed.units, slices.scored.tolist(), strict=True) if is_scored}

    def restrict(fold: Fold) -> Fold:
        test = tuple(id_ for id_ in fold.test if id_ in scored_ids)
        if not protocol.trains_on_calibration:
            return replace(fold, test=test)
        added = tuple(id_ for id_ in (*fold.val, *fold.test) if id_ in calibration_ids)
        return replace(fold, train=(*fold.train, *added), val=tuple(i for i in fold.val if i in scored_ids), test=test)

    split_folds = [each for each in map(restrict, folds) if each.test]
    prove_given(protocol, dataset, units, split_folds, calibration_ids, scored_ids)
    return split_folds


def check_one_target(protocol: Protocol, targets: Sequence[Target]) -> None:
    """Raise UsageError if several targets, or labels that depend on other units, are combined with calibration data."""
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
            hint="--protocol subject-independent-v4",
        )


def _get_natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which `day2` comes before `day10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


# The planner reads labels only to give each stage those of its own training and validation units.


@dataclass(frozen=True)
class Cohort:
    """All units of a dataset's store, and those that a run uses.

    Args:
        units: all units. `raw`, `label`: target -> raw values (n,) and labels (n,) of all units, NaN if missing. Labels
            that depend on training units are always NaN here, see `labels`.
        eligible: positions in `units` for subjects with any of the card's targets. `positions`: the eligible positions
            of subjects with any of the run's modalities.
        length_s: length of a unit; NaN if units are whole recordings.
        roster: the recordings of eligible subjects as units. They are assigned to folds, so that a subject's fold is
            the same for all targets.
        modalities: those of the run. `slices`: its calibration units and scored units; None without calibration data.
    """

    store: Store
    card: Card
    targets: tuple[Target, ...]
    units: tuple[Unit, ...]
    raw: Mapping[str, np.ndarray]
    label: Mapping[str, np.ndarray]
    eligible: tuple[int, ...]
    positions: tuple[int, ...]
    excluded: tuple[Mapping[str, Any], ...]
    length_s: float
    roster: tuple[Unit, ...]
    modalities: tuple[str, ...] = ()
    slices: Slices | None = None

    @property
    def subjects(self) -> list[str]:
        """Sorted ids of the subjects with a unit in the cohort."""
        return sorted({self.units[i].subject for i in self.positions})

    @cached_property
    def tested(self) -> tuple[int, ...]:
        """Positions of the eligible units that folds test. With calibration data, only units recorded after them."""
        if self.slices is None:
            return self.eligible
        return tuple(i for i in self.eligible if self.slices.scored[i])

    def select_scored(self, index: np.ndarray) -> np.ndarray:
        """Return the positions in `index` of units that are scored; calibration units are not."""
        return index if self.slices is None else index[self.slices.scored[index]]

    @cached_property
    def placed(self) -> Placed:
        """All units in temporal order, with the labels of the first target, to choose calibration data from."""
        target = self.targets[0]
        target_data = target, self.units, self.label[target.name], self.raw[target.name]
        return place_units(self.store, self.card, *target_data)

    @cached_property
    def groups(self) -> dict[str, str]:
        """Subject -> its group, such as a dyad; all subjects of a group are in the same part of a fold."""
        return connected_groups(self.roster)

    @property
    def design(self) -> Design:
        """Predictor of labels other than signals: time (`fixed_order`), stimuli (`shared_stimuli`), or neither
        (`free`)."""
        if self.card.fixed_order:
            return "fixed_order"
        shared = [stimulus for stimulus, groups in self.met_by.items() if len(groups) > 1]
        return "shared_stimuli" if len(shared) > 1 else "free"

    @property
    def met_by(self) -> dict[str, set[str]]:
        """Stimulus -> groups of the subjects to whom it was presented."""
        met_by: dict[str, set[str]] = {}
        group_of = self.groups
        for unit in self.roster:
            met_by.setdefault(unit.stimulus, set()).add(group_of[unit.subject])
        return met_by

    @cached_property
    def sessions(self) -> dict[str, float]:
        """Length of each subject's session in s, including unused recordings."""
        subjects = {unit.subject for unit in self.roster}
        return session_lengths(whole_recordings(e for e in self.store.recordings if e.subject in subjects))

    @cached_property
    def shortest_s(self) -> float:
        """Length in s of the shortest eligible unit."""
        return min(self.units[i].stop - self.units[i].start for i in self.eligible)

    @property
    def longest_s(self) -> float:
        """Length in s to which units are padded: `length_s`, or the card's longest recording for whole recordings."""
        return self.card.longest_s if np.isnan(self.length_s) else self.length_s

    def rule(self, target: Target, train: Sequence[int] | np.ndarray) -> LabelRule:
        """Return a target's label rule. Its cut may depend on the units at `train`, to which a method is fitted."""
        if target.rule.cut != "training_mean":
            return target.rule
        return fitted_rule(target.rule, self.select_units(train), self.raw[target.name][list(train)])

    def labels(self, target: Target, train: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return (n,) labels of all units for a method that is fitted on the units at `train`; NaN without a label."""
        rule = self.rule(target, train)
        if rule is target.rule:
            return self.label[target.name]
        values, value_index = np.unique(self.raw[target.name], return_inverse=True)
        fitted = [rule(np.array([value])) for value in values]
        return np.array([np.nan if label is None else label for label in fitted])[value_index]

    @cached
    def folds(self, protocol: Protocol, seed: int) -> list[Fold]:
        """Return the folds of partition `seed` of the eligible units, after a check that they obey the protocol.

        Raises:
            UsageError: there are too few subjects or units, or stimuli cannot be separated from subjects or times.
            CheckFailed: the folds break a rule of the protocol.
        """
        whole = cached_call((self._same_units, protocol.hash, seed), partial(self._divide, protocol, seed))
        return self.split_calibration(protocol, whole)

    @cached_property
    def _same_units(self) -> object:
        """An object that cohorts with the same eligible units share within a snapshot."""
        key = self.card, tuple(self.select_units(self.eligible)), self.roster, *self.sessions.items()
        return cached_call(("same units", *key), object)

    def _divide(self, protocol: Protocol, seed: int) -> list[Fold]:
        """Return `folds` of whole sessions."""
        if protocol.split.by == "group+stimulus":
            check_stimuli(self.met_by, self.card, protocol)
        units, sessions = self.select_units(self.eligible), self.sessions if self.card.fixed_order else None
        return divide_units(protocol, self.card.name, self.roster, units, seed, sessions)

    def partitions(self, protocol: Protocol) -> int:
        """Return the number of partitions in a balanced set; 1 if the protocol assigns subjects to folds at random."""
        if protocol.split.deal != "balanced":
            return 1
        return balanced_count(len(set(connected_groups(self.roster).values())))

    def split_calibration(self, protocol: Protocol, folds: Sequence[Fold]) -> list[Fold]:
        """Return `folds` with calibration units removed from their test parts, see `split_calibration_data`. Without
        calibration units, they are unchanged."""
        if self.slices is None:
            return list(folds)
        units = self.select_units(self.eligible)
        return split_calibration_data(protocol, self.card.name, self.placed, self.slices, units, folds)

    def select_units(self, index: Sequence[int] | np.ndarray) -> list[Unit]:
        """Return the units at `index`."""
        return [self.units[i] for i in index]

    @cached_property
    def _position(self) -> dict[str, int]:
        """Positions of units, by id."""
        return {unit.id: i for i, unit in enumerate(self.units)}

    @cached
    def find_positions(self, ids: tuple[str, ...]) -> np.ndarray:
        """Return the read-only positions (n,) in `units` of these `ids`, without units that the run does not use."""
        at = np.array([self._position[id_] for id_ in ids], np.int64)
        return _freeze(at[np.isin(at, self.positions)])

    @cached
    def units_with(self, modality: str) -> np.ndarray:
        """Return a read-only mask (n,), True for units whose recording has all parts of a modality."""
        having = _recordings_with(self.store, modality)
        return _freeze(np.array([unit.recording in having for unit in self.units], bool))

    @cached_property
    def silent(self) -> np.ndarray:
        """Mask (n,), True for units in which none of the run's modalities was recorded."""
        share = self.store.recorded_share
        recorded = [any(share(u.recording, m, u.start, u.stop) for m in self.modalities) for u in self.units]
        return ~np.array(recorded, bool)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Read-only arrays (n,) of all units: `recording`, its position in the store; `start` and `stop` in s."""
        at = {entry.id: i for i, entry in enumerate(self.store.recordings)}
        return {
            "recording": _freeze(np.array([at[u.recording] for u in self.units], np.int64)),
            "start": _freeze(np.array([u.start for u in self.units], np.float64)),
            "stop": _freeze(np.array([u.stop for u in self.units], np.float64)),
        }

    def arrays(self, index: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Return `columns` for the units at `index`."""
        at = np.asarray(index, np.int64)
        return {name: column[at] for name, column in self.columns.items()}


@cached
def card_for_protocol(protocol: Protocol, card: Card, *, tested: bool = True) -> Card:
    """Return the card with the protocol's own targets for this dataset and its lag, if any. Default targets that the
    protocol lacks are removed.

    Args:
        tested: True if the dataset is split and tested; False for a source of pretraining.

    Raises:
        UsageError: the protocol normalises by a resting baseline that the card lacks, or names stimuli of other
            datasets only.
    """
    if tested:
        protocol.stimulus_rules(card.name)
    if protocol.normalise == "baseline" and card.baseline is None:
        raise UsageError(
            f"{protocol.name} normalises each subject by a resting baseline, but {card.name} declares none",
            where=f"--protocol {protocol.name}",
            expected="a dataset with `baseline` in its dataset card: the resting time of the subject in each recording",
            hint="--protocol subject-independent-v4",
        )
    values = {t.label: t for t in card.targets if t.kind == "value"}
    protocol_targets = tuple(
        replace(t, scale=known.scale, step=known.step) if t.kind == "value" and (known := values.get(t.label)) else t
        for t in protocol.targets(card.name)
    )
    if protocol_targets:
        usual = card.default_targets or tuple(t.name for t in card.targets)
        usual_names = tuple(name for name in usual if name in {t.name for t in protocol_targets})
        card = replace(card, targets=protocol_targets, default_targets=usual_names)
    if not tested or protocol.lag_s is None:
        return card
    return replace(card, targets=tuple(replace(t, rule=replace(t.rule, lag_s=protocol.lag_s)) for t in card.targets))


def choose_targets(card: Card, text: str | None) -> tuple[Target, ...]:
    """Return the targets that `text` names, separated by commas; without names, the card's default targets, else all.

    Raises:
        UsageError: the card lacks a named target, or has no targets.
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
    """Return the cohort of a run. `modalities` None includes subjects without signals, for callers that read only
    labels.

    Raises:
        DataError: no subject has a label and any of the modalities, or no recording is long enough for a unit.
        UsageError: the targets have different units, or are centred while the protocol trains on test subjects.
    """
    check_centred(targets, protocol)
    check_one_target(protocol, targets)
    cut = choose_shared_cut(store, targets, protocol)
    raw, label, labelled = {}, {}, set()
    units: tuple[Unit, ...] = ()
    for target in card.targets:
        kind: Any = store.label_kinds.get(target.label)
        if kind is None:
            continue
        target_units = _cached_units(store, card, kind, protocol)
        values, labels = _cached_labels(store, card, target, protocol)
        decided = values if target.rule.cut == "training_mean" else labels
        labelled |= {target_units[i].subject for i in np.flatnonzero(np.isfinite(decided))}
        if target in targets:
            units, raw[target.name], label[target.name] = target_units, values, labels
    included_subjects = protocol.included_subjects(card.name)
    if included_subjects is not None:
        labelled &= included_subjects
    if not units and cut.length_s is not None:
        raise make_too_short_error(store, card.name, cut, protocol)
    slices = None
    if protocol.personal and units:
        (target,) = targets
        placed = place_units(store, card, target, units, label[target.name], raw[target.name])
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
    excluded = list_exclusions(
        store, included_subjects, labelled, {u.subject for u in units}, sensed, modalities or (), unusable
    )
    shown = select_recordings(protocol, card, store.recordings)
    roster = tuple(whole_recordings(e for e in shown if e.subject in labelled))
    seconds = np.nan if cut.length_s is None else cut.length_s
    parts = (store, card, tuple(targets), units, raw, label, eligible, positions, excluded)
    return Cohort(*parts, float(seconds), roster, tuple(modalities or ()), slices)


@cached
def unlabelled_cohort(store: Store, card: Card, protocol: Protocol, kind_of_labels: str | None = None) -> Cohort:
    """Return all subjects of a dataset, with or without labels, for pretraining or prediction. Units are cut as for
    labels of `kind_of_labels`; by default, as for the default targets, or as whole recordings if there are none."""
    usual = choose_targets(card, None) if card.targets and not kind_of_labels else ()
    kinds = [store.label_kinds[t.label] for t in usual if t.label in store.label_kinds]
    kind: Any = kind_of_labels or next(iter(kinds), "rating")
    units = _cached_units(store, card, kind, protocol)
    length = choose_cut(kind, protocol).length_s
    roster = tuple(whole_recordings(store.recordings))
    index = tuple(range(len(units)))
    seconds = np.nan if length is None else length
    return Cohort(store, card, (), units, {}, {}, index, index, (), seconds, roster)


@cached
def _recordings_with(store: Store, modality: str) -> frozenset[str]:
    parts = set(split_modality(modality))
    return frozenset(entry.id for entry in store.recordings if parts <= entry.spans.keys())


@cached
def _cached_units(store: Store, card: Card, kind: LabelKind, protocol: Protocol) -> tuple[Unit, ...]:
    return tuple(make_units(store.recordings, card, kind, protocol))


@cached
def _cached_labels(store: Store, card: Card, target: Target, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    kind: Any = store.label_kinds[target.label]
    raw, label = label_units(_cached_units(store, card, kind, protocol), _load_labels(store)[target.label], target.rule)
    return _freeze(raw), _freeze(label)


@cached
def _load_labels(store: Store) -> Mapping[str, Mapping[str, Label]]:
    return store.labels()


def _freeze(array: np.ndarray) -> np.ndarray:
    """Make an array read-only, since plans share it, and return it."""
    array.flags.writeable = False
    return array


def label_rules(card: Card) -> list[dict[str, Any]]:
    """Return the card's label rules as plain values, for records and hashes."""
    return [{"name": t.name, "kind": t.kind, "label": t.label, "n": t.n, "rule": _export(t.rule)} for t in card.targets]


def _export(rule: Any) -> dict[str, Any]:
    # Newer fields are left out while unset, so that published hashes stay valid.
    values = {k: v for k, v in asdict(rule).items() if v or k not in ("classes", "edges", "centred")}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def compute_cohort_labels(
    cohort: Cohort, targets: Sequence[Target], dealt: Mapping[int, Sequence[Fold]], index: Collection[int]
) -> Labels:
    """Return the labels of the tested units at `index`, made by the card's rules. If the cut of a rule depends on
    training units, each seed has its own rows. `dealt`: seed -> its folds."""
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
    """Return a mask (n,), True for all units of the subjects to whom the units at `index` belong."""
    recording = cohort.columns["recording"]
    subject = np.array([entry.subject for entry in cohort.store.recordings])
    return np.isin(subject, subject[recording[index]])[recording]


@dataclass(frozen=True)
class FewLabels:
    """Limits on the labels of a run: number of labelled training `subjects`, and `share`, the proportion of their
    units. None sets no limit."""

    subjects: int | None
    share: float | None

    def drawn(
        self, cohort: Cohort, train: np.ndarray, test: np.ndarray, seed: int, fold: int, protocol: Protocol
    ) -> np.ndarray:
        """Return the positions in `train` whose labels may be used, the same for all methods. Subjects of the units at
        `test` keep their calibration data. Raises UsageError if there are too few subjects."""

        def rank(name: str) -> str:
            return hashlib.sha256(f"{seed}/{fold}/{name}".encode()).hexdigest()

        if self.subjects is not None:
            train = self._draw_subjects(cohort, train, test, rank, protocol, f"seed {seed}, fold {fold}")
        return train if self.share is None else self._draw_labels(cohort, train, rank)

    def _draw_subjects(
        self,
        cohort: Cohort,
        train: np.ndarray,
        test: np.ndarray,
        rank: Callable[[str], str],
        protocol: Protocol,
        place: str,
    ) -> np.ndarray:
        """Return the positions in `train` of as many subjects as allowed; smaller draws are subsets of larger ones."""
        own = units_of_subjects(cohort, test) & protocol.trains_on_calibration
        subjects, count = sorted({cohort.units[i].subject for i in train[~own[train]]}, key=rank), self.subjects or 0
        if count > len(subjects):
            raise UsageError(
                f"{place} has only {len(subjects)} training subjects, fewer than {count}",
                where=f"--label-subjects {count}",
                expected=f"1 to {len(subjects)}, or all",
            )
        return np.array([i for i in train if own[i] or cohort.units[i].subject in subjects[:count]], np.int64)

    def _draw_labels(self, cohort: Cohort, train: np.ndarray, rank: Callable[[str], str]) -> np.ndarray:
        """Return the same proportion of each subject's units of each class, at least one per class. Smaller draws are
        subsets of larger ones."""
        units, share = cohort.units, self.share or 0.0
        classes = [t for t in cohort.targets if t.traits.has_classes]
        kinds = np.stack([cohort.labels(t, train) for t in classes], 1) if classes else np.zeros((len(units), 0))
        strata: dict[tuple[str, str], list[int]] = {}
        for i in sorted(train, key=lambda i: rank(str(units[i].id))):
            strata.setdefault((str(kinds[i].tolist()), units[i].subject), []).append(i)
        # The k-th of n units comes at k / n plus an offset, so that small strata are not all rounded alike.
        place = {
            i: (k + int(rank("/".join(stratum))[:8], 16) / 2**32) / len(members)
            for stratum, members in strata.items()
            for k, i in enumerate(members)
        }
        first = {
            kind: min((i for s, members in strata.items() if s[0] == kind for i in members), key=place.__getitem__)
            for kind, _ in strata
        }
        drawn = {i for i in train if place[i] < share} | set(first.values())
        return np.array([i for i in train if i in drawn], np.int64)


# Units of a run with repaired signals, in which lost samples were interpolated (bridged), or samples are missing.

MOST_REPAIRED = 0.1
"""Largest allowed proportion of interpolated (bridged) or missing samples of a modality in a unit: one second in 10 s,
about a heartbeat. Above it, whole beats and skin responses may be straight lines."""
NAMED_ABOVE = 0.05
"""Proportion of repaired units above which a run reports them."""


def find_repaired_units(cohort: Cohort) -> dict[str, np.ndarray]:
    """Return modality -> mask (n,) of a run's labelled units, True if more than `MOST_REPAIRED` of the unit's samples
    are bridged (interpolated) or missing in any channel."""
    chosen = cohort.arrays(_find_labelled(cohort))
    order = np.argsort(chosen["recording"], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(chosen["recording"][order])) + 1)
    found = {m: np.zeros(len(order), bool) for m in cohort.modalities}
    for rows in groups if len(order) else ():
        entry = cohort.store.recordings[chosen["recording"][rows[0]]]
        start, stop = chosen["start"][rows], chosen["stop"][rows]  # in s
        for m, repaired in found.items():
            sound = [_sum_sound(cohort, entry, part, start, stop) for part in split_modality(m)]
            repaired[rows] = np.min(sound, 0) < (1 - MOST_REPAIRED) * (stop - start) - 1e-6  # for rounding
    return found


def compute_repaired_share(cohort: Cohort) -> float:
    """Return the proportion of the run's labelled units with a repaired modality, see `find_repaired_units`."""
    return _round_share(np.any([*find_repaired_units(cohort).values()], 0))


def describe_repaired(cohort: Cohort) -> str | None:
    """Return a sentence on the proportion of repaired units and their modalities; None up to `NAMED_ABOVE`."""
    by_modality = find_repaired_units(cohort)
    share = _round_share(np.any([*by_modality.values()], 0))
    if share <= NAMED_ABOVE:
        return None
    names = ", ".join(m for m, repaired in by_modality.items() if repaired.any())
    return f"{format_share(share)} of the units rest on bridged or missing samples ({names})"


def _round_share(repaired: np.ndarray) -> float:
    return round(float(repaired.mean()), 4) if repaired.size else 0.0


def _find_labelled(cohort: Cohort) -> np.ndarray:
    """Return the positions of a run's units with a label of any target."""
    known = np.zeros(len(cohort.units), bool)
    for target in cohort.targets:
        known |= np.isfinite((cohort.raw if target.rule.cut == "training_mean" else cohort.label)[target.name])
    used = np.array(cohort.positions, np.int64)
    return used[known[used]]


def _sum_sound(cohort: Cohort, entry: RecordingEntry, part: str, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return (n,) the seconds of valid samples of the modality `part` in each span `start` to `stop` of a recording."""
    span = entry.spans.get(part)
    if span is None:
        return np.zeros(len(start))
    sound = _compute_overlap(start, stop, span.t0, span.t0 + span.samples / cohort.store.modalities[part].rate)
    for first, last, lost in entry.lost.get(part, ()):
        sound -= _compute_overlap(start, stop, first, last) * lost / (last - first)
    return sound


def _compute_overlap(start: np.ndarray, stop: np.ndarray, first: float, last: float) -> np.ndarray:
    """Return (n,) the lengths of the intersections of the spans `start` to `stop` (n,) with `first` to `last`."""
    return np.clip(np.minimum(stop, last) - np.maximum(start, first), 0.0, None)
