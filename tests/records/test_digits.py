"""Scores are rounded as their text with nine significant digits reads."""

from __future__ import annotations

import numpy as np

from embench.records.digits import nine_digits


def test_rounded_scores_equal_their_text_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    powers = 10.0 ** np.arange(-30, 30)
    drawn = np.concatenate([rng.random(20_000), np.exp(rng.normal(0, 20, 20_000)), rng.random(2000).round(10)])
    halves = (rng.integers(10**8, 10**9, 2000) + 0.5) / powers[rng.integers(22, 52, 2000)]
    edges = np.concatenate([powers, *(np.nextafter(powers, to) for to in (0, np.inf)), 9.999999995 * powers])
    special = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308])
    values = np.concatenate([drawn, drawn[:20_000].astype(np.float32), halves, edges, special])
    values = np.concatenate([values, -values])
    expected = np.array([float(f"{value:.9g}") for value in values.tolist()])
    np.testing.assert_array_equal(nine_digits(values).view(np.int64), expected.view(np.int64))
