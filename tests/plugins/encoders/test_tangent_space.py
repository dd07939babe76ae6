"""`tangent_space`: logarithms that are known in closed form, what scale and order do to them, and a planted effect."""

import numpy as np
import pytest
from scipy.linalg import logm

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench_plugins.encoders.tangent_space import TangentSpace, compute_log_covariance

RATE = 128.0
READER = TangentSpace(TangentSpace.recipes["paper"])
EXACT = TangentSpace(TangentSpace.recipes["paper"].replace(prepare={"shrinkage": 0.0}))
TEN_S = np.stack([np.arange(6) * 10.0, np.arange(6) * 10.0 + 10.0], 1)


def eeg(x):
    return Signal(np.asarray(x, np.float32), RATE, tuple(f"E{k}" for k in range(len(x))), "uV", modality="eeg")


def mixed(mixing, seconds=60, seed=0):
    """Noise of unit variance that reaches each channel by the row of a matrix."""
    sources = np.random.default_rng(seed).normal(size=(len(mixing[0]), round(seconds * RATE)))
    return np.asarray(mixing) @ sources


def matrix(row, channels):
    """A feature row as the matrix that it stands for."""
    first, second = np.triu_indices(channels)
    out = np.zeros((channels, channels))
    out[first, second] = out[second, first] = row / np.where(first == second, 1, np.sqrt(2))
    return out


def test_rows_are_the_logarithm_of_the_covariance():
    signal = eeg(10 * mixed([[1, 0, 0], [0.5, 2, 0], [0, -1, 1]]))
    found = EXACT.features(signal, TEN_S)
    for row, (start, stop) in zip(found, TEN_S, strict=True):
        cut = signal.data[:, round(start * RATE) : round(stop * RATE)].astype(np.float64)
        np.testing.assert_allclose(matrix(row, 3), logm(np.cov(cut)), rtol=1e-5, atol=1e-5)
    assert READER.feature_names("eeg", ("F3", "F4")) == ("F3_log_variance", "F3-F4_log_covariance", "F4_log_variance")


def test_independent_channels_have_the_logarithms_of_their_variances():
    found = READER.features(eeg(mixed(np.diag([1.0, 10.0]), seconds=600)), np.array([[0.0, 600.0]]))[0]
    np.testing.assert_allclose(found, [np.log(0.99 + 0.01 * 50.5), 0.0, np.log(99 + 0.01 * 50.5)], atol=0.03)


def test_a_common_scale_moves_the_diagonal_alone_and_an_offset_nothing():
    x = mixed([[1, 0, 0], [0.5, 2, 0], [0, -1, 1]])
    one, other = READER.features(eeg(x), TEN_S), READER.features(eeg(5 * x + 100), TEN_S)
    moved = np.where(np.equal(*np.triu_indices(3)), 2 * np.log(5), 0.0)
    np.testing.assert_allclose(other - one, np.broadcast_to(moved, one.shape), atol=1e-3)


def test_channels_in_another_order_have_the_same_values():
    x = mixed([[1, 0, 0], [0.5, 2, 0], [0, -1, 1]])
    one, other = READER.features(eeg(x), TEN_S)[0], READER.features(eeg(x[::-1]), TEN_S)[0]
    np.testing.assert_allclose(matrix(other, 3), matrix(one, 3)[::-1, ::-1], atol=1e-5)


def test_channels_that_depend_on_each_other_have_finite_values_of_whatever_length_the_span_is():
    x = mixed(np.eye(4))
    x -= x.mean(0)
    found = READER.features(eeg(x), np.array([[0.0, 0.02], [0.0, 1.0], [0.0, 10.0], [0.0, 60.0]]))
    assert np.isfinite(found).all()
    smallest = [np.linalg.eigvalsh(matrix(row, 4))[0] for row in found[1:]]
    np.testing.assert_allclose(smallest, np.log(0.01 * 0.75), atol=0.2)


def test_a_planted_coupling_shows_where_powers_are_equal():
    apart, coupled = mixed(np.eye(2), seconds=30), mixed([[1, 0], [0.6, 0.8]], seconds=30, seed=1)
    found = READER.features(eeg(np.concatenate([apart, coupled], 1)), TEN_S)
    assert np.abs(found[:3, 1]).max() < 0.2
    assert found[3:, 1].min() > 0.8


def test_flat_channels_and_lost_samples_have_no_values():
    x = mixed(np.eye(3))
    x[1] = 7.0
    x[0, round(12 * RATE) : round(13 * RATE)] = np.nan
    found = READER.features(eeg(x), TEN_S)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[[0, 2, 3, 4, 5]]).tolist() == [[False, True, False, True, True, False]] * 5
    assert np.isnan(READER.features(eeg(x), np.array([[3.0, 3.0]]))).all()
    assert np.isnan(compute_log_covariance(np.zeros((1, 2, 8)), 0.01)).all()


def test_a_span_has_the_same_values_whatever_other_spans_there_are():
    signal = eeg(mixed(np.eye(3)))
    alone = np.concatenate([READER.features(signal, span[None]) for span in TEN_S])
    np.testing.assert_allclose(alone, READER.features(signal, TEN_S), rtol=1e-6)


def test_other_signals_are_refused():
    with pytest.raises(UsageError, match="no features of 'ecg'"):
        READER.feature_names("ecg", ("left",))
