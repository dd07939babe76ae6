"""`multirocket`: pooled values by hand, outputs by plain loops, what does not matter to them, and a planted effect."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench_plugins.encoders.multirocket import KERNELS, MultiRocket, pool_outputs

RATE = 128.0
READER = MultiRocket(MultiRocket.recipes["paper"])
TEN_S = np.stack([np.arange(4) * 10.0, np.arange(4) * 10.0 + 10.0], 1)


def signal(modality, x, rate=RATE):
    return Signal(np.asarray(x, np.float32), rate, tuple(f"c{k}" for k in range(len(x))), "uV", modality=modality)


def walk(seconds=40, channels=1, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(size=(channels, round(seconds * RATE))), axis=1)


def by_part(row):
    """A feature row as (series and difference, dilations, pooled values, kernels)."""
    return row.reshape(2, -1, 4, len(KERNELS))


def test_pooled_values_by_hand():
    output = np.array([[0.0, 2.0, 3.0, -1.0, 5.0, 0.0, 0.0, 0.0], [0.0] * 8])
    found = pool_outputs(output, np.array([1.0, 1.0]))
    np.testing.assert_allclose(found[:, 0], [3 / 8, (1 + 2 + 4) / 3, (1 + 2 + 4) / 3 / 8, 2 / 8])
    assert found[:, 1].tolist() == [0.0, 0.0, -1.0, 0.0]


def test_values_are_those_of_plain_loops():
    """Of one channel at dilation 4, whose even kernels see the zeros beside the series."""
    x = walk(10).astype(np.float32)
    found = by_part(READER.features(signal("ecg", x), TEN_S[:1])[0])[0, 2]
    series = (x[0] - x[0].mean(dtype=np.float64)) / x[0].std(dtype=np.float64)
    for kernel, high in list(enumerate(combinations(range(9), 3)))[:4]:
        output = np.zeros(len(series))
        for tap in range(9):
            for t in range(len(series)):
                at = t + (tap - 4) * 4
                if 0 <= at < len(series):
                    output[t] += (2 if tap in high else -1) * series[at]
        if kernel % 2:
            output = output[16:-16]
        quantile = (2 * 84 + kernel + 1) * (np.sqrt(5) + 1) / 2 % 1
        expected = pool_outputs(output[None], norm.ppf([quantile]) * output.std())[:, 0]
        np.testing.assert_allclose(found[:, kernel], expected, rtol=1e-3, atol=2 / len(output))


def test_scale_and_offset_of_a_channel_do_not_matter():
    x = walk(channels=3)
    other = READER.features(signal("acc", x * [[4], [0.5], [2]] + [[8], [0], [-64]]), TEN_S)
    np.testing.assert_allclose(other, READER.features(signal("acc", x), TEN_S), rtol=0.01, atol=0.01)


def test_a_planted_change_of_rhythm_shows():
    t = np.arange(round(40 * RATE)) / RATE
    x = np.where(t < 20, np.sin(2 * np.pi * t), np.sin(2 * np.pi * 4 * t)) + np.random.default_rng(0).normal(
        size=len(t)
    )
    found = READER.features(signal("ecg", x[None]), TEN_S)
    within = np.abs(found[[0, 2]] - found[[1, 3]]).max(0)
    assert (np.abs(found[:2].mean(0) - found[2:].mean(0)) > 3 * within).mean() > 0.1


def test_every_channel_is_read():
    x = walk(10, channels=14)
    before = READER.features(signal("eeg", x), TEN_S[:1])
    for channel in range(14):
        changed = x.copy()
        changed[channel] = walk(10, seed=7)[0]
        assert (READER.features(signal("eeg", changed), TEN_S[:1]) != before).mean() > 0.05


def test_a_longer_span_of_the_same_wave_has_about_the_same_values():
    noise = np.random.default_rng(0).normal(size=(1, round(120 * RATE)))
    found = READER.features(signal("ecg", noise), np.array([[0.0, 60.0], [0.0, 120.0]]))
    ppv, place = by_part(found[0] - found[1])[:, :, 0], by_part(found[0] - found[1])[:, :, 2]
    assert np.abs(ppv).max() < 0.03
    assert np.median(np.abs(place)) < 0.03


def test_dilations_follow_the_rate_of_the_modality():
    x = walk()
    widths = {m: READER.features(signal(m, x), TEN_S).shape[1] // (2 * 4 * 84) for m in ("ecg", "ppg", "eda")}
    assert widths == {"ecg": 8, "ppg": 6, "eda": 3}


def test_what_cannot_be_computed_is_missing_and_the_rest_is_finite():
    x = walk(channels=2)
    x[1] = 3.0
    x[0, round(15 * RATE)] = np.nan
    spans = np.array([[0.0, 10.0], [10.0, 20.0], [20.0, 30.0], [20.0, 20.05], [20.0, 20.3], [5.0, 5.0]])
    found = READER.features(signal("eeg", x), spans)
    assert np.isnan(found).all(1).tolist() == [False, True, False, True, False, True]
    assert np.isfinite(found[[0, 2, 4]]).all()
    assert np.isnan(READER.features(signal("ecg", np.ones((1, 1280))), spans[:1])).all()


def test_a_span_has_the_same_values_whatever_other_spans_there_are():
    x = signal("eeg", walk(channels=6))
    alone = np.concatenate([READER.features(x, span[None]) for span in TEN_S])
    np.testing.assert_array_equal(alone, READER.features(x, TEN_S))


def test_faces_as_pictures_are_refused():
    with pytest.raises(UsageError, match="no features of 'video'"):
        READER.feature_names("video", ("rgb",))
