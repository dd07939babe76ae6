"""Whether a method is an estimator on features or a network, the same everywhere."""

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


def _is_of_features(kind: str, name: str | None) -> bool:
    return any(entry.features for entry in registry.entries(kind) if entry.full_name == name)
