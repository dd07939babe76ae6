"""embench: one benchmark for emotion and affect recognition from physiological signals and video.

Names are resolved when they are used, so that importing the package costs nothing and pulls in no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embench import run as run
    from embench.registry import load as load
    from embench.registry import names as names
    from embench.registry.hooks import hookimpl as hookimpl
    from embench.results.comparing import compare as compare
    from embench.scoring import Result as Result

    __version__: str

__all__ = ["Result", "__version__", "compare", "hookimpl", "load", "names", "run"]

_HOMES = {
    "Result": "embench.scoring",
    "compare": "embench.results.comparing",
    "hookimpl": "embench.registry.hooks",
    "load": "embench.registry",
    "names": "embench.registry",
}


def __getattr__(name: str) -> Any:
    if name == "run":  # a module that can be called: embench.run(dataset=..., encoder=...)
        return import_module("embench.run")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("embench")
    raise AttributeError(f"module 'embench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
