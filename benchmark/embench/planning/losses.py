"""Refusal of losses from which the networks of a method learn nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embench.data.cohort import Cohort
from embench.errors import UsageError
from embench.interfaces.units import Target
from embench.planning.parts import Method


def check_losses(method: Method, targets: Sequence[Target], settings: Sequence[str], cohort: Cohort) -> None:
    """Refuses a `loss` that is set for classes or for an estimator, and one by recording for labels that vary in none.

    Raises:
        UsageError: with the targets or the setting that would fit.
    """
    values = [target for target in targets if not target.traits.has_classes]
    for setting in settings:
        path = setting.partition("=")[0].strip()
        if not path.endswith(".loss") or ".build." in path:
            continue
        if not values:
            raise UsageError(
                f"`loss` applies to continuous targets only, and {targets[0].name} has {targets[0].traits.words}",
                where=f"--set {setting}",
                expected="a continuous target; for class targets use class_weight",
            )
        if method.joins == "estimator" and path == "fusion.loss":
            raise UsageError(
                f"{method.fusion.short} is not a network and has its own loss",
                where=f"--set {setting}",
                hint="remove the setting, or choose a network as --fusion",
            )
    for name, part in method.parts():
        if part.recipe.loss == "ccc_recording" and (flat := [t.name for t in values if not _varies(cohort, t)]):
            raise UsageError(
                f"labels of {', '.join(flat)} are constant within every recording, and ccc_recording requires labels "
                "that vary",
                where=f"{name}.loss",
                hint=f"--set {name}.loss=ccc_batch",
            )


def _varies(cohort: Cohort, target: Target) -> bool:
    """True if two units of one recording have different labels."""
    label = cohort.label[target.name]
    known = np.flatnonzero(np.isfinite(label))
    seen: dict[str, float] = {}
    return any(seen.setdefault(cohort.units[i].recording, label[i]) != label[i] for i in known.tolist())
