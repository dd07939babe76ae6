"""Clock features of a unit: smooth functions of the time since the session's start, of the place in the session, and of
the time to its end."""

from __future__ import annotations

import numpy as np

from embench.statistics.nuisance.sessions import Sessions

KNOTS = np.linspace(0, 1, 14)
BUMP_WIDTH = 0.06
"""Width of the bumps, as a share of the longest session."""


def basis(sessions: Sessions) -> np.ndarray:
    """(n, 42) bumps of height 1 over three clocks."""
    start, length = sessions.start, sessions.length
    longest = length.max()
    clocks = (start / longest, start / length, (length - start) / longest)
    return np.hstack([np.exp(-0.5 * ((clock[:, None] - KNOTS) / BUMP_WIDTH) ** 2) for clock in clocks])


def places(sessions: Sessions) -> np.ndarray:
    """(n, 4) the time since the start in s, as a share of the session, to its end in s, and its length in s."""
    start, length = sessions.start, sessions.length
    return np.stack([start, start / length, length - start, length], axis=1)
