"""The dense code of the simulation of `allowance` and the harness's agree."""

from __future__ import annotations

import numpy as np
import pytest

from embench.statistics.comparison import per_subject_contributions
from embench.statistics.estimates import contributions, estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import joined_on_common

from .allowance import SCORES, added, moments, scored
from .cohorts import (
    TARGET,
    cross_validated,
    draw_features,
    draw_labels,
    draw_lengths,
    partitions,
    predict,
    recorded,
    trained,
)

CLOSE = {"rel": 1e-9, "abs": 1e-12}


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_with_their_variances_equal_those_of_independent_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths, y = draw_lengths(rng, 24), draw_labels(rng, 24)
    folds = partitions(rng, lengths, 3)
    x = draw_features(rng, y, 0.3)
    predicted = predict(cross_validated(rng, x, y, folds, trained), x, folds)
    expected = scored(predicted, y, folds, lengths)
    made = recorded("a", predicted, y, folds, SCORES[0], lengths)
    [joined] = joined_on_common([made], TARGET, made.groups)
    jackknife = leave_one_out(joined.tested_subjects(), made.groups)
    trains = joined.trained(jackknife)
    assert (trains == (folds[:, :, None] != folds[:, None, :])).all()
    assert set(SCORES) == set(expected)
    for name, (mean, own, df, by_seed, sums) in expected.items():
        found, _ = estimate(name, joined, TARGET, jackknife)
        assert isinstance(found, Estimate)
        assert (found.mean, found.error**2 - found.shared, found.df) == pytest.approx((mean, own, df), **CLOSE)
        assert contributions(name, joined, TARGET, jackknife) == pytest.approx(by_seed, **CLOSE)
        assert found.shared == pytest.approx(
            added(np.array(own), *moments(by_seed, trains.astype(float)))["bounded"], **CLOSE
        )
        if sums is not None:
            assert per_subject_contributions(name, joined, TARGET, jackknife.subjects) == pytest.approx(sums, **CLOSE)
