"""Refusal of ways to go on from pretraining that a method cannot take."""

from __future__ import annotations

from collections.abc import Sequence

from embench.errors import UsageError
from embench.planning.parts import Method

_ALLOWED = {"encoder": ("full", "frozen", "ridge"), "fusion": ("full", "frozen"), "pretrainer": ("full",)}
"""Kind of plugin -> the values of `adapt` that it has."""


def check_adaptation(method: Method, settings: Sequence[str]) -> None:
    """Refuses an `adapt` that a part of the method cannot have, and settings that decide nothing. Raises UsageError."""
    for name, part in method.parts():
        kind = name.partition("[")[0]
        adapt = part.recipe.adapt
        if adapt not in _ALLOWED[kind]:
            raise UsageError(
                f"{kind} {part.short} does not support `adapt={adapt}`",
                where=f"{name}.adapt",
                expected=" or ".join(_ALLOWED[kind]),
                hint=f"--set encoder.adapt={adapt}" if kind == "fusion" else None,
            )
    for m, part in method.encoders.items():
        _check_encoder(method, m, part.recipe.adapt)
    own_loss = [s for s in settings if s.partition("=")[0].strip().endswith(".loss") and s.startswith("encoder")]
    if own_loss and all(part.recipe.adapt == "ridge" for part in method.encoders.values()):
        raise UsageError(
            "ridge uses squared error and has no other loss", where=f"--set {own_loss[0]}", hint="leave it out"
        )
    if low_rank := [s for s in settings if ".lora." in s.partition("=")[0]]:
        raise UsageError("nothing reads `lora`", where=f"--set {low_rank[0]}", hint="leave it out")


_TRAINING = frozenset(
    ("optimiser", "lr", "betas", "momentum", "weight_decay", "schedule", "every", "factor", "warmup", "epochs", "batch")
).union(("clip", "selection", "patience", "class_weight", "loss", "targets"))
"""Fields of a recipe that decide how a stage is trained."""


def check_trained_by(method: Method, settings: Sequence[str]) -> None:
    """Refuses settings of how an encoder is trained where the fusion's recipe decides it, unless the fusion has such a
    setting too. Raises UsageError with the path that decides."""
    of_fusion = {setting.partition("=")[0].strip() for setting in settings}
    for setting in settings if method.joins == "tokens" else ():
        path = setting.partition("=")[0]
        part, _, field = path.strip().rpartition(".")
        if part.partition("[")[0] == "encoder" and field in _TRAINING and f"fusion.{field}" not in of_fusion:
            raise UsageError(
                f"fusion {method.fusion.short} is trained end to end with its encoders, so `{path.strip()}` changes "
                "nothing",
                where=f"--set {setting}",
                expected=f"fusion.{field} for {method.fusion.short}; encoder.{field} for fusions such as late, whose "
                "encoders are trained by themselves; in a grid of both, one command each",
                hint=f"did you mean fusion.{field}?",
            )


def _check_encoder(method: Method, m: str, adapt: str) -> None:
    where = f"encoder[{m}].adapt={adapt}"
    if method.inputs == "features" and adapt == "ridge":
        raise UsageError(f"{method.fusion.short} is fitted on features, so no network is adapted", where=where)
    if method.joins == "tokens" and adapt == "ridge":
        raise UsageError(
            f"fusion {method.fusion.short} is trained end to end, but ridge fits a separate head for each encoder",
            where=where,
            expected="frozen or full; or a fusion of fitted networks, such as single or late",
        )
