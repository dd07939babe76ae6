"""On made-up subjects with sessions of many lengths, clocks seldom seem to find something, and effects are found."""

from __future__ import annotations

from itertools import islice

import pytest

from ..attacks.clocks import CLOCKS
from ..attacks.unseen import UNSEEN
from ..sample import WHOLE
from . import sessions
from .sequential import wrong
from .sessions import findings, powers

SETS, MOST = (200, 0.035) if WHOLE else (4, 0.5)
"""Of four sets, a clock with the promised rate is above .5 in three once in 15,000 times."""
ALL = CLOCKS | UNSEEN


@pytest.mark.slow
@pytest.mark.parametrize("clocks", [(name,) for name in ALL] if WHOLE else [tuple(CLOCKS)], ids="-".join)
def test_clocks_and_their_negatives_seldom_lie_above_chance(
    clocks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the sample, clocks are fitted for one seed."""
    monkeypatch.setattr(sessions, "SEEDS", sessions.SEEDS if WHOLE else 1)
    names = [name + what for name in clocks for what in ("", ", negated")]
    trials = findings({name: ALL[name] for name in clocks})
    assert not wrong(trials, dict.fromkeys(names, (0.0, MOST)), most=SETS)


@pytest.mark.slow
def test_an_effect_is_found_on_enough_subjects_and_few_are_no_reason_to_say_anything() -> None:
    many = list(islice(powers(40, wide=False, within=0.72), 10))
    assert sum(trial["new"] for trial in many) >= 5
    assert not any(trial["not estimable"] for trial in many)
    few = list(islice(powers(12, wide=True, within=0.72), 10))
    assert sum(trial["not estimable"] for trial in few) >= 5
