"""embench: one benchmark for emotion and affect recognition from physiological signals and video.

Names are resolved when they are used, so that importing the package costs nothing and pulls in no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embench.python.grids import baselines as baselines
    from embench.python.grids import grid as grid
    from embench.python.grids import tune as tune
    from embench.python.networks import encoder as encoder
    from embench.python.networks import network as network
    from embench.python.records import audit as audit
    from embench.python.records import board as board
    from embench.python.records import dataset as dataset
    from embench.python.records import open as open  # noqa: A004
    from embench.python.records import predict as predict
    from embench.python.records import score as score
    from embench.python.records import synthesize as synthesize
    from embench.python.records import write_report as write_report
    from embench.python.running import benchmark as benchmark
    from embench.python.running import run as run
    from embench.python.windows import features as features
    from embench.python.windows import splitter as splitter
    from embench.python.windows import windows as windows
    from embench.records.scores import ConfoundOnlyModel as ConfoundOnlyModel
    from embench.records.scores import Gap as Gap
    from embench.records.scores import Score as Score
    from embench.records.scores import Scores as Scores
    from embench.registry import load as load
    from embench.registry import names as names
    from embench.registry.loading import hookimpl as hookimpl
    from embench.statistics.comparison import compare as compare
    from embench.statistics.result import Result as Result

    __version__: str

DISTRIBUTION = "embench-affect"
"""Name of this distribution on PyPI; another project has the plain name."""

_HOMES = {
    "ConfoundOnlyModel": "embench.records.scores",
    "Gap": "embench.records.scores",
    "Result": "embench.statistics.result",
    "Score": "embench.records.scores",
    "Scores": "embench.records.scores",
    "audit": "embench.python.records",
    "baselines": "embench.python.grids",
    "benchmark": "embench.python.running",
    "board": "embench.python.records",
    "compare": "embench.statistics.comparison",
    "dataset": "embench.python.records",
    "encoder": "embench.python.networks",
    "features": "embench.python.windows",
    "grid": "embench.python.grids",
    "hookimpl": "embench.registry.loading",
    "load": "embench.registry",
    "names": "embench.registry",
    "network": "embench.python.networks",
    "open": "embench.python.records",
    "predict": "embench.python.records",
    "run": "embench.python.running",
    "score": "embench.python.records",
    "splitter": "embench.python.windows",
    "synthesize": "embench.python.records",
    "tune": "embench.python.grids",
    "windows": "embench.python.windows",
    "write_report": "embench.python.records",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604  a list of texts, in the one place that has them


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            from embench.system import explain_missing_library

            raise explain_missing_library(error) or error from error
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    raise AttributeError(f"module 'embench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
