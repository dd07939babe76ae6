"""`catch22`: the library's own values, at the rate of the modality, and nothing where there is nothing to compute."""

import sys

import numpy as np
import pycatch22
import pytest

from embench.errors import MachineError, UsageError
from embench.interfaces.recording import Signal
from embench.signals.resample import resample
from embench_plugins.encoders.catch22 import NAMES, Catch22

READER = Catch22(Catch22.recipes["paper"])
RATE = 128.0


def signal(modality, *rows, rate=RATE):
    names = tuple(f"c{k}" for k in range(len(rows)))
    return Signal(np.stack(rows).astype(np.float32), rate, names, "uV", modality=modality)


def noise(seconds, rate=RATE, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, round(seconds * rate)))


def walk(seconds, **kwargs):
    """Noise whose neighbours resemble each other."""
    return np.cumsum(noise(seconds, **kwargs), axis=1)


def shape(found):
    return found[:, : len(NAMES) - 2]


def test_values_and_their_names_are_those_of_the_library():
    x = signal("ecg", *walk(30, channels=2))
    found = READER.features(x, np.array([[5.0, 15.0]]))[0].reshape(2, -1)
    for channel, row in zip(x.data, found, strict=True):
        cut = channel[round(5 * RATE) : round(15 * RATE)].astype(np.float64)
        theirs = pycatch22.catch22_all(cut.tolist(), catch24=True, short_names=True)
        np.testing.assert_allclose(row, theirs["values"], rtol=1e-6)
        assert (*theirs["short_names"][:-1], "sd") == NAMES
        np.testing.assert_allclose(row[-2:], [cut.mean(), cut.std(ddof=1)], rtol=1e-5)
    names = READER.feature_names("ecg", x.channels)
    assert (names[0], names[24], names[-1]) == ("c0_mode_5", "c1_mode_5", "c1_sd")


def test_slow_signals_are_described_at_a_slow_rate():
    x = np.cumsum(noise(60, rate=4.0), axis=1).astype(np.float32)
    spans = np.array([[10.0, 50.0]])
    slow = READER.features(signal("eda", *x, rate=4.0), spans)
    fast = READER.features(signal("eda", *resample(x, 4.0, RATE)), spans)
    lag = NAMES.index("acf_timescale")
    np.testing.assert_allclose(fast[0, lag], slow[0, lag], atol=1.0)
    np.testing.assert_allclose(fast[0, -2:], slow[0, -2:], rtol=0.05)


def test_scale_and_offset_change_mean_and_sd_only():
    x = walk(20).astype(np.float32)
    spans = np.array([[0.0, 10.0], [10.0, 20.0]])
    one, other = READER.features(signal("ecg", *x), spans), READER.features(signal("ecg", *(4 * x + 8)), spans)
    np.testing.assert_allclose(shape(other), shape(one), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other[:, -2:], 4 * one[:, -2:] + [8, 0], rtol=1e-4)


def test_a_planted_change_of_rhythm_shows_where_mean_and_sd_are_equal():
    t = np.arange(round(40 * RATE)) / RATE
    slow, fast = np.sin(2 * np.pi * 1.0 * t), np.sin(2 * np.pi * 4.0 * t)
    x = np.where(t < 20, slow, fast) + 0.1 * noise(40)
    spans = np.array([[k, k + 10.0] for k in (0.0, 10.0, 20.0, 30.0)])
    found = dict(zip(NAMES, READER.features(signal("ecg", *x), spans).T, strict=True))
    np.testing.assert_allclose(found["sd"], 0.71, atol=0.02)
    assert found["acf_timescale"][:2].min() > 2 * found["acf_timescale"][2:].max()
    assert found["median_freq"][:2].max() < found["median_freq"][2:].min()


def test_spans_of_lost_samples_have_no_values_and_others_do_not_notice():
    x = walk(60, channels=2).astype(np.float32)
    spans = np.array([[0.0, 20.0], [20.0, 40.0], [40.0, 60.0]])
    for modality in ("ecg", "eda"):  # at the rate of the signal, and resampled
        whole = READER.features(signal(modality, *x), spans)
        broken = signal(modality, *x)
        broken.data[1, round(25 * RATE) : round(30 * RATE)] = np.nan
        found = READER.features(broken, spans)
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[[0, 2], -2:], whole[[0, 2], -2:], rtol=1e-2)
        assert np.isfinite(found[[0, 2]]).all()
    np.testing.assert_array_equal(READER.features(signal("ecg", np.full(2560, np.nan)), spans[:1]), np.nan)


def test_a_constant_or_very_short_span_has_mean_and_sd_only():
    flat = signal("ecg", np.full(1280, 3.0))
    found = READER.features(flat, np.array([[0.0, 10.0]]))
    assert np.isnan(shape(found)).all()
    np.testing.assert_array_equal(found[0, -2:], [3.0, 0.0])
    eda = READER.features(signal("eda", *walk(20)), np.array([[0.0, 1.0], [0.0, 20.0], [3.0, 3.0]]))
    assert np.isnan(shape(eda[:1])).all()
    assert np.isfinite(eda[0, -2:]).all()
    assert np.isfinite(eda[1]).all()
    assert np.isnan(eda[2]).all()


def test_a_missing_library_is_reported_when_a_run_is_planned(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycatch22", None)
    with pytest.raises(MachineError, match="pycatch22 is not installed") as caught:
        READER.assets()
    assert "pip install pycatch22" in str(caught.value.hint)


def test_faces_as_pictures_are_refused():
    with pytest.raises(UsageError, match="no features of 'video'"):
        READER.feature_names("video", ("rgb",))
