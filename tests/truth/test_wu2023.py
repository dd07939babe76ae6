"""The method of Wu et al. 2023 on generated subjects: its encoders under its fusion, pretrained its way, tell from
skin, pulse and temperature how aroused somebody was; and nothing where nothing is.

DEAP, whose trials of a minute come in another order for all subjects. On generated WESAD and Stress-Predict, where the
order is fixed, `small` stayed below .7 on the primary metric (15 and 35 subjects); why was not looked into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ..sample import WHOLE, proof
from ..tiny.world import few_folds

METHOD = {
    "encoder": "tcn",
    "fusion": "shared_tf",
    "pretrainer": "signal_transform",
    "modalities": "eda,ppg,temp",
}


@proof
@pytest.mark.slow
def test_skin_pulse_and_temperature_tell_arousal(on_deap: Callable) -> None:
    found = on_deap(METHOD, subjects=24, seed=0, effect=1.0, length_s=63.0)
    assert found["mean"] > 0.7
    assert found["low"] > 0.5


@pytest.mark.slow
def test_they_tell_nothing_where_nothing_is_planted(on_deap: Callable, tmp_path: Path) -> None:
    """Five sets of eight subjects with 40 trials. Sets lie about .05 apart, so their mean has an SD of about .025: .06
    is passed by chance in one of 60 choices of seeds. The sample is one set of six in two folds, of trials and views of
    some seconds, after few epochs of the pretext task, which sees no label."""
    sets, made = (5, {"subjects": 8, "length_s": 63.0}) if WHOLE else (1, {"subjects": 6, "length_s": 13.0})
    short = [] if WHOLE else ["encoder.view.length_s=10", "pretrainer.epochs=2", "pretrainer.warmup=0"]
    method = {**METHOD, "set": short, **({} if WHOLE else {"protocol": few_folds(tmp_path, 2)})}
    means = [on_deap(method, **made, seed=seed, effect=0.0)["mean"] for seed in range(sets)]
    print(means)
    assert abs(np.mean(means) - 0.5) < 0.134 / sets**0.5
