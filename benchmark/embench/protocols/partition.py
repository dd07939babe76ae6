"""Partition into training and test: folds as a fixed function of protocol, dataset, k and the subjects."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from embench.errors import UsageError
from embench.interfaces.units import Unit
from embench.protocols.schema import Protocol
from embench.protocols.units import RecordingTimes

ROLES = ("train", "val", "test")
GIVES = "gives"
"""In the record of folds, the part of a subject that gives units to train on, and whose later ones are predicted."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The unit ids of one fold's parts, each in the order of the units."""

    index: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


class FoldRow(NamedTuple):
    """One line of the record of folds; a subject with units in several parts has several lines."""

    subject: str
    group: str
    fold: int
    role: str


def partition(
    protocol: Protocol, dataset: str, units: Sequence[Unit], k: int, sessions: Mapping[str, float] | None = None
) -> list[Fold]:
    """Partition `k` of a dataset: folds in which every unit is tested exactly once, or once at most with `tests: last`.

    Args:
        protocol: its split and validation rules.
        dataset: the registry's name of the dataset; datasets of one name have one partition `k`.
        units: of all subjects with any of the card's targets, whatever the modalities; their order does not matter.
            They are at stimuli that take part.
        k: which partition.
        sessions: subject -> length of the session in s, where all subjects had the tasks in one order.

    Raises:
        UsageError: there are fewer than two of what the protocol keeps apart, or it has `stimuli` of other datasets.
    """
    deal = _Deal(protocol, dataset, k)
    if protocol.split.within:
        of_subjects: dict[str, list[Unit]] = {}
        for unit in units:
            of_subjects.setdefault(unit.subject, []).append(unit)
        alone = [fold for _, own in sorted(of_subjects.items()) for fold in _folds(deal, own)]
        return [replace(fold, index=index) for index, fold in enumerate(alone)]
    if protocol.split.by == "group+stimulus":
        return _crossed_folds(deal, units)
    return _folds(deal, units, sessions)


def _folds(deal: _Deal, units: Sequence[Unit], sessions: Mapping[str, float] | None = None) -> list[Fold]:
    """A fold for each part of the split units, which tests this part and trains on the others; with `tests: last`, the
    fold of the last part alone."""
    split = deal.protocol.split
    atoms, sizes = _atoms(deal.protocol, units)
    blocks = deal.blocks(_longest(units, atoms, sessions)) if split.neighbours and sessions else {}
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
    """A fold for each pair of a part of the subjects and a part of the stimuli: it tests these subjects on these
    stimuli and trains other subjects on other stimuli; what is neither is excluded of that fold."""
    group_of = connected_groups(units)
    part_of_group = deal.folds(Counter(group_of.values()), "group")
    part_of_stimulus = deal.stimuli({unit.stimulus for unit in units})
    cell_of = [(part_of_group[group_of[unit.subject]], part_of_stimulus[unit.stimulus]) for unit in units]
    folds: list[Fold] = []
    # A cell without units (subjects who met none of these stimuli) tests nothing and makes no fold.
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


def _atoms(protocol: Protocol, units: Sequence[Unit]) -> tuple[list[str], dict[str, int]]:
    """Parts that are never split: the part's name for each unit, and the size of each (subjects in a group; else 1)."""
    if protocol.split.by == "group":
        group_of = connected_groups(units)
        return [group_of[unit.subject] for unit in units], dict(Counter(group_of.values()))
    field = {"recording": "recording", "stimulus": "stimulus"}.get(protocol.split.by, "id")
    names = list(map(attrgetter(field), units))
    return names, dict.fromkeys(names, 1)


def _longest(units: Sequence[Unit], groups: Sequence[str], sessions: Mapping[str, float]) -> dict[str, float]:
    """Group -> the longest session in it, in s."""
    longest: dict[str, float] = {}
    for unit, group in zip(units, groups, strict=True):
        longest[group] = max(longest.get(group, 0.0), sessions[unit.subject])
    return longest


@dataclass(frozen=True, slots=True)
class _Deal:
    """Deals names out by hashes, so that nothing depends on the order of the units or on a generator's version."""

    protocol: Protocol
    dataset: str
    k: int

    def _hash(self, purpose: str, name: str) -> bytes:
        key = (*map(str, self.protocol.dealt_as), self.dataset, str(self.k), purpose, name)
        return hashlib.sha256("\x1f".join(key).encode()).digest()

    def _shuffled(self, names: Iterable[str], purpose: str) -> list[str]:
        return sorted(names, key=lambda name: self._hash(purpose, name))

    def blocks(self, lengths: Mapping[str, float]) -> dict[str, str]:
        """name -> its block: `neighbours` names that follow each other in length, fewer where there would not be a
        block for each fold. The first block of partition k is k names short, so that no two partitions are alike."""
        split = self.protocol.split
        size = split.neighbours or 1
        if split.folds != "each":
            size = max(1, min(size, len(lengths) // split.folds))
        order = sorted(lengths, key=lambda name: (lengths[name], name))
        return {name: f"block {(rank + self.k % size) // size}" for rank, name in enumerate(order)}

    def stimuli(self, names: Collection[str]) -> dict[str, int]:
        """stimulus -> part: the protocol's own parts of the dataset's stimuli, else dealt out."""
        rules = self.protocol.stimulus_rules(self.dataset)
        if rules is None:
            return self.folds(dict.fromkeys(names, 1), "stimulus")
        part_of = {name: part for part, listed in enumerate(rules.parts) for name in listed if name in names}
        self._check_several(set(part_of.values()), "parts of the stimuli")
        return part_of

    def barred(self, part_of: Mapping[str, int], part: int) -> set[str]:
        """The stimuli that are not trained on where those of `part` are tested."""
        rules = self.protocol.stimulus_rules(self.dataset)
        apart = rules.kept_apart() if rules else {}
        return {other for name, own in part_of.items() if own == part for other in apart.get(name, (name,))}

    def stretches(self, units: Sequence[Unit]) -> dict[str, int]:
        """unit -> fold: of each recording, as many stretches of time as there are folds, of equally many units."""
        of_recordings: dict[str, list[Unit]] = {}
        for unit in sorted(units, key=lambda unit: (unit.start, unit.id)):
            of_recordings.setdefault(unit.recording, []).append(unit)
        fold_of: dict[str, int] = {}
        for own in of_recordings.values():
            fold_of |= _in_a_row([unit.id for unit in own], self.protocol.split.folds)
        self._check_several(set(fold_of.values()), "time")
        return fold_of

    def _check_several(self, names: Collection[Any], what: str) -> None:
        if len(names) < 2:
            raise UsageError(
                f"{self.dataset} cannot be split by {what}: only {len(names)} found",
                where=f"protocol {self.protocol.name}, split.by: {self.protocol.split.by}",
                expected="at least two, one for training and one for test",
                hint="use more subjects, or another --protocol",
            )

    def folds(self, sizes: Mapping[str, int], what: str) -> dict[str, int]:
        """name -> fold, folds about equally large; as many folds as there are names where those are fewer."""
        self._check_several(sizes, what)
        wanted = self.protocol.split.folds
        if self.protocol.split.deal == "in_order":
            return _in_a_row(sorted(sizes), wanted)
        loads = [0] * (len(sizes) if wanted == "each" else min(wanted, len(sizes)))
        fold_of = {}
        # Large ones first, each to the emptiest fold; the sort is stable, so equal sizes stay shuffled.
        for name in sorted(self._shuffled(sizes, f"fold by {what}"), key=lambda name: -sizes[name]):
            fold_of[name] = loads.index(min(loads))
            loads[fold_of[name]] += sizes[name]
        return fold_of

    def validation(self, sizes: Mapping[str, int], fold: int) -> set[str]:
        """The names that validate, from those on the training side: the protocol's share, at most half of them."""
        total, rule = sum(sizes.values()), self.protocol.validation
        wanted = max(math.floor(rule.fraction * total + 0.5), rule.at_least)
        taken: set[str] = set()
        count = 0
        for name in self._shuffled(sizes, f"validation of fold {fold}"):
            # Half of the subjects is a bound too: one large group must not take most of them from training.
            fits = len(taken) + 1 <= len(sizes) / 2 and count + sizes[name] <= total / 2
            if count < wanted and fits:
                taken.add(name)
                count += sizes[name]
        return taken


def _in_a_row(names: Sequence[str], folds: int | Literal["each"]) -> dict[str, int]:
    """name -> fold: equally many names in a row in each, and the rest in the last."""
    count = len(names) if folds == "each" else min(folds, len(names))
    return {name: min(rank // (len(names) // count), count - 1) for rank, name in enumerate(names)}


def follow(folds: Sequence[Fold], dealt: Sequence[Unit], units: Sequence[Unit]) -> list[Fold]:
    """The folds of `units`, each on the side of its recording; `folds` deal `dealt`, one unit a recording.

    A fold that would test nothing is excluded: its subjects have no such units.
    """
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


def connected_groups(units: Iterable[Unit | RecordingTimes]) -> dict[str, str]:
    """Subject -> the group that nothing may split: subjects who share a group in any recording, and so on from them.

    It is called after the largest of the recorded groups in it (the first by name among equals).
    """
    from scipy.sparse import coo_array  # slow to import, and boards are shown without it
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
    """The part of each subject in each fold, by fold, subject and role; a subject without units in a fold has none.

    Args:
        group_of: subject -> group, where more is known of them than `units` hold.
        given: whether what is learned of a subject that the fold validates with or tests is what it `GIVES`.
    """
    group_of = connected_groups(units) if group_of is None else group_of
    subject_of = {unit.id: unit.subject for unit in units}
    rows = []
    for fold in folds:
        held = {(subject_of[id_], role) for role in ROLES for id_ in getattr(fold, role)}
        asked = {subject for subject, role in held if role != "train"} if given else set()
        for subject, role in sorted(held, key=lambda row: (row[0], ROLES.index(row[1]))):
            named = GIVES if role == "train" and subject in asked else role
            rows.append(FoldRow(subject, group_of[subject], fold.index, named))
    return rows
