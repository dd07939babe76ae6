"""Where the body follows the rating, features and networks find it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embench.runs.run import Result

from ..sample import WHOLE, proof
from ..tiny.world import few_folds


@pytest.mark.slow
def test_features_find_heart_rate_that_follows_arousal(data: Callable, run: Callable, tmp_path: Path) -> None:
    """The sample is the twelve subjects of `test_woo2023`, in three folds."""
    root = data(subjects=20 if WHOLE else 12, seed=0, effect=1.0, length_s=40.0 if WHOLE else 20.0)
    folds = {} if WHOLE else {"protocol": few_folds(tmp_path, 3)}
    found(run(root, encoder="handcrafted", fusion="logreg", modalities="ecg", target="arousal", **folds))


@proof
@pytest.mark.slow
def test_a_network_finds_alpha_asymmetry_that_follows_valence(data: Callable, run: Callable) -> None:
    """Not heart rate: a network that sees a beat's absolute rate learns mostly who somebody is, since subjects' rates
    differ two and a half times as much as one subject's trials."""
    root = data(subjects=40, seed=0, effect=1.0, length_s=40.0)
    found(run(root, encoder="cnn_tf", fusion="single", modalities="eeg", target="valence"))


def found(result: Result) -> None:
    (target,) = result.manifest["targets"]
    scores = result.scores["scores"][target]
    print(scores["auroc_within"], scores["auroc"], result.manifest["cost"])
    assert scores["auroc_within"]["mean"] > 0.7
    assert scores["auroc_within"]["low"] > 0.5
    assert scores[result.scores["primary_metrics"][target]]["low"] > 0.5
