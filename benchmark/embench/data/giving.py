"""Units that test subjects give of themselves under protocols with `personal`: their order in time, and folds that heed
them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embench.errors import UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target, Unit
from embench.protocols import Fold, Placed, Protocol, Slices, prove_given, prove_slices
from embench.store import Store


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
