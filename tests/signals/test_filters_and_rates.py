"""Filters keep phase and place, rate conversion keeps time and length, whatever the signal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.signals import filters
from embench.signals.resample import length_after, resample, resample_linear


def tone(hz, rate, seconds=20.0, offset=0.0):
    return (offset + np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate))[None].astype(np.float32)


def middle(x, share=0.25):
    cut = int(x.shape[-1] * share)
    return x[..., cut : x.shape[-1] - cut]


@pytest.mark.parametrize(
    ("make", "kept", "gone"),
    [
        (lambda x: filters.lowpass(x, 128, 3.0, 4), 0.5, 20.0),
        (lambda x: filters.highpass(x, 128, 4.0, 4), 20.0, 0.5),
        (lambda x: filters.bandpass(x, 128, (0.5, 8.0), 3), 2.0, 30.0),
        (lambda x: filters.notch(x, 128, 50.0), 20.0, 50.0),
    ],
)
def test_filters_pass_their_band_without_shift_and_stop_the_rest(make, kept, gone):
    np.testing.assert_allclose(middle(make(tone(kept, 128))), middle(tone(kept, 128)), atol=0.02)
    assert np.abs(middle(make(tone(gone, 128)))).max() < 0.02
    assert make(tone(kept, 128)).dtype == np.float32


@pytest.mark.parametrize("samples", [1, 2, 5, 30])
def test_filters_take_signals_shorter_than_they_reflect(samples):
    x = np.random.default_rng(0).normal(size=(2, samples)).astype(np.float32)
    for y in (
        filters.bandpass(x, 128, (0.5, 8), 3),
        filters.lowpass(x, 128, 3, 4),
        filters.notch(x, 128, 50),
        filters.envelope(x),
    ):
        assert y.shape == x.shape
        assert np.isfinite(y).all()


def test_constants_stay_exactly_constant():
    x = np.full((1, 4000), 33.123, np.float32)
    assert (filters.lowpass(x, 128, 3, 4) == x).all()
    assert (filters.bandpass(x, 128, (0.5, 8), 3) == 0).all()
    assert (resample(x, 4, 128) == x[0, 0]).all()


def test_the_envelope_follows_the_amplitude():
    t = np.arange(128 * 20) / 128
    size = 1 + 0.5 * np.sin(2 * np.pi * 0.3 * t)
    found = filters.envelope((size * np.sin(2 * np.pi * 30 * t))[None])
    np.testing.assert_allclose(middle(found)[0], middle(size), atol=0.02)


@pytest.mark.parametrize("from_hz", [4.0, 32.0, 64.0, 128.0, 256.0, 360.0, 700.0, 1000.0, 51.2])
def test_rate_conversion_keeps_slow_waves_offsets_and_the_clock_up_to_both_ends(from_hz):
    t = np.arange(round(30 * from_hz)) / from_hz
    x = (33 + np.sin(2 * np.pi * 0.2 * t) + 0.02 * t)[None]
    y = resample(x, from_hz, 128.0)
    at = np.arange(y.shape[1]) / 128
    assert y.shape == (1, 30 * 128)
    error = np.abs(y[0] - (33 + np.sin(2 * np.pi * 0.2 * at) + 0.02 * at))
    assert error[256:-256].max() < 2e-3
    assert error.max() < 0.15  # without care for the ends, an offset of 33 rings by about 30


def test_rate_conversion_keeps_what_would_fold_back_out():
    assert np.abs(middle(resample(tone(100, 1000), 1000, 128))).max() < 1e-3


rates = st.sampled_from([1.0, 4.0, 18.0, 31.25, 64.0, 128.0, 256.0, 359.7, 700.0, 2048.0])


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 700), from_hz=rates, to_hz=rates)
def test_lengths_are_exact_for_both_ways_of_conversion(samples, from_hz, to_hz):
    x = np.random.default_rng(samples).normal(size=(2, samples)).astype(np.float32)
    expected = (2, round(samples * to_hz / from_hz))
    for y in (resample(x, from_hz, to_hz), resample_linear(x, from_hz, to_hz)):
        assert y.shape == expected == (2, length_after(samples, from_hz, to_hz))
        assert y.dtype == np.float32
        assert np.isfinite(y).all()


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=40), factor=st.integers(2, 9))
def test_straight_lines_go_through_the_values_and_never_beyond(values, factor):
    y = resample_linear(np.array([values], np.float32), 1.0, float(factor))[0]
    np.testing.assert_allclose(y[::factor], values, rtol=1e-6, atol=1e-5)
    assert y.min() >= min(values) - 1e-3
    assert y.max() <= max(values) + 1e-3
