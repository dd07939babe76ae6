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
                f"`loss` is how values are learned, and {targets[0].name} is of {targets[0].traits.words}",
                where=f"--set {setting}",
                expected="a target that is a value; class_weight is a setting of classes",
            )
        if method.joins == "estimator" and path == "fusion.loss":
            raise UsageError(
                f"{method.fusion.short} is no network: it has a loss of its own",
                where=f"--set {setting}",
                hint="leave it out, or choose a network as --fusion",
            )
    for name, part in method.parts():
        if part.recipe.loss == "ccc_recording" and (flat := [t.name for t in values if not _varies(cohort, t)]):
            raise UsageError(
                f"labels of {', '.join(flat)} vary in no recording, so nothing can be learned by recording",
                where=f"{name}.loss",
                hint=f"--set {name}.loss=ccc_batch",
            )


def _varies(cohort: Cohort, target: Target) -> bool:
    """True if two units of one recording have different labels."""
    label = cohort.label[target.name]
    known = np.flatnonzero(np.isfinite(label))
    seen: dict[str, float] = {}
    return any(seen.setdefault(cohort.units[i].recording, label[i]) != label[i] for i in known.tolist())
