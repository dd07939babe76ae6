"""What test subjects give of themselves under protocols with `personal`: the units of a dataset as slices are cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from embench.errors import UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target, Unit
from embench.protocols import Fold, Placed, Protocol, Slices, cut_slices, prove_slices
from embench.store import Store

if TYPE_CHECKING:
    from embench.data.cohort import Cohort


def placed_units(
    store: Store, card: Card, target: Target, units: Sequence[Unit], y: np.ndarray, raw: np.ndarray
) -> Placed:
    """The units of a dataset in the order of time, with the labels (n,) and raw values (n,) of a target."""
    kind: Any = store.label_kinds[target.label]
    classes = target.n if target.traits.has_classes else 1
    names = sorted({entry.session for entry in store.recordings}, key=_natural)
    known = {name: k for k, name in enumerate(card.sessions)}
    place = {name: known.get(name, len(known) + k) for k, name in enumerate(names)}
    session = {entry.id: place[entry.session] for entry in store.recordings}
    told = {label.classes for label in store.labels().get(target.label, {}).values() if label.classes}
    return Placed(units, y, raw, classes, kind, card.fixed_order, session, told.pop() if len(told) == 1 else ())


def slices_of(protocol: Protocol, card: Card, placed: Placed, subjects: Sequence[str]) -> Slices | None:
    """The slices of subjects with labels; None under a protocol to which subjects give nothing.

    Raises:
        UsageError: the design does not allow it.
    """
    return None if protocol.personal is None else cut_slices(protocol.personal, placed, card.name, subjects)


def folds_after_giving(cohort: Cohort, protocol: Protocol, folds: Sequence[Fold]) -> list[Fold]:
    """Folds that test what is scored after subjects gave alone and, where a session or blocks are given, train on these
    too; as they are where nobody gives anything.

    Raises:
        CheckFailed: what is given is not what the protocol promises.
    """
    slices, rules = cohort.slices, protocol.personal
    if slices is None or rules is None:
        return list(folds)
    given, place = slices.rank > 0, {unit.id: i for i, unit in enumerate(cohort.units)}
    prove_slices(rules, cohort.placed, slices, given, cohort.card.name)

    def of(fold: Fold, chosen: np.ndarray) -> tuple[str, ...]:
        return tuple(id_ for id_ in fold.test if chosen[place[id_]])

    learned = given if rules.gives != "units" else np.zeros(len(given), bool)
    found = [replace(fold, train=(*fold.train, *of(fold, learned)), test=of(fold, slices.scored)) for fold in folds]
    return [fold for fold in found if fold.test]


def whole_sessions(cohort: Cohort, folds: Sequence[Fold]) -> Sequence[Fold]:
    """Folds with all units of test subjects that are not learned from, scored or not: nuisances are of whole
    sessions."""
    if cohort.slices is None:
        return folds
    subject_of = {unit.id: unit.subject for unit in cohort.units}
    eligible = [cohort.units[i].id for i in cohort.eligible]
    found = []
    for fold in folds:
        tested, learned = {subject_of[id_] for id_ in fold.test}, {*fold.train, *fold.val}
        found.append(replace(fold, test=tuple(u for u in eligible if subject_of[u] in tested and u not in learned)))
    return found


def check_one_target(protocol: Protocol, targets: Sequence[Target]) -> None:
    """Raises UsageError where subjects would give the labels of several targets at once, or labels are centred, by what
    is scored, too."""
    if protocol.personal is None:
        return
    if len(targets) > 1:
        names = [target.name for target in targets]
        raise UsageError(
            f"{protocol.name} scores one target at a time: what a subject gives first differs by target",
            where="--target",
            expected=f"one of {', '.join(names)}",
            hint=f"--target {names[0]}; several: embench grid --target {' --target '.join(names)}",
        )
    if targets[0].rule.centred or targets[0].rule.cut == "training_mean":
        raise UsageError(
            f"labels of {targets[0].name} depend on those of other units, and {protocol.name} hands some of them out",
            where=f"--protocol {protocol.name}",
            expected="a target whose labels are made of each unit's own values",
            hint="--protocol subject-independent-v3",
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """The key of a name by which `day2` comes before `day10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
