"""A label that is a function of the person alone: nothing to be learnt about new people, everything about known ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embench.protocols import BUNDLED

SETS = range(6)


@pytest.mark.slow
def test_nothing_is_found_about_new_people(data: Callable, run: Callable) -> None:
    """Features lie at 0 on average for everybody, so what is left of a person is chance; `auroc` is over people, of
    whom a set has few: only the mean over sets can lie close to .5."""
    found = []
    for seed in SETS:
        root = data(f"set{seed}", subjects=20, seed=seed, effect=1.0, trial_s=20.0, person_label=True)
        scores = run(root, encoder="handcrafted", fusion="logreg", modalities="ecg,eda", target="arousal").scores
        assert scores["headlines"] == {"arousal": "auroc_within"}
        assert scores["scores"]["arousal"]["auroc_within"] == {"undefined": "no test person has both classes"}
        found.append(scores["scores"]["arousal"]["auroc"])
    print([(round(number["mean"], 3), round(number["low"], 3), round(number["high"], 3)) for number in found])
    assert sum(number["low"] <= 0.5 <= number["high"] for number in found) >= len(SETS) - 1
    assert sum(number["mean"] for number in found) / len(SETS) == pytest.approx(0.5, abs=0.05)
