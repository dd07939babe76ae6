"""Near names, for messages about wrong ones; and later versions of names."""

from __future__ import annotations

import re
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


def latest_version(name: str, known: Iterable[str]) -> str:
    """The name of the latest version among the known names that differ from `name` in their version alone.

    >>> latest_version("rules-v1", ["rules-v1", "rules-v2", "strict-rules-v3"])
    'rules-v2'
    """
    base, version = _version(name)
    return max([name, *(k for k in known if version and _version(k)[0] == base)], key=lambda k: _version(k)[1])


def _version(name: str) -> tuple[str, int]:
    """The name without its version, and the version; 0 for none."""
    found = re.fullmatch(r"(.+)-v(\d+)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
