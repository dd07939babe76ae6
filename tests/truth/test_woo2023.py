"""The method of Woo et al. 2023 on generated subjects: its encoder under its fusion finds a heart that follows arousal,
and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..sample import WHOLE, proof
from ..tiny.world import few_folds


@pytest.mark.slow
@pytest.mark.parametrize("effect", [1.0, pytest.param(0.0, marks=proof)])
def test_modality_aware_unets_find_what_is_planted_only(
    data: Callable, run: Callable, p_value: Callable, effect: float, tmp_path: Path
) -> None:
    """The sample is twelve subjects in two folds, with trials half as long."""
    root = data(subjects=20 if WHOLE else 12, seed=0, effect=effect, length_s=40.0 if WHOLE else 20.0)
    method = {"encoder": "unet_se", "fusion": "modality_aware", "modalities": "ecg,eeg", "target": "arousal"}
    result = run(root, **method, **({} if WHOLE else {"protocol": few_folds(tmp_path, 2)}))
    scores = result.scores["scores"]["arousal"]["auroc_within"]
    print(scores, result.manifest["cost"])
    if effect:
        assert scores["mean"] > 0.7
        assert scores["low"] > 0.5
    else:
        assert p_value(result) > 0.01
