"""On real subjects whose tasks came in one order: no clock of any shape, nor its negative, nor a method mixed with one,
is worth more than it is without the signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embench.records.record import read_record

from ..sample import WHOLE
from .attack import Arena
from .clocks import CLOCKS
from .unseen import UNSEEN

BOARD = Path(__file__).parents[2] / "leaderboards" / "stress_predict" / "subject-independent-v4"
pytestmark = pytest.mark.slow

CONFOUND_ONLY = ("prior", "elapsed_time", "movement", "session_position")
"""The other ones say the same of all units of a session, as `prior` does."""

ALL = CLOCKS | UNSEEN

WEIGHTS = (0.1, 0.3, 0.6, 1.0, 3.0) if WHOLE else (0.3,)
"""How much of a clock is added to a method, both in standard deviations of their logits."""


@pytest.fixture(scope="module")
def arena() -> Arena:
    """A published method on all subjects who have labels."""
    made = Arena(read_record(BOARD / "handcrafted-logreg-3cd485d6e9"))
    assert made.name == "auroc_crossed_matched"
    return made


@pytest.fixture(scope="module", params=ALL if WHOLE else ("share", "everything"))
def clock(request, arena) -> np.ndarray:
    return arena.clock(ALL[request.param])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_is_at_chance_and_above_no_control(arena, clock, sign) -> None:
    made = arena.score(sign * clock)
    below = [name for name in CONFOUND_ONLY if arena.above(made, arena.confound_only[name]).low > 0]
    print(f"{made.primary_metric.mean:.3f} [{made.primary_metric.low:.3f}, {made.primary_metric.high:.3f}]")
    assert abs(made.primary_metric.mean - 0.5) < 0.02
    assert made.primary_metric.low <= 0.5 <= made.primary_metric.high
    assert not below


@pytest.mark.parametrize("sign", [1, -1])
def test_a_method_gains_nothing_from_a_clock(arena, clock, sign) -> None:
    alone = arena.score(arena.method)
    for weight in WEIGHTS:
        gain = arena.above(arena.score(arena.method + sign * weight * clock), alone)
        print(f"{weight}: {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
        assert gain.mean <= 0.005 or gain.low <= 0, f"{weight} of the clock adds {gain.mean:.3f}"
