"""embench: one benchmark for emotion and affect recognition from physiological signals and video.

Names are resolved when they are used, so that importing the package costs nothing and pulls in no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embench.registry import load as load
    from embench.registry import names as names
    from embench.registry.hooks import hookimpl as hookimpl
    from embench.runs.run import call as run
    from embench.statistics.comparison import compare as compare
    from embench.statistics.evaluation import Result as Result

    __version__: str

DISTRIBUTION = "embench-affect"
"""What pip calls this package; another project has the plain name."""

__all__ = ["Result", "__version__", "compare", "hookimpl", "load", "names", "run"]

_HOMES = {
    "Result": "embench.statistics.evaluation:Result",
    "compare": "embench.statistics.comparison:compare",
    "hookimpl": "embench.registry.hooks:hookimpl",
    "load": "embench.registry:load",
    "names": "embench.registry:names",
    "run": "embench.runs.run:call",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        return getattr(import_module(module), attribute)
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    raise AttributeError(f"module 'embench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
