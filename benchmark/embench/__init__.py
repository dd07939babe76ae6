"""embench: one benchmark for emotion and affect recognition from physiological signals and video.

Names are resolved when they are used, so that importing the package costs nothing and pulls in no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embench.python.grids import run_baselines as run_baselines
    from embench.python.grids import run_grid as run_grid
    from embench.python.grids import tune as tune
    from embench.python.networks import configure_encoder as configure_encoder
    from embench.python.networks import make_encoder as make_encoder
    from embench.python.records import audit as audit
    from embench.python.records import open_dataset as open_dataset
    from embench.python.records import open_result as open_result
    from embench.python.records import predict as predict
    from embench.python.records import read_leaderboards as read_leaderboards
    from embench.python.records import score as score
    from embench.python.records import synthesize as synthesize
    from embench.python.records import write_report as write_report
    from embench.python.running import benchmark as benchmark
    from embench.python.running import run as run
    from embench.python.windows import compute_features as compute_features
    from embench.python.windows import load_windows as load_windows
    from embench.python.windows import make_splitter as make_splitter
    from embench.records.scores import ConfoundOnlyModel as ConfoundOnlyModel
    from embench.records.scores import Gap as Gap
    from embench.records.scores import Score as Score
    from embench.records.scores import Scores as Scores
    from embench.registry import list_plugins as list_plugins
    from embench.registry import load_plugin as load_plugin
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
    "run_baselines": "embench.python.grids",
    "benchmark": "embench.python.running",
    "read_leaderboards": "embench.python.records",
    "compare": "embench.statistics.comparison",
    "open_dataset": "embench.python.records",
    "configure_encoder": "embench.python.networks",
    "compute_features": "embench.python.windows",
    "run_grid": "embench.python.grids",
    "hookimpl": "embench.registry.loading",
    "load_plugin": "embench.registry",
    "list_plugins": "embench.registry",
    "make_encoder": "embench.python.networks",
    "open_result": "embench.python.records",
    "predict": "embench.python.records",
    "run": "embench.python.running",
    "score": "embench.python.records",
    "make_splitter": "embench.python.windows",
    "synthesize": "embench.python.records",
    "tune": "embench.python.grids",
    "load_windows": "embench.python.windows",
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
