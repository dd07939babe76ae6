"""The people and units of a run: who can be trained on and tested, with which labels, and who is left out and why.

This is the planner's side of the labels: it reads them to hand each stage those of its own training and validation
units, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target, Unit
from embench.protocols import Protocol, connected_groups, label_units, make_units, unit_length_s
from embench.registry.naming import did_you_mean
from embench.store import Store


@dataclass(frozen=True)
class Cohort:
    """All units of a dataset's store, and which of them a run is about.

    `label` and `raw` hold (n,) values a target, NaN where there is none. `eligible` are the positions of units of
    people with any of the card's targets, whatever its kind; `positions` of those who also have any of the run's
    modalities. `roster` are the eligible people's recordings as units: what is dealt out to folds, so that a person is
    in the same fold whichever targets a run is about. `length_s` is NaN where units are whole recordings.
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
    roster: tuple[Unit, ...]

    @property
    def people(self) -> list[str]:
        return sorted({self.units[i].subject for i in self.positions})

    @property
    def groups(self) -> dict[str, str]:
        """Each person's group, as the split keeps it together."""
        return connected_groups(self.roster)

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
    """The targets asked for, by default those that the card says, else all of the card's.

    Raises:
        UsageError: the card has no such target, or none at all.
    """
    by_name = {t.name: t for t in card.targets}
    if not by_name:
        raise UsageError(
            f"{card.name} has no targets, only recordings to pretrain on",
            where=f"--dataset {card.name}",
            hint=f"--pretrainer NAME:{card.name} with another --dataset",
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


def gather(
    store: Store, card: Card, targets: Sequence[Target], modalities: Sequence[str], protocol: Protocol
) -> Cohort:
    """The cohort of a run.

    Raises:
        DataError: nobody has a label, or nobody has any of the modalities. UsageError: the targets have different
            units.
    """
    length = _unit_length(store, targets, protocol)
    made: dict[float | None, tuple[Unit, ...]] = {}
    raw, label, labelled = {}, {}, set()
    table = store.labels()
    for target in card.targets:
        kind: Any = store.label_kinds.get(target.label)
        if kind is None:
            continue
        own = unit_length_s(kind, protocol)
        if own not in made:
            made[own] = tuple(make_units(store.recordings, card, kind, protocol))
        values, labels = label_units(made[own], table[target.label], target.rule)
        labelled |= {made[own][i].subject for i in np.flatnonzero(np.isfinite(labels))}
        if target in targets:
            raw[target.name], label[target.name] = values, labels
    units = made[length]
    spans = {entry.id: set(entry.spans) for entry in store.recordings}
    has = np.array([any(set(m.split("+")) <= spans[u.recording] for m in modalities) for u in units], bool)
    sensed = {units[i].subject for i in np.flatnonzero(has)}
    eligible = tuple(i for i, u in enumerate(units) if u.subject in labelled)
    positions = tuple(i for i in eligible if units[i].subject in sensed)
    if not positions:
        raise DataError(
            "nobody is left: no person has both a label and one of the modalities",
            where=str(store.path),
            expected=f"labels of {', '.join(t.name for t in targets)} and any of {', '.join(modalities)}",
        )
    left_out = _left_out(store, labelled, {u.subject for u in units}, sensed, modalities)
    whole = replace(card, baseline=None)
    roster = make_units([e for e in store.recordings if e.subject in labelled], whole, "rating", protocol)
    seconds = np.nan if length is None else length
    return Cohort(
        store, card, tuple(targets), units, raw, label, eligible, positions, left_out, float(seconds), tuple(roster)
    )


def everybody(store: Store, card: Card, protocol: Protocol) -> Cohort:
    """A dataset's people to pretrain on, labelled or not, cut into the units of a run on its default targets (whole
    recordings where it has no labels)."""
    kinds = [
        store.label_kinds[t.label]
        for t in (choose_targets(card, None) if card.targets else ())
        if t.label in store.label_kinds
    ]
    kind: Any = kinds[0] if kinds else "rating"
    units = tuple(make_units(store.recordings, card, kind, protocol))
    length = unit_length_s(kind, protocol)
    roster = tuple(make_units(store.recordings, replace(card, baseline=None), "rating", protocol))
    index = tuple(range(len(units)))
    seconds = np.nan if length is None else length
    return Cohort(store, card, (), units, {}, {}, index, index, (), seconds, roster)


def _unit_length(store: Store, targets: Sequence[Target], protocol: Protocol) -> float | None:
    """The one length (s) of the targets' units, None for whole recordings."""
    kinds: dict[str, Any] = {t.name: store.label_kinds[t.label] for t in targets if t.label in store.label_kinds}
    if missing := [t.name for t in targets if t.name not in kinds]:
        raise DataError(
            "the data hold no labels for " + ", ".join(missing),
            where=str(store.path),
            hint=f"--target {','.join(kinds)}" if kinds else "embench data verify",
        )
    lengths = {name: unit_length_s(kind, protocol) for name, kind in kinds.items()}
    if len(set(lengths.values())) > 1:
        said = [f"{name} ({'whole recordings' if s is None else f'{s:g} s'})" for name, s in lengths.items()]
        raise UsageError(
            f"these targets have different units: {', '.join(said)}",
            where="--target",
            hint="targets of one unit in one run, such as --target " + next(iter(lengths)),
        )
    return next(iter(lengths.values()))


def _left_out(
    store: Store, labelled: set[str], cut: set[str], sensed: set[str], modalities: Sequence[str]
) -> tuple[dict[str, str], ...]:
    """Who is not in the cohort, and why. `labelled`, `cut`, `sensed`: people with a label, with units of the run, and
    with any of its modalities."""
    rows = []
    for person in sorted({entry.subject for entry in store.recordings}):
        if person not in labelled:
            rows.append({"subject": person, "reason": "no label of any target"})
        elif person not in cut:
            rows.append({"subject": person, "reason": "no recording that is long enough for a unit"})
        elif person not in sensed:
            rows.append({"subject": person, "reason": f"none of {', '.join(modalities)}"})
    return tuple(rows)
