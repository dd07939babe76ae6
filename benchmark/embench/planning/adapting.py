"""Refusal of ways to go on from pretraining that a method cannot take."""

from __future__ import annotations

from embench.errors import UsageError
from embench.planning.parts import Method


def check_adaptation(method: Method) -> None:
    """Refuses an `adapt` that a part of the method does not have. Raises UsageError."""
    for name, part in method.parts():
        adapt = part.recipe.adapt
        allowed = _allowed(name.partition("[")[0])
        if adapt not in allowed:
            raise UsageError(
                f"`adapt` of {name.partition('[')[0]} {part.short} cannot be {adapt}",
                where=f"{name}.adapt",
                expected=" or ".join(allowed),
                hint=f"--set encoder.adapt={adapt}" if name == "fusion" else None,
            )


def _allowed(kind: str) -> tuple[str, ...]:
    """The values of `adapt` that a kind of plugin has."""
    return {"encoder": ("full", "frozen", "ridge", "lora"), "fusion": ("full", "frozen")}.get(kind, ("full",))
