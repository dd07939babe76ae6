"""Files of a run: predictions, labels, folds, scores, manifest, ledger and audits. Here: the context of predictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from embench.interfaces.units import View


TimeContext = Literal["unit", "causal", "offline"]
"""The other units of a test session that influence a prediction: none, earlier ones, or all."""


def find_time_context(views: Iterable[View | None]) -> TimeContext:
    """Return the time context of a method with these views: `causal` if a view of kind `context` adds earlier samples,
    else `unit`. Methods whose prediction depends on other units in the batch are refused elsewhere."""
    return "causal" if any(view is not None and view.kind == "context" for view in views) else "unit"
