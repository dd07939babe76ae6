"""Files of a run: predictions, labels, folds, scores, manifest, ledger and audits. Here: the context of predictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from embench.interfaces.units import View


# Time context of predictions: other units of a test session that reach one. Imports little, for fast commands.

TimeContext = Literal["unit", "causal", "offline"]


def context_of(views: Iterable[View | None]) -> TimeContext:
    """The other units that reach a prediction of methods with these views, since embench hands them one unit at a time
    and refuses those that predict it otherwise in a batch: of a context, the samples before the unit, too."""
    return "causal" if any(view is not None and view.kind == "context" for view in views) else "unit"
