"""Trees of classes that weigh alike are scikit-learn's to the bit, whatever the columns hold."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from embench.statistics.confound_only import BalancedTrees

from ..sample import sample

CASES = ("smooth", "missing", "ties", "few values", "constant", "infinite", "pairs", "halves")


def column(kind, n, rng):
    values = rng.normal(size=n)
    match kind:
        case "missing":
            values[rng.random(n) < 0.1] = np.nan
        case "ties":
            values = np.round(values, 2)
        case "few values":
            values = rng.integers(0, 9, n).astype(float)
        case "constant":
            values[:] = 3.5
        case "infinite":
            values[::7] = np.inf
        case "pairs":  # neighbouring numbers, between which there is none
            values[1::2] = np.nextafter(values[::2], 9)
        case "halves":  # most units share a value, so that many thresholds are one
            values[: n // 2] = 0
    return values


@pytest.mark.parametrize("n", sample((300, 512, 4000), 512))
@pytest.mark.parametrize("classes", sample((2, 4), 2))
def test_they_are_those_of_scikit_learn(classes, n):
    rng = np.random.default_rng(n + classes)
    x = np.stack([column(kind, n, rng) for kind in CASES], 1)
    y = np.minimum(rng.geometric(0.6, n) - 1 + (x[:, 0] > 0), classes - 1)
    new = np.concatenate([x + rng.normal(size=x.shape) * 1e-3, np.full_like(x[:5], np.nan), x[:20]])
    theirs = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0).fit(x, y)
    ours = BalancedTrees().fit(x, y)
    assert ours.classes_.tolist() == theirs.classes_.tolist() == list(range(classes))
    assert np.array_equal(ours.predict_proba(new), theirs.predict_proba(new))


def test_a_bin_in_which_no_unit_lies_parts_new_units_as_theirs():
    """The only unit of a class has a third of the weights: a threshold lies on it, and the next one halfway to the unit
    after it."""
    x = np.arange(300.0)[:, None]
    y = (x[:, 0] > 75).astype(int)
    y[75] = 2
    new = np.arange(74, 77, 0.25)[:, None]
    theirs = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0).fit(x, y)
    assert np.array_equal(BalancedTrees().fit(x, y).predict_proba(new), theirs.predict_proba(new))
