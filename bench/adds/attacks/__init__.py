"""Scores that must not add anything to movement and clocks, since they are made of nothing else.

They were written before the verdict that they test. Each theme is a module with a function `attacks(study)`; whatever
learns labels learns them in the study's folds, never a subject's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Sees = Literal["unit", "session"]
"""Signals on which a unit's score depends: those of that unit, as normalised within its subject, or of others too."""
Held = Literal["movement", "contact", "events"]
"""Controls that should stop an attack: movement and clocks; contact with the skin too; or none, since button presses
are where labels begin and end."""


@dataclass(frozen=True, eq=False)
class Attack:
    """Scores (S, n) of a study's units; `name` is `theme: what it is`."""

    name: str
    scores: np.ndarray
    sees: Sees = "session"
    held: Held = "movement"
