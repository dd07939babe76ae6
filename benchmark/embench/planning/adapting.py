"""Refusal of ways to go on from pretraining that a method cannot take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embench.engine.handover import Site, built
from embench.engine.lora import check_lora
from embench.errors import UsageError
from embench.planning.parts import Method

_ALLOWED = {"encoder": ("full", "frozen", "ridge", "lora"), "fusion": ("full", "frozen"), "pretrainer": ("full",)}
"""Kind of plugin -> the values of `adapt` that it has."""


def check_adaptation(method: Method, settings: Sequence[str]) -> None:
    """Refuses an `adapt` that a part of the method cannot have, and settings of `lora` that decide nothing. Raises
    UsageError."""
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
        if adapt == "lora":
            _check_sizes(name, part.recipe.lora)
    for m, part in method.encoders.items():
        _check_encoder(method, m, part.recipe.adapt)
    own_loss = [s for s in settings if s.partition("=")[0].strip().endswith(".loss") and s.startswith("encoder")]
    if own_loss and all(part.recipe.adapt == "ridge" for part in method.encoders.values()):
        raise UsageError(
            "ridge uses squared error and has no other loss", where=f"--set {own_loss[0]}", hint="leave it out"
        )
    idle = [s for s in settings if ".lora." in s.partition("=")[0]]
    if idle and not any(part.recipe.adapt == "lora" for part in method.encoders.values()):
        raise UsageError(
            "no encoder of this run uses lora", where=f"--set {idle[0]}", hint="add --set encoder.adapt=lora"
        )


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


def check_layers(method: Method, site: Site) -> None:
    """Refuses `lora` of encoders whose networks at a site have no linear layer; they are built. Raises UsageError."""
    for m, part in method.encoders.items():
        if part.recipe.adapt == "lora":
            check_lora(built(site, m, part), f"encoder[{m}].adapt=lora, {part.short}")


def _check_encoder(method: Method, m: str, adapt: str) -> None:
    where = f"encoder[{m}].adapt={adapt}"
    if method.inputs == "features" and adapt in ("ridge", "lora"):
        raise UsageError(f"{method.fusion.short} is fitted on features, so no network is adapted", where=where)
    if method.joins == "tokens" and adapt == "ridge":
        raise UsageError(
            f"fusion {method.fusion.short} is trained end to end, but ridge fits a separate head for each encoder",
            where=where,
            expected="frozen, lora or full; or a fusion of fitted networks, such as single or late",
        )


def _check_sizes(name: str, lora: Any) -> None:
    """Refuses sizes of low-rank additions that cannot be."""
    for key, fine, expected in (
        ("rank", lora["rank"] >= 1, "1 or more"),
        ("alpha", lora["alpha"] > 0, "above 0"),
        ("dropout", 0 <= lora["dropout"] < 1, "at least 0 and below 1"),
    ):
        if not fine:
            raise UsageError(f"lora.{key} is {lora[key]}", where=f"{name}.lora.{key}", expected=expected)
