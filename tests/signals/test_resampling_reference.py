"""Rate conversion against its definition: sines that must pass unchanged, sines that must vanish, a long filter."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from embench.signals.resample import resample

TO_HZ = 128.0
RATES = [1000.0, 700.0, 512.0, 64.0, 4.0]
PASSED = 0.8  # of the lower of the two Nyquist frequencies


def sine(hz: float, rate: float, seconds: float, phase: float = 0.3) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate + phase)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(max(ratio, 1e-12)))


def inner(x: np.ndarray) -> np.ndarray:
    """Without the ends, where a signal has no past or no future."""
    return x[len(x) // 4 : -len(x) // 4]


def seconds(rate: float) -> float:
    return max(30.0, 1200 / rate)


@pytest.mark.parametrize("rate", RATES)
def test_what_is_below_eight_tenths_of_nyquist_passes_within_a_tenth_of_a_decibel(rate):
    limit = PASSED * min(rate, TO_HZ) / 2
    for hz in np.linspace(limit / 50, limit, 12):
        found = inner(resample(sine(hz, rate, seconds(rate))[None], rate, TO_HZ)[0])
        expected = inner(sine(hz, TO_HZ, seconds(rate)))
        # As an error, which holds the phase too: 0.1 dB of an amplitude of 1 is .0116.
        assert abs(decibels(np.std(found) / np.std(expected))) < 0.1
        assert np.abs(found - expected).max() < 0.0116


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > TO_HZ])
def test_what_would_fold_back_is_under_minus_sixty_decibels(rate):
    for hz in np.linspace(1.2 * TO_HZ / 2, 0.98 * rate / 2, 15):
        found = inner(resample(sine(hz, rate, 30.0)[None], rate, TO_HZ)[0])
        assert decibels(np.std(found) / np.sqrt(0.5)) < -60


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate < TO_HZ])
def test_images_of_a_slow_signal_are_under_minus_sixty_decibels(rate):
    for hz in np.linspace(0.1, PASSED, 5) * rate / 2:
        found = inner(resample(sine(hz, rate, seconds(rate))[None], rate, TO_HZ)[0])
        at = np.arange(len(found)) / TO_HZ
        waves = np.stack([np.sin(2 * np.pi * hz * at), np.cos(2 * np.pi * hz * at), np.ones(len(at))], axis=1)
        rest = found - waves @ np.linalg.lstsq(waves, found, rcond=None)[0]
        assert decibels(np.std(rest) / np.sqrt(0.5)) < -60


@pytest.mark.parametrize("rate", RATES)
def test_noise_comes_out_as_from_a_long_filter(rate):
    """Noise of the passband, by the textbook's way: up, one filter of 20,000 taps, down."""
    ratio = Fraction(TO_HZ) / Fraction(rate)
    fastest = rate * ratio.numerator
    noise = np.random.default_rng(0).standard_normal(round(seconds(rate) * rate))
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / rate) > PASSED * min(rate, TO_HZ) / 2] = 0
    noise = np.fft.irfft(spectrum, len(noise))
    half = 10 * max(ratio.numerator, ratio.denominator) * 10
    taps = firwin(2 * half + 1, min(rate, TO_HZ) / 2 * 0.92, window=("kaiser", 10.0), fs=fastest)
    expected = inner(resample_poly(noise, ratio.numerator, ratio.denominator, window=taps))
    found = inner(resample(noise[None], rate, TO_HZ)[0])
    assert decibels(np.std(found - expected) / np.std(expected)) < -60
