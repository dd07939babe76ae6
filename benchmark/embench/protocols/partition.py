"""Partition subjects into training and test folds, and check folds against the rules of their protocol."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from embench.errors import CheckFailed, UsageError
from embench.interfaces.units import Unit
from embench.protocols.schema import Protocol, Validation
from embench.protocols.units import RecordingTimes

ROLES = ("train", "val", "test")
GIVES = "gives"
"""Role in the record of folds: a subject whose calibration units are trained on, and whose later units are
predicted."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Unit ids of one fold's parts, each in the order of the units."""

    index: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


class FoldRow(NamedTuple):
    """One line of the record of folds: the role of a subject in a fold. A subject with units in several parts has
    several lines."""

    subject: str
    group: str
    fold: int
    role: str


def partition(
    protocol: Protocol, dataset: str, units: Sequence[Unit], k: int, sessions: Mapping[str, float] | None = None
) -> list[Fold]:
    """Return partition `k` of a dataset: folds in which every unit is tested exactly once, or at most once with `tests:
    last`.

    Args:
        protocol: its split and validation rules.
        dataset: the dataset's registry name; datasets with one name have the same partition `k`.
        units: units of all subjects with any of the dataset card's targets, with or without modalities, in any order.
        k: number of the partition.
        sessions: subject -> length of the session in s, if all subjects had the tasks in one order.

    Raises:
        UsageError: the units cannot be divided into two parts, or the protocol has `stimuli` of other datasets."""
    deal = _Deal(protocol, dataset, k)
    if protocol.split.within:
        by_subject: dict[str, list[Unit]] = {}
        for unit in units:
            by_subject.setdefault(unit.subject, []).append(unit)
        alone = [fold for _, own in sorted(by_subject.items()) for fold in _folds(deal, own)]
        return [replace(fold, index=index) for index, fold in enumerate(alone)]
    if protocol.split.by == "group+stimulus":
        return _crossed_folds(deal, units)
    return _folds(deal, units, sessions)


def _folds(deal: _Deal, units: Sequence[Unit], sessions: Mapping[str, float] | None = None) -> list[Fold]:
    """Return one fold for each part into which the units are split: it tests on this part and trains on the others.
    With `tests: last`, return only the fold that tests on the last part."""
    split = deal.protocol.split
    atoms, sizes = _indivisible_parts(deal.protocol, units)
    blocks = deal.blocks(_find_longest_sessions(units, atoms, sessions)) if split.neighbours and sessions else {}
    if len(set(blocks.values())) > 1:
        members: dict[str, int] = Counter()
        for atom, block in blocks.items():
            members[block] += sizes[atom]
        fold_of_block = deal.folds(members, "block")
        fold_of = {atom: fold_of_block[block] for atom, block in blocks.items()}
    elif split.by == "segment" and split.deal:
        fold_of = deal.stretches(units)
    elif split.by == "stimulus":
        fold_of = deal.stimuli(sizes)
    else:
        fold_of = deal.folds(sizes, split.by)
    folds = []
    for index in sorted(set(fold_of.values()))[-1 if split.tests else 0 :]:
        held_out = deal.validation({a: size for a, size in sizes.items() if fold_of[a] != index}, index)
        barred = deal.barred(fold_of, index) if split.by == "stimulus" else ()
        parts: dict[str, list[str]] = {role: [] for role in ROLES}
        for unit, atom in zip(units, atoms, strict=True):
            if fold_of[atom] == index:
                parts["test"].append(unit.id)
            elif unit.stimulus not in barred:
                parts["val" if atom in held_out else "train"].append(unit.id)
        folds.append(_fold(index, parts))
    return folds


def _crossed_folds(deal: _Deal, units: Sequence[Unit]) -> list[Fold]:
    """Return a fold for each pair of a part of the subjects and a part of the stimuli. It tests these subjects on these
    stimuli and trains other subjects on other stimuli; all other units are excluded from the fold."""
    group_of = connected_groups(units)
    part_of_group = deal.folds(Counter(group_of.values()), "group")
    part_of_stimulus = deal.stimuli({unit.stimulus for unit in units})
    cell_of = [(part_of_group[group_of[unit.subject]], part_of_stimulus[unit.stimulus]) for unit in units]
    folds: list[Fold] = []
    # A cell without units (these subjects met none of these stimuli) makes no fold.
    for groups, stimuli in sorted(set(cell_of)):
        barred = deal.barred(part_of_stimulus, stimuli)
        learning = [
            unit
            for unit, (p, s) in zip(units, cell_of, strict=True)
            if p != groups and s != stimuli and unit.stimulus not in barred
        ]
        sizes = Counter(group_of[subject] for subject in {unit.subject for unit in learning})
        held_out = deal.validation(sizes, groups)
        test = [unit.id for unit, cell in zip(units, cell_of, strict=True) if cell == (groups, stimuli)]
        parts: dict[str, list[str]] = {"train": [], "val": [], "test": test}
        for unit in learning:
            parts["val" if group_of[unit.subject] in held_out else "train"].append(unit.id)
        folds.append(_fold(len(folds), parts))
    return folds


def _fold(index: int, parts: Mapping[str, list[str]]) -> Fold:
    return Fold(index, *(tuple(parts[role]) for role in ROLES))


def _indivisible_parts(protocol: Protocol, units: Sequence[Unit]) -> tuple[list[str], dict[str, int]]:
    """Return the name of the part to which each unit belongs, and the size of each part. Folds never divide a part.
    A part is a group of subjects, a recording, a stimulus or a unit, as the protocol states. The size of a group is the
    number of its subjects; that of any other part is 1."""
    if protocol.split.by == "group":
        group_of = connected_groups(units)
        return [group_of[unit.subject] for unit in units], dict(Counter(group_of.values()))
    field = {"recording": "recording", "stimulus": "stimulus"}.get(protocol.split.by, "id")
    names = list(map(attrgetter(field), units))
    return names, dict.fromkeys(names, 1)


def _find_longest_sessions(
    units: Sequence[Unit], groups: Sequence[str], sessions: Mapping[str, float]
) -> dict[str, float]:
    """Return group -> length in s of the longest session of its subjects."""
    longest: dict[str, float] = {}
    for unit, group in zip(units, groups, strict=True):
        longest[group] = max(longest.get(group, 0.0), sessions[unit.subject])
    return longest


@dataclass(frozen=True, slots=True)
class _Deal:
    """Assignment of names to folds by hashes, so that it does not depend on the order of units or on versions of random
    generators. `k`: number of the partition."""

    protocol: Protocol
    dataset: str
    k: int

    def hash(self, purpose: str, name: str) -> bytes:
        key = (*map(str, self.protocol.dealt_as), self.dataset, str(self.k), purpose, name)
        return hashlib.sha256("\x1f".join(key).encode()).digest()

    def _shuffled(self, names: Iterable[str], purpose: str) -> list[str]:
        return sorted(names, key=lambda name: self.hash(purpose, name))

    def blocks(self, lengths: Mapping[str, float]) -> dict[str, str]:
        """Return name -> its block. A block is `neighbours` names with consecutive session lengths, fewer if there
        would be fewer blocks than folds. The first block of partition k is k names shorter, so that all partitions
        differ."""
        split = self.protocol.split
        size = split.neighbours or 1
        if split.folds != "each":
            size = max(1, min(size, len(lengths) // split.folds))
        order = sorted(lengths, key=lambda name: (lengths[name], name))
        return {name: f"block {(rank + self.k % size) // size}" for rank, name in enumerate(order)}

    def stimuli(self, names: Collection[str]) -> dict[str, int]:
        """Return stimulus -> number of its part: from the protocol's list or, without a list, a fold chosen by hash."""
        rules = self.protocol.stimulus_rules(self.dataset)
        if rules is None:
            return self.folds(dict.fromkeys(names, 1), "stimulus")
        part_of = {name: part for part, listed in enumerate(rules.parts) for name in listed if name in names}
        self._check_several(set(part_of.values()), "parts of the stimuli")
        return part_of

    def barred(self, part_of: Mapping[str, int], part: int) -> set[str]:
        """Return the stimuli on which a fold must not train if it tests `part`: that part and related stimuli."""
        rules = self.protocol.stimulus_rules(self.dataset)
        apart = rules.separated_stimuli() if rules else {}
        return {other for name, number in part_of.items() if number == part for other in apart.get(name, (name,))}

    def stretches(self, units: Sequence[Unit]) -> dict[str, int]:
        """Return unit id -> fold. Each recording is cut into as many consecutive parts as there are folds, with equally
        many units."""
        by_recording: dict[str, list[Unit]] = {}
        for unit in sorted(units, key=lambda unit: (unit.start, unit.id)):
            by_recording.setdefault(unit.recording, []).append(unit)
        fold_of: dict[str, int] = {}
        for members in by_recording.values():
            fold_of |= _deal_in_order([unit.id for unit in members], self.protocol.split.folds)
        self._check_several(set(fold_of.values()), "time")
        return fold_of

    def _check_several(self, names: Collection[Any], what: str) -> None:
        """Raise UsageError if fewer than two names can be dealt to folds. `what`: what the names are, in the plural."""
        if len(names) < 2:
            raise UsageError(
                f"{self.dataset} cannot be split by {what}: only {len(names)} found",
                where=f"protocol {self.protocol.name}, split.by: {self.protocol.split.by}",
                expected="at least two, one for training and one for test",
                hint="use more subjects, or another --protocol",
            )

    def folds(self, sizes: Mapping[str, int], what: str) -> dict[str, int]:
        """Return name -> fold, with folds of about equal size; one fold per name if there are fewer names than
        folds."""
        self._check_several(sizes, what)
        wanted = self.protocol.split.folds
        if self.protocol.split.deal == "in_order":
            return _deal_in_order(sorted(sizes), wanted)
        if self.protocol.split.deal == "balanced" and what == "group" and len(sizes) >= FEWEST_GROUPS:
            return self._balanced(sizes)
        loads = [0] * (len(sizes) if wanted == "each" else min(wanted, len(sizes)))
        fold_of = {}
        # Largest first, each to the emptiest fold; the sort is stable, so that equal sizes stay shuffled.
        for name in sorted(self._shuffled(sizes, f"fold by {what}"), key=lambda name: -sizes[name]):
            fold_of[name] = loads.index(min(loads))
            loads[fold_of[name]] += sizes[name]
        return fold_of

    def _balanced(self, names: Collection[str]) -> dict[str, int]:
        """Return name -> fold of partition `k`. Consecutive partitions form balanced sets, each from another order."""
        number, position = divmod(self.k, balanced_count(len(names)))
        deal = _Deal(self.protocol, self.dataset, number)
        return balanced_partitions(sorted(names, key=lambda name: deal.hash("balanced", name)))[position]

    def validation(self, sizes: Mapping[str, int], fold: int) -> set[str]:
        """Return the parts used for validation, drawn until the protocol's size is reached; at most half of the parts
        and of their total size. `sizes`: part -> its size, see `_indivisible_parts`."""
        total, rule = sum(sizes.values()), self.protocol.validation
        wanted = max(math.floor(rule.fraction * total + 0.5), rule.at_least)
        taken: set[str] = set()
        count = 0
        for name in self._shuffled(sizes, f"validation of fold {fold}"):
            # At most half of the subjects, so that one large group does not take most of them from training.
            fits = len(taken) + 1 <= len(sizes) / 2 and count + sizes[name] <= total / 2
            if count < wanted and fits:
                taken.add(name)
                count += sizes[name]
        return taken


def _deal_in_order(names: Sequence[str], folds: int | Literal["each"]) -> dict[str, int]:
    """Return name -> fold: each fold gets equally many consecutive names; the last fold also gets the remainder."""
    count = len(names) if folds == "each" else min(folds, len(names))
    return {name: min(rank // (len(names) // count), count - 1) for rank, name in enumerate(names)}


def follow_recordings(folds: Sequence[Fold], dealt: Sequence[Unit], units: Sequence[Unit]) -> list[Fold]:
    """Return folds of `units`, in which each unit is in the part of its recording. `folds` are folds of `dealt`, which
    has one unit per recording.

    Folds without a test unit are dropped: their subjects have no such units."""
    recording_of = {unit.id: unit.recording for unit in dealt}
    places: dict[str, list[int]] = {}  # recording -> the positions of its units
    for place, unit in enumerate(units):
        places.setdefault(unit.recording, []).append(place)
    followed = []
    for fold in folds:
        parts: dict[str, list[str]] = {}
        for role in ROLES:
            recordings = (recording_of[id_] for id_ in getattr(fold, role))
            parts[role] = [units[i].id for i in sorted(i for name in recordings for i in places.get(name, ()))]
        if parts["test"]:
            followed.append(_fold(fold.index, parts))
    return followed


def divide_units(
    protocol: Protocol,
    dataset: str,
    roster: Sequence[Unit],
    units: Sequence[Unit],
    k: int,
    sessions: Mapping[str, float] | None = None,
) -> list[Fold]:
    """Return partition `k` of `units` after a check that it obeys the protocol, see `prove`. Units follow their
    recordings in `roster`, unless the protocol splits by segment. Other arguments and errors as for `partition`."""
    if protocol.split.by == "segment":
        folds = partition(protocol, dataset, units, k)
    else:
        folds = follow_recordings(partition(protocol, dataset, roster, k, sessions), roster, units)
    prove(protocol, dataset, units, folds)
    return folds


def connected_groups(units: Iterable[Unit | RecordingTimes]) -> dict[str, str]:
    """Return subject -> the group that folds never divide. It joins all subjects who share a recorded group, directly
    or through other subjects, and has the name of its largest recorded group; in a tie, the first name."""
    from scipy.sparse import coo_array  # slow to import, and leaderboards do not need it
    from scipy.sparse.csgraph import connected_components

    pairs = sorted({(unit.subject, unit.group) for unit in units})
    if not pairs:
        return {}
    subjects, code = np.unique([subject for subject, _ in pairs], return_inverse=True)
    groups, group = np.unique([name for _, name in pairs], return_inverse=True)
    nodes = len(subjects) + len(groups)
    links = coo_array((np.ones(len(pairs)), (code, len(subjects) + group)), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    members = np.bincount(group)
    name_of: dict[int, str] = {}
    for g in sorted(range(len(groups)), key=lambda g: (-members[g], groups[g])):
        name_of.setdefault(component[len(subjects) + g], str(groups[g]))
    return {str(subject): name_of[component[i]] for i, subject in enumerate(subjects)}


def roles(
    units: Sequence[Unit],
    folds: Sequence[Fold],
    group_of: Mapping[str, str] | None = None,
    *,
    given: bool = False,
) -> list[FoldRow]:
    """Return the roles of each subject in each fold, sorted by fold, subject and role. Subjects without units in a fold
    have no role there.

    Args:
        group_of: subject -> group, if more is known than in `units`.
        given: True if training units of validation and test subjects are calibration data, with the role `GIVES`."""
    group_of = connected_groups(units) if group_of is None else group_of
    subject_of = {unit.id: unit.subject for unit in units}
    rows = []
    for fold in folds:
        held = {(subject_of[id_], role) for role in ROLES for id_ in getattr(fold, role)}
        evaluated = {subject for subject, role in held if role != "train"} if given else set()
        for subject, role in sorted(held, key=lambda row: (row[0], ROLES.index(row[1]))):
            named = GIVES if role == "train" and subject in evaluated else role
            rows.append(FoldRow(subject, group_of[subject], fold.index, named))
    return rows


_SEPARATED = {
    "group": ("subject", "group", "recording"),
    "group+stimulus": ("subject", "group", "recording"),
    "recording": ("recording",),
    "stimulus": ("recording",),
    "segment": (),
}
_PLURAL = {"subject": "subjects", "group": "groups", "recording": "recordings", "stimulus": "stimuli"}


def prove(protocol: Protocol, dataset: str, units: Sequence[Unit], folds: Sequence[Fold]) -> None:
    """Check that folds satisfy the rules of their protocol. Raises CheckFailed with the ids of wrong units.

    - Every unit is tested exactly once; with `tests: last` it is tested once or trained on.
    - No unit and no raw sample is in two parts of a fold.
    - Without a leak, no subject, group or recording is in two parts. A leaking protocol keeps apart the units by which
      it splits. Splits within subjects have folds of one subject.
    - A split by stimulus trains on no tested or related stimulus. Excluded stimuli are in no fold.
    - There is validation wherever the protocol requires it and training data suffice.

    Args:
        dataset: its registry name, for which a protocol may have `stimuli`."""
    by_id = {unit.id: unit for unit in units}
    if len(by_id) < len(units):
        raise _check_failed(protocol, "ids belong to several units", _duplicates(unit.id for unit in units))
    included = protocol.included_stimuli(dataset)
    if included is not None and (outside := {unit.stimulus for unit in units} - included):
        raise _check_failed(protocol, f"stimuli of {dataset} do not belong to the protocol", outside)
    _prove_tested_once(protocol, by_id, folds)
    if protocol.split.tests:
        _prove_earlier_training(protocol, by_id, folds)
    rules = protocol.stimulus_rules(dataset)
    separated = _SEPARATED["group" if not protocol.leaks else protocol.split.by]
    group_of = connected_groups(units)
    held_together: Callable[[Unit], str] = {
        "recording": lambda unit: unit.recording,
        "segment": lambda unit: unit.id,
        "stimulus": lambda unit: unit.stimulus,
    }.get(protocol.split.by, lambda unit: group_of[unit.subject])
    overlapping = _recordings_with_overlap(units)
    for fold in folds:
        parts = {role: [by_id[id_] for id_ in getattr(fold, role)] for role in ROLES}
        _prove_disjoint(protocol, fold, parts, "id", "units")
        for field in separated:
            _prove_disjoint(protocol, fold, parts, field, _PLURAL[field])
        if "stimulus" in protocol.split.by:
            learned = {"train": parts["train"] + parts["val"], "test": parts["test"]}
            _prove_disjoint(protocol, fold, learned, "stimulus", _PLURAL["stimulus"])
            _prove_unrelated(protocol, fold, learned, rules.separated_stimuli() if rules else {})
        if protocol.split.within:
            subjects = {unit.subject for part in parts.values() for unit in part}
            if len(subjects) > 1:
                raise _check_failed(protocol, f"subjects share fold {fold.index} of a split within subjects", subjects)
        _prove_no_overlap(protocol, fold, parts, overlapping)
        _prove_complete(protocol, fold, parts, held_together)


def prove_given(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    folds: Sequence[Fold],
    given: Collection[str],
    scored: Collection[str],
) -> None:
    """Check the folds of a protocol with calibration data (`personal`), which passed `prove` before calibration. A fold
    may train on calibration data of test and validation subjects if the protocol allows it, never on their other units.
    It tests and validates with scored units only.

    Args:
        units: the units of all folds. `given`, `scored`: ids of calibration units and of scored units, see
            `prove_slices`.

    Raises:
        CheckFailed: names the offending ids."""
    by_id, group_of = {unit.id: unit for unit in units}, connected_groups(units)
    overlapping = _recordings_with_overlap(units)
    for fold in folds:
        parts = {role: [by_id[id_] for id_ in getattr(fold, role)] for role in ROLES}
        evaluated = parts["test"] + (parts["val"] if protocol.trains_on_calibration else [])
        if wrong := [unit.id for unit in evaluated if unit.id not in scored]:
            raise _check_failed(
                protocol, f"units of {dataset} are tested in fold {fold.index} but must not be scored", wrong
            )
        allowed = given if protocol.trains_on_calibration else ()
        known = {group_of[unit.subject] for unit in evaluated}
        if wrong := [unit.id for unit in parts["train"] if group_of[unit.subject] in known and unit.id not in allowed]:
            what = f"units of test subjects are training units of fold {fold.index} but not calibration data"
            raise _check_failed(protocol, what, wrong)
        _prove_disjoint(protocol, fold, parts, "id", "units")
        _prove_no_overlap(protocol, fold, parts, overlapping)
        apart = {role: part for role, part in parts.items() if role != "train" or not protocol.trains_on_calibration}
        for field in ("subject", "group", "recording"):
            _prove_disjoint(protocol, fold, apart, field, _PLURAL[field])


Leaks = Mapping[str, Mapping[str, Sequence[int]]]
"""Field by which a protocol leaks -> `subjects` or `recordings` -> (number in test that are also in training, number in
test); empty if they are not counted."""


def count_leaks(protocol: Protocol, units: Sequence[Unit], folds: Sequence[Fold]) -> dict[str, dict[str, list[int]]]:
    """Return, for each field by which a protocol leaks, how many test subjects and recordings it trains on."""
    deviations: dict[str, dict[str, list[int]]] = {field: {} for field in protocol.deviations}
    if "split.by" in deviations:
        by_id = {unit.id: unit for unit in units}
        for field in ("subject", "recording"):
            shared, tested = set(), set()
            for fold in folds:
                learned = {getattr(by_id[id_], field) for id_ in (*fold.train, *fold.val)}
                held = {getattr(by_id[id_], field) for id_ in fold.test}
                tested |= held
                shared |= held & learned
            deviations["split.by"][_PLURAL[field]] = [len(shared), len(tested)]
    return deviations


def describe_leaks(protocol: Protocol | None, leaks: Leaks) -> list[str]:
    """Return a sentence for each field by which a protocol leaks, with the counts of `count_leaks`."""
    known = {} if protocol is None else protocol.deviations
    found = []
    for field, counts in leaks.items():
        numbers = " and ".join(f"{shared} of {tested} {what}" for what, (shared, tested) in counts.items())
        found.append(": ".join(filter(None, (known.get(field, field), numbers))))
    return found


def _prove_tested_once(protocol: Protocol, by_id: dict[str, Unit], folds: Sequence[Fold]) -> None:
    """Check that folds name known units only and test each unit once; with `tests: last`, test it once or train on
    it."""
    known = by_id.keys()
    strangers = {id_ for fold in folds for role in ROLES for id_ in getattr(fold, role)} - known
    if strangers:
        raise _check_failed(protocol, "ids in the folds are not units", strangers)
    tested = [id_ for fold in folds for id_ in fold.test]
    if twice := _duplicates(tested):
        raise _check_failed(protocol, "units are tested more than once", twice)
    learned = {id_ for fold in folds for id_ in (*fold.train, *fold.val)} if protocol.split.tests else set()
    if never := known - set(tested) - learned:
        raise _check_failed(protocol, "units are never tested", never)


def _prove_earlier_training(protocol: Protocol, by_id: dict[str, Unit], folds: Sequence[Fold]) -> None:
    """Check that no training unit lies after a test unit of the same recording."""
    for fold in folds:
        first: dict[str, float] = {}
        for unit in map(by_id.__getitem__, fold.test):
            first[unit.recording] = min(unit.start, first.get(unit.recording, unit.start))
        learned = map(by_id.__getitem__, (*fold.train, *fold.val))
        if late := [unit.id for unit in learned if unit.start >= first.get(unit.recording, math.inf)]:
            raise _check_failed(protocol, f"training units of fold {fold.index} lie after its test units", late)


def _prove_disjoint(protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], field: str, what: str) -> None:
    held = {role: set(map(attrgetter(field), part)) for role, part in parts.items()}
    for one, other in combinations(held, 2):
        if shared := held[one] & held[other]:
            raise _check_failed(protocol, f"{what} are in both {one} and {other} of fold {fold.index}", shared)


def _prove_unrelated(
    protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], apart: Mapping[str, frozenset[str]]
) -> None:
    """Check that no training stimulus is related to a test stimulus. `apart`: stimulus -> all stimuli related to it."""
    held = {role: {unit.stimulus for unit in part} for role, part in parts.items()}
    related = {other for name in held["test"] for other in apart.get(name, ())}
    if shared := related & held["train"]:
        what = f"training stimuli are related to test stimuli of fold {fold.index}, or in the same part"
        raise _check_failed(protocol, what, shared)


def _recordings_with_overlap(units: Sequence[Unit]) -> set[str]:
    """Return the ids of the recordings in which any two units share samples."""
    found: set[str] = set()
    reach: dict[str, float] = {}
    for unit in sorted(units, key=lambda unit: unit.start):
        far = reach.get(unit.recording, unit.start)
        if far > unit.start:
            found.add(unit.recording)
        reach[unit.recording] = max(far, unit.stop)
    return found


def _prove_no_overlap(protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], overlapping: set[str]) -> None:
    """Check that no sample belongs to units of two parts. `overlapping`: ids of the recordings to check."""
    spans: dict[str, list[tuple[float, float, str, str]]] = {}
    for role, part in parts.items():
        for unit in (unit for unit in part if unit.recording in overlapping):
            spans.setdefault(unit.recording, []).append((unit.start, unit.stop, role, unit.id))
    clashing = []
    for placed in spans.values():
        reach: dict[str, float] = {}  # part -> latest end of its units so far
        for start, stop, role, id_ in sorted(placed):
            if any(end > start for other, end in reach.items() if other != role):
                clashing.append(id_)
            reach[role] = max(reach.get(role, stop), stop)
    if clashing:
        raise _check_failed(protocol, f"units share raw samples with another part of fold {fold.index}", clashing)


def _prove_complete(
    protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], held_together: Callable[[Unit], str]
) -> None:
    """Check that every fold has training and test units, and validation units where required and possible."""
    for role, name in (("train", "training"), ("test", "test")):
        if not parts[role]:
            raise _check_failed(protocol, f"fold {fold.index} has no {name} units", [])
    to_spare = len({held_together(unit) for unit in parts["train"] + parts["val"]}) > 1
    if (protocol.validation.fraction or protocol.validation.at_least) and to_spare and not parts["val"]:
        raise _check_failed(protocol, f"fold {fold.index} has no validation units", [])


def _duplicates(ids: Iterable[str]) -> list[str]:
    """Return the ids that occur more than once."""
    return [id_ for id_, count in Counter(ids).items() if count > 1]


def _check_failed(protocol: Protocol, what: str, ids: Iterable[str]) -> CheckFailed:
    """Return the error that folds break a rule. `what`: the fault as a clause; `ids`: the units or subjects at
    fault."""
    named = sorted(ids)
    examples = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    declared = "leaks" if protocol.leaks else "does not leak"
    return CheckFailed(
        f"{len(named)} {what}: {examples}" if named else what,
        where=f"the folds of protocol {protocol.name}",
        expected=f"a split by {protocol.split.by} that {declared}, as the protocol declares",
    )


_Atom: TypeAlias = tuple[str, ...]
"""Key of the units that a protocol keeps together, such as (group,) or (recording,)."""


class GivenRow(NamedTuple):
    """A line of a predictions file: a unit's id, the fold that tests the unit, and the line's number."""

    unit: str
    fold: int
    line: int


def complete_folds(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    groups: Mapping[str, str],
    rows: Iterable[GivenRow],
    *,
    seed: int,
    file: str,
) -> list[Fold]:
    """Return the folds of one seed, completed from the `rows` of a predictions file. Each fold tests all units that can
    be scored of the subjects (or recordings, or units) in its rows.

    Args:
        dataset: its registry name.
        units: all units that can be scored, including those of `rows`.
        groups: subject -> group, which the split keeps together.
        seed, file: location of the rows, for errors.

    Raises:
        CheckFailed: units that the protocol keeps together are tested in two folds, or the folds break its rules."""
    atom_of = {unit.id: _indivisible_part(protocol, unit, groups) for unit in units}
    fold_of = _find_tested_folds(protocol, atom_of, rows, seed, file)
    folds = []
    for index in sorted(set(fold_of.values())):
        tested_parts = {atom for atom, fold in fold_of.items() if fold == index}
        folds.append(_complete_fold(protocol, dataset, units, atom_of, tested_parts, index))
    if len(folds) > 1:
        # The proof covers the tested subjects: validation subjects are unknown, and subjects without a row may have
        # trained.
        tested_ids = {id_ for fold in folds for id_ in fold.test}
        tested_folds = [replace(fold, train=tuple(id_ for id_ in fold.train if id_ in tested_ids)) for fold in folds]
        without_validation = protocol.model_copy(update={"validation": Validation(fraction=0, at_least=0)})
        prove(without_validation, dataset, [unit for unit in units if unit.id in tested_ids], tested_folds)
    return folds


def _indivisible_part(protocol: Protocol, unit: Unit, groups: Mapping[str, str]) -> _Atom:
    """Return the key of the units that the protocol keeps together with this unit. `groups`: subject -> group."""
    named = {
        "group": (groups[unit.subject],),
        "recording": (unit.recording,),
        "segment": (unit.id,),
        "stimulus": (unit.stimulus,),
    }
    kept = named.get(protocol.split.by, (groups[unit.subject], unit.stimulus))
    return (unit.subject, *kept) if protocol.split.within else kept


def _find_tested_folds(
    protocol: Protocol, atom_of: Mapping[str, _Atom], rows: Iterable[GivenRow], seed: int, file: str
) -> dict[_Atom, int]:
    """Return a mapping: key of units that belong together -> the fold that tests them. Raises CheckFailed if two folds
    test such units."""
    found: dict[_Atom, GivenRow] = {}
    for row in rows:
        before = found.setdefault(atom_of[row.unit], row)
        if before.fold != row.fold:
            raise CheckFailed(
                f"{' at '.join(atom_of[row.unit])} is tested in folds {before.fold} and {row.fold} of seed {seed}, "
                "so one of these folds trained on it",
                where=f"{file}, lines {before.line} and {row.line}",
                expected=f"folds that {protocol.name} allows: split by {protocol.split.by}",
                hint="for allowed folds: embench data labels DATASET --units FILE.csv",
            )
    return {atom: row.fold for atom, row in found.items()}


def _complete_fold(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    atom_of: Mapping[str, _Atom],
    tested_parts: set[_Atom],
    index: int,
) -> Fold:
    """Return fold `index`, which tests the units of `tested_parts`, and trains on all units that may be trained on."""
    tested = [unit for unit in units if atom_of[unit.id] in tested_parts]
    if protocol.split.within:
        subjects = {unit.subject for unit in tested}
        trainable = {atom for atom in set(atom_of.values()) - tested_parts if atom[0] in subjects}
    else:
        parts = {part for atom in tested_parts for part in atom}
        trainable = {atom for atom in set(atom_of.values()) if not parts & set(atom)}
    barred: set[str] = set()
    rules = protocol.stimulus_rules(dataset)
    if rules and "stimulus" in protocol.split.by:
        apart = rules.separated_stimuli()
        barred = {other for unit in tested for other in apart.get(unit.stimulus, ())}
    train = [unit.id for unit in units if atom_of[unit.id] in trainable and unit.stimulus not in barred]
    return Fold(index, tuple(train), (), tuple(unit.id for unit in tested))


# Balanced partitions: several partitions in which any two subjects share a test fold equally often.
#
# Points of an affine plane of order q are pairs (a, b) of elements of the field of q elements. Its lines fall into
# q + 1 parallel classes of q lines each, and any two points lie on exactly one line. A class is a partition, a line is
# a fold, and a subject is dealt to a point.

_LARGE, _SMALL = 5, 4
_MOST_IN_SMALL = _SMALL**2
"""Largest number of subjects for the plane of order 4: its number of points. More need the plane of order 5."""
FEWEST_GROUPS = _SMALL + 1
"""Least number of subjects: with one less, all of them could lie on one line of the plane, that is in one fold."""
_TIMES_FOUR = ((0, 0, 0, 0), (0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2))
"""Multiplication table of the field of four elements, in which addition is bitwise exclusive or."""


def balanced_partitions(subjects: Sequence[str]) -> list[dict[str, int]]:
    """Return partitions, each as subject -> test fold, in which any two subjects share a test fold equally often.

    There are six partitions of five folds, or five of four folds for at most 16 subjects. Up to 25 (16) subjects, any
    two share a fold in exactly one partition. With more, some pairs share a fold in every partition, and all other
    pairs in exactly one. Test folds of one partition differ in size by at most three subjects.

    Args:
        subjects: at least `FEWEST_GROUPS` distinct names, of subjects or of indivisible groups, in random order."""
    lines = _parallel_lines(_SMALL if len(subjects) <= _MOST_IN_SMALL else _LARGE)
    order = len(lines) - 1
    rounds, rest = divmod(len(subjects), order**2)
    points = [*range(order**2)] * rounds + _spread_points(order, rest)
    return [dict(zip(subjects, folds[points].tolist(), strict=True)) for folds in lines]


def balanced_count(subjects: int) -> int:
    """Return the number of balanced partitions for this number of subjects or groups; 1 if there are too few.

    >>> balanced_count(24), balanced_count(16), balanced_count(4)
    (6, 5, 1)
    """
    return 1 if subjects < FEWEST_GROUPS else 1 + (_SMALL if subjects <= _MOST_IN_SMALL else _LARGE)


def _parallel_lines(order: int) -> np.ndarray:
    """Return (q + 1, q^2) for the affine plane of order q (`order`): for each class of parallel lines, the number of
    the line through each point."""
    a, b = np.divmod(np.arange(order**2), order)
    if order == _SMALL:
        sloped = [b ^ np.array(_TIMES_FOUR)[slope, a] for slope in range(order)]
    else:
        sloped = [(b - slope * a) % order for slope in range(order)]
    return np.stack([a, *sloped])


@cache
def _spread_points(order: int, count: int) -> list[int]:
    """Return `count` points of the affine plane of this order, spread over the plane's lines as evenly as a search by
    single exchanges achieves. An even spread is impossible: any two points share a line, so that some lines hold more
    points than others."""
    lines, plane = _parallel_lines(order), range(order**2)

    def unevenness(points: list[int]) -> int:
        loads = np.stack([np.bincount(line_of_point[points], minlength=order) for line_of_point in lines])
        return int((np.abs(order * loads - count) ** 4).sum())

    points = list(plane[:count])
    least = unevenness(points)
    while True:
        exchanged = [
            [*points[:i], point, *points[i + 1 :]] for i in range(count) for point in plane if point not in points
        ]
        best = min(exchanged, key=unevenness, default=points)
        if unevenness(best) >= least:
            return sorted(points)
        points, least = best, unevenness(best)
