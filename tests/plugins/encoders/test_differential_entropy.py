"""`differential_entropy`: values that are known in closed form, and what smoothing does along time."""

import numpy as np
import pytest

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench_plugins.encoders.differential_entropy import BANDS, DifferentialEntropy, smooth

RATE = 128.0
READER = DifferentialEntropy(DifferentialEntropy.recipes["paper"])


def eeg(*rows, rate=RATE):
    names = tuple(f"E{k}" for k in range(len(rows)))
    return Signal(np.stack(rows).astype(np.float32), rate, names, "uV", modality="eeg")


def seconds(n):
    return np.arange(round(n * RATE)) / RATE


def cells(start, stop):
    return np.stack([np.arange(start, stop), np.arange(start, stop) + 1.0], 1)


def noise(n, seed=0, channels=2):
    return eeg(*np.random.default_rng(seed).normal(0, 10, (channels, round(n * RATE))))


def closed_form(variance):
    return 0.5 * np.log(2 * np.pi * np.e * variance)


@pytest.mark.parametrize(
    ("band", "hz"), list(zip(BANDS, (2, 6, 10, 22, 38), strict=True))
)  # whole periods a second, in the transitions of no other band
def test_a_wave_has_the_entropy_of_its_variance_in_its_band_and_little_elsewhere(band, hz):
    signal = eeg(7 * np.sin(2 * np.pi * hz * seconds(30)), 14 * np.sin(2 * np.pi * hz * seconds(30)))
    names = READER.feature_names("eeg", signal.channels)
    found = dict(zip(names, READER.features(signal, np.array([[5.0, 25.0]]))[0], strict=True))
    np.testing.assert_allclose(found[f"E0_{band}"], closed_form(7**2 / 2), atol=0.01)
    np.testing.assert_allclose(found[f"E1_{band}"], closed_form(14**2 / 2), atol=0.01)
    assert all(found[f"E0_{other}"] < found[f"E0_{band}"] - 2 for other in BANDS if other != band)


def test_white_noise_has_the_share_of_its_variance_that_lies_in_a_band():
    """The transitions of a filter let a little more through."""
    found = READER.features(noise(200, channels=1), np.array([[0.0, 200.0]]))[0]
    share = np.array([(high - low) / (RATE / 2) for low, high in BANDS.values()])
    above = found - closed_form(100 * share)
    assert ((above > -0.2) & (above < 0.25)).all()


def test_a_longer_span_has_the_mean_of_its_seconds():
    signal = noise(40)
    long, each = READER.features(signal, np.array([[10.0, 20.0]])), READER.features(signal, cells(10, 20))
    np.testing.assert_allclose(long[0], each.mean(0), rtol=1e-5)


def test_seconds_are_counted_back_from_the_end_of_a_span():
    """Units are the last 30 s of a film of 81.138 s, whose ends are rounded to samples."""
    signal = noise(81.138)
    units = cells(51.138, 81.1)
    assert len(units) == 30
    rows = READER.features(signal, units)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(READER.features(signal, np.array([[51.138, 81.138]]))[0], rows.mean(0), rtol=1e-5)
    whole = READER.features(signal, np.array([[0.0, 81.138]]))[0]
    np.testing.assert_allclose(whole, READER.features(signal, cells(0.138, 81.1)).mean(0), rtol=1e-5)


def test_a_loud_second_shows_from_its_own_unit_on():
    quiet = np.sin(2 * np.pi * 22 * seconds(40))
    loud = quiet * np.where((seconds(40) >= 20.5) & (seconds(40) < 21.5), 20.0, 1.0)
    beta = READER.features(eeg(loud), cells(0.5, 39))[:, list(BANDS).index("beta")]
    rises = np.diff(beta)
    assert rises.argmax() == 19  # from the unit at 19.5 s to that at 20.5 s
    assert (rises[:17] <= 0).all()


def test_features_depend_on_their_recording_alone():
    spans = cells(3, 9)
    first = READER.features(noise(20, seed=1), spans)
    READER.features(eeg(1e4 * seconds(20), -seconds(20)), spans)
    np.testing.assert_array_equal(READER.features(noise(20, seed=1), spans), first)
    alone = np.concatenate([READER.features(noise(20, seed=1), span[None]) for span in spans])
    np.testing.assert_allclose(alone, first, rtol=1e-6)


def test_what_was_not_recorded_has_no_value():
    t = seconds(20)
    broken = np.where((t >= 5) & (t < 10), 0.0, 10 * np.sin(2 * np.pi * 11 * t))
    found = READER.features(eeg(np.zeros(len(t)), broken), np.array([[2.0, 3.0], [12.0, 13.0], [4.0, 4.5], [8.0, 8.0]]))
    assert np.isnan(found[:2, :5]).all()
    assert np.isfinite(found[:2, 5:]).all()
    assert np.isnan(found[2:]).all()


def test_a_rate_that_cannot_hold_a_band_leaves_it_out():
    data = np.random.default_rng(0).normal(size=64 * 20)
    found = READER.features(eeg(data, rate=64.0), np.array([[0.0, 20.0]]))[0]
    assert np.isnan(found).tolist() == [False, False, False, False, True]


def test_other_signals_are_refused():
    with pytest.raises(UsageError, match="no features of 'ecg'"):
        READER.feature_names("ecg", ("left",))


def test_smoothing_quiets_noise_around_a_level():
    noisy = np.random.default_rng(0).normal(3.0, 1.0, (300, 40))
    assert smooth(noisy).var(0).mean() < noisy.var(0).mean() / 50
    np.testing.assert_allclose(smooth(noisy).mean(0), 3.0, atol=0.3)


def test_smoothing_follows_a_step_within_minutes_and_does_not_foresee_it():
    step = np.repeat([0.0, 1.0], 600)[:, None]
    found = smooth(step)[:, 0]
    assert found[599] < 0.01  # the mean that it starts at is forgotten
    assert 0.6 < found[700] < 0.68  # 1 - 1 / e after 100 s
    assert found[-1] > 0.99
    assert (np.diff(found[600:]) > 0).all()


def test_the_first_seconds_by_hand():
    """Gains .01 / 1.01, then (.01 / 1.01 + .0001) / (1.01 / 1.01 + .01 / 1.01 + .0001)."""
    values = np.array([[4.0], [1.0], [1.0]])
    first = 2 + 0.01 / 1.01 * 2
    variance = 0.01 / 1.01 + 1e-4
    second = first + variance / (variance + 1) * (1 - first)
    np.testing.assert_allclose(smooth(values)[:2, 0], [first, second], rtol=1e-12)


def test_smoothing_does_not_mind_scale_and_offset():
    """So that it makes no difference whether features are z-scored before or after it."""
    values = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(smooth(5 * values - 2), 5 * smooth(values) - 2, rtol=1e-9)


def test_smoothing_passes_over_missing_seconds():
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[10:20, 0], values[:, 1] = np.nan, np.nan
    found = smooth(values)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
