"""How much scores vary, against numbers computed by hand and against many draws."""

import numpy as np
import pytest

from embench.records.scores import Score
from embench.statistics.intervals import Summands, detectable_difference, measure_spread


def summands(adjusted, by_seed=None, fits="units"):
    adjusted = np.asarray(adjusted, float)
    return Summands(
        fits,
        adjusted,
        np.asarray([adjusted, adjusted] if by_seed is None else by_seed, float),
        np.zeros((1, 1, 1), bool),
    )


def score(mean, half):
    return Score(mean=mean, low=mean - half, high=mean + half)


def test_the_spread_of_rows_seeds_and_intervals():
    one = summands([0.3, 0.3], [[0.2, 0.3], [0.3, 0.4]])  # the seeds add up to .5 and .7
    other = summands([0.2, 0.2], [[0.2, 0.2], [0.2, 0.2]])
    found = measure_spread([score(0.6, 0.1), score(0.4, 0.3)], [one, other])
    assert found.rows == pytest.approx(0.2 / 2**0.5)
    assert found.interval == pytest.approx(0.2)
    assert found.seeds == pytest.approx(0.2 / 2**0.5 / 2)
    assert found.difference == pytest.approx(0)  # every group of subjects gains as much


def test_rows_on_other_units_have_no_difference_and_rows_without_summands_no_seeds():
    apart = [summands([0.1, 0.2]), summands([0.2, 0.2], fits="other units")]
    two = [score(0.3, 0.1), Score(mean=0.4)]
    assert measure_spread(two, apart).difference is None
    nothing = measure_spread(two, [])
    assert (nothing.seeds, nothing.difference) == (None, None)


def test_the_detectable_difference_is_two_standard_errors_of_a_sum_over_groups():
    rng = np.random.default_rng(1)
    size, groups = 0.02, 40
    sums = rng.normal(0, size, (4000, groups)).sum(1)
    found = [
        detectable_difference(summands(rng.normal(0, size, groups)), summands(np.zeros(groups))) for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(2 * sums.std(), rel=0.05)
    assert detectable_difference(summands([0.1, 0.3]), summands([0.0, 0.0])) == pytest.approx(2 * (0.02 * 2) ** 0.5)
