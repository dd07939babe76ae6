"""The people and units of a run: who can be trained on and tested, with which labels, and who is left out and why.

This is the planner's side of the labels: it reads them to hand each stage those of its own training and validation
units, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target, Unit
from embench.protocols import Protocol, connected_groups, label_units, make_units
from embench.registry.naming import did_you_mean
from embench.store import Store


@dataclass(frozen=True)
class Cohort:
    """All units of a dataset's store, and which of them a run is about.

    `label` and `raw` hold (n,) values a target, NaN where there is none. `eligible` are the positions of units of
    people with any of the card's targets; `positions` of those who also have any of the run's modalities.
    """

    store: Store
    card: Card
    targets: tuple[Target, ...]
    units: tuple[Unit, ...]
    raw: Mapping[str, np.ndarray]
    label: Mapping[str, np.ndarray]
    eligible: tuple[int, ...]
    positions: tuple[int, ...]
    left_out: tuple[Mapping[str, str], ...]
    length_s: float

    @property
    def people(self) -> list[str]:
        return sorted({self.units[i].subject for i in self.positions})

    @property
    def groups(self) -> dict[str, str]:
        """Each person's group, as the split keeps it together."""
        return connected_groups([self.units[i] for i in self.eligible])

    @property
    def shortest_s(self) -> float:
        return min(self.units[i].stop - self.units[i].start for i in self.eligible)

    @property
    def longest_s(self) -> float:
        """What views of the whole unit are padded to: the unit's nominal length, else the card's longest recording."""
        return self.card.longest_s if np.isnan(self.length_s) else self.length_s

    def arrays(self, index: Sequence[int]) -> dict[str, np.ndarray]:
        """Position of the recording in the store, start and stop (s) of the units at `index`."""
        at = {entry.id: i for i, entry in enumerate(self.store.recordings)}
        units = [self.units[i] for i in index]
        return {
            "recording": np.array([at[u.recording] for u in units], np.int64),
            "start": np.array([u.start for u in units], np.float64),
            "stop": np.array([u.stop for u in units], np.float64),
        }


def choose_targets(card: Card, text: str | None) -> tuple[Target, ...]:
    """The targets asked for, by default all of the card's."""
    by_name = {t.name: t for t in card.targets}
    names = [n.strip() for n in text.split(",")] if text else list(by_name)
    for name in names:
        if name not in by_name:
            raise UsageError(
                f"{card.name} has no target `{name}`",
                where="--target",
                expected=", ".join(by_name),
                hint=did_you_mean(name, list(by_name)),
            )
    return tuple(by_name[name] for name in dict.fromkeys(names))


def gather(
    store: Store, card: Card, targets: Sequence[Target], modalities: Sequence[str], protocol: Protocol
) -> Cohort:
    """The cohort of a run.

    Raises:
        DataError: nobody has a label, or nobody has any of the modalities.
    """
    kinds = {store.label_kinds[t.label] for t in targets if t.label in store.label_kinds}
    if len(kinds) != 1:
        raise DataError(
            "the data hold no labels for " + ", ".join(t.name for t in targets)
            if not kinds
            else f"targets of different kinds ({', '.join(sorted(kinds))}) have different units",
            where=str(store.path),
            hint="embench data verify, or one target at a time with --target",
        )
    kind: Any = next(iter(kinds))
    length = {"rating": np.nan, "continuous": protocol.unit.continuous_s, "condition": protocol.unit.condition_s}[kind]
    units = make_units(store.recordings, card, kind, protocol)
    raw, label, any_label = {}, {}, np.zeros(len(units), bool)
    table = store.labels()
    for target in card.targets:
        if store.label_kinds.get(target.label) == kind:
            values, labels = label_units(units, table[target.label], target.rule)
            any_label |= np.isfinite(labels)
            if target in targets:
                raw[target.name], label[target.name] = values, labels
    labelled = {units[i].subject for i in np.flatnonzero(any_label)}
    spans = {entry.id: set(entry.spans) for entry in store.recordings}
    has = np.array([any(set(m.split("+")) <= spans[u.recording] for m in modalities) for u in units], bool)
    sensed = {units[i].subject for i in np.flatnonzero(has)}
    left_out = []
    for person in sorted({entry.subject for entry in store.recordings}):
        if person not in labelled:
            left_out.append({"subject": person, "reason": "no label of any target"})
        elif person not in sensed:
            left_out.append({"subject": person, "reason": f"none of {', '.join(modalities)}"})
    eligible = tuple(i for i, u in enumerate(units) if u.subject in labelled)
    positions = tuple(i for i in eligible if units[i].subject in sensed)
    if not positions:
        raise DataError(
            "nobody is left: no person has both a label and one of the modalities",
            where=str(store.path),
            expected=f"labels of {', '.join(t.name for t in targets)} and any of {', '.join(modalities)}",
        )
    return Cohort(
        store, card, tuple(targets), tuple(units), raw, label, eligible, positions, tuple(left_out), float(length)
    )
