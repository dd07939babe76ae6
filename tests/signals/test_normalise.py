"""Moments of parts combine to the moments of the whole."""

from functools import reduce

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.signals.normalise import Moments


def combine(parts):
    return reduce(Moments.plus, map(Moments.from_samples, parts))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.lists(st.integers(0, 400), max_size=5), st.floats(-1e4, 1e4), st.integers(0, 99))
def test_parts_combine_to_the_whole(length, cuts, offset, seed):
    x = (np.random.default_rng(seed).normal(size=(3, length)) * [[1], [1e-3], [50]] + offset).astype(np.float32)
    parts = np.split(x, sorted(min(c, length) for c in cuts), axis=1)
    whole, whole64 = combine(parts), x.astype(np.float64)
    np.testing.assert_allclose(whole.mean, whole64.mean(1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole.squares, ((whole64 - whole64.mean(1, keepdims=True)) ** 2).sum(1), rtol=1e-9)
    assert (whole.count == length).all()


def test_a_large_offset_costs_no_precision():
    x = np.random.default_rng(0).normal(1e5, 1.0, (1, 10_000))
    halves = combine([x[:, :1], x[:, 1:]])
    np.testing.assert_allclose(halves.std, x.std(1), rtol=1e-10)


def test_constant_channels_are_not_blown_up():
    x = np.stack([np.full(100, 33.3), np.zeros(100), np.linspace(0, 1, 100)]).astype(np.float32)
    own = Moments.from_samples(x)
    assert own.std[0] == own.std[1] == 1
    assert own.std[2] < 1
    assert np.abs((x - own.mean[:, None]) / own.std[:, None])[:2].max() < 1e-4


def test_missing_values_are_left_out():
    x = np.array([[1.0, np.nan, 3.0], [np.nan] * 3])
    own = combine([x, x])
    assert own.count.tolist() == [4, 0]
    assert own.mean.tolist() == [2, 0]
    assert own.std.tolist() == [1, 1]
