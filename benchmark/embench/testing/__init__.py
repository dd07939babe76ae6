"""Conformance checks that any plugin package can run on its own classes.

Each takes a class and raises `CheckFailed`, which says what was expected and what was found:

    from embench.testing import check_encoder

    def test_conforms():
        check_encoder(MyEncoder)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from embench.errors import CheckFailed, UsageError
from embench.testing.datasets import check_dataset
from embench.testing.encoders import check_encoder, check_pretrainer
from embench.testing.fusions import check_estimator, check_fusion, check_metric, check_observer

# Entry point of all checks, by kind of plugin.

_CHECKS: dict[str, Callable[[type[Any]], None]] = {
    "encoder": check_encoder,
    "fusion": check_fusion,
    "metric": check_metric,
    "observer": check_observer,
    "pretrainer": check_pretrainer,
}


def check(kind: str, cls: type[Any], root: Path | None = None) -> None:
    """Run the check of a kind on a class.

    Args:
        root: folder of a dataset's files; required for datasets only.

    Raises:
        CheckFailed: with the expected and the found behaviour.
        UsageError: a dataset comes without a folder, or the kind is unknown.

    >>> from embench import load_plugin
    >>> check("metric", load_plugin("metric", "accuracy"))  # conforms: nothing is raised
    """
    if kind == "dataset":
        if root is None:
            raise UsageError("a dataset check requires a folder of its files", expected="root")
        check_dataset(cls, root)
    elif kind in _CHECKS:
        _CHECKS[kind](cls)
    else:
        raise UsageError(f"`{kind}` is not a kind of plugin", expected=", ".join((*_CHECKS, "dataset")))


__all__ = [
    "CheckFailed",
    "check",
    "check_dataset",
    "check_encoder",
    "check_estimator",
    "check_fusion",
    "check_metric",
    "check_observer",
    "check_pretrainer",
]
