"""Band powers and entropies against closed forms."""

import numpy as np
import pytest

from embench.signals.spectra import band_powers, differential_entropy

BANDS = [(4.0, 8.0), (8.0, 13.0), (13.0, 30.0)]


def test_a_tone_has_its_power_in_its_band():
    t = np.arange(128 * 20) / 128
    x = np.stack([3 * np.sin(2 * np.pi * 10 * t), np.sin(2 * np.pi * 20 * t)])
    powers = band_powers(x, 128, BANDS)
    assert powers.shape == (2, 3)
    assert powers[0, 1] == pytest.approx(4.5, rel=0.02)
    assert powers[1, 2] == pytest.approx(0.5, rel=0.02)
    assert powers[0, 0] < 0.01 * powers[0, 1]


def test_white_noise_spreads_evenly_and_has_the_entropy_of_its_variance():
    x = np.random.default_rng(0).normal(0, 2, (1, 128 * 600))
    share = np.array([hi - lo for lo, hi in BANDS]) / 64
    np.testing.assert_allclose(band_powers(x, 128, BANDS)[0], 4 * share, rtol=0.05)
    expected = 0.5 * np.log(2 * np.pi * np.e * 4 * share)
    np.testing.assert_allclose(differential_entropy(x, 128, BANDS)[0], expected, atol=0.03)


def test_an_empty_band_has_no_entropy_and_short_signals_do_not_crash():
    assert np.isnan(differential_entropy(np.zeros((1, 256)), 128, BANDS)).all()
    assert band_powers(np.ones((2, 3)), 128, BANDS).shape == (2, 3)
