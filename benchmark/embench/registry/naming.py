"""Near names, for messages about wrong ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that look like `name`, the nearest first."""
    by_shape = {_shape(k): k for k in known}
    return [by_shape[shape] for shape in get_close_matches(_shape(name), by_shape, n=3, cutoff=0.55)]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A sentence that offers the nearest names, or None where nothing comes near."""
    near = nearest(name, known)
    return f"did you mean {' or '.join(near)}?" if near else None


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
