"""Reliability of raters against planted noise and closed forms, and one rater as a prediction of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.interfaces.raters import ewe_weights, fuse_ratings
from embench.protocols import load_protocol
from embench.statistics.rater_agreement import ONE_RATER, SELF_REPORT, describe_raters, reliability_of_raters
from embench.store import prepare
from embench_plugins.datasets.own.reader import Own

from ..plugins.datasets.own_files import describe

NAN = np.nan


def rated(noise: np.ndarray, moments: int = 4000, groups: int = 20, levels: float = 3.0, seed: int = 0):
    """Ratings (R, N) of what is felt with variance 1, through noise of each rater's own variance; the group and what is
    felt of each moment. Levels of groups, and of raters in them, differ."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), moments // groups)
    felt = rng.normal(size=moments)
    level = levels * rng.normal(size=groups)[group] + levels * rng.normal(size=(len(noise), groups))[:, group]
    return felt + level + np.sqrt(noise)[:, None] * rng.normal(size=(len(noise), moments)), group, felt


def cronbach(values: np.ndarray) -> float:
    k = len(values)
    return k / (k - 1) * (1 - values.var(axis=1, ddof=1).sum() / values.sum(axis=0).var(ddof=1))


def test_planted_noise_is_recovered_whatever_the_levels_of_groups() -> None:
    values, group, felt = rated(np.ones(5))
    found = reliability_of_raters(values, group)
    assert found.one == pytest.approx(1 / 2, abs=0.03)
    assert found.fused == pytest.approx(5 / 6, abs=0.02)
    assert found.raters == pytest.approx(5)
    # The bound is what the best prediction there is, what is felt, reaches within groups.
    mean = values.mean(axis=0)
    mean = mean - (np.bincount(group, mean) / np.bincount(group))[group]
    assert np.corrcoef(mean, felt)[0, 1] == pytest.approx(found.bound, abs=0.02)


def test_without_gaps_it_is_cronbachs_alpha() -> None:
    values, _, _ = rated(np.array([0.5, 1, 4]), groups=1, levels=0)
    found = reliability_of_raters(values, np.zeros(values.shape[1]))
    assert found.fused == pytest.approx(cronbach(values), abs=1e-12)


def test_shrout_and_fleiss_example() -> None:
    """Shrout and Fleiss 1979, table 2 and 4: ICC(3,1) = .71, ICC(3,4) = .91, which are ICC(C,1) and ICC(C,4)."""
    values = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], float)
    found = reliability_of_raters(values, np.zeros(6))
    assert found.one == pytest.approx(0.7148, abs=5e-4)
    assert found.fused == pytest.approx(0.9093, abs=5e-4)


def test_missing_ratings_leave_it_in_place() -> None:
    """Half of the ratings are gone: the units have fewer raters, and one rater is as reliable as before."""
    values, group, _ = rated(np.ones(6))
    gone = np.random.default_rng(1).random(values.shape) < 0.5
    found = reliability_of_raters(np.where(gone, NAN, values), group)
    known = (~gone).sum(axis=0)
    k = 1 / (1 / known[known > 0]).mean()
    assert found.raters == pytest.approx(k)
    assert found.one == pytest.approx(1 / 2, abs=0.03)
    assert found.fused == pytest.approx(k / (k + 1), abs=0.03)


@pytest.mark.parametrize("noise", [(0.5, 0.5, 20.0), (1.0, 2.0, 3.0)])
def test_with_weights_it_is_that_of_the_weighted_mean(noise: tuple[float, ...]) -> None:
    """The squared correlation of the estimator's values and what is felt; a rater whose ratings spread most has much
    of the mean, and so a great weight, however noisy."""
    values, group, felt = rated(np.array(noise), groups=1, levels=0, moments=20_000)
    weights = ewe_weights(values)
    reached = np.corrcoef(fuse_ratings(values, "ewe", weights), felt)[0, 1] ** 2
    assert reliability_of_raters(values, group, weights).fused == pytest.approx(reached, abs=0.02)


def test_a_rater_without_weight_is_as_if_absent() -> None:
    values, group, _ = rated(np.ones(3))
    found = reliability_of_raters(values, group, np.array([1.0, 1.0, 0.0]))
    assert found == reliability_of_raters(values[:2], group)


def test_strangers_have_no_reliability() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3000))
    assert reliability_of_raters(values, np.zeros(3000)).fused < 0.15
    opposed = reliability_of_raters(np.stack([values[0], -values[0]]), np.zeros(3000))
    assert (opposed.one, opposed.fused, opposed.bound) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.array([[1.0, 2.0, 3.0]]), ONE_RATER),
        (np.array([[1.0, 2.0, 3.0], [NAN, NAN, NAN]]), ONE_RATER),
        (np.array([[1.0, 2.0, NAN], [NAN, NAN, 3.0]]), "no two raters rated several units"),
        (np.ones((3, 4)), "do not vary"),
    ],
)
def test_what_has_no_reliability_says_why(values: np.ndarray, why: str) -> None:
    found = reliability_of_raters(values, np.zeros(values.shape[1]))
    assert isinstance(found, Undefined)
    assert why in found.reason


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of eight subjects with ten films, which three raters and the subjects rated."""
    root = tmp_path_factory.mktemp("rated")
    rng, rows = np.random.default_rng(0), ["who,film,anna,ben,chris,own"]
    for who in range(8):
        (root / f"S{who}").mkdir()
        for film in range(10):
            (root / f"S{who}" / f"F{film}.csv").write_text("EDA\n" + "1\n2\n" * 20)
            felt = rng.normal()
            seen = [f"{5 + felt + noise * rng.normal():.3f}" for noise in (0.2, 0.3, 1.5)]
            rows.append(f"S{who},F{film},{','.join(seen)},5")
    (root / "ratings.csv").write_text("\n".join(rows) + "\n")
    return root


class TestOfATarget:
    def described(self, root: Path, **label):
        where = {"table": "ratings.csv", "keys": {"participant": "who", "film": "film"}, "scale": [-9, 19]}
        signals = {"eda": {"channels": ["EDA"], "rate": 4, "unit": "uS"}}
        describe(
            root,
            {"files": "{participant}/{film}.csv", "stimulus": "{film}", "signals": signals},
            {"calm": {**where, **label}},
            {"calm": {"label": "calm", "kind": "value"}},
        )
        reader, protocol = Own(root), load_protocol("subject-independent-v3")
        cache = root.parent / f"{root.name}-cache"
        store = prepare(reader, "embench_plugins/own", "0", rate_hz=4.0, cache=cache)
        (target,) = reader.card.targets
        return describe_raters(store, reader.card, target, protocol)

    def test_the_worst_rater_is_the_worst_prediction_of_the_others(self, studied: Path) -> None:
        found = self.described(studied, columns=["anna", "ben", "chris"], raters="mean")
        assert (found["by"], found["within"]) == ("mean", "subject")  # a film has one rating a rater
        ranked = {row["rater"]: row["concordance_within"] for row in found["one_against_others"]}
        assert min(ranked, key=ranked.get) == "calm_r3"
        assert found["human"]["ccc"] == pytest.approx(np.mean([row["ccc"] for row in found["one_against_others"]]))
        assert 0 < found["reliability_of_one"] < found["reliability"] < found["bound"] < 1

    def test_one_rater_against_one_is_lins_concordance(self, studied: Path) -> None:
        found = self.described(studied, columns=["anna", "ben"], raters="ewe")
        rated = np.genfromtxt(studied / "ratings.csv", delimiter=",", skip_header=1, usecols=(2, 3)).reshape(8, 10, 2)
        by_hand = []
        for a, b in rated.transpose(0, 2, 1):
            by_hand.append(
                2 * ((a - a.mean()) * (b - b.mean())).mean() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
            )
        assert [row["ccc"] for row in found["one_against_others"]] == pytest.approx([np.mean(by_hand)] * 2, abs=1e-12)

    def test_self_report_has_no_bound(self, studied: Path) -> None:
        assert self.described(studied, column="own") == {"undefined": SELF_REPORT}
