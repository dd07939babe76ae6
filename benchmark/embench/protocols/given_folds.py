"""Folds of a file of predictions, completed by the training units that the protocol allows, and proven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from embench.errors import CheckFailed
from embench.interfaces.units import Unit
from embench.protocols.guard import prove
from embench.protocols.partition import Fold
from embench.protocols.schema import Protocol, Validation

_Atom: TypeAlias = tuple[str, ...]
"""Names of units that a protocol keeps together."""


class GivenRow(NamedTuple):
    """A line of a file: a unit, and the fold that tests it."""

    unit: str
    fold: int
    line: int


def given_folds(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    groups: Mapping[str, str],
    rows: Iterable[GivenRow],
    *,
    seed: int,
    file: str,
) -> list[Fold]:
    """The folds of one seed of a file. Each is taken to test all of the subjects (recordings, units: whatever the
    protocol keeps together) of whom it has a row, and to train on all whom the protocol lets it train on.

    Args:
        dataset: the registry's name of it.
        units: all that can be scored, those of `rows` among them.
        groups: subject -> group, as the split keeps it together.
        seed, file: for errors, where the rows stand.

    Raises:
        CheckFailed: what the protocol keeps together is tested in two folds, or the folds are not what it declares.
    """
    atom_of = {unit.id: _atom(protocol, unit, groups) for unit in units}
    fold_of = _fold_of(protocol, atom_of, rows, seed, file)
    folds = []
    for index in sorted(set(fold_of.values())):
        held = {atom for atom, fold in fold_of.items() if fold == index}
        folds.append(_fold(protocol, dataset, units, atom_of, held, index))
    if len(folds) > 1:
        # The proof is of the tested subjects; who validated is unknown, and subjects without a row may have trained.
        known = {id_ for fold in folds for id_ in fold.test}
        inside = [replace(fold, train=tuple(id_ for id_ in fold.train if id_ in known)) for fold in folds]
        without = protocol.model_copy(update={"validation": Validation(fraction=0, at_least=0)})
        prove(without, dataset, [unit for unit in units if unit.id in known], inside)
    return folds


def _atom(protocol: Protocol, unit: Unit, groups: Mapping[str, str]) -> _Atom:
    named = {
        "group": (groups[unit.subject],),
        "recording": (unit.recording,),
        "segment": (unit.id,),
        "stimulus": (unit.stimulus,),
    }
    kept = named.get(protocol.split.by, (groups[unit.subject], unit.stimulus))
    return (unit.subject, *kept) if protocol.split.within else kept


def _fold_of(
    protocol: Protocol, atom_of: Mapping[str, _Atom], rows: Iterable[GivenRow], seed: int, file: str
) -> dict[_Atom, int]:
    """The fold that tests each group of units that the protocol keeps together."""
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


def _fold(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    atom_of: Mapping[str, _Atom],
    held: set[_Atom],
    index: int,
) -> Fold:
    """The fold that tests the units in `held`."""
    tested = [unit for unit in units if atom_of[unit.id] in held]
    if protocol.split.within:
        subjects = {unit.subject for unit in tested}
        free = {atom for atom in set(atom_of.values()) - held if atom[0] in subjects}
    else:
        parts = {part for atom in held for part in atom}
        free = {atom for atom in set(atom_of.values()) if not parts & set(atom)}
    barred: set[str] = set()
    rules = protocol.stimulus_rules(dataset)
    if rules and "stimulus" in protocol.split.by:
        apart = rules.kept_apart()
        barred = {other for unit in tested for other in apart.get(unit.stimulus, ())}
    train = [unit.id for unit in units if atom_of[unit.id] in free and unit.stimulus not in barred]
    return Fold(index, tuple(train), (), tuple(unit.id for unit in tested))
