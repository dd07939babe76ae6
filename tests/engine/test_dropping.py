"""Features that can only mislead are named and left out before anything is fitted, by what the training units say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from embench.engine.feed import Data, FeatureFeed, drop_misleading, dropped_names, dropping_notes, mask_dropped_features
from embench.engine.rows import anchors
from embench.errors import DataError
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.store import Span

N = 40
LENGTHS = 640 + 64 * (np.arange(N) % 8)
"""Samples of 40 recordings, of eight lengths."""


def store(lengths: np.ndarray = LENGTHS) -> Any:
    recordings = tuple(SimpleNamespace(id=f"r{i}", spans={"ecg": Span(0, int(n), 0.0)}) for i, n in enumerate(lengths))
    entry = SimpleNamespace(channels=("ecg",), rate=64.0, unit="mV")
    return SimpleNamespace(
        key="k", name="s", modalities={"ecg": entry}, recordings=recordings, array=lambda *_: np.zeros((1, 1))
    )


def drop(train: int = N, scaled: bool = True, of: Any = None, **columns: np.ndarray) -> Any:
    """What is left of these features of a unit for each recording, of which the first `train` train."""
    table = np.stack([np.broadcast_to(np.asarray(c, np.float32), (N,)) for c in columns.values()], 1)
    feed = FeatureFeed(torch.from_numpy(table.copy()), np.ones(N, bool), "cpu")
    grid = anchors(View("unit"), np.arange(N), np.zeros(N), LENGTHS / 64)
    spec = InputSpec("ecg", (len(columns),), tuple(columns))
    data = Data({"ecg": feed}, N, "cpu")
    among = frozenset({"ecg"} if scaled else ())
    data, specs = drop_misleading(data, {"ecg": spec}, of or store(), grid, np.arange(train), among)
    return data.feeds["ecg"].array.numpy(), specs


RNG = np.random.default_rng(0)
FINE = {f"fine{i}": RNG.normal(size=N) for i in range(6)}


def test_what_z_scoring_leaves_of_means_and_sds_is_dropped_and_named() -> None:
    rounding = 1.5e-9 * RNG.normal(size=N)
    left, specs = drop(**FINE, mean=rounding, sd=np.sqrt(LENGTHS / (LENGTHS - 1)))
    assert np.isnan(left[:, 6:]).all()
    assert np.isfinite(left[:, :6]).all()
    assert dropped_names(specs) == {
        "ecg": {
            "mean": {"id": "constant_feature"},
            "sd": {"id": "follows_length"},
        }
    }
    (note,) = dropping_notes(specs)
    assert "2 of 8 features of ecg" in note
    assert "constant over the training units: mean" in note


def test_test_units_have_no_say() -> None:
    values = np.where(np.arange(N) < 30, 2.0, RNG.normal(size=N))
    left, _ = drop(train=30, **FINE, same=values)
    assert np.isnan(left[:, 6]).all()


def test_small_values_of_raw_signals_are_no_rounding() -> None:
    small = 1e-9 * (1 + 0.1 * RNG.normal(size=N))
    left, specs = drop(scaled=False, **FINE, small=small)
    assert np.isfinite(left).all()
    assert dropped_names(specs) == {}


def test_a_feature_that_also_tells_something_else_stays() -> None:
    seconds = LENGTHS / 64
    left, _ = drop(**FINE, partly=seconds + 0.3 * seconds.std() * RNG.normal(size=N))
    assert np.isfinite(left).all()


@pytest.mark.parametrize("lengths", [640 + 64 * (np.arange(N) % 4), np.full(N, 640)])
def test_few_lengths_prove_nothing(lengths: np.ndarray) -> None:
    left, _ = drop(of=store(lengths), **FINE, count=lengths + 1e-3 * RNG.normal(size=N))
    assert np.isfinite(left).all()


def test_few_units_prove_nothing() -> None:
    left, specs = drop(train=19, **FINE, same=1.0)
    assert np.isfinite(left).all()
    assert specs["ecg"].fitted == {}


def test_values_that_are_missing_throughout_are_none_of_its_business() -> None:
    _, specs = drop(**FINE, nothing=np.nan)
    assert dropped_names(specs) == {}


def test_a_modality_of_which_most_would_go_is_refused() -> None:
    with pytest.raises(DataError, match="4 of 7 features of ecg carry no information") as error:
        drop(**{name: FINE[name] for name in ("fine0", "fine1", "fine2")}, a=0.0, b=1.0, c=LENGTHS, d=-LENGTHS)
    assert "a function of the length of the recording: c, d" in error.value.what
    assert "subject-independent-v4" in str(error.value.hint)


def test_a_fitted_models_features_are_left_out_wherever_it_predicts() -> None:
    _, specs = drop(**FINE, same=1.0)
    feed = FeatureFeed(torch.ones(3, 7), np.ones(3, bool), "cpu")
    left = mask_dropped_features(feed, specs["ecg"]).array
    assert left.isnan().any(0).tolist() == [False] * 6 + [True]
    assert feed.array.isfinite().all()
