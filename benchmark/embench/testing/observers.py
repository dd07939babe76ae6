"""The conformance of observers."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from typing import Any

from embench.errors import CheckFailed
from embench.registry.loading import Observers
from embench.testing.require import Check, leaves_no_trace

_RUN = {"id": "r", "dataset": "amigos"}
_STAGE = {"id": "0" * 20, "kind": "fusion", "fold": 0, "seed": 0, "target": "arousal", "runs": ["r"]}
_SCORES = {
    "headlines": {"arousal": "auroc_within"},
    "scores": {"arousal": {"auroc_within": {"mean": 0.5, "std": 0.1, "low": 0.4, "high": 0.6}}},
    "controls": {},
    "differences": {},
    "cleared_all": False,
    "not_cleared": [],
}


@leaves_no_trace
def check_observer(cls: type[Any]) -> None:
    """Checks that an observer can be made without arguments, watches hooks that there are, and gets through a run. It
    works in an empty folder, which is deleted afterwards.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    check = Check(cls)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty, contextlib.chdir(empty):
        with check.during("made without arguments"):
            observers = Observers([cls()])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check.sets_no_seed(lambda: _watch(observers), "watching")
    if caught:
        raise CheckFailed(str(caught[0].message), where=check.where, expected="hooks that do not raise")


def _watch(observers: Observers) -> None:
    observers.tell("run_started", run=_RUN)
    observers.tell("stage_started", stage=_STAGE)
    observers.tell("epoch_ended", stage=_STAGE, epoch=1, figures={"loss": 0.7})
    observers.tell("stage_ended", stage=_STAGE, figures={"seconds": 1.0})
    observers.tell("run_ended", run=_RUN, scores=_SCORES)
