"""Kind of a method, features or network, and whether its scores only rank; the same everywhere."""

from __future__ import annotations

from typing import Literal

from embench import registry
from embench.records.manifest import MethodPart

MethodKind = Literal["features", "network"]


def method_kind(method: MethodPart) -> MethodKind:
    """`features` where an estimator is fitted to what encoders compute, and no network is trained; else `network`.

    Records of earlier versions do not say so. There the catalogue decides, from which a plugin may have gone; then it
    counts as a network.
    """
    if method.inputs is not None:
        return "features" if method.inputs == "features" else "network"
    parts = [("fusion", method.fusion), *(("encoder", name) for name in method.encoders.values())]
    return "features" if all(_is_of_features(kind, name) for kind, name in parts) else "network"


def only_ranks(method: MethodPart) -> bool:
    """True if the catalogue says that the scores of a method rank units and are not probabilities. It does not say so
    of a method that it does not know, such as a submission, whose format asks for probabilities."""
    return any(entry.ranks for entry in registry.entries("fusion") if entry.full_name == method.fusion)


def _is_of_features(kind: str, name: str | None) -> bool:
    return any(entry.features for entry in registry.entries(kind) if entry.full_name == name)
