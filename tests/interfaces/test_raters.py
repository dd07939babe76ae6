"""Labels of several raters: the evaluator-weighted estimator against numbers worked by hand and a plain reading of its
formula, missing ratings, and what becomes of a dataset's labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from embench.interfaces.raters import Raters, compute_ewe_weights, fuse_labels, fuse_ratings
from embench.interfaces.recording import Label

NAN = np.nan


def random_ratings(seed: int, raters: int = 5, moments: int = 200, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    felt = rng.normal(size=moments)
    values = (
        felt * rng.uniform(-0.5, 2, (raters, 1)) + rng.normal(size=(raters, moments)) + rng.normal(size=(raters, 1))
    )
    return np.where(rng.random(values.shape) < missing, NAN, values)


def read_plainly(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and estimates as Grimm and Kroschel write them, with pandas, a moment and a rater at a time."""
    table = pd.DataFrame(values.T)
    several = table[table.notna().sum(axis=1) > 1]
    weights = several.corrwith(several.mean(axis=1)).fillna(0).clip(lower=0)
    made = []
    for _, row in table.iterrows():
        there = row.dropna().index
        total = sum(weights[r] for r in there)
        made.append(sum(weights[r] * row[r] for r in there) / total if total else NAN)
    return weights.to_numpy(), np.array(made)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_ewe_is_what_its_formula_says(seed: int, missing: float) -> None:
    values = random_ratings(seed, missing=missing)
    weights, made = read_plainly(values)
    np.testing.assert_allclose(compute_ewe_weights(values), weights, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fuse_ratings(values, "ewe"), made, rtol=0, atol=1e-12)


def test_ewe_worked_by_hand() -> None:
    """The mean of all is (1, 2, 6). The first rater's deviations are (-1, 0, 1), the mean's (-2, -1, 3): 5 / sqrt(28).
    The second's are (-5, -3, 8): 37 / sqrt(98 * 14). The third never moves."""
    values = np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 13.0], [2.0, 2.0, 2.0]])
    mean = values.mean(axis=0)
    np.testing.assert_array_equal(mean, [1, 2, 6])
    first = 5 / np.sqrt(28)
    second = ((-5) * (-2) + (-3) * (-1) + 8 * 3) / np.sqrt((25 + 9 + 64) * 14)
    np.testing.assert_allclose(compute_ewe_weights(values), [first, second, 0], rtol=0, atol=1e-12)
    expected = (first * values[0] + second * values[1]) / (first + second)
    np.testing.assert_allclose(fuse_ratings(values, "ewe"), expected, rtol=0, atol=1e-12)


def test_a_rater_against_all_others_has_no_weight() -> None:
    felt = np.random.default_rng(0).normal(size=50)
    values = np.stack([felt, felt + 1, 2 * felt, -felt])
    assert compute_ewe_weights(values)[3] == 0
    np.testing.assert_allclose(fuse_ratings(values, "ewe"), fuse_ratings(values[:3], "ewe"), atol=1e-12)


def test_a_moment_with_one_rating_says_nothing_of_the_rater() -> None:
    """Alone with it, a rater would agree with itself."""
    felt = np.random.default_rng(0).normal(size=20)
    both = np.stack([felt, felt[::-1]])
    alone = np.stack([np.arange(100.0), np.full(100, NAN)])
    np.testing.assert_array_equal(compute_ewe_weights(np.concatenate([both, alone], axis=1)), compute_ewe_weights(both))


def test_one_rater_has_no_evaluator_weight() -> None:
    values = np.array([[1.0, 2.0, 3.0], [NAN, NAN, NAN]])
    np.testing.assert_array_equal(compute_ewe_weights(values), [0, 0])
    assert np.isnan(fuse_ratings(values, "ewe")).all()
    np.testing.assert_array_equal(fuse_ratings(values, "mean"), [1, 2, 3])


def test_mean_and_median_are_of_those_who_rated() -> None:
    values = np.array([[1.0, NAN, NAN], [2.0, 4.0, NAN], [6.0, 2.0, NAN]])
    np.testing.assert_array_equal(fuse_ratings(values, "mean"), [3, 3, NAN])
    np.testing.assert_array_equal(fuse_ratings(values, "median"), [2, 3, NAN])


def test_raters_are_two_at_least() -> None:
    for names in ((), ("a",), ("a", "a")):
        with pytest.raises(ValueError, match="two at least, each once"):
            Raters(names)


class TestLabels:
    def test_weights_are_of_all_recordings_and_raters_stay(self) -> None:
        values = random_ratings(3, raters=3, moments=40)
        times = np.arange(10) * 5.0
        parts = np.split(values, 4, axis=1)
        labels = {
            f"r{i}": {f"calm_r{k + 1}": Label("continuous", part[k], times) for k in range(3)}
            for i, part in enumerate(parts)
        }
        made = fuse_labels(labels, {"calm": Raters(("calm_r1", "calm_r2", "calm_r3"), "ewe")})
        whole = fuse_ratings(values, "ewe")
        np.testing.assert_allclose(np.concatenate([made[f"r{i}"]["calm"].values for i in range(4)]), whole, atol=1e-12)
        np.testing.assert_array_equal(made["r2"]["calm"].times, times)
        assert made["r2"]["calm_r1"] is labels["r2"]["calm_r1"]

    def test_raters_need_not_rate_the_same_moments(self) -> None:
        one = Label("continuous", np.array([1.0, 2.0]), np.array([0.0, 5.0]))
        other = Label("continuous", np.array([4.0, 8.0]), np.array([5.0000001, 10.0]))
        made = fuse_labels({"r": {"a": one, "b": other}}, {"both": Raters(("a", "b"))})["r"]["both"]
        np.testing.assert_array_equal(made.times, [0, 5, 10])
        np.testing.assert_array_equal(made.values, [1, 3, 8])

    def test_what_nobody_rated_has_no_label(self) -> None:
        rated = {"a": Label("rating", np.array([3.0])), "b": Label("rating", np.array([5.0]))}
        made = fuse_labels({"r": rated, "s": {}}, {"both": Raters(("a", "b"))})
        assert (made["r"]["both"].kind, made["r"]["both"].values.tolist(), made["r"]["both"].times) == (
            "rating",
            [4],
            None,
        )
        assert made["s"] == {}

    def test_nothing_but_ratings_decides_a_label(self) -> None:
        """Another subject's ratings move a label by weights alone: none of `mean` and `median`, and with `ewe` the
        label stays between the lowest and the highest rating of its own moment."""
        values = random_ratings(5, raters=4, moments=60)
        other = np.concatenate([values[:, :30], np.random.default_rng(9).normal(size=(4, 30))], axis=1)
        for by in ("mean", "median"):
            np.testing.assert_array_equal(fuse_ratings(values, by)[:30], fuse_ratings(other, by)[:30])
        made = fuse_ratings(other, "ewe")
        assert (made >= other.min(axis=0) - 1e-12).all()
        assert (made <= other.max(axis=0) + 1e-12).all()
