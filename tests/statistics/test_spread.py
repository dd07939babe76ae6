"""The detectable difference of two entries, against many draws."""

import numpy as np
import pytest

from embench.statistics.intervals import Summands, detectable_difference


def summands(adjusted, by_seed=None, fits="units"):
    adjusted = np.asarray(adjusted, float)
    return Summands(
        fits,
        adjusted,
        np.asarray([adjusted, adjusted] if by_seed is None else by_seed, float),
        np.zeros((1, 1, 1), bool),
    )


def test_the_detectable_difference_is_two_standard_errors_of_a_sum_over_groups():
    rng = np.random.default_rng(1)
    size, groups = 0.02, 40
    sums = rng.normal(0, size, (4000, groups)).sum(1)
    found = [
        detectable_difference(summands(rng.normal(0, size, groups)), summands(np.zeros(groups))) for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(2 * sums.std(), rel=0.05)
    assert detectable_difference(summands([0.1, 0.3]), summands([0.0, 0.0])) == pytest.approx(2 * (0.02 * 2) ** 0.5)
