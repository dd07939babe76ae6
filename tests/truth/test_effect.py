"""Where heart rate follows arousal, features and networks find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FOUND = {
    "handcrafted": {"fusion": "logreg"},
    # 500 rows are 8 batches of 64, too few steps to learn what a heart beat is: a quarter of that, four times as many.
    "cnn_tf": {"fusion": "single", "settings": ("encoder.batch=16",)},
}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", FOUND)
def test_heart_rate_that_follows_arousal_is_found(data: Callable, run: Callable, encoder: str) -> None:
    root = data(subjects=20, seed=0, effect=1.0, trial_s=40.0)
    result = run(root, encoder=encoder, modalities="ecg", target="arousal", **FOUND[encoder])
    scores: dict[str, Any] = result.scores["scores"]["arousal"]
    print(encoder, scores["auroc_within"], scores["auroc"], result.manifest["cost"])
    assert scores["auroc_within"]["mean"] > 0.7
    assert scores["auroc_within"]["low"] > 0.5
    assert result.scores["differences"]["majority"]["arousal"]["clears"]
