"""Old names of public functions and classes: they work for one more release, with a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

UNTIL = "0.2"
"""First release without the old names."""


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module in which names have changed.

    Args:
        module: its `__name__`.
        names: old name -> new one.

    Returns:
        A function: old name -> what the new name holds. It warns, and raises AttributeError for any other name.
    """

    def of(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is called {names[name]} now; embench {UNTIL} no longer has the old name",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(sys.modules[module], names[name])

    return of
