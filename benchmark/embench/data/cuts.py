"""The cut of a run's recordings into units, which is one for all its targets; what a protocol cannot be applied to, and
whom it leaves out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from embench.errors import DataError, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import (
    Cut,
    Protocol,
    cut_of,
)
from embench.store import Store


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
