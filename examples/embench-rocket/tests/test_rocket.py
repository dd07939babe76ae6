import numpy as np

from embench.interfaces.recording import Signal
from embench.testing import check
from embench_rocket.rocket import Rocket

SPANS = np.array([[0.0, 10.0], [10.0, 20.0], [20.0, 30.0]])
ROCKET = Rocket(Rocket.recipes["quick"])


def features(data):
    return ROCKET.features(Signal(data, 32.0, tuple("abc"[: len(data)]), "mV", modality="ecg"), SPANS)


def noise(channels=1, samples=960):
    return np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)


def test_conforms():
    check("encoder", Rocket)


def test_level_and_scale_of_a_series_change_nothing():
    np.testing.assert_allclose(features(3 * noise() + 5), features(noise()), atol=1e-4)


def test_two_features_of_each_kernel_and_shares_are_shares():
    found = features(noise(channels=3))
    assert found.shape == (3, 200)
    assert ((found[:, :100] >= 0) & (found[:, :100] <= 1)).all()
    assert len(ROCKET.feature_names("ecg", ("a",))) == 200


def test_a_window_with_a_lost_or_missing_sample_or_without_change_has_no_features():
    data = noise(samples=900)  # the last window ends after the recording
    data[0, 40] = np.nan
    data[0, 320:640] = 1.0
    assert np.isnan(features(data)).all()


def test_a_rhythm_is_told_from_noise():
    """By a linear read-out of half of the windows, on the other half."""
    random, at, y = np.random.default_rng(1), np.arange(320) / 32, np.arange(80) % 2
    waves = np.sin(2 * np.pi * 1.2 * at + random.uniform(0, 6, (80, 1)))
    series = random.standard_normal((80, 320)) + 2 * y[:, None] * waves
    spans = np.array([[10.0 * k, 10.0 * k + 10.0] for k in range(80)])
    x = ROCKET.features(Signal(np.float32(series).reshape(1, -1), 32.0, ("a",), "mV", modality="ecg"), spans)
    weights, *_ = np.linalg.lstsq(np.c_[x[:40], np.ones(40)], 2.0 * y[:40] - 1, rcond=1e-2)
    assert ((np.c_[x[40:], np.ones(40)] @ weights > 0) == y[40:]).mean() > 0.9
