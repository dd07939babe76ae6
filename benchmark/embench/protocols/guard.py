"""The proof, before anything is trained, that folds are what their protocol declares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import combinations
from operator import attrgetter

from embench.errors import CheckFailed
from embench.interfaces.units import Unit
from embench.protocols.partition import ROLES, Fold, connected_groups
from embench.protocols.schema import Protocol

_SEPARATED = {
    "group": ("subject", "group", "recording"),
    "group+stimulus": ("subject", "group", "recording"),
    "recording": ("recording",),
    "stimulus": ("recording",),
    "segment": (),
}
_PLURAL = {"subject": "subjects", "group": "groups", "recording": "recordings", "stimulus": "stimuli"}


def prove(protocol: Protocol, dataset: str, units: Sequence[Unit], folds: Sequence[Fold]) -> None:
    """Returns when the folds keep what the protocol promises.

    Every unit is tested exactly once, or with `tests: last` tested once or learned from, and no unit and no raw sample
    stands in two parts of a fold. A protocol that does not leak has no subject, group or recording in two parts,
    whatever it splits by; one that leaks keeps apart what it splits by. What is split within subjects has folds of one
    subject. A split by stimulus trains on no stimulus that it tests, or that the protocol relates to one of them.
    Stimuli that take no part are in no fold. There is validation wherever the protocol wants it and the training side
    can spare it.

    Args:
        dataset: the registry's name of it, for which a protocol may have `stimuli`.

    Raises:
        CheckFailed: names the offending ids.
    """
    by_id = {unit.id: unit for unit in units}
    if len(by_id) < len(units):
        raise _failed(protocol, "ids belong to several units", _more_than_once(unit.id for unit in units))
    included = protocol.included_stimuli(dataset)
    if included is not None and (outside := {unit.stimulus for unit in units} - included):
        raise _failed(protocol, f"stimuli of {dataset} do not belong to the protocol", outside)
    _prove_tested_once(protocol, by_id, folds)
    if protocol.split.tests:
        _prove_later(protocol, by_id, folds)
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
            _prove_unrelated(protocol, fold, learned, rules.kept_apart() if rules else {})
        if protocol.split.within:
            _prove_one_subject(protocol, fold, parts)
        _prove_no_overlap(protocol, fold, parts, overlapping)
        _prove_filled(protocol, fold, parts, held_together)


def prove_given(
    protocol: Protocol,
    dataset: str,
    units: Sequence[Unit],
    folds: Sequence[Fold],
    given: Collection[str],
    scored: Collection[str],
) -> None:
    """Returns when folds, which `prove` had before subjects gave anything, keep what a protocol with `personal`
    promises: of the subjects that a fold tests or validates with, it learns from nothing but what they gave, and from
    that only if the protocol trains on it; and it tests, and validates with, nothing but what is scored.

    Args:
        units: those that take part. `given`, `scored`: ids, of which `prove_slices` says what lies between them.

    Raises:
        CheckFailed: names the offending ids.
    """
    by_id, group_of = {unit.id: unit for unit in units}, connected_groups(units)
    overlapping = _recordings_with_overlap(units)
    for fold in folds:
        parts = {role: [by_id[id_] for id_ in getattr(fold, role)] for role in ROLES}
        asked = parts["test"] + (parts["val"] if protocol.trains_on_given else [])
        if wrong := [unit.id for unit in asked if unit.id not in scored]:
            raise _failed(protocol, f"units of {dataset} are tested in fold {fold.index} but must not be scored", wrong)
        allowed = given if protocol.trains_on_given else ()
        known = {group_of[unit.subject] for unit in asked}
        if wrong := [unit.id for unit in parts["train"] if group_of[unit.subject] in known and unit.id not in allowed]:
            what = f"units of test subjects are training units of fold {fold.index} but not calibration data"
            raise _failed(protocol, what, wrong)
        _prove_disjoint(protocol, fold, parts, "id", "units")
        _prove_no_overlap(protocol, fold, parts, overlapping)
        apart = {role: part for role, part in parts.items() if role != "train" or not protocol.trains_on_given}
        for field in ("subject", "group", "recording"):
            _prove_disjoint(protocol, fold, apart, field, _PLURAL[field])


def protocol_deviations(protocol: Protocol, units: Sequence[Unit], folds: Sequence[Fold]) -> dict[str, str]:
    """Guarantees that a protocol that leaks gives up, field -> in words, and for its split in numbers; may be empty."""
    deviations = dict(protocol.deviations)
    if "split.by" in deviations:
        by_id = {unit.id: unit for unit in units}
        counts = []
        for field in ("subject", "recording"):
            shared, tested = set(), set()
            for fold in folds:
                learned = {getattr(by_id[id_], field) for id_ in (*fold.train, *fold.val)}
                held = {getattr(by_id[id_], field) for id_ in fold.test}
                tested |= held
                shared |= held & learned
            counts.append(f"{len(shared)} of {len(tested)} {_PLURAL[field]}")
        deviations["split.by"] += f": {' and '.join(counts)}"
    return deviations


def _prove_tested_once(protocol: Protocol, by_id: dict[str, Unit], folds: Sequence[Fold]) -> None:
    known = by_id.keys()
    strangers = {id_ for fold in folds for role in ROLES for id_ in getattr(fold, role)} - known
    if strangers:
        raise _failed(protocol, "ids in the folds are not units", strangers)
    tested = [id_ for fold in folds for id_ in fold.test]
    if twice := _more_than_once(tested):
        raise _failed(protocol, "units are tested more than once", twice)
    learned = {id_ for fold in folds for id_ in (*fold.train, *fold.val)} if protocol.split.tests else set()
    if never := known - set(tested) - learned:
        raise _failed(protocol, "units are never tested", never)


def _prove_later(protocol: Protocol, by_id: dict[str, Unit], folds: Sequence[Fold]) -> None:
    """No unit is learned from that lies after a tested one of its recording."""
    for fold in folds:
        first: dict[str, float] = {}
        for unit in map(by_id.__getitem__, fold.test):
            first[unit.recording] = min(unit.start, first.get(unit.recording, unit.start))
        learned = map(by_id.__getitem__, (*fold.train, *fold.val))
        if late := [unit.id for unit in learned if unit.start >= first.get(unit.recording, math.inf)]:
            raise _failed(protocol, f"training units of fold {fold.index} lie after its test units", late)


def _prove_disjoint(protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], field: str, what: str) -> None:
    held = {role: set(map(attrgetter(field), part)) for role, part in parts.items()}
    for one, other in combinations(held, 2):
        if shared := held[one] & held[other]:
            raise _failed(protocol, f"{what} are in both {one} and {other} of fold {fold.index}", shared)


def _prove_unrelated(
    protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], apart: Mapping[str, frozenset[str]]
) -> None:
    """No training stimulus is one that the protocol keeps apart from a tested one."""
    held = {role: {unit.stimulus for unit in part} for role, part in parts.items()}
    related = {other for name in held["test"] for other in apart.get(name, ())}
    if shared := related & held["train"]:
        what = f"training stimuli are related to test stimuli of fold {fold.index}, or in the same part"
        raise _failed(protocol, what, shared)


def _prove_one_subject(protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]]) -> None:
    subjects = {unit.subject for part in parts.values() for unit in part}
    if len(subjects) > 1:
        raise _failed(protocol, f"subjects share fold {fold.index} of a split within subjects", subjects)


def _recordings_with_overlap(units: Sequence[Unit]) -> set[str]:
    """The recordings some of whose units share samples, whatever part they are in."""
    found: set[str] = set()
    reach: dict[str, float] = {}
    for unit in sorted(units, key=lambda unit: unit.start):
        far = reach.get(unit.recording, unit.start)
        if far > unit.start:
            found.add(unit.recording)
        reach[unit.recording] = max(far, unit.stop)
    return found


def _prove_no_overlap(protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], overlapping: set[str]) -> None:
    """No sample of a recording belongs to units of two parts.

    Args:
        overlapping: recordings in which any two units share samples.
    """
    spans: dict[str, list[tuple[float, float, str, str]]] = {}
    for role, part in parts.items():
        for unit in (unit for unit in part if unit.recording in overlapping):
            spans.setdefault(unit.recording, []).append((unit.start, unit.stop, role, unit.id))
    clashing = []
    for placed in spans.values():
        reach: dict[str, float] = {}  # part -> how far its units before this one go
        for start, stop, role, id_ in sorted(placed):
            if any(end > start for other, end in reach.items() if other != role):
                clashing.append(id_)
            reach[role] = max(reach.get(role, stop), stop)
    if clashing:
        raise _failed(protocol, f"units share raw samples with another part of fold {fold.index}", clashing)


def _prove_filled(
    protocol: Protocol, fold: Fold, parts: dict[str, list[Unit]], held_together: Callable[[Unit], str]
) -> None:
    """Every fold has training and test units, and validation units where required and possible."""
    for role, name in (("train", "training"), ("test", "test")):
        if not parts[role]:
            raise _failed(protocol, f"fold {fold.index} has no {name} units", [])
    to_spare = len({held_together(unit) for unit in parts["train"] + parts["val"]}) > 1
    if (protocol.validation.fraction or protocol.validation.at_least) and to_spare and not parts["val"]:
        raise _failed(protocol, f"fold {fold.index} has no validation units", [])


def _more_than_once(ids: Iterable[str]) -> list[str]:
    return [id_ for id_, count in Counter(ids).items() if count > 1]


def _failed(protocol: Protocol, what: str, ids: Iterable[str]) -> CheckFailed:
    named = sorted(ids)
    examples = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    declared = "leaks" if protocol.leaks else "does not leak"
    return CheckFailed(
        f"{len(named)} {what}: {examples}" if named else what,
        where=f"the folds of protocol {protocol.name}",
        expected=f"a split by {protocol.split.by} that {declared}, as the protocol declares",
    )
