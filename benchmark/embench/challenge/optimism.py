"""By how much the best of several teams scores too high, since it was chosen for its score."""

from __future__ import annotations

import numpy as np

TEAMS = (3, 10, 100)
"""Numbers of teams for which the optimism of the best is reported."""


def expected_maximum(teams: int) -> float:
    """Return the expected largest of independent standard normal values, by numerical integration.

    >>> [round(expected_maximum(n), 2) for n in (1, 3, 10, 100)]
    [0.0, 0.85, 1.54, 2.51]
    """
    from scipy.special import ndtr

    x = np.linspace(-9.0, 9.0, 20_001)
    return float(np.trapezoid(1 - ndtr(x) ** teams, x) + x[0])


def best_of(error: float) -> dict[int, float]:
    """Return number of teams -> expected excess of the best score over its expectation on new subjects, if all teams
    were equally good and their errors independent. That is the worst case: teams that err alike gain less.

    Args:
        error: standard error of one team's score.
    """
    return {teams: expected_maximum(teams) * error for teams in TEAMS}


def describe_best_of(error: float) -> str:
    """Return a sentence on the optimism of the best of several teams.

    >>> describe_best_of(0.04)  # doctest: +ELLIPSIS
    'By chance, the best of 3 equally good teams would score too high by up to 0.03; of 10, by up to 0.06; of 100, ...
    """
    (fewest, excess), *more = best_of(error).items()
    others = "".join(f"; of {teams}, by up to {excess:.2f}" for teams, excess in more)
    return f"By chance, the best of {fewest} equally good teams would score too high by up to {excess:.2f}{others}."
